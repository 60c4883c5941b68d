package reliability

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/poller"
	"github.com/idmapping/notifier/internal/slack"
	"github.com/idmapping/notifier/internal/sqs"
)

var (
	histories = flag.Int("histories", 1000, "how many random histories to play")
	seed      = flag.Uint64("seed", 0, "play only the history with this seed")
)

// TestRandomHistoriesLoseNothing plays the whole product, from Entity
// Resolution to two destinations, over hours of virtual time in which
// everything goes wrong: calls fail before or after they took effect, processes
// die, ticks are missed and overlap, lists come in any order, events come twice
// and late, destinations are down for hours, and some pauses are so long that a
// summary stands for what was missed. Then the faults end, and everything must be
// delivered.
func TestRandomHistoriesLoseNothing(t *testing.T) {
	t.Parallel()
	play := func(t *testing.T, seed uint64) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			if err := newHistory(seed).play(); err != nil {
				t.Fatalf("%v\nplay it again: go test ./test/reliability -run RandomHistories -seed %d", err, seed)
			}
		})
	}
	if *seed != 0 {
		play(t, *seed)
		return
	}
	base := rand.Uint64()>>1 + 1
	workers := runtime.GOMAXPROCS(0)
	for worker := range workers {
		t.Run(fmt.Sprint(worker), func(t *testing.T) {
			t.Parallel()
			for i := worker; i < played(*histories) && !t.Failed(); i += workers {
				play(t, base+uint64(i))
			}
		})
	}
	t.Logf("%d histories from seed %d", played(*histories), base)
}

// history is one random run of the product.
type history struct {
	r       *rand.Rand
	calm    bool // the faults have ended
	source  *fake.Source
	store   *fake.Jobs
	bus     *fake.Bus
	ledger  *fake.Deliveries
	queues  []*fake.Queue
	places  []*fake.Destination
	down    []time.Time // until when each place does not answer
	shown   map[jobs.Key][]jobs.Status
	relayed int // how many events of the bus were put into the queues
	dead    bool
	cutOff  int // deliveries that could not be recorded
	rate    float64
	filters []notify.Filter // of each place
	pauses  int             // how many long pauses are still to come
	ticking bool
	fast    bool // ticks follow likely ends
	mutes   bool // workflows are muted at times
	cut     int  // faults of ticks: what they publish may be published again
}

func newHistory(seed uint64) *history {
	h := &history{r: rand.New(rand.NewPCG(seed, 7)), source: &fake.Source{}, store: &fake.Jobs{}, bus: &fake.Bus{},
		ledger: &fake.Deliveries{}, shown: make(map[jobs.Key][]jobs.Status)}
	h.rate = []float64{0, 0.02, 0.1, 0.3}[h.r.IntN(4)]
	h.fast = h.r.IntN(10) == 0
	h.filters = []notify.Filter{{All: true}, {All: true}}
	if h.r.IntN(2) == 0 {
		h.filters[1] = notify.ParseFilter("FAILED")
	}
	if h.r.IntN(8) == 0 {
		h.pauses = 1 + h.r.IntN(2)
	}
	h.source.Clock = func() time.Time { return time.Now().UTC() }
	h.source.Fault = func(string) error {
		return h.fault(jobs.ErrThrottled, jobs.ErrUnavailable, jobs.ErrDenied, jobs.ErrNotFound)
	}
	h.store.Fault = func(string) error { return h.fault(errFault) }
	h.bus.Fault = func(string, jobs.Entry) error { return h.fault(errFault) }
	h.ledger.Fault = func(op string) error {
		err := h.fault(errFault)
		if err != nil && op == "Record" {
			h.cutOff++
		}
		return err
	}
	if h.r.IntN(3) == 0 {
		h.source.Order = inNoOrder // the same for every page of a list
	}
	for _, name := range []string{"slack", "email"} {
		queue := &fake.Queue{Name: name, MaxReceive: 600, Fault: func(string) error { return h.fault(errFault) }}
		place := &fake.Destination{Name: name}
		if name == "slack" {
			place.Limiter = &notify.Limiter{Limits: h.ledger, Destination: name, MinInterval: slack.MinInterval}
		}
		n := len(h.places)
		h.down = append(h.down, time.Time{})
		place.Fault = func(op string, _ notify.Delivery) error {
			if op == "Send" && time.Now().Before(h.down[n]) {
				return &notify.Failure{Reason: notify.Unavailable, Err: errors.New("down")}
			}
			if h.fault(errFault) == nil {
				return nil
			}
			if op == "Send/done" {
				h.cutOff++ // it arrived, and the answer was lost
			}
			failures := []notify.Failure{{Reason: notify.Unavailable}, {Reason: notify.RateLimited, After: 30 * time.Second}, {Reason: notify.Misconfigured}}
			f := failures[h.r.IntN(len(failures))]
			f.Err = errFault
			return &f
		}
		h.queues, h.places = append(h.queues, queue), append(h.places, place)
	}
	h.mutes = h.r.IntN(3) == 0
	return h
}

