package notify

import (
	"maps"
	"slices"
	"strings"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/tags"
)

// Filter chooses the events of a channel. The zero Filter chooses terminal
// statuses.
type Filter struct {
	All  bool            // every status
	Only map[string]bool // these statuses, unless All; empty means terminal statuses
	// NoSignals leaves out what the statuses do not choose, even if it has a
	// finding or ends a run of failures.
	NoSignals bool

	unmarked []string // statuses that are neither documented nor marked as new
}

// Matches reports whether the channel delivers e. It always delivers a vanished
// job, whose terminal status will never come, the end of a mute, a canary and an
// outage notice, and, unless NoSignals, a missing run and its start, an overdue job and
// a success that has a finding or ends a run of failures, except one of many late ones.
// It delivers a summary of more late statuses than it sends one by one.
func (f Filter) Matches(e event.Event) bool {
	switch e.DetailType {
	case event.Vanished, event.MuteEnded, event.Canary, outageNotice:
		return true
	case event.Summary:
		return f.summarizes(e.Detail.Statuses)
	case event.RunMissing, event.RunResumed:
		return !f.NoSignals
	case event.Overdue:
		return f.has(e.Detail.Status, false) || !f.NoSignals
	default:
		return f.has(e.Detail.Status, e.Detail.Terminal()) || !f.NoSignals && e.Detail.Backlog == nil && e.Detail.Signals()
	}
}

// With is the filter with signals, or without.
func (f Filter) With(signals bool) Filter {
	f.NoSignals = !signals
	return f
}

// Of returns the filter of a workflow whose tags say which statuses to send. With
// them it always delivers what the statuses do not choose.
func (f Filter) Of(s tags.Settings) Filter {
	if len(s.Statuses) == 0 {
		return f
	}
	own := Filter{Only: make(map[string]bool)}
	for _, status := range s.Statuses {
		own.Only[string(status)] = true
	}
	return own
}

func (f Filter) has(status jobs.Status, terminal bool) bool {
	switch {
	case f.All:
		return true
	case len(f.Only) == 0:
		return terminal
	default:
		return f.Only[string(status)]
	}
}

// Summarized reports whether the channel sends a summary in place of e. It counts
// the statuses that the summary has, so that of the two it sends exactly one.
func (f Filter) Summarized(e event.Event) bool {
	return e.Detail.Backlog != nil && f.has(e.Detail.Status, true) && f.summarizes(e.Detail.Backlog.Statuses)
}

// summarizes reports whether so many late terminal statuses become one summary.
func (f Filter) summarizes(statuses map[jobs.Status]int) bool {
	n := 0
	for status, count := range statuses {
		if f.has(status, true) {
			n += count
		}
	}
	return n > event.MaxIndividual
}

// Narrow returns e as the channel delivers it: a summary of only the statuses
// that the channel sends.
func (f Filter) Narrow(e event.Event) event.Event {
	if e.DetailType != event.Summary {
		return e
	}
	e.Detail.Statuses = maps.Clone(e.Detail.Statuses)
	maps.DeleteFunc(e.Detail.Statuses, func(status jobs.Status, _ int) bool { return !f.has(status, true) })
	e.Detail.Jobs = slices.DeleteFunc(slices.Clone(e.Detail.Jobs), func(j event.ListedJob) bool { return !f.has(j.Status, true) })
	return e
}

// Unknown lists the statuses of the filter that Entity Resolution does not
// document and that no plus sign marks as new: they may be typing errors.
func (f Filter) Unknown() []string { return f.unmarked }

// ParseFilter reads a comma-separated list of statuses; an empty list means
// terminal statuses only. It accepts unknown statuses: the API's enum can grow
// (GetIdMappingJob, Response Structure). The template requires a plus sign before
// each of those, such as +PAUSED.
func ParseFilter(list string) Filter {
	f := Filter{Only: make(map[string]bool)}
	for status := range strings.SplitSeq(list, ",") {
		status, marked := strings.CutPrefix(strings.ToUpper(strings.TrimSpace(status)), "+")
		if status == "" {
			continue
		}
		if !marked && !jobs.Status(status).Known() && !f.Only[status] {
			f.unmarked = append(f.unmarked, status)
		}
		f.Only[status] = true
	}
	slices.Sort(f.unmarked)
	return f
}
