package poller

import (
	"context"
	"errors"
	"fmt"

	"github.com/idmapping/notifier/internal/jobs"
)

// note accounts for an error that did not stop the tick. The first error of a
// workflow decides its outcome; a conflict counts as none.
func (t *tick) note(workflow string, err error) {
	if err == nil {
		return
	}
	err = t.causeOf(err)
	switch {
	case t.outOfTime(err):
		t.count(func(r *Report) { r.Late = true })
		return
	case errors.Is(err, errThrottledTick):
		return
	case errors.Is(err, jobs.ErrThrottled):
		t.stop(jobs.ErrThrottled)
		t.count(func(r *Report) { r.Throttled = true })
	case errors.Is(err, jobs.ErrConflict):
		// Another process wrote this item first; the next tick sees what that
		// one did not.
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if workflow != "" && t.failed[workflow] != nil {
		return // the first error is enough
	}
	if workflow != "" {
		err = fmt.Errorf("sweeping workflow %s: %w", workflow, err)
		t.failed[workflow] = err
	}
	t.report.Problems = append(t.report.Problems, err.Error())
	t.log().Warn("sweep incomplete", "workflow", workflow, "error", err.Error())
}

// finish counts the outcomes and what is left in the outboxes.
func (t *tick) finish() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name := range t.failed {
		t.targets[name] = true // a tracked job's workflow counts when it fails
	}
	t.report.Workflows = len(t.targets)
	for name := range t.targets {
		switch err := t.failed[name]; {
		case err == nil:
			t.report.Swept++
		case errors.Is(err, jobs.ErrDenied):
			t.report.Denied++
		case !errors.Is(err, jobs.ErrThrottled):
			t.report.Failed++
		}
	}
	now := t.now()
	left := func(outbox []jobs.Entry) {
		for _, entry := range outbox {
			t.report.Unpublished++
			t.report.OldestUnpublished = max(t.report.OldestUnpublished, int64(now.Sub(entry.ObservedAt).Seconds()))
		}
	}
	for _, record := range t.records {
		left(record.Outbox)
	}
	for _, state := range t.states {
		left(state.Outbox)
	}
	return t.report
}

// errThrottledTick: the request was not sent because Entity Resolution has
// throttled the tick before.
var errThrottledTick = errors.New("left for the next tick: Entity Resolution throttles")

// checkBudget returns an error when no more work may be started.
func (t *tick) checkBudget() error {
	switch cause := context.Cause(t.workCtx); {
	case t.workCtx.Err() == nil:
		return nil
	case errors.Is(cause, jobs.ErrThrottled):
		return errThrottledTick
	default:
		return fmt.Errorf("%w: %w", jobs.ErrLate, cause)
	}
}

// outOfTime reports whether err is the deadline's: the request was not sent, or
// cut off by it.
func (t *tick) outOfTime(err error) bool {
	return errors.Is(err, jobs.ErrLate) || errors.Is(err, jobs.ErrUnavailable) && errors.Is(context.Cause(t.workCtx), jobs.ErrLate)
}

// causeOf is errThrottledTick for a request that was cut off because another one
// was throttled, otherwise err.
func (t *tick) causeOf(err error) error {
	if errors.Is(err, jobs.ErrUnavailable) && errors.Is(context.Cause(t.workCtx), jobs.ErrThrottled) {
		return errThrottledTick
	}
	return err
}

// stopped reports whether err ends the tick, and says nothing about the job or the
// list that was read.
func (t *tick) stopped(err error) bool {
	err = t.causeOf(err)
	return t.outOfTime(err) || errors.Is(err, errThrottledTick) || errors.Is(err, jobs.ErrThrottled)
}

func (t *tick) count(f func(*Report)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.report)
}
