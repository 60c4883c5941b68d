// Package jobs is the domain: what an AWS Entity Resolution ID mapping job is,
// and when it has changed. It is pure: no I/O, no clock, no AWS package.
//
// In the order of a tick: [Advance] compares an observation with the [Record] of
// a job, a [Listing] decides how much of a workflow's job list has to be read,
// [WorkflowState.PredatesWatch] decides which rows need no record, and a
// [History] keeps what later runs are compared with.
package jobs

import (
	"time"
)

// Status is a job's state as the API spells it. The enum can grow
// (GetIdMappingJob, Response Structure), so a value that is none of the four
// below is kept and passed on as it is.
type Status string

// The statuses that GetIdMappingJob documents.
const (
	Queued    Status = "QUEUED"
	Running   Status = "RUNNING"
	Succeeded Status = "SUCCEEDED"
	Failed    Status = "FAILED"
)

// Vanished takes the place of a status in a transition ID, for a job that Entity
// Resolution no longer shows. The API never returns it.
const Vanished Status = "VANISHED"

// Overdue takes the place of a status in a transition ID, for a job that runs far
// longer than usual. The API never returns it.
const Overdue Status = "OVERDUE"

// RunMissing and RunResumed take the place of a status in a transition ID, for a run that
// did not start when it usually does, and for the first one after it. The API never
// returns them.
const (
	RunMissing Status = "MISSING"
	RunResumed Status = "RESUMED"
	// MuteEnded does so for the end of a workflow's mute, whose begin takes the place of
	// the job ID.
	MuteEnded Status = "UNMUTED"
)

// Known reports whether s is one of the documented statuses.
func (s Status) Known() bool {
	return s == Queued || s == Running || s.Terminal()
}

// Terminal reports whether s is documented as a terminal status.
func (s Status) Terminal() bool {
	return s == Succeeded || s == Failed
}

// Key names one job within an account and region.
type Key struct {
	Workflow string // workflow name
	Job      string // job id
}

// String is how logs and errors name the job.
func (k Key) String() string { return k.Workflow + "/" + k.Job }

// Job is one run of an ID mapping workflow, as observed. A row of
// ListIdMappingJobs is a Job with only Key, Status and the two times.
type Job struct {
	Key       `json:"-"`
	Type      string    `json:"type,omitempty"` // BATCH, INCREMENTAL or DELETE_ONLY; others as given
	Status    Status    `json:"status"`
	StartTime time.Time `json:"startTime,omitzero"` // UTC by Entity Resolution's clock; zero when not given
	EndTime   time.Time `json:"endTime,omitzero"`   // UTC by Entity Resolution's clock; zero when not given
	Metrics   Metrics   `json:"metrics,omitempty"`
	Error     string    `json:"error,omitempty"` // errorDetails.errorMessage, as given
	Outputs   []Output  `json:"outputs,omitempty"`
}

// Output is one entry of outputSourceConfig, as given.
type Output struct {
	S3Path  string `json:"outputS3Path,omitempty"`
	KMSArn  string `json:"KMSArn,omitempty"`
	RoleArn string `json:"roleArn,omitempty"`
}

// Terminal reports whether the job has finished: a terminal status, or a status
// that this version does not know together with an end time.
func (j Job) Terminal() bool {
	if j.Status.Known() {
		return j.Status.Terminal()
	}
	return !j.EndTime.IsZero()
}

// Duration is end minus start, and false while either is missing or when they
// contradict each other.
func (j Job) Duration() (time.Duration, bool) {
	if j.StartTime.IsZero() || j.EndTime.IsZero() || j.EndTime.Before(j.StartTime) {
		return 0, false
	}
	return j.EndTime.Sub(j.StartTime), true
}

// Stage is how far a job has come. It never decreases; statuses of one stage have
// no order.
type Stage int

// The stages, in the order in which a job passes them.
const (
	Pending  Stage = iota // QUEUED
	Active                // RUNNING, and any unknown status without an end time
	Terminal              // SUCCEEDED, FAILED, and any unknown status with an end time
)

// Stage is the job's stage.
func (j Job) Stage() Stage {
	switch {
	case j.Terminal():
		return Terminal
	case j.Status == Queued:
		return Pending
	default:
		return Active
	}
}
