package poller

import (
	"context"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
)

const (
	// fastInterval is how often a job is read whose end is likely.
	fastInterval = 5 * time.Second
	// fastUntil is for how long a tick does that, from its begin: the next one is due
	// after a minute.
	fastUntil = 40 * time.Second
)

// followFast reads the jobs whose end is likely again and again until the next tick
// is near, so that their ends are observed within seconds. It is an addition to a
// sweep that is done: what goes wrong here is left to the next tick, and is no
// failure of this one.
func (t *tick) followFast(ctx context.Context) {
	if !t.Fast {
		return
	}
	for at := fastInterval; at <= fastUntil; at += fastInterval {
		wait := time.Until(t.begun.Add(at))
		if wait < 0 {
			continue // the sweep took longer
		}
		if len(t.ending(wait)) == 0 || !t.sleep(wait) {
			return
		}
		for _, record := range t.ending(0) {
			if err := t.isolate(record.Job.Workflow, func() error { return t.observe(ctx, record, nil) }); err != nil {
				t.log().Warn("job left for the next tick", "workflow", record.Job.Workflow, "job", record.Job.Job, "error", err.Error())
				return
			}
		}
	}
}

// ending are the jobs whose end is likely a while from now, by Entity Resolution's
// clock.
func (t *tick) ending(wait time.Duration) []jobs.Record {
	at := t.clock.Add(time.Since(t.clockRead) + wait)
	return t.sorted(func(r jobs.Record) bool { return t.follows(r) && r.EndIsLikely(at) })
}

// sleep waits, and reports whether there is still time to work.
func (t *tick) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return t.workCtx.Err() == nil
	case <-t.workCtx.Done():
		return false
	}
}
