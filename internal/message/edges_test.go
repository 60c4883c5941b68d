package message

import (
	"strings"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

var began = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)

// linesOf is lines as text, with ordinary spaces.
func linesOf(all []Line) string {
	var text []string
	for _, l := range all {
		text = append(text, l.Plain(nil))
	}
	return strings.ReplaceAll(strings.Join(text, "\n"), "\u00A0", " ")
}

func TestShellQuotesOnlyWhatAShellReads(t *testing.T) {
	for _, word := range []string{"a", "z", "A", "Z", "0", "9", "-", "_", ".", "/", ":", "@", ",", "+", "="} {
		if got := shellQuote(word); got != word {
			t.Errorf("%s is quoted as %s", word, got)
		}
	}
	for word, want := range map[string]string{"`": "'`'", "{": "'{'", "[": "'['", ";": "';'", " ": "' '", "$x": "'$x'", "é": "'é'", "it's": `'it'\''s'`} {
		if got := shellQuote(word); got != want {
			t.Errorf("%s is quoted as %s, want %s", word, got, want)
		}
	}
}

func TestRegionIsLettersDigitsAndHyphens(t *testing.T) {
	for _, name := range []string{"a", "z", "A", "Z", "0", "9", "eu-west-1", strings.Repeat("a", 64)} {
		if !isName(name) {
			t.Errorf("%s is no name", name)
		}
	}
	for _, name := range []string{"", "-a", "`", "{", "@", "[", "/", ":", "a b", strings.Repeat("a", 65)} {
		if isName(name) {
			t.Errorf("%q is a name", name)
		}
	}
}

func TestStartCommandNeedsANameThatTheAPIAccepts(t *testing.T) {
	for name, want := range map[string]bool{"w": true, strings.Repeat("w", 255): true, strings.Repeat("w", 256): false, "": false, "-w": false, "file://w": false, "w\u200B": false} {
		if got := startCommand(event.Detail{WorkflowName: name}, "eu-west-1") != ""; got != want {
			t.Errorf("%.40q has a command: %t", name, got)
		}
	}
}

