package reliability

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
)

var years = flag.Int("years", 12, "how many random years to play")

// TestRandomYearsLoseNothing plays a year at a time: runs are archived for 7 to
// 400 days and then expire; the poller pauses for days; lists come in any order;
// workflows are created, deleted and excluded for a while; jobs are tracked in
// workflows that the filter never includes; a fault of ours panics in one
// workflow. Every terminal status of a watched workflow must be published once,
// nothing twice, and what an idle tick reads must stay small.
func TestRandomYearsLoseNothing(t *testing.T) {
	t.Parallel()
	if *seed != 0 {
		if err := newYear(*seed).play(); err != nil {
			t.Fatal(err)
		}
		return
	}
	base := rand.Uint64()>>1 + 1
	events, missing := 0, 0
	for i := range played(*years) {
		y := newYear(base + uint64(i))
		if err := y.play(); err != nil {
			t.Fatalf("%v\nplay it again: go test ./test/reliability -run RandomYears -seed %d", err, base+uint64(i))
		}
		events += len(y.bus.Taken())
		missing += y.missing
	}
	if missing == 0 && !testing.Short() {
		t.Error("no nightly run was ever missing: this proves nothing about them")
	}
	t.Logf("%d years from seed %d: %d events, %d of missing runs, none lost, none repeated", played(*years), base, events, missing)
}

// year is one random year of a poller.
type year struct {
	r      *rand.Rand
	now    time.Time
	source *fake.Source
	store  *fake.Jobs
	bus    *fake.Bus
	p      *poller.Poller

	paused    time.Time // no tick until then
	panics    string    // a call that panics
	workflows []string  // that exist
	excluded  string    // a workflow that the filter excludes for a while
	next      int
	shown     map[jobs.Key][]jobs.Status // what has to be published
	open      map[jobs.Key]bool
	most      int       // stubs that stayed longer than they have to, at most
	night     time.Time // of the next nightly run
	missing   int       // runs that were reported
}

func newYear(seed uint64) *year {
	y := &year{r: rand.New(rand.NewPCG(seed, 5)), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), source: &fake.Source{}, bus: &fake.Bus{},
		shown: make(map[jobs.Key][]jobs.Status), open: make(map[jobs.Key]bool)}
	clock := func() time.Time { return y.now }
	y.store = &fake.Jobs{Retention: time.Duration(7+y.r.IntN(394)) * 24 * time.Hour, Now: clock}
	y.source.Clock = clock
	if order := []func([]jobs.Job) []jobs.Job{nil, inNoOrder, func(rows []jobs.Job) []jobs.Job { slices.Reverse(rows); return rows }}[y.r.IntN(3)]; order != nil {
		y.source.Order = order
	}
	y.source.Fault = func(call string) error {
		if call == y.panics {
			panic("a fault of ours")
		}
		return nil
	}
	y.p = &poller.Poller{Source: y.source, Store: y.store, Publisher: y.bus, Log: quiet, Now: clock}
	return y
}

func (y *year) play() error {
	for range 3 {
		y.create()
	}
	y.source.Put(jobs.Job{Key: jobs.Key{Workflow: "never"}}) // the filter never includes it
	for i := range y.r.IntN(80) {                            // what finished before the installation
		y.source.Put(jobs.Job{Key: jobs.Key{Workflow: "wf0", Job: fmt.Sprintf("old-%02d", i)}, Type: "BATCH", Status: jobs.Succeeded,
			StartTime: y.now.Add(time.Duration(i-100) * time.Hour), EndTime: y.now.Add(time.Duration(i-99) * time.Hour)})
	}
	for n := range 40 {
		start := y.now.Add(2*time.Hour).AddDate(0, 0, n-40)
		y.source.Put(jobs.Job{Key: jobs.Key{Workflow: "wf-nightly", Job: start.Format("night-2006-01-02")}, Type: "BATCH", Status: jobs.Succeeded, StartTime: start, EndTime: start.Add(30 * time.Minute)})
	}
	y.night = y.now.Add(2 * time.Hour)
	if err := y.tick(); err != nil {
		return err
	}
	end := y.now.AddDate(1, 0, 0)
	for y.now.Before(end) {
		y.now = y.now.Add(time.Duration(1+y.r.IntN(12*60)) * time.Minute)
		if err := y.step(); err != nil {
			return err
		}
	}
	return y.finish()
}

