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
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/message/messagetest"
)

const group = "<!subteam^S0DATATEAM>"

// now is long after every observation: every message is delayed.
var now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func composed(t testing.TB, name string) message.Message {
	t.Helper()
	e, err := event.Decode(eventtest.Examples()[name])
	if err != nil {
		t.Fatal(err)
	}
	return message.Compose(e, e.Detail.ObservedAt)
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
			eventtest.Golden(t, name+".card.json", asJSON(t, r))
		})
	}
}

func TestCardsAndRepliesMatchGoldenFiles(t *testing.T) {
	for name := range eventtest.Examples() {
		m := composed(t, name)
		t.Run(name, func(t *testing.T) {
			eventtest.Golden(t, name+".card.json", asJSON(t, RenderCard(m, group)))
			eventtest.Golden(t, name+".reply.json", asJSON(t, RenderReply(m, group)))
		})
	}
}

func TestEachEventRendersWithinSlacksLimits(t *testing.T) { rapid.Check(t, withinLimits) }

func withinLimits(t *rapid.T) {
	m := message.Compose(eventtest.Event(t), now)
	for kind, r := range map[string]Rendered{"card": RenderCard(m, group), "reply": RenderReply(m, group), "plain": RenderPlain(m, group)} {
		if err := r.Validate(); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
	}
}

func TestTextAndFirstBlockAreTheSameSentence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := message.Compose(eventtest.Event(t), now)
		for _, r := range []Rendered{RenderCard(m, group), RenderReply(m, group)} {
			var first *slackgo.TextBlockObject
			switch b := r.Blocks[0].(type) {
			case *slackgo.HeaderBlock:
				first = b.Text
			case *slackgo.SectionBlock:
				first = b.Text
			}
			if first.Text != r.Text || first.Type != "plain_text" {
				t.Fatalf("first block %q (%s), text %q", first.Text, first.Type, r.Text)
			}
		}
	})
}

// ours matches the only markup that a message may have: the configured mention
// and links to https.
var ours = regexp.MustCompile(`<!subteam\^S0DATATEAM>|<https://[^<>|]+\|[^<>|]*>`)

func TestTextFromOutsideIsInert(t *testing.T) { rapid.Check(t, inert) }

func inert(t *rapid.T) {
	m := message.Compose(eventtest.Event(t), now)
	for kind, r := range map[string]Rendered{"card": RenderCard(m, group), "reply": RenderReply(m, group), "plain": RenderPlain(m, group)} {
		for _, text := range texts(r) {
			if left := ours.ReplaceAllString(text, ""); strings.ContainsAny(left, "<>") {
				t.Fatalf("%s: markup in %q", kind, left)
			}
			body := strings.TrimPrefix(text, fitEscaped(m.Headline, maxHeader)) // plain, or a push's one line
			if fences := strings.Count(body, "```"); fences%2 != 0 || fences > 2 {
				t.Fatalf("%s: %d code fences in %q", kind, fences, text)
			}
		}
		if mentioned := strings.Contains(strings.Join(texts(r), "\n"), group); mentioned != (m.Severity == message.Bad) {
			t.Fatalf("%s of severity %d: mentioned = %v", kind, m.Severity, mentioned)
		}
	}
}

// texts lists all texts of a message.
func texts(r Rendered) []string {
	all := []string{r.Text}
	for _, b := range r.Blocks {
		switch b := b.(type) {
		case *slackgo.HeaderBlock:
			all = append(all, b.Text.Text)
		case *slackgo.SectionBlock:
			if b.Text != nil {
				all = append(all, b.Text.Text)
			}
			for _, f := range b.Fields {
				all = append(all, f.Text)
			}
		case *slackgo.ContextBlock:
			for _, e := range b.ContextElements.Elements {
				all = append(all, e.(*slackgo.TextBlockObject).Text)
			}
		}
	}
	return all
}

func TestOutputsBeyondTheLimitAreCounted(t *testing.T) {
	for n, want := range map[int]string{5: "s3://b/4", 7: "and 2 more"} {
		var all []message.Link
		for i := range n {
			all = append(all, message.Link{Label: fmt.Sprintf("s3://b/%d", i)})
		}
		lines := strings.Split(outputLines(all), "\n")
		if last := lines[len(lines)-1]; last != want || len(lines) != 1+min(n, 6) {
			t.Errorf("%d outputs: %q", n, lines)
		}
	}
}

func TestPlainMessageHasNoEmptyLine(t *testing.T) {
	for _, mention := range []string{"", group} {
		m := message.Message{Headline: "FAILED: crm", Severity: message.Bad, Failure: &message.Failure{Text: "no access"}, Links: []message.Link{{Label: "Open job", URL: "https://x"}}}
		want := strings.ReplaceAll("FAILED: crm\n"+mention+"\n```no access```\n<https://x|Open job>", "\n\n", "\n")
		if got := RenderPlain(m, mention).Text; got != want {
			t.Errorf("%q, want %q", got, want)
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
		"an image":         blocks(slackgo.NewContextBlock("", slackgo.NewImageBlockElement("https://x", "x"))),
	} {
		if r.Validate() == nil {
			t.Errorf("%s is valid", name)
		}
	}
}

func FuzzCode(f *testing.F) {
	for _, s := range []string{"", "```", "a`", eventtest.Hostile, strings.Repeat("<", 5000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := codeBlock(s, 1000)
		if len(got) > 1000 || strings.Count(got, "```") != 2 || strings.ContainsAny(got, "<>") || !strings.HasSuffix(got, "```") {
			t.Errorf("codeBlock(%q) = %q", s, got)
		}
	})
}

func TestSummaryDropsJobsThatExceedSlacksLimitsAndCountsThem(t *testing.T) {
	for length, listed := range map[int]int{100: 20, 350: 20, 900: 9} {
		m := message.Message{Headline: "LATE: 30", Title: "LATE: 30", MoreJobs: 10}
		for range 20 {
			m.Jobs = append(m.Jobs, message.Link{Label: "FAILED: crm", URL: "https://" + strings.Repeat("x", length-8)})
		}
		for kind, r := range map[string]Rendered{"card": RenderCard(m, ""), "plain": RenderPlain(m, "")} {
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
