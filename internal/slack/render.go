// Package slack renders a message in Block Kit and sends it, by a bot token or
// by an incoming webhook.
package slack

import (
	"slices"
	"strings"
	"time"

	slackgo "github.com/slack-go/slack"

	"github.com/idmapping/notifier/internal/message"
)

// Rendered is a message in Slack's form. Phones and screen readers read Text,
// desktop notifications the first blocks (Slack's changelog of 2026-07-13,
// "Notification changes").
type Rendered struct {
	Text   string
	Blocks []slackgo.Block
}

const (
	maxHeader  = 150 // characters (Slack: "Block Kit", header block)
	maxTop     = 600 // characters of Text
	maxOutputs = 5   // of a reply
	// Longer labels and links of outputs together pass the limit on all blocks.
	maxOutputLabel = 300  // characters
	maxOutputURL   = 500  // bytes
	maxError       = 4096 // bytes of an error, as many as an event has
	// maxSection is the most bytes in a section. Slack accepts 3,000 characters.
	maxSection = 2900
	// maxJobSections keeps a summary below the limit on all blocks together.
	maxJobSections = 3
)

const (
	between      = "  ·  "
	nextStep     = "Next step"
	dateAndTime  = "{date_short_pretty} {time}"
	timeOnly     = "{time}"
	numberedList = slackgo.RTEListOrdered
)

// RenderCard renders the message that stands for a job: what is needed to act. The
// thread has the rest. mention is mrkdwn, or empty.
//
// Outside text is in rich text or in a table, where Slack shows it as it is, and
// copies it byte for byte.
func RenderCard(m message.Message, mention string) Rendered {
	r := Rendered{Text: topText(m), Blocks: make([]slackgo.Block, 0, 8)}
	r.add(slackgo.NewHeaderBlock(plainText(header(m))))
	r.addRich(lines(m.Lead, m.Trend)...)
	r.addMention(m, mention)
	r.addSteps(m)
	r.addLinks(m.Links)
	if len(m.Numbers) > 0 {
		r.add(table(m.Numbers))
	}
	for _, text := range jobLists(m) {
		r.addSection(text)
	}
	r.addContext(m)
	return r
}

// RenderReply renders one transition for the job's thread: the whole error, all
// counters and the outputs. A reply that the channel shows too has what the card
// has.
func RenderReply(m message.Message, mention string) Rendered {
	r := Rendered{Text: topText(m), Blocks: make([]slackgo.Block, 0, 8)}
	title := section(textElement(m.Symbol()+" ", nil), textElement(m.Title(), &boldStyle))
	r.add(rich(append([]slackgo.RichTextElement{title}, lines(m.Lead, m.Trend)...)...))
	r.addMention(m, mention)
	if m.Loud {
		r.addSteps(m)
	}
	if m.Severity >= message.Check {
		r.addLinks(m.Links)
	}
	if m.Error != nil && m.Error.Text != "" {
		r.add(rich(preformatted(truncateMiddle(m.Error.Text, maxError))))
	}
	if m.Terminal && len(m.Counters) > 0 {
		r.add(rich(preformatted(codeTable(m.Counters))))
	}
	if m.Terminal {
		r.addOutputs(m.Outputs)
	}
	r.addNotes(m)
	return r
}

// RenderSimple renders the card with blocks that Slack has had for years, for when
// it refuses the newer ones.
func RenderSimple(m message.Message, mention string) Rendered {
	r := Rendered{Text: topText(m)}
	r.add(slackgo.NewHeaderBlock(plainText(header(m))))
	var body []string
	for _, l := range append(m.Lead[:len(m.Lead):len(m.Lead)], m.Trend...) {
		body = append(body, mrkdwn(l))
	}
	r.addSection(joinFitting(body, "\n"))
	r.addMention(m, mention)
	r.addSection(joinFitting(mrkdwnSteps(m), "\n"))
	r.addSection(joinFitting(mrkdwnLinks(m.Links), between))
	if len(m.Numbers) > 0 {
		r.addSection(fence(codeTable(m.Numbers)))
	}
	for _, text := range jobLists(m) {
		r.addSection(text)
	}
	r.addContext(m)
	return r
}

// RenderPlain renders the card without blocks, for when Slack refuses them all.
func RenderPlain(m message.Message, mention string) Rendered {
	title := inert(m.Word)
	if m.Name != "" {
		title += ": " + inert(m.Name)
	}
	if m.Environment != "" {
		title = "[" + inert(m.Environment) + "] " + title
	}
	text := []string{title}
	for _, l := range append(m.Lead[:len(m.Lead):len(m.Lead)], m.Trend...) {
		text = append(text, mrkdwn(l))
	}
	if m.Loud && mention != "" {
		text = append(text, mention)
	}
	text = append(text, mrkdwnSteps(m)...)
	text = append(text, jobLists(m)...)
	if len(m.Links) > 0 {
		text = append(text, strings.Join(mrkdwnLinks(m.Links), between))
	}
	return Rendered{Text: strings.Join(text, "\n")}
}

