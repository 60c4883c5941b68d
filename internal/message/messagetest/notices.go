// Package messagetest has messages for the tests of the channels.
package messagetest

import (
	"fmt"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/event/drawn"
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/message"
)

// Notices returns, by name, messages that are not about the state of a job.
func Notices() map[string]message.Message {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	broken := func(destination, cause string) message.Broken {
		return message.Broken{Destination: destination, Cause: cause, Since: noon}
	}
	many := []message.Broken{broken("slack:"+drawn.Hostile, "refused by Slack: "+drawn.Hostile)}
	for i := range 200 {
		many = append(many, broken(fmt.Sprintf("email:recipient-%03d@example.com", i), "sending an email: MessageRejected: Email address is not verified."))
	}
	canary := event.Event{DetailType: event.Canary, Account: eventtest.Account, Region: eventtest.Region,
		Detail: event.Detail{TransitionID: "0123456789abcdef", ObservedAt: noon, Visible: true}}
	return map[string]message.Message{
		"notice-broken":  message.ComposeBroken([]message.Broken{broken("slack:#data-jobs", "Slack: channel_not_found")}, eventtest.Account, eventtest.Region, "", message.Settings{}),
		"notice-email":   message.ComposeBroken([]message.Broken{broken("email:a•••@example.com", "SES: MessageRejected")}, eventtest.Account, eventtest.Region, "", message.Settings{}),
		"notice-hostile": message.ComposeBroken(many, drawn.Hostile, drawn.Hostile, drawn.Hostile, message.Settings{}),
		"notice-canary":  message.Compose(canary, noon, message.Settings{}),
	}
}
