package slack

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// escape makes outside text inert: without these three characters there is no
// mention, no link and no date (Slack: "Formatting text for app surfaces",
// escaping text).
func escape(s string) string { return escaper.Replace(s) }

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// escapeMrkdwn makes outside text inert within a mrkdwn object: escaped, and with
// a zero-width space after each formatting character that could begin or end a
// format. Inside a word, as in my_workflow, it cannot.
func escapeMrkdwn(s string) string {
	if !strings.ContainsAny(s, "*_~`") {
		return escape(s)
	}
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		b.WriteString(escape(string(r)))
		if strings.ContainsRune("*_~`", r) && !(i > 0 && i < len(runes)-1 && inWord(runes[i-1]) && inWord(runes[i+1])) {
			b.WriteRune('\u200B')
		}
	}
	return b.String()
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// codeBlock is a code block of at most limit bytes. It keeps the text's beginning
// and, because a cause is often last, its end.
func codeBlock(s string, limit int) string {
	const fence = "```"
	s = strings.ReplaceAll(s, fence, "'''")
	s = strings.TrimRight(s, "`") // a backtick before the fence would be part of it
	return fence + truncateMiddle(s, limit-2*len(fence)) + fence
}

// truncateMiddle escapes s and cuts it in the middle to at most limit bytes, never within
// a character or an entity.
func truncateMiddle(s string, limit int) string {
	if whole := escape(s); len(whole) <= limit {
		return whole
	}
	const mark = "\n… [cut] …\n"
	room := limit - len(mark)
	head, tail := "", ""
	for rest := s; rest != ""; {
		_, n := utf8.DecodeRuneInString(rest)
		next := escape(rest[:n])
		if len(head)+len(next) > room*2/3 {
			break
		}
		head, rest = head+next, rest[n:]
	}
	for rest := s; rest != ""; {
		_, n := utf8.DecodeLastRuneInString(rest)
		next := escape(rest[len(rest)-n:])
		if len(head)+len(tail)+len(next) > room {
			break
		}
		tail, rest = next+tail, rest[:len(rest)-n]
	}
	return head + mark + tail
}

// formatLink is a link with a label, or only the label when there is no URL.
func formatLink(url, label string, limit int) string {
	label = strings.ReplaceAll(escapeMrkdwn(truncate(label, limit)), "|", "¦")
	if url == "" || len(url) > 1000 {
		return label
	}
	return "<" + urlEscaper.Replace(url) + "|" + label + ">"
}

var urlEscaper = strings.NewReplacer("&", "&amp;", "<", "%3C", ">", "%3E", "|", "%7C", " ", "%20")

// fitEscaped escapes s and cuts it to at most n characters, entities counted whole.
func fitEscaped(s string, n int) string {
	if whole := escape(s); utf8.RuneCountInString(whole) <= n {
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

func truncate(s string, limit int) string {
	runes := []rune(s)
	if len(runes) <= limit {
		return s
	}
	return string(runes[:limit-1]) + "…"
}
