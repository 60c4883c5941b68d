// Package message composes what people read. A [Message] is a plain value that
// every channel renders in its own way, so that Slack and email always have the
// same facts. Pure.
//
// Text in a Message is raw: it may contain anything that a workflow's owner or an
// error can put there. Each channel escapes it.
package message

import (
	"github.com/idmapping/notifier/internal/jobs"
)

// Severity is how urgent a message is.
type Severity int

// The severities, in rising order.
const (
	Neutral Severity = iota // queued, running, an unknown status
	Good                    // succeeded
	Bad                     // failed, vanished
)

// Message is what people read about one transition.
type Message struct {
	// Headline is one plain sentence that stands alone: a push notification, a
	// screen reader or an email's preview shows nothing else.
	Headline string
	// Subject is the email's subject and stays below 200 characters.
	Subject  string
	Title    string // status and workflow, at most 150 characters
	Status   jobs.Status
	Severity Severity
	Terminal bool // the job has finished

	Fields   []Field  // facts, in reading order
	Metrics  []Metric // the run's counters, in the order of the API's reference
	Failure  *Failure // only when there is an error
	Outputs  []Link   // where the results are; URL may be empty
	Links    []Link   // console pages; never with an empty URL
	Jobs     []Link   // of a summary: the jobs, one line each; URL may be empty
	MoreJobs int      // of a summary: how many Jobs does not list
	Notes    []string // how the event was observed and delivered, one sentence each
	Footer   []string // account, region, job ID, transition ID: small print

	WorkflowName string
	JobID        string
	Account      string
	Region       string
}

// Field is one fact with its name.
type Field struct{ Label, Value string }

// Metric is one counter, ready to read.
type Metric struct {
	Label string // "Total mapped records"
	Value string // digits grouped by comma: "1,234,567"
	Share string // of the input, "98.2 %"; empty when it has none
}

// Failure is an error with what to do about it.
type Failure struct {
	Text     string        // as given, at most 4 KB
	Category jobs.Category // empty for an error that is not a job's
	Advice   []string      // next steps, one sentence each
}

// Link is a named URL.
type Link struct{ Label, URL string }
