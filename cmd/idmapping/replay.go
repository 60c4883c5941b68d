package main

import (
	"context"
	"crypto/rand"
	"errors"
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

type replayCommand struct {
	JobOrWorkflow string   `arg:"" name:"job-or-workflow" help:"ID of a job, or at least its first eight characters; or with --since the name of a workflow."`
	Since         string   `placeholder:"24h" help:"Replay the runs of the workflow that finished since then: a time such as 2026-11-01T00:00:00Z, or 24h or 7d before now."`
	Until         string   `placeholder:"1h" help:"Only those that finished before this time."`
	To            []string `placeholder:"DESTINATION" help:"Only to this destination, as route and explain name it, such as slack:C0123456789 or email:a@example.com; whatever statuses it chooses. Repeat it for several."`
	Again         bool     `help:"Also to destinations that have received it. Needed for runs older than 21 days: what was received is forgotten then."`
	DryRun        bool     `help:"Only show what would be sent to whom."`
	Yes           bool     `help:"Do not ask before more than 20 messages."`
}

// Help is the end of the command's help.
func (replayCommand) Help() string {
	return `Example:
  idmapping replay customers-to-liveramp --since 24h --dry-run

Sends the last transition of each job again, marked as sent by hand: it mentions nobody and is not broadcast. It goes into the queues of Slack and email, never on the event bus, so that no other subscriber starts anything. A destination that has received it does not get it twice, unless with --again, which posts a new card. Runs that finished before their workflow was watched are replayed only by their job's ID.`
}

// Validate refuses flags that make no sense together.
func (c replayCommand) Validate() error {
	if c.Until != "" && c.Since == "" {
		return errors.New("--until needs --since")
	}
	for _, to := range c.To {
		if kind, name, _ := strings.Cut(to, ":"); to != "slack-webhook" && (name == "" || kind != "slack" && kind != "email") {
			return fmt.Errorf("--to %.100q is not a destination: give one as route names it, such as slack:C0123456789 or email:a@example.com", to)
		}
	}
	now := time.Now()
	_, err := moment("--since", c.Since, now)
	_, err2 := moment("--until", c.Until, now)
	return errors.Join(err, err2)
}

// replayed is one job at one destination.
type replayed struct {
	Workflow    string      `json:"workflow"`
	Job         string      `json:"job"`
	Status      jobs.Status `json:"status"`
	Channel     string      `json:"channel"`
	Destination string      `json:"destination,omitempty"`
	Sent        bool        `json:"sent"` // into the queue, or with --dry-run would be
	Why         string      `json:"why"`

	body []byte // of the message for the channel
}

// confirmAbove is how many messages are sent without a question.
const confirmAbove = 20

// Run sends past transitions again.
func (c replayCommand) Run(ctx context.Context, a *app) error {
	stack, err := a.stack(ctx)
	if err != nil {
		return err
	}
	records, err := c.records(ctx, a, stack)
	if err != nil {
		return err
	}
	with, err := c.read(ctx, stack, records[0]) // all are of one workflow
	if err != nil {
		return err
	}
	if err := c.known(stack, with.channels); err != nil {
		return err
	}
	all := []replayed{}
	var problems []error
	for _, r := range records {
		planned, err := c.plan(ctx, stack, with, r)
		if err != nil {
			problems = append(problems, err)
		}
		all = append(all, planned...)
	}
	if !c.DryRun {
		if err := c.send(ctx, a, stack, all); err != nil {
			return err
		}
	}
	return errors.Join(append(problems, a.print(all, func(w io.Writer) { c.list(w, all) }))...)
}

// records are those of the runs to replay, the oldest first.
func (c replayCommand) records(ctx context.Context, a *app, stack deployment.Stack) ([]jobs.Record, error) {
	searched := func(read int) { a.progress("searched %d runs…", read) }
	if c.Since == "" {
		workflow, job, found := strings.Cut(c.JobOrWorkflow, "/")
		if !found {
			workflow, job = "", c.JobOrWorkflow
		}
		r, err := stack.FindRecord(ctx, workflow, job, searched)
		return []jobs.Record{r}, err
	}
	name, _, err := stack.FindWorkflow(ctx, c.JobOrWorkflow)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	since, _ := moment("--since", c.Since, now)
	until, _ := moment("--until", c.Until, now)
	var all []jobs.Record
	for r, err := range stack.Jobs().Archived(ctx, name, since) {
		if err != nil {
			return nil, err
		}
		if r.Unreadable == nil && len(r.Timeline) > 0 && (until.IsZero() || r.FinishedAt().Before(until)) {
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no run of %s in the archive finished in that time", name)
	}
	return all, nil
}

// surroundings are what the runs of one workflow are replayed with.
type surroundings struct {
	channels  []notify.Channel
	histories jobs.Histories
	tags      map[string]string
}

// read reads the surroundings of a run, which are those of its whole workflow.
func (c replayCommand) read(ctx context.Context, stack deployment.Stack, r jobs.Record) (s surroundings, err error) {
	if r.Unreadable != nil {
		return s, r.Unreadable
	}
	if s.channels, err = stack.Channels(); err != nil {
		return s, err
	}
	if s.histories, err = stack.Jobs().Histories(ctx, r.Job.Workflow); err != nil {
		return s, err
	}
	s.tags, err = stack.Tags(ctx, r.ARN)
	return s, err
}

// known refuses destinations that the stack does not have.
func (c replayCommand) known(stack deployment.Stack, channels []notify.Channel) error {
	for _, to := range c.To {
		e := event.Event{DetailType: event.StateChange, Detail: event.Detail{Replay: &event.Replay{To: []string{to}}}}
		if !slices.ContainsFunc(channels, func(channel notify.Channel) bool { return channel.Routing(e).Verdict == notify.Sent }) {
			return fmt.Errorf("the stack cannot send to %s: it sends to %s, to other Slack channels with a bot token, and to addresses in the domains of EmailFrom and EmailTo", to, strings.Join(stack.Destinations, ", "))
		}
	}
	return nil
}

// plan says what is sent of one run, and why.
func (c replayCommand) plan(ctx context.Context, stack deployment.Stack, with surroundings, r jobs.Record) ([]replayed, error) {
	if age := time.Since(lastObserved(r)); age > notify.Remembered && !c.Again {
		return nil, fmt.Errorf("job %s finished more than 21 days ago: who received it is forgotten, so it is sent only with --again", r.Job.Key)
	}
	entry, err := deployment.LastEntry(r, with.histories)
	if err != nil {
		return nil, fmt.Errorf("replaying job %s: %w", r.Job.Key, err)
	}
	replay := event.Replay{ID: rand.Text(), At: time.Now().UTC().Truncate(time.Second), To: c.To, Again: c.Again}
	body, err := stack.ReplayBody(entry, with.tags, replay)
	if err != nil {
		return nil, err
	}
	e, err := event.Decode(body)
	if err != nil {
		return nil, fmt.Errorf("replaying job %s: %w", r.Job.Key, err)
	}
	ledgers, err := stack.Deliveries().Ledgers(ctx, r.ARN+"/"+r.Job.Job)
	if err != nil {
		return nil, err
	}
	var all []replayed
	for _, channel := range with.channels {
		all = append(all, c.channel(channel, e, ledgers, body)...)
	}
	return all, nil
}

// channel says what one channel does with a replay.
func (c replayCommand) channel(channel notify.Channel, e event.Event, ledgers []notify.Ledger, body []byte) []replayed {
	routing := channel.Routing(e)
	one := replayed{Workflow: e.Detail.WorkflowName, Job: e.Detail.JobID, Status: jobs.Status(message.Word(e)), Channel: channel.Name, body: body}
	if len(routing.Destinations) == 0 {
		if len(c.To) > 0 {
			return nil // the user names another channel's
		}
		one.Why = why(channel, routing, e)
		return []replayed{one}
	}
	var all []replayed
	for _, d := range routing.Destinations {
		one.Destination, one.Sent, one.Why = d.ID(), true, "missed it"
		receipt, received := notify.ReceiptOf(ledgers, d.ID(), e.Detail.TransitionID)
		switch {
		case c.Again:
			one.Why = "--again"
		case received && receipt.SentAt.IsZero():
			one.Sent, one.Why = false, "already "+outcomeSuperseded
		case received:
			one.Sent, one.Why = false, "already "+outcomeSent+" "+at(receipt.SentAt)
		}
		all = append(all, one)
	}
	return all
}

// send puts each run once into the queue of each channel that sends it.
func (c replayCommand) send(ctx context.Context, a *app, stack deployment.Stack, all []replayed) error {
	n := 0
	for _, r := range all {
		if r.Sent {
			n++
		}
	}
	if n > confirmAbove {
		if yes, err := a.confirm(fmt.Sprintf("Send %d messages again?", n), c.Yes); err != nil || !yes {
			return errors.Join(err, errReported)
		}
	}
	if n == 0 {
		return nil
	}
	queues, err := stack.DeadLetterQueues(ctx)
	if err != nil {
		return err
	}
	done := make(map[string]bool)
	for _, r := range all {
		key := r.Channel + " " + r.Workflow + "/" + r.Job
		if !r.Sent || done[key] {
			continue
		}
		for _, q := range queues {
			if q.Channel != r.Channel {
				continue
			}
			if err := q.Send(ctx, string(r.body)); err != nil {
				return err
			}
			done[key] = true
		}
		if !done[key] {
			return fmt.Errorf("the stack has no %s queue", r.Channel)
		}
	}
	return nil
}

func (c replayCommand) list(w io.Writer, all []replayed) {
	outcome := map[bool]string{true: "sent again", false: "not sent"}
	if c.DryRun {
		outcome[true] = "would be sent"
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "JOB\tSTATUS\tDESTINATION\tOUTCOME\tWHY")
	for _, r := range all {
		destination := r.Destination
		if destination == "" {
			destination = r.Channel
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", message.OneLine(r.Job), message.OneLine(string(r.Status)), message.OneLine(destination), outcome[r.Sent], message.OneLine(r.Why))
	}
	_ = table.Flush()
}
