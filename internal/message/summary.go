package message

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

const (
	maxListed   = 20 // jobs in a summary's list
	maxStatuses = 5  // statuses that a summary counts by name
)

// composeSummary returns the message that stands for many late terminal statuses.
func composeSummary(e event.Event, now time.Time, zone *time.Location) Message {
	d := e.Detail
	total, named := 0, 0
	var counts []string
	m := Message{Severity: summarySeverity(d.Statuses), Terminal: true, Word: "LATE", JobID: OneLine(d.TransitionID)}
	for _, status := range slices.Sorted(maps.Keys(d.Statuses)) {
		n := d.Statuses[status]
		total += n
		word := truncate(OneLine(string(status)), maxWord)
		if len(counts) < maxStatuses {
			named += n
			counts = append(counts, fmt.Sprintf("%s %s", Grouped(int64(n)), word))
		}
	}
	if others := total - named; others > 0 {
		counts = append(counts, Grouped(int64(others))+" others")
	}
	m.Account, m.Region = accountAndRegion(e)
	m.Loud = m.Severity >= Bad
	m.Name = Grouped(int64(total)) + " ID mapping jobs finished"
	m.brief = strings.Join(counts, ", ")
	m.Lead = []Line{outside(m.brief)}
	for _, j := range d.Jobs[:min(len(d.Jobs), maxListed)] {
		m.Jobs = append(m.Jobs, listedJob(d.Listed(j), zone))
	}
	m.MoreJobs = max(0, total-len(m.Jobs))
	m.Notes = append([]Line{Plain("The notifier noticed these jobs more than 10 minutes after they ended, for example because it was paused. This message replaces one message per job.")},
		delayNotes(d, now)...)
	m.Facts = place(m, d.Environment)
	return m
}

// listedJob returns one line of a summary's list. The job's ID is in the link, or
// in the line if there is no link.
func listedJob(d event.Detail, zone *time.Location) Link {
	var link Link
	link.Label = truncate(OneLine(string(d.Status)), maxWord) + ": " + shorten(OneLine(d.WorkflowName), maxName)
	if !d.EndTime.IsZero() {
		link.Label += ", " + Span{Time: d.EndTime}.Plain(zone)
	}
	if console := event.ConsoleLinks(d); console != nil {
		link.URL = shortURL(console.Job)
	}
	if link.URL == "" {
		link.Label += ", job " + truncate(OneLine(d.JobID), 80)
	}
	return link
}

// summarySeverity returns the severity of the worst status.
func summarySeverity(statuses map[jobs.Status]int) Severity {
	switch {
	case statuses[jobs.Failed] > 0:
		return Bad
	case len(statuses) == 1 && statuses[jobs.Succeeded] > 0:
		return Good
	default:
		return Neutral
	}
}
