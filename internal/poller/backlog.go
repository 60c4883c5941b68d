package poller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/tags"
)

// After a pause the poller discovers many terminal statuses late. It records
// them like any other, but publishes them at the end of the sweep: if there are
// many, after a summary that announces them together, so that a channel can send
// that instead. The summary comes first, so that a crash between the two repeats
// statuses and loses none.

const (
	// maxHold is how long late statuses wait for those that this tick could not
	// discover: less than what the alarm on unpublished events allows.
	maxHold = 4 * time.Minute
	// publishTime is how long publishing and archiving one event takes at most.
	publishTime = 50 * time.Millisecond
)

// late returns the terminal statuses in the record's outbox that were observed
// long after they began.
func late(record jobs.Record) []event.Detail {
	var all []event.Detail
	for _, entry := range record.Outbox {
		if d, ok := event.Late(entry); ok {
			all = append(all, d)
		}
	}
	return all
}

// publishBacklog publishes the records whose outboxes hold late statuses, unless
// the next tick is likely to make the backlog complete.
func (t *tick) publishBacklog(ctx context.Context) {
	records := t.sorted(func(r jobs.Record) bool { return len(late(r)) > 0 })
	if len(records) > 0 && !t.holds(ctx, records) {
		t.publishLate(ctx, records)
	}
}

// holds reports whether late statuses have to wait for the next tick: this one
// was cut short before it discovered all of them, or has no time to publish them.
func (t *tick) holds(ctx context.Context, records []jobs.Record) bool {
	byWorkflow := make(map[string]int)
	longest := 0
	for _, record := range records {
		for _, d := range late(record) {
			if t.now().Sub(d.ObservedAt) > maxHold {
				return false
			}
		}
		byWorkflow[record.Job.Workflow]++
		longest = max(longest, byWorkflow[record.Job.Workflow])
	}
	deadline, ok := ctx.Deadline()
	return t.checkBudget() != nil || ok && time.Until(deadline) < time.Duration(longest)*publishTime
}

// publishLate publishes records with late statuses, and first a summary of those
// that are too many to be notified one by one: one for all workflows whose tags
// notify the same people. Those that are muted need none: the end of the mute lists
// them. When the bus does not accept a summary, they stay in their outboxes.
func (t *tick) publishLate(ctx context.Context, records []jobs.Record) {
	groups := make(map[string][]event.Detail)
	for _, record := range records {
		for _, entry := range record.Outbox {
			entry = t.unmuted(record.Job.Workflow, entry)
			if d, ok := event.Late(entry); ok && !event.Muted(entry) {
				groups[audience(d)] = append(groups[audience(d)], d)
			}
		}
	}
	backlogs := make(backlogs)
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		if len(groups[key]) <= event.MaxIndividual {
			continue
		}
		backlog, err := t.publishSummary(ctx, groups[key])
		if err != nil && !errors.Is(err, jobs.ErrUnpublishable) {
			t.problem(err)
			return
		}
		if err == nil {
			backlogs[key] = backlog
		}
	}
	inWorkflows(records, func(records []jobs.Record) {
		for _, record := range records {
			t.note(record.Job.Workflow, t.isolate(record.Job.Workflow, func() error { t.emptyOutbox(ctx, record, backlogs); return nil }))
		}
	})
}

// backlogs are the marks of summaries by audience.
type backlogs map[string]event.Backlog

// audience is a text that events have in common whose workflows' tags notify the same
// people of the same statuses.
func audience(d event.Detail) string {
	routing, _ := json.Marshal(tags.Routing(d.Tags)) // strings: it cannot fail; keys are sorted
	return string(routing)
}

// publishSummary publishes one event that announces all the statuses, and returns
// the mark for their own events. An error that wraps ErrUnpublishable means that each
// has to be announced by itself.
func (t *tick) publishSummary(ctx context.Context, all []event.Detail) (event.Backlog, error) {
	entry, backlog, err := event.EncodeSummary(all, t.now())
	if err != nil {
		err = fmt.Errorf("%w: %w", jobs.ErrUnpublishable, err)
	} else {
		entry = event.AddTags(entry, tags.Routing(all[0].Tags))
		err = t.Publisher.Publish(ctx, []jobs.Entry{entry})[0]
	}
	if err != nil {
		t.log().Error("summary not published", "jobs", len(all), "transitionId", entry.ID, "error", err.Error())
		return event.Backlog{}, fmt.Errorf("publishing a summary of %d late statuses: %w", len(all), err)
	}
	t.count(func(r *Report) { r.Summarized += len(all) })
	t.log().Info("summary published", "jobs", len(all), "transitionId", entry.ID)
	return backlog, nil
}

// mark is the entry as it is published: with the mark of the summary that
// announces its status.
func (b backlogs) mark(entry jobs.Entry) jobs.Entry {
	if len(b) == 0 {
		return entry
	}
	d, isLate := event.Late(entry)
	if backlog, ok := b[audience(d)]; isLate && ok && !event.Muted(entry) {
		entry.Detail = event.AddBacklog(entry.Detail, backlog)
	}
	return entry
}

// inWorkflows runs work for the records of each workflow, whose histories all of them
// write, with bounded concurrency.
func inWorkflows(records []jobs.Record, work func([]jobs.Record)) {
	byWorkflow := make(map[string][]jobs.Record)
	for _, record := range records {
		byWorkflow[record.Job.Workflow] = append(byWorkflow[record.Job.Workflow], record)
	}
	each(slices.Collect(maps.Values(byWorkflow)), work)
}
