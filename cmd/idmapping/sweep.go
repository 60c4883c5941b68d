package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/idmapping/notifier/internal/poller"
)

type sweepCommand struct {
	Workflow string `arg:"" optional:"" help:"Name or ARN of the workflow; without it, every watched workflow."`
}

// Help is the end of the command's help.
func (sweepCommand) Help() string {
	return `Example:
  idmapping sweep crm-to-loyalty

The poller reads jobs, and of one workflow also the tags, and publishes what has changed. It does so every minute anyway; this saves the wait.`
}

// Run invokes the poller as the schedule does, or for one workflow.
func (c sweepCommand) Run(ctx context.Context, a *app) error {
	stack, err := a.stack(ctx)
	if err != nil {
		return err
	}
	a.progress("sweeping; this can take up to a minute")
	report, err := stack.Sweep(ctx, c.Workflow)
	if err != nil {
		return err
	}
	return errors.Join(a.print(report, func(w io.Writer) { printReport(w, report) }), problems(report))
}

// printReport writes what an invocation of the poller did.
func printReport(w io.Writer, r poller.Report) {
	fmt.Fprintf(w, "%d of %d workflows checked, %d transitions recorded, %d events published\n", r.Swept, r.Workflows, r.Transitions, r.Published)
	if r.Unpublished > 0 {
		fmt.Fprintf(w, "%d events are not published yet; the next tick tries again\n", r.Unpublished)
	}
	if r.Throttled {
		fmt.Fprintln(w, "Entity Resolution throttled this sweep; the next tick continues it")
	}
	if r.Late {
		fmt.Fprintln(w, "the sweep ran out of time; the next tick continues it")
	}
	for _, p := range r.Problems {
		fmt.Fprintln(w, "problem:", p)
	}
}

// problems is errReported where a sweep had problems.
func problems(r poller.Report) error {
	if len(r.Problems) > 0 {
		return errReported
	}
	return nil
}
