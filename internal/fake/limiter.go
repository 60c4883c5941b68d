package fake

import (
	"context"
	"time"

	"github.com/idmapping/notifier/internal/notify"
)

// RateLimiter is what a destination with a rate limit needs.
type RateLimiter interface {
	Prepare(ctx context.Context)
	Wait(ctx context.Context) error
	PauseUntil(ctx context.Context, until time.Time) error
}

// Limiter is a rate limiter that never makes anyone wait. It counts.
type Limiter struct {
	Err      *notify.Failure // what Wait returns
	Waits    int
	Prepared int
	Pauses   []time.Time
	OnWait   func() // called first, if set
	// PauseErr is what PauseUntil returns.
	PauseErr error
}

// Prepare counts.
func (l *Limiter) Prepare(context.Context) { l.Prepared++ }

// Wait counts, and fails with Err.
func (l *Limiter) Wait(context.Context) error {
	if l.OnWait != nil {
		l.OnWait()
	}
	if l.Err != nil {
		return l.Err
	}
	l.Waits++
	return nil
}

// PauseUntil notes the time.
func (l *Limiter) PauseUntil(_ context.Context, until time.Time) error {
	l.Pauses = append(l.Pauses, until)
	return l.PauseErr
}
