package event

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestCutMiddleKeepsBothEndsAndWholeRunes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringN(3000, 6000, -1), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "text")
		limit := rapid.IntRange(100, 4096).Draw(t, "limit")
		got := cutMiddle(text, limit)
		if len(got) > limit || !utf8.ValidString(got) {
			t.Fatalf("%d bytes, valid %v", len(got), utf8.ValidString(got))
		}
		valid := strings.ToValidUTF8(text, "\uFFFD")
		if len(valid) <= limit && got != valid {
			t.Fatalf("text that fits was changed")
		}
		if len(valid) > limit {
			head, tail, ok := strings.Cut(got, " … [cut: ")
			if !ok || !strings.HasPrefix(valid, head) || !strings.HasSuffix(valid, tail[strings.Index(tail, "… ")+len("… "):]) {
				t.Fatalf("cut to %q", got)
			}
		}
	})
}

func TestCutMiddleUsesTheWholeLimit(t *testing.T) {
	for _, test := range []struct {
		name, text string
		limit      int
		want       string
	}{
		{"text at the limit", strings.Repeat("a", 100), 100, strings.Repeat("a", 100)},
		{"one byte over", strings.Repeat("a", 65) + strings.Repeat("b", 36), 100,
			strings.Repeat("a", 44) + " … [cut: 101 bytes in all] … " + strings.Repeat("b", 23)},
		{"a rune at each cut", strings.Repeat("é", 60), 100,
			strings.Repeat("é", 22) + " … [cut: 120 bytes in all] … " + strings.Repeat("é", 11)},
		{"a rune at the odd side of each cut", "a" + strings.Repeat("é", 60), 100,
			"a" + strings.Repeat("é", 21) + " … [cut: 121 bytes in all] … " + strings.Repeat("é", 11)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := cutMiddle(test.text, test.limit); got != test.want {
				t.Errorf("got  %q (%d bytes)\nwant %q", got, len(got), test.want)
			}
		})
	}
}

func TestCutMiddleStopsAtTheEndsOfTheText(t *testing.T) {
	const mark = " … [cut: 103 bytes in all] … "
	euro := "\u20AC" // a rune of three bytes
	for _, test := range []struct{ text, want string }{
		{euro + strings.Repeat("b", 100), mark + "b"},
		{strings.Repeat("a", 100) + euro, "aa" + mark},
	} {
		if got := cutMiddle(test.text, len(mark)+3); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
