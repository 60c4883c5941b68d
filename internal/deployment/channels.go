package deployment

import (
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/idmapping/notifier/internal/email"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/slack"
)

// Channels returns the stack's channels as the notifier sets them up, to learn what
// they do with an event. They cannot send. A channel without a destination is left
// out.
func (s Stack) Channels() ([]notify.Channel, error) {
	var all []notify.Channel
	signals := s.Parameters["Signals"] != "false"
	switch {
	case s.Parameters["SlackTokenParameterName"] != "":
		bot := slack.NewBot(slack.BotOptions{Channel: s.Parameters["SlackChannel"]})
		all = append(all, notify.Channel{Name: "slack", Destinations: []notify.Destination{bot}, Router: &slack.Bots{Default: bot},
			Filter: slack.BotFilter(notify.ParseFilter(s.Parameters["SlackStatuses"]).With(signals))})
	case s.Parameters["SlackWebhookParameterName"] != "":
		all = append(all, notify.Channel{Name: "slack", Destinations: []notify.Destination{slack.NewWebhook(slack.WebhookOptions{})},
			Filter: notify.ParseFilter(s.Parameters["SlackStatuses"]).With(signals)})
	}
	from, to, err := email.ParseAddresses(s.Parameters["EmailFrom"], s.Parameters["EmailTo"])
	if err != nil {
		return nil, err
	}
	if len(to) > 0 {
		recipients := &email.Recipients{Config: aws.Config{}, From: from, To: to}
		all = append(all, notify.Channel{Name: "email", Destinations: recipients.All(), Router: recipients,
			Filter: notify.ParseFilter(s.Parameters["EmailStatuses"]).With(signals), SharedSender: true})
	}
	return all, nil
}

// destinations returns the destinations that the parameters of template.yaml set.
func (s Stack) destinations() (all []string, err error) {
	channels, err := s.Channels()
	for _, c := range channels {
		for _, d := range c.Destinations {
			all = append(all, d.ID())
		}
	}
	return all, err
}
