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

// mute stores until when the tags mute the workflow. A workflow that is not watched
// has no state to store it with, and is not muted: see [tick.unmuted].
func (t *tick) mute(ctx context.Context, workflow string, own map[string]string) error {
	now := t.now()
	settings := tags.Parse(own, now)
	state := t.state(workflow)
	if !settings.Muted(now) || state.Version == 0 || state.Unreadable != nil {
		return nil
	}
	mute := state.Mute
	mute.Until, mute.Reason = settings.MuteUntil, settings.MuteReason
	if mute.Since.IsZero() {
		mute.Since = now.Truncate(time.Second)
	}
	if mute == state.Mute {
		return nil
	}
	state.Mute = mute
	if !t.overdueChanged(workflow) { // otherwise rememberTags stores them
		state.Tags = own
	}
	_, err := t.saveState(ctx, state)
	return err
}

// unmuted is the entry as it is published: still muted only where the workflow's state
// says so, because nothing else would ever report it. The state may have no mute any
// more when another poller has published its end.
func (t *tick) unmuted(workflow string, entry jobs.Entry) jobs.Entry {
	if event.Muted(entry) && !t.state(workflow).Mute.Covers(entry.ObservedAt) {
		return event.Unmute(entry)
	}
	return entry
}

// settle is the entry as it is published. Before a muted one it writes the workflow's
// state: the write fails where another poller, which may not know the entry, has
// published the end of the mute, and otherwise makes that one's write fail.
func (t *tick) settle(ctx context.Context, workflow string, entry jobs.Entry) (jobs.Entry, error) {
	entry = t.unmuted(workflow, entry)
	if !event.Muted(entry) {
		return entry, nil
	}
	state := t.state(workflow)
	state.Mute = state.Mute.With(entry.Time)
	_, err := t.saveState(ctx, state)
	return entry, err
}

// endMutes publishes, for each workflow whose mute has ended, what was not sent. It
// reads the tags again: the mute may have been extended.
func (t *tick) endMutes(ctx context.Context) {
	t.mu.Lock()
	states := maps.Clone(t.states)
	read := maps.Clone(t.tags)
	t.mu.Unlock()
	for workflow, state := range states {
		_, known := read[workflow]
		lasts := t.now().Before(state.Mute.Until) && t.settings(workflow).Muted(t.now()) // as far as is known
		if state.Mute.Until.IsZero() || !known && lasts {
			continue
		}
		t.note(workflow, t.isolate(workflow, func() error { return t.endMute(ctx, workflow) }))
	}
}

func (t *tick) endMute(ctx context.Context, workflow string) error {
	if _, err := t.eventTags(ctx, workflow, t.state(workflow).ARN); err != nil {
		return err
	}
	state := t.state(workflow)
	if t.settings(workflow).Muted(t.now()) || len(state.Outbox) > 0 || t.unpublished(workflow) {
		return nil // eventTags has stored until when; what the bus has not accepted comes first
	}
	return t.publishMuteEnded(ctx, state)
}

// unpublished reports whether jobs of the workflow have events in their outboxes.
func (t *tick) unpublished(workflow string) bool {
	return len(t.sorted(func(r jobs.Record) bool { return r.Job.Workflow == workflow && len(r.Outbox) > 0 })) > 0
}

// publishMuteEnded records in one write that the mute has ended and the event that
// says what was not sent, and publishes that.
func (t *tick) publishMuteEnded(ctx context.Context, state jobs.WorkflowState) error {
	own := t.readTags(state.Workflow, state.ARN)
	records, err := t.since(ctx, state.Workflow, state.Mute.From())
	if err != nil {
		return fmt.Errorf("reading what was muted: %w", err)
	}
	histories, _, err := t.histories(ctx, jobs.Job{Key: jobs.Key{Workflow: state.Workflow}})
	if err != nil {
		return fmt.Errorf("reading what was muted: %w", err)
	}
	entry, err := event.EncodeMuteEnded(state, state.Mute, records, histories.Runs, t.now())
	if err != nil {
		return err
	}
	entry = event.AddTags(entry, own)
	state.Mute = jobs.Mute{}
	if _, err := t.saveState(ctx, state.Append(entry)); err != nil {
		return err
	}
	t.recorded(entry, t.log().With("workflow", state.Workflow))
	return t.publishRuns(ctx, state.Workflow)
}

// since are the records of a workflow that may have changed since the given time, the
// archived ones included, which are ordered by the end of their run. Those whose last
// event this tick has recorded, and its tags do not mute, are not among them.
func (t *tick) since(ctx context.Context, workflow string, at time.Time) ([]jobs.Record, error) {
	records := t.sorted(func(r jobs.Record) bool {
		return r.Job.Workflow == workflow && r.Unreadable == nil && !r.Archived && !t.sent[r.LastID()]
	})
	for record, err := range t.Store.Archived(ctx, workflow, at) {
		if err != nil {
			return nil, err
		}
		t.mu.Lock()
		sent := t.sent[record.LastID()]
		t.mu.Unlock()
		if record.Unreadable == nil && !sent {
			records = append(records, record)
		}
	}
	return records, nil
}
