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

// discover is the second pass: it reads each watched workflow's job list until
// it proves that the remainder is known, and observes each new row.
func (t *tick) discover(ctx context.Context) {
	each(slices.Collect(maps.Keys(t.targets)), func(workflow string) { t.discoverOne(ctx, workflow) })
}

func (t *tick) discoverOne(ctx context.Context, workflow string) {
	t.note(workflow, t.isolate(workflow, func() error {
		state := t.state(workflow)
		if state.Unreadable != nil {
			return state.Unreadable
		}
		(&sweep{tick: t, state: state, before: state, clock: t.clock}).run(ctx)
		return nil
	}))
}

// sweep reads one workflow's job list.
type sweep struct {
	*tick
	state  jobs.WorkflowState // as it becomes
	before jobs.WorkflowState // as it is stored
	clock  time.Time          // Entity Resolution's
	starts []time.Time        // of runs that finished before the baseline

	readAt    time.Time    // when reading the list began that was read to its end; zero otherwise
	announced []jobs.Entry // new in the state's outbox

	earlier     bool // a page after the first had a run that was not known
	incomplete  bool // a row was not handled: the watermark must not pass it
	interrupted bool // the tick ended before the list did
}

// run reads the list and stores how far it came. Each error is noted by itself,
// so that none hides another.
func (s *sweep) run(ctx context.Context) {
	err := s.read(ctx)
	switch {
	case errors.Is(err, jobs.ErrNotFound) && s.deleted():
		s.leave(s.forget(ctx))
		return
	case errors.Is(err, jobs.ErrDenied) && s.state.Version == 0:
		// It is known from now on: once it is allowed it is watched from then,
		// not from its creation.
		s.leave(err)
		s.leave(s.saveState(ctx))
		return
	}
	s.leave(err)
	if s.state.Baseline.IsZero() && s.state.Version == 0 {
		if s.interrupted {
			s.note(s.state.Workflow, jobs.ErrLate)
		}
		return // it is as unknown as before
	}
	if s.earlier {
		// The list begins with the newest jobs: an open one was compared before the
		// runs on the later pages were known.
		s.leave(s.recomputeTimes(ctx, s.state.Workflow))
	}
	s.leave(s.remember(ctx))
	s.note(s.state.Workflow, s.late())
}

// read reads the job list as far as necessary. Each page's rows are handled as
// they come, so that every tick makes progress, however long the list.
func (s *sweep) read(ctx context.Context) error {
	var list jobs.Listing
	cursor := s.state.Cursor
	if cursor.BeganAt.IsZero() {
		cursor.BeganAt = s.clock
	}
	resumed := cursor.Token != ""
	if resumed && s.clock.Sub(cursor.BeganAt) > listBudget {
		cursor, resumed = jobs.Cursor{BeganAt: s.clock}, false // the token may be too old
	}
	for first := true; ; first = false {
		s.state.Cursor = cursor
		page, err := s.page(cursor.Token)
		if err != nil && resumed && first && !s.stopped(err) {
			// The token may be the cause.
			cursor, resumed = jobs.Cursor{BeganAt: cursor.BeganAt}, false
			s.state.Cursor = cursor
			page, err = s.page("")
		}
		if err != nil {
			if first && !s.stopped(err) {
				s.state.Cursor = s.before.Cursor
			}
			return err
		}
		if s.list.At.IsZero() && !page.At.IsZero() {
			s.clock = page.At
			if first && !resumed {
				cursor.BeganAt = page.At
			}
		}
		if err := s.watch(ctx); err != nil {
			return err
		}
		// Oldest first, as things happened: a run is compared with those before it. The
		// API does not document the order of its rows.
		for _, row := range slices.SortedFunc(slices.Values(page.Rows), func(a, b jobs.Job) int { return a.Ref().Compare(b.Ref()) }) {
			s.state.Newest = s.state.Newest.Newer(row)
			s.handle(ctx, row, !first || resumed)
		}
		if page.Unreadable > 0 {
			// Nothing can be learned of them by reading them again.
			s.note(s.state.Workflow, fmt.Errorf("listing its jobs: %w: %d rows have no job ID or no status", jobs.ErrUnavailable, page.Unreadable))
		}
		s.state.Missing = jobs.Missing{}
		if s.interrupted {
			return nil // the next tick reads this page again
		}
		list.Add(page.Rows)
		cursor.Incomplete = cursor.Incomplete || s.incomplete
		if list.Newest.After(cursor.Newest) {
			cursor.Newest = list.Newest
		}
		if page.Next == "" || list.Enough(s.state) {
			s.complete(cursor)
			if dated := !s.list.At.IsZero() || !page.At.IsZero(); dated && !cursor.Incomplete {
				s.readAt = cursor.BeganAt
			}
			return nil
		}
		cursor.Token = page.Next
	}
}

