package notify_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/sqs"
)

// Sending ends early enough before the deadline to record what was sent, and a
// claim lasts until the deadline: an invocation that was killed sends nothing.
func TestNothingIsSentThatCannotBeRecordedBeforeTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0, "a")
		w.destinations[0].Fault = func(op string, _ notify.Delivery) error {
			if op == "Send" {
				time.Sleep(5 * time.Second) // the most that a call takes
			}
			return nil
		}
		for i := range 10 {
			w.queue.Put(body(fmt.Sprint(i), jobs.Failed, 0))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		var claimed []time.Time
		w.Deliveries = claims{w.deliveries, func(until time.Time) { claimed = append(claimed, until) }}
		begin := time.Now()
		batch := w.queue.Receive(10)
		response, err := sqs.Handler(w)(ctx, batch)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 27*time.Second || response.Sent < 4 {
			t.Errorf("%d sent in %v", response.Sent, took)
		}
		for _, until := range claimed {
			if !until.Equal(begin.Add(30 * time.Second)) {
				t.Errorf("claimed until %v after the start", until.Sub(begin))
			}
		}
		w.queue.Delete(batch, response.BatchItemFailures)
		w.destinations[0].Fault = nil
		w.drain(t)
		if n := len(w.destinations[0].Sent()); n != 10 {
			t.Errorf("%d sent in the end", n)
		}
	})
}

// A call that hangs takes neither the batch's outcome with it nor what else was
// sent.
func TestHangingCallLeavesTheBatchItsResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0, "a")
		w.queue.Put(body("1", jobs.Failed, 0))
		w.queue.Put(body("2", jobs.Failed, 1))
		w.Deliveries = hanging{w.deliveries, "arn:aws:entityresolution:eu-west-1:123456789012:idmappingworkflow/crm/2"}
		begin := time.Now()
		if response := w.deliver(t); response.Sent != 1 || len(response.BatchItemFailures) != 1 || time.Since(begin) >= time.Minute {
			t.Errorf("%+v after %v", response, time.Since(begin))
		}
		w.Deliveries = w.deliveries
		w.drain(t)
		expect(t, received(w.destinations[0]), "1 FAILED", "2 FAILED", "2 FAILED") // sent and not recorded
	})
}

// hanging is a deliveries table that never answers a record of one job.
type hanging struct {
	*fake.Deliveries
	job string
}

func (h hanging) Record(ctx context.Context, k notify.Key, claimant string, o notify.Outcome) error {
	if k.Job == h.job {
		<-ctx.Done()
		return ctx.Err()
	}
	return h.Deliveries.Record(ctx, k, claimant, o)
}

// claims observes until when each claim lasts.
type claims struct {
	*fake.Deliveries
	note func(until time.Time)
}

func (c claims) Claim(ctx context.Context, k notify.Key, transition, claimant string, attempt notify.Progress, until time.Time) (notify.State, error) {
	c.note(until)
	return c.Deliveries.Claim(ctx, k, transition, claimant, attempt, until)
}

// hangingQueue is an SQS that does not respond.
type hangingQueue struct {
	*fake.Queue
	calls int
}

func (q *hangingQueue) ChangeVisibility(ctx context.Context, _, _ string, _ time.Duration) error {
	q.calls++
	select {
	case <-ctx.Done():
	case <-time.After(15 * time.Second): // three attempts of five seconds
	}
	return fmt.Errorf("no response")
}

// Lambda must have the response a second before the deadline, even when SQS
// hangs for every message that has to wait.
func TestHangingQueueLeavesTheBatchItsResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0, "a")
		queue := &hangingQueue{Queue: w.queue}
		w.Queue = queue
		w.destinations[0].Fault = failing(notify.Unavailable)
		for i := range 6 {
			w.queue.Put(body(fmt.Sprint(i), jobs.Failed, 0))
		}
		begin := time.Now()
		response := w.deliver(t)
		if took := time.Since(begin); took != 59*time.Second {
			t.Errorf("the response takes %v", took)
		}
		if len(response.BatchItemFailures) != 6 || response.Retried != 6 {
			t.Errorf("%+v", response)
		}
		if queue.calls != 4 { // 3 × 15 s, and one that is canceled after 14 s
			t.Errorf("%d calls, the last ones without time", queue.calls)
		}
	})
}

