package reliability

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
)

var overlaps = flag.Int("overlaps", 250, "how many histories of overlapping pollers to play")

// TestOverlappingPollersLoseNothing runs two to five pollers at a time on one
// Entity Resolution, one table and one bus. Each pauses at random operations, for
// up to two minutes, or is frozen for ten and continues with what it had read
// before; calls fail before or after they take effect, and processes die.
// Meanwhile the jobs move on. Then the faults end, and everything must have been
// published.
func TestOverlappingPollersLoseNothing(t *testing.T) {
	t.Parallel()
	var all tally
	play := func(t *testing.T, seed uint64) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			c := newOverlap(seed)
			if err := c.play(); err != nil {
				t.Fatalf("%v\n%splay it again: go test ./test/reliability -run OverlappingPollers -seed %d -count 20", err, c.trail(), seed)
			}
			all.add(c)
		})
	}
	if *seed != 0 {
		play(t, *seed)
		t.Logf("seed %d: %v", *seed, &all)
		return
	}
	base := rand.Uint64()>>1 + 1
	t.Run("histories", func(t *testing.T) {
		workers := runtime.GOMAXPROCS(0)
		for worker := range workers {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				for i := worker; i < played(*overlaps) && !t.Failed(); i += workers {
					play(t, base+uint64(i))
				}
			})
		}
	})
	t.Logf("%d histories from seed %d: %v", played(*overlaps), base, &all)
	if !t.Failed() && (all.ends == 0 || all.overlapped == 0 || all.refused == 0 || all.froze == 0) {
		t.Error("nothing ever overlapped, was refused, froze or was muted: this proves nothing")
	}
}

// tally counts what shows that the pollers were in each other's way.
type tally struct {
	mu         sync.Mutex
	rounds     int
	overlapped int // rounds in which a poller came between two operations of another
	pollers    int // invocations
	froze      int // of these, frozen and thawed
	died       int // of these, dead before they were done
	refused    int // writes of a record that another poller had changed
	refusedToo int // writes of anything else, likewise
	events     int // on the bus
	ends       int // of these, of mutes
	repeats    int // of these, there before
}

func (a *tally) String() string {
	return fmt.Sprintf("%d of %d rounds overlapped, %d pollers, %d frozen and thawed, %d dead; refused as changed since they were read: %d writes of a record, %d of a state; %d events, %d of them repeats",
		a.overlapped, a.rounds, a.pollers, a.froze, a.died, a.refused, a.refusedToo, a.events, a.repeats)
}

func (a *tally) add(c *overlap) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := &c.tally
	a.rounds, a.overlapped, a.pollers = a.rounds+b.rounds, a.overlapped+b.overlapped, a.pollers+b.pollers
	a.froze, a.died = a.froze+b.froze, a.died+b.died
	a.refused, a.refusedToo = a.refused+b.refused, a.refusedToo+b.refusedToo
	a.events, a.ends, a.repeats = a.events+b.events, a.ends+b.ends, a.repeats+b.repeats
}

// overlap is one history: everything that the pollers share.
type overlap struct {
	r      *rand.Rand
	rate   float64 // of faults
	source *fake.Source
	store  *fake.Jobs
	bus    *fake.Bus
	shown  map[jobs.Key][]jobs.Status
	mutes  bool // workflows are muted at times

	tally               // its lock is that of the fields below, too
	turns []*invocation // who did something in this round, in the order of their first operation
	last  *invocation
	mixed bool // someone's operation came between two of another
	steps []string
}

func newOverlap(seed uint64) *overlap {
	c := &overlap{r: rand.New(rand.NewPCG(seed, 11)), source: &fake.Source{}, store: &fake.Jobs{}, bus: &fake.Bus{},
		shown: make(map[jobs.Key][]jobs.Status)}
	c.rate = []float64{0, 0.01, 0.05}[c.r.IntN(3)]
	c.source.Clock = func() time.Time { return time.Now().UTC() }
	if c.r.IntN(3) == 0 {
		c.source.Order = inNoOrder
	}
	c.mutes = c.r.IntN(3) == 0
	return c
}

