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

// Rendered is a message in Slack's form. Phones and screen readers read Text,
// desktop notifications the first block (Slack's changelog of 2026-07-13,
// "Notification changes"): both are the same plain sentence.
type Rendered struct {
	Text   string
	Blocks []slackgo.Block
}

const (
	maxOutputs = 5   // of a card
	maxHeader  = 150 // characters (Slack: "Block Kit", header block)
	// maxSection is the most bytes in a section. Slack accepts 3,000 characters.
	maxSection = 2900
	// maxJobSections keeps a summary below the limit on all blocks together.
	maxJobSections = 3
)

// icons stand beside the status, never instead of it.
var icons = map[message.Severity]string{
	message.Neutral: ":large_blue_circle:",
	message.Good:    ":white_check_mark:",
	message.Bad:     ":x:",
}

// RenderCard renders the message that stands for a job. mention is mrkdwn, or
// empty; it appears on failures only.
func RenderCard(m message.Message, mention string) Rendered {
	r := Rendered{Text: fitEscaped(m.Headline, maxHeader)}
	r.add(slackgo.NewHeaderBlock(plainText(r.Text)))
	r.addMention(m, mention)
	if len(m.Fields) > 0 {
		r.add(slackgo.NewSectionBlock(nil, fieldTexts(m), nil))
	}
	if m.Failure != nil {
		r.addSection(errorTitle(m.Failure) + "\n" + codeBlock(m.Failure.Text, maxSection-100))
		r.addSection(bulletList("What to do", m.Failure.Advice))
	}
	for _, text := range jobLists(m) {
		r.addSection(text)
	}
	if len(m.Metrics) > 0 {
		r.addSection(codeBlock(metricTable(m.Metrics), maxSection))
	}
	if len(m.Outputs) > 0 {
		r.addSection(outputLines(m.Outputs))
	}
	if len(m.Links) > 0 {
		r.addSection(linkLine(m.Links))
	}
	r.addContext(m.Notes, " ")
	r.addContext(m.Footer, "  ·  ")
	return r
}

// RenderReply renders one transition for the job's thread, and on failures for
// the channel.
func RenderReply(m message.Message, mention string) Rendered {
	r := Rendered{Text: fitEscaped(m.Headline, maxHeader)}
	r.add(slackgo.NewSectionBlock(plainText(r.Text), nil, nil))
	r.addMention(m, mention)
	if m.Failure != nil {
		r.addSection(codeBlock(m.Failure.Text, 1000))
		r.addSection(bulletList("What to do", m.Failure.Advice))
	}
	if m.Severity == message.Bad && len(m.Links) > 0 {
		r.addSection(linkLine(m.Links))
	}
	r.addContext(m.Notes, " ")
	return r
}

// RenderPlain renders the card without blocks, for when Slack refuses them.
func RenderPlain(m message.Message, mention string) Rendered {
	lines := []string{fitEscaped(m.Headline, maxHeader)}
	if m.Severity == message.Bad && mention != "" {
		lines = append(lines, mention)
	}
	if m.Failure != nil {
		lines = append(lines, codeBlock(m.Failure.Text, maxSection))
	}
	lines = append(lines, jobLists(m)...)
	for _, l := range m.Links {
		lines = append(lines, formatLink(l.URL, l.Label, 75))
	}
	return Rendered{Text: strings.Join(lines, "\n")}
}

func (r *Rendered) add(b slackgo.Block) { r.Blocks = append(r.Blocks, b) }

func (r *Rendered) addSection(text string) {
	r.add(slackgo.NewSectionBlock(mrkdwnText(text), nil, nil))
}

func (r *Rendered) addMention(m message.Message, mention string) {
	if mention != "" && m.Severity == message.Bad {
		r.addSection(mention)
	}
}

// addContext adds a line of small print.
func (r *Rendered) addContext(parts []string, between string) {
	if len(parts) == 0 {
		return
	}
	var safe []string
	for _, p := range parts {
		safe = append(safe, escapeMrkdwn(truncate(p, 250)))
	}
	r.add(slackgo.NewContextBlock("", mrkdwnText(strings.Join(safe, between))))
}

func fieldTexts(m message.Message) []*slackgo.TextBlockObject {
	var all []*slackgo.TextBlockObject
	for _, f := range m.Fields[:min(len(m.Fields), 10)] {
		value := escapeMrkdwn(truncate(f.Value, 300))
		if f.Label == "Status" {
			value = icons[m.Severity] + " " + value
		}
		all = append(all, mrkdwnText("*"+escapeMrkdwn(f.Label)+"*\n"+value))
	}
	return all
}

// metricTable aligns the metrics below a header: label, number, share of the input.
func metricTable(metrics []message.Metric) string {
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
	return fmt.Sprintf("*Error* (%s)", escapeMrkdwn(truncate(string(f.Category), 40)))
}

func bulletList(title string, items []string) string {
	lines := []string{"*" + title + "*"}
	for _, item := range items {
		lines = append(lines, "•  "+escapeMrkdwn(truncate(item, 500)))
	}
	return strings.Join(lines, "\n")
}

func outputLines(all []message.Link) string {
	lines := []string{"*Output*"}
	for _, o := range all[:min(len(all), maxOutputs)] {
		lines = append(lines, formatLink(o.URL, o.Label, 200))
	}
	if more := len(all) - maxOutputs; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	// Links of the greatest length do not all fit: drop whole lines.
	for text := strings.Join(lines, "\n"); ; text = strings.Join(lines, "\n") {
		if len(text) <= maxSection {
			return text
		}
		lines = lines[:len(lines)-1]
	}
}

// jobLists lists a summary's jobs in as few sections as they need. Links of the
// greatest length do not all fit: the last section ends with how many are
// missing.
func jobLists(m message.Message) []string {
	if len(m.Jobs) == 0 {
		return nil
	}
	sections := []string{"*Jobs*"}
	listed := 0
	for _, j := range m.Jobs {
		line := formatLink(j.URL, j.Label, 250)
		last := len(sections) - 1
		if len(sections[last])+1+len(line) <= maxSection-50 {
			sections[last] += "\n" + line
		} else if len(sections) < maxJobSections && len(line) <= maxSection-50 {
			sections = append(sections, line)
		} else {
			break
		}
		listed++
	}
	if more := m.MoreJobs + len(m.Jobs) - listed; more > 0 {
		sections[len(sections)-1] += fmt.Sprintf("\nand %s more", message.Grouped(int64(more)))
	}
	return sections
}

// linkLine has mrkdwn links rather than buttons: a button, even one that only
// opens a URL, needs an app that answers interactions.
func linkLine(all []message.Link) string {
	var parts []string
	for _, l := range all {
		parts = append(parts, formatLink(l.URL, l.Label, 75))
	}
	return strings.Join(parts, "  ·  ")
}

func plainText(text string) *slackgo.TextBlockObject {
	return slackgo.NewTextBlockObject(slackgo.PlainTextType, text, false, false)
}

// mrkdwnText is mrkdwn in which Slack adds no links of its own (verbatim).
func mrkdwnText(text string) *slackgo.TextBlockObject {
	return slackgo.NewTextBlockObject(slackgo.MarkdownType, text, false, true)
}
