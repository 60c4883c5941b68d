package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/idmapping/notifier/internal/deployment"
	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/notify"
)

type explainCommand struct {
	Job string `arg:"" help:"ID of the job, or its first eight characters as a Slack card shows them; with WORKFLOW/ before it, only that workflow is searched."`
}

// Help is the end of the command's help.
func (explainCommand) Help() string {
	return `Example:
  idmapping explain 8c5e1d2f

For each transition of the job: when it began, was observed and was published; for each destination: why it was chosen or not, and when it was sent. What a destination received is known for 21 days.`
}

// explanation is what is known of a job and its notifications.
type explanation struct {
	Workflow    string       `json:"workflow"`
	Job         string       `json:"job"`
	Status      jobs.Status  `json:"status"`
	StartTime   time.Time    `json:"startTime,omitzero"`
	EndTime     time.Time    `json:"endTime,omitzero"`
	Transitions []transition `json:"transitions"`
	// DeliveriesKnown is false once what was delivered is forgotten, 21 days after
	// the last delivery.
	DeliveriesKnown bool `json:"deliveriesKnown"`
}

// transition is one transition with what became of it. Times are UTC.
type transition struct {
	Status       jobs.Status    `json:"status"`
	TransitionID string         `json:"transitionId"`
	BeganAt      time.Time      `json:"beganAt,omitzero"`
	ObservedAt   time.Time      `json:"observedAt"`
	PublishedAt  time.Time      `json:"publishedAt,omitzero"`
	Refused      string         `json:"refused,omitempty"` // why EventBridge will never accept the event
	Destinations []notification `json:"destinations"`
}

// notification is what became of a transition at one destination.
type notification struct {
	Channel     string    `json:"channel"`
	Destination string    `json:"destination,omitempty"` // empty where the channel does not send it
	Outcome     string    `json:"outcome"`
	Why         string    `json:"why"`
	SentAt      time.Time `json:"sentAt,omitzero"`
	Attempts    int       `json:"attempts,omitempty"`
	// DelaySeconds is from the observation to SentAt.
	DelaySeconds int64  `json:"delaySeconds,omitempty"`
	Link         string `json:"link,omitempty"` // to the Slack message
}

// The outcomes of a notification beside the verdicts of a channel.
const (
	outcomeSent       = "sent"
	outcomeSuperseded = "superseded" // a later status, or a summary, was sent in its place
	outcomeWaiting    = "not sent yet"
	outcomeNever      = "not sent" // EventBridge refused the event
	outcomeForgotten  = "no longer known"
)

// Run prints what is known of the job.
func (c explainCommand) Run(ctx context.Context, a *app) error {
	stack, err := a.stack(ctx)
	if err != nil {
		return err
	}
	workflow, job, found := strings.Cut(c.Job, "/")
	if !found {
		workflow, job = "", c.Job
	}
	record, err := stack.FindRecord(ctx, workflow, job, func(read int) { a.progress("searched %d runs…", read) })
	if err != nil {
		return err
	}
	if record.Unreadable != nil {
		return record.Unreadable
	}
	e, err := explain(ctx, stack, record)
	if err != nil {
		return err
	}
	return a.print(e, func(w io.Writer) { e.print(w) })
}

func explain(ctx context.Context, stack deployment.Stack, r jobs.Record) (explanation, error) {
	e := explanation{Workflow: r.Job.Workflow, Job: r.Job.Job, Status: r.Job.Status, StartTime: r.Job.StartTime, EndTime: r.Job.EndTime, Transitions: []transition{}}
	if r.Vanished {
		e.Status = jobs.Vanished
	}
	channels, err := stack.Channels()
	if err != nil {
		return e, err
	}
	ledgers, err := stack.Deliveries().Ledgers(ctx, r.ARN+"/"+r.Job.Job)
	if err != nil {
		return e, err
	}
	e.DeliveriesKnown = len(ledgers) > 0 || time.Since(lastObserved(r)) < notify.Remembered
	for _, m := range r.Timeline {
		t := transition{Status: m.Status, TransitionID: m.ID, BeganAt: m.BeganAt, ObservedAt: m.ObservedAt, PublishedAt: m.PublishedAt}
		if i := slices.IndexFunc(r.Refused, func(refused jobs.RefusedEntry) bool { return refused.ID == m.ID }); i >= 0 {
			t.Refused = r.Refused[i].Reason
		}
		for _, channel := range channels {
			t.Destinations = append(t.Destinations, e.notifications(channel, eventOf(r, m), t.Refused != "", ledgers)...)
		}
		t.Destinations = append(t.Destinations, others(t, ledgers)...)
		e.Transitions = append(e.Transitions, t)
	}
	return e, nil
}

func lastObserved(r jobs.Record) time.Time {
	if len(r.Timeline) == 0 {
		return r.Job.EndTime
	}
	return r.Timeline[len(r.Timeline)-1].ObservedAt
}

// eventOf is the event of a milestone, as far as it decides who is notified.
func eventOf(r jobs.Record, m jobs.Milestone) event.Event {
	e := event.Event{DetailType: event.StateChange, Detail: event.Detail{TransitionID: m.ID, WorkflowName: r.Job.Workflow, WorkflowARN: r.ARN, JobID: r.Job.Job,
		Status: m.Status, ObservedAt: m.ObservedAt, Tags: m.Tags}}
	switch {
	case m.Status == jobs.Vanished:
		e.DetailType = event.Vanished
	case m.Status == jobs.Overdue:
		e.DetailType, e.Detail.Status = event.Overdue, jobs.Running
	case m.Status == r.Job.Status:
		e.Detail.EndTime = r.Job.EndTime
	}
	if m.Signals {
		e.Detail.Findings = []event.Finding{{}}
	}
	return e
}

