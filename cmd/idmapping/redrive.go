package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/idmapping/notifier/internal/deployment"
	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/notify"
)

type redriveCommand struct {
	Channel string   `arg:"" optional:"" help:"slack or email; without it, both."`
	DryRun  bool     `help:"Only show what is there and who would be notified."`
	Yes     bool     `help:"Move without asking."`
	Message []string `placeholder:"ID" help:"Only the message with this ID. Can be repeated."`
}

// Help is the end of the command's help.
func (redriveCommand) Help() string {
	return `Example:
  idmapping redrive slack --dry-run

Correct the cause first. It shows each message in the dead-letter queue, why it is there and who would be notified. After a confirmation it moves the messages to the channel's queue. A destination that has received a notification does not receive it again: the notifier drops it, for 21 days. So a message that is moved twice, because the command was interrupted, notifies nobody twice.

A message that is not a valid event of the notifier is never moved; SQS deletes it in the end. While the command waits for the answer, others do not see the messages.

Exit code: 0 unless a call failed (1) or an invalid message is there (1), or nobody answered (2).`
}

// Validate refuses a channel that does not exist.
func (c redriveCommand) Validate() error {
	if c.Channel != "" && c.Channel != "slack" && c.Channel != "email" {
		return fmt.Errorf("%.60q is neither slack nor email", c.Channel)
	}
	return nil
}

// What became of a dead letter.
const (
	outcomeMoved   = "moved"
	outcomeCopied  = "copied"  // moved, and still in the dead-letter queue
	outcomeKept    = "kept"    // in the dead-letter queue; it can be moved
	outcomeInvalid = "invalid" // kept, and cannot be moved
)

// deadLetter is a message of a dead-letter queue.
type deadLetter struct {
	Queue        string   `json:"queue"` // slack or email
	MessageID    string   `json:"messageId"`
	Workflow     string   `json:"workflow"`
	Job          string   `json:"job"`
	Status       string   `json:"status"`
	Why          string   `json:"why"`          // it is there, or is invalid
	Destinations []string `json:"destinations"` // that would be notified
	Outcome      string   `json:"outcome"`

	nobody string // why, without destinations
	event  event.Event
	queue  deployment.DeadLetterQueue
	letter deployment.DeadLetter
}

// Run shows the dead letters and moves the valid ones.
func (c redriveCommand) Run(ctx context.Context, a *app) (err error) {
	stack, err := a.stack(ctx)
	if err != nil {
		return err
	}
	queues, err := c.queues(ctx, stack)
	if err != nil {
		return err
	}
	var all []*deadLetter
	defer func() {
		if problem := release(ctx, all); problem != nil {
			if errors.Is(err, errReported) {
				err = nil // it would keep the problem from being printed
			}
			err = errors.Join(err, problem)
		}
	}()
	for _, q := range queues {
		letters, err := q.Receive(ctx)
		for _, letter := range letters {
			all = append(all, &deadLetter{Queue: q.Channel, MessageID: letter.ID, Why: letter.Why, Destinations: []string{}, Outcome: outcomeKept, queue: q, letter: letter})
		}
		if err != nil {
			return err
		}
	}
	chosen, err := c.choose(all)
	if err != nil {
		return err
	}
	if err := describe(ctx, stack, chosen); err != nil {
		return err
	}
	slices.SortStableFunc(chosen, func(a, b *deadLetter) int {
		return cmp.Or(strings.Compare(b.Queue, a.Queue), a.event.Detail.ObservedAt.Compare(b.event.Detail.ObservedAt))
	})
	if err := c.move(ctx, a, chosen); err != nil {
		return err
	}
	if count(chosen, "", outcomeInvalid) > 0 {
		return errReported
	}
	return nil
}

