// Package fake holds in-memory doubles of the systems outside, and the contract
// tests that each double shares with its adapter: what passes both is a fair
// double.
package fake

import (
	"context"
	"iter"
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
	// Unreadable are items that cannot be read: a state by its workflow's name,
	// a record by "workflow/job".
	Unreadable map[string]error
	// Retention is how long runs are archived; zero keeps them for ever.
	Retention time.Duration
	Now       func() time.Time

	mu        sync.Mutex
	states    map[string]jobs.WorkflowState
	records   map[jobs.Key]jobs.Record
	filter    jobs.FilterState
	archive   map[string][]jobs.Record // by workflow
	histories map[string]*jobs.Histories
	writes    int
}

// Live reads the live partition.
func (s *Jobs) Live(context.Context) (jobs.Live, error) {
	if err := s.fault("Live"); err != nil {
		return jobs.Live{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	live := jobs.Live{Workflows: make(map[string]jobs.WorkflowState), Records: make(map[jobs.Key]jobs.Record), Filter: s.filter}
	for name, w := range s.states {
		w.Backfill = slices.Clone(w.Backfill)
		if err := s.Unreadable[name]; err != nil {
			w = jobs.WorkflowState{Workflow: name, Version: w.Version, Unreadable: err}
		}
		live.Workflows[name] = w
	}
	for k, r := range s.records {
		if err := s.Unreadable[k.String()]; err != nil {
			r = jobs.Record{Job: jobs.Job{Key: k}, Version: r.Version, Unreadable: err}
		}
		live.Records[k] = copied(r)
	}
	return live, nil
}

// Save writes r as version r.Version+1.
func (s *Jobs) Save(_ context.Context, r jobs.Record) error {
	return s.write("Save", func() error { return s.put(r) })
}

// Archive moves a finished run to the archive and its histories.
func (s *Jobs) Archive(_ context.Context, r jobs.Record) error {
	return s.write("Archive", func() error {
		if stored := s.records[r.Job.Key]; stored.Archived && stored.Version == r.Version+1 && stored.Job.Status == r.Job.Status {
			return nil
		}
		if err := s.put(r.Stub()); err != nil {
			return err
		}
		s.addRun(r, true)
		return nil
	})
}

// Delete removes r.
func (s *Jobs) Delete(_ context.Context, r jobs.Record) error {
	return s.write("Delete", func() error {
		if stored, ok := s.records[r.Job.Key]; !ok || stored.Version != r.Version {
			return jobs.ErrConflict
		}
		delete(s.records, r.Job.Key)
		return nil
	})
}

// AddStarts adds start times to a workflow's history.
func (s *Jobs) AddStarts(_ context.Context, workflow string, starts []time.Time) error {
	return s.write("AddStarts", func() error {
		h := s.history(workflow)
		for _, start := range starts {
			h.Runs = h.Runs.AddStart(start)
		}
		return nil
	})
}

// Backfill adds runs that finished before the workflow was watched.
func (s *Jobs) Backfill(_ context.Context, _ string, runs []jobs.Record) error {
	return s.write("Backfill", func() error {
		for _, r := range runs {
			s.addRun(r, false)
		}
		return nil
	})
}

// SaveWorkflow writes w as version w.Version+1.
func (s *Jobs) SaveWorkflow(_ context.Context, w jobs.WorkflowState) error {
	return s.write("SaveWorkflow", func() error {
		if s.states[w.Workflow].Version != w.Version {
			return jobs.ErrConflict
		}
		w.Version++
		if s.states == nil {
			s.states = make(map[string]jobs.WorkflowState)
		}
		s.states[w.Workflow] = w
		return nil
	})
}

// DeleteWorkflow removes w and its histories.
func (s *Jobs) DeleteWorkflow(_ context.Context, w jobs.WorkflowState) error {
	return s.write("DeleteWorkflow", func() error {
		if stored, ok := s.states[w.Workflow]; !ok || stored.Version != w.Version {
			return jobs.ErrConflict
		}
		delete(s.states, w.Workflow)
		delete(s.histories, w.Workflow)
		return nil
	})
}

// SaveFilter writes f as version f.Version+1.
func (s *Jobs) SaveFilter(_ context.Context, f jobs.FilterState) error {
	return s.write("SaveFilter", func() error {
		if s.filter.Version != f.Version {
			return jobs.ErrConflict
		}
		f.Version++
		s.filter = f
		return nil
	})
}

// Writes counts the writes that took effect.
func (s *Jobs) Writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// Runs are a workflow's archived runs, in the order of their end.
func (s *Jobs) Runs(workflow string) []jobs.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.archive[workflow])
}

