package poller

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/tags"
)

// eventTags returns the tags for an event that is about to be created. Where they mute
// the workflow it first stores until when: so the summary of what was muted cannot be
// lost.
func (t *tick) eventTags(ctx context.Context, workflow, arn string) (map[string]string, error) {
	own := t.readTags(workflow, arn)
	return own, t.mute(ctx, workflow, own)
}

// readTags reads a workflow's tags, once a tick: when it is first watched, when an
// event about it is about to be created and when a request names it. An idle tick
// reads none. When they cannot be read, those last read count.
func (t *tick) readTags(workflow, arn string) map[string]string {
	t.mu.Lock()
	own, read := t.tags[workflow]
	t.mu.Unlock()
	if read {
		return own
	}
	err := t.checkBudget()
	if err == nil {
		own, err = t.Source.Tags(t.workCtx, arn)
	}
	if err != nil {
		own = t.state(workflow).Tags
		t.count(func(r *Report) { r.TagsUnread++ })
		t.log().Warn("tags not read, those last read count", "workflow", workflow, "error", err.Error())
		if !t.stopped(err) {
			t.problem(fmt.Errorf("reading the tags of workflow %s: %w", workflow, err))
		}
	}
	t.mu.Lock()
	t.tags[workflow] = own
	t.mu.Unlock()
	return own
}

// appended is the record with one more event in its outbox, which has the workflow's
// tags.
func appended(record jobs.Record, entry jobs.Entry, own map[string]string, status jobs.Status) jobs.Record {
	record = record.Append(event.AddTags(entry, own), status)
	last := &record.Timeline[len(record.Timeline)-1]
	last.Tags, last.Signals = tags.Routing(own), event.Signals(entry)
	return record
}

// settings are what the workflow's tags say, as this tick knows them.
func (t *tick) settings(workflow string) tags.Settings {
	t.mu.Lock()
	own, read := t.tags[workflow]
	if !read {
		own = t.states[workflow].Tags
	}
	t.mu.Unlock()
	return tags.Parse(own, t.now())
}

// overdueRule is when jobs of a workflow are overdue.
func (t *tick) overdueRule(workflow string) jobs.OverdueRule {
	if rule := t.settings(workflow).Overdue; rule != nil {
		return *rule
	}
	return t.Overdue
}

// mute stores until when the tags mute the workflow. A workflow that is not watched
// has no state to store it with, and no summary.
func (t *tick) mute(ctx context.Context, workflow string, own map[string]string) error {
	now := t.now()
	settings := tags.Parse(own, now)
	state := t.state(workflow)
	if !settings.Muted(now) || state.Version == 0 || state.Unreadable != nil {
		return nil
	}
	mute := jobs.Mute{Since: state.Mute.Since, Until: settings.MuteUntil, Reason: settings.MuteReason}
	if mute.Since.IsZero() {
		mute.Since = now.Truncate(time.Second)
	}
	if mute == state.Mute {
		return nil
	}
	state.Mute = mute
	_, err := t.saveState(ctx, state)
	return err
}

// endMutes publishes, for each workflow whose mute has ended, what was not sent. It
// reads the tags again: the mute may have been extended.
func (t *tick) endMutes(ctx context.Context) {
	t.mu.Lock()
	states := maps.Clone(t.states)
	read := maps.Clone(t.tags)
	t.mu.Unlock()
	for workflow, state := range states {
		if _, known := read[workflow]; state.Mute.Until.IsZero() || !known && t.now().Before(state.Mute.Until) {
			continue
		}
		t.note(workflow, t.isolate(workflow, func() error { return t.endMute(ctx, workflow) }))
	}
}

func (t *tick) endMute(ctx context.Context, workflow string) error {
	if _, err := t.eventTags(ctx, workflow, t.state(workflow).ARN); err != nil {
		return err
	}
	if t.settings(workflow).Muted(t.now()) {
		return nil // eventTags has stored until when
	}
	return t.publishMuteEnded(ctx, t.state(workflow))
}

// publishMuteEnded records in one write that the mute has ended and the event that
// says what was not sent, and publishes that.
func (t *tick) publishMuteEnded(ctx context.Context, state jobs.WorkflowState) error {
	ended := state.Mute
	if now := t.now(); now.Before(ended.Until) {
		ended.Until = now
	}
	records, err := t.since(ctx, state.Workflow, ended.Since)
	if err != nil {
		return fmt.Errorf("reading what was muted: %w", err)
	}
	histories, err := t.Store.Histories(ctx, state.Workflow)
	if err != nil {
		return fmt.Errorf("reading what was muted: %w", err)
	}
	entry, err := event.EncodeMuteEnded(state, ended, records, histories.Runs, t.now())
	if err != nil {
		return err
	}
	entry = event.AddTags(entry, t.readTags(state.Workflow, state.ARN))
	state.Mute = jobs.Mute{}
	if _, err := t.saveState(ctx, state.Append(entry)); err != nil {
		return err
	}
	t.recorded(entry, t.log().With("workflow", state.Workflow))
	return t.publishRuns(ctx, state.Workflow)
}

// archiveMargin is how long before its observation a run may have ended: the archive
// is ordered by the end.
const archiveMargin = 7 * 24 * time.Hour

// since are the records of a workflow that may have changed since the given time, the
// archived ones included.
func (t *tick) since(ctx context.Context, workflow string, at time.Time) ([]jobs.Record, error) {
	records := t.sorted(func(r jobs.Record) bool {
		return r.Job.Workflow == workflow && r.Unreadable == nil && !r.Archived
	})
	for record, err := range t.Store.Archived(ctx, workflow, at.Add(-archiveMargin)) {
		if err != nil {
			return nil, err
		}
		if record.Unreadable == nil {
			records = append(records, record)
		}
	}
	return records, nil
}

// refreshTags reads the tags of a workflow that a request names, and applies what has
// changed to its open jobs.
func (t *tick) refreshTags(ctx context.Context, workflow string) {
	before := t.overdueRule(workflow)
	t.readTags(workflow, t.state(workflow).ARN)
	if t.overdueRule(workflow) != before {
		t.note(workflow, t.isolate(workflow, func() error { return t.recomputeTimes(ctx, workflow) }))
	}
}

// rememberTags stores the tags that this tick has read, for when they cannot be read.
func (t *tick) rememberTags(ctx context.Context) {
	t.mu.Lock()
	read := maps.Clone(t.tags)
	t.mu.Unlock()
	for workflow, own := range read {
		state := t.state(workflow)
		if state.Version == 0 || state.Unreadable != nil || maps.Equal(state.Tags, own) {
			continue
		}
		state.Tags = own
		if _, err := t.saveState(ctx, state); err != nil {
			t.note(workflow, err)
		}
	}
}
