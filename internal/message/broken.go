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
func ComposeBroken(all []Broken, account, region, environment string, s Settings) Message {
	one := all[0]
	verb, name := destinationName(one.Destination)
	name = truncate(name, maxName)
	if len(all) > 1 {
		name = fmt.Sprintf("%s and %d more", truncate(name, maxName-12), len(all)-1)
	}
	m := Message{
		Severity: Bad,
		Loud:     true,
		Word:     "NOT DELIVERED",
		Name:     name,
		Zone:     s.Zone,
		Lead:     []Line{{{Text: fmt.Sprintf("Cannot %s %s: ", verb, name)}, {Text: truncate(OneLine(one.Cause), maxCause), Code: true}}},
		Trend:    []Line{{{Text: "Failing since "}, {Time: one.Since}}},
		Error:    &Error{},
		Notes:    []Line{Plain("Nothing is lost. Messages wait for about 4 days and arrive within 15 minutes of the fix.")},
		Thread:   OneLine(one.Destination),
		Account:  OneLine(account),
		Region:   OneLine(region),
	}
	m.Environment = shorten(OneLine(environment), maxEnvironment)
	var lines []string
	for _, b := range all {
		lines = append(lines, OneLine(b.Destination)+": "+OneLine(b.Cause))
		if step := remediation(b.Destination); !slices.ContainsFunc(m.Steps, func(l Line) bool { return slices.Equal(l, step) }) {
			m.Steps = append(m.Steps, step)
		}
	}
	m.Error.Text = truncateLines(lines, maxErrorText)
	m.Facts = place(m, environment)
	code := OneLine(one.Cause)
	m.Subject = m.subject(strings.TrimSpace(code[strings.LastIndex(code, ": ")+1:])) // the destination says whose code it is
	m.address()
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
		return "post to", "Slack channel " + OneLine(name)
	case "slack-webhook":
		return "post to", "the Slack webhook"
	case "email":
		return "send", "email to " + OneLine(name)
	default:
		return "reach", OneLine(destination)
	}
}

// remediation returns how to fix delivery to a destination.
func remediation(destination string) Line {
	kind, _, _ := strings.Cut(destination, ":")
	switch kind {
	case "slack":
		return Plain("Invite the bot to the channel, or set SlackChannel to the channel's ID. If the token was revoked, put a new one into the SSM parameter that SlackTokenParameterName names; the notifier picks it up by itself.")
	case "slack-webhook":
		return Plain("Create a new incoming webhook and put its URL into the SSM parameter that SlackWebhookParameterName names; the notifier picks it up by itself.")
	case "email":
		return Plain("In Amazon SES (the notifier's region), verify the sender and, while the account is in the sandbox, each recipient. Also check whether sending is paused.")
	default:
		return Plain("Look in the notifier's log for the destination's response.")
	}
}

// composeCanary returns the message of a visible canary.
func composeCanary(e event.Event) Message {
	m := Message{
		Word:    "TEST",
		Subject: "[TEST] ID mapping messages reach this address",
		Lead:    []Line{Plain("ID mapping messages reach this channel.")},
		Notes:   []Line{Plain("Someone sent this to test the whole path: event bus, queue, notifier, this channel. No job has changed.")},
		Thread:  "canary",
		Account: OneLine(e.Account),
		Region:  OneLine(e.Region),
	}
	if at := e.Detail.ObservedAt; !at.IsZero() {
		m.Facts = []Line{{{Text: "Sent "}, {Time: at}}}
	}
	m.Facts = append(m.Facts, place(m, e.Detail.Environment)...)
	return m
}
