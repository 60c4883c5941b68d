// Demo deploys the product's real template and binaries on a fake cloud on this
// machine, runs a few jobs, and prints each transition, event and message as it
// happens. It exits 0 only if every terminal status was delivered exactly once on
// each channel.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fakecloud"
	"github.com/idmapping/notifier/internal/fakecloud/account"
	fakeaws "github.com/idmapping/notifier/internal/fakecloud/aws"
	fakeslack "github.com/idmapping/notifier/internal/fakecloud/slack"
	"github.com/idmapping/notifier/internal/jobs"
)

var recipients = []string{"data-team@example.com", "on-call@example.com"}

func main() {
	keep := flag.Bool("keep", os.Getenv("KEEP") == "1", "keep it running, with an inbox page on loopback (also KEEP=1)")
	verbose := flag.Bool("v", false, "print the functions' logs")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Runs the whole product on this machine for about a minute, without an AWS account or credentials.")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, *keep, *verbose)
	if errors.Is(err, context.Canceled) {
		fmt.Println("\nstopped")
		os.Exit(130)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "\nThe demo failed: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, keep, verbose bool) error {
	p := &printer{begin: time.Now()}
	options := fakecloud.Options{
		Parameters: map[string]string{
			"SlackChannel": fakecloud.SlackChannel, "SlackTokenParameterName": fakecloud.TokenParameter, "SlackMention": "S0DATATEAM",
			"RequestsPerSecond": "25", "EmailFrom": fakecloud.EmailFrom, "EmailTo": strings.Join(recipients, ","),
		},
		Progress: func(text string) { p.line("setting up", "", text) },
		Problem:  func(err error) { p.line("PROBLEM", "", err.Error()) },
	}
	if verbose {
		options.Log = func(name, line string) { p.line("log", name, line) }
	}
	c, err := fakecloud.Deploy(ctx, options)
	if err != nil {
		return err
	}
	defer c.Close()
	c.Slack.OnMessage = func(m fakeslack.Message) { p.slack(m) }
	c.Proxy.OnEmail = func(e fakeaws.Email) { p.line("email", strings.Join(e.To, ", "), e.Subject) }
	if keep {
		url, err := c.Inbox()
		if err != nil {
			return err
		}
		p.line("inbox", "", url)
	}
	events, err := play(ctx, c, p)
	if err != nil {
		return err
	}
	verdict := errors.Join(summary(ctx, c, events), explain(ctx, c, events))
	if keep && ctx.Err() == nil {
		fmt.Println("\nThe demo keeps running until Ctrl-C. Open the inbox page above. To send a test message, run in another terminal:")
		fmt.Printf("  AWS_ENDPOINT_URL=%s AWS_REGION=%s AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test go run ./cmd/idmapping canary --stack %s\n", c.ProxyURL, account.Region, fakecloud.Stack)
		<-ctx.Done()
		return verdict
	}
	return verdict
}

// play runs the scenes. Entity Resolution's clock, which its answers have in their
// Date header, runs a minute per second, and some scenes are hours later.
func play(ctx context.Context, c *fakecloud.Cloud, p *printer) ([]event.Event, error) {
	begin := time.Now()
	var skipped atomic.Int64
	clock := func() time.Time { return begin.Add(60*time.Since(begin) + time.Duration(skipped.Load())) }
	c.EntityResolution.Now = clock
	for _, j := range finishedBefore(begin) {
		c.EntityResolution.Put(j)
	}
	c.EntityResolution.AddWorkflow("customers-to-liveramp")
	c.EntityResolution.AddWorkflow("nightly-loyalty")

	p.line("story", "", fmt.Sprintf("%d runs finished before the installation: no notification, but later runs are compared with them", len(finishedBefore(begin))))
	var all []event.Event
	started := make(map[jobs.Key]time.Time)
	step := func(sc scene) error {
		skipped.Add(int64(sc.later))
		apply(c.EntityResolution, sc, started, clock())
		for _, j := range sc.jobs {
			p.line("job", j.Workflow, string(j.Status))
		}
		if _, err := c.Tick(ctx); err != nil {
			return err
		}
		events, err := c.Events(ctx)
		for _, e := range events {
			p.line("event", e.Detail.WorkflowName, fmt.Sprintf("%s, ID %s…", transition(e), e.Detail.TransitionID[:12]))
		}
		all = append(all, events...)
		return errors.Join(err, sleep(ctx, 3*time.Second))
	}
	for range 3 { // a tick fetches twenty earlier runs
		if err := step(scene{}); err != nil {
			return all, err
		}
	}
	for _, sc := range story() {
		p.line("story", "", sc.caption)
		if err := step(sc); err != nil {
			return all, err
		}
	}
	p.line("story", "", "nothing changes: no further notification")
	return all, errors.Join(step(scene{}), waitForQueues(ctx, c))
}

// waitForQueues waits until the queues are empty.
func waitForQueues(ctx context.Context, c *fakecloud.Cloud) error {
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); {
		slack, err := c.QueueLength(ctx, "SlackQueue")
		email, err2 := c.QueueLength(ctx, "EmailQueue")
		if err := errors.Join(err, err2, sleep(ctx, 200*time.Millisecond)); err != nil || slack+email == 0 {
			return err
		}
	}
	return nil
}

func transition(e event.Event) string {
	if e.DetailType != event.StateChange {
		return e.DetailType
	}
	if e.Detail.PreviousStatus == "" {
		return fmt.Sprintf("%s (first observation)", e.Detail.Status)
	}
	return fmt.Sprintf("%s → %s", e.Detail.PreviousStatus, e.Detail.Status)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// printer prints one line per happening.
type printer struct {
	mu    sync.Mutex
	begin time.Time
}

func (p *printer) line(kind, who, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	elapsed := time.Since(p.begin).Round(time.Second)
	if kind == "story" {
		fmt.Println()
	}
	fmt.Printf("%3.0f s  %-11s  %-22s  %s\n", elapsed.Seconds(), kind, who, strings.ReplaceAll(what, "\n", "\n"+strings.Repeat(" ", 44)))
}

func (p *printer) slack(m fakeslack.Message) {
	kind, where := "Slack card", "#data-jobs"
	switch {
	case m.ThreadTS != "" && m.Broadcast:
		kind, where = "Slack reply", "thread and #data-jobs"
	case m.ThreadTS != "":
		kind, where = "Slack reply", "thread"
	case m.Edits > 0:
		kind, where = "Slack edit", "card"
	}
	p.line(kind, where, m.Text)
}
