package main

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/fakecloud/lambda/lambdatest"
	"github.com/idmapping/notifier/internal/notify"
)

func TestMain(m *testing.M) { os.Exit(lambdatest.Run(m)) }

type settings = lambdatest.Settings

// deployed is what the template sets, without a destination.
var (
	deployed = lambdatest.AWS.With(settings{"DELIVERIES_TABLE": "deliveries", "STACK_NAME": "s",
		"SLACK_QUEUE_URL": "https://sqs/slack", "SLACK_DEAD_LETTER_QUEUE_URL": "https://sqs/slack-dead",
		"EMAIL_QUEUE_URL": "https://sqs/email", "EMAIL_DEAD_LETTER_QUEUE_URL": "https://sqs/email-dead"})
	withBot     = settings{"SLACK_CHANNEL": "C0DATAJOBS", "SLACK_TOKEN_PARAMETER": "/idmapping/token"}
	withWebhook = settings{"SLACK_WEBHOOK_PARAMETER": "/idmapping/webhook"}
	withEmail   = settings{"EMAIL_FROM": "a@example.com", "EMAIL_TO": "b@example.com,c@example.com"}
)

func TestNotifierReportsEveryProblemThatKeepsItFromStarting(t *testing.T) {
	const nowhere = "nowhere to send to"
	unset := []string{"DELIVERIES_TABLE", "SLACK_QUEUE_URL", "SLACK_DEAD_LETTER_QUEUE_URL", "EMAIL_QUEUE_URL", "EMAIL_DEAD_LETTER_QUEUE_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID"}
	for name, c := range map[string]struct {
		env      settings
		problems []string
	}{
		"nothing set":                     {settings{}, append(unset, nowhere)},
		"nowhere to send to":              {deployed, []string{nowhere}},
		"no region":                       {deployed.With(withBot).With(settings{"AWS_REGION": ""}), []string{"AWS_REGION"}},
		"a bot and a webhook":             {deployed.With(withBot).With(withWebhook), []string{"SlackTokenParameterName and SlackWebhookParameterName", nowhere}},
		"a bot without a channel":         {deployed.With(settings{"SLACK_TOKEN_PARAMETER": "/p"}), []string{"without SlackChannel", nowhere}},
		"a channel without a bot":         {deployed.With(settings{"SLACK_CHANNEL": "C1"}), []string{"without SlackTokenParameterName", nowhere}},
		"a channel with a webhook":        {deployed.With(withWebhook).With(settings{"SLACK_CHANNEL": "C1"}), []string{"without SlackTokenParameterName", nowhere}},
		"no bot beside email that works":  {deployed.With(withEmail).With(settings{"SLACK_CHANNEL": "C1"}), []string{"without SlackTokenParameterName"}},
		"recipients without a sender":     {deployed.With(withBot).With(settings{"EMAIL_TO": "b@example.com"}), []string{"without EmailFrom"}},
		"a sender without recipients":     {deployed.With(withBot).With(settings{"EMAIL_FROM": "a@example.com"}), []string{"without EmailTo"}},
		"a recipient without a domain":    {deployed.With(withBot).With(settings{"EMAIL_FROM": "a@example.com", "EMAIL_TO": "nobody"}), []string{"EmailTo"}},
		"Slack on loopback in production": {deployed.With(withBot).With(settings{"SLACK_API_URL": "http://127.0.0.1:1/api/"}), []string{"SLACK_API_URL"}},
		"another host than Slack's":       {deployed.With(withBot).With(settings{"SLACK_API_URL": "https://slack.example.com/api/", "ALLOW_LOOPBACK": "true"}), []string{"SLACK_API_URL"}},
		"a runbook that is no link":       {deployed.With(withBot).With(settings{"RUNBOOK_URL": "http://wiki"}), []string{"RunbookUrl"}},
		"a zone that does not exist":      {deployed.With(withBot).With(settings{"TIME_ZONE": "Europe/Atlantis"}), []string{"TimeZone"}},
		"everything wrong": {
			withBot.With(settings{"RUNBOOK_URL": "wiki", "TIME_ZONE": "Local", "SIGNALS": "no", "SLACK_API_URL": "http://127.0.0.1:1/api/", "ALLOW_LOOPBACK": "yes", "SLACK_MENTION": "the-team", "SLACK_EDIT": "yes", "SLACK_THREAD": "1", "SLACK_BROADCAST": "TRUE", "EMAIL_FROM": "nobody", "EMAIL_TO": "b@example.com"}),
			append(unset, "SLACK_API_URL", "ALLOW_LOOPBACK", "SlackMention", "SLACK_EDIT", "SLACK_THREAD", "SLACK_BROADCAST", "EmailFrom", "RunbookUrl", "TimeZone", "SIGNALS"),
		},
	} {
		t.Run(name, func(t *testing.T) { lambdatest.CannotStart(t, c.env, c.problems...) })
	}
}

func TestNotifierStartsAndAsksForWork(t *testing.T) {
	switches := settings{"SLACK_MENTION": "here,U0123456789", "SLACK_EDIT": "false", "SLACK_THREAD": "true", "SLACK_BROADCAST": "false", "SLACK_STATUSES": "FAILED", "EMAIL_STATUSES": "FAILED,SUCCEEDED",
		"RUNBOOK_URL": "https://wiki.example.com/id-mapping", "TIME_ZONE": "Europe/Berlin", "SIGNALS": "false"}
	for name, env := range map[string]settings{
		"with a bot":             deployed.With(withBot),
		"with a webhook":         deployed.With(withWebhook),
		"with email":             deployed.With(withEmail),
		"with every setting":     deployed.With(withBot).With(withEmail).With(switches),
		"with a webhook, email":  deployed.With(withWebhook).With(withEmail),
		"with Slack on loopback": deployed.With(withBot).With(settings{"SLACK_API_URL": "http://127.0.0.1:1/api", "ALLOW_LOOPBACK": "true"}),
		"with GovSlack":          deployed.With(withBot).With(settings{"SLACK_API_URL": "https://slack-gov.com/api/"}),
		"with a retention":       deployed.With(withEmail).With(settings{"RETENTION_DAYS": "no number"}), // the poller's
	} {
		t.Run(name, func(t *testing.T) { lambdatest.Starts(t, env) })
	}
}

func TestUnknownStatusInAFilterIsLoggedAndKept(t *testing.T) {
	defer slog.SetDefault(slog.Default())
	var log bytes.Buffer
	slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
	read := func(setting, statuses string) notify.Filter { return filter(setting, statuses, true) }
	if f := read("EMAIL_STATUSES", "queued,RUNNING,SUCCEEDED,FAILED,"); len(f.Only) != 4 || log.Len() != 0 {
		t.Errorf("the documented statuses give %v and the log\n%s", f.Only, log.String())
	}
	if f := read("EMAIL_STATUSES", "+PAUSED, FAILED"); !f.Only["PAUSED"] || !f.Only["FAILED"] || len(f.Only) != 2 || log.Len() != 0 {
		t.Errorf("a status marked as new gives %v and the log\n%s", f.Only, log.String())
	}
	if f := read("SLACK_STATUSES", "SUCEEDED,FAILED"); !f.Only["SUCEEDED"] || !f.Only["FAILED"] {
		t.Errorf("the filter is %v", f.Only)
	}
	if out := log.String(); strings.Count(out, "\n") != 1 || !strings.Contains(out, `"level":"WARN"`) ||
		!strings.Contains(out, `"setting":"SLACK_STATUSES","status":"SUCEEDED"`) {
		t.Errorf("the log is\n%s", out)
	}
}
