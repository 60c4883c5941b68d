package message

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// OneLine makes outside text safe for one line, also of a terminal: control
// characters and line breaks become spaces, and invisible characters are removed, by
// which text can imitate other text.
func OneLine(s string) string {
	if plainASCII(s) {
		return s
	}
	return strings.Join(strings.Fields(visible(s, false)), " ")
}

// plainASCII reports whether s is what nearly all names, ARNs and paths are: ASCII
// without control characters, and without spaces to join.
func plainASCII(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7F {
			return false
		}
	}
	return true
}

// multiLine is like OneLine but keeps line breaks and tabs.
func multiLine(s string) string {
	return strings.TrimSpace(visible(strings.ReplaceAll(s, "\r\n", "\n"), true))
}

func visible(s string, breaks bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case breaks && (r == '\n' || r == '\t'):
			return r
		case r < 0x7F && r >= ' ':
			return r
		case unicode.IsControl(r) || r == 0x2028 || r == 0x2029:
			return ' '
		case invisible(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// invisible reports whether a character takes no space or changes the writing
// direction: Unicode's format characters but the two joiners that scripts and
// emoji need, variation selectors, and letters that fonts draw as nothing.
func invisible(r rune) bool {
	switch {
	case r == 0x200C || r == 0x200D:
		return false
	case r == 0x3164 || r == 0x115F || r == 0x1160 || r == 0xFFA0 || r == 0x180E:
		return true
	}
	return unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Variation_Selector, r)
}

// length is the number of characters in s.
func length(s string) int { return utf8.RuneCountInString(s) }

// shorten cuts s in the middle to at most n characters: names differ at both ends.
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

// joined joins sentences, each without the period that it may have.
func joined(parts []string, with string) string {
	for i, p := range parts {
		parts[i] = strings.TrimRight(p, ". ")
	}
	return strings.Join(parts, with)
}

// truncate cuts s to at most n characters, the last of which is an ellipsis:
// between two words unless the last word is long. n is at least 60.
func truncate(s string, n int) string {
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	kept := string(runes[:n-1])
	if space := strings.LastIndexByte(kept, ' '); space > len(kept)-16 {
		kept = kept[:space]
	}
	return strings.TrimRight(kept, " ,;:") + "…"
}

// Grouped writes a number with its digits grouped: 1234567 is "1,234,567".
func Grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Percent writes a fraction with one decimal: 0.9823 is "98.2%". It never rounds to
// nothing or to everything: a little is "<0.1%", nearly all ">99.9%".
func Percent(fraction float64) string {
	p := fraction * 100
	switch {
	case p > 0 && p < 0.1:
		return "<0.1%"
	case p > 99.9 && p < 100:
		return ">99.9%"
	case p == 0:
		return "0%"
	case p == 100:
		return "100%"
	}
	return strconv.FormatFloat(p, 'f', 1, 64) + "%"
}

// Duration writes seconds with the two units that matter: 3841 is "1 h 4 min". The
// spaces within a number with its unit do not break a line.
func Duration(seconds int64) string {
	days, hours, minutes := seconds/86400, seconds/3600%24, seconds/60%60
	switch {
	case days > 0:
		return twoUnits(days, "d", hours, "h")
	case hours > 0:
		return twoUnits(hours, "h", minutes, "min")
	case minutes > 0:
		return twoUnits(minutes, "min", seconds%60, "s")
	}
	return strconv.FormatInt(seconds, 10) + "\u00A0s"
}

func twoUnits(a int64, unitA string, b int64, unitB string) string {
	text := strconv.FormatInt(a, 10) + "\u00A0" + unitA
	if b == 0 {
		return text
	}
	return text + "\u00A0" + strconv.FormatInt(b, 10) + "\u00A0" + unitB
}

// roundedSeconds rounds a duration as an expected end is: to 5 minutes from an hour
// on, otherwise to a minute.
func roundedSeconds(d time.Duration) int64 {
	return int64(d.Round(step(d)) / time.Second)
}

// roundedTime rounds a time half up, by how long the run takes.
func roundedTime(t time.Time, took time.Duration) time.Time {
	return t.Add(step(took) / 2).Truncate(step(took))
}

func step(took time.Duration) time.Duration {
	switch {
	case took >= time.Hour:
		return 5 * time.Minute
	case took >= time.Minute:
		return time.Minute
	default:
		return time.Second
	}
}
