package poller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
)

// sweep looks at one workflow and accounts for the outcome.
func (t *tick) sweep(ctx context.Context, w jobs.Watch) {
	t.count(func(r *Report) { r.Workflows++ })
	err := t.sweepWorkflow(ctx, w)
	if err == nil || errors.Is(err, jobs.ErrConflict) && !errors.Is(err, context.DeadlineExceeded) {
		// Another tick was faster: what it did not see, the next one will.
		t.count(func(r *Report) { r.Swept++ })
		return
	}
	t.fail(fmt.Errorf("sweeping workflow %s: %w", w.Workflow, err))
}

func (t *tick) sweepWorkflow(ctx context.Context, w jobs.Watch) error {
	if w.Unreadable != nil {
		return w.Unreadable
	}
	records, err := t.Store.Records(ctx, w.Workflow)
	if err != nil {
		return fmt.Errorf("reading its jobs: %w", err)
	}
	s := &sweep{tick: t, watch: w, records: records, stuck: make(map[string]bool), unreadable: make(map[string]bool)}
	for id, record := range records {
		if record.Unreadable != nil {
			s.leave(record.Unreadable)
			s.unreadable[id] = true
			delete(records, id)
		}
	}
	s.publish(ctx)
	if t.Watched.Has(w.Workflow) {
		err = s.all(ctx)
	} else {
		err = s.named(ctx)
	}
	s.publish(ctx)
	t.account(maps.Values(s.records))
	return err
}

// sweep is one workflow's part of a tick.
type sweep struct {
	*tick
	watch      jobs.Watch
	records    map[string]jobs.Record // by job id, kept as they change
	unreadable map[string]bool        // job ids whose records are left as they are
	clock      time.Time              // Entity Resolution's, once a page was read
	stuck      map[string]bool        // job ids whose events the bus did not take in this tick
	late       bool                   // the tick ended before the sweep did
	left       error                  // why something seen could not be handled
}

// all goes through the workflow's job list.
func (s *sweep) all(ctx context.Context) error {
	list, err := s.read(ctx)
	if errors.Is(err, jobs.ErrNotFound) && s.isGone(s.watch.Workflow) {
		return s.gone(ctx)
	}
	if list.whole {
		for id, record := range s.records {
			if record.Open() && !list.Has(id) {
				s.leave(s.observe(ctx, record))
			}
		}
	}
	if err == nil || list.next != "" {
		err = errors.Join(err, s.remember(ctx, list))
	}
	if s.late {
		err = errors.Join(err, context.DeadlineExceeded)
	}
	return errors.Join(err, s.left)
}

// list is how much of the job list was read.
type list struct {
	jobs.Listing
	pages int
	whole bool   // from the first row to the last
	next  string // where to go on, when the tick ended first
}

// read reads the job list as far as is needed and handles each page's rows as
// they come, so that every tick gets on, however long the list.
func (s *sweep) read(ctx context.Context) (*list, error) {
	var open []string
	for id, record := range s.records {
		if record.Open() {
			open = append(open, id)
		}
	}
	l := &list{}
	token := s.watch.Resume.Token
	for {
		page, err := s.page(token)
		if errors.Is(err, jobs.ErrRejected) && l.pages == 0 && token != "" {
			token, s.watch.Resume = "", jobs.Resume{} // the token is too old
			continue
		}
		if s.over(err) {
			l.next = token
		}
		if err != nil {
			return l, err
		}
		if err := s.start(ctx, page); err != nil {
			return l, err
		}
		l.pages++
		l.Add(page.Rows)
		if page.Unreadable > 0 {
			s.leave(fmt.Errorf("listing its jobs: %w: %d rows have no jobId or no status", jobs.ErrUnavailable, page.Unreadable))
		}
		for _, row := range slices.Backward(page.Rows) { // oldest first, as things happened
			s.handle(ctx, row)
		}
		s.publish(ctx)
		if s.late {
			l.next = token
			return l, nil
		}
		if token = page.Next; token == "" {
			l.whole = s.watch.Resume.Token == ""
			return l, nil
		}
		if l.Enough(s.watch, open) {
			return l, nil
		}
	}
}

func (s *sweep) page(token string) (jobs.Page, error) {
	if err := s.mayAsk(); err != nil {
		return jobs.Page{}, err
	}
	return s.Source.Page(s.asking, s.watch.Workflow, token)
}

// start takes the time of the sweep's first page, and makes it the time from
// which the workflow is watched if it was not before.
func (s *sweep) start(ctx context.Context, first jobs.Page) error {
	if !s.clock.IsZero() {
		return nil
	}
	s.clock = first.At
	if s.clock.IsZero() {
		s.clock = s.now()
	}
	if !s.watch.Since.IsZero() {
		return nil
	}
	s.watch.Since = s.clock
	return s.saveWatch(ctx)
}

