package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/sqs"
)

// maxReceive is the queues' maxReceiveCount in template.yaml.
const maxReceive = 600

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// body is an event as the queue holds it: the job's status, observed some minutes
// after noon.
func body(job string, status jobs.Status, minute int) string {
	return bodyAt(job, status, noon.Add(time.Duration(minute)*time.Minute))
}

func bodyAt(job string, status jobs.Status, at time.Time) string {
	j := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: job}, Status: status, StartTime: noon}
	if status.Terminal() {
		j.EndTime = at
	}
	entry, err := event.Encode(fake.ARN("crm"), jobs.Transition{Job: j}, at)
	if err != nil {
		panic(err)
	}
	return wrap(entry)
}

// wrap is an entry as EventBridge delivers it.
func wrap(entry jobs.Entry) string {
	b, _ := json.Marshal(map[string]any{"id": "1", "source": event.SourceOf(entry.DetailType), "detail-type": entry.DetailType,
		"account": "123456789012", "region": "eu-west-1", "time": entry.Time, "detail": json.RawMessage(entry.Detail)})
	return string(b)
}

// world is a notifier with one channel among in-memory doubles.
type world struct {
	*notify.Notifier
	queue        *fake.Queue
	deliveries   *fake.Deliveries
	destinations []*fake.Destination
}

// newWorld has a destination per name. With an interval each has a rate limiter.
func newWorld(interval time.Duration, names ...string) *world {
	w := &world{queue: &fake.Queue{Name: "slack"}, deliveries: &fake.Deliveries{}}
	channel := notify.Channel{Name: "slack", QueueURL: w.queue.URL(), DeadLetterQueueURL: w.queue.URL() + "-dead", Filter: notify.Filter{All: true}}
	for _, name := range names {
		d := &fake.Destination{Name: name}
		if interval > 0 {
			d.Limiter = notify.Limiter{Limits: w.deliveries, Destination: name, MinInterval: interval}
		}
		w.destinations = append(w.destinations, d)
		channel.Destinations = append(channel.Destinations, d)
	}
	w.Notifier = &notify.Notifier{Channels: []notify.Channel{channel}, Deliveries: w.deliveries, Queue: w.queue,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	return w
}

// deliver passes a batch of visible messages through the notifier, as Lambda
// does in a minute, and deletes those that did not fail.
func (w *world) deliver(t *testing.T) sqs.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	batch := w.queue.Receive(10)
	response, err := sqs.Handler(w)(ctx, batch)
	if err != nil {
		t.Fatal(err)
	}
	w.queue.Delete(batch, response.BatchItemFailures)
	return response
}

// drain delivers until the queue is empty. It sleeps while all messages are
// hidden.
func (w *world) drain(t *testing.T) {
	t.Helper()
	for range 50_000 {
		next, some := w.queue.Next()
		if !some {
			return
		}
		time.Sleep(max(0, time.Until(next)))
		w.deliver(t)
	}
	t.Fatal("the queue does not drain")
}

// received lists job and status of the messages that a destination shows.
func received(d *fake.Destination) []string {
	var all []string
	for _, sent := range d.Sent() {
		all = append(all, sent.Delivery.Message.JobID+" "+string(sent.Delivery.Message.Status))
	}
	return all
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("received %q\nwant %q", got, want)
	}
}

func TestJobIsDeliveredStepByStepAndEachStepOnce(t *testing.T) {
	w := newWorld(0, "a", "b")
	for range 3 { // at least once is how queues deliver
		w.queue.Put(body("1", jobs.Queued, 0))
	}
	w.queue.Put(body("1", jobs.Running, 1))
	w.deliver(t)
	w.queue.Put(body("1", jobs.Running, 1))
	w.queue.Put(body("1", jobs.Failed, 2))
	w.deliver(t)
	for _, d := range w.destinations {
		expect(t, received(d), "1 QUEUED", "1 RUNNING", "1 FAILED")
		for i, sent := range d.Sent() {
			if known := sent.Delivery.Card != (notify.MessageRef{}); known != (i > 0) || !sent.Delivery.Edit {
				t.Errorf("message %d: card %v, edit %v", i, sent.Delivery.Card, sent.Delivery.Edit)
			}
		}
	}
}

