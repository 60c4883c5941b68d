package poller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/idmapping/notifier/internal/jobs"
)

const (
	// concurrency is how many jobs or lists are read at a time. The rate limit
	// on requests paces a tick; this gives each workflow its share of it.
	concurrency = 16
	// shutdownMargin is how long before the deadline no more work is started,
	// so that what was recorded can still be published.
	shutdownMargin = 5 * time.Second
	// listBudget is how long reading one list may take, across ticks, until the
	// tick counts as late.
	listBudget = time.Hour
)

// tick is one invocation at work.
type tick struct {
	*Poller
	// workCtx ends when no more work may be started: before the deadline, or
	// once Entity Resolution throttles.
	workCtx context.Context
	stop    context.CancelCauseFunc

	begun     time.Time         // by this process's monotonic clock, as clockRead
	list      jobs.WorkflowList // empty while not known
	clock     time.Time         // Entity Resolution's, when it was read
	clockRead time.Time
	filter    jobs.FilterState // as stored
	targets   map[string]bool  // the workflows of this tick

	mu      sync.Mutex // guards what follows
	states  map[string]jobs.WorkflowState
	records map[jobs.Key]jobs.Record
	failed  map[string]error         // first error of each workflow
	seen    map[jobs.Key]bool        // jobs that this tick has read
	read    map[jobs.Key]observation // read and not compared yet
	tags    map[string]ownTags       // of workflows, as read in this tick
	sent    map[string]bool          // IDs of events recorded in this tick that are not muted
	report  Report
}

// begin reads the live partition.
func (p *Poller) begin(ctx context.Context) (*tick, context.CancelFunc, error) {
	begun := time.Now()
	live, err := p.Store.Live(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the live partition of the jobs table: %w", err)
	}
	t := &tick{Poller: p, begun: begun, filter: live.Filter, clock: p.now(), clockRead: begun, targets: make(map[string]bool),
		states: live.Workflows, records: live.Records, failed: make(map[string]error), seen: make(map[jobs.Key]bool), read: make(map[jobs.Key]observation),
		tags: make(map[string]ownTags), sent: make(map[string]bool)}
	if t.states == nil {
		t.states = make(map[string]jobs.WorkflowState)
	}
	if t.records == nil {
		t.records = make(map[jobs.Key]jobs.Record)
	}
	t.workCtx, t.stop = context.WithCancelCause(ctx)
	cancel := func() { t.stop(nil) }
	if deadline, ok := ctx.Deadline(); ok {
		timed, release := context.WithDeadlineCause(t.workCtx, deadline.Add(-shutdownMargin), jobs.ErrLate)
		t.workCtx = timed
		return t, func() { release(); cancel() }, nil
	}
	return t, cancel, nil
}

// Sweep checks everything watched. It returns an error only when nothing could
// be checked; what fails for one workflow is in the report.
func (p *Poller) Sweep(ctx context.Context) (Report, error) {
	t, done, err := p.begin(ctx)
	if err != nil {
		return Report{}, err
	}
	defer done()
	t.report.everything = true
	t.follow(ctx, func(jobs.Record) bool { return true })
	listed := t.listWorkflows()
	if listed {
		t.discover(ctx)
	}
	if listed {
		t.reportOverdue(ctx)
	}
	t.publishBacklog(ctx)
	t.endMutes(ctx)
	t.rememberTags(ctx)
	if listed {
		t.cleanUp(ctx)
		t.backfill(ctx)
		t.saveFilter(ctx)
		t.followFast(ctx)
		t.endMutes(ctx)
		t.rememberTags(ctx)
	}
	return t.finish(), nil
}

// SweepWorkflow checks one workflow now, if it is watched, and reads its tags. It leaves late
// statuses in their outboxes: only a sweep of everything knows how many there are.
func (p *Poller) SweepWorkflow(ctx context.Context, workflow string) (Report, error) {
	if !p.Watched.Has(workflow) {
		p.log().Info("workflow not watched", "workflow", workflow)
		return Report{}, nil
	}
	t, done, err := p.begin(ctx)
	if err != nil {
		return Report{}, err
	}
	defer done()
	t.follow(ctx, func(r jobs.Record) bool { return r.Job.Workflow == workflow })
	if _, err := t.lookUp(workflow); err != nil {
		return t.finish(), err
	}
	t.readTags(workflow, t.state(workflow).ARN)
	t.discoverOne(ctx, workflow)
	t.endMutes(ctx)
	t.rememberTags(ctx)
	return t.finish(), nil
}

