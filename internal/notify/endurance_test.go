package notify_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
)

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
		for i := range 500 { // they arrive over the six hours
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
