package poller

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/idmapping/notifier/internal/jobs"
)

// publish empties the outboxes of the workflow's jobs.
func (s *sweep) publish(ctx context.Context) {
	var waiting []jobs.Record
	for _, record := range s.records {
		if len(record.Pending) > 0 && !s.stuck[record.Job.Job] || !record.Open() && !record.Expiring && len(record.Pending) == 0 {
			waiting = append(waiting, record)
		}
	}
	for _, record := range s.drain(ctx, waiting) {
		s.records[record.Job.Job] = record
		s.stuck[record.Job.Job] = len(record.Pending) > 0
	}
}

// account reports what is still in the records' outboxes.
func (t *tick) account(records iter.Seq[jobs.Record]) {
	now := t.now()
	t.count(func(report *Report) {
		for record := range records {
			for _, entry := range record.Pending {
				report.Unpublished++
				report.OldestUnpublished = max(report.OldestUnpublished, int64(now.Sub(entry.ObservedAt).Seconds()))
			}
		}
	})
}

// drain puts what the records' outboxes hold on the bus and takes out what the
// bus has. The entries of one job go one after the other, each only after the
// one before it: a job's events never overtake each other on their way there.
// It returns the records as they are stored then.
func (t *tick) drain(ctx context.Context, records []jobs.Record) []jobs.Record {
	done := make(map[string]jobs.Record)
	for len(records) > 0 {
		var with []jobs.Record
		var entries []jobs.Entry
		for _, record := range records {
			if len(record.Pending) > 0 {
				with = append(with, record)
				entries = append(entries, record.Pending[0])
			} else if !record.Open() && !record.Expiring {
				done[record.Job.Key.String()] = t.settle(ctx, record, nil, nil)
			}
		}
		records = nil
		for i, err := range t.Publisher.Publish(ctx, entries) {
			record, ok := t.taken(ctx, with[i], err)
			done[record.Job.Key.String()] = record
			if ok && len(record.Pending) > 0 {
				records = append(records, record)
			}
		}
	}
	return slices.Collect(maps.Values(done))
}

// taken deals with the outcome of publishing a record's first entry, and tells
// whether the next one may follow.
func (t *tick) taken(ctx context.Context, record jobs.Record, err error) (jobs.Record, bool) {
	entry := record.Pending[0]
	switch {
	case err == nil:
		t.count(func(r *Report) { r.Published++ })
		return t.settle(ctx, record, []string{entry.ID}, nil), true
	case errors.Is(err, jobs.ErrUnpublishable):
		t.count(func(r *Report) { r.Quarantined++ })
		t.log().Error("event quarantined", "job", record.Job.Key.String(), "transitionId", entry.ID, "error", err.Error())
		return t.settle(ctx, record, nil, map[string]string{entry.ID: err.Error()}), true
	default:
		t.count(func(r *Report) {
			r.Problems = append(r.Problems, fmt.Sprintf("publishing an event of job %s: %v", record.Job.Key, err))
		})
		t.log().Warn("event kept in the outbox", "job", record.Job.Key.String(), "transitionId", entry.ID, "error", err.Error())
		return record, false
	}
}

// settle takes entries out of the record's outbox. Where that fails the next
// tick publishes them again, under the same ids.
func (t *tick) settle(ctx context.Context, record jobs.Record, published []string, refused map[string]string) jobs.Record {
	if err := t.Store.Settle(ctx, record, published, refused); err != nil {
		t.count(func(r *Report) {
			r.Problems = append(r.Problems, fmt.Sprintf("settling the outbox of job %s: %v", record.Job.Key, err))
		})
		t.log().Warn("outbox not settled", "job", record.Job.Key.String(), "error", err.Error())
	}
	record.Pending = slices.DeleteFunc(slices.Clone(record.Pending), func(e jobs.Entry) bool {
		_, r := refused[e.ID]
		return r || slices.Contains(published, e.ID)
	})
	record.Expiring = record.Expiring || len(record.Pending) == 0 && !record.Open()
	return record
}
