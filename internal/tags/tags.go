// Package tags reads the tags by which the owner of a workflow controls its
// notifications. Their keys begin with "idmapping:"; docs/tags.md describes them for
// users. Pure.
package tags

import (
	"fmt"
	"maps"
	"net/mail"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/idmapping/notifier/internal/jobs"
)

// Prefix begins the key of each of the notifier's tags. Everywhere else in the code,
// and in events, keys are without it.
const Prefix = "idmapping:"

// The keys that have a meaning. An event has the others too, so that any
// subscriber's rule can match them.
const (
	SlackChannel = "slack-channel"
	Email        = "email"
	Mention      = "mention"
	Statuses     = "statuses"
	Runbook      = "runbook"
	Owner        = "owner"
	OverdueAfter = "overdue-after"
	ExpectEvery  = "expect-every"
	MuteUntil    = "mute-until"
	MuteReason   = "mute-reason"
)

var known = []string{SlackChannel, Email, Mention, Statuses, Runbook, Owner, OverdueAfter, ExpectEvery, MuteUntil, MuteReason}

// Limits of what an event has. Entity Resolution allows 200 tags with values of 256
// characters (TagResource, Entity Resolution API Reference).
const (
	maxTags  = 20
	maxKey   = 128 // characters
	maxValue = 256 // characters
)

// MaxMute is how far ahead a mute may end.
const MaxMute = 30 * 24 * time.Hour

// minDuration is the least that overdue-after and expect-every accept.
const minDuration = time.Minute

// Own returns the notifier's tags among all tags of a workflow, without the prefix:
// at most 20, first those with a meaning, and values of at most 256 characters. It
// returns nil when there are none.
func Own(all map[string]string) map[string]string {
	var own map[string]string
	add := func(key string) {
		if value, ok := all[Prefix+key]; ok && len(own) < maxTags {
			if own == nil {
				own = make(map[string]string)
			}
			own[key] = shortened(value, maxValue)
		}
	}
	for _, key := range known {
		add(key)
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if key, ok := strings.CutPrefix(key, Prefix); ok && key != "" && utf8.RuneCountInString(key) <= maxKey && !slices.Contains(known, key) {
			add(key)
		}
	}
	return own
}

func shortened(text string, n int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if runes := []rune(text); len(runes) > n {
		return string(runes[:n])
	}
	return text
}

// Known reports whether a key, without the prefix, has a meaning.
func Known(key string) bool { return slices.Contains(known, key) }

// Settings are what the tags of a workflow say. What is empty is left to the stack.
type Settings struct {
	SlackChannels []string      // channel IDs
	Emails        []string      // bare addresses
	Mentions      []string      // IDs of Slack users and user groups
	Statuses      []jobs.Status // to send
	Runbook       string        // https URL
	Owner         string

	Overdue     *jobs.OverdueRule // nil: the stack's
	ExpectEvery time.Duration     // a run is expected so long after the newest start; 0: the stack's setting
	ExpectOff   bool              // no run is expected

	MuteUntil  time.Time // UTC; zero when not muted
	MuteReason string

	// Ignored are the tags, or parts of them, that cannot be used, in the order of
	// their keys.
	Ignored []Ignored
}

// Ignored is a tag, or a part of one, that cannot be used.
type Ignored struct {
	Key    string // without the prefix
	Value  string // as given: outside text
	Reason string // "is not …: give …"
}

// Parse reads a workflow's tags, without the prefix. now bounds mute-until, UTC. What
// cannot be used is in Ignored; the rest counts.
func Parse(all map[string]string, now time.Time) Settings {
	p := parser{tags: all, now: now}
	p.SlackChannels = p.list(SlackChannel, func(s string) bool { return IsSlackID(s, "CG") }, "is not a channel ID such as C0123456789: copy it from the channel's details")
	p.Emails = p.list(Email, isAddress, "is not an email address")
	p.Mentions = p.list(Mention, func(s string) bool { return IsSlackID(s, "UWS") }, "is not the ID of a user or user group, such as U0123456789 or S0123456789")
	for _, status := range p.list(Statuses, isStatus, "is not QUEUED, RUNNING, SUCCEEDED or FAILED: mark another status with a plus sign, such as +PAUSED") {
		p.Settings.Statuses = append(p.Settings.Statuses, jobs.Status(strings.ToUpper(strings.TrimPrefix(status, "+"))))
	}
	p.Runbook = p.text(Runbook, isHTTPS, "is not an https URL")
	p.Owner = strings.TrimSpace(all[Owner])
	p.overdue()
	p.expect()
	p.mute()
	return p.Settings
}

