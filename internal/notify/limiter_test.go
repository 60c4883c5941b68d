package notify_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/fake"
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
			err := notify.Limiter{Limits: &c.limits, Destination: "slack:C1", MinInterval: 3 * time.Second}.Wait(ctx)
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
		if err := (notify.Limiter{Limits: l}).Wait(context.Background()); err != nil || !l.latest.Equal(time.Now().Add(53*time.Second)) {
			t.Errorf("latest in %v (%v)", time.Until(l.latest), err)
		}
	})
}

func TestLimiterPausesItsDestination(t *testing.T) {
	l := &limits{err: errors.New("throttled")}
	until := time.Now().Add(time.Minute)
	err := notify.Limiter{Limits: l, Destination: "slack:C1"}.PauseUntil(t.Context(), until)
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
