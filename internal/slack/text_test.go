package slack

import (
	"fmt"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/message"
)

func repeatA(n int) string { return strings.Repeat("a", n) }

func TestTruncateMiddleUsesTheWholeLimitAndCutsNoEntity(t *testing.T) {
	const mark = "\n… [cut] …\n" // 15 bytes: a limit of 45 leaves 20 for the beginning and 10 for the end
	for _, c := range []struct{ name, text, want string }{
		{"text at the limit", repeatA(45), repeatA(45)},
		{"one byte over", repeatA(30) + strings.Repeat("b", 16), repeatA(20) + mark + strings.Repeat("b", 10)},
		{"entities at the limit", strings.Repeat("&", 9), strings.Repeat("&amp;", 9)},
		{"entities that fill both ends", strings.Repeat("&", 10), strings.Repeat("&amp;", 4) + mark + strings.Repeat("&amp;", 2)},
		{"entities that do not", "a" + strings.Repeat("&", 10) + "b", "a" + strings.Repeat("&amp;", 3) + mark + strings.Repeat("&amp;", 2) + "b"},
		{"runes", strings.Repeat("€", 16), strings.Repeat("€", 6) + mark + strings.Repeat("€", 4)},
	} {
		if got := truncateMiddle(c.text, 45); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestCodeBlockFitsItsLimitWithItsFences(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{repeatA(45), "```" + repeatA(45) + "```"},
		{repeatA(46), "```" + repeatA(20) + "\n… [cut] …\n" + repeatA(10) + "```"},
		{"a```b", "```a'''b```"},
		{"a``", "```a```"},
	} {
		if got := codeBlock(c.text, 51); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

func TestFormattingCharacterIsInertOutsideAWord(t *testing.T) {
	for text, want := range map[string]string{
		"_":          "_\u200B",
		"_a":         "_\u200Ba",
		"a_":         "a_\u200B",
		" _a":        " _\u200Ba",
		"a_ ":        "a_\u200B ",
		"my_Work_1é": "my_Work_1é",
		"~a*b`":      "~\u200Ba*b`\u200B",
		"a<b>&":      "a&lt;b&gt;&amp;",
	} {
		if got := escapeMrkdwn(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestLinkLongerThan1000BytesIsOnlyItsLabel(t *testing.T) {
	url := func(n int) string { return "https://x/" + repeatA(n-len("https://x/")) }
	for _, c := range []struct{ url, label, want string }{
		{"", "Open job", "Open job"},
		{url(1000), "a|b", "<" + url(1000) + "|a¦b>"},
		{url(1001), "a|b", "a¦b"},
		{"https://x/<|> &", "abcdefghijk", "<https://x/%3C%7C%3E%20&amp;|abcdefghi…>"},
	} {
		if got := formatLink(c.url, c.label, 10); got != c.want {
			t.Errorf("%q, %q: %q, want %q", c.url, c.label, got, c.want)
		}
	}
}

func TestTextFitsItsNumberOfCharacters(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{fitEscaped("éaa", 3), "éaa"},
		{fitEscaped("éaaa", 3), "éa…"},
		{fitEscaped("<<", 8), "&lt;&lt;"},
		{fitEscaped("<<<", 9), "&lt;&lt;…"},
		{fitEscaped("<<<", 8), "&lt;…"},
		{truncate("éaa", 3), "éaa"},
		{truncate("éaaa", 3), "éa…"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestEmptyPartsOfAMessageMakeNoBlock(t *testing.T) {
	m := message.Message{Headline: "FAILED: crm", Severity: message.Bad}
	for name, r := range map[string]Rendered{"card": RenderCard(m, ""), "reply": RenderReply(m, ""), "plain": RenderPlain(m, "")} {
		want := 1
		if name == "plain" {
			want = 0
		}
		if err := r.Validate(); err != nil || len(r.Blocks) != want || r.Text != m.Headline {
			t.Errorf("%s: %d blocks, text %q (%v)", name, len(r.Blocks), r.Text, err)
		}
	}
}

func TestOutputLinesThatDoNotFitAreDropped(t *testing.T) {
	links := func(last int) []message.Link { // three links of 1,000 bytes or less, with their newlines and brackets
		var all []message.Link
		for _, n := range []int{1000, 1000, last} {
			all = append(all, message.Link{Label: "x", URL: "https://x/" + repeatA(n-len("https://x/"))})
		}
		return all
	}
	fits := maxSection - len(outputLines(links(1000)[:2])) - len("\n<|x>")
	for last, want := range map[int]int{fits: 4, fits + 1: 3} {
		text := outputLines(links(last))
		if lines := strings.Count(text, "\n") + 1; lines != want || len(text) > maxSection {
			t.Errorf("last link of %d bytes: %d lines of %d bytes in all, want %d lines", last, lines, len(text), want)
		}
	}
}

func TestCardHasAtMostTenFields(t *testing.T) {
	var m message.Message
	for i := range 11 {
		m.Fields = append(m.Fields, message.Field{Label: fmt.Sprint(i), Value: "x"})
	}
	if n := len(fieldTexts(m)); n != 10 {
		t.Errorf("%d fields", n)
	}
}
