package reliability

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
)

// seized is one invocation among others, and what seizes it.
type seized struct {
	*crowd
	n     int // which of its round
	seed  uint64
	tempo time.Duration // how long an operation takes at most, as a rule

	own   sync.Mutex
	times map[string]int // how often it came to each operation
	thaw  time.Time      // until when it is frozen, or was; zero is never
	dead  bool
}

func newSeized(c *crowd, n int, r *rand.Rand) *seized {
	tempo := []time.Duration{20 * time.Millisecond, 200 * time.Millisecond, 2 * time.Second}[r.IntN(3)]
	return &seized{crowd: c, n: n, seed: r.Uint64(), tempo: tempo, times: make(map[string]int)}
}

// fate is what decides at this operation. It depends on nothing but the seed
// and the operation: the workflows of one poller are swept at the same time, and
// whose turn comes first must not change what is drawn.
func (s *seized) fate(op string) *rand.Rand {
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

// step is called before and after every operation. What it returns is what the
// poller gets.
func (s *seized) step(ctx context.Context, op string) error {
	if s.isDead() {
		return errDead
	}
	r := s.fate(op)
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

func (s *seized) isDead() bool {
	s.own.Lock()
	defer s.own.Unlock()
	return s.dead
}

// linger waits as long as the operation takes, and until the process thaws
// where all of it is frozen. It freezes once at most.
func (s *seized) linger(r *rand.Rand) {
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
func (s *seized) call(ctx context.Context, op string, effect func() error) error {
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
func get[T any](ctx context.Context, s *seized, op string, effect func() (T, error)) (T, error) {
	var got, none T
	err := s.call(ctx, op, func() (err error) { got, err = effect(); return err })
	if err != nil {
		return none, err
	}
	return got, nil
}

// seizedSource is Entity Resolution for one poller.
type seizedSource struct{ *seized }

func (s seizedSource) Workflows(ctx context.Context) (map[string]string, error) {
	return get(ctx, s.seized, "Workflows", func() (map[string]string, error) { return s.source.Workflows(ctx) })
}

func (s seizedSource) Page(ctx context.Context, workflow, token string) (jobs.Page, error) {
	return get(ctx, s.seized, "Page "+workflow+" "+token, func() (jobs.Page, error) { return s.source.Page(ctx, workflow, token) })
}

func (s seizedSource) Job(ctx context.Context, key jobs.Key) (jobs.Job, error) {
	return get(ctx, s.seized, "Job "+key.String(), func() (jobs.Job, error) { return s.source.Job(ctx, key) })
}

// seizedStore is the jobs table for one poller.
type seizedStore struct{ *seized }

func (s seizedStore) Watches(ctx context.Context) ([]jobs.Watch, error) {
	return get(ctx, s.seized, "Watches", func() ([]jobs.Watch, error) { return s.store.Watches(ctx) })
}

func (s seizedStore) SaveWatch(ctx context.Context, w jobs.Watch) error {
	return s.call(ctx, "SaveWatch "+w.Workflow, func() error { return s.store.SaveWatch(ctx, w) })
}

func (s seizedStore) Forget(ctx context.Context, w jobs.Watch) error {
	return s.call(ctx, "Forget "+w.Workflow, func() error { return s.store.Forget(ctx, w) })
}

func (s seizedStore) Records(ctx context.Context, workflow string) (map[string]jobs.Record, error) {
	return get(ctx, s.seized, "Records "+workflow, func() (map[string]jobs.Record, error) { return s.store.Records(ctx, workflow) })
}

func (s seizedStore) Record(ctx context.Context, key jobs.Key) (jobs.Record, error) {
	return get(ctx, s.seized, "Record "+key.String(), func() (jobs.Record, error) { return s.store.Record(ctx, key) })
}

func (s seizedStore) Save(ctx context.Context, r jobs.Record, entry *jobs.Entry) error {
	return s.call(ctx, fmt.Sprintf("Save %s %s", r.Job.Key, r.Job.Status), func() error { return s.store.Save(ctx, r, entry) })
}

func (s seizedStore) Settle(ctx context.Context, r jobs.Record, published []string, refused map[string]string) error {
	return s.call(ctx, "Settle "+r.Job.Key.String(), func() error { return s.store.Settle(ctx, r, published, refused) })
}

// seizedBus is the bus for one poller. Entries are taken one by one: a poller
// can be stopped between two.
type seizedBus struct{ *seized }

func (s seizedBus) Publish(ctx context.Context, entries []jobs.Entry) []error {
	errs := make([]error, len(entries))
	for i, entry := range entries {
		d := detailOf(entry)
		op := fmt.Sprintf("Publish %s/%s %s", d.WorkflowName, d.JobID, d.Status)
		errs[i] = s.call(ctx, op, func() error { return s.bus.Publish(ctx, entries[i:i+1])[0] })
	}
	return errs
}
