package message_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/event/drawn"
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/golden"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
)

// now is long after every event: each notification is delayed.
var now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

var settings = message.Settings{RunbookURL: "https://wiki.example.com/id-mapping"}

func compose(t *testing.T, body []byte) message.Message {
	t.Helper()
	e, err := event.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	return message.Compose(e, e.Detail.ObservedAt, settings)
}

func TestExamplesAreComposedAsReviewed(t *testing.T) {
	for name, body := range eventtest.Examples() {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			encoder := json.NewEncoder(&got)
			encoder.SetEscapeHTML(false)
			encoder.SetIndent("", "  ")
			if err := encoder.Encode(compose(t, body)); err != nil {
				t.Fatal(err)
			}
			golden.File(t, name+".json", got.Bytes())
		})
	}
}

// plain is lines as text, with ordinary spaces.
func plain(all []message.Line) string {
	var text []string
	for _, l := range all {
		text = append(text, l.Plain(nil))
	}
	return strings.ReplaceAll(strings.Join(text, "\n"), "\u00A0", " ")
}

func TestLeadAndTrendAnswerTheReadersQuestions(t *testing.T) {
	for name, want := range map[string][2]string{
		"success-batch":           {"78.6% mapped of 12,471,902 records in 1 h 4 min, as usual", "Usually 77–80% mapped, 58 min to 1 h 10 min, 12.1 M to 12.6 M input records (last 50 runs)"},
		"success-without-history": {"78.6% mapped of 12,471,902 records in 1 h 4 min", "No usual range yet: 2 earlier runs"},
		"success-slow":            {"78.6% mapped of 12,471,902 records in 2 h 41 min", "Took 2 h 41 min, usually 58 min to 1 h 10 min (last 50 runs)\nAs usual: 77–80% mapped, 12.1 M to 12.6 M input records (last 50 runs)"},
		"success-delete-only":     {"312 deletes processed in 2 min 7 s", ""},
		"recovered":               {"78.6% mapped of 12,471,902 records in 1 h 4 min, as usual", "First success after 3 failures, since Fri 20 Nov 02:14 UTC\nUsually 77–80% mapped, 58 min to 1 h 10 min, 12.1 M to 12.6 M input records (last 50 runs)"},
		"check-zero-input":        {"The input had 0 records, usually 12.1 M to 12.6 M (last 50 runs)", "Took 18 min 7 s, usually 58 min to 1 h 10 min (last 50 runs)"},
		"check-zero-processed":    {"0 of 12,480,331 input records were processed", "As usual: 58 min to 1 h 10 min, 12.1 M to 12.6 M input records (last 50 runs)"},
		"check-mapped-low":        {"41.2% mapped (5,138,424 of 12,471,902 records), usually 77–80% (last 50 runs)", "As usual: 58 min to 1 h 10 min, 12.1 M to 12.6 M input records (last 50 runs)"},
		"check-zero-mapped":       {"0 of 12,471,902 records mapped, usually 77–80% (last 50 runs)", "As usual: 58 min to 1 h 10 min, 12.1 M to 12.6 M input records (last 50 runs)"},
		"failure-silent":          {"Entity Resolution gave no error message.", "First failure; last success Sun 22 Nov 03:03 UTC"},
		"failure-third":           {"Access denied: EntityResolutionRole may not s3:GetObject on s3://acme-crm-export/2026-11-23/part-00000.parquet", "3rd failure in a row, same cause; last success Fri 20 Nov 03:03 UTC"},
		"queued":                  {"Only one ID mapping job runs at a time in an account and region.", ""},
		"queued-behind":           {"Waits for nightly-incremental, job c1a2b3c4: only one ID mapping job runs at a time.", ""},
		"running":                 {"Started Mon 23 Nov 02:00 UTC", "No usual range yet: 2 earlier runs"},
		"running-expected":        {"Started Mon 23 Nov 02:00 UTC, usually done in about 1 h 5 min", "Expected end: about 03:05 UTC, at the latest 03:10 UTC\nUsually takes 58 min to 1 h 10 min (last 50 runs)"},
		"vanished":                {"Job 8c5e1d2f6b7a4f0e9d3c1a2b3c4d5e6f disappeared from Entity Resolution while RUNNING.", "Someone may have deleted the job or its workflow. You will not hear about it again unless it comes back."},
		"overdue":                 {"Still RUNNING after 2 h 55 min", "Usually 58 min to 1 h 10 min (last 50 runs)\n2 jobs waiting behind it: orders-to-ids, nightly-incremental"},
		"success-overdue":         {"78.6% mapped of 12,471,902 records in 4 h 12 min", "Took 4 h 12 min, usually 58 min to 1 h 10 min (last 50 runs)\nAs usual: 77–80% mapped, 12.1 M to 12.6 M input records (last 50 runs)\nOverdue since Mon 23 Nov 04:55 UTC, ended 1 h 17 min after that"},
		"bare":                    {"The job has finished.", ""},
		"summary":                 {"8 FAILED, 16 SUCCEEDED", ""},
	} {
		m := compose(t, eventtest.Examples()[name])
		if lead, trend := plain(m.Lead), plain(m.Trend); lead != want[0] || trend != want[1] {
			t.Errorf("%s:\n got %s\n     %s\nwant %s\n     %s", name, lead, trend, want[0], want[1])
		}
	}
}

