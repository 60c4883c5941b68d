package message

import (
	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

func (m *Message) failed(d event.Detail) {
	m.Severity, m.Streak = Bad, true
	m.Loud = d.Streak == nil || !d.Streak.Repeated
	if m.Error = errorOf(d); m.Error == nil {
		m.Error = &Error{Text: noMessage, Category: jobs.Other}
	}
	m.Lead = []Line{cause(d.Error)}
	m.brief = shortCause(d)
	m.Trend = streakLines(d)
	m.Steps, m.Retry = failureSteps(d, m.Region)
	m.linkJob(d, false)
}

// streakLines say whether the failure is new: "3rd failure in a row, same cause;
// last success Fri 20 Nov 03:02".
func streakLines(d event.Detail) []Line {
	var l Line
	switch s := d.Streak; {
	case s == nil:
		return nil
	case s.Failures <= 1:
		l = Line{{Text: "First failure"}}
	default:
		l = Line{{Text: ordinal(s.Failures) + " failure in a row", Bold: true}}
		// Two errors of category OTHER need not have anything in common.
		if s.Repeated || s.SameCategory && d.Error != nil && d.Error.Category != jobs.Other {
			l = append(l, Span{Text: ", same cause"})
		}
	}
	switch last := d.LastSuccess; {
	case last == nil:
		l = append(l, Span{Text: "; no earlier success is known"})
	case !last.EndTime.IsZero():
		l = append(l, Span{Text: "; last success "}, Span{Time: last.EndTime})
	}
	return []Line{l}
}

// shortCause is the cause in a few words, for an email's subject.
func shortCause(d event.Detail) string {
	words := "no error message"
	if d.Error != nil {
		words = rootCause(d.Error.Message)
		if known, ok := briefs[d.Error.Category]; ok {
			words = known
		}
	}
	if s := d.Streak; s != nil && s.Failures > 1 {
		words = truncate(words, maxWord) + " (" + ordinal(s.Failures) + ")"
	}
	return words
}
