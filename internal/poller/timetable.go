package poller

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

// expectRuns computes when the workflow's next run should start, once its newest run
// has started or finished, and records in its outbox that a run is missing, or that
// one has started after it. It reads the histories only for the former: an idle
// tick compares a time. The state that it changes is written by [sweep.remember].
//
// read is when reading the list began, by Entity Resolution's clock: what it does
// not show had not started by then.
func (s *sweep) expectRuns(ctx context.Context, read time.Time) error {
	settings := s.settings(s.state.Workflow)
	if settings.ExpectOff || s.ExpectNoRuns && settings.ExpectEvery == 0 {
		s.state.Timetable = nil
		return nil
	}
	first := s.state.Timetable == nil
	var timetable jobs.Timetable
	if !first {
		timetable = *s.state.Timetable
	}
	if first || timetable.Newest != s.state.Newest || timetable.Every != settings.ExpectEvery {
		histories, err := s.Store.Histories(ctx, s.state.Workflow)
		if err != nil {
			return err
		}
		starts := histories.Runs.Starts
		for _, r := range s.ofWorkflow() {
			starts = jobs.AddStart(starts, r.Job.StartTime)
		}
		timetable = timetable.With(s.state.Newest, settings.ExpectEvery, starts)
		if at, ok := timetable.Resume(starts); ok {
			if err := s.resumed(ctx, *timetable.Missing, at); err != nil {
				return err
			}
			timetable.Missing = nil
		}
	}
	if m := timetable.Miss(read); m != nil && !s.open() {
		if !first {
			s.readTags(s.state.Workflow, s.state.ARN)
			if now := s.settings(s.state.Workflow); now.ExpectOff != settings.ExpectOff || now.ExpectEvery != settings.ExpectEvery {
				return s.expectRuns(ctx, read) // by the tags as they are now
			}
		}
		m.Silent, m.LastRun.Status = first, s.lastStatus()
		if err := s.missing(ctx, *m); err != nil {
			return err
		}
		timetable.Missing = m
	}
	s.state.Timetable = &timetable
	return nil
}

// ofWorkflow are the records of the sweep's workflow.
func (s *sweep) ofWorkflow() []jobs.Record {
	return s.sorted(func(r jobs.Record) bool { return r.Job.Workflow == s.state.Workflow && r.Unreadable == nil })
}

// open reports whether a job of the workflow is open: if it takes too long, it is
// overdue.
func (s *sweep) open() bool {
	for _, r := range s.ofWorkflow() {
		if r.Open() {
			return true
		}
	}
	return false
}

// lastStatus is the status of the newest run. The list may show another one of a job
// that vanished.
func (s *sweep) lastStatus() jobs.Status {
	r, known := s.stored(jobs.Key{Workflow: s.state.Workflow, Job: s.state.Newest.Job})
	switch {
	case !known:
		return s.state.Newest.Status
	case r.Vanished:
		return jobs.Vanished
	default:
		return r.Job.Status
	}
}

func (s *sweep) missing(ctx context.Context, m jobs.MissingRun) error {
	if m.Silent {
		return nil
	}
	entry, err := event.EncodeMissing(s.state.ARN, s.state.Workflow, m, s.now())
	return s.announce(ctx, entry, err)
}

func (s *sweep) resumed(ctx context.Context, m jobs.MissingRun, at time.Time) error {
	if m.Silent {
		return nil
	}
	run := jobs.Key{Workflow: s.state.Workflow, Job: s.state.Newest.Job}
	for _, r := range s.ofWorkflow() {
		if r.Job.StartTime.Unix() == at.Unix() {
			run = r.Job.Key
			break
		}
	}
	entry, err := event.EncodeResumed(s.state.ARN, run, at, m, s.now())
	return s.announce(ctx, entry, err)
}

func (s *sweep) announce(ctx context.Context, entry jobs.Entry, err error) error {
	if err != nil {
		return err
	}
	own, err := s.eventTags(ctx, s.state.Workflow, s.state.ARN)
	if err != nil {
		return err
	}
	entry = event.AddTags(entry, own)
	s.state = s.state.Append(entry)
	s.announced = append(s.announced, entry)
	return nil
}

// publishRuns puts the events of a workflow's outbox on the bus, in their order,
// and removes them from the outbox in one write.
func (t *tick) publishRuns(ctx context.Context, workflow string) error {
	state := t.state(workflow)
	if len(state.Outbox) == 0 || state.Unreadable != nil {
		return nil
	}
	kept := state.Outbox
	for len(kept) > 0 {
		if _, done := t.put(ctx, t.unmuted(workflow, kept[0]), "workflow "+workflow, t.log().With("workflow", workflow)); !done {
			break
		}
		kept = kept[1:]
	}
	if len(kept) == len(state.Outbox) {
		return nil
	}
	state.Outbox = slices.Clone(kept)
	if _, err := t.saveState(ctx, state); err != nil {
		return fmt.Errorf("removing published events: %w", err)
	}
	return nil
}