func TestSubjectNamesTheStatusTheWorkflowAndTheCause(t *testing.T) {
	for name, want := range map[string]string{
		"success-batch":            "[SUCCEEDED] customers-to-liveramp: 78.6% mapped, as usual",
		"recovered":                "[RECOVERED] customers-to-liveramp: success after 3 failures",
		"check-input-low":          "[CHECK] customers-to-liveramp: only 3.1 M input records",
		"check-not-processed-high": "[CHECK] customers-to-liveramp: 7.1% not processed",
		"failure-iam":              "[FAILED] customers-to-liveramp: access denied",
		"failure-third":            "[FAILED] customers-to-liveramp: access denied (3rd)",
		"running-expected":         "[RUNNING] customers-to-liveramp: usually 1 h 5 min",
		"vanished":                 "[VANISHED] customers-to-liveramp: the job disappeared",
		"summary":                  "[LATE] 24 ID mapping jobs finished: 8 FAILED, 16 SUCCEEDED",
	} {
		if got := strings.ReplaceAll(compose(t, eventtest.Examples()[name]).Subject, "\u00A0", " "); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	e := event.Event{Detail: event.Detail{WorkflowName: strings.Repeat("a", 30) + strings.Repeat("z", 30), Status: jobs.Failed, Environment: "prod"}}
	if got, want := message.Compose(e, now, settings).Subject, "[FAILED] prod · aaaaaaaaaaaaa…zzzzzzzzzzzz: no error message"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestMessageIsLoudUnlessItRepeats(t *testing.T) {
	for name, want := range map[string]bool{"failure-iam": true, "failure-third": true, "failure-repeated": false, "recovered": true, "overdue": true, "check-mapped-low": true,
		"success-batch": false, "success-slow": false, "running": false, "queued": false, "vanished": true, "unknown-status-ended": false} {
		if got := compose(t, eventtest.Examples()[name]).Loud; got != want {
			t.Errorf("%s: loud is %v", name, got)
		}
	}
	e, err := event.Decode(eventtest.Examples()["check-mapped-low"])
	if err != nil {
		t.Fatal(err)
	}
	e.Detail.Findings[0].Again = true
	if m := message.Compose(e, now, settings); m.Loud || plain(m.Trend[:1]) != "The run before had the same." {
		t.Errorf("a finding that the run before had too: loud is %v, trend %q", m.Loud, plain(m.Trend))
	}
}

func TestRunbookIsLinkedWhereSomeoneHasToAct(t *testing.T) {
	for name, want := range map[string]bool{"failure-iam": true, "check-mapped-low": true, "vanished": true, "success-batch": false, "running": false, "summary": false} {
		m := compose(t, eventtest.Examples()[name])
		if got := slices.Contains(m.Links, message.Link{Label: "Runbook", URL: settings.RunbookURL}); got != want {
			t.Errorf("%s: links %v", name, m.Links)
		}
	}
}

func TestEnvironmentComesFirst(t *testing.T) {
	e := event.Event{Detail: event.Detail{WorkflowName: "w", Status: jobs.Failed, Environment: "prod"}}
	m := message.Compose(e, now, settings)
	if m.Title() != "[prod] FAILED: w" || m.Text()[0] != m.Title() || !strings.Contains(plain(m.Facts), "prod") {
		t.Errorf("title %q, facts %q", m.Title(), plain(m.Facts))
	}
}

func TestTimesAreShownInTheZone(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	l := message.Line{{Text: "at "}, {Time: time.Date(2026, 11, 23, 23, 30, 0, 0, time.UTC)}, {Text: ", "}, {Time: time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC), Clock: true}}
	if got, want := l.Plain(berlin), "at Tue 24 Nov 00:30 CET, 12:00 CEST"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := l.Plain(nil), "at Mon 23 Nov 23:30 UTC, 10:00 UTC"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestFollowUpShowsWhatLaterRunsDid(t *testing.T) {
	m := compose(t, eventtest.Examples()["failure-iam"])
	at := time.Date(2026, 11, 23, 6, 10, 0, 0, time.UTC)
	again := m.With(message.FollowUp{Failures: 3, Latest: at})
	if got := plain(again.Trend[:1]); got != "3 failures in a row so far, the latest Mon 23 Nov 06:10 UTC" || again.Loud || len(again.Steps) == 0 || again.Severity != message.Bad {
		t.Errorf("repeated: %q, loud %v, severity %d", got, again.Loud, again.Severity)
	}
	fixed := m.With(message.FollowUp{Failures: 3, Fixed: at})
	if got := plain(fixed.Trend[:1]); got != "Fixed by a later run: Mon 23 Nov 06:10 UTC" || fixed.Loud || len(fixed.Steps) != 0 || fixed.Severity != message.Good || fixed.Word != "FAILED, FIXED" {
		t.Errorf("fixed: %q, loud %v, %s of severity %d", got, fixed.Loud, fixed.Word, fixed.Severity)
	}
	if len(m.Trend) != 1 {
		t.Errorf("the original has the trend %q", plain(m.Trend))
	}
}

func TestNotesSayHowLateTheNotificationIs(t *testing.T) {
	end := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		observed, sent time.Duration // after the end; after the observation
		want           string
	}{
		{-time.Minute, 0, ""},
		{10 * time.Minute, 10 * time.Minute, ""},
		{10*time.Minute + time.Second, 0, "Late: noticed 10 min 1 s after the job ended."},
		{20*time.Minute + 5*time.Second, 0, "Late: noticed 20 min 5 s after the job ended."},
		{0, 10*time.Minute + time.Second, "Late: this message waited 10 min 1 s to be sent."},
		{0, 20 * time.Hour, "Late: this message waited 20 h to be sent."},
		{time.Hour, 6*time.Hour + 3*time.Minute, "Late: noticed 1 h after the job ended.\nLate: this message waited 6 h 3 min to be sent."},
		{0, -time.Hour, ""},
	} {
		d := event.Detail{WorkflowName: "w", Status: jobs.Succeeded, EndTime: end, ObservedAt: end.Add(c.observed)}
		if got := plain(message.Compose(event.Event{Detail: d}, d.ObservedAt.Add(c.sent), settings).Notes); got != c.want {
			t.Errorf("observed %s late, sent %s late: %q, want %q", c.observed, c.sent, got, c.want)
		}
	}
	running := event.Detail{WorkflowName: "w", Status: jobs.Running, EndTime: end, ObservedAt: end.Add(time.Hour)}
	if got := message.Compose(event.Event{Detail: running}, running.ObservedAt, settings).Notes; got != nil {
		t.Errorf("a running job: %v", got)
	}
	unobserved := event.Detail{WorkflowName: "w", Status: jobs.Running}
	if got := message.Compose(event.Event{Detail: unobserved}, end, settings).Notes; got != nil {
		t.Errorf("without observedAt: %v", got)
	}
}

func TestShareIsOfTheRecordsThatTheCounterIsAPartOf(t *testing.T) {
	for _, c := range []struct {
		metrics jobs.Metrics
		want    string
	}{
		{jobs.Metrics{jobs.TotalRecordsProcessed: 200, jobs.InputRecords: 400, jobs.TotalMappedRecords: 50}, "25.0%"},
		{jobs.Metrics{jobs.InputRecords: 400, jobs.TotalRecordsProcessed: 100}, "25.0%"},
		{jobs.Metrics{jobs.TotalRecordsProcessed: 50, jobs.TotalMappedRecords: 50}, "100%"},
		{jobs.Metrics{jobs.TotalRecordsProcessed: 49, jobs.TotalMappedRecords: 50}, ""},
		{jobs.Metrics{jobs.TotalRecordsProcessed: 1, jobs.TotalMappedRecords: 0}, "0%"},
		{jobs.Metrics{jobs.TotalRecordsProcessed: 0, jobs.TotalMappedRecords: 0}, ""},
		{jobs.Metrics{jobs.TotalRecordsProcessed: 10, jobs.TotalMappedRecords: -1}, ""},
		{jobs.Metrics{jobs.TotalMappedRecords: 50}, ""},
		{jobs.Metrics{jobs.InputRecords: 200, jobs.UniqueRecordsLoaded: 50}, ""},
	} {
		rows := message.Compose(event.Event{Detail: event.Detail{Status: jobs.Succeeded, Metrics: c.metrics}}, now, settings).Counters
		if got := rows[len(rows)-1].Share; got != c.want {
			t.Errorf("%v: %q, want %q", c.metrics, got, c.want)
		}
	}
}

func TestZeroIsShownOnlyWhereRecordsAreDeleted(t *testing.T) {
	metrics := jobs.Metrics{jobs.InputRecords: 10, jobs.MappedRecordsRemoved: 0, jobs.DeleteRecordsProcessed: 0}
	for jobType, want := range map[string]int{"BATCH": 1, "DELETE_ONLY": 2} {
		m := message.Compose(event.Event{Detail: event.Detail{Status: jobs.Succeeded, JobType: jobType, Metrics: metrics}}, now, settings)
		if len(m.Numbers) != want || len(m.Counters) != 3 {
			t.Errorf("%s: %v of %v", jobType, m.Numbers, m.Counters)
		}
	}
}

func TestInvisibleCharactersAreRemoved(t *testing.T) {
	line := func(r rune) string {
		return composeDetail(event.StateChange, event.Detail{JobID: "a" + string(r) + "b"}).JobID
	}
	for _, r := range []rune{0x202A, 0x202E, 0x2066, 0x2069, 0x200E, 0x200F, 0x061C, 0xFEFF, 0x200B, 0x2060, 0x00AD, 0x180E, 0x3164, 0xFE0F, 0xE0041} {
		if got := line(r); got != "ab" {
			t.Errorf("%U: %q", r, got)
		}
	}
	for _, r := range []rune{0x2028, 0x2029, 0x0000, 0x0085, '\n', '\t'} {
		if got := line(r); got != "a b" {
			t.Errorf("%U: %q, want a space", r, got)
		}
	}
	for _, r := range []rune{0x200C, 0x200D, 0x2010, 'é', '😀'} { // joiners, and what is seen
		if got := line(r); got != "a"+string(r)+"b" {
			t.Errorf("%U: %q, want it kept", r, got)
		}
	}
}

func TestComposedLinesHaveNoControlCharactersAndKeepTheirLimits(t *testing.T) {
	rapid.Check(t, wellFormed)
}

// console matches every link to the console that a message may have.
var console = regexp.MustCompile(`^(https://[a-z0-9-]+\.console\.(aws\.amazon\.com|amazonaws\.cn|amazonaws-us-gov\.com)/[!-;=?-{}~]*)?$`)

func wellFormed(t *rapid.T) {
	m := message.Compose(drawn.Event(t), now, settings)
	lines := append(m.Text(), m.Subject, m.Preheader, m.WorkflowName, m.JobID)
	for _, l := range slices.Concat(m.Lead, m.Trend, m.Steps, m.Notes, m.Facts, []message.Line{m.Retry}) {
		lines = append(lines, l.Plain(nil))
	}
	for _, l := range slices.Concat(m.Outputs, m.Links, m.Jobs) {
		lines = append(lines, l.Label, l.URL)
	}
	for _, l := range lines {
		if strings.ContainsFunc(l, func(r rune) bool {
			return unicode.IsControl(r) || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069
		}) {
			t.Fatalf("control or direction characters in %q", l)
		}
	}
	if n := len([]rune(m.Subject)); n > 60 || n == 0 {
		t.Fatalf("subject of %d characters", n)
	}
	if len(m.Lead) == 0 || len(m.Lead) > 2 || len(m.Trend) > 5 || len(m.Steps) > 5 {
		t.Fatalf("%d lines of lead, %d of trend, %d steps", len(m.Lead), len(m.Trend), len(m.Steps))
	}
	for _, l := range slices.Concat(m.Outputs, m.Links, m.Jobs) {
		if !console.MatchString(l.URL) && l.URL != settings.RunbookURL && l.URL != drawn.Runbook || len(l.URL) > 2000 {
			t.Fatalf("link to %q of %d bytes", l.URL, len(l.URL))
		}
	}
	for _, l := range m.Links {
		if l.URL == "" {
			t.Fatal("a link without a URL")
		}
	}
}

func TestNumbersAreReadable(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -999: "-999", 100000: "100,000", 1000000: "1,000,000", -9223372036854775808: "-9,223,372,036,854,775,808"} {
		if got := message.Grouped(n); got != want {
			t.Errorf("Grouped(%d) = %s, want %s", n, got, want)
		}
	}
	for fraction, want := range map[float64]string{0: "0%", 1: "100%", 0.5: "50.0%", 0.9823: "98.2%", 0.00001: "<0.1%", 0.99999: ">99.9%", 0.001: "0.1%", 0.999: "99.9%", 1.5: "150.0%", -0.5: "-50.0%"} {
		if got := message.Percent(fraction); got != want {
			t.Errorf("Percent(%v) = %s, want %s", fraction, got, want)
		}
	}
	for seconds, want := range map[int64]string{0: "0 s", 59: "59 s", 60: "1 min", 61: "1 min 1 s", 3600: "1 h", 3599: "59 min 59 s", 3841: "1 h 4 min", 86399: "23 h 59 min", 86400: "1 d", 90000: "1 d 1 h", 176400: "2 d 1 h"} {
		if got := strings.ReplaceAll(message.Duration(seconds), "\u00A0", " "); got != want {
			t.Errorf("Duration(%d) = %s, want %s", seconds, got, want)
		}
	}
}

func TestPercentNeverRoundsToNothingOrEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fraction := rapid.Float64Range(0, 1).Draw(t, "fraction")
		got := message.Percent(fraction)
		if (got == "0%" || got == "0.0%") && fraction > 0 || strings.HasPrefix(got, "100") && fraction < 1 {
			t.Fatalf("%v is %s", fraction, got)
		}
	})
}

// composeDetail composes an event that was observed and is sent at the same time.
func composeDetail(detailType string, d event.Detail) message.Message {
	return message.Compose(event.Event{DetailType: detailType, Account: "999999999999", Region: "us-east-1", Detail: d}, d.ObservedAt, settings)
}

func TestSeverityFollowsTheStatus(t *testing.T) {
	for _, c := range []struct {
		detailType string
		status     jobs.Status
		want       message.Severity
	}{
		{event.StateChange, jobs.Queued, message.Neutral},
		{event.StateChange, jobs.Running, message.Neutral},
		{event.StateChange, "STOPPED", message.Neutral},
		{event.StateChange, jobs.Succeeded, message.Good},
		{event.StateChange, jobs.Failed, message.Bad},
		{event.Vanished, jobs.Running, message.Bad},
		{event.Vanished, jobs.Succeeded, message.Bad},
	} {
		if got := composeDetail(c.detailType, event.Detail{Status: c.status}).Severity; got != c.want {
			t.Errorf("%s %s: severity %d, want %d", c.detailType, c.status, got, c.want)
		}
	}
}