// handle deals with one row of the list.
func (s *sweep) handle(ctx context.Context, row jobs.Job) {
	if s.unreadable[row.Job] {
		return
	}
	record, known := s.records[row.Job]
	if !known {
		if s.watch.Settled(row, s.clock, s.Retention) {
			return
		}
		record.Job.Key = row.Key
	}
	verdict, _ := jobs.Advance(jobOf(record), row)
	switch {
	case verdict == jobs.Changed || verdict == jobs.Refined:
		s.leave(s.observe(ctx, record))
	case verdict == jobs.Regressed:
		s.count(func(r *Report) { r.Regressions++ })
		s.log().Warn("regression ignored", "job", row.Key.String(), "known", record.Job.Status, "observed", row.Status)
	case record.Missing.Count > 0 || record.Vanished:
		s.leave(s.back(ctx, record))
	}
}

// named goes through the jobs that were named explicitly in a workflow that is
// not watched, and forgets the workflow when none is left.
func (s *sweep) named(ctx context.Context) error {
	var open []string
	for _, id := range s.watch.Jobs {
		if s.unreadable[id] {
			continue // s.left keeps the watch
		}
		record, known := s.records[id]
		if !known {
			record.Job.Key = jobs.Key{Workflow: s.watch.Workflow, Job: id}
		}
		if known && !record.Open() {
			continue
		}
		err := s.observe(ctx, record)
		if !known && errors.Is(err, jobs.ErrNotFound) {
			s.log().Warn("named job is not there", "job", record.Job.Key.String())
			continue
		}
		s.leave(err)
		if record, known := s.records[id]; !known || record.Open() {
			open = append(open, id)
		}
	}
	switch {
	case s.left != nil:
		return s.left
	case s.late:
		return context.DeadlineExceeded
	case len(open) == 0:
		return s.forget(ctx)
	case len(open) == len(s.watch.Jobs) && s.watch.Since.IsZero():
		return nil
	}
	// Since goes: a workflow that is watched again later begins anew, or
	// everything that ended meanwhile would be told at once.
	s.watch = jobs.Watch{Workflow: s.watch.Workflow, ARN: s.watch.ARN, Version: s.watch.Version, Jobs: open}
	return s.saveWatch(ctx)
}

// gone deals with a workflow that Entity Resolution no longer shows.
func (s *sweep) gone(ctx context.Context) error {
	for _, record := range s.records {
		if record.Open() {
			s.leave(s.miss(ctx, record))
		}
	}
	if s.left != nil {
		return s.left
	}
	return s.forget(ctx)
}

// forget drops the watch once nothing hangs on it any more.
func (s *sweep) forget(ctx context.Context) error {
	for _, record := range s.records {
		if len(record.Pending) > 0 || record.Open() && s.Watched.Has(s.watch.Workflow) {
			return nil
		}
	}
	if s.watch.Version == 0 {
		return nil
	}
	if err := s.Store.Forget(ctx, s.watch); err != nil {
		return fmt.Errorf("forgetting the watch: %w", err)
	}
	return nil
}

// leave accounts for something that was not handled; nil is nothing.
func (s *sweep) leave(err error) {
	switch {
	case err == nil:
	case s.over(err):
		s.late = true
	case errors.Is(err, jobs.ErrConflict):
		// Another tick was faster with this job. The sweep goes on, but what
		// the other one saw is not known here.
		if s.left == nil {
			s.left = err
		}
	default:
		if errors.Is(err, jobs.ErrThrottled) {
			s.stop(jobs.ErrThrottled)
		}
		if s.left == nil || errors.Is(s.left, jobs.ErrConflict) {
			s.left = err // one of many alike tells enough
		}
	}
}

// remember saves how far the workflow was swept, if that has changed.
func (s *sweep) remember(ctx context.Context, l *list) error {
	w := s.watch
	newest := latest(l.Newest, w.Resume.Newest)
	// A tick that ended within the first page has no token to go on from, and
	// has not read to the end either.
	left := w.Resume.Left || s.left != nil || s.late && l.next == ""
	switch {
	case l.next != "":
		w.Resume = jobs.Resume{Token: l.next, Newest: newest, Left: left}
	case left:
		w.Resume = jobs.Resume{} // the next sweep begins anew
	default:
		w.Resume = jobs.Resume{}
		w.SweptThrough = latest(w.SweptThrough, newest)
		if w.SweptThrough.IsZero() {
			w.SweptThrough = w.Since
		}
	}
	if w.Resume == s.watch.Resume && w.SweptThrough.Equal(s.watch.SweptThrough) {
		return nil
	}
	s.watch = w
	return s.saveWatch(ctx)
}

func (s *sweep) saveWatch(ctx context.Context) error {
	if err := s.Store.SaveWatch(ctx, s.watch); err != nil {
		return fmt.Errorf("saving the watch: %w", err)
	}
	s.watch.Version++
	return nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
