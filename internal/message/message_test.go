package message_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
)

// now is long after everything that is told: all of it is late.
var now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func compose(t *testing.T, body []byte) message.Message {
	t.Helper()
	e, err := event.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	return message.Compose(e, e.Detail.ObservedAt)
}

func TestWhatEachEventTells(t *testing.T) {
	for name, body := range eventtest.Examples() {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			encoder := json.NewEncoder(&got)
			encoder.SetEscapeHTML(false)
			encoder.SetIndent("", "  ")
			if err := encoder.Encode(compose(t, body)); err != nil {
				t.Fatal(err)
			}
			eventtest.Golden(t, name+".json", got.Bytes())
		})
	}
}

func TestHeadlinesStandAlone(t *testing.T) {
	for name, want := range map[string]string{
		"success-batch":       "SUCCEEDED: customers-to-liveramp in 1 h 4 min, 78.6 % of 12,471,902 records mapped",
		"success-incremental": "SUCCEEDED: nightly-incremental in 3 min 7 s, 85.8 % of 48,210 records mapped",
		"failure-iam":         `FAILED: customers-to-liveramp after 14 min 7 s: not authorized to perform s3:GetObject on arn:aws:s3:::acme-crm-export/2026-11-23/part-00000.parquet…`,
		"failure-silent":      "FAILED: customers-to-liveramp after 14 min 7 s",
		"queued":              "QUEUED: customers-to-liveramp is waiting to start",
		"running":             "RUNNING: customers-to-liveramp has started",
		"unknown-status":      "PAUSED: customers-to-liveramp has a status that this version does not know",
		"vanished":            "VANISHED: customers-to-liveramp is no longer shown by Entity Resolution; it was last seen RUNNING",
		"bare":                "SUCCEEDED: w",
	} {
		if got := compose(t, eventtest.Examples()[name]).Headline; got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

func TestTheHeadlineNamesTheCauseNotItsWrapping(t *testing.T) {
	for text, want := range map[string]string{
		"": "",
		"Table clicks not found.\nat line 3\n\tat com.x.Y(Y.scala:89)":                                               ": Table clicks not found. at line 3",
		"(Service: S3, Status Code: 404)":                                                                            ": (Service: S3, Status Code: 404)",
		"Access Denied (Service: S3, Status Code: 403, Request ID: 7K)":                                              ": Access Denied",
		"Error Category: UNCLASSIFIED_ERROR; Failed Line Number: 22; An error occurred while calling o97.load. Boom": ": Boom",
		"An error occurred while calling o97.load.":                                                                  ": An error occurred while calling o97.load",
		"Error Category: alone":                                                                                      ": Error Category: alone",
		"User: arn:aws:iam::1:role/r is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:k":           ": not authorized to perform kms:Decrypt on arn:aws:kms:k",
	} {
		e := event.Event{DetailType: event.StateChange, Detail: event.Detail{WorkflowName: "w", Status: jobs.Failed, Error: &event.Error{Message: text}}}
		if got := message.Compose(e, now).Headline; got != "FAILED: w"+want {
			t.Errorf("%q:\n got %s\nwant %s", text, got, "FAILED: w"+want)
		}
	}
}

func TestAdviceNamesTheRefusedActionAndTheRole(t *testing.T) {
	role := []jobs.Output{{RoleArn: "arn:aws:iam::1:role/er"}}
	for text, want := range map[string]string{
		"User: u is not authorized to perform: s3:GetObject on resource: r": "Allow s3:GetObject for arn:aws:iam::1:role/er, or find the policy that denies it.",
		"User: u is not authorized to perform: <!channel>:x on resource: r": "Look in the error for the action that is refused, and allow that action for arn:aws:iam::1:role/er.",
		"AccessDenied": "Look in the error for the action that is refused, and allow that action for arn:aws:iam::1:role/er.",
	} {
		d := event.Detail{WorkflowName: "w", Status: jobs.Failed, Outputs: role, Error: &event.Error{Message: text, Category: jobs.IAM}}
		if got := message.Compose(event.Event{Detail: d}, now).Failure.Advice[0]; got != want {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestWhatIsSeenOrToldLateSaysSo(t *testing.T) {
	end := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		seen, told time.Duration // after the end; after it was seen
		want       []string
	}{
		{-time.Minute, 0, nil},
		{10 * time.Minute, 10 * time.Minute, nil},
		{20*time.Minute + 5*time.Second, 0, []string{"This was seen 20 min 5 s after the job had ended."}},
		{0, 20 * time.Hour, []string{"This is told late: it was seen 20 h ago."}},
		{time.Hour, 6*time.Hour + 3*time.Minute, []string{"This was seen 1 h after the job had ended.", "This is told late: it was seen 6 h 3 min ago."}},
		{0, -time.Hour, nil},
	} {
		d := event.Detail{WorkflowName: "w", Status: jobs.Succeeded, EndTime: end, ObservedAt: end.Add(c.seen)}
		if got := message.Compose(event.Event{Detail: d}, d.ObservedAt.Add(c.told)).Notes; !slices.Equal(got, c.want) {
			t.Errorf("seen %s late, told %s late: %q, want %q", c.seen, c.told, got, c.want)
		}
	}
}

func TestSharesAreOnlyOfAnInputThatCanHoldThem(t *testing.T) {
	for _, c := range []struct {
		metrics jobs.Metrics
		want    string
	}{
		{jobs.Metrics{jobs.InputRecords: 200, jobs.TotalMappedRecords: 50}, "25.0 %"},
		{jobs.Metrics{jobs.InputRecords: 0, jobs.TotalMappedRecords: 50}, ""},
		{jobs.Metrics{jobs.InputRecords: 10, jobs.TotalMappedRecords: 50}, ""},
		{jobs.Metrics{jobs.InputRecords: 10, jobs.TotalMappedRecords: -1}, ""},
		{jobs.Metrics{jobs.TotalMappedRecords: 50}, ""},
		{jobs.Metrics{jobs.InputRecords: 200, jobs.UniqueRecordsLoaded: 50}, ""},
	} {
		rows := message.Compose(event.Event{Detail: event.Detail{Status: jobs.Succeeded, Metrics: c.metrics}}, now).Metrics
		if got := rows[len(rows)-1].Share; got != c.want {
			t.Errorf("%v: %q, want %q", c.metrics, got, c.want)
		}
	}
}

func TestLinesHaveNoControlCharactersAndKeepTheirLimits(t *testing.T) { rapid.Check(t, wellFormed) }

func wellFormed(t *rapid.T) {
	m := message.Compose(eventtest.Event(t), now)
	lines := append([]string{m.Headline, m.Subject, m.Title, m.WorkflowName, m.JobID}, append(m.Notes, m.Footer...)...)
	for _, f := range m.Fields {
		lines = append(lines, f.Label, f.Value)
	}
	for _, l := range append(m.Outputs, m.Links...) {
		lines = append(lines, l.Label, l.URL)
	}
	for _, l := range lines {
		if strings.ContainsFunc(l, func(r rune) bool {
			return unicode.IsControl(r) || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069
		}) {
			t.Fatalf("control or direction characters in %q", l)
		}
	}
	if n := len([]rune(m.Headline)); n > 150 || n == 0 {
		t.Fatalf("headline of %d characters", n)
	}
	if n := len([]rune(m.Subject)); n > 180 || n == 0 {
		t.Fatalf("subject of %d characters", n)
	}
	for _, l := range m.Links {
		if !strings.HasPrefix(l.URL, "https://") {
			t.Fatalf("link to %q", l.URL)
		}
	}
}

func TestNumbersReadWell(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -999: "-999", -9223372036854775808: "-9,223,372,036,854,775,808"} {
		if got := message.Grouped(n); got != want {
			t.Errorf("Grouped(%d) = %s, want %s", n, got, want)
		}
	}
	for fraction, want := range map[float64]string{0: "0 %", 1: "100 %", 0.5: "50.0 %", 0.9823: "98.2 %", 0.00001: "<0.1 %", 0.99999: ">99.9 %", 0.001: "0.1 %", 1.5: "150.0 %"} {
		if got := message.Percent(fraction); got != want {
			t.Errorf("Percent(%v) = %s, want %s", fraction, got, want)
		}
	}
	for seconds, want := range map[int64]string{0: "0 s", 59: "59 s", 60: "1 min", 61: "1 min 1 s", 3600: "1 h", 3841: "1 h 4 min", 86400: "1 d", 90000: "1 d 1 h"} {
		if got := message.Duration(seconds); got != want {
			t.Errorf("Duration(%d) = %s, want %s", seconds, got, want)
		}
	}
}

func TestPercentNeverRoundsToNothingOrEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fraction := rapid.Float64Range(0, 1).Draw(t, "fraction")
		got := message.Percent(fraction)
		if (got == "0 %" || got == "0.0 %") && fraction > 0 || strings.HasPrefix(got, "100") && fraction < 1 {
			t.Fatalf("%v is %s", fraction, got)
		}
	})
}