// Track reports one job and follows it until it is terminal, whether or not its
// workflow is watched and even if it was terminal before that.
func (p *Poller) Track(ctx context.Context, key jobs.Key) (Report, error) {
	t, done, err := p.begin(ctx)
	if err != nil {
		return Report{}, err
	}
	defer done()
	record, known := t.records[key]
	switch {
	case record.Unreadable != nil:
		return Report{}, fmt.Errorf("tracking job %s: %w", key, record.Unreadable)
	case !known:
		arn, err := t.lookUp(key.Workflow)
		if err != nil {
			return Report{}, fmt.Errorf("tracking job %s: %w", key, err)
		}
		record = jobs.Record{Job: jobs.Job{Key: key}, ARN: arn}
	}
	work := func() error {
		if record.Open() && record.Version > 0 && !record.Tracked {
			record.Tracked = true
			if err := t.save(ctx, record); err != nil {
				return err
			}
			record, _ = t.stored(key)
		}
		record.Tracked = true
		return t.observe(ctx, record, nil)
	}
	err = t.isolate(key.Workflow, work)
	if stored, ok := t.stored(key); ok && len(late(stored)) > 0 {
		t.publishLate(ctx, []jobs.Record{stored})
	}
	t.endMutes(ctx)
	t.rememberTags(ctx)
	if err != nil && !errors.Is(err, jobs.ErrConflict) {
		return t.finish(), fmt.Errorf("tracking job %s: %w", key, err)
	}
	return t.finish(), nil
}

// listWorkflows reads which workflows there are, and from that which ones this
// tick has to check. It reports whether that is known.
func (t *tick) listWorkflows() bool {
	err := t.checkBudget()
	var list jobs.WorkflowList
	if err == nil {
		list, err = t.Source.Workflows(t.workCtx)
	}
	if err != nil {
		err = fmt.Errorf("listing ID mapping workflows: %w", err)
		if !errors.Is(err, errThrottledTick) && !t.outOfTime(err) && !errors.Is(err, jobs.ErrThrottled) {
			t.count(func(r *Report) { r.Failed++ })
		}
		t.note("", err)
		return false
	}
	t.list = list
	if !list.At.IsZero() {
		t.clock, t.clockRead = list.At, time.Now()
	}
	for name := range list.Workflows {
		if t.Watched.Has(name) {
			t.targets[name] = true
		}
	}
	for name := range t.states {
		if t.Watched.Has(name) {
			t.targets[name] = true // deleted, or not shown for a moment
		}
	}
	return true
}

// lookUp is the ARN of a workflow: as stored, otherwise as Entity Resolution
// shows it.
func (t *tick) lookUp(workflow string) (string, error) {
	t.targets[workflow] = true
	if state, ok := t.states[workflow]; ok {
		return state.ARN, state.Unreadable
	}
	list, err := t.Source.Workflows(t.workCtx)
	if err != nil {
		return "", fmt.Errorf("looking up workflow %s: %w", workflow, err)
	}
	w, ok := list.Workflows[workflow]
	if !ok {
		return "", fmt.Errorf("looking up workflow %s: this account and region have no ID mapping workflow of that name: %w", workflow, jobs.ErrNotFound)
	}
	t.list = list
	if !list.At.IsZero() {
		t.clock, t.clockRead = list.At, time.Now()
	}
	return w.ARN, nil
}

// each runs work for every item with bounded concurrency, in random order, so
// that under a tight deadline none is always last.
func each[T any](items []T, work func(T)) {
	rand.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	var group errgroup.Group
	group.SetLimit(concurrency)
	for _, item := range items {
		group.Go(func() error { work(item); return nil })
	}
	_ = group.Wait()
}

// isolate runs work and turns a panic into an error: errgroup and Lambda do not
// recover other goroutines, and a fault in one workflow must not stop the tick.
func (t *tick) isolate(workflow string, work func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			t.log().Error("panic", "workflow", workflow, "panic", fmt.Sprint(r))
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return work()
}

func (t *tick) state(workflow string) jobs.WorkflowState {
	t.mu.Lock()
	defer t.mu.Unlock()
	state, ok := t.states[workflow]
	if !ok {
		state = jobs.WorkflowState{Workflow: workflow, ARN: t.list.Workflows[workflow].ARN}
	}
	return state
}

// stored is a job's record as this tick knows it to be stored.
func (t *tick) stored(key jobs.Key) (jobs.Record, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	record, ok := t.records[key]
	return record, ok
}

// sorted are the records that match, in a fixed order.
func (t *tick) sorted(match func(jobs.Record) bool) []jobs.Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []jobs.Record
	for record := range maps.Values(t.records) {
		if match(record) {
			all = append(all, record)
		}
	}
	slices.SortFunc(all, func(a, b jobs.Record) int {
		return cmp.Or(cmp.Compare(a.Job.Workflow, b.Job.Workflow), cmp.Compare(a.Job.Job, b.Job.Job))
	})
	return all
}
