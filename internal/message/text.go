package message

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// oneLine makes outside text safe for one line: control characters and line
// breaks become spaces, and characters that change the writing direction, by
// which text can imitate other text, are removed.
func oneLine(s string) string {
	return strings.Join(strings.Fields(withoutControls(s, false)), " ")
}

// multiLine is like oneLine but keeps line breaks and tabs.
func multiLine(s string) string {
	return strings.TrimSpace(withoutControls(strings.ReplaceAll(s, "\r\n", "\n"), true))
}

func withoutControls(s string, breaks bool) string {
	return strings.Map(func(r rune) rune {
		if breaks && (r == '\n' || r == '\t') {
			return r
		}
		if r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 || r == 0x200E || r == 0x200F || r == 0x061C || r == 0xFEFF {
			return -1
		}
		if unicode.IsControl(r) || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
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

// Percent writes a fraction with one decimal: 0.9823 is "98.2 %". It never
// rounds to nothing or to everything: a little is "<0.1 %", nearly all
// ">99.9 %".
func Percent(fraction float64) string {
	p := fraction * 100
	if p > 0 && p < 0.1 {
		return "<0.1 %"
	}
	if p > 99.9 && p < 100 {
		return ">99.9 %"
	}
	if p == 0 || p == 100 {
		return fmt.Sprintf("%.0f %%", p)
	}
	return fmt.Sprintf("%.1f %%", p)
}

// Duration writes seconds with the two units that matter: 3841 is "1 h 4 min".
func Duration(seconds int64) string {
	days, hours, minutes := seconds/86400, seconds/3600%24, seconds/60%60
	if days > 0 {
		return twoUnits(days, "d", hours, "h")
	}
	if hours > 0 {
		return twoUnits(hours, "h", minutes, "min")
	}
	if minutes > 0 {
		return twoUnits(minutes, "min", seconds%60, "s")
	}
	return fmt.Sprintf("%d s", seconds)
}

func twoUnits(a int64, unitA string, b int64, unitB string) string {
	if b == 0 {
		return fmt.Sprintf("%d %s", a, unitA)
	}
	return fmt.Sprintf("%d %s %d %s", a, unitA, b, unitB)
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}
