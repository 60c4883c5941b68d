package notify_test

import (
	"context"
	"errors"
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

func TestJobIsDeliveredStepByStepAndEachStepOnce(t *testing.T) {
	w := newWorld(0, "a", "b")
	for range 3 { // queues deliver at least once
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
	w.queue.Put(body("4", jobs.Running, 5)) // observed at the same time
	w.deliver(t)
	expect(t, received(w.destinations[0])[4:], "3 RUNNING", "3 PAUSED", "4 RUNNING", "4 FAILED")
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

func TestDuplicatesAndSupersededStatusesAreCounted(t *testing.T) {
	w := newWorld(0, "a", "b")
	for _, b := range []string{body("1", jobs.Failed, 1), body("1", jobs.Failed, 1), body("1", jobs.Running, 0)} {
		w.queue.Put(b)
	}
	first := w.queue.Receive(1) // so that the late status is not sorted before
	if response, err := sqs.Handler(w)(t.Context(), first); err != nil || response.Sent != 2 || response.Duplicates != 0 {
		t.Errorf("first: %+v, %v", response, err)
	}
	if response := w.deliver(t); response.Duplicates != 4 || response.Sent != 0 || response.Retried != 0 {
		t.Errorf("then: %+v", response)
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
