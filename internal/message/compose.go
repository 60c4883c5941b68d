package message

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

const (
	maxName        = 80 // characters of a workflow's name in a title
	maxEnvironment = 40
	maxWord        = 60
	maxCause       = 150
	// delayedAfter is how long after the observation a notification may be sent
	// without a note.
	delayedAfter = 10 * time.Minute
)

// MaxLinkBytes keeps links below the 3,000 characters of Slack's section text.
const MaxLinkBytes = 2000

// Settings are the stack's settings that messages show.
type Settings struct {
	Zone       *time.Location // of texts in which Slack does not show the reader's own; nil is UTC
	RunbookURL string         // https; linked on failures and findings; may be empty
}

// Compose returns what people read about an event. now is when the notification
// is sent, UTC: a delayed one says so.
func Compose(e event.Event, now time.Time, s Settings) Message {
	var m Message
	switch e.DetailType {
	case event.Canary:
		m = composeCanary(e)
	case event.Summary:
		m = composeSummary(e, now, s.Zone)
	case event.RunMissing, event.RunResumed:
		m = composeRun(e, now)
	case event.MuteEnded:
		m = composeMuteEnded(e, s)
	default:
		m = composeJob(e, now)
	}
	m.Zone = s.Zone
	m.Environment = shorten(OneLine(e.Detail.Environment), maxEnvironment)
	m.tagged(e, s)
	if e.Detail.Replay != nil {
		m.Loud = false
	}
	m.address()
	return m
}

// composeJob returns the message about the state of one job.
func composeJob(e event.Event, now time.Time) Message {
	d := e.Detail
	m := Message{
		Status:       d.Status,
		Terminal:     d.Terminal(),
		Word:         Word(e),
		WorkflowName: OneLine(d.WorkflowName),
		JobID:        OneLine(d.JobID),
		Counters:     counterRows(d.Metrics),
		Notes:        composeNotes(e, now),
	}
	m.Thread = m.JobID
	m.Name = shorten(m.WorkflowName, maxName)
	m.Account, m.Region = accountAndRegion(e)
	m.Facts = jobFacts(m, d)
	switch {
	case e.DetailType == event.Vanished:
		m.vanished(d)
	case e.DetailType == event.Overdue:
		m.overdue(d)
	case d.Status == jobs.Queued:
		m.queued(d)
	case d.Status == jobs.Running:
		m.running(d, now)
	case d.Status == jobs.Succeeded:
		m.succeeded(d)
	case d.Status == jobs.Failed:
		m.failed(d)
	default:
		m.unknown(d)
	}
	m.Trend = append(m.Trend, overdueLine(d)...)
	return m
}

// accountAndRegion returns where the workflow is: the account and region of its
// ARN, or of the event if the ARN is not one.
func accountAndRegion(e event.Event) (account, region string) {
	if workflow, err := arn.Parse(e.Detail.WorkflowARN); err == nil {
		return OneLine(workflow.AccountID), OneLine(workflow.Region)
	}
	return OneLine(e.Account), OneLine(e.Region)
}

// Word returns the status as the API spells it, or the word for what has none.
func Word(e event.Event) string {
	switch e.DetailType {
	case event.Vanished:
		return string(jobs.Vanished)
	case event.Overdue:
		return string(jobs.Overdue)
	case event.RunMissing:
		return "NO RUN YET"
	case event.RunResumed:
		return "STARTED LATE"
	case event.MuteEnded:
		return "MUTE ENDED"
	}
	return truncate(OneLine(string(e.Detail.Status)), maxWord)
}

func (m *Message) queued(d event.Detail) {
	m.Lead = []Line{Plain("Only one ID mapping job runs at a time in an account and region.")}
	if w := d.WaitsFor; w != nil {
		m.Lead = []Line{{{Text: "Waits for "}, {Text: shorten(OneLine(w.WorkflowName), maxName), Code: true}, {Text: ", job "},
			{Text: shortID(OneLine(w.JobID)), Code: true}, {Text: ": only one ID mapping job runs at a time."}}}
	}
	m.linkJob(d, false)
}

