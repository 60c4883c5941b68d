package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fakecloud"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
)

// summary prints the counts and returns an error for each terminal status that was
// not delivered exactly once.
func summary(ctx context.Context, c *fakecloud.Cloud, events []event.Event) error {
	var problems []error
	transitions, terminal := 0, 0
	signals := make(map[string]int)
	earlier := make(map[jobs.Key]int)
	for _, sc := range story() {
		for _, j := range sc.jobs {
			transitions++
			if j.Status.Terminal() {
				terminal++
				problems = append(problems, deliveredOnce(c, j, earlier[j.Key]))
			}
			earlier[j.Key]++
		}
		for _, detailType := range sc.signals {
			signals[detailType]++
		}
	}
	for _, e := range events {
		if e.DetailType == event.StateChange {
			continue
		}
		if signals[e.DetailType]--; signals[e.DetailType] < 0 {
			problems = append(problems, fmt.Errorf("an unexpected event: %s of %s", e.DetailType, e.Detail.WorkflowName))
		}
		problems = append(problems, signalSentOnce(c, e))
		transitions++
	}
	for detailType, n := range signals {
		if n > 0 {
			problems = append(problems, fmt.Errorf("no event %s", detailType))
		}
	}
	posted, edits, replies, broadcast := 0, 0, 0, 0
	for _, m := range c.Slack.Log() {
		switch {
		case m.ThreadTS != "":
			replies++
			if m.Broadcast {
				broadcast++
			}
		case m.Edits > 0:
			edits++
		default:
			posted++
		}
	}
	if len(events) != transitions {
		problems = append(problems, fmt.Errorf("%d events for %d transitions", len(events), transitions))
	}
	dead := 0
	for _, queue := range []string{"PollerDeadLetterQueue", "SlackDeadLetterQueue", "EmailDeadLetterQueue"} {
		n, err := c.QueueLength(ctx, queue)
		problems = append(problems, err)
		dead += n
	}
	if dead > 0 {
		problems = append(problems, fmt.Errorf("%d dead letters", dead))
	}
	fmt.Printf(`
Summary
  jobs               %3d   finished %d
  transitions        %3d
  events on the bus  %3d
  Slack cards        %3d   edits %d
  Slack replies      %3d   also sent to the channel %d
  emails             %3d   to %d recipients
  dead letters       %3d
`, len(earlier), terminal, transitions, len(events), posted, edits, replies, broadcast, len(c.Proxy.Emails()), len(recipients), dead)
	err := errors.Join(problems...)
	if err == nil {
		fmt.Println("\nEvery terminal status, overdue job and missing run was delivered exactly once on each channel.")
	}
	return err
}

// signalSentOnce checks the deliveries of an event that is not about a job's status.
func signalSentOnce(c *fakecloud.Cloud, e event.Event) error {
	title := message.Word(e) + ": " + e.Detail.WorkflowName
	posts := make(map[string]bool) // a card or a reply in a thread
	for _, m := range c.Slack.Log() {
		if m.Edits == 0 && strings.HasPrefix(m.Text, title) {
			posts[m.TS] = true
		}
	}
	emails := 0
	for _, email := range c.Proxy.Emails() {
		if strings.HasPrefix(email.Subject, "["+message.Word(e)+"] "+e.Detail.WorkflowName) {
			emails++
		}
	}
	if len(posts) != 1 || emails != len(recipients) {
		return fmt.Errorf("%q has %d Slack messages and %d emails, want 1 and %d", title, len(posts), emails, len(recipients))
	}
	return nil
}

// deliveredOnce checks the deliveries of a job's terminal status. A job that was
// observed before has a card, which is edited, and gets a reply in its thread.
func deliveredOnce(c *fakecloud.Cloud, j jobs.Job, observedBefore int) error {
	t := c.Tally(j.Key, j.Status)
	var problems []error
	if t.Cards != 1 {
		problems = append(problems, fmt.Errorf("%s of %s is on %d cards, want 1", j.Status, j.Key, t.Cards))
	}
	if want := min(observedBefore, 1); t.Replies != want {
		problems = append(problems, fmt.Errorf("%s of %s has %d replies, want %d", j.Status, j.Key, t.Replies, want))
	}
	for _, to := range recipients {
		if t.Emails[to] != 1 {
			problems = append(problems, fmt.Errorf("%s of %s was sent to %s in %d emails, want 1", j.Status, j.Key, to, t.Emails[to]))
		}
	}
	return errors.Join(problems...)
}
