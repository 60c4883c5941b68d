// Package entityresolution is a fake of Entity Resolution's HTTP API.
package entityresolution

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/idmapping/notifier/internal/fakecloud/account"
	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
	"github.com/idmapping/notifier/internal/jobs"
)

// Server serves the operations on ID mapping jobs as the service's own model
// describes them (restJson1). It keeps the quota of one running ID mapping job.
type Server struct {
	// Order arranges a workflow's job list; nil is newest first. The service
	// documents no order. It must not change while jobs do not.
	Order func([]jobs.Job) []jobs.Job
	// Now is the service's clock; nil is the real one.
	Now func() time.Time
	// Latency is how long each response takes.
	Latency time.Duration

	httpfault.Set

	mu        sync.Mutex
	workflows map[string][]jobs.Job // by name, in the order of their start
	lists     map[string][]jobs.Job // as listed, until a job changes
	created   map[string]time.Time
	tags      map[string]map[string]string // by workflow
	calls     []Call
}

// Call is one request that arrived.
type Call struct {
	At        time.Time
	Operation string // "GetIdMappingJob"
	Workflow  string
}

// AddWorkflow adds a workflow without jobs.
func (s *Server) AddWorkflow(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.workflow(name)
}

func (s *Server) workflow(name string) {
	if s.workflows == nil {
		s.workflows = make(map[string][]jobs.Job)
	}
	if _, ok := s.workflows[name]; !ok {
		if s.created == nil {
			s.created = make(map[string]time.Time)
		}
		s.created[name] = s.now()
		s.workflows[name] = nil
	}
}

// Put adds a job, or changes the one with its key. While another job runs, a
// RUNNING job is QUEUED instead: the quota is one running ID mapping job.
func (s *Server) Put(job jobs.Job) jobs.Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.workflow(job.Workflow)
	delete(s.lists, job.Workflow)
	if job.Status == jobs.Running && s.otherRuns(job.Key) {
		job.Status, job.StartTime = jobs.Queued, time.Time{}
	}
	all := s.workflows[job.Workflow]
	if at := slices.IndexFunc(all, func(j jobs.Job) bool { return j.Key == job.Key }); at >= 0 {
		all[at] = job
	} else {
		s.workflows[job.Workflow] = append(all, job)
	}
	return job
}

func (s *Server) otherRuns(key jobs.Key) bool {
	for _, all := range s.workflows {
		for _, j := range all {
			if j.Status == jobs.Running && j.Key != key {
				return true
			}
		}
	}
	return false
}

// Remove deletes a job, or with an empty job ID its whole workflow.
func (s *Server) Remove(key jobs.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lists, key.Workflow)
	if key.Job == "" {
		delete(s.workflows, key.Workflow)
		delete(s.tags, key.Workflow)
		return
	}
	s.workflows[key.Workflow] = slices.DeleteFunc(s.workflows[key.Workflow], func(j jobs.Job) bool { return j.Key == key })
}

// SetLatency changes Latency while the server runs.
func (s *Server) SetLatency(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Latency = d
}

// Calls returns the requests that arrived so far.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now().UTC()
	}
	return time.Now().UTC()
}

// ServeHTTP serves GET /idmappingworkflows, GET
// /idmappingworkflows/{name}/jobs, GET
// /idmappingworkflows/{name}/jobs/{jobId}, and GET, POST and DELETE
// /tags/{resourceArn} of a workflow.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	operation, workflow := tagOperation(r)
	id := ""
	switch {
	case operation != "":
	case parts[0] != "idmappingworkflows" || r.Method != http.MethodGet:
	case len(parts) == 1:
		operation = "ListIdMappingWorkflows"
	case len(parts) == 3 && parts[2] == "jobs":
		operation, workflow = "ListIdMappingJobs", parts[1]
	case len(parts) == 4 && parts[2] == "jobs":
		operation, workflow, id = "GetIdMappingJob", parts[1], parts[3]
	}
	w.Header().Set("Date", s.now().Format(http.TimeFormat))
	w.Header().Set("Content-Type", "application/json")
	s.record(operation, workflow)
	if fault, ok := s.Take(operation, workflow); ok {
		fault.ServeHTTP(w, r)
		return
	}
	s.mu.Lock()
	latency := s.Latency
	s.mu.Unlock()
	httpfault.Pause(r.Context(), latency)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, exists := s.workflows[workflow]; !exists && workflow != "" {
		httpfault.Exception(w, http.StatusNotFound, "ResourceNotFoundException", "no workflow "+workflow)
		return
	}
	switch operation {
	case "ListTagsForResource":
		s.listTags(w, workflow)
	case "TagResource":
		s.tagResource(w, r, workflow)
	case "UntagResource":
		s.untagResource(w, r, workflow)
	case "ListIdMappingWorkflows":
		s.listWorkflows(w)
	case "ListIdMappingJobs":
		s.listJobs(w, r, workflow)
	case "GetIdMappingJob":
		s.getJob(w, jobs.Key{Workflow: workflow, Job: id})
	default:
		httpfault.Exception(w, http.StatusBadRequest, "UnknownOperationException", r.Method+" "+r.URL.Path)
	}
}