// nightly lets a workflow run every night, with a few exceptions.
func (y *year) nightly() {
	for ; !y.night.Add(30 * time.Minute).After(y.now); y.night = y.night.AddDate(0, 0, 1) {
		if y.r.IntN(20) == 0 {
			continue
		}
		key := func(night time.Time) jobs.Key {
			return jobs.Key{Workflow: "wf-nightly", Job: night.Format("night-2006-01-02")}
		}
		y.put(jobs.Job{Key: key(y.night), Type: "BATCH", Status: jobs.Succeeded, StartTime: y.night, EndTime: y.night.Add(30 * time.Minute)})
		y.source.Remove(key(y.night.AddDate(0, 0, -60))) // a short list is enough
	}
}

func (y *year) step() error {
	switch n := y.r.IntN(100); {
	case n < 30:
		y.start()
	case n < 60:
		y.advance(true)
	case n < 62:
		y.create()
	case n < 64:
		return y.remove()
	case n < 66:
		return y.exclude()
	case n < 68:
		y.panics = []string{"", "Page wf0", "Page wf1", "Job wf2/1"}[y.r.IntN(4)]
	case n < 70:
		return y.track()
	case n < 72:
		y.paused = y.now.Add(time.Duration(y.r.IntN(40*24)) * time.Hour)
	}
	if y.now.Before(y.paused) {
		return nil
	}
	return y.tick()
}

func (y *year) create() {
	name := fmt.Sprintf("wf%d", y.next)
	y.next++
	y.workflows = append(y.workflows, name)
	y.source.Put(jobs.Job{Key: jobs.Key{Workflow: name}})
	y.now = y.now.Add(time.Second)
}

func (y *year) start() {
	workflow := y.workflows[y.r.IntN(len(y.workflows))]
	if workflow == y.excluded {
		return
	}
	y.next++
	j := jobs.Job{Key: jobs.Key{Workflow: workflow, Job: fmt.Sprint(y.next)}, Type: "BATCH", Status: jobs.Queued}
	if y.r.IntN(2) == 0 {
		j.Status, j.StartTime = jobs.Running, y.now
	}
	y.put(j)
	y.open[j.Key] = true
}

func (y *year) put(j jobs.Job) {
	y.source.Put(j)
	y.shown[j.Key] = append(y.shown[j.Key], j.Status)
}

// advance moves one open job on, to its end in half of the cases.
func (y *year) advance(one bool) {
	for _, key := range y.openJobs() {
		j, _ := y.source.Get(key)
		if j.Status == jobs.Queued && one && y.r.IntN(2) == 0 {
			j.Status, j.StartTime = jobs.Running, y.now
		} else {
			if j.StartTime.IsZero() {
				j.StartTime = y.now
			}
			j.Status, j.EndTime = []jobs.Status{jobs.Succeeded, jobs.Failed}[y.r.IntN(2)], y.now
			delete(y.open, key)
		}
		y.put(j)
		if one {
			return
		}
	}
}

func (y *year) openJobs() []jobs.Key {
	var all []jobs.Key
	for key := range y.open {
		all = append(all, key)
	}
	slices.SortFunc(all, func(a, b jobs.Key) int {
		if a.String() < b.String() {
			return -1
		}
		return 1
	})
	return all
}

// settle ends every open job and lets the poller see it.
func (y *year) settle() error {
	y.paused, y.panics = time.Time{}, ""
	if err := y.tick(); err != nil {
		return err
	}
	y.now = y.now.Add(time.Minute)
	y.advance(false)
	return y.tick()
}