func (m *Message) running(d event.Detail, now time.Time) {
	m.linkJob(d, false)
	began := d.StartTime
	if d.PreviousStatus == jobs.Queued { // the start time may be when it was queued
		began = d.ObservedAt
	}
	m.Lead = []Line{{{Text: "Started "}, {Time: began}}}
	if began.IsZero() {
		m.Lead = []Line{{{Text: "Started"}}}
	}
	end := d.ExpectedEnd
	if end == nil {
		m.Trend = noRange(d)
		return
	}
	start := end.At.Add(-median(d, end))
	about := Duration(roundedSeconds(end.At.Sub(start)))
	m.brief = "usually " + about
	m.Lead[0] = append(m.Lead[0], Span{Text: ", usually done in about " + about})
	usual := end.At.Sub(start)
	at, latest := roundedTime(end.At, usual), end.Latest.Add(step(usual)-1).Truncate(step(usual))
	clock := latest.Sub(now) < 12*time.Hour
	expected := Line{{Text: "Expected end: about "}, {Time: at, Clock: clock}}
	switch {
	case now.After(end.Latest): // this message was delayed
		expected = Plain("Takes longer than usual")
	case latest.After(at):
		expected = append(expected, Span{Text: ", at the latest "}, Span{Time: latest, Clock: clock})
	}
	m.Trend = []Line{
		expected,
		Plain(fmt.Sprintf("Usually takes %s (%s)", durationRange(end.Earliest.Sub(start).Seconds(), end.Latest.Sub(start).Seconds()), lastRuns(end.Runs))),
	}
}

// median is the usual duration that an expected end is computed from. The run
// counts from its start, or from its first observed RUNNING if it was QUEUED.
func median(d event.Detail, end *event.ExpectedEnd) time.Duration {
	if usual, ok := d.Usual[jobs.MeasureDuration]; ok {
		return time.Duration(usual.Median) * time.Second
	}
	if d.PreviousStatus == jobs.Queued || d.StartTime.IsZero() {
		return end.At.Sub(d.ObservedAt)
	}
	return end.At.Sub(d.StartTime)
}

func (m *Message) unknown(d event.Detail) {
	text := "The job has a status that this version of the notifier does not know."
	if d.Terminal() {
		text = "The job finished with a status that this version of the notifier does not know."
	}
	m.Lead = []Line{Plain(text)}
	m.Error = errorOf(d)
	m.linkJob(d, false)
}

func (m *Message) vanished(d event.Detail) {
	m.Severity, m.Loud, m.brief = Bad, true, "the job disappeared"
	m.Lead = []Line{{{Text: "Job "}, {Text: shorten(m.JobID, maxName), Code: true}, {Text: " disappeared from Entity Resolution while "},
		{Text: Word(event.Event{Detail: d}), Outside: true}, {Text: "."}}}
	m.Trend = []Line{Plain("Someone may have deleted the job or its workflow. You will not hear about it again unless it comes back.")}
	m.Steps = []Line{Plain("Check whether the workflow still exists."), runAgain("If it does, run it again: %s", d, m.Region)}
	m.linkWorkflow(d)
}

// linkJob links the console pages of a job, and where its results are.
func (m *Message) linkJob(d event.Detail, results bool) {
	console := event.ConsoleLinks(d)
	if console == nil {
		console = &event.Links{Outputs: make([]string, len(d.Outputs))}
	}
	m.link("Open job", console.Job)
	if results {
		for i, o := range d.Outputs {
			if path := OneLine(o.S3Path); path != "" {
				m.Outputs = append(m.Outputs, Link{path, shortURL(console.Outputs[i])})
			}
		}
		if len(m.Outputs) > 0 {
			m.link("Output in S3", m.Outputs[0].URL)
		}
		return
	}
	m.link("Open workflow", console.Workflow)
}

func (m *Message) linkWorkflow(d event.Detail) {
	if console := event.ConsoleLinks(d); console != nil {
		m.link("Open workflow", console.Workflow)
	}
}

// link adds a link unless it has no URL or one that is too long.
func (m *Message) link(label, url string) {
	if url = shortURL(url); url != "" {
		m.Links = append(m.Links, Link{label, url})
	}
}

