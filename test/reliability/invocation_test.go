package reliability

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
)

// invocation is one invocation among others, and what happens to it.
type invocation struct {
	*overlap
	n     int // which of its round
	seed  uint64
	tempo time.Duration // how long an operation takes at most, as a rule

	exact *fault // what goes wrong, instead of what is drawn

	own   sync.Mutex
	ops   int
	times map[string]int // how often it came to each operation
	thaw  time.Time      // until when it is frozen, or was; zero is never
	dead  bool
}

func newInvocation(c *overlap, n int, r *rand.Rand) *invocation {
	tempo := []time.Duration{20 * time.Millisecond, 200 * time.Millisecond, 2 * time.Second}[r.IntN(3)]
	return &invocation{overlap: c, n: n, seed: r.Uint64(), tempo: tempo, times: make(map[string]int)}
}

// draw is what decides at this operation. It depends on nothing but the seed and
// the operation: the workflows of one poller are swept at the same time, and
// which comes first must not change what is drawn.
func (s *invocation) draw(op string) *rand.Rand {
	s.own.Lock()
	defer s.own.Unlock()
	s.times[op]++
	return rand.New(rand.NewPCG(s.seed, hash(fmt.Sprint(op, s.times[op]))))
}

func hash(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return h.Sum64()
}

// step is called before and after every operation, and returns what the poller
// gets.
func (s *invocation) step(ctx context.Context, op string) error {
	if s.isDead() {
		return errDead
	}
	if s.exact != nil {
		return s.count()
	}
	r := s.draw(op)
	s.linger(r)
	if s.isDead() { // killed at another workflow meanwhile
		return errDead
	}
	switch p := r.Float64(); {
	case p < s.rate/10:
		s.own.Lock()
		defer s.own.Unlock()
		s.dead = true
		return errDead
	case p < s.rate:
		return errFault
	case r.IntN(2) == 0:
		return ctx.Err() // otherwise the call, or its answer, was on its way already
	default:
		return nil
	}
}

// count lets the one operation fail that exact names.
func (s *invocation) count() error {
	time.Sleep(10 * time.Millisecond)
	s.own.Lock()
	defer s.own.Unlock()
	if s.ops++; s.ops != s.exact.at {
		return nil
	}
	if s.exact.kind == "crash" {
		s.dead = true
		return errDead
	}
	return errFault
}

func (s *invocation) isDead() bool {
	s.own.Lock()
	defer s.own.Unlock()
	return s.dead
}

// linger waits as long as the operation takes, and until the process thaws
// where all of it is frozen. It freezes once at most.
func (s *invocation) linger(r *rand.Rand) {
	pause := time.Duration(r.Int64N(int64(s.tempo)))
	switch p := r.Float64(); {
	case p < 0.02:
		pause = time.Duration(r.Int64N(int64(2 * time.Minute)))
	case p < 0.024:
		s.own.Lock()
		if s.thaw.IsZero() {
			s.thaw = time.Now().Add(10 * time.Minute)
		}
		s.own.Unlock()
	}
	time.Sleep(pause)
	s.own.Lock()
	frozen := time.Until(s.thaw)
	s.own.Unlock()
	time.Sleep(frozen)
}

// call is one operation of a poller.
func (s *invocation) call(ctx context.Context, op string, effect func() error) error {
	if err := s.step(ctx, op); err != nil {
		return err
	}
	s.note(s, op)
	if err := effect(); err != nil {
		if errors.Is(err, jobs.ErrConflict) {
			s.refuse(op)
		}
		return err
	}
	return s.step(ctx, op+"/done")
}

// get is a call with a value, which a poller does not get with an error.
func get[T any](ctx context.Context, s *invocation, op string, effect func() (T, error)) (T, error) {
	var got, none T
	err := s.call(ctx, op, func() (err error) { got, err = effect(); return err })
	if err != nil {
		return none, err
	}
	return got, nil
}

// sourceOf is Entity Resolution for one invocation.
type sourceOf struct{ *invocation }

func (s sourceOf) Workflows(ctx context.Context) (jobs.WorkflowList, error) {
	return get(ctx, s.invocation, "Workflows", func() (jobs.WorkflowList, error) { return s.source.Workflows(ctx) })
}

