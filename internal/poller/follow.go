package poller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

// follow is the first pass: it gets every open job and empties the outboxes, so
// that a terminal status takes one tick to detect, however long the lists are.
func (t *tick) follow(ctx context.Context, match func(jobs.Record) bool) {
	for workflow := range maps.Clone(t.states) {
		t.note(workflow, t.isolate(workflow, func() error { return t.publishRuns(ctx, workflow) }))
	}
	records := t.sorted(func(r jobs.Record) bool { return match(r) && !r.Archived })
	inWorkflows(records, func(records []jobs.Record) {
		workflow := records[0].Job.Workflow
		t.note(workflow, t.isolate(workflow, func() error { t.readAhead(records); return nil }))
		slices.SortFunc(records, func(a, b jobs.Record) int { return t.ref(a).Compare(t.ref(b)) })
		for _, record := range records {
			t.note(workflow, t.isolate(workflow, func() error { return t.followOne(ctx, record) }))
		}
	})
}

// readAhead reads the jobs to follow in any order, before they are compared in their
// own: no job is always the last one, and so the one that is never read while ticks
// are throttled.
func (t *tick) readAhead(records []jobs.Record) {
	for _, i := range rand.Perm(len(records)) {
		if r := records[i]; t.follows(r) {
			job, err := t.get(r.Job.Key)
			t.mu.Lock()
			t.read[r.Job.Key] = observation{job, err}
			t.mu.Unlock()
		}
	}
}

// ref is the run of a record, with its start as it was read: that of a QUEUED job may
// not be known before.
func (t *tick) ref(r jobs.Record) jobs.RunRef {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ahead, known := t.read[r.Job.Key]; known && ahead.err == nil {
		return ahead.job.Ref()
	}
	return r.Job.Ref()
}

// follows reports whether the first pass reads the job of a record. While the filter
// excludes its workflow it does not: the job is followed again when the workflow is
// included again.
func (t *tick) follows(r jobs.Record) bool {
	return r.Unreadable == nil && r.Open() && (r.Tracked || t.Watched.Has(r.Job.Workflow))
}

func (t *tick) followOne(ctx context.Context, record jobs.Record) error {
	switch {
	case record.Unreadable != nil:
		return record.Unreadable
	case t.follows(record):
		return t.observe(ctx, record, nil)
	default:
		t.publish(ctx, record)
		return nil
	}
}

// observe reads a job, records what has changed and publishes it. row is the
// job's row in a list, or nil.
func (t *tick) observe(ctx context.Context, record jobs.Record, row *jobs.Job) error {
	err := t.record(ctx, record, row)
	if stored, known := t.stored(record.Job.Key); known {
		t.publish(ctx, stored) // also what an earlier tick left in the outbox
	}
	return err
}

// record reads a job and records what has changed.
func (t *tick) record(ctx context.Context, record jobs.Record, row *jobs.Job) error {
	job, err := t.get(record.Job.Key)
	followed := record.Version > 0 && record.Open()
	switch {
	case errors.Is(err, jobs.ErrNotFound) && followed:
		return t.miss(ctx, record)
	case errors.Is(err, jobs.ErrNotFound) && row != nil:
		if record.Vanished && !row.Terminal() {
			return nil // reported; its stub waits for a terminal status
		}
		if !jobs.Appeared(*row, t.clock) {
			return fmt.Errorf("getting listed job %s: %w", record.Job.Key, errNotYet)
		}
		job = *row
	case t.unreadable(err) && row != nil && record.Version == 0 && !row.StartTime.IsZero() && t.clock.Sub(row.StartTime) > unreadableAfter:
		job = *row
	case err != nil:
		return err
	}
	if record.Version == 0 && row != nil && t.state(job.Workflow).PredatesWatch(job) {
		return nil // its row was out of date
	}
	if err := t.advance(ctx, record, job); err != nil {
		return err // such as a conflict: what this tick knows of the job is out of date
	}
	t.saw(job.Key)
	return nil
}