func TestBatchIsDeliveredInOrderOfObservation(t *testing.T) {
	w := newWorld(0, "a")
	w.queue.Put(body("1", jobs.Succeeded, 3))
	w.queue.Put(body("2", jobs.Running, 1))
	w.queue.Put(body("1", jobs.Running, 1))
	w.queue.Put(body("1", jobs.Queued, 0))
	w.deliver(t)
	expect(t, received(w.destinations[0]), "1 QUEUED", "2 RUNNING", "1 RUNNING", "1 SUCCEEDED")
	w.queue.Put(body("3", "PAUSED", 2)) // of one stage with RUNNING
	w.queue.Put(body("3", jobs.Running, 1))
	w.queue.Put(body("4", jobs.Failed, 5))
	w.queue.Put(body("4", jobs.Running, 5)) // seen in the same moment
	w.deliver(t)
	expect(t, received(w.destinations[0])[4:], "3 RUNNING", "3 PAUSED", "4 RUNNING", "4 FAILED")
}

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

// hanging never records one job.
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

// claims notes until when is claimed.
type claims struct {
	*fake.Deliveries
	note func(until time.Time)
}

func (c claims) Claim(ctx context.Context, k notify.Key, transition, claimant string, attempt notify.Progress, until time.Time) (notify.State, error) {
	c.note(until)
	return c.Deliveries.Claim(ctx, k, transition, claimant, attempt, until)
}

func TestLateEventNeverRegressesStatus(t *testing.T) {
	w := newWorld(0, "a")
	for _, b := range []string{body("1", jobs.Succeeded, 3), body("1", jobs.Running, 1), body("1", jobs.Queued, 0), body("1", "PAUSED", 2)} {
		w.queue.Put(b)
		w.deliver(t)
	}
	expect(t, received(w.destinations[0]), "1 SUCCEEDED")
	w.queue.Put(body("1", jobs.Failed, 2)) // a terminal status is always delivered, but the card keeps the newer one
	w.deliver(t)
	expect(t, received(w.destinations[0]), "1 SUCCEEDED", "1 FAILED")
	if w.destinations[0].Sent()[1].Delivery.Edit {
		t.Error("the older terminal status edits the card")
	}
	if w.queue.Len() != 0 {
		t.Errorf("%d messages left", w.queue.Len())
	}
}

func TestOnlyTheDestinationThatMissedAnEventReceivesItAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0, "a", "b", "c")
		outage := time.Now().Add(6 * time.Hour)
		w.destinations[1].Fault = func(op string, _ notify.Delivery) error {
			if op == "Send" && time.Now().Before(outage) {
				return &notify.Failure{Reason: notify.Unavailable, Err: errors.New("503")}
			}
			return nil
		}
		w.queue.Put(body("1", jobs.Failed, 0))
		start := time.Now()
		w.drain(t)
		for _, d := range w.destinations {
			expect(t, received(d), "1 FAILED")
		}
		if late := w.destinations[0].Sent()[0].At.Sub(start); late > time.Second {
			t.Errorf("the first is %v late", late)
		}
		if late := w.destinations[1].Sent()[0].At.Sub(outage); late > time.Hour {
			t.Errorf("the second is sent %v after its recovery", late)
		}
	})
}

func TestFailingDestinationIsSuspendedForTheRestOfTheBatch(t *testing.T) {
	for reason, tries := range map[notify.Reason]int{notify.Unavailable: 2, notify.RateLimited: 1, notify.Misconfigured: 1, notify.Refused: 10} {
		w := newWorld(0, "a")
		tried := 0
		w.destinations[0].Fault = func(string, notify.Delivery) error {
			tried++
			return &notify.Failure{Reason: reason, Err: errors.New("no")}
		}
		for i := range 10 {
			w.queue.Put(body(fmt.Sprint(i), jobs.Failed, 0))
		}
		response := w.deliver(t)
		if tried != tries {
			t.Errorf("%s: %d tries, want %d", reason, tried, tries)
		}
		if reason == notify.Refused {
			if response.DeadLettered != 10 || len(w.queue.Dead()) != 10 || w.queue.Len() != 0 {
				t.Errorf("refused: %+v, %d dead, %d left", response, len(w.queue.Dead()), w.queue.Len())
			}
			continue
		}
		if len(response.BatchItemFailures) != 10 || w.queue.Len() != 10 {
			t.Errorf("%s: %d failures, %d left", reason, len(response.BatchItemFailures), w.queue.Len())
		}
		if misconfigured := response.Misconfigured > 0; misconfigured != (reason == notify.Misconfigured) {
			t.Errorf("%s: misconfigured = %d", reason, response.Misconfigured)
		}
	}
}