func TestFiguresChangeTheirUnitAtRoundNumbers(t *testing.T) {
	for n, want := range map[float64]string{99_999: "99,999", 100_000: "100 K", 999_499: "999 K", 1_000_000: "1.0 M", 12_480_331: "12.5 M"} {
		if got := strings.ReplaceAll(compact(n), "\u00A0", " "); got != want {
			t.Errorf("%.0f is %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]string{1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 10: "10th", 11: "11th", 12: "12th", 13: "13th", 21: "21st", 101: "101st", 111: "111th", 112: "112th", 120: "120th"} {
		if got := ordinal(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	for _, c := range []struct {
		low, high float64
		want      string
	}{{599, 601, Duration(599) + " to " + Duration(601)}, {600, 601, Duration(600) + " to " + Duration(660)}, {601, 659, Duration(600) + " to " + Duration(660)}, {60, 60, Duration(60)}} {
		if got := durationRange(c.low, c.high); got != c.want {
			t.Errorf("%.0f to %.0f s is %q, want %q", c.low, c.high, got, c.want)
		}
	}
	for took, want := range map[time.Duration]time.Duration{59 * time.Second: time.Second, time.Minute: time.Minute, 59 * time.Minute: time.Minute, time.Hour: 5 * time.Minute} {
		if got := step(took); got != want {
			t.Errorf("%s is rounded to %s, want %s", took, got, want)
		}
	}
}

func TestTextIsPlainUpToTheTilde(t *testing.T) {
	for text, want := range map[string]bool{"!": true, "~": true, "": true, " ": false, "\x1f": false, "\x7f": false, "é": false} {
		if got := plainASCII(text); got != want {
			t.Errorf("%q is plain ASCII: %t", text, got)
		}
	}
}

func TestTruncateEndsBetweenWordsUnlessTheLastIsLong(t *testing.T) {
	word := strings.Repeat("x", 60)
	for _, c := range []struct{ text, want string }{
		{strings.Repeat("y", 44) + " " + word, strings.Repeat("y", 44) + "…"}, // the word would keep 14 characters
		{strings.Repeat("y", 43) + " " + word, strings.Repeat("y", 43) + " " + strings.Repeat("x", 15) + "…"},
		{word, word},
		{word + "z", strings.Repeat("x", 59) + "…"},
	} {
		if got := truncate(c.text, 60); got != c.want {
			t.Errorf("%q is cut to %q, want %q", c.text, got, c.want)
		}
	}
}

func TestLiteralIsCodeUpToItsLimit(t *testing.T) {
	if got := literal(strings.Repeat("a", maxLiteral), "the role"); !got.Code {
		t.Errorf("a text of %d bytes is %+v", maxLiteral, got)
	}
	for _, text := range []string{"", strings.Repeat("a", maxLiteral+1), "a\tb"} {
		if got := literal(text, "the role"); got.Code || got.Text != "the role" {
			t.Errorf("%.20q is %+v", text, got)
		}
	}
}

func TestOverdueMessageCountsWhatItDoesNotName(t *testing.T) {
	waiting := func(n int) event.Event {
		d := event.Detail{WorkflowName: "w", JobID: "j", Status: jobs.Running, StartTime: began, ObservedAt: began.Add(3 * time.Hour), Since: began.Add(2 * time.Hour)}
		for range n {
			d.Waiting = append(d.Waiting, event.WaitsFor{WorkflowName: "other", JobID: "1"})
		}
		return event.Event{DetailType: event.Overdue, Detail: d}
	}
	for n, want := range map[int]string{0: "", 1: "1 job waiting behind it: other", 3: "3 jobs waiting behind it: other, other, other", 5: "5 jobs waiting behind it: other, other, other and 2 more"} {
		got := linesOf(Compose(waiting(n), began, Settings{}).Trend)
		if want != "" && !strings.HasSuffix(got, want) || want == "" && strings.Contains(got, "waiting") {
			t.Errorf("with %d jobs behind it: %q, want %q", n, got, want)
		}
		if strings.Contains(got, "and ") && n <= maxNamed {
			t.Errorf("with %d jobs behind it: %q", n, got)
		}
	}
	e := waiting(0)
	e.Detail.StartTime, e.Detail.Since = e.Detail.ObservedAt, time.Time{}
	if got := linesOf(Compose(e, began, Settings{}).Lead); strings.Contains(got, "after") {
		t.Errorf("a job observed at its start is still running %q", got)
	}
}

func TestOverdueLineSaysHowLongAfterOnlyIfItWasAfter(t *testing.T) {
	d := event.Detail{EndTime: began}
	d.Overdue = &event.OverdueSince{Since: began}
	if got := linesOf(overdueLine(d)); strings.Contains(got, "ended") {
		t.Errorf("ended when it became overdue: %q", got)
	}
	d.EndTime = began.Add(time.Second)
	if got := linesOf(overdueLine(d)); !strings.Contains(got, "ended 1 s after that") {
		t.Errorf("ended a second later: %q", got)
	}
}

func TestMissingRunSaysWhatIsKnownOfEarlierOnes(t *testing.T) {
	d := event.Detail{WorkflowName: "w", ExpectedStart: &event.ExpectedStart{At: began, By: began.Add(time.Hour)}}
	if got := linesOf(Compose(event.Event{DetailType: event.RunMissing, Detail: d}, began, Settings{}).Trend); strings.Contains(got, "expected runs") {
		t.Errorf("with an interval set by a tag: %q", got)
	}
	d.ExpectedStart.Of, d.ExpectedStart.Kept = 1, 1
	if got := linesOf(Compose(event.Event{DetailType: event.RunMissing, Detail: d}, began, Settings{}).Trend); !strings.Contains(got, "1 of 1 expected runs") {
		t.Errorf("after one expected start: %q", got)
	}
	d.JobID = "j"
	for late, want := range map[time.Duration]bool{59 * time.Second: false, time.Minute: true} {
		d.StartTime = began.Add(late)
		if got := linesOf(Compose(event.Event{DetailType: event.RunResumed, Detail: d}, began, Settings{}).Lead); strings.Contains(got, "later than usual") != want {
			t.Errorf("started %s late: %q", late, got)
		}
	}
}

func TestFindingsBeyondTheSecondAreCounted(t *testing.T) {
	value := 0.1
	for n, want := range map[int]string{1: "", 2: "", 3: "(and 1 finding more)", 4: "(and 2 findings more)"} {
		d := event.Detail{WorkflowName: "w", JobID: "j", Status: jobs.Succeeded, StartTime: began, EndTime: began.Add(time.Hour), ObservedAt: began.Add(time.Hour)}
		for range n {
			d.Findings = append(d.Findings, event.Finding{Code: jobs.MappedLow, Measure: jobs.MeasureMappedRate, Value: &value})
		}
		m := Compose(event.Event{DetailType: event.StateChange, Detail: d}, began, Settings{})
		got := linesOf(m.Lead)
		if len(m.Lead) != min(n, maxFindings) || want != "" && !strings.HasSuffix(got, want) || want == "" && strings.Contains(got, "more)") {
			t.Errorf("%d findings: %q, want %q", n, got, want)
		}
	}
}

func TestRootCauseDropsGluesLocationOnly(t *testing.T) {
	for text, want := range map[string]string{
		"Error Category: X; Failed Line Number: 2; the table does not exist": "the table does not exist",
		"Error Category: X; the table does not exist":                        "Error Category: X; the table does not exist",
	} {
		if got := rootCause(text); got != want {
			t.Errorf("%q has the cause %q, want %q", text, got, want)
		}
	}
}

func TestCauseFitsOneLineWithItsSource(t *testing.T) {
	l := Line{{Text: "Access denied: ", Bold: true}, {Text: strings.Repeat("r", 100), Code: true}, {Text: " may not read "}, {Text: strings.Repeat("b", 100), Code: true}}
	got := fit(l, 170)
	if length(got.Plain(nil)) != 170 || got[1].Text != l[1].Text {
		t.Errorf("the line has %d characters: %s", length(got.Plain(nil)), got.Plain(nil))
	}
	exact := fit(l, length(l.Plain(nil)))
	if exact.Plain(nil) != l.Plain(nil) {
		t.Errorf("a line that fits is %s", exact.Plain(nil))
	}
}

func TestNoRangeIsSaidOnlyWhileRunsAreTooFew(t *testing.T) {
	for n, want := range map[int]bool{0: true, jobs.MinRuns - 1: true, jobs.MinRuns: false} {
		d := event.Detail{}
		d.EarlierRuns = &n
		if got := len(noRange(d)) > 0; got != want {
			t.Errorf("with %d earlier runs it is said: %t", n, got)
		}
	}
}

func TestSummaryIsGoodOnlyWhenAllSucceeded(t *testing.T) {
	for _, c := range []struct {
		statuses map[jobs.Status]int
		want     Severity
	}{
		{map[jobs.Status]int{jobs.Succeeded: 1}, Good}, {map[jobs.Status]int{jobs.Succeeded: 1, jobs.Failed: 1}, Bad},
		{map[jobs.Status]int{jobs.Succeeded: 1, "STOPPED": 1}, Neutral}, {map[jobs.Status]int{"STOPPED": 1}, Neutral}, {nil, Neutral},
	} {
		if got := summarySeverity(c.statuses); got != c.want {
			t.Errorf("%v is %d, want %d", c.statuses, got, c.want)
		}
	}
}

func TestPlainTextNamesTheNextStepOnlyWhereOneIsNeeded(t *testing.T) {
	for severity, want := range map[Severity]int{Good: 1, Check: 2, Bad: 2} {
		if got := (Message{Severity: severity, Word: "X", Steps: []Line{Plain("do this")}}).Text(); len(got) != want {
			t.Errorf("severity %d has the lines %q", severity, got)
		}
		if got := (Message{Severity: severity, Word: "X"}).Text(); len(got) != 1 {
			t.Errorf("without steps: %q", got)
		}
	}
}

func TestExpectedEndIsRoundedUpToItsStep(t *testing.T) {
	for latest, want := range map[time.Duration]string{20 * time.Minute: "02:20", 20*time.Minute + time.Second: "02:21"} {
		d := event.Detail{WorkflowName: "w", JobID: "j", Status: jobs.Running, StartTime: began, ObservedAt: began}
		d.ExpectedEnd = &event.ExpectedEnd{At: began.Add(10 * time.Minute), Earliest: began.Add(9 * time.Minute), Latest: began.Add(latest), Runs: 9}
		d.Usual = map[jobs.Measure]event.Range{jobs.MeasureDuration: {Low: 540, Median: 600, High: 1200, Runs: 9}}
		got := linesOf(Compose(event.Event{DetailType: event.StateChange, Detail: d}, began, Settings{}).Trend)
		if !strings.Contains(got, "about 02:10 UTC, at the latest "+want) {
			t.Errorf("the latest end after %s is %q, want %s", latest, got, want)
		}
	}
}

func TestRunOfTwelveHoursShowsTheDateOfItsEnd(t *testing.T) {
	for took, want := range map[time.Duration]string{12*time.Hour - time.Second: "– 13:59 UTC", 12 * time.Hour: "– Mon 23 Nov 14:00 UTC"} {
		d := event.Detail{Status: jobs.Succeeded, StartTime: began, EndTime: began.Add(took)}
		if got := linesOf(jobFacts(Message{}, d)); !strings.Contains(got, want) {
			t.Errorf("after %s: %q, want %q", took, got, want)
		}
	}
}
