package slack

import (
	"strings"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/message"
)

func repeatA(n int) string { return strings.Repeat("a", n) }

func TestTruncateMiddleUsesTheWholeLimitAndCutsNoRune(t *testing.T) {
	const mark = "\n… [cut] …\n" // 15 bytes: a limit of 45 leaves 20 for the beginning and 10 for the end
	for _, c := range []struct{ name, text, want string }{
		{"text at the limit", repeatA(45), repeatA(45)},
		{"one byte over", repeatA(30) + strings.Repeat("b", 16), repeatA(20) + mark + strings.Repeat("b", 10)},
		{"runes", strings.Repeat("€", 16), strings.Repeat("€", 6) + mark + strings.Repeat("€", 3)},
	} {
		if got := truncateMiddle(c.text, 45); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestOutsideTextIsInertAndCopiesByteForByte(t *testing.T) {
	for text, want := range map[string]string{
		"crm":               "crm",
		"my_workflow":       "`my_workflow`",
		"a<b>&":             "a&lt;b&gt;&amp;",
		":tada: *b*":        "`:tada: *b*`",
		"a`b":               "`a'b`",
		"example.com":       "`example.com`",
		"https://a.example": "`https://a.example`",
	} {
		if got := inert(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestShortcodesAreDefusedOnlyWhereThereAreAny(t *testing.T) {
	for text, want := range map[string]string{
		"FAILED: crm":        "FAILED: crm",
		"a:b c:d":            "a:b c:d",
		"::":                 "::",
		":tada:":             "∶tada:",
		"arn:aws:iam":        "arn∶aws:iam",
		"at 10:20, x:+1:":    "at 10:20, x∶+1:",
		":a:b:":              "∶a∶b:",
		"Next: s3:GetObject": "Next: s3:GetObject",
	} {
		if got := withoutShortcodes(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestLineInMrkdwnKeepsItsStyles(t *testing.T) {
	l := message.Line{{Text: "Bold", Bold: true}, {Text: " & "}, {Text: "a*`b", Code: true}, {Text: " "}, {Text: "out_side", Outside: true}, {Text: ", "},
		{Time: time.Unix(1795399212, 0).UTC()}, {Text: ", "}, {Time: time.Unix(1795399212, 0).UTC(), Clock: true}, {}}
	want := "*Bold* &amp; `a*'b` `out_side`, <!date^1795399212^{date_short_pretty} {time}|Mon 23 Nov 02:00 UTC>, <!date^1795399212^{time}|02:00 UTC>"
	if got := mrkdwn(l); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestLinkLongerThan1000BytesIsOnlyItsLabel(t *testing.T) {
	url := func(n int) string { return "https://x/" + repeatA(n-len("https://x/")) }
	for _, c := range []struct{ url, label, want string }{
		{"", "Open job", "Open job"},
		{url(1000), "a|b", "<" + url(1000) + "|a¦b>"},
		{url(1001), "a|b", "a|b"},
		{"https://x/<|> &", "abcdefghijk", "<https://x/%3C%7C%3E%20&amp;|abcde…hijk>"},
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
		{shorten("éaa", 3), "éaa"},
		{shorten("éaaa", 3), "é…a"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestLongTitleKeepsItsStatusAndBothEnds(t *testing.T) {
	m := message.Message{Severity: message.Bad, Environment: strings.Repeat("e", 40), Word: "FAILED", Name: strings.Repeat("<", 80)}
	got := header(m)
	if n := characters(got); n > maxHeader || !strings.Contains(got, "FAILED") || !strings.HasSuffix(got, "&lt;") {
		t.Errorf("%d characters: %s", n, got)
	}
}