func TestPoisonMessageIsDeadLetteredAtOnceWithItsReason(t *testing.T) {
	w := newWorld(0, "a")
	for _, b := range []string{"", "{", `{"source":"aws.s3","detail-type":"Object Created"}`, strings.Repeat("x", 200_000)} {
		w.queue.Put(b)
	}
	w.queue.Put(body("1", jobs.Succeeded, 0))
	response := w.deliver(t)
	dead := w.queue.Dead()
	if len(dead) != 4 || w.queue.Len() != 0 || response.DeadLettered != 4 || len(response.BatchItemFailures) != 0 {
		t.Fatalf("%d dead, %d left, response %+v", len(dead), w.queue.Len(), response)
	}
	for _, d := range dead {
		if !strings.Contains(d.Reason, "not an event of the ID mapping notifier") {
			t.Errorf("reason %q", d.Reason)
		}
	}
	expect(t, received(w.destinations[0]), "1 SUCCEEDED")
}

func TestPoisonMessageStaysWhileDeadLetteringFails(t *testing.T) {
	w := newWorld(0, "a")
	w.queue.Fault = func(op string) error {
		if op == "DeadLetter" {
			return errors.New("denied")
		}
		return nil
	}
	w.queue.Put("{")
	if response := w.deliver(t); len(response.BatchItemFailures) != 1 || response.Retried != 1 || response.DeadLettered != 0 || w.queue.Len() != 1 {
		t.Errorf("response %+v, %d left", response, w.queue.Len())
	}
}

func TestOnlyFailedMessagesOfABatchComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0, "a")
		fails := map[string]notify.Reason{"1": notify.Refused, "2": notify.Unavailable, "4": notify.Refused, "7": notify.Unavailable, "9": notify.Refused}
		w.destinations[0].Fault = func(op string, d notify.Delivery) error {
			job := d.Message.JobID
			if job == "6" && len(fails) > 0 {
				panic("a bug of ours")
			}
			if reason, ok := fails[job]; ok && op == "Send" {
				return &notify.Failure{Reason: reason, Err: errors.New("no")}
			}
			return nil
		}
		for i := range 10 {
			w.queue.Put(body(fmt.Sprint(i+1), jobs.Failed, i))
		}
		response := w.deliver(t)
		sent := []string{"3 FAILED", "5 FAILED", "8 FAILED", "10 FAILED"}
		expect(t, received(w.destinations[0]), sent...)
		if dead, failed, left := len(w.queue.Dead()), len(response.BatchItemFailures), w.queue.Len(); dead != 3 || failed != 3 || left != 3 {
			t.Errorf("%d dead, %d failed, %d left, want 3 each", dead, failed, left)
		}
		fails = nil
		w.drain(t)
		again := received(w.destinations[0])[len(sent):]
		slices.Sort(again)
		expect(t, again, "2 FAILED", "6 FAILED", "7 FAILED")
	})
}

func TestPanicFailsOnlyItsOwnMessage(t *testing.T) {
	w := newWorld(0, "a")
	w.destinations[0].Fault = func(_ string, d notify.Delivery) error {
		if d.Message.JobID == "5" {
			panic("a bug of ours")
		}
		return nil
	}
	for i := range 10 {
		w.queue.Put(body(fmt.Sprint(i), jobs.Succeeded, i))
	}
	response := w.deliver(t)
	if len(response.BatchItemFailures) != 1 || response.Sent != 9 || response.Retried != 1 || w.queue.Len() != 1 {
		t.Errorf("response %+v, %d left", response, w.queue.Len())
	}
}

func TestConcurrentDuplicateWaitsForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0, "a")
		w.destinations[0].Fault = func(op string, _ notify.Delivery) error {
			if op == "Send" {
				time.Sleep(3 * time.Second)
			}
			return nil
		}
		w.queue.Put(body("1", jobs.Failed, 0))
		w.queue.Put(body("1", jobs.Failed, 0))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		first, second := w.queue.Receive(1), w.queue.Receive(1)
		done := make(chan struct{})
		go func() {
			defer close(done)
			response, err := sqs.Handler(w)(ctx, first)
			if err != nil || response.Sent != 1 {
				t.Errorf("first: %+v, %v", response, err)
			}
			w.queue.Delete(first, response.BatchItemFailures)
		}()
		time.Sleep(time.Second)
		response, err := sqs.Handler(w)(ctx, second)
		if err != nil || len(response.BatchItemFailures) != 1 {
			t.Errorf("second: %+v, %v", response, err)
		}
		if next, _ := w.queue.Next(); time.Until(next) < 59*time.Second {
			t.Errorf("the second comes back in %v, before the first claim expires", time.Until(next))
		}
		w.queue.Delete(second, response.BatchItemFailures)
		<-done
		w.drain(t)
		expect(t, received(w.destinations[0]), "1 FAILED")
	})
}

func TestConcurrentInvocationsShareOneMessagePerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(time.Second, "a")
		for i := range 60 {
			w.queue.Put(body(fmt.Sprint(i), jobs.Succeeded, 0))
		}
		done := make(chan struct{})
		for range 2 {
			go func() { w.drain(t); done <- struct{}{} }()
		}
		<-done
		<-done
		sent := w.destinations[0].Sent()
		if len(sent) != 60 {
			t.Fatalf("sent %d, want 60", len(sent))
		}
		for i := 1; i < len(sent); i++ {
			if gap := sent[i].At.Sub(sent[i-1].At); gap < time.Second {
				t.Errorf("message %d came %v after the one before", i, gap)
			}
		}
		if took := sent[59].At.Sub(sent[0].At); took > 5*time.Minute {
			t.Errorf("60 messages took %v", took)
		}
	})
}

func TestRetryAfterPausesTheWholeBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(time.Second, "a")
		asked := time.Time{}
		w.destinations[0].Fault = func(op string, _ notify.Delivery) error {
			if op == "Send" && asked.IsZero() {
				asked = time.Now()
				return &notify.Failure{Reason: notify.RateLimited, After: 90 * time.Second, Err: errors.New("429")}
			}
			return nil
		}
		for i := range 5 {
			w.queue.Put(body(fmt.Sprint(i), jobs.Succeeded, 0))
		}
		w.drain(t)
		sent := w.destinations[0].Sent()
		if len(sent) != 5 {
			t.Fatalf("sent %d, want 5", len(sent))
		}
		if wait := sent[0].At.Sub(asked); wait < 90*time.Second || wait > 100*time.Second {
			t.Errorf("the first came after %v, want 90 s", wait)
		}
	})
}

// What the destination asks holds for other invocations too, which have not asked
// it, and giving way to others does not prolong it.
func TestRetryAfterPausesLaterInvocations(t *testing.T) {
	for _, gap := range []time.Duration{time.Second, 0} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(gap, "a")
			begin := time.Now()
			w.destinations[0].Fault = func(op string, _ notify.Delivery) error {
				if op == "Send" && time.Since(begin) == 0 {
					return &notify.Failure{Reason: notify.RateLimited, After: 5 * time.Minute, Err: errors.New("429")}
				}
				return nil
			}
			w.queue.Put(body("1", jobs.Failed, 0))
			w.deliver(t)
			for i := range 4 {
				time.Sleep(time.Minute)
				w.queue.Put(body(fmt.Sprint(i+2), jobs.Failed, 0))
				before := time.Now()
				w.deliver(t)
				if took := time.Since(before); took > time.Second {
					t.Errorf("an invocation waited %v", took)
				}
			}
			w.drain(t)
			first := w.destinations[0].Sent()[0].At.Sub(begin)
			if gap == 0 && first != time.Minute {
				t.Errorf("without a rate limiter the next came after %v", first)
			}
			if gap > 0 && (first < 5*time.Minute || first > 6*time.Minute) {
				t.Errorf("the first came after %v, want 5 min", first)
			}
			if n := len(w.destinations[0].Sent()); n != 5 {
				t.Errorf("%d are sent", n)
			}
		})
	}
}

