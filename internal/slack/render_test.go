package slack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	slackgo "github.com/slack-go/slack"
	"pgregory.net/rapid"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/event/drawn"
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/golden"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/message/messagetest"
)

const group = "<!subteam^S0DATATEAM>"

// now is long after every observation: every message is delayed.
var now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

var settings = message.Settings{RunbookURL: "https://wiki.example.com/id-mapping"}

func composed(t testing.TB, name string) message.Message {
	t.Helper()
	e, err := event.Decode(eventtest.Examples()[name])
	if err != nil {
		t.Fatal(err)
	}
	return message.Compose(e, e.Detail.ObservedAt, settings)
}

func asJSON(t testing.TB, r Rendered) []byte {
	t.Helper()
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(map[string]any{"text": r.Text, "blocks": r.Blocks}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestNoticesMatchGoldenFiles(t *testing.T) {
	for name, m := range messagetest.Notices() {
		t.Run(name, func(t *testing.T) {
			r := RenderCard(m, "")
			if err := r.Validate(); err != nil {
				t.Error(err)
			}
			golden.File(t, name+".card.json", asJSON(t, r))
		})
	}
}

func TestCardsAndRepliesMatchGoldenFiles(t *testing.T) {
	for name := range eventtest.Examples() {
		m := composed(t, name)
		t.Run(name, func(t *testing.T) {
			golden.File(t, name+".card.json", asJSON(t, RenderCard(m, group)))
			golden.File(t, name+".reply.json", asJSON(t, RenderReply(m, group)))
			golden.File(t, name+".simple.json", asJSON(t, RenderSimple(m, group)))
			golden.File(t, name+".plain.txt", []byte(RenderPlain(m, group).Text+"\n"))
		})
	}
}

// forms are a message in every form.
func forms(m message.Message) map[string]Rendered {
	return map[string]Rendered{"card": RenderCard(m, group), "reply": RenderReply(m, group), "simple": RenderSimple(m, group), "plain": RenderPlain(m, group)}
}

func TestEachEventRendersWithinSlacksLimits(t *testing.T) { rapid.Check(t, withinLimits) }

func withinLimits(t *rapid.T) {
	m := message.Compose(drawn.Event(t), now, settings)
	for kind, r := range forms(m) {
		if err := r.Validate(); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
	}
}

func TestTextIsTheTitleTheLeadAndTheNextStep(t *testing.T) {
	for name, want := range map[string]string{
		"success-batch":    "SUCCEEDED: customers-to-liveramp\n78.6% mapped of 12,471,902 records in 1 h 4 min, as usual",
		"failure-schema":   "FAILED: customers-to-liveramp\nSchema: The column customer_email of the schema mapping does not exist in the table crm.customers\nNext step: Compare the schema mapping with the input's columns and types. A mapping in use cannot change: create a new one.",
		"check-mapped-low": "SUCCEEDED, BUT CHECK: customers-to-liveramp\n41.2% mapped (5,138,424 of 12,471,902 records), usually 77–80% (last 50 runs)\nNext step: Hold back whatever reads this output.",
	} {
		m := composed(t, name)
		for kind, r := range map[string]Rendered{"card": RenderCard(m, group), "reply": RenderReply(m, group)} {
			if got := strings.ReplaceAll(r.Text, "\u00A0", " "); got != want {
				t.Errorf("%s of %s:\n got %s\nwant %s", kind, name, got, want)
			}
		}
	}
}

// ours matches the only markup that a message may have: the configured mention,
// dates, and links to https.
var ours = regexp.MustCompile(`<!subteam\^S0DATATEAM>|<!date\^-?[0-9]+\^[a-z_{} ]+\|[A-Z0-9][A-Za-z0-9: ]+>|<https://[^<>|]+\|[^<>|]*>`)

// codeParts matches code, in which nothing else is live.
var codeParts = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")

// shortcode matches an emoji, with a name in any script.
var shortcode = regexp.MustCompile(`:[\pL\pM\pN_+'-]+:`)

// autoLink matches what Slack makes a link by itself where text is not verbatim.
var autoLink = regexp.MustCompile(`(?i)[a-z]+://|[a-z0-9-]\.[a-z]{2,}|[a-z0-9]@[a-z0-9]`)

func TestTextFromOutsideIsInert(t *testing.T) { rapid.Check(t, outsideInert) }

func outsideInert(t *rapid.T) {
	m := message.Compose(drawn.Event(t), now, settings)
	for kind, r := range forms(m) {
		for _, text := range texts(r) {
			left := ours.ReplaceAllString(text, "")
			if strings.ContainsAny(left, "<>") {
				t.Fatalf("%s: markup in %q", kind, left)
			}
			if code := shortcode.FindString(codeParts.ReplaceAllString(left, "")); code != "" {
				t.Fatalf("%s: the emoji %s in %q", kind, code, left)
			}
			if kind != "plain" && text == r.Text {
				continue // no format in it means anything
			}
			left = codeParts.ReplaceAllString(left, "")
			if strings.ContainsAny(left, "~`") || strings.Count(left, "*")%2 != 0 {
				t.Fatalf("%s: a format in %q", kind, left)
			}
			if link := autoLink.FindString(left); kind == "plain" && link != "" {
				t.Fatalf("%s: the link %s in %q", kind, link, left)
			}
			if fences := strings.Count(text, "```"); fences%2 != 0 || fences > 2 {
				t.Fatalf("%s: %d code fences in %q", kind, fences, text)
			}
		}
		if kind != "plain" || m.Loud {
			continue
		}
		if strings.Contains(r.Text, group) {
			t.Fatalf("%s: mentioned, and not loud", kind)
		}
	}
	for kind, r := range forms(m) {
		if mentioned := strings.Contains(strings.Join(texts(r), "\n"), group); mentioned != m.Loud {
			t.Fatalf("%s: loud is %v, mentioned is %v", kind, m.Loud, mentioned)
		}
	}
}

// What people copy arrives byte for byte.
func TestCopiedTextIsTheOriginal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := message.Compose(drawn.Event(t), now, settings)
		var shown []string
		for _, r := range []Rendered{RenderCard(m, ""), RenderReply(m, "")} {
			for _, b := range r.Blocks {
				if rich, ok := b.(*slackgo.RichTextBlock); ok {
					shown = append(shown, richTexts(rich.Elements)...)
				}
			}
		}
		for _, l := range slices.Concat(m.Lead, m.Trend, m.Steps) {
			for _, s := range l {
				if s.Code && s.Text != "" && (m.Loud || slices.Contains([]string{m.Lead[0].Plain(nil)}, l.Plain(nil))) && !slices.Contains(shown, s.Text) {
					t.Fatalf("%q is not shown as it is", s.Text)
				}
			}
		}
		if m.Error != nil && len(m.Error.Text) <= maxError && m.Error.Text != "" && !slices.Contains(shown, m.Error.Text) {
			t.Fatalf("the error %q is not shown as it is", m.Error.Text)
		}
		if m.Terminal {
			for _, o := range m.Outputs[:min(len(m.Outputs), maxOutputs)] {
				if !slices.Contains(shown, shorten(o.Label, maxOutputLabel)) {
					t.Fatalf("the output %q is not shown as it is", o.Label)
				}
			}
		}
	})
}