// header is the title with its icon. A long name is cut in the middle.
func header(m message.Message) string {
	name, environment := m.Name, m.Environment
	for room := maxHeader; room > 0; room -= 10 {
		m.Name, m.Environment = shorten(name, room), shorten(environment, room)
		if whole := escape(m.Symbol() + " " + m.Title()); characters(whole) <= maxHeader {
			return whole
		}
	}
	return fitEscaped(m.Word, maxHeader)
}

// topText is the text of a push notification and of a screen reader.
func topText(m message.Message) string {
	var b strings.Builder
	for i, l := range m.Text() {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(withoutShortcodes(l))
	}
	return fitEscaped(b.String(), maxTop)
}

func (r *Rendered) add(b slackgo.Block) { r.Blocks = append(r.Blocks, b) }

func (r *Rendered) addRich(elements ...slackgo.RichTextElement) {
	if len(elements) > 0 {
		r.add(rich(elements...))
	}
}

func (r *Rendered) addSection(text string) {
	if text != "" {
		r.add(slackgo.NewSectionBlock(mrkdwnText(text), nil, nil, slackgo.SectionBlockOptionExpand(true)))
	}
}

func (r *Rendered) addMention(m message.Message, mention string) {
	if mention != "" && m.Loud {
		r.add(slackgo.NewSectionBlock(mrkdwnText(mention), nil, nil))
	}
}

func (r *Rendered) addSteps(m message.Message) {
	if len(m.Steps) == 0 {
		return
	}
	elements := []slackgo.RichTextElement{section(textElement(nextStep, &boldStyle))}
	items := make([]slackgo.RichTextElement, len(m.Steps))
	for i, step := range m.Steps {
		items[i] = section(spans(step)...)
	}
	elements = append(elements, slackgo.NewRichTextList(numberedList, 0, items...))
	if len(m.Retry) > 0 {
		elements = append(elements, section(spans(m.Retry)...))
	}
	r.add(rich(elements...))
}

// addLinks adds links rather than buttons: a button, even one that only opens a
// URL, needs an app that answers interactions.
func (r *Rendered) addLinks(links []message.Link) {
	if len(links) == 0 {
		return
	}
	var elements []slackgo.RichTextSectionElement
	for i, l := range links {
		if i > 0 {
			elements = append(elements, textElement(between, nil))
		}
		elements = append(elements, slackgo.NewRichTextSectionLinkElement(l.URL, l.Label, nil))
	}
	r.add(rich(section(elements...)))
}

func (r *Rendered) addOutputs(outputs []message.Link) {
	var elements []slackgo.RichTextElement
	for i, o := range outputs {
		if i == maxOutputs {
			elements = append(elements, section(textElement("and more", nil)))
			break
		}
		parts := []slackgo.RichTextSectionElement{textElement("Output: ", nil), textElement(shorten(o.Label, maxOutputLabel), &codeStyle)}
		if o.URL != "" && len(o.URL) <= maxOutputURL {
			parts = append(parts, textElement(" ", nil), slackgo.NewRichTextSectionLinkElement(o.URL, "Open in S3", nil))
		}
		elements = append(elements, section(parts...))
	}
	r.addRich(elements...)
}

// addContext adds the small print.
func (r *Rendered) addContext(m message.Message) {
	var parts []string
	for _, l := range m.Notes {
		parts = append(parts, mrkdwn(l))
	}
	if facts := factLine(m.Facts); facts != "" {
		parts = append(parts, facts)
	}
	if text := joinFitting(parts, "\n"); text != "" {
		r.add(slackgo.NewContextBlock("", mrkdwnText(text)))
	}
}

func (r *Rendered) addNotes(m message.Message) {
	m.Facts = nil
	if m.JobID != "" {
		m.Facts = []message.Line{{{Text: "job "}, {Text: shorten(m.JobID, 200), Code: true}}}
	}
	r.addContext(m)
}

func factLine(facts []message.Line) string {
	var b strings.Builder
	for i, l := range facts {
		if i > 0 {
			b.WriteString(between)
		}
		b.WriteString(mrkdwn(l))
	}
	return b.String()
}

// table shows numbers in a table. A cell must not be empty, and Slack has refused
// raw_number cells (slack-go: TableBlock).
func table(numbers []message.Number) *slackgo.TableBlock {
	cell := func(text string) slackgo.TableCell {
		if text == "" {
			text = "–"
		}
		return slackgo.NewTableRawTextCell(text)
	}
	rows := make([][]slackgo.TableCell, 0, len(numbers)+1)
	shares := hasShares(numbers)
	columns := []slackgo.ColumnSetting{{Align: slackgo.ColumnAlignmentLeft, IsWrapped: true}, {Align: slackgo.ColumnAlignmentRight}, {Align: slackgo.ColumnAlignmentRight}}
	add := func(label, value, share string) {
		row := []slackgo.TableCell{cell(label), cell(value)}
		if shares {
			row = append(row, cell(share))
		}
		rows = append(rows, row)
	}
	if !shares {
		columns = columns[:2]
	}
	add("Records", "This run", "Share")
	for _, n := range numbers {
		add(n.Label, n.Value, n.Share)
	}
	return &slackgo.TableBlock{Type: slackgo.MBTTable, Rows: rows, ColumnSettings: columns}
}

