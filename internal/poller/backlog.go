package poller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
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

// publishLate publishes records with late statuses, and first a summary of them
// if they are too many to be notified one by one. When the bus does not accept
// the summary, they stay in their outboxes.
func (t *tick) publishLate(ctx context.Context, records []jobs.Record) {
	var all []event.Detail
	for _, record := range records {
		all = append(all, late(record)...)
	}
	var backlog *event.Backlog
	if len(all) > event.MaxIndividual {
		var err error
		if backlog, err = t.publishSummary(ctx, all); err != nil && !errors.Is(err, jobs.ErrUnpublishable) {
			t.problem(err)
			return
		}
	}
	inWorkflows(records, func(records []jobs.Record) {
		for _, record := range records {
			t.note(record.Job.Workflow, t.isolate(record.Job.Workflow, func() error { t.emptyOutbox(ctx, record, backlog); return nil }))
		}
	})
}

// publishSummary publishes one event that announces all the statuses, and returns
// the mark for their own events. No mark and an error that wraps
// ErrUnpublishable mean that each has to be announced by itself.
func (t *tick) publishSummary(ctx context.Context, all []event.Detail) (*event.Backlog, error) {
	entry, backlog, err := event.EncodeSummary(all, t.now())
	if err != nil {
		err = fmt.Errorf("%w: %w", jobs.ErrUnpublishable, err)
	} else {
		err = t.Publisher.Publish(ctx, []jobs.Entry{entry})[0]
	}
	if err != nil {
		t.log().Error("summary not published", "jobs", len(all), "transitionId", entry.ID, "error", err.Error())
		return nil, fmt.Errorf("publishing a summary of %d late statuses: %w", len(all), err)
	}
	t.count(func(r *Report) { r.Summarized = len(all) })
	t.log().Info("summary published", "jobs", len(all), "transitionId", entry.ID)
	return &backlog, nil
}

// mark is the entry as it is published: with the mark of the summary that
// announces its status.
func mark(entry jobs.Entry, backlog *event.Backlog) jobs.Entry {
	if _, isLate := event.Late(entry); isLate && backlog != nil {
		entry.Detail = event.AddBacklog(entry.Detail, *backlog)
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