type parser struct {
	Settings
	tags map[string]string
	now  time.Time
}

func (p *parser) ignore(key, value, reason string) {
	p.Ignored = append(p.Ignored, Ignored{key, value, reason})
}

// list reads words, separated by spaces or commas, and leaves out those that are
// not valid.
func (p *parser) list(key string, valid func(string) bool, reason string) []string {
	var all []string
	for _, word := range strings.FieldsFunc(p.tags[key], func(r rune) bool { return r == ' ' || r == ',' }) {
		switch {
		case !valid(word):
			p.ignore(key, word, reason)
		case !slices.Contains(all, word):
			all = append(all, word)
		}
	}
	return all
}

// text reads a value as a whole; empty is none.
func (p *parser) text(key string, valid func(string) bool, reason string) string {
	value := strings.TrimSpace(p.tags[key])
	if value != "" && !valid(value) {
		p.ignore(key, value, reason)
		return ""
	}
	return value
}

// duration reads a duration or off.
func (p *parser) duration(key string) (d time.Duration, off bool) {
	value := p.text(key, func(s string) bool { return isOff(s) || isDuration(s) }, "is not a duration of a minute or more, such as 90m or 4h, or off")
	if isOff(value) {
		return 0, true
	}
	d, _ = time.ParseDuration(value)
	return d, false
}

func (p *parser) overdue() {
	if after, off := p.duration(OverdueAfter); off || after > 0 {
		p.Overdue = &jobs.OverdueRule{Off: off, After: after}
	}
}

func (p *parser) expect() { p.Settings.ExpectEvery, p.ExpectOff = p.duration(ExpectEvery) }

func (p *parser) mute() {
	p.Settings.MuteReason = strings.TrimSpace(p.tags[MuteReason])
	value := p.text(MuteUntil, isTime, "is not a time such as 2026-11-23T18:00:00Z")
	until, _ := time.Parse(time.RFC3339, value)
	if until.Sub(p.now) > MaxMute {
		p.ignore(MuteUntil, value, fmt.Sprintf("is more than %d days ahead", int(MaxMute.Hours()/24)))
		return
	}
	p.Settings.MuteUntil = until.UTC()
}

// Muted reports whether nothing is sent about what was observed at the given time.
func (s Settings) Muted(observed time.Time) bool { return observed.Before(s.MuteUntil) }

// Routing returns the tags that decide who is notified and of what: late statuses of
// workflows that agree in them can share a summary.
func Routing(all map[string]string) map[string]string {
	return only(all, SlackChannel, Email, Mention, Statuses)
}

// Deciding returns the tags that decide whether, and to whom, an event is sent.
func Deciding(all map[string]string) map[string]string {
	return only(all, SlackChannel, Email, Statuses, MuteUntil, MuteReason)
}

func only(all map[string]string, keys ...string) map[string]string {
	var some map[string]string
	for _, key := range keys {
		if value, ok := all[key]; ok {
			if some == nil {
				some = make(map[string]string)
			}
			some[key] = value
		}
	}
	return some
}

// IsSlackID reports whether s can be one of Slack's IDs that begin with one of the
// letters: C and G are channels, U and W users, S user groups. Regular expressions
// would cost a tenth of a cold start to compile.
func IsSlackID(s, initials string) bool {
	return len(s) >= 3 && len(s) <= 21 && strings.ContainsRune(initials, rune(s[0])) && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
}

// isAddress accepts only what SES can send to (Destination, Amazon SES API v2: the
// local part is ASCII): a refused address would take the message with it.
func isAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && a.Name == "" && strings.IndexByte(s, '@') <= 64 &&
		!strings.ContainsFunc(s, func(r rune) bool { return r > '~' || r == '[' })
}

// isStatus asks for a plus sign where a status is not documented, as the template
// does: a typing error would otherwise choose nothing.
func isStatus(s string) bool {
	status, marked := strings.CutPrefix(s, "+")
	return marked && status != "" || jobs.Status(strings.ToUpper(status)).Known()
}

// isHTTPS accepts what messages can link.
func isHTTPS(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Host != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsGraphic(r) || unicode.IsSpace(r) || strings.ContainsRune(`<>"|`, r)
	})
}

func isOff(s string) bool { return s == "off" }

func isDuration(s string) bool {
	d, err := time.ParseDuration(s)
	return err == nil && d >= minDuration
}

func isTime(s string) bool {
	at, err := time.Parse(time.RFC3339, s)
	return err == nil && !at.IsZero() // zero stands for no time
}
