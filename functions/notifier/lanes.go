package main

import (
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/idmapping/notifier/internal/config"
	"github.com/idmapping/notifier/internal/email"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/secret"
	"github.com/idmapping/notifier/internal/slack"
)

var errNowhere = errors.New("there is nowhere to send to: set SlackChannel with SlackTokenParameter, or SlackWebhookParameter, or EmailFrom with EmailTo")

func retention(env *config.Reader) time.Duration {
	return time.Duration(env.Int("RETENTION_DAYS", 90, 1, 3650)) * 24 * time.Hour
}

// slackLane tells one channel, by a bot's token or by an incoming webhook.
func slackLane(env *config.Reader, cfg aws.Config) notify.Channel {
	lane := notify.Channel{
		Name:               "slack",
		QueueURL:           env.Required("SLACK_QUEUE_URL"),
		DeadLetterQueueURL: env.Required("SLACK_DEAD_LETTER_QUEUE_URL"),
		Filter:             notify.ParseFilter(env.Text("SLACK_STATUSES")),
		Gap:                time.Second, // Slack: "Rate limits", posting messages
	}
	channel, token, webhook := env.Text("SLACK_CHANNEL"), env.Text("SLACK_TOKEN_PARAMETER"), env.Text("SLACK_WEBHOOK_PARAMETER")
	mention, err := slack.ParseMention(env.Text("SLACK_MENTION"))
	env.Wrong(err)
	edit, thread, broadcast := env.Bool("SLACK_EDIT", true), env.Bool("SLACK_THREAD", true), env.Bool("SLACK_BROADCAST", true)
	switch {
	case token != "" && webhook != "":
		env.Wrong(errors.New("SlackTokenParameter and SlackWebhookParameter are both set: a bot token and an incoming webhook exclude each other, set one"))
	case token != "" && channel == "":
		env.Wrong(errors.New("SlackTokenParameter is set without SlackChannel: name the channel's id, such as C0123456789"))
	case token == "" && channel != "":
		env.Wrong(errors.New("SlackChannel is set without SlackTokenParameter: name the SSM parameter that holds the bot token; a webhook posts only to the channel that it was made for"))
	case token != "":
		if len(lane.Filter.Only) == 0 {
			lane.Filter.All = true // a card shows every status and is still one message
		}
		parameter := secret.New(cfg, token)
		parameter.Prefetch()
		lane.Destinations = []notify.Destination{slack.NewBot(slack.BotOptions{
			Token: parameter.Value, Refresh: parameter.Refresh, APIURL: env.Text("SLACK_API_URL"),
			Channel: channel, Mention: mention, Edit: edit, Thread: thread, Broadcast: broadcast,
		})}
	case webhook != "":
		parameter := secret.New(cfg, webhook)
		parameter.Prefetch()
		lane.Destinations = []notify.Destination{slack.NewWebhook(slack.WebhookOptions{
			URL: parameter.Value, Refresh: parameter.Refresh, Mention: mention,
		})}
	}
	return lane
}

// emailLane tells each recipient by an email of its own: one address that is
// refused keeps no other from being told.
func emailLane(env *config.Reader, cfg aws.Config) notify.Channel {
	lane := notify.Channel{
		Name:               "email",
		QueueURL:           env.Required("EMAIL_QUEUE_URL"),
		DeadLetterQueueURL: env.Required("EMAIL_DEAD_LETTER_QUEUE_URL"),
		Filter:             notify.ParseFilter(env.Text("EMAIL_STATUSES")),
		SharedSender:       true, // all have the same sender
	}
	from, to, err := email.ParseAddresses(env.Text("EMAIL_FROM"), env.Text("EMAIL_TO"))
	env.Wrong(err)
	for _, recipient := range to {
		lane.Destinations = append(lane.Destinations, email.New(cfg, from, recipient))
	}
	return lane
}