// fault decides whether an operation goes wrong: it fails, or the process dies
// there and does nothing more.
func (h *history) fault(kinds ...error) error {
	if h.calm {
		return nil
	}
	if h.dead {
		return errDead
	}
	switch p := h.r.Float64(); {
	case p < h.rate/10:
		h.dead = true
		h.count()
		return errDead
	case p < h.rate:
		h.count()
		return kinds[h.r.IntN(len(kinds))]
	default:
		return nil
	}
}

func (h *history) count() {
	if h.ticking {
		h.cut++
	}
}

func (h *history) play() error {
	key := func(n int) jobs.Key {
		return jobs.Key{Workflow: fmt.Sprintf("wf%d", n%3), Job: fmt.Sprintf("job%02d", n)}
	}
	for n := range 3 {
		h.source.Put(jobs.Job{Key: jobs.Key{Workflow: fmt.Sprintf("wf%d", n)}})
	}
	// The promise begins when a workflow was first watched.
	h.calm = true
	h.tick()
	h.calm = false
	time.Sleep(time.Second)
	steps, started := 20+h.r.IntN(60), 0
	for range steps {
		time.Sleep(time.Duration(h.r.IntN(180)) * time.Second)
		switch h.r.IntN(10) {
		case 0, 1:
			if started < 12 {
				h.advance(key(started))
				started++
			}
		case 2, 3, 4:
			if started > 0 {
				h.advance(key(h.r.IntN(started)))
			}
		case 5:
			n := h.r.IntN(len(h.down))
			h.down[n] = time.Now().Add(time.Duration(h.r.IntN(6*60)) * time.Minute)
		case 6:
			time.Sleep(time.Duration(h.r.IntN(60)) * time.Minute) // no tick
		case 7:
			if h.pauses > 0 {
				h.pause()
			}
		case 8:
			if h.mutes {
				tag(h.source, h.r)
			}
		}
		h.tick()
		h.relay()
		h.deliver()
	}
	for n := range started { // all come to an end
		for range 4 {
			h.advance(key(n))
		}
	}
	h.calm, h.dead = true, false
	for range 5 {
		time.Sleep(time.Minute)
		h.tick()
	}
	if h.mutes {
		time.Sleep(longestMute)
		for range 3 {
			time.Sleep(time.Minute)
			h.tick()
		}
	}
	h.relay()
	if err := h.drain(); err != nil {
		return err
	}
	return h.check()
}

// pause runs many jobs while nothing polls.
func (h *history) pause() {
	for n := range 15 + h.r.IntN(25) {
		key := jobs.Key{Workflow: fmt.Sprintf("wf%d", n%3), Job: fmt.Sprintf("pause%d-%02d", h.pauses, n)}
		job := jobs.Job{Key: key, StartTime: time.Now().UTC()}
		time.Sleep(time.Duration(1+h.r.IntN(15)) * time.Minute)
		job.Status, job.EndTime = []jobs.Status{jobs.Succeeded, jobs.Failed, jobs.Failed}[h.r.IntN(3)], time.Now().UTC()
		h.source.Put(job)
		h.shown[key] = append(h.shown[key], job.Status)
	}
	h.pauses--
}

