package message

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

const (
	// In characters. A headline is Slack's header block, which holds 150.
	maxHeadline = 150
	maxName     = 80
	maxSubject  = 180
	maxTitle    = 150
	// delayedAfter is how long after the observation a notification may be sent
	// without a note.
	delayedAfter = 10 * time.Minute
	// maxLinkBytes keeps links below the 3,000 characters of Slack's section text.
	maxLinkBytes = 2000
)

// Compose returns what people read about an event. now is when the notification
// is sent, UTC: a delayed one says so.
func Compose(e event.Event, now time.Time) Message {
	switch e.DetailType {
	case event.Canary:
		return composeCanary(e)
	case event.Summary:
		return composeSummary(e, now)
	}
	d := e.Detail
	m := Message{
		Status:       d.Status,
		Severity:     severityOf(e),
		Terminal:     d.Terminal(),
		WorkflowName: oneLine(d.WorkflowName),
		JobID:        oneLine(d.JobID),
		Metrics:      metricRows(d.Metrics),
		Failure:      composeFailure(d),
		Notes:        composeNotes(e, now),
	}
	m.Account, m.Region = accountAndRegion(e)
	word := Word(e)
	m.Title = truncate(word+": "+m.WorkflowName, maxTitle)
	m.Headline = composeHeadline(e, word)
	m.Subject = truncate(composeSubject(e, word), maxSubject)
	m.Fields = composeFields(e, word)
	m.Outputs, m.Links = composeLinks(d)
	m.Footer = composeFooter(m, d)
	return m
}

// accountAndRegion returns where the workflow is: the account and region of its
// ARN, or of the event if the ARN is not one.
func accountAndRegion(e event.Event) (account, region string) {
	if workflow, err := arn.Parse(e.Detail.WorkflowARN); err == nil {
		return oneLine(workflow.AccountID), oneLine(workflow.Region)
	}
	return oneLine(e.Account), oneLine(e.Region)
}

// Word returns the status as the API spells it, or VANISHED.
func Word(e event.Event) string {
	if e.DetailType == event.Vanished {
		return string(jobs.Vanished)
	}
	return truncate(oneLine(string(e.Detail.Status)), 60)
}

func severityOf(e event.Event) Severity {
	if e.DetailType == event.Vanished {
		return Bad
	}
	switch e.Detail.Status {
	case jobs.Failed:
		return Bad
	case jobs.Succeeded:
		return Good
	default:
		return Neutral
	}
}

// composeHeadline returns the sentence that stands alone.
func composeHeadline(e event.Event, word string) string {
	name := truncate(oneLine(e.Detail.WorkflowName), maxName)
	return truncate(word+": "+name+predicate(e), maxHeadline)
}

// predicate is the part of the headline that follows the workflow's name.
func predicate(e event.Event) string {
	d := e.Detail
	if e.DetailType == event.Vanished {
		return " is no longer shown by Entity Resolution; it was last observed " + oneLine(string(d.Status))
	}
	switch d.Status {
	case jobs.Queued:
		return " is waiting to start"
	case jobs.Running:
		return " has started"
	case jobs.Succeeded:
		return durationPhrase(" in ", d) + mappedPhrase(d)
	case jobs.Failed:
		return durationPhrase(" after ", d) + causePhrase(d)
	}
	if d.Terminal() {
		return " has finished with an unrecognized status"
	}
	return " reported an unrecognized status"
}

// durationPhrase returns the duration after an introduction, or "".
func durationPhrase(introduction string, d event.Detail) string {
	if d.Duration == nil {
		return ""
	}
	return introduction + Duration(*d.Duration)
}

func mappedPhrase(d event.Detail) string {
	if d.Rates == nil || d.Rates.Mapped == nil {
		return ""
	}
	return fmt.Sprintf(", %s of %s records mapped", Percent(*d.Rates.Mapped), Grouped(d.Metrics[jobs.TotalRecordsProcessed]))
}

// causePhrase returns the cause of a failure after a colon, or "".
func causePhrase(d event.Detail) string {
	if d.Error == nil {
		return ""
	}
	if cause := rootCause(d.Error.Message); cause != "" {
		return ": " + cause
	}
	return ""
}