// queues are the dead-letter queues to look at.
func (c redriveCommand) queues(ctx context.Context, stack deployment.Stack) ([]deployment.DeadLetterQueue, error) {
	all, err := stack.DeadLetterQueues(ctx)
	if err != nil {
		return nil, err
	}
	if c.Channel != "" {
		all = slices.DeleteFunc(all, func(q deployment.DeadLetterQueue) bool { return q.Channel != c.Channel })
		if len(all) == 0 {
			return nil, fmt.Errorf("stack %s has no %s queue: its parameters do not set that channel", stack.Name, queueName(c.Channel))
		}
	}
	return all, nil
}

// choose returns the messages that --message names, or all.
func (c redriveCommand) choose(all []*deadLetter) (chosen []*deadLetter, err error) {
	for _, id := range c.Message {
		if !slices.ContainsFunc(all, func(d *deadLetter) bool { return d.MessageID == id }) {
			return nil, fmt.Errorf("no message %.100q is in the dead-letter queues, or someone else is looking at it: idmapping redrive --dry-run lists them", id)
		}
	}
	for _, d := range all {
		if len(c.Message) == 0 || slices.Contains(c.Message, d.MessageID) {
			chosen = append(chosen, d)
		}
	}
	return chosen, nil
}

// describe says of each message what it is about and who would be notified.
func describe(ctx context.Context, stack deployment.Stack, all []*deadLetter) error {
	channels, err := stack.Channels()
	if err != nil {
		return err
	}
	received := make(map[string][]notify.Ledger) // by job
	for _, d := range all {
		e, err := event.Decode([]byte(d.letter.Body))
		if err != nil {
			d.Why, d.Outcome = err.Error(), outcomeInvalid
			continue
		}
		d.event, d.Workflow, d.Job, d.Status = e, e.Detail.WorkflowName, e.Detail.JobID, statusOf(e)
		job := notify.KeyOf(e, "").Job
		if _, known := received[job]; !known {
			if received[job], err = stack.Deliveries().Ledgers(ctx, job); err != nil {
				return err
			}
		}
		d.nobody = "the stack has no such channel any more"
		for _, channel := range channels {
			if channel.Name == d.Queue {
				d.Destinations, d.nobody = missing(channel, e, received[job])
			}
		}
	}
	return nil
}

// statusOf is what an event says, in a word.
func statusOf(e event.Event) string {
	word := map[string]string{event.Vanished: string(jobs.Vanished), event.Overdue: string(jobs.Overdue), event.RunMissing: string(jobs.RunMissing),
		event.RunResumed: string(jobs.RunResumed), event.MuteEnded: "MUTE ENDED", event.Summary: "SUMMARY", event.Canary: "CANARY"}[e.DetailType]
	return cmp.Or(word, string(e.Detail.Status))
}

// missing returns the destinations that the notifier would notify: those that have no
// receipt. Where there are none, nobody says why.
func missing(channel notify.Channel, e event.Event, ledgers []notify.Ledger) (destinations []string, nobody string) {
	routing := channel.Routing(e)
	to := routing.Destinations
	if channel.SharedSender && e.Silent() {
		to = to[:min(1, len(to))]
	}
	destinations, nobody = []string{}, why(channel, routing, e)
	for _, d := range to {
		nobody = "everyone has received it"
		if _, received := notify.ReceiptOf(ledgers, d.ID(), e.Detail.TransitionID); !received {
			destinations = append(destinations, d.ID())
		}
	}
	if routing.Verdict == notify.Summarized && len(destinations) > 0 {
		return []string{}, "a summary announces it"
	}
	return destinations, nobody
}

// move shows the messages, asks, moves the valid ones and prints the result.
func (c redriveCommand) move(ctx context.Context, a *app, all []*deadLetter) error {
	if !a.json {
		list(a.stdout, all)
	}
	valid := count(all, "", outcomeKept)
	if c.DryRun || valid == 0 {
		return a.print(orEmpty(all), func(io.Writer) {})
	}
	if a.json && !c.Yes {
		list(a.stderr, all)
	}
	confirmed, err := a.confirm("Move "+perQueue(all, outcomeKept, " message", " messages")+"?", c.Yes)
	if err != nil {
		return err
	}
	var failed error
	for _, d := range all {
		if !confirmed || d.Outcome != outcomeKept {
			continue
		}
		failed = d.queue.Move(ctx, d.letter)
		if _, copied := errors.AsType[*deployment.NotDeletedError](failed); copied {
			d.Outcome = outcomeCopied
		}
		if failed != nil {
			break
		}
		d.Outcome = outcomeMoved
	}
	return errors.Join(failed, a.print(orEmpty(all), func(w io.Writer) { summarize(w, all, confirmed) }))
}

