package notify_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
)

// limits answers with fixed values.
type limits struct {
	after    time.Duration // the slot, from now on
	reserved bool
	err      error
	slow     time.Duration // how long the write takes

	destination         string
	interval            time.Duration
	latest, pausedUntil time.Time
}

func (l *limits) Reserve(_ context.Context, destination string, interval time.Duration, latest time.Time) (time.Time, bool, error) {
	slot := time.Now().Add(l.after)
	l.destination, l.interval, l.latest = destination, interval, latest
	time.Sleep(l.slow)
	return slot, l.reserved, l.err
}

func (l *limits) PauseUntil(_ context.Context, destination string, until time.Time) error {
	l.destination, l.pausedUntil = destination, until
	return l.err
}

// The batch's context ends 1 s before the function's deadline, and nothing is
// sent within 8 s of the deadline: within 7 s of the context's.
func TestLimiterWaitsForItsSlotAndSendsNothingWithinTheShutdownMargin(t *testing.T) {
	broken := errors.New("throttled")
	for _, c := range []struct {
		name   string
		limits limits
		waits  time.Duration
		after  time.Duration // of the failure; -1 for none
		reason notify.Reason
	}{
		{"a free slot", limits{reserved: true}, 0, -1, ""},
		{"a slot in 3 s", limits{after: 3 * time.Second, reserved: true}, 3 * time.Second, -1, ""},
		{"a past slot", limits{after: -time.Second, reserved: true}, 0, -1, ""},
		{"a slot at the last moment", limits{after: 20 * time.Second, reserved: true}, 20 * time.Second, -1, ""},
		{"a slot too late", limits{after: 20*time.Second + 1, reserved: true}, 20*time.Second + 1, time.Second, notify.RateLimited},
		{"a slow write that still fits", limits{reserved: true, slow: 20 * time.Second}, 20 * time.Second, -1, ""},
		{"a slow write", limits{reserved: true, slow: 20*time.Second + 1}, 20*time.Second + 1, time.Second, notify.RateLimited},
		{"no slot in time", limits{after: 25 * time.Second}, 0, 25 * time.Second, notify.RateLimited},
		{"no slot, and no time", limits{after: -time.Second}, 0, time.Second, notify.RateLimited},
		{"a failing write", limits{err: broken}, 0, 0, notify.Unavailable},
		{"a slot after the context", limits{after: time.Minute, reserved: true}, 27 * time.Second, 0, notify.Unavailable},
	} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 27*time.Second)
			defer cancel()
			err := (&notify.Limiter{Limits: &c.limits, Destination: "slack:C1", MinInterval: 3 * time.Second}).Wait(ctx)
			if took := time.Since(begin); took != c.waits {
				t.Errorf("%s: waited %v, want %v", c.name, took, c.waits)
			}
			if c.limits.destination != "slack:C1" || c.limits.interval != 3*time.Second || !c.limits.latest.Equal(begin.Add(20*time.Second)) {
				t.Errorf("%s: reserved %+v", c.name, &c.limits)
			}
			if c.after < 0 {
				if err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
				return
			}
			failure, ok := err.(*notify.Failure)
			if !ok || failure.Reason != c.reason || failure.After != c.after {
				t.Errorf("%s: %#v, want %s after %v", c.name, err, c.reason, c.after)
			}
		})
	}
}

func TestLimiterWithoutADeadlineStopsSendingAfter53Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &limits{reserved: true}
		if err := (&notify.Limiter{Limits: l}).Wait(context.Background()); err != nil || !l.latest.Equal(time.Now().Add(53*time.Second)) {
			t.Errorf("latest in %v (%v)", time.Until(l.latest), err)
		}
	})
}

func TestLimiterPausesItsDestination(t *testing.T) {
	l := &limits{err: errors.New("throttled")}
	until := time.Now().Add(time.Minute)
	err := (&notify.Limiter{Limits: l, Destination: "slack:C1"}).PauseUntil(t.Context(), until)
	if !errors.Is(err, l.err) || l.destination != "slack:C1" || !l.pausedUntil.Equal(until) {
		t.Errorf("%v, %+v", err, l)
	}
}

// The limiter and its store together: the second message waits a second, and
// each invocation sees the other's reservation.
func TestLimitersOfTwoInvocationsShareTheirSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fake.Deliveries{}
		begin := time.Now()
		for i := range 4 {
			l := notify.Limiter{Limits: store, Destination: "slack:C1", MinInterval: time.Second}
			if err := l.Wait(t.Context()); err != nil || time.Since(begin) != time.Duration(i)*time.Second {
				t.Errorf("message %d after %v (%v)", i, time.Since(begin), err)
			}
		}
	})
}

