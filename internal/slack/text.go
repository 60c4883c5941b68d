package slack

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/idmapping/notifier/internal/message"
)

// escape makes outside text inert: without these three characters there is no
// mention, no link and no date (Slack: "Formatting text for app surfaces",
// escaping text).
func escape(s string) string { return escaper.Replace(s) }

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// inert makes outside text inert within mrkdwn: escaped, and in a code span where
// a character of it could begin a format, an emoji or a link. Nothing is added to
// what people copy.
func inert(s string) string {
	if !strings.ContainsAny(s, "*_~`:@#./") && !strings.HasPrefix(s, ">") { // > begins a quote
		return escape(s)
	}
	return code(s)
}

// defused makes a sentence inert: its words that could be a format, an emoji or a
// link are code. Our own sentences have none, but may quote a setting or a name.
func defused(s string) string {
	if !strings.ContainsAny(s, "*_~`:@./>") {
		return escape(s)
	}
	words := strings.Split(s, " ")
	for i, word := range words {
		if bare := strings.TrimRight(word, ".,;:"); live(bare) || hasShortcode(word) {
			words[i] = code(bare) + word[len(bare):]
		} else {
			words[i] = escape(word)
		}
	}
	return strings.Join(words, " ")
}

// live reports whether a word could begin a format or be a link.
func live(word string) bool {
	if strings.ContainsAny(word, "*_~`@") || strings.HasPrefix(word, ">") || strings.Contains(word, "//") {
		return true
	}
	dot := strings.LastIndexByte(word, '.')
	return dot > 0 && dot+1 < len(word) && (word[dot+1] > '9' || strings.IndexByte(word, '/') > dot) // a domain
}

// code is a code span. A backtick would end it.
func code(s string) string {
	return "`" + escape(strings.ReplaceAll(s, "`", "'")) + "`"
}

// fence is a code block.
func fence(s string) string { return "```\n" + escape(strings.ReplaceAll(s, "`", "'")) + "\n```" }

// mrkdwn is a line in mrkdwn. Its own words are inert as they are.
func mrkdwn(l message.Line) string {
	var b strings.Builder
	for _, s := range l {
		switch {
		case !s.Time.IsZero():
			b.WriteString("<!date^" + strconv.FormatInt(s.Time.Unix(), 10) + "^" + dateFormat(s) + "|" + s.Plain(time.UTC) + ">")
		case s.Text == "":
		case s.Code:
			b.WriteString(code(s.Text))
		case s.Outside:
			b.WriteString(inert(s.Text))
		case s.Bold:
			b.WriteString(boldText(s.Text))
		default:
			b.WriteString(defused(s.Text))
		}
	}
	return b.String()
}

// boldText is a sentence in bold, if nothing in it has to be code. A space within
// the asterisks would make them text.
func boldText(s string) string {
	text := strings.Trim(s, " ")
	if whole := defused(text); text != "" && !strings.Contains(whole, "`") {
		before, after, _ := strings.Cut(s, text)
		return before + "*" + whole + "*" + after
	}
	return defused(s)
}

// withoutShortcodes keeps text such as :tada: or arn:aws:iam from becoming an
// emoji, with a colon that looks the same. It is for texts that nobody copies.
func withoutShortcodes(s string) string {
	for from := 0; ; {
		first, next := shortcodeIn(s, from)
		if first < 0 {
			return s
		}
		s = s[:first] + "∶" + s[first+1:]
		from = next + len("∶") - 1
	}
}

func hasShortcode(s string) bool {
	first, _ := shortcodeIn(s, 0)
	return first >= 0
}

// shortcodeIn returns where the first shortcode after from begins and ends, or -1.
// Names of a workspace's own emoji can be in any script.
func shortcodeIn(s string, from int) (first, last int) {
	first = -1
	for i := from; i < len(s); i++ {
		switch c := s[i]; {
		case c == ':' && first >= 0 && i > first+1:
			return first, i
		case c == ':':
			first = i
		case c <= ' ' || c < utf8.RuneSelf && !inShortcode(c):
			first = -1
		}
	}
	return -1, -1
}

func inShortcode(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '+' || c == '-' || c == '\''
}

// truncateMiddle cuts s in the middle to at most limit bytes, never within a
// character. It keeps the beginning and, because a cause is often last, the end.
func truncateMiddle(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	const mark = "\n… [cut] …\n"
	head := (limit - len(mark)) * 2 / 3
	tail := len(s) - (limit - len(mark) - head)
	for head > 0 && !utf8.RuneStart(s[head]) {
		head--
	}
	for tail < len(s) && !utf8.RuneStart(s[tail]) {
		tail++
	}
	return s[:head] + mark + s[tail:]
}

// formatLink is a link with a label, or only the label when there is no URL.
func formatLink(url, label string, limit int) string {
	label = shorten(label, limit)
	if url == "" || len(url) > 1000 {
		return inert(label)
	}
	return "<" + urlEscaper.Replace(url) + "|" + escape(labelEscaper.Replace(withoutShortcodes(label))) + ">"
}

// labelEscaper takes from a link's label what would end it or begin a format. An
// underscore looks the same.
var labelEscaper = strings.NewReplacer("|", "¦", "*", "∗", "~", "∼", "`", "'", "_", "＿")

var urlEscaper = strings.NewReplacer("&", "&amp;", "<", "%3C", ">", "%3E", "|", "%7C", " ", "%20")

// fitEscaped escapes s and cuts it to at most n characters, entities counted whole.
func fitEscaped(s string, n int) string {
	if whole := escape(s); characters(whole) <= n {
		return whole
	}
	var b strings.Builder
	used := 0
	for _, r := range s {
		next := escape(string(r))
		if used += utf8.RuneCountInString(next); used > n-1 {
			break
		}
		b.WriteString(next)
	}
	return b.String() + "…"
}

func characters(s string) int { return utf8.RuneCountInString(s) }

// shorten cuts s in the middle to at most n characters.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	head := n / 2
	return string(runes[:head]) + "…" + string(runes[len(runes)-(n-1-head):])
}