// remove deletes a workflow, after everything it showed was observed.
func (y *year) remove() error {
	if len(y.workflows) < 4 {
		return nil
	}
	if err := y.settle(); err != nil {
		return err
	}
	at := y.r.IntN(len(y.workflows))
	y.source.Remove(jobs.Key{Workflow: y.workflows[at]})
	y.workflows = slices.Delete(y.workflows, at, at+1)
	return y.tick()
}

// exclude takes a workflow out of the filter, or puts it back. What happens there
// meanwhile is not promised.
func (y *year) exclude() error {
	if err := y.settle(); err != nil {
		return err
	}
	if y.excluded != "" {
		y.excluded = ""
		return y.tick()
	}
	y.excluded = y.workflows[y.r.IntN(len(y.workflows))]
	if err := y.tick(); err != nil {
		return err
	}
	y.next++
	y.now = y.now.Add(time.Hour)
	y.source.Put(jobs.Job{Key: jobs.Key{Workflow: y.excluded, Job: fmt.Sprintf("unseen-%d", y.next)}, Status: jobs.Failed, StartTime: y.now, EndTime: y.now})
	y.now = y.now.Add(time.Hour)
	return y.tick()
}

// track requests a job in the workflow that is never watched, running or
// finished.
func (y *year) track() error {
	y.next++
	key := jobs.Key{Workflow: "never", Job: fmt.Sprint(y.next)}
	y.put(jobs.Job{Key: key, Type: "BATCH", Status: jobs.Running, StartTime: y.now})
	y.open[key] = true
	if y.r.IntN(2) == 0 {
		y.shown[key] = nil // its start is never observed
		y.put(jobs.Job{Key: key, Type: "BATCH", Status: jobs.Failed, StartTime: y.now, EndTime: y.now})
		delete(y.open, key)
	}
	y.filter()
	_, err := y.p.Handle(context.Background(), json.RawMessage(fmt.Sprintf(`{"workflowName":"never","jobId":%q}`, key.Job)))
	return err
}

func (y *year) filter() {
	y.p.Watched, _ = poller.NewFilter("wf*", y.excluded)
}

func (y *year) tick() error {
	y.filter()
	y.nightly()
	y.store.Expire(y.now)
	if _, err := y.p.Sweep(context.Background()); err != nil {
		return err
	}
	live, err := y.store.Live(context.Background())
	if err != nil {
		return err
	}
	stubs := 0
	for _, r := range live.Records { // one stays for a while after its observation
		if r.Archived && y.now.Sub(r.ObservedAt) >= 15*time.Minute {
			stubs++
		}
	}
	y.most = max(y.most, stubs)
	return nil
}

func (y *year) finish() error {
	if err := y.settle(); err != nil {
		return err
	}
	for range 20 {
		y.now = y.now.Add(time.Minute)
		if err := y.tick(); err != nil {
			return err
		}
	}
	taken := y.bus.Taken()
	if err := lost(taken, y.shown); err != nil {
		return err
	}
	var err error
	if y.missing, err = alternate(taken); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for _, entry := range taken {
		if seen[entry.ID] {
			return fmt.Errorf("I2: %v was published twice", detailOf(entry))
		}
		seen[entry.ID] = true
	}
	writes := y.store.Writes()
	if err := y.tick(); err != nil {
		return err
	}
	if n := y.store.Writes() - writes; n != 0 {
		return fmt.Errorf("%d writes of an idle tick", n)
	}
	if y.most > 60 {
		return fmt.Errorf("an idle tick read up to %d stubs of jobs observed long ago", y.most)
	}
	oldest := y.now.Add(-y.store.Retention)
	for _, workflow := range y.workflows {
		for _, r := range y.store.Runs(workflow) {
			if r.FinishedAt().Before(oldest) {
				return fmt.Errorf("%s is archived beyond the retention", r.Job.Key)
			}
		}
	}
	return nil
}
