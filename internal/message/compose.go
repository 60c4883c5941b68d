package message

import (
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

const (
	// In characters. A headline is Slack's header block, which takes 150.
	maxHeadline = 150
	maxName     = 80
	maxSubject  = 180
	maxTitle    = 150
	// lateAfter is how long after its end a job may be seen, and after that be
	// told, without a note.
	lateAfter = 10 * time.Minute
)

// Compose says what a reader is to be told about an event. now is when it is
// told, UTC: news that is late says so.
func Compose(e event.Event, now time.Time) Message {
	if e.DetailType == event.Canary {
		return canary(e)
	}
	d := e.Detail
	m := Message{
		Status:       d.Status,
		Severity:     severity(e),
		Terminal:     d.Terminal(),
		WorkflowName: line(d.WorkflowName),
		JobID:        line(d.JobID),
		Metrics:      metrics(d.Metrics),
		Failure:      failure(d),
		Notes:        notes(e, now),
	}
	m.Account, m.Region = place(e)
	word := Word(e)
	m.Title = short(word+": "+m.WorkflowName, maxTitle)
	m.Headline = headline(e, word)
	m.Subject = short(subject(e, word), maxSubject)
	m.Fields = fields(e, word)
	m.Outputs, m.Links = links(d)
	m.Footer = footer(m, d)
	return m
}

// place is the account and region that the workflow is in: those of its ARN,
// else those that the event came from.
func place(e event.Event) (account, region string) {
	if workflow, err := arn.Parse(e.Detail.WorkflowARN); err == nil {
		return line(workflow.AccountID), line(workflow.Region)
	}
	return line(e.Account), line(e.Region)
}

// Word is the one word for what has happened: the status as the API spells it,
// or VANISHED.
func Word(e event.Event) string {
	if e.DetailType == event.Vanished {
		return string(jobs.Vanished)
	}
	return short(line(string(e.Detail.Status)), 60)
}

func severity(e event.Event) Severity {
	switch {
	case e.DetailType == event.Vanished || e.Detail.Status == jobs.Failed:
		return Bad
	case e.Detail.Status == jobs.Succeeded:
		return Good
	default:
		return Neutral
	}
}

// headline is the sentence that stands alone.
func headline(e event.Event, word string) string {
	d := e.Detail
	name := short(line(d.WorkflowName), maxName)
	var s string
	switch {
	case e.DetailType == event.Vanished:
		s = fmt.Sprintf("%s: %s is no longer shown by Entity Resolution; it was last seen %s", word, name, line(string(d.Status)))
	case d.Status == jobs.Queued:
		s = fmt.Sprintf("%s: %s is waiting to start", word, name)
	case d.Status == jobs.Running:
		s = fmt.Sprintf("%s: %s has started", word, name)
	case d.Status == jobs.Succeeded:
		s = fmt.Sprintf("%s: %s%s%s", word, name, in(" in ", d), mapped(d))
	case d.Status == jobs.Failed:
		s = fmt.Sprintf("%s: %s%s%s", word, name, in(" after ", d), because(d))
	default:
		s = fmt.Sprintf("%s: %s has a status that this version does not know", word, name)
	}
	return short(s, maxHeadline)
}

// in is the duration, introduced, or nothing.
func in(introduction string, d event.Detail) string {
	if d.Duration == nil {
		return ""
	}
	return introduction + Duration(*d.Duration)
}

func mapped(d event.Detail) string {
	if d.Rates == nil || d.Rates.Mapped == nil {
		return ""
	}
	return fmt.Sprintf(", %s of %s records mapped", Percent(*d.Rates.Mapped), Grouped(d.Metrics[jobs.TotalRecordsProcessed]))
}

// because is the cause of a failure, introduced, or nothing.
func because(d event.Detail) string {
	if d.Error == nil {
		return ""
	}
	if c := cause(d.Error.Message); c != "" {
		return ": " + c
	}
	return ""
}

// subject starts with the status and the workflow, so that mail programs can
// sort and filter by it.
func subject(e event.Event, word string) string {
	d := e.Detail
	s := fmt.Sprintf("[%s] %s", word, short(line(d.WorkflowName), maxName))
	switch {
	case d.Status == jobs.Failed:
		s += because(d)
	case d.Status == jobs.Succeeded:
		s += in(": done in ", d) + mapped(d)
	}
	return s
}

func fields(e event.Event, word string) []Field {
	d := e.Detail
	all := []Field{
		{"Workflow", line(d.WorkflowName)},
		{"Status", status(d, word)},
		{"Job type", line(d.JobType)},
		{"Duration", duration(d)},
		{"Started", clock(d.StartTime)},
		{"Ended", clock(d.EndTime)},
	}
	if d.Rates != nil {
		all = append(all,
			Field{"Mapped", rate(d.Rates.Mapped, "of the records processed")},
			Field{"Not processed", rate(d.Rates.NotProcessed, "of the input")})
	}
	kept := all[:0]
	for _, f := range all {
		if f.Value != "" {
			kept = append(kept, f)
		}
	}
	return kept
}

func status(d event.Detail, word string) string {
	if d.PreviousStatus == "" {
		return word
	}
	return fmt.Sprintf("%s (was %s)", word, short(line(string(d.PreviousStatus)), 60))
}

func duration(d event.Detail) string { return in("", d) }

func rate(fraction *float64, of string) string {
	if fraction == nil {
		return ""
	}
	return Percent(*fraction) + " " + of
}

// notes say how this was seen, where that is worth knowing.
func notes(e event.Event, now time.Time) []string {
	d := e.Detail
	var all []string
	for _, s := range d.Skipped {
		all = append(all, fmt.Sprintf("%s was not seen: the job moved on between two polls.", short(line(string(s)), 60)))
	}
	if !d.EndTime.IsZero() && d.Terminal() {
		if late := d.ObservedAt.Sub(d.EndTime); late > lateAfter {
			all = append(all, fmt.Sprintf("This was seen %s after the job had ended.", Duration(int64(late.Seconds()))))
		}
	}
	if late := now.Sub(d.ObservedAt); late > lateAfter && !d.ObservedAt.IsZero() {
		all = append(all, fmt.Sprintf("This is told late: it was seen %s ago.", Duration(int64(late.Seconds()))))
	}
	if e.DetailType == event.Vanished {
		all = append(all, "The job or its workflow may have been deleted. Nothing more will be told of it unless it is shown again.")
	}
	return all
}

func links(d event.Detail) (outputs, all []Link) {
	var l event.Links
	if d.Links != nil {
		l = *d.Links
	}
	for i, o := range d.Outputs {
		out := Link{Label: line(o.S3Path)}
		if i < len(l.Outputs) {
			out.URL = https(l.Outputs[i])
		}
		if out.Label != "" {
			outputs = append(outputs, out)
		}
	}
	for _, link := range []Link{{"Open job", https(l.Job)}, {"Open workflow", https(l.Workflow)}} {
		if link.URL != "" {
			all = append(all, link)
		}
	}
	return outputs, all
}

// https lets through only what can be a console's URL: the event came over a
// bus on which others can write too.
func https(url string) string {
	if !strings.HasPrefix(url, "https://") || len(url) > 2000 || line(url) != url || strings.ContainsAny(url, " <>\"'|`\\") {
		return ""
	}
	return url
}

func footer(m Message, d event.Detail) []string {
	var all []string
	for _, part := range []struct{ label, value string }{
		{"account", m.Account}, {"region", m.Region}, {"job", d.JobID}, {"transition", first(d.TransitionID, 12)},
	} {
		if v := short(line(part.value), 80); v != "" {
			all = append(all, part.label+" "+v)
		}
	}
	return all
}

func first(s string, n int) string { return s[:min(len(s), n)] }