// counting is a store of slots that counts reservations, each of which takes
// some time.
type counting struct {
	*fake.Deliveries
	takes time.Duration
	fail  error // of the first reservation
	n     int
}

func (c *counting) Reserve(ctx context.Context, destination string, interval time.Duration, latest time.Time) (time.Time, bool, error) {
	c.n++
	first := c.n == 1
	time.Sleep(c.takes)
	if first && c.fail != nil {
		return time.Time{}, false, c.fail
	}
	return c.Deliveries.Reserve(ctx, destination, interval, latest)
}

func TestPreparedSlotIsReservedDuringOtherWorkAndUsedOnce(t *testing.T) {
	for _, c := range []struct {
		name         string
		work         time.Duration // between Prepare and Wait
		reservations int
		took         time.Duration // from the first Prepare to the end of Wait
	}{
		{"at once", 0, 1, 10 * time.Millisecond},
		{"at the last moment", 200 * time.Millisecond, 1, 210 * time.Millisecond},
		{"too late", 200*time.Millisecond + 1, 2, 1010 * time.Millisecond}, // a second after the slot that went unused
	} {
		synctest.Test(t, func(t *testing.T) {
			store := &counting{Deliveries: &fake.Deliveries{}, takes: 10 * time.Millisecond}
			l := &notify.Limiter{Limits: store, Destination: "slack:C1", MinInterval: time.Second}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			begin := time.Now()
			l.Prepare(ctx)
			l.Prepare(ctx) // for another notification, whose claim was refused
			time.Sleep(c.work)
			if err := l.Wait(ctx); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if took := time.Since(begin); took != c.took || store.n != c.reservations {
				t.Errorf("%s: took %v with %d reservations, want %v with %d", c.name, took, store.n, c.took, c.reservations)
			}
			if err := l.Wait(ctx); err != nil || store.n != c.reservations+1 {
				t.Errorf("%s: the next message: %v, %d reservations", c.name, err, store.n)
			}
		})
	}
}

func TestFailedPreparationIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &counting{Deliveries: &fake.Deliveries{}, fail: errors.New("throttled")}
		l := &notify.Limiter{Limits: store, Destination: "slack:C1", MinInterval: time.Second}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		l.Prepare(ctx)
		if err := l.Wait(ctx); err != nil || store.n != 2 {
			t.Errorf("%v with %d reservations", err, store.n)
		}
	})
}

func TestSlotPreparedByAnEarlierInvocationIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &counting{Deliveries: &fake.Deliveries{}}
		l := &notify.Limiter{Limits: store, Destination: "slack:C1", MinInterval: time.Second}
		earlier, cancel := context.WithTimeout(t.Context(), time.Minute)
		l.Prepare(earlier)
		cancel()
		time.Sleep(time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		l.Prepare(ctx)
		if err := l.Wait(ctx); err != nil || store.n != 2 || time.Since(begin) < 900*time.Millisecond {
			t.Errorf("%v after %v with %d reservations", err, time.Since(begin), store.n)
		}
		l.Prepare(earlier)
		if err := l.Wait(ctx); err != nil || store.n != 4 {
			t.Errorf("%v with %d reservations", err, store.n)
		}
	})
}

// preparer is a destination that prepares, or panics.
type preparer struct {
	fake.Destination
	prepared int
	panics   bool
}

func (p *preparer) Prepare(context.Context) {
	if p.prepared++; p.panics {
		panic("a fault of ours")
	}
}

func TestOnlyTheFirstReceiveOfAVisibleMessageIsPrepared(t *testing.T) {
	for _, panics := range []bool{false, true} {
		w := newWorld(0)
		d := &preparer{Destination: fake.Destination{Name: "slack:C1"}, panics: panics}
		w.Channels[0].Destinations = []notify.Destination{d}
		fail := true
		d.Fault = func(string, notify.Delivery) error {
			if fail {
				return &notify.Failure{Reason: notify.Unavailable, Err: errors.New("down")}
			}
			return nil
		}
		w.queue.Put(body("1", jobs.Failed, 0))
		w.deliver(t)
		fail = false
		w.queue.Put(canary(false))
		w.deliver(t)
		if d.prepared != 1 || d.DryRuns() != 1 {
			t.Errorf("prepared %d times, %d dry runs", d.prepared, d.DryRuns())
		}
		w.queue.Put(body("2", jobs.Failed, 0))
		w.deliver(t)
		if d.prepared != 2 || len(d.Sent()) != 1 {
			t.Errorf("prepared %d times, %d messages", d.prepared, len(d.Sent()))
		}
	}
}