func (s *sweep) page(token string) (jobs.Page, error) {
	if err := s.checkBudget(); err != nil {
		return jobs.Page{}, err
	}
	return s.Source.Page(s.workCtx, s.state.Workflow, token)
}

// late is an error when the list has not been read to its end for too long.
func (s *sweep) late() error {
	if s.interrupted && s.clock.Sub(s.state.Cursor.BeganAt) >= listBudget {
		return fmt.Errorf("reading its list: %w: it was begun at %s", jobs.ErrLate, s.state.Cursor.BeganAt.Format(time.RFC3339))
	}
	return nil
}

// watch makes the first page's time the baseline of a workflow that is not
// watched yet, and stores it before anything else: a tick that dies here must not
// move it. A workflow that was created while the filter included its name is
// watched from its creation, so that its first run counts, however short.
func (s *sweep) watch(ctx context.Context) error {
	if !s.state.Baseline.IsZero() {
		return nil
	}
	watched := s.before
	watched.Baseline = s.clock
	created := s.list.Workflows[s.state.Workflow].CreatedAt
	if s.state.Version == 0 && s.includedSince(created) {
		// A second earlier: a run may fail within the second of the creation.
		watched.Baseline = created.Add(-time.Second)
	}
	watched, err := s.tick.saveState(ctx, watched)
	if err != nil {
		return err
	}
	s.state.Baseline, s.state.Version = watched.Baseline, watched.Version
	s.before = watched
	s.readTags(s.state.Workflow, s.state.ARN)
	return nil
}

// includedSince reports whether the workflow was created after the last complete
// tick, whose filter included it: it would have a state otherwise.
func (s *sweep) includedSince(created time.Time) bool {
	if s.filter.Since.IsZero() || !created.After(s.filter.Since) {
		return false
	}
	before, err := NewFilter(s.filter.Include, s.filter.Exclude)
	return err == nil && before.Has(s.state.Workflow)
}

// handle deals with one row of the list, or of a page after its first.
func (s *sweep) handle(ctx context.Context, row jobs.Job, later bool) {
	record, known := s.stored(row.Key)
	switch {
	case known && (record.Unreadable != nil || record.Open()):
		return // followed in the first pass
	case known && record.Job.Status == row.Status && !record.Vanished:
		return
	case known && row.Stage() < record.Job.Stage():
		s.count(func(r *Report) { r.Regressions++ })
		s.log().Warn("regression ignored", "workflow", row.Workflow, "job", row.Job, "known", record.Job.Status, "observed", row.Status)
		return
	case !known && s.state.PredatesWatch(row):
		if s.state.Watermark.IsZero() {
			s.state = s.state.Remember(row)
			s.starts = append(s.starts, row.StartTime)
		}
		return
	case !known:
		record = jobs.Record{Job: jobs.Job{Key: row.Key}, ARN: s.state.ARN}
	}
	s.earlier = s.earlier || later
	s.leave(s.observe(ctx, record, &row))
}

// leave notes that something was not handled. It ignores nil.
func (s *sweep) leave(err error) {
	if err == nil {
		return
	}
	s.incomplete = true
	if s.stopped(err) {
		s.interrupted = true // whether that is late, [sweep.late] decides
		if s.outOfTime(err) {
			return
		}
	}
	if !errors.Is(err, errNotYet) { // no failure, but still to be seen
		s.note(s.state.Workflow, err)
	}
}

