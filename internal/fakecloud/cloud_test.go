package fakecloud

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	fakeslack "github.com/idmapping/notifier/internal/fakecloud/slack"
	"github.com/idmapping/notifier/internal/jobs"
)

// The functions run under AWS's Runtime Interface Emulator.
func TestTemplateAndBinariesDeliverAJobOnBothChannels(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var emulated emulated
	c, err := Deploy(ctx, Options{
		Emulated: true,
		Parameters: map[string]string{"SlackChannel": SlackChannel, "SlackTokenParameterName": TokenParameter,
			"EmailFrom": EmailFrom, "EmailTo": "a@example.com,b@example.com"},
		Problem: func(err error) { t.Error(err) },
		Log:     func(name, line string) { emulated.note(name, line); t.Logf("%s: %s", name, line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.EntityResolution.AddWorkflow("crm")
	tick := func() {
		t.Helper()
		report, err := c.Tick(ctx)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(report)
	}
	tick()
	time.Sleep(1100 * time.Millisecond)
	job := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "4f2a"}, Type: "BATCH"}
	// Each status is awaited before the next: a message that the fake Slack
	// refuses as too early would be superseded while it waits.
	await := func(what string, done func() bool) {
		t.Helper()
		for !done() {
			select {
			case <-ctx.Done():
				t.Fatalf("not seen: %s", what)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	for i, status := range []jobs.Status{jobs.Queued, jobs.Running, jobs.Failed} {
		job.Status = status
		if status == jobs.Running {
			job.StartTime = time.Now()
		}
		if status == jobs.Failed {
			job.EndTime, job.Error = time.Now(), "Access Denied"
		}
		c.EntityResolution.Put(job)
		tick()
		await(string(status)+" in Slack", func() bool { return len(c.Slack.Messages()) > i })
	}
	tick()
	await("two emails", func() bool { return len(c.Proxy.Emails()) > 1 })
	for _, queue := range []string{"SlackQueue", "EmailQueue"} {
		await(queue+" is empty", func() bool {
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
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
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
		if _, err := c.Tick(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for until := time.Now().Add(20 * time.Second); len(c.Slack.Messages()) == 0 && time.Now().Before(until); {
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(time.Second)
	if got := c.Slack.Messages(); len(got) != 1 || got[0].Channel != "webhook" || !strings.HasPrefix(got[0].Text, "SUCCEEDED: crm") {
		t.Errorf("messages %+v, want one with the terminal status", got)
	}
	if secret := c.Slack.Token; strings.Contains(c.Notifier.Environment(), secret) || strings.Contains(c.Notifier.Environment(), fakeslack.WebhookPath) {
		t.Error("a secret is in the function's environment")
	}
}
