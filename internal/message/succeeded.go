package message

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

func (m *Message) succeeded(d event.Detail) {
	m.Severity = Good
	m.Numbers = keyNumbers(d.Metrics, d.JobType)
	m.linkJob(d, true)
	m.Lead = []Line{result(d)}
	m.brief = m.Lead[0][0].Text
	if asUsual(d) {
		m.Lead[0] = append(m.Lead[0], Span{Text: ", as usual"})
		m.brief += ", as usual"
	}
	m.Trend = usualLines(d)
	if r := d.Recovery; r != nil {
		m.Word, m.Loud, m.Streak = "RECOVERED", true, true
		m.brief = "success after " + Plural(r.Failures, "failure")
		first := Plain("First success after " + Plural(r.Failures, "failure"))
		if !r.Since.IsZero() {
			first = append(first, Span{Text: ", since "}, Span{Time: r.Since})
		}
		m.Trend = append([]Line{first}, m.Trend...)
	}
	if len(d.Findings) > 0 {
		m.check(d)
	}
}

// result says what a run has done, in one line: "78.5% mapped of 12,471,902 records
// in 1 h 4 min".
func result(d event.Detail) Line {
	var l Line
	if d.Rates != nil && d.Rates.Mapped != nil {
		l = Line{{Text: Percent(*d.Rates.Mapped) + " mapped", Bold: true}, {Text: " of " + Grouped(d.Metrics[jobs.TotalRecordsProcessed]) + " records"}}
	} else if n, ok := d.Metrics[jobs.DeleteRecordsProcessed]; ok && d.JobType == "DELETE_ONLY" {
		l = Line{{Text: Grouped(n) + " deletes processed", Bold: true}}
	} else if n, ok := d.Metrics[jobs.InputRecords]; ok {
		l = Line{{Text: Grouped(n) + " input records", Bold: true}}
	}
	took := duration(d)
	switch {
	case took == nil && len(l) == 0:
		return Plain("The job has finished.")
	case took == nil:
		return l
	case len(l) == 0:
		return Line{{Text: "Done in "}, {Text: Duration(*took), Bold: true}}
	}
	return append(l, Span{Text: " in "}, Span{Text: Duration(*took), Bold: true})
}

// duration is how long a run took in seconds, or nil: without the time that it
// waited as QUEUED, where the publisher knows it.
func duration(d event.Detail) *int64 {
	for _, c := range d.Comparison {
		if c.Measure == jobs.MeasureDuration {
			took := int64(c.Value)
			return &took
		}
	}
	return d.Duration
}

// usualLines say how a success compares with earlier runs: what differs in a line
// each, and in one line what is as usual.
func usualLines(d event.Detail) []Line {
	if len(d.Comparison) == 0 {
		return noRange(d)
	}
	reported := make(map[jobs.Measure]bool)
	for _, f := range d.Findings {
		reported[f.Measure] = true // the lead says it
	}
	var all []Line
	var usual []string
	runs := 0
	for _, c := range d.Comparison {
		noun, known := nouns[c.Measure]
		switch {
		case !known:
		case c.Word == jobs.WordUsual:
			usual = append(usual, strings.TrimSpace(rangeText(c.Measure, c.Low, c.High)+" "+noun))
			runs = max(runs, c.Runs)
		case !reported[c.Measure]:
			all = append(all, Plain(fmt.Sprintf("%s, usually %s (%s)", differs(c), rangeText(c.Measure, c.Low, c.High), lastRuns(c.Runs))))
		}
	}
	if len(usual) > 0 {
		word := "As usual: "
		if asUsual(d) {
			word = "Usually " // the lead says that it is so
		}
		all = append(all, Plain(word+strings.Join(usual, ", ")+" ("+lastRuns(runs)+")"))
	}
	return all
}

// asUsual reports whether everything that can be compared is as usual.
func asUsual(d event.Detail) bool {
	differs := func(c event.Compared) bool { return c.Word != jobs.WordUsual }
	return len(d.Comparison) > 0 && len(d.Findings) == 0 && !slices.ContainsFunc(d.Comparison, differs)
}

// noRange says that too few earlier runs are known to compare with.
func noRange(d event.Detail) []Line {
	switch n := d.EarlierRuns; {
	case n == nil || *n >= jobs.MinRuns || len(d.Usual) > 0 || d.JobType == "DELETE_ONLY":
		return nil
	default:
		return []Line{Plain("No usual range yet: " + Plural(*n, "earlier run"))}
	}
}

// nouns follow the range of a measure.
var nouns = map[jobs.Measure]string{jobs.MeasureMappedRate: "mapped", jobs.MeasureDuration: "", jobs.MeasureInput: "input records"}

// differs says how a measure differs from its usual range.
func differs(c event.Compared) string {
	switch c.Measure {
	case jobs.MeasureMappedRate:
		return Percent(c.Value) + " mapped"
	case jobs.MeasureDuration:
		return "Took " + Duration(int64(c.Value))
	default:
		return Grouped(int64(c.Value)) + " input records"
	}
}

func rangeText(measure jobs.Measure, low, high float64) string {
	switch measure {
	case jobs.MeasureDuration:
		return durationRange(low, high)
	case jobs.MeasureInput:
		return countRange(low, high)
	default:
		return shareRange(low, high)
	}
}

// durationRange writes a range of seconds, rounded outwards to minutes where they
// are long.
func durationRange(low, high float64) string {
	from, to := int64(low), int64(high)
	if from >= 600 {
		from, to = from/60*60, (to+59)/60*60
	}
	if a, b := Duration(from), Duration(to); a != b {
		return a + " to " + b
	}
	return Duration(from)
}

func countRange(low, high float64) string {
	from, to := compact(low), compact(high)
	if from == to {
		return from
	}
	return from + " to " + to
}

// compact writes a number of records with three digits or so: 12,480,331 is
// "12.5 M".
func compact(n float64) string {
	if n < 100_000 {
		return Grouped(int64(n))
	}
	if n < 1_000_000 {
		return Grouped(int64(math.Round(n/1000))) + "\u00A0K"
	}
	return fmt.Sprintf("%.1f\u00A0M", n/1e6)
}

// shareRange writes fractions in whole percent, rounded outwards.
func shareRange(low, high float64) string {
	const perPercent = 100 // basis points
	from, to := math.Floor(math.Round(low*1e4)/perPercent), math.Ceil(math.Round(high*1e4)/perPercent)
	if from == to {
		return fmt.Sprintf("%.1f%%", from)
	}
	return fmt.Sprintf("%.0f–%.0f%%", from, to)
}

func lastRuns(n int) string { return fmt.Sprintf("last %s", Plural(n, "run")) }

// Plural is a number with its noun: "1 run", "1,204 runs".
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Grouped(int64(n)) + " " + noun + "s"
}

// ordinal writes 1 as "1st".
func ordinal(n int) string {
	suffix := "th"
	if n/10%10 != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return Grouped(int64(n)) + suffix
}
