package poller

import (
	"context"
	"fmt"
	"maps"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/tags"
)

// ownTags are a workflow's tags as a tick has read them.
type ownTags struct {
	tags   map[string]string
	before map[string]string // as stored before
}

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
	known, read := t.tagsRead(workflow)
	if read {
		return known.tags
	}
	stored := t.state(workflow).Tags
	err := t.checkBudget()
	var own map[string]string
	if err == nil {
		own, err = t.Source.Tags(t.workCtx, arn)
	}
	if err != nil {
		own = stored
		t.count(func(r *Report) { r.TagsUnread++ })
		t.log().Warn("tags not read, those last read count", "workflow", workflow, "error", err.Error())
		if !t.stopped(err) {
			t.problem(fmt.Errorf("reading the tags of workflow %s: %w", workflow, err))
		}
	}
	t.mu.Lock()
	t.tags[workflow] = ownTags{own, stored}
	t.mu.Unlock()
	return own
}

// appended is the record with one more event in its outbox, which has the workflow's
// tags.
func appended(record jobs.Record, entry jobs.Entry, own map[string]string, status jobs.Status) jobs.Record {
	record = record.Append(event.AddTags(entry, own), status)
	last := &record.Timeline[len(record.Timeline)-1]
	last.Tags, last.Signals = tags.Deciding(own), event.Signals(entry)
	return record
}

// tagsRead are the tags of a workflow that this tick has read.
func (t *tick) tagsRead(workflow string) (ownTags, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	known, read := t.tags[workflow]
	return known, read
}

// settings are what the workflow's tags say, as this tick knows them.
func (t *tick) settings(workflow string) tags.Settings {
	own := t.state(workflow).Tags
	if known, read := t.tagsRead(workflow); read {
		own = known.tags
	}
	return tags.Parse(own, t.now())
}

// overdueRule is when jobs of a workflow are overdue.
func (t *tick) overdueRule(workflow string) jobs.OverdueRule {
	return t.overdueRuleOf(t.settings(workflow))
}

func (t *tick) overdueRuleOf(s tags.Settings) jobs.OverdueRule {
	if s.Overdue != nil {
		return *s.Overdue
	}
	return t.Overdue
}

// overdueChanged reports whether the tags that this tick has read say another time than
// those before.
func (t *tick) overdueChanged(workflow string) bool {
	known, read := t.tagsRead(workflow)
	return read && t.overdueRuleOf(tags.Parse(known.tags, t.now())) != t.overdueRuleOf(tags.Parse(known.before, t.now()))
}

// rememberTags stores the tags that this tick has read, for when they cannot be read,
// and applies to the workflow's open jobs what has changed.
func (t *tick) rememberTags(ctx context.Context) {
	t.mu.Lock()
	read := maps.Clone(t.tags)
	t.mu.Unlock()
	for workflow, known := range read {
		state := t.state(workflow)
		if state.Version == 0 || state.Unreadable != nil || maps.Equal(state.Tags, known.tags) {
			continue
		}
		t.note(workflow, t.isolate(workflow, func() error {
			if t.overdueChanged(workflow) {
				if err := t.recomputeTimes(ctx, workflow); err != nil {
					return err
				}
			}
			state.Tags = known.tags
			_, err := t.saveState(ctx, state)
			return err
		}))
	}
}