// errNotYet: a listed job cannot be read yet, which is no failure of its
// workflow but has to be tried again.
var errNotYet = errors.New("listed, but not found yet")

// unreadableAfter is for how long a run whose details cannot be read is tried
// again before the poller does without them.
const unreadableAfter = time.Hour

// unreadable reports whether err is about the one job that was read.
func (t *tick) unreadable(err error) bool {
	return (errors.Is(err, jobs.ErrUnavailable) || errors.Is(err, jobs.ErrRejected)) && !t.stopped(err)
}

// observation is what a read of a job returned.
type observation struct {
	job jobs.Job
	err error
}

func (t *tick) get(key jobs.Key) (jobs.Job, error) {
	t.mu.Lock()
	ahead, known := t.read[key]
	delete(t.read, key)
	t.mu.Unlock()
	if known {
		return ahead.job, ahead.err
	}
	if err := t.checkBudget(); err != nil {
		return jobs.Job{}, err
	}
	return t.Source.Job(t.workCtx, key)
}

// advance compares an observation with the record and stores what has changed.
func (t *tick) advance(ctx context.Context, record jobs.Record, job jobs.Job) error {
	verdict, transition := record.Advance(job)
	present := record
	present.Missing, present.Vanished, present.Archived, present.ObservedAt = jobs.Missing{}, false, false, time.Time{}
	switch {
	case verdict == jobs.Changed:
		own, err := t.eventTags(ctx, job.Workflow, record.ARN)
		if err != nil {
			return err
		}
		transition.Assessment, present.OpenTimes = t.assess(ctx, record, job)
		entry, err := event.Encode(record.ARN, transition, t.now())
		if err != nil {
			return err
		}
		present.Job = event.Trim(job)
		return t.save(ctx, appended(present, entry, own, job.Status))
	case verdict == jobs.Regressed:
		t.count(func(r *Report) { r.Regressions++ })
		t.log().Warn("regression ignored", "workflow", job.Workflow, "job", job.Job, "known", record.Job.Status, "observed", job.Status)
		return nil
	case record.Missing.Count > 0 || record.Vanished: // it has reappeared
		return t.save(ctx, present)
	default:
		return nil
	}
}

// miss records that a job was not found where it should be.
func (t *tick) miss(ctx context.Context, record jobs.Record) error {
	now := t.now()
	missing, vanished := record.Missing.Again(now)
	if !vanished && missing == record.Missing {
		return nil
	}
	record.Missing, record.Vanished = missing, vanished
	if vanished {
		own, err := t.eventTags(ctx, record.Job.Workflow, record.ARN)
		if err != nil {
			return err
		}
		entry, err := event.EncodeVanished(record.ARN, record.Job, now)
		if err != nil {
			return err
		}
		record = appended(record, entry, own, jobs.Vanished)
	}
	return t.save(ctx, record)
}

// publish empties a record's outbox, unless it holds a late status: the end of
// the sweep publishes those, see publishBacklog.
func (t *tick) publish(ctx context.Context, record jobs.Record) {
	if len(late(record)) == 0 {
		t.emptyOutbox(ctx, record, nil)
	}
}

// emptyOutbox puts the events of a record's outbox on the bus, each only after
// the one before it, so that a job's events never overtake each other, and
// removes them from the outbox in one write. Late statuses get the mark of the
// summary that announces them, if there is one. This is the only place that
// publishes transitions.
func (t *tick) emptyOutbox(ctx context.Context, record jobs.Record, announced backlogs) {
	before := len(record.Outbox)
	for len(record.Outbox) > 0 {
		entry, err := t.settle(ctx, record.Job.Workflow, record.Outbox[0])
		if err != nil {
			t.note(record.Job.Workflow, fmt.Errorf("noting a muted event of job %s: %w", record.Job.Key, err))
			break
		}
		refused, done := t.put(ctx, announced.mark(entry), "job "+record.Job.Key.String(),
			t.log().With("workflow", record.Job.Workflow, "job", record.Job.Job))
		if !done {
			break
		}
		if refused != nil {
			record = record.Refuse(refused.Error())
		} else {
			record = record.Published(t.now())
		}
	}
	if len(record.Outbox) == before && !record.Finished() {
		return
	}
	if err := t.removePublished(ctx, record); err != nil {
		// The next tick publishes the events again, under the same IDs.
		t.keep(record)
		t.note(record.Job.Workflow, fmt.Errorf("removing published events of job %s: %w", record.Job.Key, err))
	}
}

