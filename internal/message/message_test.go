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
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
)

// now is long after every event: each notification is delayed.
var now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func compose(t *testing.T, body []byte) message.Message {
	t.Helper()
	e, err := event.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	return message.Compose(e, e.Detail.ObservedAt)
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
			eventtest.Golden(t, name+".json", got.Bytes())
		})
	}
}

func TestHeadlinesStandAlone(t *testing.T) {
	for name, want := range map[string]string{
		"success-batch":        "SUCCEEDED: customers-to-liveramp in 1 h 4 min, 78.6 % of 12,471,902 records mapped",
		"success-incremental":  "SUCCEEDED: nightly-incremental in 3 min 7 s, 85.8 % of 48,210 records mapped",
		"failure-iam":          `FAILED: customers-to-liveramp after 14 min 7 s: not authorized to perform s3:GetObject on arn:aws:s3:::acme-crm-export/2026-11-23/part-00000.parquet…`,
		"failure-silent":       "FAILED: customers-to-liveramp after 14 min 7 s",
		"queued":               "QUEUED: customers-to-liveramp is waiting to start",
		"running":              "RUNNING: customers-to-liveramp has started",
		"unknown-status":       "PAUSED: customers-to-liveramp reported an unrecognized status",
		"unknown-status-ended": "STOPPED: customers-to-liveramp has finished with an unrecognized status",
		"vanished":             "VANISHED: customers-to-liveramp is no longer shown by Entity Resolution; it was last observed RUNNING",
		"bare":                 "SUCCEEDED: w",
		"summary":              "LATE: 24 ID mapping jobs have finished: 8 FAILED, 16 SUCCEEDED",
	} {
		if got := compose(t, eventtest.Examples()[name]).Headline; got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

func TestHeadlineNamesTheCauseNotItsWrapping(t *testing.T) {
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

func TestAdviceNamesTheDeniedActionAndTheRole(t *testing.T) {
	const findAction = "Find the denied action in the error and allow it for arn:aws:iam::1:role/er."
	notAuthorized := func(operation string) string {
		return "User: u is not authorized to perform: s3:" + operation + " on resource: r"
	}
	role := []jobs.Output{{RoleArn: "arn:aws:iam::1:role/er"}}
	for text, want := range map[string]string{
		"User: u is not authorized to perform: s3:GetObject on resource: r":    "Allow s3:GetObject for arn:aws:iam::1:role/er, or find the policy that denies it.",
		"User: u is not authorized to perform: <!channel>:x on resource: r":    "Find the denied action in the error and allow it for arn:aws:iam::1:role/er.",
		"User: u is not authorized to perform: azAZ09-:azAZ09- on resource: r": "Allow azAZ09-:azAZ09- for arn:aws:iam::1:role/er, or find the policy that denies it.",
		notAuthorized(strings.Repeat("x", 64)):                                 "Allow s3:" + strings.Repeat("x", 64) + " for arn:aws:iam::1:role/er, or find the policy that denies it.",
		notAuthorized(strings.Repeat("x", 65)):                                 findAction,
		notAuthorized("`"):                                                     findAction, // the characters beside the letters and digits
		notAuthorized("{"):                                                     findAction,
		notAuthorized("@"):                                                     findAction,
		notAuthorized("["):                                                     findAction,
		notAuthorized("/"):                                                     findAction,
		notAuthorized(":"):                                                     findAction,
		notAuthorized(""):                                                      findAction,
		"AccessDenied":                                                         "Find the denied action in the error and allow it for arn:aws:iam::1:role/er.",
	} {
		d := event.Detail{WorkflowName: "w", Status: jobs.Failed, Outputs: role, Error: &event.Error{Message: text, Category: jobs.IAM}}
		if got := message.Compose(event.Event{Detail: d}, now).Failure.Advice[0]; got != want {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestNotesSayHowLateTheNotificationIs(t *testing.T) {
	end := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		observed, sent time.Duration // after the end; after the observation
		want           []string
	}{
		{-time.Minute, 0, nil},
		{10 * time.Minute, 10 * time.Minute, nil},
		{10*time.Minute + time.Second, 0, []string{"Observed 10 min 1 s after the job finished."}},
		{20*time.Minute + 5*time.Second, 0, []string{"Observed 20 min 5 s after the job finished."}},
		{0, 10*time.Minute + time.Second, []string{"Delayed notification: observed 10 min 1 s ago."}},
		{0, 20 * time.Hour, []string{"Delayed notification: observed 20 h ago."}},
		{time.Hour, 6*time.Hour + 3*time.Minute, []string{"Observed 1 h after the job finished.", "Delayed notification: observed 6 h 3 min ago."}},
		{0, -time.Hour, nil},
	} {
		d := event.Detail{WorkflowName: "w", Status: jobs.Succeeded, EndTime: end, ObservedAt: end.Add(c.observed)}
		if got := message.Compose(event.Event{Detail: d}, d.ObservedAt.Add(c.sent)).Notes; !slices.Equal(got, c.want) {
			t.Errorf("observed %s late, sent %s late: %q, want %q", c.observed, c.sent, got, c.want)
		}
	}
	running := event.Detail{WorkflowName: "w", Status: jobs.Running, EndTime: end, ObservedAt: end.Add(time.Hour)}
	if got := message.Compose(event.Event{Detail: running}, running.ObservedAt).Notes; got != nil {
		t.Errorf("a running job: %q", got)
	}
	unobserved := event.Detail{WorkflowName: "w", Status: jobs.Running}
	if got := message.Compose(event.Event{Detail: unobserved}, end).Notes; got != nil {
		t.Errorf("without observedAt: %q", got)
	}
}

func TestShareIsShownOnlyWhenTheInputContainsTheRecords(t *testing.T) {
	for _, c := range []struct {
		metrics jobs.Metrics
		want    string
	}{
		{jobs.Metrics{jobs.InputRecords: 200, jobs.TotalMappedRecords: 50}, "25.0 %"},
		{jobs.Metrics{jobs.InputRecords: 50, jobs.TotalMappedRecords: 50}, "100 %"},
		{jobs.Metrics{jobs.InputRecords: 49, jobs.TotalMappedRecords: 50}, ""},
		{jobs.Metrics{jobs.InputRecords: 1, jobs.TotalMappedRecords: 0}, "0 %"},
		{jobs.Metrics{jobs.InputRecords: 0, jobs.TotalMappedRecords: 0}, ""},
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

func TestCharactersThatChangeTheWritingDirectionAreRemoved(t *testing.T) {
	line := func(r rune) string {
		return composeDetail(event.StateChange, event.Detail{JobID: "a" + string(r) + "b"}).JobID
	}
	for _, r := range []rune{0x202A, 0x202E, 0x2066, 0x2069, 0x200E, 0x200F, 0x061C, 0xFEFF} {
		if got := line(r); got != "ab" {
			t.Errorf("%U: %q", r, got)
		}
	}
	for _, r := range []rune{0x2028, 0x2029, 0x0000, 0x0085, '\n', '\t'} {
		if got := line(r); got != "a b" {
			t.Errorf("%U: %q, want a space", r, got)
		}
	}
	for _, r := range []rune{0x2065, 0x206A, 0x200D, 0x2010, 'é'} { // those beside them stay
		if got := line(r); got != "a"+string(r)+"b" {
			t.Errorf("%U: %q, want it kept", r, got)
		}
	}
}

func TestComposedLinesHaveNoControlCharactersAndKeepTheirLimits(t *testing.T) {
	rapid.Check(t, wellFormed)
}

// console matches every link that a message may have.
var console = regexp.MustCompile(`^(https://[a-z0-9-]+\.console\.(aws\.amazon\.com|amazonaws\.cn|amazonaws-us-gov\.com)/[!-;=?-{}~]*)?$`)

func wellFormed(t *rapid.T) {
	m := message.Compose(eventtest.Event(t), now)
	lines := append([]string{m.Headline, m.Subject, m.Title, m.WorkflowName, m.JobID}, append(m.Notes, m.Footer...)...)
	for _, f := range m.Fields {
		lines = append(lines, f.Label, f.Value)
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
	if n := len([]rune(m.Headline)); n > 150 || n == 0 {
		t.Fatalf("headline of %d characters", n)
	}
	if n := len([]rune(m.Subject)); n > 180 || n == 0 {
		t.Fatalf("subject of %d characters", n)
	}
	for _, l := range slices.Concat(m.Outputs, m.Links, m.Jobs) {
		if !console.MatchString(l.URL) || len(l.URL) > 2000 {
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
	for fraction, want := range map[float64]string{0: "0 %", 1: "100 %", 0.5: "50.0 %", 0.9823: "98.2 %", 0.00001: "<0.1 %", 0.99999: ">99.9 %", 0.001: "0.1 %", 0.999: "99.9 %", 1.5: "150.0 %", -0.5: "-50.0 %"} {
		if got := message.Percent(fraction); got != want {
			t.Errorf("Percent(%v) = %s, want %s", fraction, got, want)
		}
	}
	for seconds, want := range map[int64]string{0: "0 s", 59: "59 s", 60: "1 min", 61: "1 min 1 s", 3600: "1 h", 3599: "59 min 59 s", 3841: "1 h 4 min", 86399: "23 h 59 min", 86400: "1 d", 90000: "1 d 1 h", 176400: "2 d 1 h"} {
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

// composeDetail composes an event that was observed and is sent at the same time.
func composeDetail(detailType string, d event.Detail) message.Message {
	return message.Compose(event.Event{DetailType: detailType, Account: "999999999999", Region: "us-east-1", Detail: d}, d.ObservedAt)
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
	d := event.Detail{WorkflowName: "crm", WorkflowARN: eventtest.WorkflowARN("crm"), JobID: "1", Status: jobs.Running,
		Outputs: []jobs.Output{{S3Path: " "}, {S3Path: "s3://out/a"}}, Links: forged}
	m := composeDetail(event.StateChange, d)
	page := "https://eu-west-1.console.aws.amazon.com/entityresolution/home?region=eu-west-1#/id-mapping-workflows/crm"
	if want := []message.Link{{Label: "Open job", URL: page + "/jobs/1"}, {Label: "Open workflow", URL: page}}; !slices.Equal(m.Links, want) {
		t.Errorf("links %v, want %v", m.Links, want)
	}
	if want := []message.Link{{Label: "s3://out/a", URL: "https://eu-west-1.console.aws.amazon.com/s3/buckets/out?prefix=a%2F&region=eu-west-1"}}; !slices.Equal(m.Outputs, want) {
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
}

func TestLinkLongerThan2000BytesIsLeftOut(t *testing.T) {
	job := func(n int) event.Detail {
		return event.Detail{WorkflowName: "crm", WorkflowARN: eventtest.WorkflowARN("crm"), JobID: strings.Repeat("x", n), Status: jobs.Running}
	}
	fits := 2000 - len(event.ConsoleLinks(job(0)).Job)
	for n, want := range map[int]int{fits: 2, fits + 1: 1} {
		if got := composeDetail(event.StateChange, job(n)).Links; len(got) != want {
			t.Errorf("job ID of %d bytes: links %v", n, got)
		}
	}
}

func TestStatusFieldShowsThePreviousStatus(t *testing.T) {
	for _, c := range []struct{ previous, status, want string }{
		{"", "RUNNING", "RUNNING"},
		{"QUEUED", "RUNNING", "RUNNING (was QUEUED)"},
		{"STOPPED", "STOPPED", "STOPPED (finished)"},
	} {
		m := composeDetail(event.StateChange, event.Detail{Status: jobs.Status(c.status), PreviousStatus: jobs.Status(c.previous)})
		if !slices.Contains(m.Fields, message.Field{Label: "Status", Value: c.want}) {
			t.Errorf("fields %v, want status %q", m.Fields, c.want)
		}
	}
}

func TestLongTextIsTruncatedAtAWord(t *testing.T) {
	name := func(name string) string {
		return composeDetail(event.StateChange, event.Detail{WorkflowName: name, Status: jobs.Queued}).Headline
	}
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct{ name, want string }{
		{x(80), x(80)},
		{x(81), x(79) + "…"},
		{x(60) + " " + x(30), x(60) + " " + x(18) + "…"},
		{x(63) + " " + x(30), x(63) + " " + x(15) + "…"},
		{x(64) + " " + x(30), x(64) + "…"},
		{x(78) + ", " + x(30), x(78) + "…"},
		{strings.Repeat("é", 81), strings.Repeat("é", 79) + "…"},
	} {
		if got, want := name(c.name), "QUEUED: "+c.want+" is waiting to start"; got != want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, want)
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
		return message.ComposeBroken(all, "1", "r")
	}
	const prefix = len("email:0@x: ")
	for _, c := range []struct {
		name string
		got  string
		want string
	}{
		{"two that fill the limit", notice(2, 2000-prefix-1).Failure.Text[3990:], "ccccccccc"},
		{"three of which two fit", notice(3, 1900-prefix).Failure.Text[3802:], "and 1 more"},
		{"one that is too long", fmt.Sprint(len([]rune(notice(1, 5000).Failure.Text))), "1000"},
		{"one at the limit", fmt.Sprint(len(notice(1, 4000-prefix).Failure.Text)), "4000"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
	if m := notice(1, 1); strings.Contains(m.Title, "more") {
		t.Errorf("one destination: %s", m.Title)
	}
	m := notice(3, 1)
	if m.Title != "DELIVERY FAILING: email to 0@x and 2 more" || m.Headline != "DELIVERY FAILING: cannot send email to 0@x and 2 more: c" || len(m.Failure.Advice) != 1 {
		t.Errorf("three destinations: %s / %s / %q", m.Title, m.Headline, m.Failure.Advice)
	}
}

func TestNoticeTruncatesALongName(t *testing.T) {
	long := message.Broken{Destination: "pager:" + strings.Repeat("x", 100), Cause: "no"}
	for n, want := range map[int]string{
		1: "pager:" + strings.Repeat("x", 73) + "…",
		3: "pager:" + strings.Repeat("x", 61) + "… and 2 more",
	} {
		m := message.ComposeBroken([]message.Broken{long, long, long}[:n], "1", "r")
		if m.Title != "DELIVERY FAILING: "+want {
			t.Errorf("%d destinations: %s", n, m.Title)
		}
	}
}

func TestNoticeNamesEachKindOfDestinationAndItsRemediation(t *testing.T) {
	for destination, want := range map[string][2]string{
		"slack:#data-jobs":    {"cannot post to Slack channel #data-jobs: no", "Invite the bot"},
		"slack-webhook":       {"cannot post to the Slack webhook: no", "Create a new incoming webhook"},
		"email:a@example.com": {"cannot send email to a@example.com: no", "In Amazon SES"},
		"pager:1":             {"cannot reach pager:1: no", "Look in the notifier's log"},
	} {
		m := message.ComposeBroken([]message.Broken{{Destination: destination, Cause: "no"}}, "1", "r")
		if m.Headline != "DELIVERY FAILING: "+want[0] || !strings.HasPrefix(m.Failure.Advice[0], want[1]) {
			t.Errorf("%s: %q, %q", destination, m.Headline, m.Failure.Advice)
		}
	}
}

func TestSummaryCountsEveryStatusAndListsTwentyJobs(t *testing.T) {
	d := event.Detail{TransitionID: "0123456789abcdef", WorkflowARN: eventtest.WorkflowARN("crm"), Statuses: map[jobs.Status]int{"A": 1, "B": 2, "C": 3, "D": 4, "E": 5, "F": 1000}}
	for range 30 {
		d.Jobs = append(d.Jobs, event.ListedJob{WorkflowName: "crm", JobID: "4f2a", Status: "A"})
	}
	m := message.Compose(event.Event{DetailType: event.Summary, Detail: d}, now)
	if want := "LATE: 1,015 ID mapping jobs have finished: 1 A, 2 B, 3 C, 4 D, 5 E, 1,000 others"; m.Headline != want || m.Severity != message.Neutral {
		t.Errorf("headline %q of severity %d", m.Headline, m.Severity)
	}
	if len(m.Jobs) != 20 || m.MoreJobs != 995 || m.Account != eventtest.Account || m.JobID != d.TransitionID || m.WorkflowName != "" {
		t.Errorf("%d jobs, %d more, account %q, job %q of %q", len(m.Jobs), m.MoreJobs, m.Account, m.JobID, m.WorkflowName)
	}
	if m.Jobs[0].Label != "A: crm" || !strings.HasSuffix(m.Jobs[0].URL, "#/id-mapping-workflows/crm/jobs/4f2a") {
		t.Errorf("the first job is %+v", m.Jobs[0])
	}
	d.WorkflowARN = ""
	if job := message.Compose(event.Event{DetailType: event.Summary, Detail: d}, now).Jobs[0]; job != (message.Link{Label: "A: crm, job 4f2a"}) {
		t.Errorf("without an ARN the first job is %+v", job)
	}
}

func TestSummaryIsAsSevereAsItsWorstStatus(t *testing.T) {
	for want, statuses := range map[message.Severity]map[jobs.Status]int{
		message.Bad:     {jobs.Failed: 1, jobs.Succeeded: 20},
		message.Good:    {jobs.Succeeded: 21},
		message.Neutral: {"STOPPED": 1, jobs.Succeeded: 20},
	} {
		if got := message.Compose(event.Event{DetailType: event.Summary, Detail: event.Detail{Statuses: statuses}}, now).Severity; got != want {
			t.Errorf("%v: severity %d, want %d", statuses, got, want)
		}
	}
}
