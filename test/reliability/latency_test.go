package reliability

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
)

// TestEndsAreReportedWithinSeconds measures in virtual time, over the real poller and
// notifier, how long after a job's end Slack is called: 500 ends of each kind at
// random phases of a schedule that ticks once a minute, each call to Entity Resolution
// taking 25 ms. Minutes in which nothing can happen are left out. The tools print its
// figures.
func TestEndsAreReportedWithinSeconds(t *testing.T) {
	t.Parallel()
	const ends = 500
	for _, c := range []struct {
		name   string
		fast   bool
		usual  span
		ends   span // since the start
		status jobs.Status
		most   time.Duration // mean
	}{
		{"runs of 58 to 70 minutes", true, hour, hour, jobs.Succeeded, 8 * time.Second},
		{"runs of 20 to 24 minutes", true, span{20 * time.Minute, 24 * time.Minute}, span{20 * time.Minute, 24 * time.Minute}, jobs.Succeeded, 8 * time.Second},
		{"failures in the first five minutes", true, hour, span{time.Second, 5 * time.Minute}, jobs.Failed, 8 * time.Second},
		{"failures at other times", true, hour, span{6 * time.Minute, 56 * time.Minute}, jobs.Failed, 35 * time.Second},
		{"all ends without FastPoll", false, hour, span{time.Second, 70 * time.Minute}, jobs.Failed, 35 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newStopwatch(c.fast, c.usual)
				for n := range ends {
					m.run(fmt.Sprint("run", n), c.ends.draw(m.r), c.status)
				}
				m.close()
				slices.Sort(m.delays)
				if len(m.delays) != ends {
					t.Fatalf("%d of %d ends were reported once", len(m.delays), ends)
				}
				mean := sum(m.delays) / ends
				if mean > c.most {
					t.Errorf("on average %s after the end, want at most %s", mean, c.most)
				}
				if m.mostFast > 30 {
					t.Errorf("%d ticks followed one run closely, want at most 30", m.mostFast)
				}
				t.Logf("figure: latency %s: mean %.1f s, p95 %.1f s, followed for %.0f s and at most %d ticks per run",
					c.name, mean.Seconds(), m.delays[ends*95/100].Seconds(), m.busy.Seconds()/ends, m.mostFast)
			})
		})
	}
}

// span is from how long after a start until when ends are drawn.
type span struct{ low, high time.Duration }

var hour = span{58 * time.Minute, 70 * time.Minute}

func (s span) draw(r *rand.Rand) time.Duration {
	return s.low + time.Duration(r.Int64N(int64(s.high-s.low)))
}

func sum(all []time.Duration) (total time.Duration) {
	for _, d := range all {
		total += d
	}
	return total
}

// stopwatch is the product among fakes, and when each end reached Slack.
type stopwatch struct {
	r      *rand.Rand
	usual  span
	source *fake.Source
	desk   *desk
	poller *poller.Poller
	origin time.Time     // of the schedule
	relay  chan struct{} // something was published
	done   chan struct{}

	ends     map[string]time.Time
	delays   []time.Duration
	busy     time.Duration // of ticks, beyond what they take without an open job
	mostFast int
}

// timedBus is an event bus that says when it has an event.
type timedBus struct {
	*fake.Bus
	published chan<- struct{}
}

func (b timedBus) Publish(ctx context.Context, entries []jobs.Entry) []error {
	errs := b.Bus.Publish(ctx, entries)
	b.published <- struct{}{}
	return errs
}

func newStopwatch(fast bool, usual span) *stopwatch {
	m := &stopwatch{r: rand.New(rand.NewPCG(1, 2)), usual: usual, source: &fake.Source{}, desk: newDesk(), origin: time.Now(),
		relay: make(chan struct{}, 100), done: make(chan struct{}), ends: make(map[string]time.Time)}
	m.source.Clock = func() time.Time { return time.Now().UTC() }
	m.source.Fault = func(string) error { time.Sleep(25 * time.Millisecond); return nil }
	bus := &fake.Bus{}
	watched, _ := poller.NewFilter("*", "")
	m.poller = &poller.Poller{Source: m.source, Store: &fake.Jobs{}, Publisher: timedBus{bus, m.relay}, Watched: watched, Fast: fast, Log: quiet}
	go func() {
		defer close(m.done)
		relayed := 0
		for range m.relay {
			for _, entry := range bus.TakenAfter(relayed) {
				m.desk.queue.Put(envelope(entry))
				relayed++
			}
			for m.desk.queue.Len() > 0 {
				m.desk.deliver(&process{}, 10)
			}
		}
	}()
	for n := range 50 {
		start := time.Now().UTC().Add(-time.Duration(n+2) * 24 * time.Hour)
		m.source.Put(jobs.Job{Key: jobs.Key{Workflow: "crm", Job: fmt.Sprint("old", n)}, Type: "BATCH", Status: jobs.Succeeded,
			StartTime: start, EndTime: start.Add(usual.low + time.Duration(n)*(usual.high-usual.low)/49)})
	}
	for range 4 { // the list and the history
		m.tick()
	}
	return m
}

// tick waits for the schedule and sweeps.
func (m *stopwatch) tick() {
	time.Sleep(time.Minute - time.Since(m.origin)%time.Minute)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Second)
	defer cancel()
	if report, err := m.poller.Sweep(ctx); err != nil || !report.Complete() {
		panic(fmt.Sprint(err, report))
	}
}

// run lets a job start at a random phase and end after a while, and notes how long
// after that Slack was called.
func (m *stopwatch) run(id string, took time.Duration, status jobs.Status) {
	time.Sleep(time.Duration(m.r.Int64N(int64(time.Minute))))
	key := jobs.Key{Workflow: "crm", Job: id}
	start := time.Now().UTC()
	m.source.Put(jobs.Job{Key: key, Type: "BATCH", Status: jobs.Running, StartTime: start})
	go func() {
		time.Sleep(took)
		m.source.Put(jobs.Job{Key: key, Type: "BATCH", Status: status, StartTime: start, EndTime: time.Now().UTC()})
	}()
	end := start.Add(took)
	fast := 0
	for {
		// From the seventh minute until shortly before the window or the end nothing
		// happens: the ticks there are left out.
		if since := time.Since(start); since > 7*time.Minute {
			if until := min(took, m.usual.low-2*time.Minute) - 2*time.Minute; since < until {
				time.Sleep((until - since).Truncate(time.Minute))
			}
		}
		before := time.Now()
		m.tick()
		if worked := time.Since(m.lastTick(before)); worked > time.Second {
			fast++
			m.busy += worked
		}
		if time.Now().After(end.Add(2 * time.Minute)) {
			break
		}
	}
	m.mostFast = max(m.mostFast, fast)
	for _, sent := range m.desk.destination.Sent() {
		if msg := sent.Delivery.Message; msg.JobID == id && msg.Status == status {
			m.delays = append(m.delays, sent.At.Sub(end))
		}
	}
}

// lastTick is when the tick after the given time began.
func (m *stopwatch) lastTick(t time.Time) time.Time {
	return t.Add(time.Minute - t.Sub(m.origin)%time.Minute)
}

func (m *stopwatch) close() {
	close(m.relay)
	<-m.done
}
