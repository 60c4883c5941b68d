package notify_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
)

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
