package message

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/idmapping/notifier/internal/event"
)

// Broken is a destination that refuses every message until a setting is fixed.
type Broken struct {
	Destination string    // its ID, such as "slack:#data-jobs"
	Cause       string    // its response, without any secret
	Since       time.Time // UTC
}

// ComposeBroken returns the notice to the other channels that delivery to at
// least one destination is failing. account and region are the notifier's.
func ComposeBroken(all []Broken, account, region string) Message {
	one := all[0]
	verb, name := destinationName(one.Destination)
	name = truncate(name, maxName)
	if len(all) > 1 {
		name = fmt.Sprintf("%s and %d more", truncate(name, maxName-12), len(all)-1)
	}
	cause := oneLine(one.Cause)
	m := Message{
		Headline: truncate(fmt.Sprintf("DELIVERY FAILING: cannot %s %s: %s", verb, name, cause), maxHeadline),
		Title:    truncate("DELIVERY FAILING: "+name, maxTitle),
		Subject:  truncate(fmt.Sprintf("[DELIVERY FAILING] %s: %s", name, cause), maxSubject),
		Severity: Bad,
		Failure:  &Failure{},
		Notes:    []string{"No notifications are lost: they are queued for about four days and sent within 15 minutes of the fix."},
		JobID:    oneLine(one.Destination),
		Account:  oneLine(account),
		Region:   oneLine(region),
	}
	var lines []string
	for _, b := range all {
		lines = append(lines, oneLine(b.Destination)+": "+oneLine(b.Cause))
		if advice := remediation(b.Destination); !slices.Contains(m.Failure.Advice, advice) {
			m.Failure.Advice = append(m.Failure.Advice, advice)
		}
	}
	m.Failure.Text = truncateLines(lines, maxErrorText)
	m.Fields = []Field{{"Cannot reach", name}, {"Failing since", formatTime(one.Since)}}
	m.Footer = composeFooter(m, event.Detail{})
	return m
}

// maxErrorText is the largest error in a message, in bytes.
const maxErrorText = 4000

// truncateLines joins as many whole lines as fit, and counts those that do not.
func truncateLines(lines []string, limit int) string {
	for n := len(lines); n > 0; n-- {
		kept := lines[:n:n]
		if n < len(lines) {
			kept = append(kept, fmt.Sprintf("and %d more", len(lines)-n))
		}
		if text := strings.Join(kept, "\n"); len(text) <= limit {
			return text
		}
	}
	return truncate(lines[0], limit/4) // runes of up to four bytes
}

// destinationName returns what people call a destination, and the verb that goes
// with it.
func destinationName(destination string) (verb, name string) {
	kind, name, _ := strings.Cut(destination, ":")
	switch kind {
	case "slack":
		return "post to", "Slack channel " + oneLine(name)
	case "slack-webhook":
		return "post to", "the Slack webhook"
	case "email":
		return "send", "email to " + oneLine(name)
	default:
		return "reach", oneLine(destination)
	}
}

// remediation returns how to fix delivery to a destination.
func remediation(destination string) string {
	kind, _, _ := strings.Cut(destination, ":")
	switch kind {
	case "slack":
		return "Invite the bot to the channel, or set SlackChannel to the channel's ID. If the token was revoked, put a new one into the SSM parameter that SlackTokenParameterName names; the notifier picks it up by itself."
	case "slack-webhook":
		return "Create a new incoming webhook and put its URL into the SSM parameter that SlackWebhookParameterName names; the notifier picks it up by itself."
	case "email":
		return "In Amazon SES, in the notifier's region, verify the sender and, while the account is in the sandbox, each recipient. Also check whether sending is paused."
	default:
		return "Look in the notifier's log for the destination's response."
	}
}

// composeCanary returns the message of a visible canary.
func composeCanary(e event.Event) Message {
	m := Message{
		Headline: "TEST: notifications from the ID mapping notifier reach this channel",
		Title:    "TEST: ID mapping notifier",
		Subject:  "[TEST] notifications from the ID mapping notifier reach this address",
		Severity: Neutral,
		Fields:   []Field{{"Sent", formatTime(e.Detail.ObservedAt)}},
		Notes:    []string{"Someone sent this to test the whole path: poller, event bus, queue, notifier and this channel. No job has changed."},
		JobID:    "canary",
		Account:  oneLine(e.Account),
		Region:   oneLine(e.Region),
	}
	m.Footer = composeFooter(m, e.Detail)
	return m
}
