package poller

import (
	"context"
	"errors"
	"fmt"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

// backfillPerTick is how many earlier runs a tick fetches at most: history can
// wait, open jobs cannot.
const backfillPerTick = 20

// backfill fetches runs that finished before their workflow was watched and adds
// them to the history, without an event.
func (t *tick) backfill(ctx context.Context) {
	left := backfillPerTick
	for workflow := range t.targets {
		state := t.state(workflow)
		if state.Unreadable != nil || state.Watermark.IsZero() || len(state.Backfill) == 0 || left == 0 {
			continue
		}
		fetch := state.Backfill[:min(left, len(state.Backfill))]
		left -= len(fetch)
		t.note(workflow, t.isolate(workflow, func() error { return t.backfillOne(ctx, state, fetch) }))
	}
}

func (t *tick) backfillOne(ctx context.Context, state jobs.WorkflowState, fetch []jobs.RunRef) error {
	var fetched []string
	var runs []jobs.Record
	for _, ref := range fetch {
		job, err := t.get(jobs.Key{Workflow: state.Workflow, Job: ref.Job})
		if t.unreadable(err) {
			if t.clock.Sub(state.Baseline) > unreadableAfter {
				fetched = append(fetched, ref.Job)
				t.log().Warn("earlier run left out of the history", "workflow", state.Workflow, "job", ref.Job, "error", err.Error())
			}
			continue
		}
		if err != nil && !errors.Is(err, jobs.ErrNotFound) {
			if !t.outOfTime(err) { // otherwise the next tick continues
				t.note(state.Workflow, err)
			}
			break
		}
		fetched = append(fetched, ref.Job)
		if err == nil && job.Terminal() {
			runs = append(runs, jobs.Record{Job: event.Trim(job), ARN: state.ARN})
		}
	}
	if len(fetched) == 0 {
		return nil
	}
	if err := t.Store.Backfill(ctx, state.Workflow, runs); err != nil {
		return fmt.Errorf("adding earlier runs to its history: %w", err)
	}
	t.count(func(r *Report) { r.Backfilled += len(runs) })
	saved, err := t.saveState(ctx, state.Fetched(fetched))
	if err == nil && len(saved.Backfill) == 0 {
		err = t.recomputeTimes(ctx, state.Workflow)
	}
	return err
}

// cleanUp removes what an idle tick must not read forever: stubs of jobs that the
// list can no longer show as new, and what is left of workflows that are excluded
// or deleted.
func (t *tick) cleanUp(ctx context.Context) {
	for _, record := range t.sorted(func(r jobs.Record) bool { return r.Archived && r.Unreadable == nil }) {
		workflow := record.Job.Workflow
		state, known := t.states[workflow]
		_, shown := t.list.Workflows[workflow]
		if t.Watched.Has(workflow) && !(known && state.Obsolete(record, t.clock)) && (known || shown) {
			continue
		}
		t.note(workflow, t.isolate(workflow, func() error { return t.drop(ctx, record) }))
	}
	for workflow, state := range t.states {
		if t.Watched.Has(workflow) || state.Unreadable != nil {
			continue
		}
		t.note(workflow, t.isolate(workflow, func() error { return t.unwatch(ctx, state) }))
	}
}

// unwatch keeps of an excluded workflow only that it is known, and what its tags mute:
// when the filter includes it again, it is watched from then on.
func (t *tick) unwatch(ctx context.Context, state jobs.WorkflowState) error {
	if _, shown := t.list.Workflows[state.Workflow]; !shown {
		for _, record := range t.sorted(func(r jobs.Record) bool {
			return r.Job.Workflow == state.Workflow && r.Open() && !r.Tracked && r.Unreadable == nil
		}) {
			if err := t.drop(ctx, record); err != nil {
				return err
			}
		}
		return t.forget(ctx, state)
	}
	known := jobs.WorkflowState{Workflow: state.Workflow, ARN: state.ARN, Version: state.Version, Outbox: state.Outbox, Tags: state.Tags, Mute: state.Mute}
	if known.Equal(state) {
		return nil
	}
	_, err := t.saveState(ctx, known)
	return err
}

// saveFilter records the filter of the first tick in which every workflow that
// it includes has a state.
func (t *tick) saveFilter(ctx context.Context) {
	include, exclude := t.Watched.String()
	if t.filter.Same(include, exclude) {
		return
	}
	for name := range t.list.Workflows {
		if t.Watched.Has(name) && t.state(name).Version == 0 {
			return
		}
	}
	f := jobs.FilterState{Include: include, Exclude: exclude, Since: t.clock, Version: t.filter.Version}
	if err := t.Store.SaveFilter(ctx, f); err != nil && !errors.Is(err, jobs.ErrConflict) {
		t.problem(fmt.Errorf("saving the filter: %w", err))
		t.log().Warn("filter not saved", "error", err.Error())
	}
}