func richTexts(elements []slackgo.RichTextElement) []string {
	var all []string
	spans := func(elements []slackgo.RichTextSectionElement) {
		for _, e := range elements {
			if text, ok := e.(*slackgo.RichTextSectionTextElement); ok {
				all = append(all, text.Text)
			}
		}
	}
	for _, e := range elements {
		switch e := e.(type) {
		case *slackgo.RichTextSection:
			spans(e.Elements)
		case *slackgo.RichTextPreformatted:
			spans(e.Elements)
		case *slackgo.RichTextList:
			all = append(all, richTexts(e.Elements)...)
		}
	}
	return all
}

// texts lists all texts of a message that Slack parses.
func texts(r Rendered) []string {
	all := []string{r.Text}
	for _, b := range r.Blocks {
		switch b := b.(type) {
		case *slackgo.HeaderBlock: // plain text without emoji: only the three characters mean something
			all = append(all, "`"+strings.ReplaceAll(b.Text.Text, "`", "'")+"`")
		case *slackgo.SectionBlock:
			all = append(all, b.Text.Text)
		case *slackgo.ContextBlock:
			for _, e := range b.ContextElements.Elements {
				all = append(all, e.(*slackgo.TextBlockObject).Text)
			}
		}
	}
	return all
}

// Ours and outside words alike are inert, whatever a sentence quotes.
func TestSentenceThatQuotesHostileTextIsInert(t *testing.T) {
	for _, text := range []string{drawn.Hostile, ":tada: :日本:", "Cannot send email to a@example.com: no.", "*x*: _y_", "see https://evil.example/a.", "> quote"} {
		for _, bold := range []bool{false, true} {
			m := message.Message{Word: text, Environment: text, Name: text, Lead: []message.Line{{{Text: text, Bold: bold}}}, Notes: []message.Line{{{Text: text}}}}
			for kind, r := range forms(m) {
				for _, shown := range texts(r) {
					left := codeParts.ReplaceAllString(strings.ReplaceAll(shown, "\n", " "), "")
					if strings.ContainsAny(left, "<>") || shortcode.MatchString(left) || strings.HasPrefix(left, "&gt;") || shown != r.Text && strings.ContainsAny(left, "_~`@") || kind == "plain" && autoLink.MatchString(left) {
						t.Errorf("%s of %q is live: %q", kind, text, left)
					}
				}
			}
		}
	}
}