// advance moves a job on by a step, or by several that cannot be observed.
func (h *history) advance(key jobs.Key) {
	job, known := h.source.Get(key)
	switch {
	case !known:
		job = jobs.Job{Key: key, Status: []jobs.Status{jobs.Queued, jobs.Running}[h.r.IntN(2)]}
	case job.Terminal():
		return
	case job.Status == jobs.Queued && h.r.IntN(4) > 0:
		job.Status = jobs.Running
	default:
		job.Status = []jobs.Status{jobs.Succeeded, jobs.Failed}[h.r.IntN(2)]
		job.EndTime = time.Now().UTC()
	}
	if job.Status != jobs.Queued && job.StartTime.IsZero() {
		job.StartTime = time.Now().UTC()
	}
	h.source.Put(job)
	h.shown[key] = append(h.shown[key], job.Status)
}

func (h *history) tick() {
	h.dead, h.ticking = false, true
	defer func() { h.ticking = false }()
	watched, _ := poller.NewFilter("*", "")
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Second)
	defer cancel()
	// One tick may end while another is at work: the exhaustive test goes
	// through that; here they follow each other.
	_, _ = (&poller.Poller{Source: h.source, Store: h.store, Publisher: h.bus, Watched: watched,
		Fast: h.fast, Log: quiet}).Sweep(ctx)
	h.dead = false
}

// relay is the bus: it brings what was published to the queues, sometimes
// twice, sometimes out of order.
func (h *history) relay() {
	fresh := h.bus.TakenAfter(h.relayed)
	h.relayed += len(fresh)
	h.r.Shuffle(len(fresh), func(i, j int) {
		if h.r.IntN(3) == 0 {
			fresh[i], fresh[j] = fresh[j], fresh[i]
		}
	})
	for _, entry := range fresh {
		for _, queue := range h.queues {
			for range 1 + h.r.IntN(8)/7 {
				queue.Put(envelope(entry))
			}
		}
	}
}

func (h *history) deliver() {
	var channels []notify.Channel
	for n, queue := range h.queues {
		channels = append(channels, notify.Channel{Name: queue.Name, QueueURL: queue.URL(), DeadLetterQueueURL: queue.URL() + "-dead",
			Destinations: []notify.Destination{h.places[n]}, Filter: h.filters[n]})
	}
	for _, queue := range h.queues {
		h.dead = false
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		batch := queue.Receive(10)
		response, err := sqs.Handler(&notify.Notifier{Deliveries: h.ledger, Queue: queue, Log: quiet, Channels: channels})(ctx, batch)
		if err == nil && !h.dead {
			queue.Delete(batch, response.BatchItemFailures)
		}
		cancel()
	}
	h.dead = false
}

func (h *history) drain() error {
	for range 50_000 {
		var earliest time.Time
		for _, queue := range h.queues {
			if next, some := queue.Next(); some && (earliest.IsZero() || next.Before(earliest)) {
				earliest = next
			}
		}
		if earliest.IsZero() && h.queues[0].Len()+h.queues[1].Len() == 0 {
			return nil
		}
		time.Sleep(max(0, time.Until(earliest)))
		h.deliver()
	}
	return errors.New("I5: the queues do not drain")
}