// Archived reads the archived runs that finished at or after since.
func (s *Jobs) Archived(_ context.Context, workflow string, since time.Time) iter.Seq2[jobs.Record, error] {
	return func(yield func(jobs.Record, error) bool) {
		if err := s.fault("Archived"); err != nil {
			yield(jobs.Record{}, err)
			return
		}
		for _, r := range s.Runs(workflow) {
			if !r.FinishedAt().Before(since) && !yield(r, nil) {
				return
			}
		}
	}
}

// Histories reads what a workflow's runs are compared with.
func (s *Jobs) Histories(_ context.Context, workflow string) (jobs.Histories, error) {
	if err := s.fault("Histories"); err != nil {
		return jobs.Histories{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.histories[workflow] == nil {
		return jobs.Histories{}, nil
	}
	h := s.histories[workflow]
	return jobs.Histories{Runs: h.Runs, Successes: maps.Clone(h.Successes)}, nil
}

// Refused are the IDs of quarantined events with their reasons, in records and
// archived runs.
func (s *Jobs) Refused() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]string)
	add := func(r jobs.Record) {
		for _, refused := range r.Refused {
			all[refused.ID] = refused.Reason
		}
	}
	for _, r := range s.records {
		add(r)
	}
	for _, runs := range s.archive {
		for _, r := range runs {
			add(r)
		}
	}
	return all
}

// Expire removes the archived runs whose retention has passed, as DynamoDB's TTL
// does.
func (s *Jobs) Expire(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for workflow, runs := range s.archive {
		s.archive[workflow] = slices.DeleteFunc(runs, func(r jobs.Record) bool {
			return s.Retention > 0 && r.FinishedAt().Add(s.Retention).Before(now)
		})
	}
}

func (s *Jobs) put(r jobs.Record) error {
	if s.records[r.Job.Key].Version != r.Version {
		return jobs.ErrConflict
	}
	r.Version++
	if s.records == nil {
		s.records = make(map[jobs.Key]jobs.Record)
	}
	s.records[r.Job.Key] = copied(r)
	return nil
}

func (s *Jobs) addRun(r jobs.Record, replace bool) {
	if s.archive == nil {
		s.archive = make(map[string][]jobs.Record)
	}
	runs := s.archive[r.Job.Workflow]
	at := slices.IndexFunc(runs, func(x jobs.Record) bool {
		return x.Job.Job == r.Job.Job && x.FinishedAt().Equal(r.FinishedAt())
	})
	expired := !replace && s.Retention > 0 && s.Now != nil && !r.FinishedAt().Add(s.Retention).After(s.Now())
	switch {
	case at >= 0 && replace:
		runs[at] = copied(r)
	case at < 0 && !expired:
		runs = append(runs, copied(r))
		slices.SortStableFunc(runs, func(a, b jobs.Record) int { return a.FinishedAt().Compare(b.FinishedAt()) })
	}
	s.archive[r.Job.Workflow] = runs
	s.history(r.Job.Workflow).Add(r)
}

func (s *Jobs) history(workflow string) *jobs.Histories {
	if s.histories == nil {
		s.histories = make(map[string]*jobs.Histories)
	}
	if s.histories[workflow] == nil {
		s.histories[workflow] = &jobs.Histories{}
	}
	return s.histories[workflow]
}

func copied(r jobs.Record) jobs.Record {
	r.Outbox, r.Refused, r.Timeline = slices.Clone(r.Outbox), slices.Clone(r.Refused), slices.Clone(r.Timeline)
	return r
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
