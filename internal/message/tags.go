package message

import (
	"fmt"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/tags"
)

// tagged adds what the workflow's tags say, and which of them cannot be used. s are
// the stack's settings.
func (m *Message) tagged(e event.Event, s Settings) {
	own := tags.Parse(e.Detail.Tags, e.Detail.ObservedAt)
	runbook := s.RunbookURL
	if own.Runbook != "" {
		runbook = own.Runbook
	}
	if runbook != "" && m.Severity >= Check && m.WorkflowName != "" {
		m.Links = append(m.Links, Link{"Runbook", runbook})
	}
	if owner := truncate(OneLine(own.Owner), maxWord); owner != "" {
		m.Facts = append([]Line{{{Text: "Owner: "}, {Text: owner, Outside: true}}}, m.Facts...)
	}
	m.Mentions = own.Mentions
	for n, i := range own.Ignored {
		if n == maxIgnored && len(own.Ignored) > n+1 {
			m.Notes = append(m.Notes, Plain(fmt.Sprintf("%d more words of the tags are ignored.", len(own.Ignored)-n)))
			break
		}
		m.Notes = append(m.Notes, Line{{Text: "The tag "}, {Text: tags.Prefix + i.Key, Outside: true}, {Text: " is ignored: “"},
			{Text: truncate(OneLine(i.Value), maxWord), Outside: true}, {Text: "” " + i.Reason + "."}})
	}
}

// maxIgnored is how many words of tags a message names that cannot be used: more would
// leave no room for the other notes.
const maxIgnored = 3

// composeMuteEnded returns the message about what was not sent while a workflow was
// muted, and what is still wrong.
func composeMuteEnded(e event.Event, s Settings) Message {
	d := e.Detail
	m := composeSummary(e, e.Detail.ObservedAt, s.Zone)
	m.WorkflowName = OneLine(d.WorkflowName)
	m.Name, m.Word, m.subjectWord, m.Icon = shorten(m.WorkflowName, maxName), Word(e), "", muteIcon
	m.Thread, m.JobID, m.Notes = "mute "+d.Subject().Job, "", nil
	mute := event.Mute{}
	if d.Mute != nil { // otherwise the event was not verified
		mute = *d.Mute
	}
	muted := Line{{Text: "Nothing was sent from "}, {Time: mute.Since, Open: true}, {Text: " to "}, {Time: mute.Until}}
	if reason := truncate(OneLine(mute.Reason), maxWord); reason != "" {
		muted = append(muted, Span{Text: ": "}, Span{Text: reason, Outside: true})
	}
	m.Trend = []Line{muted}
	if len(m.Jobs) == 0 {
		m.Lead = []Line{Plain("No job finished while it was muted")}
	} else {
		m.Lead[0] = append(Line{{Text: "While it was muted: "}}, m.Lead[0]...)
	}
	m.Severity, m.Loud, m.brief = Neutral, false, "mute ended"
	m.stillWrong(d)
	m.linkWorkflow(d)
	return m
}

// muteIcon stands before the title of the message about the end of a mute.
const muteIcon = "🔔"

// stillWrong says what the mute has hidden and still lasts.
func (m *Message) stillWrong(d event.Detail) {
	var still []Line
	if st := d.Streak; st != nil {
		text := "The last run failed"
		if st.Failures > 1 {
			text = fmt.Sprintf("The last %s runs failed", Grouped(int64(st.Failures)))
		}
		l := Line{{Text: text}}
		if !st.Since.IsZero() && st.Failures > 1 {
			l = append(l, Span{Text: ", since "}, Span{Time: st.Since})
		}
		still = append(still, l)
		m.Severity, m.brief = Bad, "still failing"
		m.Error = errorOf(d)
	}
	if d.Statuses[jobs.Overdue] > 0 {
		still = append(still, Plain("A job still takes far longer than usual"))
	}
	if d.Statuses[jobs.RunMissing] > 0 {
		still = append(still, Plain("A run that should have started is still missing"))
	}
	if len(still) > 0 {
		m.Loud = true
		m.Severity = max(m.Severity, Check)
		if m.brief == "mute ended" {
			m.brief = "still needs a look"
		}
		m.Trend = append(still, m.Trend...)
	}
}