// shortURL returns url, or "" when it is too long for a link.
func shortURL(url string) string {
	if len(url) > MaxLinkBytes {
		return ""
	}
	return url
}

// composeNotes returns notes about how the event was observed and delivered.
func composeNotes(e event.Event, now time.Time) []Line {
	d := e.Detail
	var all []Line
	for _, s := range d.Skipped {
		all = append(all, Line{{Text: "The job was never seen "}, {Text: truncate(OneLine(string(s)), maxWord), Outside: true}, {Text: ": its status changed between two checks."}})
	}
	if !d.EndTime.IsZero() && d.Terminal() {
		if late := d.ObservedAt.Sub(d.EndTime); late > event.LateAfter {
			all = append(all, Plain(fmt.Sprintf("Late: noticed %s after the job ended.", Duration(int64(late.Seconds())))))
		}
	}
	return append(all, delayNotes(d, now)...)
}

// delayNotes returns a note when the notification is sent long after the
// observation, or again.
func delayNotes(d event.Detail, now time.Time) []Line {
	if d.Replay != nil {
		return []Line{{{Text: "Sent again by hand, "}, {Time: d.Replay.At}}}
	}
	if late := now.Sub(d.ObservedAt); late > delayedAfter && !d.ObservedAt.IsZero() {
		return []Line{Plain(fmt.Sprintf("Late: this message waited %s to be sent.", Duration(int64(late.Seconds()))))}
	}
	return nil
}

// jobFacts is the small print of a job.
func jobFacts(m Message, d event.Detail) []Line {
	var all []Line
	switch {
	case !d.StartTime.IsZero() && !d.EndTime.IsZero():
		ran := Line{{Time: d.StartTime, Open: true}, {Text: " – "}, {Time: d.EndTime, Clock: d.EndTime.Sub(d.StartTime) < 12*time.Hour}}
		if took := duration(d); took != nil {
			ran = append(ran, Span{Text: " (" + Duration(*took) + ")"})
		}
		all = append(all, ran)
	case !d.StartTime.IsZero() && d.Status != jobs.Running: // its lead says it
		all = append(all, Line{{Text: "Started "}, {Time: d.StartTime}})
	case !d.EndTime.IsZero():
		all = append(all, Line{{Text: "Ended "}, {Time: d.EndTime}})
	}
	all = append(all, place(m, d.Environment)...)
	if jobType := truncate(OneLine(d.JobType), maxWord); jobType != "" {
		all = append(all, outside(jobType))
	}
	return append(all, Line{{Text: "job "}, {Text: shortID(m.JobID), Code: true}})
}

// place is the part of the small print that says where the notifier's stack is.
func place(m Message, environment string) []Line {
	var all []Line
	for _, part := range []string{shorten(OneLine(environment), maxEnvironment), truncate(m.Account, maxWord), truncate(m.Region, maxWord)} {
		if part != "" {
			all = append(all, outside(part))
		}
	}
	return all
}

// shortID is the beginning of an ID, enough to find it by.
func shortID(id string) string {
	runes := []rune(id)
	return string(runes[:min(len(runes), 8)])
}

const maxSubject = 60 // characters; a phone shows 35 to 60

// address sets the email's subject and preheader. The subject begins with the
// status, so that mail programs can sort and filter by it.
func (m *Message) address() {
	if m.Subject == "" {
		m.Subject = m.subject(m.brief)
	}
	m.Subject = truncate(m.Subject, maxSubject)
	var parts []string
	for _, l := range slices.Concat(m.Trend, m.Steps[:min(1, len(m.Steps))]) {
		parts = append(parts, l.Plain(m.Zone))
	}
	m.Preheader = truncate(joined(parts, ". "), 200)
}

// subject is "[FAILED] prod · crm: access denied". A long name gives way to the
// rest, down to twenty characters.
func (m Message) subject(brief string) string {
	prefix := "[" + cmp.Or(m.subjectWord, m.Word) + "] "
	if m.Environment != "" {
		prefix += shorten(m.Environment, 15) + " · "
	}
	suffix := ""
	if brief != "" {
		suffix = ": " + brief
	}
	room := maxSubject - length(prefix) - length(suffix)
	return prefix + shorten(m.Name, max(room, 20)) + suffix
}
