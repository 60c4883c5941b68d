package fakecloud

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

	"github.com/idmapping/notifier/internal/jobs"
)

// EntityResolution speaks the part of Entity Resolution's API that has to do
// with ID mapping jobs, as the service's own model describes it (restJson1). It
// keeps the quota of one running ID mapping job.
type EntityResolution struct {
	// Order arranges a workflow's job list; nil is newest first. The service
	// documents no order.
	Order func([]jobs.Job) []jobs.Job
	// Now is the service's clock; nil is the real one.
	Now func() time.Time
	// Slow is how long each answer takes.
	Slow time.Duration

	mu        sync.Mutex
	workflows map[string][]jobs.Job // by name, in the order of their start
	created   map[string]time.Time
	faults    []*Fault
	calls     []Call
}

// Call is one request that arrived.
type Call struct {
	At        time.Time
	Operation string // "GetIdMappingJob"
	Workflow  string
}

// Fault is what goes wrong with the next requests that it matches.
type Fault struct {
	Operation string // empty: every operation
	Workflow  string // empty: every workflow
	Times     int    // 0: until cleared
	Status    int    // of the answer
	Code      string // the exception's name, such as "ThrottlingException"
	Body      string // instead of an exception: this body with Status
	Delay     time.Duration
	Drip      time.Duration // between two bytes of Body
	Reset     bool          // break the connection instead of answering

	used int
}

// AddWorkflow makes a workflow without jobs.
func (e *EntityResolution) AddWorkflow(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.workflow(name)
}

func (e *EntityResolution) workflow(name string) {
	if e.workflows == nil {
		e.workflows = make(map[string][]jobs.Job)
	}
	if _, ok := e.workflows[name]; !ok {
		if e.created == nil {
			e.created = make(map[string]time.Time)
		}
		e.created[name] = e.now()
		e.workflows[name] = nil
	}
}

// Put adds a job, or changes the one with its key. A job that would run beside
// another one is queued: the quota is one running ID mapping job.
func (e *EntityResolution) Put(job jobs.Job) jobs.Job {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.workflow(job.Workflow)
	if job.Status == jobs.Running && e.running(job.Key) {
		job.Status, job.StartTime = jobs.Queued, time.Time{}
	}
	all := e.workflows[job.Workflow]
	if at := slices.IndexFunc(all, func(j jobs.Job) bool { return j.Key == job.Key }); at >= 0 {
		all[at] = job
	} else {
		e.workflows[job.Workflow] = append(all, job)
	}
	return job
}

func (e *EntityResolution) running(but jobs.Key) bool {
	for _, all := range e.workflows {
		for _, j := range all {
			if j.Status == jobs.Running && j.Key != but {
				return true
			}
		}
	}
	return false
}

// Remove takes a job away, or with an empty id its whole workflow.
func (e *EntityResolution) Remove(key jobs.Key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if key.Job == "" {
		delete(e.workflows, key.Workflow)
		return
	}
	e.workflows[key.Workflow] = slices.DeleteFunc(e.workflows[key.Workflow], func(j jobs.Job) bool { return j.Key == key })
}

// Inject makes requests fail; Clear ends all that was injected.
func (e *EntityResolution) Inject(f Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = append(e.faults, &f)
}

// Clear ends every injected fault.
func (e *EntityResolution) Clear() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = nil
}

// Calls are the requests that arrived so far.
func (e *EntityResolution) Calls() []Call {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.calls)
}

func (e *EntityResolution) now() time.Time {
	if e.Now != nil {
		return e.Now().UTC()
	}
	return time.Now().UTC()
}

// ServeHTTP answers GET /idmappingworkflows, GET
// /idmappingworkflows/{name}/jobs and GET
// /idmappingworkflows/{name}/jobs/{jobId}.
func (e *EntityResolution) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	operation, workflow, id := "", "", ""
	switch {
	case parts[0] != "idmappingworkflows" || r.Method != http.MethodGet:
	case len(parts) == 1:
		operation = "ListIdMappingWorkflows"
	case len(parts) == 3 && parts[2] == "jobs":
		operation, workflow = "ListIdMappingJobs", parts[1]
	case len(parts) == 4 && parts[2] == "jobs":
		operation, workflow, id = "GetIdMappingJob", parts[1], parts[3]
	}
	w.Header().Set("Date", e.now().Format(http.TimeFormat))
	w.Header().Set("Content-Type", "application/json")
	if fault := e.note(operation, workflow); fault != nil {
		fault.answer(w, r)
		return
	}
	pause(r.Context(), e.Slow)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch operation {
	case "ListIdMappingWorkflows":
		e.listWorkflows(w)
	case "ListIdMappingJobs":
		e.listJobs(w, r, workflow)
	case "GetIdMappingJob":
		e.getJob(w, jobs.Key{Workflow: workflow, Job: id})
	default:
		exception(w, http.StatusBadRequest, "UnknownOperationException", r.Method+" "+r.URL.Path)
	}
}