func TestSimpleFormLeavesOutWhatDoesNotFit(t *testing.T) {
	long := message.Line{{Text: strings.Repeat("&", 700), Outside: true}}
	link := message.Link{Label: "Open job", URL: "https://" + strings.Repeat("x", 990)}
	r := RenderSimple(message.Message{Word: "FAILED", Lead: []message.Line{message.Plain("short"), long}, Trend: []message.Line{message.Plain("last")},
		Steps: []message.Line{long, message.Plain("Look.")}, Links: []message.Link{link, link, link}, Notes: []message.Line{long, message.Plain("note")}}, "")
	if err := r.Validate(); err != nil {
		t.Error(err)
	}
	text := strings.Join(texts(r), "\n")
	for _, want := range []string{"short\nlast", "2. Look.", "|Open job>", "\nnote"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestCodeTableFitsAPhone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := message.Compose(drawn.Event(t), now, settings)
		for _, line := range strings.Split(codeTable(m.Counters), "\n") {
			if n := characters(line); n > 36 {
				t.Fatalf("a line of %d characters: %q", n, line)
			}
		}
	})
	for _, c := range []struct {
		numbers []message.Number
		want    string
	}{
		{[]message.Number{{Label: "Input", Value: "12,480,331"}, {Label: "Mapped", Value: "9,803,117", Share: "78.6%"}}, "Input   12,480,331\nMapped   9,803,117 78.6%"},
		{[]message.Number{{Label: "Deletes processed", Value: "2,147,483,647", Share: "<0.1%"}}, "Deletes processed  2,147,483,647"},
		{[]message.Number{{Label: "Deletes processed", Value: "-9,223,372,036,854,775,808"}}, "Deletes processed\n  -9,223,372,036,854,775,808"},
		{[]message.Number{{Label: strings.Repeat("x", 60), Value: "8"}}, strings.Repeat("x", 18) + "…" + strings.Repeat("x", 17) + "\n  8"},
	} {
		if got := codeTable(c.numbers); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestTableHasNoEmptyCellAndNoEmptyColumn(t *testing.T) {
	with := table([]message.Number{{Label: "Input", Value: "1"}, {Label: "Mapped", Value: "1", Share: "100%"}})
	if cell := with.Rows[1][2].(*slackgo.TableRawTextCell).Text; cell != "–" || len(with.Rows) != 3 || len(with.ColumnSettings) != 3 {
		t.Errorf("a number without a share has %q in %d rows", cell, len(with.Rows))
	}
	if without := table([]message.Number{{Label: "Input", Value: "1"}}); len(without.Rows[0]) != 2 || len(without.ColumnSettings) != 2 {
		t.Errorf("numbers without shares have %d columns", len(without.Rows[0]))
	}
}

func TestOutputsBeyondTheLimitAreNotListed(t *testing.T) {
	for n, want := range map[int]int{5: 5, 7: 6} {
		m := message.Message{Word: "SUCCEEDED", Terminal: true}
		for i := range n {
			m.Outputs = append(m.Outputs, message.Link{Label: fmt.Sprintf("s3://b/%d", i)})
		}
		r := RenderReply(m, "")
		if rich := r.Blocks[len(r.Blocks)-1].(*slackgo.RichTextBlock); len(rich.Elements) != want {
			t.Errorf("%d outputs: %d lines", n, len(rich.Elements))
		}
	}
}

func TestEmptyPartsOfAMessageMakeNoBlock(t *testing.T) {
	m := message.Message{Word: "FAILED", Name: "crm", Severity: message.Bad}
	for kind, want := range map[string]int{"card": 1, "reply": 1, "simple": 1, "plain": 0} {
		if r := forms(m)[kind]; r.Validate() != nil || len(r.Blocks) != want || r.Text != "FAILED: crm" {
			t.Errorf("%s: %d blocks, text %q (%v)", kind, len(r.Blocks), r.Text, r.Validate())
		}
	}
}

func TestPlainMessageHasNoEmptyLine(t *testing.T) {
	for _, mention := range []string{"", group} {
		m := message.Message{Word: "FAILED", Name: "crm", Severity: message.Bad, Loud: true, Lead: []message.Line{message.Plain("no access")},
			Steps: []message.Line{message.Plain("Look.")}, Retry: message.Plain("It may help."), Links: []message.Link{{Label: "Open job", URL: "https://x"}}}
		want := strings.ReplaceAll("FAILED: crm\nno access\n"+mention+"\n*Next step*\n1. Look.\nIt may help.\n<https://x|Open job>", "\n\n", "\n")
		if got := strings.ReplaceAll(RenderPlain(m, mention).Text, "`", ""); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func BenchmarkRenderCard(b *testing.B) {
	m := composed(b, "failure-third")
	for b.Loop() {
		if _, err := json.Marshal(RenderCard(m, group).Blocks); err != nil {
			b.Fatal(err)
		}
	}
}

func TestValidateFindsWhatSlackRefuses(t *testing.T) {
	section := func(n int) slackgo.Block {
		return slackgo.NewSectionBlock(mrkdwnText(strings.Repeat("x", n)), nil, nil)
	}
	header := func(n int) slackgo.Block { return slackgo.NewHeaderBlock(plainText(strings.Repeat("x", n))) }
	fields := func(n, length int) slackgo.Block {
		return slackgo.NewSectionBlock(nil, slices.Repeat([]*slackgo.TextBlockObject{mrkdwnText(strings.Repeat("x", length))}, n), nil)
	}
	parts := func(n, length int) slackgo.Block {
		return slackgo.NewContextBlock("", slices.Repeat([]slackgo.MixedElement{mrkdwnText(strings.Repeat("x", length))}, n)...)
	}
	blocks := func(all ...slackgo.Block) Rendered { return Rendered{Text: "t", Blocks: all} }
	for name, r := range map[string]Rendered{
		"text":     {Text: strings.Repeat("ä", 40_000)},
		"header":   blocks(header(150)),
		"section":  blocks(section(3000)),
		"fields":   blocks(fields(10, 1)),
		"field":    blocks(fields(1, 2000)),
		"context":  blocks(parts(10, 1)),
		"element":  blocks(parts(1, 3000)),
		"blocks":   blocks(slices.Repeat([]slackgo.Block{section(1)}, 50)...),
		"table":    blocks(table(slices.Repeat([]message.Number{{Label: "x", Value: "1"}}, 99))),
		"rich":     blocks(rich(preformatted(strings.Repeat("x", 13_000)))),
		"all text": blocks(section(3000), section(3000), section(3000), section(3000), section(1000)),
	} {
		if err := r.Validate(); err != nil {
			t.Errorf("as much as is allowed of %s: %v", name, err)
		}
	}
	for name, r := range map[string]Rendered{
		"no text":          {},
		"a long header":    blocks(header(151)),
		"a long section":   blocks(section(3001)),
		"an empty section": blocks(section(0)),
		"no fields":        blocks(fields(0, 0)),
		"too many fields":  blocks(fields(11, 1)),
		"a long field":     blocks(fields(1, 2001)),
		"an empty field":   blocks(fields(1, 0)),
		"an empty context": blocks(parts(0, 0)),
		"many in context":  blocks(parts(11, 1)),
		"a long element":   blocks(parts(1, 3001)),
		"too many blocks":  blocks(slices.Repeat([]slackgo.Block{section(1)}, 51)...),
		"too much in all":  blocks(section(3000), section(3000), section(3000), section(3000), section(1001)),
		"too long a text":  {Text: strings.Repeat("x", 40_001)},
		"an unknown block": blocks(slackgo.NewDividerBlock()),
		"two tables":       blocks(table([]message.Number{{Label: "x"}}), table([]message.Number{{Label: "x"}})),
		"a long table":     blocks(table(slices.Repeat([]message.Number{{Label: "x", Value: "1"}}, 100))),
		"an empty table":   blocks(&slackgo.TableBlock{Type: slackgo.MBTTable}),
		"an empty row":     blocks(&slackgo.TableBlock{Type: slackgo.MBTTable, Rows: [][]slackgo.TableCell{{}}}),
		"a wide row":       blocks(&slackgo.TableBlock{Type: slackgo.MBTTable, Rows: [][]slackgo.TableCell{slices.Repeat([]slackgo.TableCell{slackgo.NewTableRawTextCell("x")}, 21)}}),
		"an empty cell":    blocks(&slackgo.TableBlock{Type: slackgo.MBTTable, Rows: [][]slackgo.TableCell{{slackgo.NewTableRawTextCell("")}}}),
		"a number cell":    blocks(&slackgo.TableBlock{Type: slackgo.MBTTable, Rows: [][]slackgo.TableCell{{slackgo.NewTableRawNumberCell(1)}}}),
		"much in a table":  blocks(table(slices.Repeat([]message.Number{{Label: strings.Repeat("x", 200), Value: "1"}}, 50))),
		"many settings":    blocks(&slackgo.TableBlock{Type: slackgo.MBTTable, Rows: table(nil).Rows, ColumnSettings: make([]slackgo.ColumnSetting, 21)}),
		"empty rich text":  blocks(rich()),
		"an empty text":    blocks(rich(slackgo.NewRichTextSection(textElement("x", nil), textElement("", nil)))),
		"an empty link":    blocks(rich(slackgo.NewRichTextSection(slackgo.NewRichTextSectionLinkElement("https://x", "", nil)))),
		"a link to nil":    blocks(rich(slackgo.NewRichTextSection(slackgo.NewRichTextSectionLinkElement("", "x", nil)))),
		"a long link":      blocks(rich(slackgo.NewRichTextSection(slackgo.NewRichTextSectionLinkElement(strings.Repeat("x", 3001), "x", nil)))),
		"a rich emoji":     blocks(rich(slackgo.NewRichTextSection(textElement("x", nil), slackgo.NewRichTextSectionEmojiElement("tada", 0, nil)))),
		"a rich quote":     blocks(rich(slackgo.NewRichTextSection(textElement("x", nil)), &slackgo.RichTextQuote{Type: slackgo.RTEQuote})),
		"long rich text":   blocks(rich(preformatted(strings.Repeat("x", 13_001)))),
		"an image":         blocks(slackgo.NewContextBlock("", slackgo.NewImageBlockElement("https://x", "x"))),
	} {
		if r.Validate() == nil {
			t.Errorf("%s is valid", name)
		}
	}
}

func FuzzCode(f *testing.F) {
	for _, s := range []string{"", "```", "a`", drawn.Hostile, strings.Repeat("<", 5000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, got := range []string{code(s), inert(s), fence(s)} {
			if left := codeParts.ReplaceAllString(got, ""); strings.ContainsAny(got, "<>") || strings.ContainsAny(left, "*_~:@#") && !strings.Contains(s, "\n") {
				t.Errorf("%q is %q", s, got)
			}
		}
	})
}

func TestSummaryDropsJobsThatExceedSlacksLimitsAndCountsThem(t *testing.T) {
	for length, listed := range map[int]int{100: 20, 350: 20, 900: 9} {
		m := message.Message{Word: "LATE", Name: "30", MoreJobs: 10}
		for range 20 {
			m.Jobs = append(m.Jobs, message.Link{Label: "FAILED: crm", URL: "https://" + strings.Repeat("x", length-8)})
		}
		for kind, r := range map[string]Rendered{"card": RenderCard(m, ""), "simple": RenderSimple(m, ""), "plain": RenderPlain(m, "")} {
			text := strings.Join(texts(r), "\n")
			if err := r.Validate(); err != nil {
				t.Errorf("%s of links of %d bytes: %v", kind, length, err)
			}
			if got := strings.Count(text, "|FAILED: crm>"); got != listed || !strings.Contains(text, fmt.Sprintf("\nand %d more", 30-listed)) {
				t.Errorf("%s of links of %d bytes: %d jobs are listed, want %d", kind, length, got, listed)
			}
		}
	}
}
