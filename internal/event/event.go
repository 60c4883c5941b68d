// Package event is the public contract: the events that subscribers receive,
// version 1. It encodes transitions for the bus, and decodes and verifies what
// arrives from it. docs/events.md and docs/event.schema.json describe the same
// contract for readers of other languages. Pure.
package event

import (
	"encoding/json"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
)

// Source is the `source` of every event but canaries.
const Source = "idmapping.notifier"

// The detail types.
const (
	StateChange = "ID Mapping Job State Change"
	Vanished    = "ID Mapping Job Vanished"
	Overdue     = "ID Mapping Job Overdue"
	RunMissing  = "ID Mapping Run Missing" // about a workflow: no job has started
	RunResumed  = "ID Mapping Run Resumed"
	MuteEnded   = "ID Mapping Workflow Mute Ended" // about a workflow: what was not sent
	Summary     = "ID Mapping Jobs Summary"        // late terminal statuses together; see EncodeSummary
)

// Canary is the detail type of the synthetic event that tests the path from the
// poller to every destination. It is not part of the contract. It has its own
// source, so that no subscriber receives it.
const (
	Canary       = "ID Mapping Canary"
	CanarySource = Source + ".canary"
)

// SourceOf returns the `source` of events of a detail type.
func SourceOf(detailType string) string {
	if detailType == Canary {
		return CanarySource
	}
	return Source
}

// Version is the version of Detail. Within a version, keys are only added.
const Version = "1"

// Detail is an event's `detail`. Optional keys without a value are absent, never
// null.
type Detail struct {
	Version     string `json:"version"`
	Publisher   string `json:"publisher,omitempty"`   // stack name; see AddPublisher
	Environment string `json:"environment,omitempty"` // of that stack; may be empty
	// Tags are the workflow's tags whose keys begin with "idmapping:", without that
	// prefix. A summary has those that its workflows agree in. See package tags.
	Tags           map[string]string `json:"tags,omitempty"`
	TransitionID   string            `json:"transitionId"` // the idempotency key
	WorkflowName   string            `json:"workflowName"`
	WorkflowARN    string            `json:"workflowArn"`
	JobID          string            `json:"jobId,omitempty"` // absent while a run is missing
	JobType        string            `json:"jobType,omitempty"`
	Status         jobs.Status       `json:"status,omitempty"`         // of a job
	PreviousStatus jobs.Status       `json:"previousStatus,omitempty"` // absent at first sight; equal to Status when an unknown status ended
	Skipped        []jobs.Status     `json:"skipped,omitempty"`        // statuses that were not observed
	StartTime      time.Time         `json:"startTime,omitzero"`
	EndTime        time.Time         `json:"endTime,omitzero"`
	ObservedAt     time.Time         `json:"observedAt"`                // by the poller's clock
	Duration       *int64            `json:"durationSeconds,omitempty"` // end - start, of a finished job
	Metrics        jobs.Metrics      `json:"metrics,omitempty"`         // records; only the counters that the API returned
	Rates          *Rates            `json:"rates,omitempty"`
	Error          *Error            `json:"error,omitempty"`
	Outputs        []jobs.Output     `json:"outputs,omitempty"`
	Links          *Links            `json:"links,omitempty"`
	Backlog        *Backlog          `json:"backlog,omitempty"` // see AddBacklog
	// Of an overdue job: since when, and which QUEUED jobs wait behind it.
	Since   time.Time  `json:"since,omitzero"`
	Waiting []WaitsFor `json:"waiting,omitempty"`
	Assessment

	// Of a missing run and of the one that started after it. JobID and StartTime
	// are those of the latter.
	ExpectedStart *ExpectedStart `json:"expectedStart,omitempty"`
	LastRun       *LastRun       `json:"lastRun,omitempty"` // before the missing one

	// Of a summary, which has no job of its own; WorkflowARN is its first job's.
	Statuses map[jobs.Status]int `json:"statuses,omitempty"` // how many late, or muted, terminal statuses of each kind
	Jobs     []ListedJob         `json:"jobs,omitempty"`     // failures first, then the newest

	// Of a mute that has ended. Of the failures that still last, Streak and Error.
	Mute *Mute `json:"mute,omitempty"`

	Visible bool `json:"show,omitempty"` // of a canary: people see it

	// Replay is set on an event that a person sends again. The command line tool puts
	// it into a channel's queue; it is never on the bus, and so not in the contract.
	Replay *Replay `json:"replay,omitempty"`
}

