package poller

import (
	"context"
	"fmt"
	"slices"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

// canary is the item that canaries go through. No workflow can be called so.
var canary = jobs.Key{Workflow: "#canary", Job: "canary"}

// Canary sends a synthetic transition the way of a real one: into the outbox of
// an item, onto the bus, out of the outbox. show is whether people are to see
// it.
func (p *Poller) Canary(ctx context.Context, show bool) (Report, error) {
	t, done := p.begin(ctx)
	defer done()
	record, err := p.Store.Record(ctx, canary)
	if err != nil {
		return Report{}, fmt.Errorf("sending a canary: reading its record: %w", err)
	}
	now := p.now()
	record.Job = jobs.Job{Key: canary, Status: jobs.Succeeded, StartTime: now, EndTime: now}
	entry := event.EncodeCanary(show, now)
	t.report.Canary = entry.ID
	if record, err = t.store(ctx, record, &entry); err != nil {
		return t.report, fmt.Errorf("sending a canary: %w", err)
	}
	t.account(slices.Values(t.drain(ctx, []jobs.Record{record})))
	return t.report, nil
}
