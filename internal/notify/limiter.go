package notify

import (
	"context"
	"errors"
	"time"
)

// Limiter spaces the messages to one destination, over all invocations. The
// channel that needs one waits before each message.
type Limiter struct {
	Limits      RateLimits
	Destination string
	MinInterval time.Duration // the least time between two messages
}

// RateLimits stores when a destination may receive its next message.
type RateLimits interface {
	// Reserve takes the next free slot to send to a destination, at least
	// minInterval after the previous one of any invocation. When the slot is
	// after latest it takes nothing and returns false with the slot's time.
	Reserve(ctx context.Context, destination string, minInterval time.Duration, latest time.Time) (time.Time, bool, error)
	// PauseUntil delays the next slot to the given time, for every invocation.
	PauseUntil(ctx context.Context, destination string, until time.Time) error
}

// Wait returns when the caller may send one message. When that
// would be too late in the invocation it returns a *Failure at once. It checks
// the time once more at the end: a reservation can be slow.
func (l Limiter) Wait(ctx context.Context) error {
	latest := sendDeadline(ctx)
	slot, reserved, err := l.Limits.Reserve(ctx, l.Destination, l.MinInterval, latest)
	if err != nil {
		return FailureOf(err)
	}
	if !reserved {
		return &Failure{Reason: RateLimited, After: max(time.Until(slot), time.Second), Err: errors.New("not sent: other messages to this destination are first")}
	}
	if err := sleep(ctx, time.Until(slot)); err != nil {
		return FailureOf(err)
	}
	if time.Now().After(latest) {
		return errLate()
	}
	return nil
}

// PauseUntil keeps every invocation from sending to the destination until the
// given time.
func (l Limiter) PauseUntil(ctx context.Context, until time.Time) error {
	return l.Limits.PauseUntil(ctx, l.Destination, until)
}

// errLate is the failure of a message that could not be recorded in time.
func errLate() *Failure {
	return &Failure{Reason: RateLimited, After: time.Second, Err: errors.New("not sent: this invocation has no time left")}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
