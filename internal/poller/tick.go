package poller

import (
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
	// atOnce is how many workflows are swept at a time. The rate limit on
	// Entity Resolution's calls is what paces a tick; this only keeps one
	// slow workflow from holding up the others.
	atOnce = 4
	// reserve is how long before the deadline no more work is started, so that
	// what was recorded can still be published.
	reserve = 5 * time.Second
)

// tick is one invocation at work.
type tick struct {
	*Poller
	// asking ends when no more work is to be started: before the deadline, or
	// once Entity Resolution throttles.
	asking context.Context
	stop   context.CancelCauseFunc
	until  time.Time         // zero without a deadline
	shown  map[string]string // workflows that Entity Resolution shows, name to ARN; nil while not known

	mu     sync.Mutex
	report Report
}

func (p *Poller) begin(ctx context.Context) (*tick, context.CancelFunc) {
	t := &tick{Poller: p}
	t.asking, t.stop = context.WithCancelCause(ctx)
	cancel := func() { t.stop(nil) }
	if deadline, ok := ctx.Deadline(); ok {
		t.until = deadline.Add(-reserve)
		timed, release := context.WithDeadlineCause(t.asking, t.until, context.DeadlineExceeded)
		t.asking = timed
		return t, func() { release(); cancel() }
	}
	return t, cancel
}

// Sweep looks at everything watched. It returns an error only when nothing
// could be looked at; what goes wrong with one workflow is in the report.
func (p *Poller) Sweep(ctx context.Context) (Report, error) {
	t, done := p.begin(ctx)
	defer done()
	stored, err := p.Store.Watches(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("reading what is watched: %w", err)
	}
	t.report.all = true
	targets := t.targets(stored)
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, w := range targets {
		group.Go(func() error { t.sweep(ctx, w); return nil })
	}
	_ = group.Wait() // each sweep accounts for its own error
	return t.report, nil
}

// SweepWorkflow looks at one workflow now, if it is watched.
func (p *Poller) SweepWorkflow(ctx context.Context, workflow string) (Report, error) {
	if !p.Watched.Has(workflow) {
		p.log().Info("workflow is not watched", "workflow", workflow)
		return Report{}, nil
	}
	t, done := p.begin(ctx)
	defer done()
	w, err := t.find(ctx, workflow)
	if err != nil {
		return Report{}, err
	}
	t.sweep(ctx, w)
	return t.report, nil
}

// Track looks at one job and goes on looking until it ends, whether or not its
// workflow is watched and even if it ended before that.
func (p *Poller) Track(ctx context.Context, key jobs.Key) (Report, error) {
	t, done := p.begin(ctx)
	defer done()
	job, err := p.Source.Job(t.asking, key)
	if err != nil {
		return Report{}, fmt.Errorf("tracking job %s: %w", key, err)
	}
	w, err := t.find(ctx, key.Workflow)
	if err != nil {
		return Report{}, err
	}
	// The watch comes first: were the tick to die in between, the next one
	// still finds the job.
	if !job.Terminal() && !p.Watched.Has(key.Workflow) && !slices.Contains(w.Jobs, key.Job) {
		w.Jobs = append(w.Jobs, key.Job)
		if err := p.Store.SaveWatch(ctx, w); err != nil {
			return Report{}, fmt.Errorf("tracking job %s: saving the watch: %w", key, err)
		}
	}
	record, err := p.Store.Record(ctx, key)
	if err != nil {
		return Report{}, fmt.Errorf("tracking job %s: reading its record: %w", key, err)
	}
	record.Job.Key = key
	record, err = t.advance(ctx, w, record, job)
	if err != nil && !errors.Is(err, jobs.ErrConflict) {
		return t.report, fmt.Errorf("tracking job %s: %w", key, err)
	}
	t.account(slices.Values(t.drain(ctx, []jobs.Record{record})))
	return t.report, nil
}

// targets are the watches to go through, in random order so that under a tight
// deadline none is always last: what Entity Resolution shows and the filter
// lets pass, and what is remembered, so that neither a deleted nor an excluded
// workflow leaves an event unpublished.
func (t *tick) targets(stored []jobs.Watch) []jobs.Watch {
	byName := make(map[string]jobs.Watch)
	for _, w := range stored {
		byName[w.Workflow] = w
	}
	shown, err := t.Source.Workflows(t.asking)
	if err != nil {
		t.fail(fmt.Errorf("listing ID mapping workflows: %w", err))
	}
	t.shown = shown
	for name, arn := range shown {
		if _, ok := byName[name]; !ok && t.Watched.Has(name) {
			byName[name] = jobs.Watch{Workflow: name, ARN: arn}
		}
	}
	targets := slices.Collect(maps.Values(byName))
	rand.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
	return targets
}

// find is the watch of one workflow: the stored one or a new one.
func (t *tick) find(ctx context.Context, workflow string) (jobs.Watch, error) {
	stored, err := t.Store.Watches(ctx)
	if err != nil {
		return jobs.Watch{}, fmt.Errorf("reading what is watched: %w", err)
	}
	for _, w := range stored {
		if w.Workflow == workflow {
			return w, w.Unreadable
		}
	}
	shown, err := t.Source.Workflows(t.asking)
	if err != nil {
		return jobs.Watch{}, fmt.Errorf("looking up workflow %s: %w", workflow, err)
	}
	arn, ok := shown[workflow]
	if !ok {
		return jobs.Watch{}, fmt.Errorf("looking up workflow %s: this account and region have no ID mapping workflow of that name: %w", workflow, jobs.ErrNotFound)
	}
	return jobs.Watch{Workflow: workflow, ARN: arn}, nil
}

// isGone tells whether Entity Resolution was asked for its workflows and did not
// show this one.
func (t *tick) isGone(workflow string) bool {
	_, shown := t.shown[workflow]
	return t.shown != nil && !shown
}

// fail accounts for an error that did not stop the tick.
func (t *tick) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.over(err):
		t.report.Late = true
		return
	case errors.Is(err, jobs.ErrThrottled):
		t.report.Throttled = true
		t.stop(jobs.ErrThrottled)
	case errors.Is(err, errThrottledTick):
		return
	case errors.Is(err, jobs.ErrDenied):
		t.report.Denied++
	default:
		t.report.Failed++
	}
	t.report.Problems = append(t.report.Problems, err.Error())
	t.log().Warn("sweep incomplete", "error", err.Error())
}

// errThrottledTick: the work was not started because Entity Resolution has
// throttled the tick before.
var errThrottledTick = errors.New("left for the next tick: Entity Resolution throttles")

// mayAsk returns an error when no more work is to be started.
func (t *tick) mayAsk() error {
	if t.asking.Err() == nil {
		return nil
	}
	if errors.Is(context.Cause(t.asking), jobs.ErrThrottled) {
		return errThrottledTick
	}
	return context.Cause(t.asking)
}

// over tells whether err comes of the tick's end: the rate limiter refuses a
// wait that would pass the deadline, and calls are cut off at it.
func (t *tick) over(err error) bool {
	if err == nil || t.until.IsZero() || errors.Is(err, errThrottledTick) {
		return false
	}
	return !time.Now().Before(t.until.Add(-time.Second))
}

func (t *tick) count(f func(*Report)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.report)
}
