package entityresolution

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/smithy-go/middleware"
	"golang.org/x/time/rate"

	"github.com/idmapping/notifier/internal/jobs"
)

// limiter is the rate limit on requests. It halves when Entity Resolution
// throttles, and rises again by a tenth of the configured rate per minute: the
// quota of these calls is not published, and others use it too.
type limiter struct {
	*rate.Limiter
	most rate.Limit

	mu     sync.Mutex
	raised time.Time // until when the limit has been raised
}

const (
	// leastShare bounds how far repeated throttling lowers the limit.
	leastShare = 16
	// minutesToMost is how many minutes raise the limit from nothing to most.
	minutesToMost = 10
)

func newLimiter(requestsPerSecond float64) *limiter {
	// One at a time: after a pause a larger burst would send more than a
	// second's requests in its first second.
	return &limiter{Limiter: rate.NewLimiter(rate.Limit(requestsPerSecond), 1), most: rate.Limit(requestsPerSecond)}
}

// lower halves the limit.
func (l *limiter) lower(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.SetLimitAt(now, max(l.Limit()/2, l.most/leastShare))
	l.raised = now
}

// raise raises the limit for each whole minute since it was lowered or raised.
func (l *limiter) raise(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	minutes := now.Sub(l.raised) / time.Minute
	if l.Limit() >= l.most || minutes < 1 {
		return
	}
	l.SetLimitAt(now, min(l.Limit()+l.most*rate.Limit(minutes)/minutesToMost, l.most))
	l.raised = l.raised.Add(minutes * time.Minute)
}

// ID names the middleware.
func (*limiter) ID() string { return "RateLimit" }

// HandleFinalize makes every attempt wait for its turn. It runs after the SDK's
// retry middleware, so that retries wait too.
func (l *limiter) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	l.raise(time.Now())
	if err := l.Wait(ctx); err != nil {
		return middleware.FinalizeOutput{}, middleware.Metadata{}, &lateError{err}
	}
	out, metadata, err := next.HandleFinalize(ctx, in)
	if err != nil && errors.Is(classify(err), jobs.ErrThrottled) {
		l.lower(time.Now())
	}
	return out, metadata, err
}

// lateError is the error of an attempt whose turn would come after the deadline. A
// retry would be late too.
type lateError struct{ error }

func (*lateError) RetryableError() bool { return false }

func (e *lateError) Error() string { return fmt.Sprintf("waiting for the rate limit: %v", e.error) }
