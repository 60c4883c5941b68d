package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fakecloud"
	"github.com/idmapping/notifier/internal/jobs"
)

// summary prints the counts and returns what was not told exactly once.
func summary(ctx context.Context, c *fakecloud.Cloud, events []event.Event) error {
	var problems []error
	transitions, ends := 0, 0
	earlier := make(map[jobs.Key]int)
	for _, sc := range story() {
		for _, j := range sc.jobs {
			transitions++
			if j.Status.Terminal() {
				ends++
				problems = append(problems, once(c, j, earlier[j.Key]))
			}
			earlier[j.Key]++
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
  jobs               %3d   ended %d
  transitions        %3d
  events on the bus  %3d
  Slack cards        %3d   edits %d
  Slack replies      %3d   of these also sent to the channel %d
  emails             %3d   to %d recipients
  dead letters       %3d
`, len(earlier), ends, transitions, len(events), posted, edits, replies, broadcast, len(c.Proxy.Emails()), len(recipients), dead)
	err := errors.Join(problems...)
	if err == nil {
		fmt.Println("\nEvery end was told exactly once on each channel.")
	}
	return err
}

// once says what is wrong with the telling of a job's end. A job that was seen
// before has a card, which is edited, and a reply in its thread.
func once(c *fakecloud.Cloud, j jobs.Job, seenBefore int) error {
	t := c.Tally(j.Key, j.Status)
	var problems []error
	if t.Cards != 1 {
		problems = append(problems, fmt.Errorf("the end %s of %s was shown by %d cards", j.Status, j.Key, t.Cards))
	}
	if want := min(seenBefore, 1); t.Replies != want {
		problems = append(problems, fmt.Errorf("the end %s of %s was told by %d replies, not %d", j.Status, j.Key, t.Replies, want))
	}
	for _, to := range recipients {
		if t.Emails[to] != 1 {
			problems = append(problems, fmt.Errorf("the end %s of %s was told to %s by %d emails", j.Status, j.Key, to, t.Emails[to]))
		}
	}
	return errors.Join(problems...)
}
