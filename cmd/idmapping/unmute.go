package main

import (
	"context"
	"fmt"
	"io"
)

type unmuteCommand struct {
	Workflow string `arg:"" help:"Name or ARN of the workflow."`
}

// Help is the end of the command's help.
func (unmuteCommand) Help() string {
	return `Example:
  idmapping unmute crm-to-loyalty

It removes the tags idmapping:mute-until and idmapping:mute-reason. If anything was muted, one message says what was not sent and what is still failing.`
}

// Run removes the tags and lets the poller read them.
func (c unmuteCommand) Run(ctx context.Context, a *app) error {
	stack, name, workflowARN, err := a.workflow(ctx, c.Workflow)
	if err != nil {
		return err
	}
	if err := stack.Unmute(ctx, workflowARN); err != nil {
		return err
	}
	result := muted{Workflow: name}
	if result.Published, err = a.applyTags(ctx, stack, name); err != nil {
		return err
	}
	return a.print(result, func(w io.Writer) {
		fmt.Fprintf(w, "%s is not muted any more.\n", name)
		if result.Published > 0 {
			fmt.Fprintln(w, "A summary of what was not sent is on its way.")
		}
	})
}
