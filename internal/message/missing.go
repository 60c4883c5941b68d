package message

import (
	"fmt"
	"time"

	"github.com/idmapping/notifier/internal/event"
)

// composeRun returns the message about a run that did not start, or that started
// after all.
func composeRun(e event.Event, now time.Time) Message {
	d := e.Detail
	m := Message{
		Word:         Word(e),
		WorkflowName: OneLine(d.WorkflowName),
		Thread:       OneLine(d.Subject().Job), // both belong together
		Notes:        delayNotes(d, now),
	}
	m.Name = shorten(m.WorkflowName, maxName)
	m.Account, m.Region = accountAndRegion(e)
	m.Facts = place(m, d.Environment)
	if d.ExpectedStart == nil { // the event was not verified
		d.ExpectedStart = &event.ExpectedStart{}
	}
	if e.DetailType == event.RunMissing {
		m.missing(d)
	} else {
		m.resumed(d)
	}
	return m
}

// missing composes the message about a run that did not start.
func (m *Message) missing(d event.Detail) {
	m.Severity, m.Icon, m.Loud = Check, clockIcon, true
	m.brief = "nothing started"
	m.Lead = []Line{{{Text: "Usually starts about "}, {Time: d.ExpectedStart.At, Bold: true}, {Text: "; no job had started by "}, {Time: d.ExpectedStart.By, Clock: true, Bold: true}}}
	m.Trend = append(m.Trend, lastRun(d)...)
	if e := d.ExpectedStart; e.Of > 0 {
		m.Trend = append(m.Trend, Plain(fmt.Sprintf("Before this, %s of %s expected runs started", Grouped(int64(e.Kept)), Grouped(int64(e.Of)))))
	}
	m.Steps = []Line{
		Plain("Check what starts it, such as EventBridge Scheduler, Step Functions or Airflow."),
		runAgain("Or start it by hand: %s", d, m.Region),
	}
	m.Notes = append(m.Notes, Plain("You will hear when it starts."))
	m.linkWorkflow(d)
	if d.LastRun != nil {
		d.JobID = d.LastRun.JobID
		if console := event.ConsoleLinks(d); console != nil {
			m.link("Open last run", console.Job)
		}
	}
}

// lastRun says which run was the last one.
func lastRun(d event.Detail) []Line {
	if d.LastRun == nil {
		return nil
	}
	return []Line{{{Text: "Last run: "}, {Time: d.LastRun.StartTime}, {Text: ", "},
		{Text: truncate(OneLine(string(d.LastRun.Status)), maxWord), Outside: true}}}
}

// resumed composes the message about a run that started after one was missing.
func (m *Message) resumed(d event.Detail) {
	m.Severity, m.Icon, m.Loud, m.Terminal = Good, clockIcon, true, true
	m.JobID = OneLine(d.JobID)
	l := Line{{Text: "Started "}, {Time: d.StartTime, Bold: true}}
	if late := d.StartTime.Sub(d.ExpectedStart.At); late >= time.Minute {
		after := Duration(int64(late / time.Second))
		l = append(l, Span{Text: ", "}, Span{Text: after, Bold: true}, Span{Text: " later than usual"})
		m.brief = after + " later than usual"
	}
	m.Lead = []Line{l}
	m.Trend = lastRun(d)
	if len(m.Trend) > 0 {
		m.Trend[0][0].Text = "Run before it: "
	}
	if m.JobID != "" {
		m.Facts = append(m.Facts, Line{{Text: "job "}, {Text: shortID(m.JobID), Code: true}})
	}
	m.linkJob(d, false)
}