func TestMessageThatOneDestinationRefusesWaitsForTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0, "a", "b")
		down := true
		for i, reason := range []notify.Reason{notify.Refused, notify.Unavailable} {
			w.destinations[i].Fault = func(op string, _ notify.Delivery) error {
				if op == "Send" && (down || reason == notify.Refused) {
					return &notify.Failure{Reason: reason, Err: errors.New("no")}
				}
				return nil
			}
		}
		w.queue.Put(body("1", jobs.Failed, 0))
		if response := w.deliver(t); len(response.BatchItemFailures) != 1 || len(w.queue.Dead()) != 0 {
			t.Errorf("%+v, %d dead", response, len(w.queue.Dead()))
		}
		down = false
		w.drain(t)
		expect(t, received(w.destinations[1]), "1 FAILED")
		if dead := w.queue.Dead(); len(dead) != 1 || dead[0].Reason != "a: refused: no" {
			t.Errorf("dead letters %+v", dead)
		}
	})
}

func TestNothingIsSentWithoutAClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0, "a")
		w.deliveries.Fault = func(op string) error {
			if op == "Claim" {
				return errors.New("throttled")
			}
			return nil
		}
		w.queue.Put(body("1", jobs.Failed, 0))
		if response := w.deliver(t); len(response.BatchItemFailures) != 1 {
			t.Errorf("%+v", response)
		}
		expect(t, received(w.destinations[0]))
		w.deliveries.Fault = nil
		w.drain(t)
		expect(t, received(w.destinations[0]), "1 FAILED")
	})
}

func TestFirstRetryWaitsByReason(t *testing.T) {
	for reason, want := range map[notify.Reason]time.Duration{
		notify.Unavailable: 30 * time.Second, notify.Misconfigured: 5 * time.Minute, notify.RateLimited: 30 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(0, "a")
			w.destinations[0].Fault = failing(reason)
			w.queue.Put(body("1", jobs.Failed, 0))
			w.deliver(t)
			if next, _ := w.queue.Next(); time.Until(next) < want || time.Until(next) > want*8/7 {
				t.Errorf("%s: it waits for %v, want %v", reason, time.Until(next), want)
			}
		})
	}
}

func TestProgressStaysAtTheNewestTerminalStatus(t *testing.T) {
	w := newWorld(0, "a")
	for _, b := range []string{body("1", jobs.Succeeded, 3), body("1", jobs.Failed, 1)} {
		w.queue.Put(b)
		w.deliver(t)
	}
	state := w.deliveries.State(notify.Key{Job: fake.ARN("crm") + "/1", Destination: "a"})
	if state.Progress.Status != jobs.Succeeded || len(state.Delivered) != 2 {
		t.Errorf("recorded as %+v", state)
	}
}

func TestDestinationThatAsksForOneSecondForDaysLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0, "email")
		w.queue.MaxReceive = maxReceive
		back := time.Now().Add(3 * 24 * time.Hour)
		w.destinations[0].Fault = func(op string, _ notify.Delivery) error {
			if op == "Send" && time.Now().Before(back) {
				return &notify.Failure{Reason: notify.RateLimited, After: time.Second, Err: errors.New("429")}
			}
			return nil
		}
		w.queue.Put(body("1", jobs.Failed, 0))
		w.drain(t)
		expect(t, received(w.destinations[0]), "1 FAILED")
		if dead := w.queue.Dead(); len(dead) != 0 {
			t.Errorf("dead letters %v", dead)
		}
	})
}

func TestOutageOfFourDaysLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(time.Second, "a")
		w.queue.MaxReceive = maxReceive
		back := time.Now().Add(4 * 24 * time.Hour)
		w.destinations[0].Fault = func(op string, _ notify.Delivery) error {
			if op == "Send" && time.Now().Before(back) {
				return &notify.Failure{Reason: notify.Unavailable, Err: errors.New("503")}
			}
			return nil
		}
		for i := range 25 {
			w.queue.Put(body(fmt.Sprint(i), jobs.Failed, 0))
		}
		w.drain(t)
		if sent, dead := len(w.destinations[0].Sent()), len(w.queue.Dead()); sent != 25 || dead != 0 {
			t.Errorf("sent %d, dead %d", sent, dead)
		}
	})
}

