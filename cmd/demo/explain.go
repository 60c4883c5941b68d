package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fakecloud"
	"github.com/idmapping/notifier/internal/fakecloud/sam"
	"github.com/idmapping/notifier/internal/jobs"
)

// explain lets the command line tool say what became of the job that failed.
func explain(ctx context.Context, c *fakecloud.Cloud, events []event.Event) error {
	root, err := sam.Root()
	if err != nil {
		return err
	}
	for _, e := range events {
		if e.DetailType != event.StateChange || e.Detail.Status != jobs.Failed {
			continue
		}
		arguments := []string{"run", "./cmd/idmapping", "explain", "--stack", fakecloud.Stack, e.Detail.JobID}
		fmt.Println("\nWhat became of the first failure, by the command line tool. Entity Resolution's clock, which says when a status began, runs ahead here.")
		fmt.Printf("\n$ idmapping %s\n", strings.Join(arguments[2:], " "))
		cmd := exec.CommandContext(ctx, "go", arguments...)
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = root, append(os.Environ(), c.ClientEnv()...), os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("explaining job %s: %w", e.Detail.JobID, err)
		}
		return nil
	}
	return nil
}