func orEmpty(all []*deadLetter) []*deadLetter { return append([]*deadLetter{}, all...) }

// count counts the messages of a queue, or of all, with an outcome.
func count(all []*deadLetter, queue, outcome string) (n int) {
	for _, d := range all {
		if (queue == "" || d.Queue == queue) && d.Outcome == outcome {
			n++
		}
	}
	return n
}

// perQueue is "2 messages to the Slack queue and 1 message to the email queue".
func perQueue(all []*deadLetter, outcome, one, many string) string {
	var parts []string
	for _, queue := range []string{"slack", "email"} {
		switch n := count(all, queue, outcome); n {
		case 0:
		case 1:
			parts = append(parts, "1"+one+" to the "+queueName(queue)+" queue")
		default:
			parts = append(parts, fmt.Sprintf("%d%s to the %s queue", n, many, queueName(queue)))
		}
	}
	return strings.Join(parts, " and ")
}

func queueName(channel string) string {
	if channel == "slack" {
		return "Slack"
	}
	return channel
}

// list shows the messages.
func list(w io.Writer, all []*deadLetter) {
	if len(all) == 0 {
		fmt.Fprintln(w, "Nothing is in the dead-letter queues.")
	}
	for _, d := range all {
		fmt.Fprintf(w, "%s, message %s\n", queueName(d.Queue), message.OneLine(d.MessageID))
		if d.Outcome == outcomeInvalid {
			fmt.Fprintf(w, "  stays: %s\n", message.OneLine(d.Why))
			continue
		}
		about := d.Status
		if d.Workflow != "" {
			about += " of " + d.Workflow
		}
		if d.Job != "" {
			about += ", job " + d.Job
		}
		fmt.Fprintf(w, "  %s\n  why it is there: %s\n", message.OneLine(about), message.OneLine(d.Why))
		if len(d.Destinations) == 0 {
			fmt.Fprintf(w, "  would notify nobody: %s\n", message.OneLine(d.nobody))
		} else {
			fmt.Fprintf(w, "  would notify: %s\n", message.OneLine(strings.Join(d.Destinations, " ")))
		}
	}
}

// summarize says what became of the messages.
func summarize(w io.Writer, all []*deadLetter, confirmed bool) {
	if !confirmed {
		fmt.Fprintln(w, "Nothing was moved.")
		return
	}
	if moved := perQueue(all, outcomeMoved, " message", " messages"); moved != "" {
		fmt.Fprintf(w, "Moved %s.\n", moved)
	}
	if n := count(all, "", outcomeKept); n > 0 {
		fmt.Fprintf(w, "Not moved: %d. Run it again once the problem is solved.\n", n)
	}
	if n := count(all, "", outcomeCopied); n > 0 {
		fmt.Fprintf(w, "Moved, but also still in the dead-letter queue: %d. Moving it again notifies nobody twice.\n", n)
	}
}

// release lets others see at once the messages that stay.
func release(ctx context.Context, all []*deadLetter) error {
	letters, queues := make(map[string][]deployment.DeadLetter), make(map[string]deployment.DeadLetterQueue)
	for _, d := range all {
		if d.Outcome != outcomeMoved {
			letters[d.Queue], queues[d.Queue] = append(letters[d.Queue], d.letter), d.queue
		}
	}
	var problems error
	for name, q := range queues {
		if err := q.Release(ctx, letters[name]); err != nil {
			problems = errors.Join(problems, fmt.Errorf("the messages stay hidden for up to ten minutes: %w", err))
		}
	}
	return problems
}
