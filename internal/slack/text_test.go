package slack

import (
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/message"
)

func TestTextOfExactlyTheLimitIsNotCut(t *testing.T) {
	text := "a<b" + strings.Repeat("x", 94) // 100 bytes when escaped
	if got := truncateMiddle(text, 100); got != "a&lt;b"+strings.Repeat("x", 94) {
		t.Errorf("at the limit: %q", got)
	}
	if got := truncateMiddle(text, 99); len(got) > 99 || !strings.Contains(got, "[cut]") || !strings.HasPrefix(got, "a&lt;b") || !strings.HasSuffix(got, "xxx") {
		t.Errorf("beyond the limit: %d bytes, %q", len(got), got)
	}
}

func TestOutputsOfExactlyTheLimitAreAllShown(t *testing.T) {
	const head = len("*Output*\n")
	first := message.Link{Label: "l", URL: "https://e/" + strings.Repeat("x", 690)}
	used := head + 3*(len(first.URL)+len("<|l>\n"))
	last := message.Link{Label: "l", URL: "https://e/" + strings.Repeat("y", maxSection-used-len("<|l>")-len("https://e/"))}
	for _, c := range []struct {
		url   string
		lines int
	}{{last.URL, 5}, {last.URL + "y", 4}} {
		text := outputLines([]message.Link{first, first, first, {Label: "l", URL: c.url}})
		if lines := strings.Split(text, "\n"); len(lines) != c.lines || len(text) > maxSection {
			t.Errorf("%d lines of %d bytes, want %d lines", len(lines), len(text), c.lines)
		}
	}
}

func TestShortenedTextHasExactlyTheLimit(t *testing.T) {
	for name, c := range map[string]struct{ got, want string }{
		"escaped, at the limit":     {fitEscaped("a<é", 6), "a&lt;é"},
		"escaped, beyond the limit": {fitEscaped("a<éx", 6), "a&lt;…"},
		"at the limit":              {truncate("aéb", 3), "aéb"},
		"beyond the limit":          {truncate("aébc", 3), "aé…"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
}