// put puts one event about a job or a workflow on the bus. It is not done while the
// bus has not accepted the event; refused says why it never will.
func (t *tick) put(ctx context.Context, entry jobs.Entry, subject string, log *slog.Logger) (refused error, done bool) {
	err := t.Publisher.Publish(ctx, []jobs.Entry{entry})[0]
	log = log.With("transitionId", entry.ID)
	switch {
	case err == nil:
		t.count(func(r *Report) { r.Published++ })
		return nil, true
	case errors.Is(err, jobs.ErrUnpublishable):
		t.count(func(r *Report) { r.Quarantined++ })
		log.Error("event quarantined", "detail", entry.Detail, "error", err.Error())
		return err, true
	default:
		t.problem(fmt.Errorf("publishing an event of %s: %w", subject, err))
		log.Warn("event kept in the outbox", "error", err.Error())
		return nil, false
	}
}

// removePublished writes the record without the events that were published, and
// moves a finished run to the archive. If archiving fails, it writes the empty
// outbox by itself: the archive can wait for the next tick.
func (t *tick) removePublished(ctx context.Context, record jobs.Record) error {
	if !record.Finished() {
		return t.save(ctx, record)
	}
	stored, _ := t.stored(record.Job.Key)
	err := t.Store.Archive(ctx, record)
	if err == nil {
		stub := record.Stub()
		stub.Version++
		t.keep(stub)
		return nil
	}
	if errors.Is(err, jobs.ErrConflict) || len(stored.Outbox) == 0 {
		return err
	}
	return errors.Join(err, t.save(ctx, record))
}

// save writes the record.
func (t *tick) save(ctx context.Context, record jobs.Record) error {
	known, _ := t.stored(record.Job.Key)
	if err := t.Store.Save(ctx, record); err != nil {
		return fmt.Errorf("saving job %s: %w", record.Job.Key, err)
	}
	record.Version++
	t.keep(record)
	for _, entry := range record.Outbox {
		if slices.ContainsFunc(known.Outbox, func(e jobs.Entry) bool { return e.ID == entry.ID }) {
			continue
		}
		t.recorded(entry, t.log().With("workflow", record.Job.Workflow, "job", record.Job.Job, "status", record.Job.Status))
	}
	return nil
}

// recorded accounts for an event that is in an outbox from now on.
func (t *tick) recorded(entry jobs.Entry, log *slog.Logger) {
	t.count(func(r *Report) {
		r.Transitions++
		t.sent[entry.ID] = !event.Muted(entry)
	})
	log.Info("transition", "detailType", entry.DetailType, "findings", event.Findings(entry), "transitionId", entry.ID)
}

func (t *tick) keep(record jobs.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records[record.Job.Key] = record
}

// drop removes a record that nothing depends on any more.
func (t *tick) drop(ctx context.Context, record jobs.Record) error {
	if err := t.Store.Delete(ctx, record); err != nil {
		return fmt.Errorf("removing job %s: %w", record.Job.Key, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.records, record.Job.Key)
	return nil
}

func (t *tick) problem(err error) {
	t.count(func(r *Report) { r.Problems = append(r.Problems, err.Error()) })
}

// saw notes that this tick has read a job, and knows its record as it is stored.
func (t *tick) saw(key jobs.Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen[key] = true
}
