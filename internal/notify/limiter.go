package notify

import (
	"context"
	"errors"
	"time"
)

// Limiter spaces the messages to one destination, over all invocations. The
// channel that needs one waits before each message. It serves one invocation at a
// time.
type Limiter struct {
	Limits      RateLimits
	Destination string
	MinInterval time.Duration // the least time between two messages

	prepared *reservation // for the next Wait, or nil
}

// reservation is the outcome of a request for a slot.
type reservation struct {
	slot     time.Time
	reserved bool
	err      error
	latest   time.Time // of the invocation that has requested it
}

// usable reports whether the reservation is worth keeping for an invocation.
func (r *reservation) usable(latest time.Time) bool {
	return r != nil && r.err == nil && r.latest.Equal(latest) && time.Since(r.slot) <= maxIdle
}

// maxIdle is how long after its time a slot may still be used. The next slot
// follows MinInterval after it, however late it is used.
const maxIdle = 200 * time.Millisecond

// RateLimits stores when a destination may receive its next message.
type RateLimits interface {
	// Reserve takes the next free slot to send to a destination, at least
	// minInterval after the previous one of any invocation. When the slot is
	// after latest it takes nothing and returns false with the slot's time.
	Reserve(ctx context.Context, destination string, minInterval time.Duration, latest time.Time) (time.Time, bool, error)
	// PauseUntil delays the next slot to the given time, for every invocation.
	PauseUntil(ctx context.Context, destination string, until time.Time) error
}

// Prepare reserves a slot for the next Wait of the same invocation, while the
// caller does other work.
func (l *Limiter) Prepare(ctx context.Context) {
	if latest := sendDeadline(ctx); !l.prepared.usable(latest) {
		l.prepared = l.reserve(ctx, latest)
	}
}

// Wait returns when the caller may send one message. When that would be too late
// in the invocation it returns a *Failure at once. It checks the time once more
// at the end: a reservation can be slow.
func (l *Limiter) Wait(ctx context.Context) error {
	latest := sendDeadline(ctx)
	r := l.take(ctx, latest)
	if r.err != nil {
		return FailureOf(r.err)
	}
	if !r.reserved {
		return &Failure{Reason: RateLimited, After: max(time.Until(r.slot), time.Second), Err: errors.New("not sent: other messages to this destination are first")}
	}
	if err := sleep(ctx, time.Until(r.slot)); err != nil {
		return FailureOf(err)
	}
	if time.Now().After(latest) {
		return errLate()
	}
	return nil
}

// take is the prepared slot where it can be used, otherwise a new one.
func (l *Limiter) take(ctx context.Context, latest time.Time) *reservation {
	r := l.prepared
	l.prepared = nil
	if r.usable(latest) {
		return r
	}
	return l.reserve(ctx, latest)
}

func (l *Limiter) reserve(ctx context.Context, latest time.Time) *reservation {
	slot, reserved, err := l.Limits.Reserve(ctx, l.Destination, l.MinInterval, latest)
	return &reservation{slot, reserved, err, latest}
}

// PauseUntil keeps every invocation from sending to the destination until the
// given time.
func (l *Limiter) PauseUntil(ctx context.Context, until time.Time) error {
	return l.Limits.PauseUntil(ctx, l.Destination, until)
}

// errLate is the failure of a message that could not be recorded in time.
func errLate() *Failure {
	return &Failure{Reason: RateLimited, After: time.Second, Err: errors.New("not sent: this invocation has no time left")}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
