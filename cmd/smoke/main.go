// Smoke checks a deployed stack within a minute: whether the poller reads the
// workflows, whether every channel receives a test message, who receives the
// alarms, and which version runs. It exits 1 unless everything works, and says
// what to do.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/kong"

	"github.com/idmapping/notifier/internal/deployment"
	"github.com/idmapping/notifier/internal/poller"
)

// timeout is for all checks together. Lambda ends a sweep after 50 seconds.
const timeout = 55 * time.Second

func main() {
	var target deployment.Target
	kong.Parse(&target)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if !run(ctx, target, "samconfig.toml", os.Stdout) {
		os.Exit(1)
	}
}

// finding is one line of the output.
type finding struct {
	what string
	text string
	err  error
}

// run prints one line per check and returns whether all of them passed.
func run(ctx context.Context, target deployment.Target, samconfig string, out io.Writer) bool {
	cfg, err := target.Config(ctx, samconfig)
	if err != nil {
		return show(out, finding{"stack", "", err})
	}
	stack, err := deployment.Find(ctx, cfg, target.Stack)
	if err != nil {
		return show(out, finding{"stack", "", err})
	}
	ok := show(out, finding{"stack", stackText(stack, target), stack.Deployed()})

	var running sync.WaitGroup
	var workflows, versions, channels, alarms finding
	running.Go(func() { workflows, versions = functions(ctx, stack) })
	running.Go(func() { channels = canary(ctx, stack) })
	running.Go(func() { alarms = receivers(ctx, stack) })
	running.Wait()
	for _, f := range []finding{versions, workflows, channels, alarms} {
		ok = show(out, f) && ok
	}
	return ok
}

func show(out io.Writer, f finding) bool {
	verdict, text := "ok", f.text
	if f.err != nil {
		verdict, text = "FAILED", f.err.Error()
	}
	fmt.Fprintf(out, "%-6s  %-9s  %s\n", verdict, f.what, text)
	return f.err == nil
}

func stackText(stack deployment.Stack, target deployment.Target) string {
	text := fmt.Sprintf("%s in %s", stack.Name, target.Region)
	if stack.Paused {
		text += ", paused: no schedule runs until a deployment with Paused=false"
	}
	return text
}

// functions checks that both functions run, and what the poller can read.
func functions(ctx context.Context, stack deployment.Stack) (workflows, versions finding) {
	report, err := stack.Sweep(ctx, "")
	workflows = finding{"workflows", watches(report), unreadable(report, err)}
	version, notifierErr := stack.NotifierVersion(ctx)
	versions = finding{"version", report.Version, notifierErr}
	switch {
	case err != nil && notifierErr == nil:
		versions.text = fmt.Sprintf("notifier %s", version)
	case notifierErr == nil && version != report.Version:
		versions.err = fmt.Errorf("the poller is version %s, the notifier is version %s: deploy both again", report.Version, version)
	}
	return workflows, versions
}

func watches(r poller.Report) string {
	if r.Workflows == 0 {
		return "the poller watches none: no workflow in this account and region matches WorkflowInclude and WorkflowExclude yet"
	}
	text := fmt.Sprintf("the poller watches %d", r.Workflows)
	if r.Throttled {
		text += "; Entity Resolution throttled this check: find the other callers, or lower RequestsPerSecond"
	}
	if r.Late {
		text += "; this check ran out of time, and the next ticks continue it"
	}
	return text
}

func unreadable(r poller.Report, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("the poller cannot read the workflows: %w", err)
	case r.Denied > 0 || r.Failed > 0 || len(r.Problems) > 0:
		return fmt.Errorf("the poller watches %d workflows and has problems: %s. If access is denied, look for a service control policy or a permissions boundary "+
			"that denies entityresolution actions to its role", r.Workflows, strings.Join(r.Problems, "; "))
	}
	return nil
}

func canary(ctx context.Context, stack deployment.Stack) finding {
	f := finding{what: "channels"}
	begin := time.Now()
	id, err := stack.SendCanary(ctx)
	if err != nil {
		f.err = fmt.Errorf("the poller cannot send a test message: %w", err)
		return f
	}
	var received []string
	f.err = stack.AwaitCanary(ctx, id, func(destination string) {
		received = append(received, fmt.Sprintf("%s after %.0f s", destination, time.Since(begin).Seconds()))
	})
	f.text = "a test message arrived at " + strings.Join(received, ", ")
	return f
}

func receivers(ctx context.Context, stack deployment.Stack) finding {
	confirmed, pending, err := stack.AlarmReceivers(ctx)
	f := finding{"alarms", "go to " + strings.Join(confirmed, ", "), err}
	switch {
	case err != nil:
	case len(confirmed) > 0 && len(pending) > 0:
		f.text += "; not yet confirmed: " + strings.Join(pending, ", ")
	case len(pending) > 0:
		f.err = fmt.Errorf("go to nobody yet: %s must open the confirmation email from SNS", strings.Join(pending, ", "))
	case len(confirmed) == 0:
		f.err = fmt.Errorf("go to nobody: deploy with AlarmEmail, or run aws sns subscribe --topic-arn %s --protocol email --notification-endpoint you@example.com",
			stack.AlarmTopic)
	}
	return f
}
