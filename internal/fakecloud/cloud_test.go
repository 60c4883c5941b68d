package fakecloud

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/fakecloud/sam/samtest"
	fakeslack "github.com/idmapping/notifier/internal/fakecloud/slack"
	"github.com/idmapping/notifier/internal/jobs"
)

// patience is how long a test waits for what must become true: it only ends a
// test that would not end, on however busy a machine.
const patience = 10 * time.Minute

// await waits until done returns true; what describes that.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for until := time.Now().Add(patience); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("after %s it does not hold that %s", patience, what)
		}
	}
}

// cleanTick ticks until a tick has no problem: on a busy machine calls time out,
// and the next tick makes up for them.
func cleanTick(ctx context.Context, t *testing.T, c *Cloud) {
	t.Helper()
	await(t, "a tick has no problem", func() bool {
		report, err := c.Tick(ctx)
		t.Log(report, err)
		return err == nil && strings.Contains(report, `"failed":0`) && strings.Contains(report, `"unpublished":0`)
	})
}

// needsCloud skips the test where the cloud cannot run or takes too long.
func needsCloud(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("This test runs the real binaries: omit -short.")
	}
	samtest.RequirePython(t)
}

// The functions run under AWS's Runtime Interface Emulator.
func TestTemplateAndBinariesDeliverAJobOnBothChannels(t *testing.T) {
	needsCloud(t)
	ctx := t.Context()
	var emulated emulated
	c, err := Deploy(ctx, Options{
		Emulated: true,
		Parameters: map[string]string{"SlackChannel": SlackChannel, "SlackTokenParameterName": TokenParameter,
			"EmailFrom": EmailFrom, "EmailTo": "a@example.com,b@example.com"},
		AnySlackPace: true,
		Problem:      func(err error) { t.Error(err) },
		Log:          func(name, line string) { emulated.note(name, line); t.Logf("%s: %s", name, line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.EntityResolution.AddWorkflow("crm")
	cleanTick(ctx, t, c)
	time.Sleep(1100 * time.Millisecond) // Date headers have whole seconds
	job := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "4f2a"}, Type: "BATCH"}
	for i, status := range []jobs.Status{jobs.Queued, jobs.Running, jobs.Failed} {
		job.Status = status
		if status == jobs.Running {
			job.StartTime = time.Now()
		}
		if status == jobs.Failed {
			job.EndTime, job.Error = time.Now(), "Access Denied"
		}
		c.EntityResolution.Put(job)
		cleanTick(ctx, t, c)
		// A later status would supersede one that waits.
		await(t, "Slack receives "+string(status), func() bool { return len(c.Slack.Messages()) > i })
	}
	await(t, "both emails arrive", func() bool { return len(c.Proxy.Emails()) >= 2 })
	for _, queue := range []string{"SlackQueue", "EmailQueue"} {
		await(t, queue+" is empty", func() bool {
			n, err := c.QueueLength(ctx, queue)
			return err == nil && n == 0
		})
	}
	for _, m := range c.Slack.Log() {
		t.Logf("%+v", m)
	}
	if n := len(c.Slack.Messages()); n != 3 {
		t.Errorf("%d messages in Slack, want a card and two replies", n)
	}
	if n := len(c.Proxy.Emails()); n != 2 {
		t.Errorf("%d emails, want one for each recipient", n)
	}
	all, err := c.Events(ctx)
	if err != nil || len(all) != 3 {
		t.Errorf("%d events (%v), want 3", len(all), err)
	}
	t.Log(c.Proxy.Calls())
	if report, err := c.Poll(ctx, `{"canary":"unknown"}`); err == nil || !strings.Contains(err.Error(), "neither check") {
		t.Errorf("a request that the poller refuses gives %s (%v)", report, err)
	}
	if !emulated.ran("poller") || !emulated.ran("notifier") {
		t.Error("a function did not run under the emulator")
	}
}

// emulated notes which functions write the line that the emulator writes before
// each event.
type emulated struct{ functions sync.Map }

func (e *emulated) note(function, line string) {
	if strings.HasPrefix(line, "START RequestId: ") {
		e.functions.Store(function, true)
	}
}

func (e *emulated) ran(function string) bool {
	_, ok := e.functions.Load(function)
	return ok
}

func TestWebhookGetsOnlyTheTerminalStatusOnce(t *testing.T) {
	needsCloud(t)
	ctx := t.Context()
	c, err := Deploy(ctx, Options{
		Emulated:   true,
		Parameters: map[string]string{"SlackWebhookParameterName": URLParameter},
		Problem:    func(err error) { t.Error(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.EntityResolution.AddWorkflow("crm")
	job := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "4f2a"}, Type: "BATCH", Status: jobs.Running, StartTime: time.Now()}
	for _, status := range []jobs.Status{jobs.Running, jobs.Succeeded, jobs.Succeeded} {
		if job.Status = status; status == jobs.Succeeded {
			job.EndTime = time.Now()
		}
		c.EntityResolution.Put(job)
		cleanTick(ctx, t, c)
	}
	await(t, "Slack receives the terminal status", func() bool { return len(c.Slack.Messages()) > 0 })
	time.Sleep(time.Second)
	if got := c.Slack.Messages(); len(got) != 1 || got[0].Channel != "webhook" || !strings.HasPrefix(got[0].Text, "SUCCEEDED: crm") {
		t.Errorf("messages %+v, want one with the terminal status", got)
	}
	if secret := c.Slack.Token; strings.Contains(c.Notifier.Environment(), secret) || strings.Contains(c.Notifier.Environment(), fakeslack.WebhookPath) {
		t.Error("a secret is in the function's environment")
	}
}

// One tick of the real function observes the start and the end of a job. On a busy
// machine a sweep may take so long that nothing is followed: then another job is
// tried.
func TestOneTickFollowsAJobToItsEnd(t *testing.T) {
	needsCloud(t)
	ctx := t.Context()
	c, err := Deploy(ctx, Options{
		Parameters: map[string]string{"SlackChannel": SlackChannel, "SlackTokenParameterName": TokenParameter, "SlackStatuses": "RUNNING,FAILED", "FastPoll": "true"},
		Problem:    func(err error) { t.Error(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.EntityResolution.AddWorkflow("crm")
	cleanTick(ctx, t, c)
	n := 0
	await(t, "one tick publishes the start and the end of a job", func() bool {
		n++
		job := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: strings.Repeat("a", n)}, Type: "BATCH", Status: jobs.Running, StartTime: time.Now()}
		c.EntityResolution.Put(job)
		reads := func() int {
			read := 0
			for _, call := range c.EntityResolution.Calls() {
				if call.Operation == "GetIdMappingJob" {
					read++
				}
			}
			return read
		}
		before := reads()
		go func() {
			for reads() == before {
				time.Sleep(50 * time.Millisecond)
			}
			job.Status, job.EndTime = jobs.Failed, time.Now()
			c.EntityResolution.Put(job)
		}()
		report, err := c.Tick(ctx)
		t.Log(report, err)
		return err == nil && strings.Contains(report, `"transitions":2`) && strings.Contains(report, `"published":2`)
	})
	key := jobs.Key{Workflow: "crm", Job: strings.Repeat("a", n)}
	await(t, "the failure is on the job's card", func() bool { return c.Tally(key, jobs.Failed).Cards == 1 })
}
