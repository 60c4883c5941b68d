package event

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/idmapping/notifier/internal/jobs"
)

// Limits, in bytes and outputs, that keep an entry far below the 256 KB that
// PutEvents accepts.
const (
	maxErrorBytes  = 4096
	maxOutputs     = 10
	maxStringBytes = 2048
)

// Encode returns the entry that announces a transition. workflowARN is the ARN
// of the job's workflow, observed the time of the observation.
//
// It fails only when workflowARN is not the ARN of the job's workflow.
func Encode(workflowARN string, t jobs.Transition, observed time.Time) (jobs.Entry, error) {
	return encode(StateChange, workflowARN, t, observed, nil)
}

// EncodeVanished returns the entry that announces that Entity Resolution no
// longer shows a job. Its detail has the job's last known status.
func EncodeVanished(workflowARN string, last jobs.Job, observed time.Time) (jobs.Entry, error) {
	return encode(Vanished, workflowARN, jobs.Transition{Job: last}, observed, nil)
}

// maxWaiting bounds the list of jobs that wait behind an overdue one.
const maxWaiting = 20

// EncodeOverdue returns the entry that announces that an open job takes far longer
// than usual. since is when it became overdue, waiting are the QUEUED jobs behind it.
func EncodeOverdue(workflowARN string, job jobs.Job, a jobs.Assessment, since time.Time, waiting []jobs.Key, observed time.Time) (jobs.Entry, error) {
	return encode(Overdue, workflowARN, jobs.Transition{Job: job, Assessment: a}, observed, func(d *Detail) {
		d.Since = seconds(since)
		for _, k := range waiting[:min(len(waiting), maxWaiting)] {
			d.Waiting = append(d.Waiting, WaitsFor{k.Workflow, k.Job})
		}
	})
}

// EncodeMissing returns the entry that announces that a run of a workflow did not
// start.
//
// It fails only when workflowARN is not the ARN of the workflow.
func EncodeMissing(workflowARN, workflow string, m jobs.MissingRun, observed time.Time) (jobs.Entry, error) {
	return encodeRun(RunMissing, workflowARN, Detail{WorkflowName: workflow}, m, m.By, observed)
}

// EncodeResumed returns the entry that announces that a run has started after one
// was missing.
//
// It fails only when workflowARN is not the ARN of the workflow.
func EncodeResumed(workflowARN string, run jobs.Key, started time.Time, m jobs.MissingRun, observed time.Time) (jobs.Entry, error) {
	return encodeRun(RunResumed, workflowARN, Detail{WorkflowName: run.Workflow, JobID: run.Job, StartTime: seconds(started)}, m, started, observed)
}

func encodeRun(detailType, workflowARN string, detail Detail, m jobs.MissingRun, at, observed time.Time) (jobs.Entry, error) {
	workflow, err := parseWorkflow(workflowARN, detail.WorkflowName)
	if err != nil {
		return jobs.Entry{}, fmt.Errorf("encoding an event of workflow %s: %w", detail.WorkflowName, err)
	}
	detail.Version, detail.WorkflowARN, detail.ObservedAt = Version, workflowARN, observed.UTC()
	detail.ExpectedStart = &ExpectedStart{seconds(m.At), seconds(m.By), m.Kept, m.Of}
	if last := m.LastRun; last.Job != "" {
		detail.LastRun = &LastRun{last.Job, seconds(last.Start), trimStatus(last.Status)}
	}
	detail.TransitionID = TransitionID(workflow, detail.Subject(), transitionWord(detailType, detail))
	detail.Links = ConsoleLinks(detail)
	return entryOf(detailType, detail, at)
}

// Findings is how many findings an entry's run has.
func Findings(entry jobs.Entry) int {
	var d struct {
		Findings []struct{} `json:"findings"`
	}
	if json.Unmarshal([]byte(entry.Detail), &d) != nil {
		return 0
	}
	return len(d.Findings)
}

// Signals reports whether an entry says more than its status: it has a finding or ends
// a run of failures.
func Signals(entry jobs.Entry) bool {
	var d Detail
	return json.Unmarshal([]byte(entry.Detail), &d) == nil && d.Signals()
}

// EncodeCanary returns the entry of a canary that is sent now. visible is
// whether people see it.
func EncodeCanary(visible bool, now time.Time) jobs.Entry {
	id := canaryID(now)
	detail, _ := json.Marshal(struct { // strings, a time and a bool: it cannot fail
		Version      string    `json:"version"`
		TransitionID string    `json:"transitionId"`
		ObservedAt   time.Time `json:"observedAt"`
		Visible      bool      `json:"show,omitempty"`
	}{Version, id, now.UTC(), visible})
	return jobs.Entry{ID: id, DetailType: Canary, Time: now.UTC(), Detail: string(detail), ObservedAt: now.UTC()}
}

// Publisher is the stack that publishes events.
type Publisher struct {
	Stack       string
	Environment string // may be empty
}

// AddPublisher adds the publishing stack's name, and its environment if it has
// one, to an entry's detail, so that the rules of two stacks on one bus match only
// their own events. An outbox never stores them: a stack that takes over another
// one's table publishes what it finds there under its own name.
func AddPublisher(detail string, p Publisher) string {
	if p.Environment != "" {
		environment, _ := json.Marshal(p.Environment) // a string: it cannot fail
		detail = addKey(detail, "environment", environment)
	}
	stack, _ := json.Marshal(p.Stack)
	return addKey(detail, "publisher", stack)
}