// Replay says how an event is sent again.
type Replay struct {
	ID    string    `json:"id"`              // of the request
	At    time.Time `json:"at"`              // UTC
	To    []string  `json:"to,omitempty"`    // destinations, whatever the statuses choose; all that would get it when empty
	Again bool      `json:"again,omitempty"` // also to those that have received it
}

// AddReplay adds to an entry how it is sent again.
func AddReplay(entry jobs.Entry, r Replay) jobs.Entry {
	value, _ := json.Marshal(r) // strings, a time and a bool: it cannot fail
	entry.Detail = addKey(entry.Detail, "replay", value)
	return entry
}

// ExpectedStart is when a run should have started, UTC. It was missing from By on.
// Of as many of the times at which the workflow's earlier starts let one expect the
// next, Kept were kept.
type ExpectedStart struct {
	At   time.Time `json:"at"`
	By   time.Time `json:"by"`
	Kept int       `json:"kept,omitempty"`
	Of   int       `json:"of,omitempty"`
}

// LastRun names a run with its status when it was last listed.
type LastRun struct {
	JobID     string      `json:"jobId"`
	StartTime time.Time   `json:"startTime"` // UTC
	Status    jobs.Status `json:"status"`
}

// Mute is the time in which nothing was sent about a workflow, UTC.
type Mute struct {
	Since  time.Time `json:"since"` // when the first event was observed that was not sent
	Until  time.Time `json:"until"`
	Reason string    `json:"reason,omitempty"` // as the tag gives it
}

// Rates are fractions of records. A rate whose denominator is unknown or zero is
// absent.
type Rates struct {
	Mapped       *float64 `json:"mapped,omitempty"`       // totalMappedRecords / totalRecordsProcessed
	NotProcessed *float64 `json:"notProcessed,omitempty"` // recordsNotProcessed / inputRecords
}

// Error is the reason why a job failed.
type Error struct {
	Message  string        `json:"message"` // unchanged up to 4 KB; longer text is cut in the middle, with a mark
	Category jobs.Category `json:"category"`
	// What the message itself names, each absent where it does not.
	Role     string `json:"role,omitempty"`
	Action   string `json:"action,omitempty"`
	Resource string `json:"resource,omitempty"`
}

// Terminal reports whether the job has finished.
func (d Detail) Terminal() bool {
	return jobs.Job{Status: d.Status, EndTime: d.EndTime}.Terminal()
}

// Signals reports whether a run says more than its status: it has a finding or ends a
// run of failures.
func (d Detail) Signals() bool { return len(d.Findings) > 0 || d.Recovery != nil }

// Subject is what the event is about, as its transition ID and the deliveries table
// name it: the job, or the run that is missing, or the mute that has ended, which have
// their expected start, or begin, in place of a job ID.
func (d Detail) Subject() jobs.Key {
	if d.Mute != nil {
		return jobs.Key{Workflow: d.WorkflowName, Job: d.Mute.Since.UTC().Format(time.RFC3339)}
	}
	if d.ExpectedStart != nil {
		return jobs.Key{Workflow: d.WorkflowName, Job: d.ExpectedStart.At.UTC().Format(time.RFC3339)}
	}
	return jobs.Key{Workflow: d.WorkflowName, Job: d.JobID}
}

// Event is an event as EventBridge delivers it.
type Event struct {
	ID         string // EventBridge's own ID; it differs between repeats of one transition
	DetailType string
	Account    string
	Region     string
	Time       time.Time // when the state began
	Detail     Detail
}

// Silent reports whether the event is a canary that no one sees.
func (e Event) Silent() bool { return e.DetailType == Canary && !e.Detail.Visible }
