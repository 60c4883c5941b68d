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
	if !strings.ContainsAny(s, "*_~`:@#./") {
		return escape(s)
	}
	return code(s)
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
		case s.Bold && !strings.ContainsAny(s.Text, "*_~`:"):
			b.WriteString("*" + escape(s.Text) + "*")
		default:
			b.WriteString(withoutShortcodes(escape(s.Text)))
		}
	}
	return b.String()
}

// withoutShortcodes keeps text such as :tada: or arn:aws:iam from becoming an
// emoji, with a colon that looks the same. It is for texts that nobody copies.
func withoutShortcodes(s string) string {
	for from := 0; ; {
		first := strings.IndexByte(s[from:], ':')
		if first < 0 {
			return s
		}
		first += from
		length := strings.IndexFunc(s[first+1:], func(r rune) bool { return !inShortcode(r) })
		if length > 0 && s[first+1+length] == ':' {
			s = s[:first] + "∶" + s[first+1:]
		}
		from = first + 1
	}
}

func inShortcode(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '+' || r == '-' || r == '\''
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

// labelEscaper takes from a link's label what would end it or begin a format.
var labelEscaper = strings.NewReplacer("|", "¦", "*", "∗", "~", "∼", "`", "'", " _", " ＿", "_ ", "＿ ", "_,", "＿,")

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