func hasShares(numbers []message.Number) bool {
	for _, n := range numbers {
		if n.Share != "" {
			return true
		}
	}
	return false
}

// maxColumns is what a phone shows of a code table without a break.
const maxColumns = 36

// codeTable aligns numbers: label, value, share. Where a line would be too wide for
// a phone, the shares are left out, and then the value is on a line of its own.
func codeTable(numbers []message.Number) string {
	label, value, share := 0, 0, 0
	for i, n := range numbers {
		if characters(n.Label) > maxColumns {
			numbers = slices.Clone(numbers)
			numbers[i].Label = shorten(n.Label, maxColumns)
			n = numbers[i]
		}
		label, value, share = max(label, characters(n.Label)), max(value, characters(n.Value)), max(share, characters(n.Share))
	}
	withShare := share > 0 && label+2+value+1+share <= maxColumns
	var b strings.Builder
	pad := func(n int) {
		for range n {
			b.WriteByte(' ')
		}
	}
	for i, n := range numbers {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(n.Label)
		if label+2+value > maxColumns {
			b.WriteString("\n  ")
		} else {
			pad(label - characters(n.Label) + 2 + value - characters(n.Value))
		}
		b.WriteString(n.Value)
		if withShare && n.Share != "" {
			pad(1 + share - characters(n.Share))
			b.WriteString(n.Share)
		}
	}
	return b.String()
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
		sections[len(sections)-1] += "\nand " + message.Grouped(int64(more)) + " more"
	}
	return sections
}

func mrkdwnLinks(all []message.Link) []string {
	parts := make([]string, len(all))
	for i, l := range all {
		parts[i] = formatLink(l.URL, l.Label, 75)
	}
	return parts
}

// joinFitting joins as many parts as fit a section, and leaves out those that do
// not: a cut part could be live. Only hostile parts are so long.
func joinFitting(parts []string, with string) string {
	var b strings.Builder
	for _, p := range parts {
		if b.Len()+len(with)+len(p) > maxSection {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(with)
		}
		b.WriteString(p)
	}
	return b.String()
}

func mrkdwnSteps(m message.Message) []string {
	if len(m.Steps) == 0 {
		return nil
	}
	all := []string{"*" + nextStep + "*"}
	for i, step := range m.Steps {
		all = append(all, string(rune('1'+i%9))+". "+mrkdwn(step))
	}
	if len(m.Retry) > 0 {
		all = append(all, mrkdwn(m.Retry))
	}
	return all
}

// The styles are shared: slack-go only reads them.
var (
	boldStyle = slackgo.RichTextSectionTextStyle{Bold: true}
	codeStyle = slackgo.RichTextSectionTextStyle{Code: true}
)

func rich(elements ...slackgo.RichTextElement) *slackgo.RichTextBlock {
	return slackgo.NewRichTextBlock("", elements...)
}

func section(elements ...slackgo.RichTextSectionElement) *slackgo.RichTextSection {
	return slackgo.NewRichTextSection(elements...)
}

func textElement(text string, style *slackgo.RichTextSectionTextStyle) *slackgo.RichTextSectionTextElement {
	return slackgo.NewRichTextSectionTextElement(text, style)
}

func preformatted(text string) *slackgo.RichTextPreformatted {
	return &slackgo.RichTextPreformatted{Type: slackgo.RTEPreformatted, Elements: []slackgo.RichTextSectionElement{textElement(text, nil)}}
}

// lines makes a section of each line: Slack shows each on a line of its own.
func lines(groups ...[]message.Line) []slackgo.RichTextElement {
	var all []slackgo.RichTextElement
	for _, group := range groups {
		for _, l := range group {
			if elements := spans(l); len(elements) > 0 {
				all = append(all, section(elements...))
			}
		}
	}
	return all
}

func spans(l message.Line) []slackgo.RichTextSectionElement {
	all := make([]slackgo.RichTextSectionElement, 0, len(l))
	for _, s := range l {
		switch {
		case !s.Time.IsZero():
			format, fallback := dateFormat(s), s.Plain(time.UTC)
			all = append(all, slackgo.NewRichTextSectionDateElement(s.Time.Unix(), format, nil, &fallback))
		case s.Text == "":
		case s.Code:
			all = append(all, textElement(s.Text, &codeStyle))
		case s.Bold:
			all = append(all, textElement(s.Text, &boldStyle))
		default:
			all = append(all, textElement(s.Text, nil))
		}
	}
	return all
}

func dateFormat(s message.Span) string {
	if s.Clock {
		return timeOnly
	}
	return dateAndTime
}

func plainText(text string) *slackgo.TextBlockObject {
	return slackgo.NewTextBlockObject(slackgo.PlainTextType, text, false, false)
}

// mrkdwnText is mrkdwn in which Slack adds no links of its own (verbatim).
func mrkdwnText(text string) *slackgo.TextBlockObject {
	return slackgo.NewTextBlockObject(slackgo.MarkdownType, text, false, true)
}