// note records a request and finds the fault that it meets.
func (e *EntityResolution) note(operation, workflow string) *Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = append(e.calls, Call{time.Now(), operation, workflow})
	for _, f := range e.faults {
		if (f.Operation == "" || f.Operation == operation) && (f.Workflow == "" || f.Workflow == workflow) && (f.Times == 0 || f.used < f.Times) {
			f.used++
			return f
		}
	}
	return nil
}

func (f *Fault) answer(w http.ResponseWriter, r *http.Request) {
	if f.Delay > 0 {
		pause(r.Context(), f.Delay)
	}
	switch {
	case f.Reset:
		reset(w)
	case f.Code != "":
		exception(w, f.Status, f.Code, "injected")
	default:
		w.WriteHeader(f.Status)
		for n := 0; f.Drip > 0 && n < len(f.Body) && r.Context().Err() == nil; n++ {
			_, _ = w.Write([]byte{f.Body[n]})
			w.(http.Flusher).Flush()
			pause(r.Context(), f.Drip)
		}
		if f.Drip == 0 {
			_, _ = w.Write([]byte(f.Body))
		}
	}
}

// reset breaks the connection without an answer.
func reset(w http.ResponseWriter) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		_ = conn.Close()
	}
}

func exception(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("X-Amzn-Errortype", code)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}

func (e *EntityResolution) listWorkflows(w http.ResponseWriter) {
	type summary struct {
		WorkflowName string  `json:"workflowName"`
		WorkflowArn  string  `json:"workflowArn"`
		CreatedAt    float64 `json:"createdAt"`
		UpdatedAt    float64 `json:"updatedAt"`
	}
	all := []summary{}
	for name := range e.workflows {
		created := float64(e.created[name].UnixMilli()) / 1000
		all = append(all, summary{name, WorkflowARN(name), created, created})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"workflowSummaries": all})
}

// WorkflowARN is a workflow's ARN in the stand-in cloud.
func WorkflowARN(name string) string {
	return fmt.Sprintf("arn:aws:entityresolution:%s:%s:idmappingworkflow/%s", Region, Account, name)
}

func (e *EntityResolution) listJobs(w http.ResponseWriter, r *http.Request, workflow string) {
	all, ok := e.workflows[workflow]
	if !ok {
		exception(w, http.StatusNotFound, "ResourceNotFoundException", "no workflow "+workflow)
		return
	}
	rows := slices.Clone(all)
	slices.Reverse(rows)
	if e.Order != nil {
		rows = e.Order(rows)
	}
	size := 25
	if n, err := strconv.Atoi(r.URL.Query().Get("maxResults")); err == nil {
		size = min(n, 25)
	}
	from := 0
	if token := r.URL.Query().Get("nextToken"); token != "" {
		var err error
		if from, err = strconv.Atoi(strings.TrimPrefix(token, "token-")); err != nil || from > len(rows) {
			exception(w, http.StatusBadRequest, "ValidationException", "nextToken")
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

func (e *EntityResolution) getJob(w http.ResponseWriter, key jobs.Key) {
	at := slices.IndexFunc(e.workflows[key.Workflow], func(j jobs.Job) bool { return j.Key == key })
	if at < 0 {
		exception(w, http.StatusNotFound, "ResourceNotFoundException", "no job "+key.Job)
		return
	}
	j := e.workflows[key.Workflow][at]
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

// times puts in what is known, as epoch seconds; what is not known is null.
func times(out map[string]any, j jobs.Job) {
	out["startTime"], out["endTime"] = nil, nil
	if !j.StartTime.IsZero() {
		out["startTime"] = float64(j.StartTime.UnixMilli()) / 1000
	}
	if !j.EndTime.IsZero() {
		out["endTime"] = float64(j.EndTime.UnixMilli()) / 1000
	}
}

// Shuffled is an Order that is never the same twice.
func Shuffled(rows []jobs.Job) []jobs.Job {
	rand.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return rows
}