// composeSubject starts with the status and the workflow, so that mail programs can
// sort and filter by it.
func composeSubject(e event.Event, word string) string {
	d := e.Detail
	s := fmt.Sprintf("[%s] %s", word, truncate(oneLine(d.WorkflowName), maxName))
	switch d.Status {
	case jobs.Failed:
		s += causePhrase(d)
	case jobs.Succeeded:
		s += durationPhrase(": done in ", d) + mappedPhrase(d)
	}
	return s
}

func composeFields(e event.Event, word string) []Field {
	d := e.Detail
	all := []Field{
		{"Workflow", oneLine(d.WorkflowName)},
		{"Status", statusField(d, word)},
		{"Job type", oneLine(d.JobType)},
		{"Duration", durationPhrase("", d)},
		{"Started", formatTime(d.StartTime)},
		{"Ended", formatTime(d.EndTime)},
	}
	if d.Rates != nil {
		all = append(all,
			Field{"Mapped", ratePhrase(d.Rates.Mapped, "of the records processed")},
			Field{"Not processed", ratePhrase(d.Rates.NotProcessed, "of the input")})
	}
	kept := all[:0]
	for _, f := range all {
		if f.Value != "" {
			kept = append(kept, f)
		}
	}
	return kept
}

func statusField(d event.Detail, word string) string {
	switch d.PreviousStatus {
	case "":
		return word
	case d.Status:
		return word + " (finished)"
	}
	return fmt.Sprintf("%s (was %s)", word, truncate(oneLine(string(d.PreviousStatus)), 60))
}

func ratePhrase(fraction *float64, of string) string {
	if fraction == nil {
		return ""
	}
	return Percent(*fraction) + " " + of
}

// composeNotes returns notes about how the event was observed and delivered.
func composeNotes(e event.Event, now time.Time) []string {
	d := e.Detail
	var all []string
	for _, s := range d.Skipped {
		all = append(all, fmt.Sprintf("%s was not observed: the status changed between two polls.", truncate(oneLine(string(s)), 60)))
	}
	if !d.EndTime.IsZero() && d.Terminal() {
		if late := d.ObservedAt.Sub(d.EndTime); late > event.LateAfter {
			all = append(all, fmt.Sprintf("Observed %s after the job finished.", Duration(int64(late.Seconds()))))
		}
	}
	all = append(all, delayNotes(d, now)...)
	if e.DetailType == event.Vanished {
		all = append(all, "The job or its workflow may have been deleted. No more notifications follow unless it reappears.")
	}
	return all
}

// delayNotes returns a note when the notification is sent long after the
// observation.
func delayNotes(d event.Detail, now time.Time) []string {
	if late := now.Sub(d.ObservedAt); late > delayedAfter && !d.ObservedAt.IsZero() {
		return []string{fmt.Sprintf("Delayed notification: observed %s ago.", Duration(int64(late.Seconds())))}
	}
	return nil
}

// composeLinks builds every link from the workflow's ARN, never from the links in
// the event: others can publish on the bus too.
func composeLinks(d event.Detail) (outputs, all []Link) {
	console := event.ConsoleLinks(d)
	if console == nil {
		console = &event.Links{Outputs: make([]string, len(d.Outputs))}
	}
	for i, o := range d.Outputs {
		if label := oneLine(o.S3Path); label != "" {
			outputs = append(outputs, Link{label, shortURL(console.Outputs[i])})
		}
	}
	for _, link := range []Link{{"Open job", shortURL(console.Job)}, {"Open workflow", shortURL(console.Workflow)}} {
		if link.URL != "" {
			all = append(all, link)
		}
	}
	return outputs, all
}

// shortURL returns url, or "" when it is too long for a link.
func shortURL(url string) string {
	if len(url) > maxLinkBytes {
		return ""
	}
	return url
}

func composeFooter(m Message, d event.Detail) []string {
	var all []string
	for _, part := range []struct{ label, value string }{
		{"account", m.Account}, {"region", m.Region}, {"job", d.JobID}, {"transition", d.TransitionID[:min(len(d.TransitionID), 12)]},
	} {
		if v := truncate(oneLine(part.value), 80); v != "" {
			all = append(all, part.label+" "+v)
		}
	}
	return all
}