// notifications are what became of an event in one channel.
func (e explanation) notifications(channel notify.Channel, ev event.Event, refused bool, ledgers []notify.Ledger) []notification {
	routing := channel.Routing(ev)
	n := notification{Channel: channel.Name, Outcome: string(routing.Verdict), Why: why(channel, routing, ev)}
	if len(routing.Destinations) == 0 {
		return []notification{n}
	}
	var all []notification
	for _, d := range routing.Destinations {
		n.Destination, n.Outcome = d.ID(), outcomeWaiting
		switch {
		case refused:
			n.Outcome = outcomeNever
		case !e.DeliveriesKnown:
			n.Outcome = outcomeForgotten
		}
		all = append(all, n.with(ev.Detail.TransitionID, ledgers))
	}
	return all
}

// with is n with what its destination has received of a transition.
func (n notification) with(transitionID string, ledgers []notify.Ledger) notification {
	for _, l := range ledgers {
		receipt, received := l.Receipts[transitionID]
		if l.Destination != n.Destination || !received {
			continue
		}
		n.Outcome, n.SentAt, n.Attempts, n.DelaySeconds = outcomeSent, receipt.SentAt, receipt.Attempts, int64(receipt.Delay/time.Second)
		if receipt.SentAt.IsZero() {
			n.Outcome = outcomeSuperseded
		}
		if l.Card != (notify.MessageRef{}) {
			n.Link = "https://slack.com/archives/" + l.Card.Channel + "/p" + strings.Replace(l.Card.TS, ".", "", 1)
		}
	}
	return n
}

// others are destinations that have received the transition and that today's settings
// would not choose.
func others(t transition, ledgers []notify.Ledger) []notification {
	var all []notification
	for _, l := range ledgers {
		_, received := l.Receipts[t.TransitionID]
		known := slices.ContainsFunc(t.Destinations, func(n notification) bool { return n.Destination == l.Destination })
		if received && !known {
			channel, _, _ := strings.Cut(l.Destination, ":")
			n := notification{Channel: channel, Destination: l.Destination, Why: "by settings that have changed since"}
			all = append(all, n.with(t.TransitionID, ledgers))
		}
	}
	return all
}

func (e explanation) print(w io.Writer) {
	fmt.Fprintf(w, "%s: job %s of %s\n", message.OneLine(string(e.Status)), message.OneLine(e.Job), message.OneLine(e.Workflow))
	switch {
	case !e.StartTime.IsZero() && !e.EndTime.IsZero():
		fmt.Fprintf(w, "ran from %s to %s (%s)\n", at(e.StartTime), at(e.EndTime), e.EndTime.Sub(e.StartTime).Round(time.Second))
	case !e.StartTime.IsZero():
		fmt.Fprintf(w, "started %s\n", at(e.StartTime))
	}
	if len(e.Transitions) == 0 {
		fmt.Fprintln(w, "It finished before its workflow was watched: nothing was published or sent about it.")
	}
	for _, t := range e.Transitions {
		fmt.Fprintf(w, "\n%s\n", message.OneLine(string(t.Status)))
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		if !t.BeganAt.IsZero() {
			fmt.Fprintf(table, "  began\t%s\n", at(t.BeganAt))
		}
		fmt.Fprintf(table, "  observed\t%s\t%s\n", at(t.ObservedAt), after(t.BeganAt, t.ObservedAt, "it began"))
		switch {
		case t.Refused != "":
			fmt.Fprintf(table, "  published\tnever\tEventBridge refused the event: %s\n", message.OneLine(t.Refused))
		case t.PublishedAt.IsZero():
			fmt.Fprintln(table, "  published\tnot yet\tit is in the outbox; the next tick tries again")
		default:
			fmt.Fprintf(table, "  published\t%s\t%s\n", at(t.PublishedAt), after(t.ObservedAt, t.PublishedAt, "it was observed"))
		}
		for _, n := range t.Destinations {
			fmt.Fprintf(table, "  %s\t%s\t%s\n", message.OneLine(cmp.Or(n.Destination, n.Channel)), n.when(), message.OneLine(n.Why))
		}
		_ = table.Flush()
	}
	for _, link := range e.cards() {
		fmt.Fprintf(w, "\nSlack card: %s\n", link)
	}
	if !e.DeliveriesKnown && len(e.Transitions) > 0 {
		fmt.Fprintln(w, "\nWhat was sent, and when, is no longer known: that is kept for 21 days. Why a destination was chosen is computed from today's settings.")
	}
}

// cards are the links to the job's Slack cards, once each.
func (e explanation) cards() []string {
	var all []string
	for _, t := range e.Transitions {
		for _, n := range t.Destinations {
			if n.Link != "" && !slices.Contains(all, n.Link) {
				all = append(all, n.Link)
			}
		}
	}
	return all
}

// when says when a notification was sent, or why it was not.
func (n notification) when() string {
	if n.Outcome != outcomeSent {
		return n.Outcome
	}
	text := "sent " + at(n.SentAt) + fmt.Sprintf(", %s after it was observed", time.Duration(n.DelaySeconds)*time.Second)
	if n.Attempts > 1 {
		text += fmt.Sprintf(", at attempt %d", n.Attempts)
	}
	return text
}

func at(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// after says how long a step took.
func after(from, to time.Time, what string) string {
	if from.IsZero() || to.Before(from) {
		return ""
	}
	return to.Sub(from).Round(time.Second).String() + " after " + what
}