func (h *history) check() error {
	if err := errors.Join(lost(h.bus.Taken(), h.shown), neitherSentNorListed(h.bus.Taken(), h.shown, h.store)); err != nil {
		return err
	}
	repeats, overlaps := 0, 0
	notices := make(map[string]int) // by what fails since when, and who was notified
	for n, place := range h.places {
		received := make(map[jobs.Key]map[jobs.Status]int)
		last := make(map[jobs.Key]int)
		summarized := make(map[jobs.Key]int)
		summaries := make(map[string]int)
		muted := make(map[jobs.Key]int)
		ends := make(map[string]int) // of mutes
		times := place.Sent()
		for i, sent := range times {
			m := sent.Delivery.Message
			if gap := time.Second; n == 0 && i > 0 && sent.At.Sub(times[i-1].At) < gap {
				return fmt.Errorf("I5: two messages to %s within %v", place.Name, sent.At.Sub(times[i-1].At))
			}
			if m.Word == string(jobs.Vanished) {
				continue // "not found" was among the faults, for long enough
			}
			if m.Word == "MUTE ENDED" {
				if ends[m.WorkflowName+m.Thread]++; ends[m.WorkflowName+m.Thread] > 1 {
					repeats++
				}
				continue
			}
			if m.Jobs != nil {
				if summaries[m.JobID]++; summaries[m.JobID] > 1 {
					repeats++
					continue
				}
				for _, j := range h.listed(m.JobID) {
					if h.wants(n, j.Status) {
						summarized[jobs.Key{Workflow: j.WorkflowName, Job: j.JobID}]++
					}
				}
				continue
			}
			if m.WorkflowName == "" {
				notices[m.Thread+" "+m.Trend[0].Plain(nil)+" to "+place.Name]++
				continue // "misconfigured" was
			}
			key := jobs.Key{Workflow: m.WorkflowName, Job: m.JobID}
			if received[key] == nil {
				received[key] = make(map[jobs.Status]int)
			}
			status := m.Status
			if m.Word == string(jobs.Overdue) {
				status = jobs.Overdue
			}
			if received[key][status]++; received[key][status] > 1 {
				repeats++
			} else if status == jobs.Overdue {
				if last[key] == len(h.shown[key])-1 && m.Status != h.shown[key][last[key]] {
					return fmt.Errorf("I3: %s received OVERDUE of %s after its terminal status", place.Name, key)
				}
			} else if at := slices.Index(h.shown[key], m.Status); at < last[key] {
				return fmt.Errorf("I3: %s received %s of %s after a later status: %v", place.Name, m.Status, key, h.shown[key])
			} else {
				last[key] = at
			}
		}
		for _, entry := range h.bus.Taken() {
			if d := detailOf(entry); d.Mute != nil {
				if ends[d.WorkflowName+"mute "+d.Subject().Job] == 0 {
					return fmt.Errorf("I1: %s never received that the mute of %s has ended", place.Name, d.Subject())
				}
				for _, j := range d.Jobs {
					if j.Status.Terminal() {
						muted[jobs.Key{Workflow: j.WorkflowName, Job: j.JobID}]++
					}
				}
			}
		}
		for key, statuses := range h.shown {
			end := statuses[len(statuses)-1]
			overlaps += min(muted[key], received[key][end]+summarized[key])
			overlaps += max(0, summarized[key]-1) + min(summarized[key], received[key][end])
			if !h.wants(n, end) {
				continue
			}
			if summarized[key] > 0 && received[key][end] == 0 && len(received[key]) > 0 && h.cutOff == 0 && !h.updated(place, key, end) {
				return fmt.Errorf("the card of %s at %s never shows the status %s, which a summary announces", key, place.Name, end)
			}
			if received[key][end]+summarized[key]+muted[key] == 0 {
				return fmt.Errorf("I1: %s never received the terminal status %s of %s, only %v", place.Name, end, key, received[key])
			}
		}
		if dead := h.queues[n].Dead(); len(dead) > 0 {
			return fmt.Errorf("I8: %d dead letters for %s: %s", len(dead), place.Name, dead[0].Reason)
		}
	}
	for _, n := range notices {
		repeats += n - 1
	}
	if overlaps > 0 && h.cut == 0 {
		return fmt.Errorf("I2: %d statuses in a summary came in another message too, though no tick was disturbed", overlaps)
	}
	if repeats > h.cutOff {
		return fmt.Errorf("I2: %d repeats, %d deliveries that could not be recorded", repeats, h.cutOff)
	}
	return nil
}

// listed are the jobs in a summary on the bus.
func (h *history) listed(id string) []event.ListedJob {
	for _, entry := range h.bus.Taken() {
		if entry.ID == id {
			return detailOf(entry).Jobs
		}
	}
	return nil
}

// wants reports whether a place's filter includes a terminal status.
func (h *history) wants(place int, status jobs.Status) bool {
	return h.filters[place].Matches(event.Event{DetailType: event.StateChange, Detail: event.Detail{Status: status}})
}

// updated reports whether a card shows a status without a message about it.
func (h *history) updated(place *fake.Destination, key jobs.Key, status jobs.Status) bool {
	return slices.ContainsFunc(place.Updates(), func(s fake.Sent) bool {
		m := s.Delivery.Message
		return m.WorkflowName == key.Workflow && m.JobID == key.Job && m.Status == status
	})
}

// played is how many of the random cases to play: with -short one in ten.
func played(n int) int {
	if testing.Short() {
		return max(1, n/10)
	}
	return n
}
