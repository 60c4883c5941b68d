package poller

import (
	"context"
	"fmt"

	"github.com/idmapping/notifier/internal/jobs"
)

// assess compares a run with earlier ones, once when it starts and once when it
// finishes. Where the histories cannot be read, the transition goes without: it
// must not wait for them.
func (t *tick) assess(ctx context.Context, record jobs.Record, job jobs.Job) (a jobs.Assessment, times jobs.OpenTimes) {
	record.Job = job
	histories, complete, err := t.histories(ctx, job)
	if err != nil {
		t.problem(fmt.Errorf("comparing job %s with earlier runs: %w", job.Key, err))
		t.log().Warn("histories not read", "workflow", job.Workflow, "job", job.Job, "error", err.Error())
	} else if job.Status == jobs.Running || job.Terminal() {
		a = histories.Assess(record, complete, t.now())
	}
	if job.Terminal() {
		a.OverdueSince = record.OverdueSince
		return a, jobs.OpenTimes{OverdueAt: record.OverdueAt}
	}
	if job.Status == jobs.Queued {
		a.WaitsFor = t.running(job.Key)
	}
	if err != nil {
		return a, jobs.OpenTimes{} // reportOverdue computes them
	}
	return a, histories.OpenTimes(t.overdueRule(job.Workflow), record, t.now())
}

// histories are what a job is compared with, and whether they are complete.
func (t *tick) histories(ctx context.Context, job jobs.Job) (jobs.Histories, bool, error) {
	histories, err := t.Store.Histories(ctx, job.Workflow)
	if err != nil {
		return jobs.Histories{}, false, err
	}
	// Runs that finished and whose events are not all published yet.
	for _, r := range t.sorted(func(r jobs.Record) bool {
		return r.Job.Workflow == job.Workflow && r.Job.Key != job.Key && r.Job.Terminal() && !r.Archived && r.Unreadable == nil
	}) {
		histories.Add(r)
	}
	state := t.state(job.Workflow)
	complete := state.Version > 0 && state.Unreadable == nil && !state.Watermark.IsZero() && len(state.Backfill) == 0
	return histories, complete, nil
}

// running is the job that a QUEUED one waits for, if this tick knows it: one ID
// mapping job runs at a time in an account and region.
func (t *tick) running(queued jobs.Key) *jobs.Key {
	for _, r := range t.sorted(func(r jobs.Record) bool {
		return r.Open() && r.Unreadable == nil && r.Job.Status == jobs.Running && r.Job.Key != queued
	}) {
		return &r.Job.Key
	}
	return nil
}