func TestNothingIsSentInTheLastEightSeconds(t *testing.T) {
	for _, c := range []struct {
		left time.Duration
		sent bool
	}{{8*time.Second + 1, true}, {8 * time.Second, true}, {8*time.Second - 1, false}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(0, "a")
			w.queue.Put(body("1", jobs.Failed, 0))
			ctx, cancel := context.WithTimeout(t.Context(), c.left)
			defer cancel()
			response, err := sqs.Handler(w)(ctx, w.queue.Receive(1))
			if sent := response.Sent == 1; err != nil || sent != c.sent || len(w.destinations[0].Sent()) != response.Sent || response.Retried != 1-response.Sent {
				t.Errorf("%v before the deadline: %+v, %v", c.left, response, err)
			}
			if next, _ := w.queue.Next(); !c.sent && (time.Until(next) < time.Second || time.Until(next) > 2*time.Second) {
				t.Errorf("it comes back in %v, want a second", time.Until(next))
			}
		})
	}
}

func TestBatchWithoutADeadlineHasAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0, "a")
		w.queue.Put(body("1", jobs.Failed, 0))
		var until time.Time
		w.Deliveries = claims{w.deliveries, func(u time.Time) { until = u }}
		w.destinations[0].Fault = func(op string, _ notify.Delivery) error { return nil }
		if response, err := sqs.Handler(w)(context.Background(), w.queue.Receive(1)); err != nil || response.Sent != 1 || time.Until(until) != time.Minute {
			t.Errorf("%+v, claimed for %v, %v", response, time.Until(until), err)
		}
	})
}

func TestEmptyBatchHasAnEmptyResponse(t *testing.T) {
	w := newWorld(0, "a")
	called := false
	w.Metrics = func(map[string]float64) { called = true }
	result, err := w.Handle(t.Context(), "arn:aws:sqs:eu-west-1:123456789012:unknown", nil)
	if err != nil || len(result.Failed) != 0 || result.Report != (notify.Report{}) || called {
		t.Errorf("%+v, %v, metrics %v", result, err, called)
	}
}

func TestMetricsAreWrittenOncePerBatch(t *testing.T) {
	w := newWorld(0, "a")
	var got []map[string]float64
	w.Metrics = func(values map[string]float64) { got = append(got, values) }
	w.queue.Put(body("1", jobs.Failed, 0))
	w.queue.Put(body("2", jobs.Failed, 0))
	w.deliver(t)
	if len(got) != 1 || got[0][notify.Delivered] != 2 {
		t.Errorf("metrics %v", got)
	}
}

// The deliveries table keeps when a transition was sent, after how many receives,
// and how long after it was observed.
func TestOutcomeHoldsTimeAttemptsAndDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0, "a")
		k := notify.Key{Job: fake.ARN("crm") + "/1", Destination: "a"}
		w.destinations[0].Fault = failing(notify.Unavailable)
		observed := time.Now().Add(-90 * time.Second)
		w.queue.Put(bodyAt("1", jobs.Failed, observed))
		w.deliver(t)
		next, _ := w.queue.Next()
		time.Sleep(time.Until(next))
		w.destinations[0].Fault = nil
		w.deliver(t)
		id := w.deliveries.State(k).Delivered[0]
		o := w.deliveries.Outcome(k, id)
		if !o.SentAt.Equal(time.Now()) || o.Attempts != 2 || o.Delay != time.Since(observed) || o.Ref != (notify.MessageRef{Channel: "C1", TS: "1"}) || o.Progress.Status != jobs.Failed {
			t.Errorf("sent: %+v", o)
		}
		w.queue.Put(bodyAt("1", jobs.Running, time.Now().Add(time.Minute))) // the poller's clock is ahead
		w.deliver(t)
		for _, superseded := range w.deliveries.State(k).Delivered {
			if o := w.deliveries.Outcome(k, superseded); superseded != id && (!o.SentAt.IsZero() || o.Attempts != 1 || o.Delay != 0 || o.Ref != (notify.MessageRef{}) || o.Progress.Status != jobs.Failed) {
				t.Errorf("superseded: %+v", o)
			}
		}
		if n := len(w.deliveries.State(k).Delivered); n != 2 {
			t.Errorf("%d transitions are recorded", n)
		}
	})
}

// A claim that another invocation holds makes the message wait until it expires.
func TestMessageWaitsASecondLongerThanTheOthersClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0, "a")
		k := notify.Key{Job: fake.ARN("crm") + "/1", Destination: "a"}
		attempt := notify.Progress{Status: jobs.Queued}
		if _, err := w.deliveries.Claim(t.Context(), k, "other", "other", attempt, time.Now().Add(20*time.Second)); err != nil {
			t.Fatal(err)
		}
		w.queue.Put(body("1", jobs.Failed, 0))
		w.deliver(t)
		if next, _ := w.queue.Next(); time.Until(next) < 21*time.Second || time.Until(next) > 22*time.Second {
			t.Errorf("it comes back in %v", time.Until(next))
		}
	})
}
