package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

type canaryCommand struct {
	Timeout time.Duration `default:"2m" help:"How long to wait for the destinations."`
}

// Help is the end of the command's help.
func (canaryCommand) Help() string {
	return `Example:
  idmapping canary --stack idmapping-prod

The message takes the whole way: poller, event bus, rules, queues, notifier, Slack and email.`
}

// receipt says that a destination received the canary.
type receipt struct {
	Destination string  `json:"destination"`
	Seconds     float64 `json:"seconds"` // after the invocation
}

// Run sends a canary and waits for it.
func (c canaryCommand) Run(ctx context.Context, a *app) error {
	stack, err := a.stack(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	id, err := stack.SendCanary(ctx)
	if err != nil {
		return err
	}
	a.progress("canary %.12s… published by stack %s in %s", id, stack.Name, stack.Region())
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	result := struct {
		TransitionID string    `json:"transitionId"`
		Received     []receipt `json:"received"`
	}{TransitionID: id}
	err = stack.AwaitCanary(ctx, id, func(destination string) {
		r := receipt{destination, time.Since(begin).Seconds()}
		result.Received = append(result.Received, r)
		if !a.json {
			fmt.Fprintf(a.stdout, "%s received it after %.1f s\n", r.Destination, r.Seconds)
		}
	})
	return errors.Join(a.print(result, func(io.Writer) {}), err)
}
