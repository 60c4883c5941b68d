package message

import (
	"fmt"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

const clockIcon = "⏰"

// overdue composes the message about an open job that takes far longer than usual.
func (m *Message) overdue(d event.Detail) {
	m.Severity, m.Icon, m.Loud = Check, clockIcon, true
	lead := Line{{Text: "Still "}, {Text: truncate(OneLine(string(d.Status)), maxWord), Outside: true, Bold: true}}
	observed := d.ObservedAt
	if d.Since.After(observed) { // by Entity Resolution's clock, which may be ahead
		observed = d.Since
	}
	if took := observed.Sub(d.StartTime); !d.StartTime.IsZero() && took > 0 {
		after := Duration(int64(took / time.Second))
		lead = append(lead, Span{Text: " after "}, Span{Text: after, Bold: true})
		m.brief = "after " + after
	}
	m.Lead = []Line{lead}
	if usual, ok := d.Usual[jobs.MeasureDuration]; ok {
		m.Trend = []Line{Plain(fmt.Sprintf("Usually %s (%s)", durationRange(usual.Low, usual.High), lastRuns(usual.Runs)))}
	} else {
		m.Trend = []Line{Plain("No usual duration yet")}
	}
	if n := len(d.Waiting); n > 0 {
		l := Line{{Text: Plural(n, "job") + " waiting behind it: "}}
		for i, w := range d.Waiting[:min(n, maxNamed)] {
			if i > 0 {
				l = append(l, Span{Text: ", "})
			}
			l = append(l, Span{Text: shorten(OneLine(w.WorkflowName), maxName), Code: true})
		}
		if n > maxNamed {
			l = append(l, Span{Text: fmt.Sprintf(" and %d more", n-maxNamed)})
		}
		m.Trend = append(m.Trend, l)
	}
	// A job can hang on its provider, whose own job Entity Resolution polls (User
	// Guide, "Open API"). Only AWS can stop an ID mapping job: there is no such call.
	m.Steps = []Line{
		Plain("Check the input: is it larger than usual?"),
		Plain("With a provider such as LiveRamp, ask it about the run."),
		line("The API cannot stop an ID mapping job: if it does not end, open an AWS Support case with job ID %s.", literal(m.JobID, "of this job")),
	}
	m.Notes = append(m.Notes, Plain("You will hear when it ends."))
	m.linkJob(d, false)
}

// maxNamed is how many waiting jobs a message names.
const maxNamed = 3

// overdueLine says that a finished job had been reported overdue.
func overdueLine(d event.Detail) []Line {
	if d.Overdue == nil {
		return nil
	}
	l := Line{{Text: "Overdue since "}, {Time: d.Overdue.Since}}
	if late := d.EndTime.Sub(d.Overdue.Since); late > 0 {
		l = append(l, Span{Text: ", ended " + Duration(int64(late/time.Second)) + " after that"})
	}
	return []Line{l}
}