func TestLinksAndPlaceComeFromTheWorkflowsARN(t *testing.T) {
	forged := &event.Links{Job: "https://evil.example/job", Workflow: "https://evil.example/", Outputs: []string{"https://evil.example/out"}}
	d := event.Detail{WorkflowName: "crm", WorkflowARN: eventtest.WorkflowARN("crm"), JobID: "1", Status: jobs.Succeeded,
		Outputs: []jobs.Output{{S3Path: " "}, {S3Path: "s3://out/a"}}, Links: forged}
	m := composeDetail(event.StateChange, d)
	page := "https://eu-west-1.console.aws.amazon.com/entityresolution/home?region=eu-west-1#/id-mapping-workflows/crm"
	bucket := "https://eu-west-1.console.aws.amazon.com/s3/buckets/out?prefix=a%2F&region=eu-west-1"
	if want := []message.Link{{Label: "Open job", URL: page + "/jobs/1"}, {Label: "Output in S3", URL: bucket}}; !slices.Equal(m.Links, want) {
		t.Errorf("links %v, want %v", m.Links, want)
	}
	if want := []message.Link{{Label: "s3://out/a", URL: bucket}}; !slices.Equal(m.Outputs, want) {
		t.Errorf("outputs %v, want %v", m.Outputs, want)
	}
	if m.Account != eventtest.Account || m.Region != eventtest.Region {
		t.Errorf("account %s, region %s", m.Account, m.Region)
	}
	d.WorkflowARN = "crm"
	m = composeDetail(event.StateChange, d)
	if len(m.Links) != 0 || len(m.Outputs) != 1 || m.Outputs[0].URL != "" || m.Account != "999999999999" || m.Region != "us-east-1" {
		t.Errorf("without an ARN: links %v, outputs %v, account %s, region %s", m.Links, m.Outputs, m.Account, m.Region)
	}
	d.Status = jobs.Failed
	if m = composeDetail(event.StateChange, d); len(m.Outputs) != 0 {
		t.Errorf("a failed job has the outputs %v", m.Outputs)
	}
}

