// Package event is the public contract: the events that subscribers receive,
// version 1. It encodes a transition for the bus and decodes what arrives from
// it. docs/events.md and docs/event.schema.json say the same for readers of
// other languages. Pure.
package event

import (
	"time"

	"github.com/idmapping/notifier/internal/jobs"
)

// Source is the events' `source`.
const Source = "idmapping.notifier"

// The detail-types.
const (
	StateChange = "ID Mapping Job State Change"
	Vanished    = "ID Mapping Job Vanished"
)

// Canary is the detail-type of the synthetic event that shows that the way from
// the poller to every destination is open. It is no part of the contract and
// has a source of its own, so that no subscriber meets it.
const (
	Canary       = "ID Mapping Canary"
	CanarySource = Source + ".canary"
)

// SourceOf is the `source` of events of a detail-type.
func SourceOf(detailType string) string {
	if detailType == Canary {
		return CanarySource
	}
	return Source
}

// Version is the version of Detail. Within it keys are only ever added.
const Version = "1"

// Detail is an event's `detail`. Optional keys are left out when there is
// nothing to say, never null.
type Detail struct {
	Version        string        `json:"version"`
	TransitionID   string        `json:"transitionId"` // the idempotency key
	WorkflowName   string        `json:"workflowName"`
	WorkflowARN    string        `json:"workflowArn"`
	JobID          string        `json:"jobId"`
	JobType        string        `json:"jobType,omitempty"`
	Status         jobs.Status   `json:"status"`
	PreviousStatus jobs.Status   `json:"previousStatus,omitempty"` // absent on first sight
	Skipped        []jobs.Status `json:"skipped,omitempty"`        // steps that were not seen
	StartTime      time.Time     `json:"startTime,omitzero"`
	EndTime        time.Time     `json:"endTime,omitzero"`
	ObservedAt     time.Time     `json:"observedAt"`                // when the poller saw it
	Duration       *int64        `json:"durationSeconds,omitempty"` // end - start, once ended
	Metrics        jobs.Metrics  `json:"metrics,omitempty"`         // records, only the counters given
	Rates          *Rates        `json:"rates,omitempty"`
	Error          *Error        `json:"error,omitempty"`
	Outputs        []jobs.Output `json:"outputs,omitempty"`
	Links          *Links        `json:"links,omitempty"`

	Visible bool `json:"show,omitempty"` // of a canary: people are to see it
}

// Rates are fractions of records. Each is absent where its denominator is.
type Rates struct {
	Mapped       *float64 `json:"mapped,omitempty"`       // totalMappedRecords / totalRecordsProcessed
	NotProcessed *float64 `json:"notProcessed,omitempty"` // recordsNotProcessed / inputRecords
}

// Error is why a job failed.
type Error struct {
	Message  string        `json:"message"` // as given, cut in the middle at 4 KB with a mark
	Category jobs.Category `json:"category"`
}

// Links are console URLs.
type Links struct {
	Job      string   `json:"job,omitempty"`
	Workflow string   `json:"workflow,omitempty"`
	Outputs  []string `json:"outputs,omitempty"` // one for each of outputs, in order
}

// Terminal tells whether the event tells of a job's end.
func (d Detail) Terminal() bool {
	return jobs.Job{Status: d.Status, EndTime: d.EndTime}.Terminal()
}

// Silent tells whether the event is a canary that nobody is to see.
func (e Event) Silent() bool { return e.DetailType == Canary && !e.Detail.Visible }

// Event is an event as EventBridge delivers it.
type Event struct {
	ID         string // EventBridge's own id: differs between two deliveries of one PutEvents entry's repeats
	DetailType string
	Account    string
	Region     string
	Time       time.Time // when the state began
	Detail     Detail
}
