// Package slack renders a message in Block Kit and sends it, by a bot token or
// by an incoming webhook.
package slack

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	slackgo "github.com/slack-go/slack"

	"github.com/idmapping/notifier/internal/message"
)

// Rendered is a message as Slack takes it. Text is what phones and screen
// readers read, the first block what a desktop's push reads (Slack's changelog
// of 2026-07-13, "Notification changes"): both are the same plain sentence.
type Rendered struct {
	Text   string
	Blocks []slackgo.Block
}

const (
	maxOutputs = 5   // of a card
	maxHeader  = 150 // characters (Slack: "Block Kit", header block)
	// maxSection is the most bytes in a section. Slack takes 3,000 characters.
	maxSection = 2900
)

// icons stand beside the word, never for it.
var icons = map[message.Severity]string{
	message.Neutral: ":large_blue_circle:",
	message.Good:    ":white_check_mark:",
	message.Bad:     ":x:",
}

// Card is the message that stands for a job. mention is mrkdwn, or empty; it
// appears on bad ends only.
func Card(m message.Message, mention string) Rendered {
	r := Rendered{Text: fit(m.Headline, maxHeader)}
	r.add(slackgo.NewHeaderBlock(plain(r.Text)))
	r.mention(m, mention)
	if len(m.Fields) > 0 {
		r.add(slackgo.NewSectionBlock(nil, fields(m), nil))
	}
	if m.Failure != nil {
		r.section(errorTitle(m.Failure) + "\n" + code(m.Failure.Text, maxSection-100))
		r.section(bullets("What to do", m.Failure.Advice))
	}
	if len(m.Metrics) > 0 {
		r.section(code(table(m.Metrics), maxSection))
	}
	if len(m.Outputs) > 0 {
		r.section(outputs(m.Outputs))
	}
	if len(m.Links) > 0 {
		r.section(links(m.Links))
	}
	r.small(m.Notes, " ")
	r.small(m.Footer, "  ·  ")
	return r
}

// Reply is what a job's thread, and on bad ends the channel, is told of one
// transition.
func Reply(m message.Message, mention string) Rendered {
	r := Rendered{Text: fit(m.Headline, maxHeader)}
	r.add(slackgo.NewSectionBlock(plain(r.Text), nil, nil))
	r.mention(m, mention)
	if m.Failure != nil {
		r.section(code(m.Failure.Text, 1000))
		r.section(bullets("What to do", m.Failure.Advice))
	}
	if m.Severity == message.Bad && len(m.Links) > 0 {
		r.section(links(m.Links))
	}
	r.small(m.Notes, " ")
	return r
}

// Plain is the card without any block: what is left to say where Slack refuses
// a card.
func Plain(m message.Message, mention string) Rendered {
	lines := []string{fit(m.Headline, maxHeader)}
	if m.Severity == message.Bad && mention != "" {
		lines = append(lines, mention)
	}
	if m.Failure != nil {
		lines = append(lines, code(m.Failure.Text, maxSection))
	}
	for _, l := range m.Links {
		lines = append(lines, link(l.URL, l.Label, 75))
	}
	return Rendered{Text: strings.Join(lines, "\n")}
}

func (r *Rendered) add(b slackgo.Block) { r.Blocks = append(r.Blocks, b) }

func (r *Rendered) section(text string) {
	r.add(slackgo.NewSectionBlock(marked(text), nil, nil))
}

func (r *Rendered) mention(m message.Message, mention string) {
	if mention != "" && m.Severity == message.Bad {
		r.section(mention)
	}
}

// small adds a line of small print.
func (r *Rendered) small(parts []string, between string) {
	if len(parts) == 0 {
		return
	}
	var safe []string
	for _, p := range parts {
		safe = append(safe, mrkdwn(short(p, 250)))
	}
	r.add(slackgo.NewContextBlock("", marked(strings.Join(safe, between))))
}

func fields(m message.Message) []*slackgo.TextBlockObject {
	var all []*slackgo.TextBlockObject
	for _, f := range m.Fields[:min(len(m.Fields), 10)] {
		value := mrkdwn(short(f.Value, 300))
		if f.Label == "Status" {
			value = icons[m.Severity] + " " + value
		}
		all = append(all, marked("*"+mrkdwn(f.Label)+"*\n"+value))
	}
	return all
}

// table lines up the metrics below a head: label, number, share of the input.
func table(metrics []message.Metric) string {
	rows := append([]message.Metric{{Label: "Metrics", Value: "records"}}, metrics...)
	if slices.ContainsFunc(metrics, func(m message.Metric) bool { return m.Share != "" }) {
		rows[0].Share = "of input"
	}
	label, value, share := 0, 0, 0
	for _, m := range rows {
		label = max(label, utf8.RuneCountInString(m.Label))
		value = max(value, utf8.RuneCountInString(m.Value))
		share = max(share, utf8.RuneCountInString(m.Share))
	}
	var lines []string
	for _, m := range rows {
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%-*s  %*s  %*s", label, m.Label, value, m.Value, share, m.Share), " "))
	}
	return strings.Join(lines, "\n")
}

func errorTitle(f *message.Failure) string {
	if f.Category == "" {
		return "*Error*"
	}
	return fmt.Sprintf("*Error* (%s)", mrkdwn(short(string(f.Category), 40)))
}

func bullets(title string, items []string) string {
	lines := []string{"*" + title + "*"}
	for _, item := range items {
		lines = append(lines, "•  "+mrkdwn(short(item, 500)))
	}
	return strings.Join(lines, "\n")
}

func outputs(all []message.Link) string {
	lines := []string{"*Output*"}
	for _, o := range all[:min(len(all), maxOutputs)] {
		lines = append(lines, link(o.URL, o.Label, 200))
	}
	if more := len(all) - maxOutputs; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	// Links of the greatest length would not all fit; what is left of them
	// must be whole lines.
	for text := strings.Join(lines, "\n"); ; text = strings.Join(lines, "\n") {
		if len(text) <= maxSection {
			return text
		}
		lines = lines[:len(lines)-1]
	}
}

// links are mrkdwn links rather than buttons: a button, even one that only
// opens a URL, wants an app that answers interactions.
func links(all []message.Link) string {
	var parts []string
	for _, l := range all {
		parts = append(parts, link(l.URL, l.Label, 75))
	}
	return strings.Join(parts, "  ·  ")
}

func plain(text string) *slackgo.TextBlockObject {
	return slackgo.NewTextBlockObject(slackgo.PlainTextType, text, false, false)
}

// marked is mrkdwn in which Slack looks for nothing that was not marked up.
func marked(text string) *slackgo.TextBlockObject {
	return slackgo.NewTextBlockObject(slackgo.MarkdownType, text, false, true)
}