func (s *Server) record(operation, workflow string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, Call{time.Now(), operation, workflow})
}

func (s *Server) listWorkflows(w http.ResponseWriter) {
	type summary struct {
		WorkflowName string  `json:"workflowName"`
		WorkflowArn  string  `json:"workflowArn"`
		CreatedAt    float64 `json:"createdAt"`
		UpdatedAt    float64 `json:"updatedAt"`
	}
	all := []summary{}
	for name := range s.workflows {
		created := float64(s.created[name].UnixMilli()) / 1000
		all = append(all, summary{name, WorkflowARN(name), created, created})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"workflowSummaries": all})
}

// WorkflowARN returns a workflow's ARN in the fake cloud.
func WorkflowARN(name string) string {
	return fmt.Sprintf("arn:aws:entityresolution:%s:%s:idmappingworkflow/%s", account.Region, account.ID, name)
}

// rows returns a workflow's jobs in the order of its list. Long lists are read in
// many pages, so it orders them only once after a change.
func (s *Server) rows(workflow string) []jobs.Job {
	if rows, ordered := s.lists[workflow]; ordered {
		return rows
	}
	rows := slices.Clone(s.workflows[workflow])
	slices.Reverse(rows)
	if s.Order != nil {
		rows = s.Order(rows)
	}
	if s.lists == nil {
		s.lists = make(map[string][]jobs.Job)
	}
	s.lists[workflow] = rows
	return rows
}

func (s *Server) listJobs(w http.ResponseWriter, r *http.Request, workflow string) {
	rows := s.rows(workflow)
	size := 25
	if n, err := strconv.Atoi(r.URL.Query().Get("maxResults")); err == nil {
		size = min(n, 25)
	}
	from := 0
	if token := r.URL.Query().Get("nextToken"); token != "" {
		var err error
		if from, err = strconv.Atoi(strings.TrimPrefix(token, "token-")); err != nil || from > len(rows) {
			httpfault.Exception(w, http.StatusBadRequest, "ValidationException", "nextToken")
			return
		}
	}
	page := rows[from:min(from+size, len(rows))]
	out := map[string]any{}
	list := []map[string]any{}
	for _, j := range page {
		row := map[string]any{"jobId": j.Job, "status": j.Status}
		times(row, j)
		list = append(list, row)
	}
	out["jobs"] = list
	if from+size < len(rows) {
		out["nextToken"] = fmt.Sprintf("token-%d", from+size)
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (s *Server) getJob(w http.ResponseWriter, key jobs.Key) {
	at := slices.IndexFunc(s.workflows[key.Workflow], func(j jobs.Job) bool { return j.Key == key })
	if at < 0 {
		httpfault.Exception(w, http.StatusNotFound, "ResourceNotFoundException", "no job "+key.Job)
		return
	}
	j := s.workflows[key.Workflow][at]
	out := map[string]any{"jobId": j.Job, "status": j.Status}
	times(out, j)
	if j.Type != "" {
		out["jobType"] = j.Type
	}
	if len(j.Metrics) > 0 {
		out["metrics"] = j.Metrics
	}
	if j.Error != "" {
		out["errorDetails"] = map[string]string{"errorMessage": j.Error}
	}
	if len(j.Outputs) > 0 {
		out["outputSourceConfig"] = j.Outputs
	}
	_ = json.NewEncoder(w).Encode(out)
}

// times adds the job's times as epoch seconds; an unknown time is null.
func times(out map[string]any, j jobs.Job) {
	out["startTime"], out["endTime"] = nil, nil
	if !j.StartTime.IsZero() {
		out["startTime"] = float64(j.StartTime.UnixMilli()) / 1000
	}
	if !j.EndTime.IsZero() {
		out["endTime"] = float64(j.EndTime.UnixMilli()) / 1000
	}
}

// Shuffled is an Order that differs with every call.
func Shuffled(rows []jobs.Job) []jobs.Job {
	rand.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return rows
}
