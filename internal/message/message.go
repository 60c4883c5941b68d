// Package message composes what people read. A [Message] is a plain value that
// every channel renders in its own way, so that Slack and email always have the
// same facts. Pure.
//
// Text in a Message is raw: it may contain anything that a workflow's owner or an
// error can put there. Each channel escapes it.
package message

import (
	"cmp"
	"strings"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
)

// Severity is how urgent a message is.
type Severity int

// The severities, in rising order.
const (
	Neutral Severity = iota // queued, running, an unknown status, a test
	Good                    // succeeded, recovered
	Check                   // succeeded, but something is unusual
	Bad                     // failed, vanished, not delivered
)

// Icon returns the emoji that stands before the status, never instead of it.
func (s Severity) Icon() string { return [...]string{"🔵", "✅", "⚠️", "❌"}[s] }

// Message is what people read about one transition, from the most important fact
// to the small print.
type Message struct {
	Severity Severity
	Icon     string      // before the title in Slack; empty is the severity's
	Status   jobs.Status // as Entity Resolution spells it; empty where there is no job
	Terminal bool        // the job has finished
	// Loud is set when the message should interrupt: Slack broadcasts its reply
	// and mentions whom the settings name. The repetition of a failure, and a
	// finding that the run before had too, are not loud.
	Loud bool
	// Streak is set for a failure and for the success that ends a run of failures:
	// emails of one workflow about them belong together.
	Streak bool
	// Mentions are the IDs of Slack users and user groups to mention in place of those
	// that the channel's setting names.
	Mentions []string

	// The title: the environment in brackets if there is one, the status, and what
	// it is about.
	Environment string // such as "prod"; may be empty
	Word        string // "FAILED", "SUCCEEDED BUT CHECK", "RECOVERED", …
	Name        string // the workflow, or what else it is about; at most 80 characters

	// Subject is the email's subject, at most 60 characters. Preheader adds to it
	// what an inbox shows after it.
	Subject   string
	Preheader string

	Lead    []Line // the cause or the result; one or two lines
	Trend   []Line // failures in a row, the usual range, the expected end; at most three lines
	Steps   []Line // what to do, in order
	Retry   Line   // whether running the workflow again can help; may be empty
	Links   []Link // console pages and the runbook, never without a URL; the first is the most useful one
	Numbers []Number
	Notes   []Line // how the status was observed and delivered, one sentence each
	Facts   []Line // the small print: times, account, region, job type, job ID

	// What does not fit a card: Slack shows it in the thread.
	Error    *Error
	Counters []Number // all counters, in the order of the API's reference
	Outputs  []Link   // where the results are; URL may be empty

	Jobs     []Link // of a summary: the jobs, one line each; URL may be empty
	MoreJobs int    // of a summary: how many Jobs does not list

	// Zone is the time zone of texts in which Slack does not show the reader's own.
	Zone *time.Location

	// For the subject: the cause or the result in a few words, and the status if
	// Word is too long.
	brief, subjectWord string

	WorkflowName string // in full
	JobID        string // empty where there is none
	// Thread is what emails of one workflow that belong together have in common: the
	// job ID, or the expected start of a missing run.
	Thread  string
	Account string
	Region  string
}

// Symbol returns the emoji that stands before the title.
func (m Message) Symbol() string { return cmp.Or(m.Icon, m.Severity.Icon()) }

// Line is one line of text.
type Line []Span

// Span is a part of a line.
type Span struct {
	Text string
	// Code is set for what people copy, such as an ARN, a path or a command: it
	// must arrive byte for byte, with nothing added.
	Code bool
	Bold bool
	// Outside is set for text, not code, that may hold anything.
	Outside bool
	// Time takes the place of Text: a time that each channel shows in its own
	// way, UTC.
	Time  time.Time
	Clock bool // only the time of day
	Open  bool // the begin of a range of times: the end names the zone
}

// Number is one row of numbers, ready to read.
type Number struct {
	Label string // "Mapped"
	Value string // digits grouped by comma: "1,234,567"
	Share string // "78.6%" of the records processed, or of the input; empty when it has none
}

// Error is the error of a job, or of a delivery.
type Error struct {
	Text     string        // as given, at most 4 KB
	Category jobs.Category // empty for an error that is not a job's
}

// Link is a named URL.
type Link struct{ Label, URL string }

// Title returns the title on one line, without the icon: "[prod] FAILED: crm".
func (m Message) Title() string {
	title := m.Word
	if m.Name != "" {
		title += ": " + m.Name
	}
	if m.Environment != "" {
		title = "[" + m.Environment + "] " + title
	}
	return title
}

// Text returns the message in plain lines: the title, the lead, and the first step
// of a message that asks for one. Phones and screen readers read nothing else.
func (m Message) Text() []string {
	lines := []string{m.Title()}
	for _, l := range m.Lead {
		lines = append(lines, l.Plain(m.Zone))
	}
	if len(m.Steps) > 0 && m.Severity >= Check {
		lines = append(lines, "Next step: "+m.Steps[0].Plain(m.Zone))
	}
	return lines
}

// Plain returns the line as plain text, its times in the given zone (nil: UTC).
func (l Line) Plain(zone *time.Location) string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(s.Plain(zone))
	}
	return b.String()
}

// Plain returns the span as plain text, its time in the given zone (nil: UTC).
func (s Span) Plain(zone *time.Location) string {
	if s.Time.IsZero() {
		return s.Text
	}
	if zone == nil {
		zone = time.UTC
	}
	layout := "Mon 2 Jan 15:04"
	if s.Clock {
		layout = "15:04"
	}
	if !s.Open {
		layout += " MST"
	}
	return s.Time.In(zone).Format(layout)
}

// Plain makes a line of our own words.
func Plain(text string) Line { return Line{{Text: text}} }

// outside makes a line of text that may hold anything.
func outside(text string) Line { return Line{{Text: text, Outside: true}} }

// line builds a line from our own words, in which each %s stands for a span.
func line(text string, spans ...Span) Line {
	var l Line
	add := func(span Span) {
		if last := len(l) - 1; last >= 0 && !span.Code && !l[last].Code {
			l[last].Text += span.Text
		} else if span.Text != "" {
			l = append(l, span)
		}
	}
	for i, part := range strings.Split(text, "%s") {
		if add(Span{Text: part}); i < len(spans) {
			add(spans[i])
		}
	}
	return l
}

// maxLiteral keeps a line readable, in bytes. Role ARNs, buckets and usual paths
// are shorter.
const maxLiteral = 200

// literal returns outside text as code if it can be shown byte for byte on one
// line, and otherwise some words for it.
func literal(text, otherwise string) Span {
	if text == "" || len(text) > maxLiteral || text != OneLine(text) {
		return Span{Text: otherwise}
	}
	return Span{Text: text, Code: true}
}
