package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/idmapping/notifier/internal/deployment"
	"github.com/idmapping/notifier/internal/tags"
)

type muteCommand struct {
	Workflow string        `arg:"" help:"Name or ARN of the workflow."`
	For      time.Duration `required:"" placeholder:"4h" help:"For how long, at most 720h (30 days)."`
	Reason   string        `placeholder:"TEXT" help:"Why; shown in the summary when the mute ends."`
}

// Help is the end of the command's help.
func (muteCommand) Help() string {
	return `Example:
  idmapping mute crm-to-loyalty --for 4h --reason "moving the CRM export"

It sets the workflow's tags idmapping:mute-until and idmapping:mute-reason. Nothing about the workflow is sent until then; events still reach the event bus. When the mute ends, one message says what was not sent and what is still failing.`
}

// Validate refuses what the tags would not mean.
func (c muteCommand) Validate() error {
	if c.For < time.Minute || c.For > tags.MaxMute {
		return fmt.Errorf("--for is %s: give a minute to 720h, such as 4h", c.For)
	}
	if i := strings.IndexFunc(c.Reason, notInTags); i >= 0 || len([]rune(c.Reason)) > 256 {
		return fmt.Errorf("--reason %.100q cannot be a tag: it may have at most 256 letters, digits, spaces and _ . : / = + - @", c.Reason)
	}
	return nil
}

// notInTags reports whether a character cannot be in a tag's value (AWS Tagging
// User Guide, tag naming limits).
func notInTags(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != ' ' && !strings.ContainsRune("_.:/=+-@", r)
}

// muted is the result of mute and unmute.
type muted struct {
	Workflow  string    `json:"workflow"`
	MuteUntil time.Time `json:"muteUntil,omitzero"`
	Published int       `json:"published"` // events, by the sweep that follows
}

// Run tags the workflow and lets the poller read the tags.
func (c muteCommand) Run(ctx context.Context, a *app) error {
	stack, name, workflowARN, err := a.workflow(ctx, c.Workflow)
	if err != nil {
		return err
	}
	until := time.Now().UTC().Add(c.For).Truncate(time.Second)
	if err := stack.Mute(ctx, workflowARN, until, c.Reason); err != nil {
		return err
	}
	result := muted{Workflow: name, MuteUntil: until}
	if result.Published, err = a.applyTags(ctx, stack, name); err != nil {
		return err
	}
	return a.print(result, func(w io.Writer) {
		fmt.Fprintf(w, "%s is muted until %s. Events still reach the event bus; Slack and email get one summary when the mute ends.\n"+
			"To end it now: idmapping unmute %s\n", name, until.Format(time.RFC3339), name)
	})
}

// workflow looks up the stack and one of the account's workflows.
func (a *app) workflow(ctx context.Context, nameOrARN string) (stack deployment.Stack, name, workflowARN string, err error) {
	if stack, err = a.stack(ctx); err != nil {
		return stack, "", "", err
	}
	name, workflowARN, err = stack.FindWorkflow(ctx, nameOrARN)
	return stack, name, workflowARN, err
}

// applyTags lets the poller read a workflow's tags now, and returns how many events
// that has published.
func (a *app) applyTags(ctx context.Context, stack deployment.Stack, workflow string) (int, error) {
	a.progress("sweeping %s, so that the tags apply now; this can take up to a minute", workflow)
	report, err := stack.Sweep(ctx, workflow)
	if err != nil {
		return 0, fmt.Errorf("the tags are set, but the poller could not read them now; the next event will: %w", err)
	}
	if report.Workflows == 0 {
		a.progress("note: the stack does not watch %s", workflow)
	}
	return report.Published, nil
}
