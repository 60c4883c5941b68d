package event

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/idmapping/notifier/internal/jobs"
)

// Limits, in bytes and outputs, that keep an entry far below the 256 KB that
// PutEvents takes.
const (
	maxErrorBytes  = 4096
	maxOutputs     = 10
	maxStringBytes = 2048
)

// TransitionID is hex SHA-256 of partition, account, region, workflow name, job
// id and the new status, joined by newlines: the same transition always has the
// same one, whoever observed it and however often.
func TransitionID(workflow arn.ARN, job jobs.Key, status jobs.Status) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		workflow.Partition, workflow.AccountID, workflow.Region, job.Workflow, job.Job, string(status),
	}, "\n")))
	return hex.EncodeToString(sum[:])
}

// Encode makes the entry that announces a transition. workflowARN is the
// workflow's, seen the time of the observation.
//
// It fails only when workflowARN is not an ARN.
func Encode(workflowARN string, t jobs.Transition, seen time.Time) (jobs.Entry, error) {
	return encode(StateChange, workflowARN, t, t.Job.Status, seen)
}

// EncodeVanished makes the entry that announces that a job is no longer shown
// by Entity Resolution. The detail bears its last known status.
func EncodeVanished(workflowARN string, last jobs.Job, seen time.Time) (jobs.Entry, error) {
	return encode(Vanished, workflowARN, jobs.Transition{Job: last}, jobs.Vanished, seen)
}

// EncodeCanary makes the entry of a canary that is sent now; show is whether
// people are to see it.
func EncodeCanary(show bool, now time.Time) jobs.Entry {
	sum := sha256.Sum256([]byte(Canary + "\n" + now.UTC().Format(time.RFC3339Nano)))
	id := hex.EncodeToString(sum[:])
	detail, _ := json.Marshal(struct { // texts, a time and a bool: it cannot fail
		Version      string    `json:"version"`
		TransitionID string    `json:"transitionId"`
		ObservedAt   time.Time `json:"observedAt"`
		Show         bool      `json:"show,omitempty"`
	}{Version, id, now.UTC(), show})
	return jobs.Entry{ID: id, DetailType: Canary, Time: now.UTC(), Detail: string(detail), ObservedAt: now.UTC()}
}

func encode(detailType, workflowARN string, t jobs.Transition, id jobs.Status, seen time.Time) (jobs.Entry, error) {
	workflow, err := arn.Parse(workflowARN)
	if err != nil {
		return jobs.Entry{}, fmt.Errorf("encoding an event of job %s: workflow ARN %q: %w", t.Job.Key, workflowARN, err)
	}
	job := Trim(t.Job)
	detail := Detail{
		Version:        Version,
		TransitionID:   TransitionID(workflow, job.Key, id),
		WorkflowName:   job.Workflow,
		WorkflowARN:    workflowARN,
		JobID:          job.Job,
		JobType:        job.Type,
		Status:         job.Status,
		PreviousStatus: t.Previous,
		Skipped:        t.Skipped,
		StartTime:      job.StartTime.UTC(),
		EndTime:        job.EndTime.UTC(),
		ObservedAt:     seen.UTC(),
		Metrics:        job.Metrics,
		Rates:          rates(job.Metrics),
		Error:          failure(job),
		Outputs:        job.Outputs,
	}
	if d, ok := job.Duration(); ok && job.Terminal() {
		seconds := int64(d.Round(time.Second) / time.Second)
		detail.Duration = &seconds
	}
	detail.Links = links(workflow, detail)
	body, err := json.Marshal(detail)
	if err != nil {
		return jobs.Entry{}, fmt.Errorf("encoding an event of job %s: %w", job.Key, err)
	}
	return jobs.Entry{
		ID:         detail.TransitionID,
		DetailType: detailType,
		Time:       began(detailType, job, seen).UTC(),
		Resource:   workflowARN,
		Detail:     string(body),
		ObservedAt: seen.UTC(),
	}, nil
}

// began is when the state began by Entity Resolution's clock, or else when it
// was seen.
func began(detailType string, job jobs.Job, seen time.Time) time.Time {
	at := job.StartTime
	if job.Stage() == jobs.Terminal {
		at = job.EndTime
	}
	if detailType == Vanished || at.IsZero() {
		return seen
	}
	return at
}

func rates(m jobs.Metrics) *Rates {
	var r Rates
	if v, ok := m.MappedRate(); ok {
		r.Mapped = rounded(v)
	}
	if v, ok := m.NotProcessedRate(); ok {
		r.NotProcessed = rounded(v)
	}
	if r == (Rates{}) {
		return nil
	}
	return &r
}

// rounded keeps six decimals: enough for one record in a million.
func rounded(v float64) *float64 {
	v = math.Round(v*1e6) / 1e6
	return &v
}

func failure(job jobs.Job) *Error {
	if job.Error == "" {
		return nil
	}
	return &Error{Message: job.Error, Category: jobs.Categorize(job.Error)}
}

// Trim cuts a job's free text to what an event carries: an error message can be
// a megabyte. What is kept of a job is kept in this form too.
func Trim(job jobs.Job) jobs.Job {
	job.Status = jobs.Status(cut(string(job.Status), maxStringBytes))
	job.Type = cut(job.Type, maxStringBytes)
	job.Error = cut(job.Error, maxErrorBytes)
	var outputs []jobs.Output
	for _, o := range job.Outputs[:min(len(job.Outputs), maxOutputs)] {
		outputs = append(outputs, jobs.Output{
			S3Path:  cut(o.S3Path, maxStringBytes),
			KMSArn:  cut(o.KMSArn, maxStringBytes),
			RoleArn: cut(o.RoleArn, maxStringBytes),
		})
	}
	job.Outputs = outputs
	return job
}

// cut shortens text to at most limit bytes, at rune boundaries, and marks the
// place. It keeps the beginning and, because a cause often stands last, the
// end. Bytes that are no UTF-8 are replaced.
func cut(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	mark := fmt.Sprintf(" … [cut: %d bytes in all] … ", len(text))
	head := (limit - len(mark)) * 2 / 3
	tail := len(text) - (limit - len(mark) - head)
	for head > 0 && !utf8.RuneStart(text[head]) {
		head--
	}
	for tail < len(text) && !utf8.RuneStart(text[tail]) {
		tail++
	}
	return text[:head] + mark + text[tail:]
}
