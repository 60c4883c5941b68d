package poller

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

// observe gets a job and records what has changed.
func (s *sweep) observe(ctx context.Context, record jobs.Record) error {
	if err := s.mayAsk(); err != nil {
		return err
	}
	job, err := s.Source.Job(s.asking, record.Job.Key)
	if errors.Is(err, jobs.ErrNotFound) {
		return s.miss(ctx, record)
	}
	if err != nil {
		return err
	}
	if record, err = s.advance(ctx, s.watch, record, job); err != nil {
		return err
	}
	s.records[job.Job] = record
	return nil
}

// advance records what job means beside record and returns the record as it is
// stored then.
func (t *tick) advance(ctx context.Context, w jobs.Watch, record jobs.Record, job jobs.Job) (jobs.Record, error) {
	verdict, transition := jobs.Advance(jobOf(record), job)
	if verdict != jobs.Changed && verdict != jobs.Refined {
		if record.Missing.Count == 0 && !record.Vanished {
			return record, nil
		}
		record.Missing, record.Vanished = jobs.Missing{}, false // it is back
		return t.store(ctx, record, nil)
	}
	record.Job = event.Trim(job)
	record.Missing, record.Vanished = jobs.Missing{}, false
	if verdict == jobs.Refined {
		return t.store(ctx, record, nil)
	}
	entry, err := event.Encode(w.ARN, transition, t.now())
	if err != nil {
		return record, err
	}
	return t.store(ctx, record, &entry)
}

// back records that a job that was missed is there again.
func (s *sweep) back(ctx context.Context, record jobs.Record) error {
	record.Missing, record.Vanished = jobs.Missing{}, false
	return s.save(ctx, record, nil)
}

// miss records that a job was not found where it should be. A job that was
// never recorded is left for the next tick: it may be too new to be got.
func (s *sweep) miss(ctx context.Context, record jobs.Record) error {
	if record.Version == 0 {
		return fmt.Errorf("getting job %s: %w", record.Job.Key, jobs.ErrNotFound)
	}
	now := s.now()
	missing, vanished := jobs.Miss(record, now)
	if !vanished && missing == record.Missing {
		return nil
	}
	record.Missing, record.Vanished = missing, vanished
	if !vanished {
		return s.save(ctx, record, nil)
	}
	entry, err := event.EncodeVanished(s.watch.ARN, record.Job, now)
	if err != nil {
		return err
	}
	return s.save(ctx, record, &entry)
}

func (s *sweep) save(ctx context.Context, record jobs.Record, entry *jobs.Entry) error {
	record, err := s.store(ctx, record, entry)
	if err == nil {
		s.records[record.Job.Job] = record
	}
	return err
}

// store writes the record and returns it as stored.
func (t *tick) store(ctx context.Context, record jobs.Record, entry *jobs.Entry) (jobs.Record, error) {
	if entry != nil {
		entry.Seq = record.Version + 1
	}
	if err := t.Store.Save(ctx, record, entry); err != nil {
		return record, fmt.Errorf("saving job %s: %w", record.Job.Key, err)
	}
	record.Version++
	record.Expiring = false
	if entry != nil {
		record.Pending = append(slices.Clone(record.Pending), *entry)
		t.count(func(r *Report) { r.Transitions++ })
		t.log().Info("transition", "workflow", record.Job.Workflow, "job", record.Job.Job,
			"status", record.Job.Status, "detailType", entry.DetailType, "transitionId", entry.ID)
	}
	return record, nil
}

// jobOf is the job as known, or nil when the record is new.
func jobOf(r jobs.Record) *jobs.Job {
	if r.Version == 0 {
		return nil
	}
	return &r.Job
}