// complete moves the watermark, once every row up to the end of the list was
// handled. A start time ahead of Entity Resolution's clock does not count.
func (s *sweep) complete(cursor jobs.Cursor) {
	s.state.Cursor = jobs.Cursor{}
	if cursor.Incomplete {
		return // the next tick reads the list from its start
	}
	newest := cursor.Newest
	if newest.After(cursor.BeganAt) || s.outlived(cursor.BeganAt) {
		newest = cursor.BeganAt
	}
	if newest.After(s.state.Watermark) {
		s.state.Watermark = newest
	}
	if s.state.Watermark.IsZero() {
		s.state.Watermark = s.state.Baseline
	}
}

// outlived reports whether a watermark at the given time would remove stubs. They
// would stay otherwise, and every tick would read them, until the workflow's next
// run.
func (s *sweep) outlived(at time.Time) bool {
	later := s.state
	later.Watermark = at
	return len(s.sorted(func(r jobs.Record) bool {
		return r.Job.Workflow == s.state.Workflow && r.Unreadable == nil && later.Obsolete(r, at) && !s.state.Obsolete(r, at)
	})) > 0
}

// remember stores what the sweep has learned, if that has changed.
func (s *sweep) remember(ctx context.Context) error {
	if len(s.starts) > 0 {
		if err := s.Store.AddStarts(ctx, s.state.Workflow, s.starts); err != nil {
			return fmt.Errorf("adding start times to its history: %w", err)
		}
	}
	if !s.readAt.IsZero() {
		if err := s.expectRuns(ctx, s.readAt); err != nil { // the next tick tries again
			s.problem(fmt.Errorf("computing when workflow %s should run next: %w", s.state.Workflow, err))
			s.log().Warn("next run not computed", "workflow", s.state.Workflow, "error", err.Error())
		}
	}
	s.adopt()
	if s.state.Equal(s.before) {
		return nil
	}
	if err := s.saveState(ctx); err != nil {
		return err
	}
	for _, entry := range s.announced {
		s.recorded(entry, s.log().With("workflow", s.state.Workflow))
	}
	return s.publishRuns(ctx, s.state.Workflow)
}

// adopt takes over what eventTags has stored during the sweep.
func (s *sweep) adopt() {
	stored := s.tick.state(s.state.Workflow)
	for _, state := range []*jobs.WorkflowState{&s.state, &s.before} {
		state.Version, state.Tags, state.Mute = stored.Version, stored.Tags, stored.Mute
	}
}

func (s *sweep) saveState(ctx context.Context) error {
	state, err := s.tick.saveState(ctx, s.state)
	s.state = state
	return err
}

func (t *tick) saveState(ctx context.Context, state jobs.WorkflowState) (jobs.WorkflowState, error) {
	if err := t.Store.SaveWorkflow(ctx, state); err != nil {
		return state, fmt.Errorf("saving the state of workflow %s: %w", state.Workflow, err)
	}
	state.Version++
	t.mu.Lock()
	defer t.mu.Unlock()
	t.states[state.Workflow] = state
	return state, nil
}

// deleted reports whether Entity Resolution listed its workflows and this one
// was not among them.
func (s *sweep) deleted() bool {
	_, shown := s.list.Workflows[s.state.Workflow]
	return s.list.Workflows != nil && !shown
}

// forget removes the state of a deleted workflow: once it has been missing as long
// as a job that vanished, and none of its jobs is open. A workflow that was
// forgotten too early would be watched from its creation, and each of its runs
// published again.
func (s *sweep) forget(ctx context.Context) error {
	if s.state.Version == 0 {
		return nil
	}
	missing, gone := s.state.Missing.Again(s.now())
	if s.state.Missing = missing; !gone {
		return s.remember(ctx)
	}
	if len(s.sorted(func(r jobs.Record) bool { return r.Job.Workflow == s.state.Workflow && !r.Archived })) > 0 {
		return nil
	}
	return s.tick.forget(ctx, s.state)
}

func (t *tick) forget(ctx context.Context, state jobs.WorkflowState) error {
	if !state.Mute.Until.IsZero() {
		return t.publishMuteEnded(ctx, state) // the next tick removes the state
	}
	if len(state.Outbox) > 0 {
		return nil // first its events
	}
	if err := t.Store.DeleteWorkflow(ctx, state); err != nil {
		return fmt.Errorf("removing the state of workflow %s: %w", state.Workflow, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.states, state.Workflow)
	return nil
}
