package message

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/idmapping/notifier/internal/event"
)

// Broken is a destination that takes nothing until someone mends a config.
type Broken struct {
	Destination string    // its id, such as "slack:#data-jobs"
	Cause       string    // what it answers, without any secret
	Since       time.Time // UTC
}

// ComposeBroken says to the other channels that destinations are broken. There
// is at least one; account and region are where the notifier runs.
func ComposeBroken(all []Broken, account, region string) Message {
	one := all[0]
	name, cause := short(placeName(one.Destination), maxName), line(one.Cause)
	if len(all) > 1 {
		name = fmt.Sprintf("%s and %d more", short(name, maxName-12), len(all)-1)
	}
	m := Message{
		Headline: short(fmt.Sprintf("BROKEN: %s cannot be told: %s", name, cause), maxHeadline),
		Title:    short("BROKEN: "+name, maxTitle),
		Subject:  short(fmt.Sprintf("[BROKEN] %s: %s", name, cause), maxSubject),
		Severity: Bad,
		Failure:  &Failure{},
		Notes:    []string{"Nothing is lost: what is to be told there waits for about four days, and follows within a quarter of an hour once this is mended."},
		JobID:    line(one.Destination),
		Account:  line(account),
		Region:   line(region),
	}
	var lines []string
	for _, b := range all {
		lines = append(lines, line(b.Destination)+": "+line(b.Cause))
		if advice := mend(b.Destination); !slices.Contains(m.Failure.Advice, advice) {
			m.Failure.Advice = append(m.Failure.Advice, advice)
		}
	}
	m.Failure.Text = shortLines(lines, maxErrorText)
	m.Fields = []Field{{"Broken", name}, {"Refused since", clock(one.Since)}}
	m.Footer = footer(m, event.Detail{})
	return m
}

// maxErrorText is the most bytes of an error that a message holds.
const maxErrorText = 4000

// shortLines joins as many whole lines as fit, and says how many did not.
func shortLines(lines []string, limit int) string {
	for n := len(lines); n > 0; n-- {
		kept := lines[:n:n]
		if n < len(lines) {
			kept = append(kept, fmt.Sprintf("and %d more", len(lines)-n))
		}
		if text := strings.Join(kept, "\n"); len(text) <= limit {
			return text
		}
	}
	return short(lines[0], limit/4) // runes of up to four bytes
}

// placeName is how people call a destination.
func placeName(destination string) string {
	kind, name, _ := strings.Cut(destination, ":")
	switch kind {
	case "slack":
		return "Slack channel " + line(name)
	case "slack-webhook":
		return "the Slack webhook"
	case "email":
		return "email to " + line(name)
	default:
		return line(destination)
	}
}

// mend is what to do about a broken destination.
func mend(destination string) string {
	kind, _, _ := strings.Cut(destination, ":")
	switch kind {
	case "slack":
		return "Invite the bot to the channel, or set SlackChannel to the channel's id. If the token was revoked, put a new one into the SSM parameter that SlackTokenParameter names; it is read again by itself."
	case "slack-webhook":
		return "Make a new incoming webhook and put its URL into the SSM parameter that SlackWebhookParameter names; it is read again by itself."
	case "email":
		return "In Amazon SES, in the notifier's region, verify the sender and, while SES is in its sandbox, each recipient; see there whether sending is paused."
	default:
		return "See the notifier's log for what it answers."
	}
}

// canary is the message of a canary that people are to see.
func canary(e event.Event) Message {
	m := Message{
		Headline: "TEST: the ID mapping notifier reaches you here",
		Title:    "TEST: the ID mapping notifier",
		Subject:  "[TEST] the ID mapping notifier reaches you here",
		Severity: Neutral,
		Fields:   []Field{{"Sent", clock(e.Detail.ObservedAt)}},
		Notes:    []string{"Someone sent this to see that the whole way is open: jobs table, event bus, queue, notifier, and this channel. No job has changed."},
		JobID:    "canary",
		Account:  line(e.Account),
		Region:   line(e.Region),
	}
	m.Footer = footer(m, e.Detail)
	return m
}
