package main

import (
	"context"
	"errors"
	"io"

	"github.com/idmapping/notifier/internal/jobs"
)

type trackCommand struct {
	Workflow string `arg:"" help:"Name or ARN of the workflow."`
	Job      string `arg:"" help:"ID of the job."`
}

// Help is the end of the command's help.
func (trackCommand) Help() string {
	return `Example:
  idmapping track crm-to-loyalty 4f2a0c1e

The job is reported even if it has finished or its workflow is not watched.`
}

// Run invokes the poller to track the job.
func (c trackCommand) Run(ctx context.Context, a *app) error {
	stack, err := a.stack(ctx)
	if err != nil {
		return err
	}
	a.progress("reading the job; this can take up to a minute")
	report, err := stack.Track(ctx, jobs.Key{Workflow: c.Workflow, Job: c.Job})
	if err != nil {
		return err
	}
	return errors.Join(a.print(report, func(w io.Writer) { printReport(w, report) }), problems(report))
}