// addKey adds a key and its JSON value to the front of a JSON object.
func addKey(detail, key string, value []byte) string {
	rest, ok := strings.CutPrefix(detail, "{")
	if !ok {
		return detail // not an object: EventBridge refuses it
	}
	separator := ","
	if strings.HasPrefix(rest, "}") {
		separator = ""
	}
	return `{"` + key + `":` + string(value) + separator + rest
}

func encode(detailType, workflowARN string, t jobs.Transition, observed time.Time, more func(*Detail)) (jobs.Entry, error) {
	job := Trim(t.Job)
	workflow, err := parseWorkflow(workflowARN, job.Workflow)
	if err != nil {
		return jobs.Entry{}, fmt.Errorf("encoding an event of job %s: %w", job.Key, err)
	}
	detail := Detail{
		Version:        Version,
		WorkflowName:   job.Workflow,
		WorkflowARN:    workflowARN,
		JobID:          job.Job,
		JobType:        job.Type,
		Status:         job.Status,
		PreviousStatus: trimStatus(t.Previous),
		Skipped:        t.Skipped,
		StartTime:      job.StartTime.UTC(),
		EndTime:        job.EndTime.UTC(),
		ObservedAt:     observed.UTC(),
		Metrics:        job.Metrics,
		Rates:          rates(job.Metrics),
		Error:          jobError(job),
		Outputs:        job.Outputs,
		Assessment:     assessmentOf(t.Assessment),
	}
	if more != nil {
		more(&detail)
	}
	detail.TransitionID = TransitionID(workflow, job.Key, transitionWord(detailType, detail))
	if d, ok := job.Duration(); ok && job.Terminal() {
		seconds := int64(d.Round(time.Second) / time.Second)
		detail.Duration = &seconds
	}
	detail.Links = ConsoleLinks(detail)
	return entryOf(detailType, detail, stateBegan(detailType, job, observed))
}

func entryOf(detailType string, d Detail, began time.Time) (jobs.Entry, error) {
	body, err := json.Marshal(d)
	if err != nil {
		return jobs.Entry{}, fmt.Errorf("encoding an event of %s: %w", d.Subject(), err)
	}
	return jobs.Entry{
		ID:         d.TransitionID,
		DetailType: detailType,
		Time:       began.UTC(),
		Resource:   d.WorkflowARN,
		Detail:     string(body),
		ObservedAt: d.ObservedAt,
	}, nil
}

// stateBegan returns when the state began by Entity Resolution's clock, or when
// it was observed if Entity Resolution gave no time.
func stateBegan(detailType string, job jobs.Job, observed time.Time) time.Time {
	at := job.StartTime
	if job.Stage() == jobs.Terminal {
		at = job.EndTime
	}
	if detailType != StateChange || at.IsZero() {
		return observed
	}
	return at
}

func rates(m jobs.Metrics) *Rates {
	var r Rates
	if v, ok := m.MappedRate(); ok {
		r.Mapped = roundRate(v)
	}
	if v, ok := m.NotProcessedRate(); ok {
		r.NotProcessed = roundRate(v)
	}
	if r == (Rates{}) {
		return nil
	}
	return &r
}

// roundRate keeps six decimals: enough for one record in a million.
func roundRate(v float64) *float64 {
	v = math.Round(v*1e6) / 1e6
	return &v
}

func jobError(job jobs.Job) *Error {
	if job.Error == "" {
		return nil
	}
	named := jobs.NamedIn(job.Error)
	return &Error{Message: job.Error, Category: jobs.Categorize(job.Error), Role: named.Role, Action: named.Action, Resource: named.Resource}
}

// Trim cuts a job's free text to what an event contains: an error message can be
// a megabyte. The jobs table stores jobs in this form too.
func Trim(job jobs.Job) jobs.Job {
	job.Status = trimStatus(job.Status)
	job.Type = cutMiddle(job.Type, maxStringBytes)
	job.Error = cutMiddle(job.Error, maxErrorBytes)
	var outputs []jobs.Output
	for _, o := range job.Outputs[:min(len(job.Outputs), maxOutputs)] {
		outputs = append(outputs, jobs.Output{
			S3Path:  cutMiddle(o.S3Path, maxStringBytes),
			KMSArn:  cutMiddle(o.KMSArn, maxStringBytes),
			RoleArn: cutMiddle(o.RoleArn, maxStringBytes),
		})
	}
	job.Outputs = outputs
	return job
}

func trimStatus(s jobs.Status) jobs.Status { return jobs.Status(cutMiddle(string(s), maxStringBytes)) }

// cutMiddle shortens text to at most limit bytes, at rune boundaries, and marks
// the gap. It keeps the beginning and, because a cause often comes last, the
// end. Bytes that are not UTF-8 are replaced.
func cutMiddle(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	mark := fmt.Sprintf(" … [cut: %d bytes in all] … ", len(text))
	head := (limit - len(mark)) * 2 / 3
	tail := len(text) - (limit - len(mark) - head)
	for !utf8.RuneStart(text[head]) { // valid UTF-8 begins with one
		head--
	}
	for tail < len(text) && !utf8.RuneStart(text[tail]) {
		tail++
	}
	return text[:head] + mark + text[tail:]
}