// inNoOrder is an order that says nothing, but the same for every page: a list
// that changes its order between two pages hides rows from everybody.
func inNoOrder(rows []jobs.Job) []jobs.Job {
	ranks := make(map[string]uint64, len(rows))
	for _, row := range rows {
		ranks[row.Job] = hash(row.Job)
	}
	slices.SortFunc(rows, func(a, b jobs.Job) int { return cmp.Compare(ranks[a.Job], ranks[b.Job]) })
	return rows
}

func (c *overlap) play() error {
	c.settle()
	if report := c.tick(); !report.Complete() { // the promise begins when a workflow was first watched
		return fmt.Errorf("the first tick: %q", report.Problems)
	}
	time.Sleep(time.Second)
	for range 2 + c.r.IntN(4) {
		unit := []time.Duration{time.Second, time.Second, time.Minute}[c.r.IntN(3)] // minutes: no tick for hours
		for range c.r.IntN(6) {
			c.move(c.r)
			time.Sleep(time.Duration(c.r.IntN(60)) * unit)
		}
		c.round()
	}
	byName := func(a, b jobs.Key) int { return cmp.Compare(a.String(), b.String()) }
	for _, key := range slices.SortedFunc(maps.Keys(c.shown), byName) { // all come to an end
		for !c.advance(key, c.r) {
		}
	}
	var report poller.Report
	if c.mutes {
		for range 3 {
			time.Sleep(time.Minute)
			c.tick()
		}
		time.Sleep(longestMute)
	}
	for range 12 { // 3 × 50 runs of the history take eight ticks
		time.Sleep(time.Minute)
		report = c.tick()
	}
	return c.check(report)
}

// settle makes what happened before the first tick: some workflows with a list
// of more than a page, all terminal. None of that may ever be published.
func (c *overlap) settle() {
	for n := range 3 {
		workflow := fmt.Sprintf("wf%d", n)
		c.source.Put(jobs.Job{Key: jobs.Key{Workflow: workflow}})
		for old := range []int{0, 0, 30, 55}[c.r.IntN(4)] {
			start := time.Now().UTC().Add(time.Duration(old-100) * time.Hour)
			c.source.Put(jobs.Job{Key: jobs.Key{Workflow: workflow, Job: fmt.Sprintf("old%02d", old)}, Type: "BATCH",
				Status: jobs.Succeeded, StartTime: start, EndTime: start.Add(time.Minute)})
		}
	}
	time.Sleep(time.Second)
}

// move starts a job or advances one. Few jobs, so that the pollers meet at them.
func (c *overlap) move(r *rand.Rand) {
	if c.mutes && r.IntN(4) == 0 {
		tag(c.source, r)
	}
	n := r.IntN(12)
	c.advance(jobs.Key{Workflow: fmt.Sprintf("wf%d", n%3), Job: fmt.Sprintf("job%02d", n)}, r)
}

// advance moves a job on by a step, or by several that cannot be observed, and
// reports whether it is terminal.
func (c *overlap) advance(key jobs.Key, r *rand.Rand) bool {
	job, known := c.source.Get(key)
	switch {
	case job.Terminal():
		return true
	case !known && r.IntN(8) > 0:
		job = jobs.Job{Key: key, Type: "BATCH", Status: []jobs.Status{jobs.Queued, jobs.Running}[r.IntN(2)]}
	case job.Status == jobs.Queued && r.IntN(4) > 0:
		job.Status = jobs.Running
	default:
		job.Key, job.Status, job.EndTime = key, []jobs.Status{jobs.Succeeded, jobs.Failed}[r.IntN(2)], time.Now().UTC()
	}
	if job.Status != jobs.Queued && job.StartTime.IsZero() {
		job.StartTime = time.Now().UTC()
	}
	c.source.Put(job)
	c.shown[key] = append(c.shown[key], job.Status)
	return job.Terminal()
}