func TestLinkLongerThan2000BytesIsLeftOut(t *testing.T) {
	job := func(n int) event.Detail {
		return event.Detail{WorkflowName: "crm", WorkflowARN: eventtest.WorkflowARN("crm"), JobID: strings.Repeat("x", n), Status: jobs.Running}
	}
	fits := 2001 - len(event.ConsoleLinks(job(1)).Job)
	for n, want := range map[int]int{fits: 2, fits + 1: 1} {
		if got := composeDetail(event.StateChange, job(n)).Links; len(got) != want {
			t.Errorf("job ID of %d bytes: links %v", n, got)
		}
	}
}

func TestLongNameIsShortenedInTheMiddle(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for name, want := range map[string]string{
		x(80):                       x(80),
		x(41) + "y" + x(39):         x(40) + "…" + x(39),
		strings.Repeat("é", 81):     strings.Repeat("é", 40) + "…" + strings.Repeat("é", 39),
		strings.Repeat("é", 79):     strings.Repeat("é", 79),
		"crm-" + x(80) + "-nightly": "crm-" + x(36) + "…" + x(31) + "-nightly",
	} {
		if got := composeDetail(event.StateChange, event.Detail{WorkflowName: name, Status: jobs.Queued}).Name; got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

func TestNoticeCountsTheDestinationsThatDoNotFit(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	notice := func(n, causeBytes int) message.Message {
		var all []message.Broken
		for i := range n {
			all = append(all, message.Broken{Destination: fmt.Sprintf("email:%d@x", i), Cause: strings.Repeat("c", causeBytes), Since: at})
		}
		return message.ComposeBroken(all, "1", "r", "", settings)
	}
	const prefix = len("email:0@x: ")
	for _, c := range []struct {
		name string
		got  string
		want string
	}{
		{"two that fill the limit", notice(2, 2000-prefix-1).Error.Text[3990:], "ccccccccc"},
		{"three of which two fit", notice(3, 1900-prefix).Error.Text[3802:], "and 1 more"},
		{"one that is too long", fmt.Sprint(len([]rune(notice(1, 5000).Error.Text))), "1000"},
		{"one at the limit", fmt.Sprint(len(notice(1, 4000-prefix).Error.Text)), "4000"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
	if m := notice(1, 1); strings.Contains(m.Title(), "more") {
		t.Errorf("one destination: %s", m.Title())
	}
	m := notice(3, 1)
	if m.Title() != "NOT DELIVERED: email to 0@x and 2 more" || plain(m.Lead) != "Cannot send email to 0@x and 2 more: c" || len(m.Steps) != 1 {
		t.Errorf("three destinations: %s / %s / %v", m.Title(), plain(m.Lead), m.Steps)
	}
}

func TestNoticeTruncatesALongName(t *testing.T) {
	long := message.Broken{Destination: "pager:" + strings.Repeat("x", 100), Cause: "no"}
	for n, want := range map[int]string{
		1: "pager:" + strings.Repeat("x", 73) + "…",
		3: "pager:" + strings.Repeat("x", 61) + "… and 2 more",
	} {
		m := message.ComposeBroken([]message.Broken{long, long, long}[:n], "1", "r", "", settings)
		if m.Title() != "NOT DELIVERED: "+want {
			t.Errorf("%d destinations: %s", n, m.Title())
		}
	}
}

func TestNoticeNamesEachKindOfDestinationAndItsRemediation(t *testing.T) {
	for destination, want := range map[string][2]string{
		"slack:#data-jobs":    {"Cannot post to Slack channel #data-jobs: no", "Invite the bot"},
		"slack-webhook":       {"Cannot post to the Slack webhook: no", "Create a new incoming webhook"},
		"email:a@example.com": {"Cannot send email to a@example.com: no", "In Amazon SES"},
		"pager:1":             {"Cannot reach pager:1: no", "Look in the notifier's log"},
	} {
		m := message.ComposeBroken([]message.Broken{{Destination: destination, Cause: "no"}}, "1", "r", "", settings)
		if plain(m.Lead) != want[0] || !strings.HasPrefix(m.Steps[0].Plain(nil), want[1]) {
			t.Errorf("%s: %v, %v", destination, plain(m.Lead), m.Steps)
		}
	}
}

func TestSummaryCountsEveryStatusAndListsTwentyJobs(t *testing.T) {
	d := event.Detail{TransitionID: "0123456789abcdef", WorkflowARN: eventtest.WorkflowARN("crm"), Statuses: map[jobs.Status]int{"A": 1, "B": 2, "C": 3, "D": 4, "E": 5, "F": 1000}}
	for range 30 {
		d.Jobs = append(d.Jobs, event.ListedJob{WorkflowName: "crm", JobID: "4f2a", Status: "A"})
	}
	m := message.Compose(event.Event{DetailType: event.Summary, Detail: d}, now, settings)
	if m.Title() != "LATE: 1,015 ID mapping jobs finished" || plain(m.Lead) != "1 A, 2 B, 3 C, 4 D, 5 E, 1,000 others" || m.Severity != message.Neutral {
		t.Errorf("title %q, lead %q, severity %d", m.Title(), plain(m.Lead), m.Severity)
	}
	if len(m.Jobs) != 20 || m.MoreJobs != 995 || m.Account != eventtest.Account || m.JobID != d.TransitionID || m.WorkflowName != "" {
		t.Errorf("%d jobs, %d more, account %q, job %q of %q", len(m.Jobs), m.MoreJobs, m.Account, m.JobID, m.WorkflowName)
	}
	if m.Jobs[0].Label != "A: crm" || !strings.HasSuffix(m.Jobs[0].URL, "#/id-mapping-workflows/crm/jobs/4f2a") {
		t.Errorf("the first job is %+v", m.Jobs[0])
	}
	d.WorkflowARN = ""
	if job := message.Compose(event.Event{DetailType: event.Summary, Detail: d}, now, settings).Jobs[0]; job != (message.Link{Label: "A: crm, job 4f2a"}) {
		t.Errorf("without an ARN the first job is %+v", job)
	}
}

func TestSummaryIsAsSevereAsItsWorstStatus(t *testing.T) {
	for want, statuses := range map[message.Severity]map[jobs.Status]int{
		message.Bad:     {jobs.Failed: 1, jobs.Succeeded: 20},
		message.Good:    {jobs.Succeeded: 21},
		message.Neutral: {"STOPPED": 1, jobs.Succeeded: 20},
	} {
		if got := message.Compose(event.Event{DetailType: event.Summary, Detail: event.Detail{Statuses: statuses}}, now, settings).Severity; got != want {
			t.Errorf("%v: severity %d, want %d", statuses, got, want)
		}
	}
}
