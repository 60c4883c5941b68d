package fake

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
)

// Source is an in-memory Entity Resolution. The zero value has no workflows.
type Source struct {
	// Fault, if set, is called before every call with "Workflows", "Page w" or
	// "Job w/id" or "Tags w"; its error is the answer.
	Fault func(call string) error
	Clock func() time.Time
	// Order arranges a workflow's list; nil is newest first.
	Order func([]jobs.Job) []jobs.Job

	mu        sync.Mutex
	workflows map[string][]jobs.Job // in the order of creation
	created   map[string]time.Time
	tags      map[string]map[string]string
	calls     []string
}

// ARN is the ARN of a workflow of this source.
func ARN(workflow string) string {
	return "arn:aws:entityresolution:eu-west-1:123456789012:idmappingworkflow/" + workflow
}

// Put adds a job or changes it. A job without an id adds only its workflow.
func (s *Source) Put(job jobs.Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.workflows == nil {
		s.workflows = make(map[string][]jobs.Job)
	}
	all, exists := s.workflows[job.Workflow]
	if !exists {
		if s.created == nil {
			s.created = make(map[string]time.Time)
		}
		s.created[job.Workflow] = s.now()
	}
	if at := slices.IndexFunc(all, func(j jobs.Job) bool { return j.Job == job.Job }); at >= 0 {
		all[at] = job
	} else if job.Job != "" {
		all = append(all, job)
	}
	s.workflows[job.Workflow] = all
}

// Remove takes a job away, or with an empty id its workflow.
func (s *Source) Remove(key jobs.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key.Job == "" {
		delete(s.workflows, key.Workflow)
		return
	}
	s.workflows[key.Workflow] = slices.DeleteFunc(s.workflows[key.Workflow], func(j jobs.Job) bool { return j.Job == key.Job })
}

// Get is the job as it stands, without a call.
func (s *Source) Get(key jobs.Key) (jobs.Job, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.workflows[key.Workflow] {
		if j.Job == key.Job {
			return j, true
		}
	}
	return jobs.Job{}, false
}

// Calls are the calls made so far.
func (s *Source) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Workflows lists all workflows. Each was created when it was first put here.
func (s *Source) Workflows(context.Context) (jobs.WorkflowList, error) {
	if err := s.call("Workflows"); err != nil {
		return jobs.WorkflowList{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := jobs.WorkflowList{Workflows: make(map[string]jobs.Workflow), At: s.now()}
	for name := range s.workflows {
		list.Workflows[name] = jobs.Workflow{Name: name, ARN: ARN(name), CreatedAt: s.created[name]}
	}
	return list, nil
}

func (s *Source) now() time.Time {
	if s.Clock == nil {
		return time.Time{}
	}
	return s.Clock().UTC()
}

// Page is one page of 25 of a workflow's job list. Its tokens are offsets.
func (s *Source) Page(_ context.Context, workflow, token string) (jobs.Page, error) {
	if err := s.call("Page " + workflow); err != nil {
		return jobs.Page{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all, ok := s.workflows[workflow]
	if !ok {
		return jobs.Page{}, fmt.Errorf("listing jobs of %s: %w", workflow, jobs.ErrNotFound)
	}
	if s.Order != nil {
		rows := slices.Clone(all)
		slices.Reverse(rows)
		all = s.Order(rows)
		slices.Reverse(all)
	}
	from := 0
	if token != "" {
		var err error
		if from, err = strconv.Atoi(token); err != nil || from > len(all) {
			return jobs.Page{}, fmt.Errorf("listing jobs of %s: token %q: %w", workflow, token, jobs.ErrRejected)
		}
	}
	var page jobs.Page
	for _, j := range slices.Backward(all[max(0, len(all)-from-25) : len(all)-from]) {
		row := jobs.Job{Key: j.Key, Status: j.Status, StartTime: j.StartTime, EndTime: j.EndTime}
		if row.Status == "" {
			page.Unreadable++
			continue
		}
		page.Rows = append(page.Rows, row)
	}
	page.At = s.now()
	if from+25 < len(all) {
		page.Next = strconv.Itoa(from + 25)
	}
	return page, nil
}

// Job is one job with all its details.
func (s *Source) Job(_ context.Context, key jobs.Key) (jobs.Job, error) {
	if err := s.call("Job " + key.String()); err != nil {
		return jobs.Job{}, err
	}
	if j, ok := s.Get(key); ok {
		if j.Status == "" {
			return jobs.Job{}, fmt.Errorf("getting job %s: %w: no status", key, jobs.ErrUnavailable)
		}
		return j, nil
	}
	return jobs.Job{}, fmt.Errorf("getting job %s: %w", key, jobs.ErrNotFound)
}

// SetTags replaces the tags of a workflow, without the prefix.
func (s *Source) SetTags(workflow string, tags map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tags == nil {
		s.tags = make(map[string]map[string]string)
	}
	s.tags[workflow] = tags
}

// Tags are those that were set.
func (s *Source) Tags(_ context.Context, workflowARN string) (map[string]string, error) {
	workflow := workflowARN[strings.LastIndexByte(workflowARN, '/')+1:]
	if err := s.call("Tags " + workflow); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tags[workflow], nil
}

func (s *Source) call(name string) error {
	s.mu.Lock()
	s.calls = append(s.calls, name)
	s.mu.Unlock()
	if s.Fault == nil {
		return nil
	}
	return s.Fault(name)
}

// Bus is an in-memory event bus.
type Bus struct {
	// Fault, if set, is called for every entry, before it is taken and, with
	// "Publish/done", after; an error before means the entry is not taken.
	Fault func(op string, entry jobs.Entry) error

	mu    sync.Mutex
	taken []jobs.Entry
}

// Publish puts the entries on the bus.
func (b *Bus) Publish(_ context.Context, entries []jobs.Entry) []error {
	errs := make([]error, len(entries))
	for i, entry := range entries {
		if b.Fault != nil {
			if errs[i] = b.Fault("Publish", entry); errs[i] != nil {
				continue
			}
		}
		b.mu.Lock()
		b.taken = append(b.taken, entry)
		b.mu.Unlock()
		if b.Fault != nil {
			errs[i] = b.Fault("Publish/done", entry)
		}
	}
	return errs
}

// Taken are the entries on the bus, in the order in which they came.
func (b *Bus) Taken() []jobs.Entry { return b.TakenAfter(0) }

// TakenAfter are the entries on the bus without the first n.
func (b *Bus) TakenAfter(n int) []jobs.Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.taken[n:])
}
