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
func composeSummary(e event.Event, now time.Time) Message {
	d := e.Detail
	total, named := 0, 0
	var counts []string
	m := Message{Severity: summarySeverity(d.Statuses), Terminal: true, JobID: oneLine(d.TransitionID)}
	for _, status := range slices.Sorted(maps.Keys(d.Statuses)) {
		n := d.Statuses[status]
		total += n
		word := truncate(oneLine(string(status)), 60)
		if len(counts) < maxStatuses {
			named += n
			counts = append(counts, fmt.Sprintf("%s %s", Grouped(int64(n)), word))
			m.Fields = append(m.Fields, Field{word, Grouped(int64(n))})
		}
	}
	if others := total - named; others > 0 {
		counts = append(counts, Grouped(int64(others))+" others")
	}
	m.Account, m.Region = accountAndRegion(e)
	what := fmt.Sprintf("%s ID mapping jobs have finished", Grouped(int64(total)))
	m.Title = truncate("LATE: "+what, maxTitle)
	m.Headline = truncate("LATE: "+what+": "+strings.Join(counts, ", "), maxHeadline)
	m.Subject = truncate("[LATE] "+what+": "+strings.Join(counts, ", "), maxSubject)
	for _, j := range d.Jobs[:min(len(d.Jobs), maxListed)] {
		m.Jobs = append(m.Jobs, listedJob(d.Listed(j)))
	}
	m.MoreJobs = max(0, total-len(m.Jobs))
	m.Notes = append([]string{"The notifier observed these jobs more than 10 minutes after they finished, for example because it was paused. This message replaces one message per job."},
		delayNotes(d, now)...)
	m.Footer = composeFooter(m, d)
	return m
}

// listedJob returns one line of a summary's list. The job's ID is in the link, or
// in the line if there is no link.
func listedJob(d event.Detail) Link {
	var link Link
	link.Label = truncate(oneLine(string(d.Status)), 60) + ": " + truncate(oneLine(d.WorkflowName), maxName)
	if ended := formatTime(d.EndTime); ended != "" {
		link.Label += " at " + ended
	}
	if console := event.ConsoleLinks(d); console != nil {
		link.URL = shortURL(console.Job)
	}
	if link.URL == "" {
		link.Label += ", job " + truncate(oneLine(d.JobID), 80)
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