func TestFiveHundredEventsOfASixHourOutageArriveWithin15Minutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(time.Second, "slack")
		w.queue.MaxReceive = maxReceive
		start := time.Now()
		back := start.Add(6 * time.Hour)
		w.destinations[0].Fault = func(op string, _ notify.Delivery) error {
			if op == "Send" && time.Now().Before(back) {
				return &notify.Failure{Reason: notify.Unavailable, Err: errors.New("503")}
			}
			return nil
		}
		for i := range 500 { // they come in over the six hours
			go func() {
				time.Sleep(time.Duration(i) * 43 * time.Second)
				w.queue.Put(body(fmt.Sprint(i), jobs.Failed, 0))
			}()
		}
		for len(w.destinations[0].Sent()) < 500 && time.Since(start) < 10*time.Hour {
			if next, some := w.queue.Next(); some {
				time.Sleep(max(time.Millisecond, time.Until(next)))
			} else {
				time.Sleep(time.Second)
			}
			w.deliver(t)
		}
		sent := w.destinations[0].Sent()
		if len(sent) != 500 || len(w.queue.Dead()) != 0 {
			t.Fatalf("sent %d of 500, %d dead letters", len(sent), len(w.queue.Dead()))
		}
		for i := 1; i < len(sent); i++ {
			if gap := sent[i].At.Sub(sent[i-1].At); gap < time.Second {
				t.Errorf("two messages within %v", gap)
			}
		}
		after := sent[499].At.Sub(back).Round(time.Second)
		if after > 15*time.Minute {
			t.Errorf("the last is sent %v after the recovery", after)
		}
		t.Logf("all sent %v after the recovery", after)
	})
}

func TestRedrivenDeadLetterReachesOnlyTheDestinationThatMissedIt(t *testing.T) {
	w := newWorld(0, "a", "b")
	refusing := true
	w.destinations[1].Fault = func(op string, _ notify.Delivery) error {
		if refusing && op == "Send" {
			return &notify.Failure{Reason: notify.Refused, Err: errors.New("no")}
		}
		return nil
	}
	w.queue.Put(body("1", jobs.Failed, 0))
	w.deliver(t)
	if len(w.queue.Dead()) != 1 {
		t.Fatalf("%d dead letters", len(w.queue.Dead()))
	}
	refusing = false
	for range 2 { // once more by mistake
		w.queue.Put(w.queue.Dead()[0].Body)
		w.deliver(t)
	}
	expect(t, received(w.destinations[0]), "1 FAILED")
	expect(t, received(w.destinations[1]), "1 FAILED")
}

func TestFilterMatchesByStatus(t *testing.T) {
	all := map[string]event.Event{}
	for _, status := range []jobs.Status{"QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "PAUSED"} {
		e, err := event.Decode([]byte(body("1", status, 0)))
		if err != nil {
			t.Fatal(err)
		}
		all[string(status)] = e
	}
	entry, _ := event.EncodeVanished(fake.ARN("crm"), jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "1"}, Status: jobs.Running}, noon)
	all["vanished"], _ = event.Decode([]byte(wrap(entry)))
	for setting, want := range map[string]string{
		"":                    "FAILED SUCCEEDED vanished",
		"FAILED":              "FAILED vanished",
		" running , Failed ,": "FAILED RUNNING vanished",
		"PAUSED":              "PAUSED vanished",
	} {
		var got []string
		for name, e := range all {
			if notify.ParseFilter(setting).Matches(e) {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%q wants %q, not %q", setting, got, want)
		}
	}
}

func TestFilteredMessageLeavesTheQueueUnsent(t *testing.T) {
	w := newWorld(0, "a")
	w.Channels[0].Filter = notify.ParseFilter("")
	w.queue.Put(body("1", jobs.Running, 0))
	w.queue.Put(body("1", jobs.Failed, 1))
	if response := w.deliver(t); response.Sent != 1 || w.queue.Len() != 0 {
		t.Errorf("%+v, %d left", response, w.queue.Len())
	}
	expect(t, received(w.destinations[0]), "1 FAILED")
}

func TestBatchFromAnUnknownQueueIsAnError(t *testing.T) {
	w := newWorld(0, "a")
	other := &fake.Queue{Name: "other"}
	other.Put(body("1", jobs.Failed, 0))
	if _, err := sqs.Handler(w)(t.Context(), other.Receive(1)); err == nil || !strings.Contains(err.Error(), "other") {
		t.Errorf("error = %v", err)
	}
}