// round lets two to five pollers work at the same time, and the jobs move on.
// Each comes again up to four times: what one froze over, the others go past.
func (c *overlap) round() {
	c.turns, c.last, c.mixed = nil, nil, false
	var wg sync.WaitGroup
	for n := range 2 + c.r.IntN(4) {
		r := rand.New(rand.NewPCG(c.r.Uint64(), uint64(n)))
		wg.Go(func() {
			for range 1 + r.IntN(4) {
				time.Sleep(time.Duration(r.IntN(20_000)) * time.Millisecond)
				c.invoke(newInvocation(c, n, r), r)
			}
		})
	}
	r := rand.New(rand.NewPCG(c.r.Uint64(), 0))
	wg.Go(func() {
		for range r.IntN(12) {
			time.Sleep(time.Duration(r.IntN(40_000)) * time.Millisecond)
			c.move(r)
		}
	})
	wg.Wait()
	c.rounds++
	if c.mixed {
		c.overlapped++
	}
}

// invoke calls the function as the schedule does, or one of those who ask for
// a workflow or a job.
func (c *overlap) invoke(s *invocation, r *rand.Rand) {
	payload := "{}"
	switch n := r.IntN(12); r.IntN(8) {
	case 0:
		payload = fmt.Sprintf(`{"workflowName":"wf%d"}`, n%3)
	case 1:
		payload = fmt.Sprintf(`{"workflowName":"wf%d","jobId":"job%02d"}`, n%3, n)
	}
	ctx := context.Background()
	if r.IntN(2) == 0 {
		deadline, cancel := context.WithTimeout(ctx, 50*time.Second)
		defer cancel()
		ctx = deadline
	}
	p := pollerOn(sourceOf{s}, storeOf{s}, busOf{s})
	p.Fast = r.IntN(2) == 0
	_, _ = p.Handle(ctx, json.RawMessage(payload))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pollers++
	if s.dead {
		c.died++
	} else if !s.thaw.IsZero() {
		c.froze++
	}
}

func (c *overlap) tick() poller.Report {
	report, _ := pollerOn(c.source, c.store, c.bus).Sweep(context.Background())
	return report
}

func pollerOn(source poller.Source, store poller.Store, bus poller.Publisher) *poller.Poller {
	watched, _ := poller.NewFilter("*", "")
	return &poller.Poller{Source: source, Store: store, Publisher: bus, Watched: watched, Log: quiet}
}

func (c *overlap) check(last poller.Report) error {
	taken := c.bus.Taken()
	if err := errors.Join(lost(taken, c.shown), neitherSentNorListed(taken, c.shown, c.store)); err != nil {
		return err
	}
	type transition struct {
		workflow, job, detailType string
		status                    jobs.Status
	}
	ids := make(map[transition]string)
	for _, entry := range taken {
		d := detailOf(entry)
		published := transition{d.WorkflowName, d.JobID, entry.DetailType, d.Status}
		if d.Mute != nil {
			published.job = d.Subject().Job
			c.ends++
		}
		if id, again := ids[published]; again && id != entry.ID {
			return fmt.Errorf("I2: %v was published under %s and %s", published, id, entry.ID)
		}
		ids[published] = entry.ID
	}
	c.events, c.repeats = len(taken), len(taken)-len(ids)
	if !last.Complete() || last.Unpublished > 0 || last.Transitions > 0 {
		return fmt.Errorf("I5: after the last tick there is something left: %+v", last)
	}
	return nil
}

// trail is what happened, when a single history is played.
func (c *overlap) trail() string {
	if len(c.steps) == 0 {
		return ""
	}
	return strings.Join(c.steps, "\n") + "\n"
}

// note counts an operation that is about to take effect.
func (c *overlap) note(s *invocation, op string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *seed != 0 {
		c.steps = append(c.steps, fmt.Sprintf("%s  poller %d.%04x  %s", time.Now().Format("15:04:05.000"), s.n, s.seed>>48, op))
	}
	if c.last == s {
		return
	}
	if slices.Contains(c.turns, s) {
		c.mixed = true
	} else {
		c.turns = append(c.turns, s)
	}
	c.last = s
}

// refuse counts a write that came too late.
func (c *overlap) refuse(op string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if strings.HasPrefix(op, "Save ") {
		c.refused++
	} else {
		c.refusedToo++
	}
}
