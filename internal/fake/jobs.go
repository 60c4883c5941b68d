// Package storetest holds in-memory stores for tests and the contract that they
// share with the DynamoDB tables: what passes here is a fair stand-in.
package fake

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
)

// Jobs is an in-memory jobs table. The zero value is empty.
type Jobs struct {
	// Fault, if set, is called around every operation with its name, once
	// before it takes effect ("Save") and, for writes, once after ("Save/done").
	// An error is returned to the caller; a panic is a crash.
	Fault func(op string) error
	// Unreadable are items that cannot be read: a watch by its workflow's name,
	// a job by "workflow/job".
	Unreadable map[string]error

	mu      sync.Mutex
	watches map[string]jobs.Watch
	records map[jobs.Key]jobs.Record
	refused map[string]string
	writes  int
}

// Watches are all workflows that something is remembered of.
func (s *Jobs) Watches(context.Context) ([]jobs.Watch, error) {
	if err := s.fault("Watches"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []jobs.Watch
	for _, w := range s.watches {
		w.Jobs = slices.Clone(w.Jobs)
		if err := s.Unreadable[w.Workflow]; err != nil {
			w = jobs.Watch{Workflow: w.Workflow, Unreadable: err}
		}
		all = append(all, w)
	}
	return all, nil
}

// SaveWatch writes w as version w.Version+1.
func (s *Jobs) SaveWatch(_ context.Context, w jobs.Watch) error {
	return s.write("SaveWatch", func() error {
		if s.watches[w.Workflow].Version != w.Version {
			return jobs.ErrConflict
		}
		w.Version++
		if s.watches == nil {
			s.watches = make(map[string]jobs.Watch)
		}
		s.watches[w.Workflow] = w
		return nil
	})
}

// Forget removes a watch, unless its version is another by now.
func (s *Jobs) Forget(_ context.Context, w jobs.Watch) error {
	return s.write("Forget", func() error {
		if s.watches[w.Workflow].Version != w.Version {
			return jobs.ErrConflict
		}
		delete(s.watches, w.Workflow)
		return nil
	})
}

// Records are all jobs known of a workflow, by id.
func (s *Jobs) Records(_ context.Context, workflow string) (map[string]jobs.Record, error) {
	if err := s.fault("Records"); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]jobs.Record)
	for k, r := range s.records {
		if k.Workflow == workflow {
			if err := s.Unreadable[k.String()]; err != nil {
				r = jobs.Record{Job: jobs.Job{Key: k}, Unreadable: err}
			}
			r.Pending = slices.Clone(r.Pending)
			all[k.Job] = r
		}
	}
	return all, nil
}

// Record is one job; its Version is 0 when it is not known.
func (s *Jobs) Record(_ context.Context, key jobs.Key) (jobs.Record, error) {
	if err := s.fault("Record"); err != nil {
		return jobs.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.Unreadable[key.String()]; err != nil {
		return jobs.Record{}, err
	}
	r, ok := s.records[key]
	if !ok {
		return jobs.Record{Job: jobs.Job{Key: key}}, nil
	}
	r.Pending = slices.Clone(r.Pending)
	return r, nil
}

// Save writes r as version r.Version+1, adding entry to the outbox.
func (s *Jobs) Save(_ context.Context, r jobs.Record, entry *jobs.Entry) error {
	return s.write("Save", func() error {
		old := s.records[r.Job.Key]
		if old.Version != r.Version {
			return jobs.ErrConflict
		}
		r.Pending = slices.Clone(old.Pending)
		if entry != nil {
			r.Pending = slices.DeleteFunc(r.Pending, func(e jobs.Entry) bool { return e.ID == entry.ID })
			r.Pending = append(r.Pending, *entry)
		}
		r.Version++
		r.Expiring = false
		if s.records == nil {
			s.records = make(map[jobs.Key]jobs.Record)
		}
		s.records[r.Job.Key] = r
		return nil
	})
}

// Settle takes exactly these entries out of r's outbox.
func (s *Jobs) Settle(_ context.Context, r jobs.Record, published []string, refused map[string]string) error {
	return s.write("Settle", func() error {
		now, ok := s.records[r.Job.Key]
		if !ok {
			return nil
		}
		now.Pending = slices.DeleteFunc(slices.Clone(now.Pending), func(e jobs.Entry) bool {
			_, no := refused[e.ID]
			return no || slices.Contains(published, e.ID)
		})
		if s.refused == nil {
			s.refused = make(map[string]string)
		}
		maps.Copy(s.refused, refused)
		now.Expiring = now.Expiring || now.Version == r.Version && len(now.Pending) == 0 && !now.Open()
		s.records[r.Job.Key] = now
		return nil
	})
}

// Writes is how many writes took effect.
func (s *Jobs) Writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// Refused are the ids of quarantined entries with their reasons.
func (s *Jobs) Refused() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.refused)
}

// Expire removes the records that expire, as DynamoDB's TTL does once their
// time has come.
func (s *Jobs) Expire(end func(jobs.Job) time.Time, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.records, func(_ jobs.Key, r jobs.Record) bool {
		return r.Expiring && end(r.Job).Before(now)
	})
}

func (s *Jobs) write(op string, effect func() error) error {
	if err := s.fault(op); err != nil {
		return err
	}
	s.mu.Lock()
	err := effect()
	if err == nil {
		s.writes++
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.fault(op + "/done")
}

func (s *Jobs) fault(op string) error {
	if s.Fault == nil {
		return nil
	}
	return s.Fault(op)
}