func (s sourceOf) Page(ctx context.Context, workflow, token string) (jobs.Page, error) {
	return get(ctx, s.invocation, "Page "+workflow+" "+token, func() (jobs.Page, error) { return s.source.Page(ctx, workflow, token) })
}

func (s sourceOf) Job(ctx context.Context, key jobs.Key) (jobs.Job, error) {
	return get(ctx, s.invocation, "Job "+key.String(), func() (jobs.Job, error) { return s.source.Job(ctx, key) })
}

func (s sourceOf) Tags(ctx context.Context, workflowARN string) (map[string]string, error) {
	return get(ctx, s.invocation, "Tags "+workflowARN, func() (map[string]string, error) { return s.source.Tags(ctx, workflowARN) })
}

// storeOf is the jobs table for one invocation.
type storeOf struct{ *invocation }

func (s storeOf) Live(ctx context.Context) (jobs.Live, error) {
	return get(ctx, s.invocation, "Live", func() (jobs.Live, error) { return s.store.Live(ctx) })
}

func (s storeOf) Save(ctx context.Context, r jobs.Record) error {
	return s.call(ctx, fmt.Sprintf("Save %s %s", r.Job.Key, r.Job.Status), func() error { return s.store.Save(ctx, r) })
}

func (s storeOf) Archive(ctx context.Context, r jobs.Record) error {
	return s.call(ctx, "Archive "+r.Job.Key.String(), func() error { return s.store.Archive(ctx, r) })
}

func (s storeOf) Delete(ctx context.Context, r jobs.Record) error {
	return s.call(ctx, "Delete "+r.Job.Key.String(), func() error { return s.store.Delete(ctx, r) })
}

func (s storeOf) Histories(ctx context.Context, workflow string) (jobs.Histories, error) {
	return get(ctx, s.invocation, "Histories "+workflow, func() (jobs.Histories, error) { return s.store.Histories(ctx, workflow) })
}

func (s storeOf) Archived(ctx context.Context, workflow string, since time.Time) iter.Seq2[jobs.Record, error] {
	return func(yield func(jobs.Record, error) bool) {
		if err := s.call(ctx, "Archived "+workflow, func() error { return nil }); err != nil {
			yield(jobs.Record{}, err)
			return
		}
		s.store.Archived(ctx, workflow, since)(yield)
	}
}

func (s storeOf) AddStarts(ctx context.Context, workflow string, starts []time.Time) error {
	return s.call(ctx, "AddStarts "+workflow, func() error { return s.store.AddStarts(ctx, workflow, starts) })
}

func (s storeOf) Backfill(ctx context.Context, workflow string, runs []jobs.Record) error {
	return s.call(ctx, "Backfill "+workflow, func() error { return s.store.Backfill(ctx, workflow, runs) })
}

func (s storeOf) SaveWorkflow(ctx context.Context, w jobs.WorkflowState) error {
	return s.call(ctx, "SaveWorkflow "+w.Workflow, func() error { return s.store.SaveWorkflow(ctx, w) })
}

func (s storeOf) DeleteWorkflow(ctx context.Context, w jobs.WorkflowState) error {
	return s.call(ctx, "DeleteWorkflow "+w.Workflow, func() error { return s.store.DeleteWorkflow(ctx, w) })
}

func (s storeOf) SaveFilter(ctx context.Context, f jobs.FilterState) error {
	return s.call(ctx, "SaveFilter", func() error { return s.store.SaveFilter(ctx, f) })
}

// busOf is the event bus for one invocation.
type busOf struct{ *invocation }

func (s busOf) Publish(ctx context.Context, entries []jobs.Entry) []error {
	errs := make([]error, len(entries))
	for i, entry := range entries {
		d := detailOf(entry)
		op := fmt.Sprintf("Publish %s/%s %s", d.WorkflowName, d.JobID, d.Status)
		if d.Mute != nil {
			op = fmt.Sprintf("Publish %s", d.Subject())
		}
		errs[i] = s.call(ctx, op, func() error { return s.bus.Publish(ctx, entries[i:i+1])[0] })
	}
	return errs
}
