package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/idmapping/notifier/internal/deployment"
	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/tags"
)

type routeCommand struct {
	Workflow string `arg:"" help:"Name or ARN of the workflow."`
	Status   string `arg:"" optional:"" help:"QUEUED, RUNNING, SUCCEEDED, FAILED, FINDING (a success to check), OVERDUE or MISSING; without it, all of them."`
}

// Help is the end of the command's help.
func (routeCommand) Help() string {
	return `Example:
  idmapping route crm-to-loyalty FAILED

It reads the stack's parameters and the workflow's tags as they are now.`
}

// occasion is what can happen to a workflow.
type occasion struct {
	name  string
	event event.Event
}

// occasions are in the order in which they happen.
func occasions() []occasion {
	of := func(detailType string, status jobs.Status, d event.Detail) event.Event {
		d.Status = status
		return event.Event{DetailType: detailType, Detail: d}
	}
	return []occasion{
		{"QUEUED", of(event.StateChange, jobs.Queued, event.Detail{})},
		{"RUNNING", of(event.StateChange, jobs.Running, event.Detail{})},
		{"OVERDUE", of(event.Overdue, jobs.Running, event.Detail{})},
		{"SUCCEEDED", of(event.StateChange, jobs.Succeeded, event.Detail{})},
		{"FINDING", of(event.StateChange, jobs.Succeeded, event.Detail{Assessment: event.Assessment{Findings: []event.Finding{{}}}})},
		{"FAILED", of(event.StateChange, jobs.Failed, event.Detail{})},
		{"MISSING", of(event.RunMissing, "", event.Detail{})},
	}
}

// Validate refuses a status that nothing has.
func (c routeCommand) Validate() error {
	var names []string
	for _, o := range occasions() {
		if names = append(names, o.name); c.Status == "" || strings.EqualFold(o.name, c.Status) {
			return nil
		}
	}
	return fmt.Errorf("%.60q is none of %s", c.Status, strings.Join(names, ", "))
}

// choice is what one channel does, and why.
type choice struct {
	On           string   `json:"on"` // the occasion
	Channel      string   `json:"channel"`
	Verdict      string   `json:"verdict"`
	Destinations []string `json:"destinations"`
	Why          string   `json:"why"`
}

// Run prints who would be notified.
func (c routeCommand) Run(ctx context.Context, a *app) error {
	stack, name, workflowARN, err := a.workflow(ctx, c.Workflow)
	if err != nil {
		return err
	}
	own, err := stack.Tags(ctx, workflowARN)
	if err != nil {
		return err
	}
	channels, err := stack.Channels()
	if err != nil {
		return err
	}
	filter, err := stack.Filter()
	if err != nil {
		return err
	}
	var all []choice
	for _, o := range occasions() {
		if c.Status != "" && !strings.EqualFold(o.name, c.Status) {
			continue
		}
		o.event.Detail.Tags, o.event.Detail.ObservedAt = own, time.Now().UTC()
		for _, channel := range channels {
			all = append(all, choose(o.name, channel, o.event))
		}
	}
	settings := tags.Parse(own, time.Now().UTC())
	return a.print(all, func(w io.Writer) {
		if !filter.Has(name) {
			fmt.Fprintf(w, "The stack does not watch %s: change WorkflowInclude or WorkflowExclude.\n", name)
		}
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ON\tCHANNEL\tNOTIFIED\tWHY")
		for _, c := range all {
			who := strings.Join(c.Destinations, " ")
			if who == "" {
				who = "nobody"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.On, c.Channel, message.OneLine(who), message.OneLine(c.Why))
		}
		_ = table.Flush()
		printTags(w, stack, settings, own)
	})
}

// choose says what a channel does with an event, and why.
func choose(on string, channel notify.Channel, e event.Event) choice {
	r := channel.Routing(e)
	c := choice{On: on, Channel: channel.Name, Verdict: string(r.Verdict), Destinations: []string{}, Why: why(channel, r, e)}
	for _, d := range r.Destinations {
		c.Destinations = append(c.Destinations, d.ID())
	}
	return c
}

// why explains a routing in the words of the settings.
func why(channel notify.Channel, r notify.Routing, e event.Event) string {
	statuses := map[string]string{"slack": "SlackStatuses", "email": "EmailStatuses"}[channel.Name]
	if len(r.Tags.Statuses) > 0 {
		statuses = "the tag " + tags.Prefix + tags.Statuses
	}
	switch r.Verdict {
	case notify.Muted:
		text := "muted by its tags until " + r.Tags.MuteUntil.Format(time.RFC3339)
		if r.Tags.MuteReason != "" {
			text += ": " + r.Tags.MuteReason
		}
		return text
	case notify.NotChosen:
		if e.DetailType == event.StateChange {
			return statuses + " does not choose " + string(e.Detail.Status)
		}
		return "Signals is false, and " + statuses + " does not choose it"
	}
	if r.Tagged {
		return "the tag " + tags.Prefix + map[string]string{"slack": tags.SlackChannel, "email": tags.Email}[channel.Name]
	}
	return "the stack's " + map[string]string{"slack": "SlackChannel", "email": "EmailTo"}[channel.Name]
}

// printTags says what else the tags set, and which cannot be used.
func printTags(w io.Writer, stack deployment.Stack, s tags.Settings, own map[string]string) {
	if s.Owner != "" {
		fmt.Fprintf(w, "Owner: %s\n", message.OneLine(s.Owner))
	}
	if len(s.Mentions) > 0 {
		fmt.Fprintf(w, "Mentioned in Slack on failures and findings: %s\n", strings.Join(s.Mentions, " "))
	}
	for _, problem := range stack.TagProblems(own) {
		fmt.Fprintln(w, "ignored:", message.OneLine(problem))
	}
}
