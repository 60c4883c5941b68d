package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"
	_ "time/tzdata" // TimeZone names any zone; Lambda's runtime does not document which it has

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/idmapping/notifier/internal/config"
	"github.com/idmapping/notifier/internal/email"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/secret"
	"github.com/idmapping/notifier/internal/slack"
)

var errNoDestination = errors.New("there is nowhere to send to: set SlackChannel with SlackTokenParameterName, or SlackWebhookParameterName, or EmailFrom with EmailTo")

// slackChannel sends to one Slack channel, with a bot token or with an incoming
// webhook.
func slackChannel(env *config.Reader, cfg aws.Config, limits notify.RateLimits, signals bool) notify.Channel {
	c := notify.Channel{
		Name:               "slack",
		QueueURL:           env.Required("SLACK_QUEUE_URL"),
		DeadLetterQueueURL: env.Required("SLACK_DEAD_LETTER_QUEUE_URL"),
		Filter:             filter("SLACK_STATUSES", env.Text("SLACK_STATUSES"), signals),
	}
	channel, token, webhook := env.Text("SLACK_CHANNEL"), env.Text("SLACK_TOKEN_PARAMETER"), env.Text("SLACK_WEBHOOK_PARAMETER")
	mention, err := slack.ParseMention(env.Text("SLACK_MENTION"))
	env.Wrong(err)
	allowLoopback, apiURL := env.Bool("ALLOW_LOOPBACK", false), env.Text("SLACK_API_URL")
	env.Wrong(slack.CheckAPIURL(apiURL, allowLoopback))
	edit, thread, broadcast := env.Bool("SLACK_EDIT", true), env.Bool("SLACK_THREAD", true), env.Bool("SLACK_BROADCAST", true)
	switch {
	case token != "" && webhook != "":
		env.Wrong(errors.New("SlackTokenParameterName and SlackWebhookParameterName are both set: set one, a bot token or an incoming webhook"))
	case token != "" && channel == "":
		env.Wrong(errors.New("SlackTokenParameterName is set without SlackChannel: give the channel's ID, such as C0123456789"))
	case token == "" && channel != "":
		env.Wrong(errors.New("SlackChannel is set without SlackTokenParameterName: name the SSM parameter that holds the bot token; a webhook posts only to the channel that it was made for"))
	case token != "":
		c.Filter = slack.BotFilter(c.Filter)
		parameter := secret.New(cfg, token)
		parameter.Prefetch()
		bot := slack.NewBot(slack.BotOptions{Token: parameter.Value, Refresh: parameter.Refresh, APIURL: apiURL,
			Channel: channel, Mention: mention, Edit: edit, Thread: thread, Broadcast: broadcast})
		limiter := func(destination string) slack.RateLimiter {
			return &notify.Limiter{Limits: limits, Destination: destination, MinInterval: slack.MinInterval}
		}
		bot.Limiter = limiter(bot.ID())
		c.Destinations, c.Router = []notify.Destination{bot}, &slack.Bots{Default: bot, Limiter: limiter}
	case webhook != "":
		parameter := secret.New(cfg, webhook)
		parameter.Prefetch()
		hook := slack.NewWebhook(slack.WebhookOptions{URL: parameter.Value, Refresh: parameter.Refresh,
			Mention: mention, AllowLoopback: allowLoopback})
		hook.Limiter = &notify.Limiter{Limits: limits, Destination: hook.ID(), MinInterval: slack.MinInterval}
		c.Destinations = []notify.Destination{hook}
	}
	return c
}

// messageSettings reads what every message shows.
func messageSettings(env *config.Reader) message.Settings {
	s := message.Settings{Zone: time.UTC, RunbookURL: env.Text("RUNBOOK_URL")}
	if u, err := url.Parse(s.RunbookURL); s.RunbookURL != "" && (err != nil || u.Scheme != "https" || u.Host == "" || len(s.RunbookURL) > message.MaxLinkBytes) {
		env.Wrong(fmt.Errorf("RunbookUrl: %.100q is not an https URL of at most %d characters: give the full address of the page, such as https://wiki.example.com/id-mapping", s.RunbookURL, message.MaxLinkBytes))
	}
	if name := env.Text("TIME_ZONE"); name != "" {
		zone, err := time.LoadLocation(name)
		if err != nil || name == "Local" {
			env.Wrong(fmt.Errorf("TimeZone: %.60q is not a time zone: give an IANA name such as Europe/Berlin, or UTC", name))
			return s
		}
		s.Zone = zone
	}
	return s
}

// emailChannel sends each recipient an email of its own: an address that SES
// refuses keeps no other recipient from receiving it.
func emailChannel(env *config.Reader, cfg aws.Config, signals bool) notify.Channel {
	c := notify.Channel{
		Name:               "email",
		QueueURL:           env.Required("EMAIL_QUEUE_URL"),
		DeadLetterQueueURL: env.Required("EMAIL_DEAD_LETTER_QUEUE_URL"),
		Filter:             filter("EMAIL_STATUSES", env.Text("EMAIL_STATUSES"), signals),
		SharedSender:       true,
	}
	from, to, err := email.ParseAddresses(env.Text("EMAIL_FROM"), env.Text("EMAIL_TO"))
	env.Wrong(err)
	if len(to) > 0 {
		recipients := &email.Recipients{Config: cfg, From: from, To: to, Options: email.Options{Stack: env.Text("STACK_NAME")}}
		c.Destinations, c.Router = recipients.All(), recipients
	}
	return c
}

// filter reads a list of statuses. A status that Entity Resolution does not
// document is accepted, since the API may add one, but without a plus sign it may
// be a typing error that matches nothing.
func filter(setting, statuses string, signals bool) notify.Filter {
	f := notify.ParseFilter(statuses).With(signals)
	for _, status := range f.Unknown() {
		slog.Warn("unknown status in filter", "setting", setting, "status", status, "known", "QUEUED, RUNNING, SUCCEEDED, FAILED")
	}
	return f
}
