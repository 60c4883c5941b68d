package messagetest

import (
	"fmt"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/message"
)

// Notices are messages that tell of no job's state, by name.
func Notices() map[string]message.Message {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	broken := func(destination, cause string) message.Broken {
		return message.Broken{Destination: destination, Cause: cause, Since: noon}
	}
	many := []message.Broken{broken("slack:"+Hostile, "refused by Slack: "+Hostile)}
	for i := range 200 {
		many = append(many, broken(fmt.Sprintf("email:recipient-%03d@example.com", i), "sending an email: MessageRejected: Email address is not verified."))
	}
	canary := event.Event{DetailType: event.Canary, Account: "123456789012", Region: "eu-west-1",
		Detail: event.Detail{TransitionID: "0123456789abcdef", ObservedAt: noon, Visible: true}}
	return map[string]message.Message{
		"notice-broken":  message.ComposeBroken([]message.Broken{broken("slack:#data-jobs", "refused by Slack: channel_not_found")}, "123456789012", "eu-west-1"),
		"notice-email":   message.ComposeBroken([]message.Broken{broken("email:a@example.com", "sending an email: MessageRejected: Email address is not verified.")}, "123456789012", "eu-west-1"),
		"notice-hostile": message.ComposeBroken(many, Hostile, Hostile),
		"notice-canary":  message.Compose(canary, noon),
	}
}
