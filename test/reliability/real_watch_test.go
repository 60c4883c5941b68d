package reliability

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/idmapping/notifier/internal/fakecloud"
	"github.com/idmapping/notifier/internal/fakecloud/account"
	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
	"github.com/idmapping/notifier/internal/fakecloud/sam"
	fakeslack "github.com/idmapping/notifier/internal/fakecloud/slack"
	"github.com/idmapping/notifier/internal/jobs"
)

// arnOf returns a queue's ARN.
func (r *real) arnOf(queue string) string {
	return "arn:aws:sqs:" + account.Region + ":" + account.ID + ":" + path.Base(r.Resources[queue])
}

// purge empties Slack's queue of the messages that wait at least five minutes for
// a setting to be fixed.
func (r *real) purge() {
	url := r.Resources["SlackQueue"]
	_, err := sqs.NewFromConfig(r.Config()).PurgeQueue(r.ctx, &sqs.PurgeQueueInput{QueueUrl: &url})
	r.must(err)
}

// notices counts the emails about the failing channel, by recipient.
func (r *real) notices() map[string]int {
	n := map[string]int{}
	for _, e := range r.Proxy.Emails() {
		if strings.HasPrefix(e.Subject, "[NOT DELIVERED] Slack ") {
			n[e.To[0]]++
		}
	}
	return n
}

func failingChannel(r *real) {
	r.addWorkflows("broke")
	r.Slack.Inject(httpfault.Fault{Status: http.StatusOK, Body: `{"ok":false,"error":"channel_not_found"}`})
	before := len(r.log.since(0))
	for _, id := range []string{"broke-1", "broke-2", "broke-3"} { // each with its own refusal
		r.finish("broke", id, jobs.Failed, "x")
		r.cleanTick()
	}
	r.await("each job is refused and every recipient is notified", func() bool {
		return r.log.count(before, `"reason":"misconfigured"`) >= 3 && len(r.notices()) == len(recipients)
	})
	time.Sleep(time.Second)
	for _, to := range recipients {
		if n := r.notices()[to]; n != 1 {
			r.t.Errorf("%s got %d notices, want 1", to, n)
		}
	}
	if r.log.count(before, `"DestinationsMisconfigured":1`) == 0 {
		r.t.Error("no metric counts it")
	}
	r.purge()
}

func silentCanary(r *real) {
	before, messages := len(r.log.since(0)), len(r.Slack.Log())
	_, err := r.Events(r.ctx)
	r.must(err)
	_, err = r.Poll(r.ctx, `{"canary":"check"}`)
	r.must(err)
	r.cleanTick() // a canary that was not published at once waits in its outbox
	r.await("a canary arrives on each channel", func() bool { return r.log.count(before, "canary delivered") == 2 })
	if n := len(r.Slack.Log()) - messages; n != 0 {
		r.t.Errorf("Slack shows %d messages", n)
	}
	var to []string
	for _, e := range r.Proxy.Emails() {
		if strings.HasPrefix(e.Subject, "[TEST]") {
			to = append(to, e.To...)
		}
	}
	if !slices.Equal(to, []string{"success@simulator.amazonses.com"}) {
		r.t.Errorf("emails to %q", to)
	}
	if events, err := r.Events(r.ctx); err != nil || len(events) != 0 {
		r.t.Errorf("subscribers receive %v, %v", events, err)
	}
}

func manualCanary(r *real) {
	root, err := sam.Root()
	r.must(err)
	run := func(timeout string) (string, error) {
		cmd := exec.CommandContext(r.ctx, "go", "run", "./cmd/idmapping", "canary", "--stack", fakecloud.Stack, "--timeout", timeout)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+r.ProxyURL, "AWS_REGION="+account.Region, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := run("5m")
	if err != nil {
		r.t.Errorf("%v: %s", err, out)
	}
	for _, to := range []string{"slack:" + fakecloud.SlackChannel, "email:" + recipients[0], "email:" + recipients[1]} {
		if !strings.Contains(out, to+" received it after ") {
			r.t.Errorf("%s is missing in: %s", to, out)
		}
	}
	seen := 0
	for _, m := range r.Slack.Log() {
		if strings.HasPrefix(m.Text, "TEST\n") {
			seen++
		}
	}
	if seen != 1 {
		r.t.Errorf("%d messages in Slack, want 1", seen)
	}
	r.Slack.Inject(httpfault.Fault{Status: http.StatusOK, Body: `{"ok":false,"error":"channel_not_found"}`})
	if out, err = run("15s"); err == nil || !strings.Contains(out, "not received ") || !strings.Contains(out, "slack:"+fakecloud.SlackChannel) {
		r.t.Errorf("with a failing channel: %v, %s", err, out)
	}
	r.purge()
}

func noSecrets(r *real) {
	secrets := []string{fakecloud.SlackToken, fakeslack.WebhookPath, strings.TrimPrefix(fakeslack.WebhookPath, "/services/")}
	lines := r.log.since(0)
	if len(lines) < 100 {
		r.t.Errorf("only %d lines were written", len(lines))
	}
	texts := append(lines, r.Poller.Environment(), r.Notifier.Environment())
	client := sqs.NewFromConfig(r.Config())
	for _, queue := range []string{"SlackDeadLetterQueue", "EmailDeadLetterQueue"} {
		url := r.Resources[queue]
		out, err := client.ReceiveMessage(r.ctx, &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"}})
		r.must(err)
		for _, m := range out.Messages {
			body, _ := json.Marshal(m)
			texts = append(texts, string(body))
		}
	}
	for _, e := range r.Proxy.Emails() {
		texts = append(texts, e.Subject+e.HTML+e.Text)
	}
	for _, text := range texts {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				r.t.Errorf("a secret is in %.300q", text)
			}
		}
	}
}
