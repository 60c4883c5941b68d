package poller

import (
	"context"
	"errors"
	"fmt"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

// reportOverdue reports each open job that takes far longer than usual, once. It
// follows the discovery, so that it knows which other jobs run, and counts only
// what this tick has read: a job that could not be read may have ended.
func (t *tick) reportOverdue(ctx context.Context) {
	for _, record := range t.sorted(func(r jobs.Record) bool { // whose history could not be read
		return r.Open() && r.Unreadable == nil && r.Job.Status.Known() && r.OverdueAt.IsZero()
	}) {
		if t.overdueRule(record.Job.Workflow).Off {
			continue
		}
		if err := t.isolate(record.Job.Workflow, func() error { return t.computeTimes(ctx, record) }); err != nil {
			t.problem(err) // the next tick tries again
		}
	}
	for _, record := range t.sorted(func(r jobs.Record) bool {
		return r.Open() && r.Unreadable == nil && r.OverdueSince.IsZero() && !r.OverdueAt.IsZero() && !r.OverdueAt.After(t.clock)
	}) {
		workflow := record.Job.Workflow
		if t.seen[record.Job.Key] && !t.waits(record) {
			t.note(workflow, t.isolate(workflow, func() error { return t.reportOverdueJob(ctx, record) }))
		}
	}
}

// waits reports whether a QUEUED job may only be waiting: one ID mapping job runs
// at a time in an account and region, and jobs that this poller does not see run too.
func (t *tick) waits(record jobs.Record) bool {
	if record.Job.Status != jobs.Queued {
		return false
	}
	include, exclude := t.Watched.String()
	hidden := include != "*" || exclude != ""
	for _, err := range t.failed {
		hidden = hidden || errors.Is(err, jobs.ErrDenied)
	}
	return hidden || t.running(record.Job.Key) != nil
}

func (t *tick) reportOverdueJob(ctx context.Context, record jobs.Record) error {
	histories, complete, err := t.histories(ctx, record.Job)
	if err != nil {
		return fmt.Errorf("comparing job %s with earlier runs: %w", record.Job.Key, err)
	}
	var a jobs.Assessment
	if complete {
		a = histories.AssessOpen(record, t.now())
	}
	var waiting []jobs.Key
	for _, r := range t.sorted(func(r jobs.Record) bool {
		return r.Open() && r.Unreadable == nil && r.Job.Status == jobs.Queued && r.Job.Key != record.Job.Key && record.Job.Status == jobs.Running
	}) {
		waiting = append(waiting, r.Job.Key)
	}
	own, err := t.eventTags(ctx, record.Job.Workflow, record.ARN)
	if err != nil {
		return err
	}
	if t.overdueChanged(record.Job.Workflow) {
		if err := t.computeTimes(ctx, record); err != nil {
			return err
		}
		record, _ = t.stored(record.Job.Key)
		if record.OverdueAt.IsZero() || record.OverdueAt.After(t.clock) {
			return nil
		}
	}
	record.OverdueSince = record.OverdueAt
	entry, err := event.EncodeOverdue(record.ARN, record.Job, a, record.OverdueSince, waiting, t.now())
	if err != nil {
		return err
	}
	if err := t.save(ctx, appended(record, entry, own, jobs.Overdue)); err != nil {
		return err
	}
	stored, _ := t.stored(record.Job.Key)
	t.publish(ctx, stored)
	return nil
}

// recomputeTimes computes the times of the open jobs of a workflow anew, once more of
// its earlier runs are known.
func (t *tick) recomputeTimes(ctx context.Context, workflow string) error {
	var problems []error
	for _, record := range t.sorted(func(r jobs.Record) bool {
		return r.Job.Workflow == workflow && r.Open() && r.Unreadable == nil && r.OverdueSince.IsZero()
	}) {
		problems = append(problems, t.computeTimes(ctx, record))
	}
	return errors.Join(problems...)
}

// computeTimes computes the times of an open job after the tick that observed its
// status.
func (t *tick) computeTimes(ctx context.Context, record jobs.Record) error {
	histories, _, err := t.histories(ctx, record.Job)
	if err != nil {
		return fmt.Errorf("computing when job %s is overdue: %w", record.Job.Key, err)
	}
	record.OpenTimes = histories.OpenTimes(t.overdueRule(record.Job.Workflow), record, record.Timeline[len(record.Timeline)-1].ObservedAt)
	return t.save(ctx, record)
}
