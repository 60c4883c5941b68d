package event_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/golden"
	"github.com/idmapping/notifier/internal/jobs"
)

var (
	crmARN = eventtest.WorkflowARN("crm")
	crmKey = jobs.Key{Workflow: "crm", Job: "4f2a"}
	noon   = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
)

// encode encodes a transition of a job of the workflow crm.
func encode(t testing.TB, transition jobs.Transition) jobs.Entry {
	t.Helper()
	transition.Job.Key = crmKey
	entry, err := event.Encode(crmARN, transition, noon)
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

func detailOf(t testing.TB, entry jobs.Entry) event.Detail {
	t.Helper()
	var d event.Detail
	if err := json.Unmarshal([]byte(entry.Detail), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("../../docs/event.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t interface{ Fatalf(string, ...any) }, s *jsonschema.Schema, body []byte) {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = s.Validate(value)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
}

func TestExamplesAreDeliveredAsDocumentedAndHoldTheSchema(t *testing.T) {
	s := schema(t)
	for name, body := range eventtest.Examples() {
		t.Run(name, func(t *testing.T) {
			validate(t, s, body)
			if _, err := event.Decode(body); err != nil {
				t.Error(err)
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, body, "", "  "); err != nil {
				t.Fatal(err)
			}
			pretty.WriteByte('\n')
			golden.File(t, name+".json", pretty.Bytes())
		})
	}
}

// anyJob draws what the API can return, and more.
func anyJob(t *rapid.T) jobs.Job {
	when := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "absent") {
			return time.Time{}
		}
		return noon.Add(time.Duration(rapid.Int64Range(-1e15, 1e15).Draw(t, "offset")))
	})
	j := jobs.Job{
		Key:       jobs.Key{Workflow: rapid.StringMatching(`[a-zA-Z_0-9-]{1,255}`).Draw(t, "workflow"), Job: rapid.StringMatching(`[a-z0-9-]{1,40}`).Draw(t, "job")},
		Type:      rapid.String().Draw(t, "type"),
		Status:    anyStatus.Draw(t, "status"),
		StartTime: when.Draw(t, "start"), EndTime: when.Draw(t, "end"),
		Error: rapid.OneOf(rapid.String(), rapid.Just(strings.Repeat("é<!channel>\x00\xff", 100_000))).Draw(t, "error"),
	}
	for _, c := range rapid.SliceOfDistinct(rapid.SampledFrom(jobs.Counters), rapid.ID[jobs.Counter]).Draw(t, "counters") {
		if j.Metrics == nil {
			j.Metrics = jobs.Metrics{}
		}
		j.Metrics[c] = int64(rapid.Int32().Draw(t, string(c)))
	}
	text := rapid.OneOf(rapid.String(), rapid.Just(strings.Repeat("s3://b/é", 5000)), rapid.Just("s3://bucket/a b?#/"))
	for range rapid.SampledFrom([]int{0, 1, 3, 200}).Draw(t, "outputs") {
		j.Outputs = append(j.Outputs, jobs.Output{S3Path: text.Draw(t, "path"), KMSArn: text.Draw(t, "key"), RoleArn: text.Draw(t, "role")})
	}
	return j
}

// anyAssessment draws an assessment as the histories make them.
func anyAssessment(t *rapid.T) jobs.Assessment {
	number := func() int64 { return rapid.Int64Range(0, 1e9).Draw(t, "number") }
	runs := rapid.IntRange(5, 50).Draw(t, "runs")
	r := jobs.Range{Low: number(), Median: number(), High: number(), Runs: runs}
	a := jobs.Assessment{EarlierRuns: &runs, Usual: jobs.Usual{}, ExpectedEnd: &jobs.ExpectedEnd{At: noon, Earliest: noon, Latest: noon, Runs: runs},
		Streak: &jobs.Streak{Failures: runs, Since: noon, FirstJobID: "1"}, LastSuccess: &jobs.FinishedRun{RunRef: jobs.RunRef{Job: "1"}, End: noon},
		Recovery: &jobs.Recovery{Failures: runs, Since: noon, FirstJobID: "1", LastJobID: "2"}, WaitsFor: &jobs.Key{Workflow: "w", Job: "1"}}
	for _, measure := range []jobs.Measure{jobs.MeasureDuration, jobs.MeasureInput, jobs.MeasureMappedRate, jobs.MeasureNotProcessedRate, jobs.MeasureRemovedRate} {
		a.Usual[measure] = r
		a.Comparison = append(a.Comparison, jobs.Compared{Measure: measure, Value: number(), Range: r, Word: jobs.WordBelow})
		a.Findings = append(a.Findings, jobs.Finding{Code: jobs.ZeroMapped, Measure: measure, Value: number(), HasValue: true, Range: &r},
			jobs.Finding{Code: jobs.ZeroProcessed, Measure: measure})
	}
	return a
}

func TestRatesOfAnAssessmentHaveFourDecimals(t *testing.T) {
	r := jobs.Range{Low: 7712, Median: 7851, High: 10_000, Runs: 50}
	transition := jobs.Transition{Job: jobs.Job{Key: crmKey, Status: jobs.Succeeded}, Assessment: jobs.Assessment{
		Usual:      jobs.Usual{jobs.MeasureMappedRate: r, jobs.MeasureInput: {Low: 1, Median: 2, High: 12_480_331, Runs: 5}},
		Comparison: []jobs.Compared{{Measure: jobs.MeasureMappedRate, Value: 1, Range: r, Word: jobs.WordBelow}}}}
	entry, err := event.Encode(crmARN, transition, noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"usual":{"inputRecords":{"low":1,"median":2,"high":12480331,"runs":5},"mappedRate":{"low":0.7712,"median":0.7851,"high":1,"runs":50}}`,
		`"comparison":[{"measure":"mappedRate","value":0.0001,"low":0.7712,"high":1,"runs":50,"word":"below"}]`} {
		if !strings.Contains(entry.Detail, want) {
			t.Errorf("the detail lacks %s:\n%s", want, entry.Detail)
		}
	}
}

var anyStatus = rapid.Map(rapid.SampledFrom([]string{"QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "PAUSED", "<!channel>\xff", strings.Repeat("X", 9000)}),
	func(s string) jobs.Status { return jobs.Status(s) })

func TestEncodedEventsHoldTheSchemaAndDecode(t *testing.T) {
	rapid.Check(t, roundTrip(schema(t)))
}

// roundTrip is the property of an encoded event that holds the schema and
// decodes to what was encoded.
func roundTrip(s *jsonschema.Schema) func(*rapid.T) {
	return func(t *rapid.T) {
		j := anyJob(t)
		observed := noon.Add(time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "observed")))
		_, transition := jobs.Advance(nil, j)
		if rapid.Bool().Draw(t, "known") {
			transition.Previous = anyStatus.Draw(t, "previous")
		}
		if rapid.Bool().Draw(t, "assessed") {
			transition.Assessment = anyAssessment(t)
		}
		entry, err := event.Encode(eventtest.WorkflowARN(j.Workflow), transition, observed)
		if rapid.Bool().Draw(t, "vanished") {
			entry, err = event.EncodeVanished(eventtest.WorkflowARN(j.Workflow), j, observed)
		} else if rapid.Bool().Draw(t, "overdue") {
			entry, err = event.EncodeOverdue(eventtest.WorkflowARN(j.Workflow), j, transition.Assessment, noon, slices.Repeat([]jobs.Key{{Workflow: "w", Job: "1"}}, 30), observed)
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(entry.Detail, `"publisher"`) {
			t.Fatal("an entry that the outbox stores has a publisher")
		}
		body := eventtest.Envelope(entry, rapid.StringMatching(`[a-zA-Z][a-zA-Z0-9-]{0,127}`).Draw(t, "stack"))
		validate(t, s, body)
		if len(entry.Detail) > 150_000 {
			t.Fatalf("detail has %d bytes", len(entry.Detail))
		}
		e, err := event.Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		if e.Detail.TransitionID != entry.ID || e.DetailType != entry.DetailType || e.Detail.JobID != j.Job || len(e.Detail.Metrics) != len(j.Metrics) {
			t.Fatalf("decoded to %+v", e)
		}
	}
}

func TestEventAboutARunHoldsTheSchema(t *testing.T) {
	s := schema(t)
	rapid.Check(t, func(t *rapid.T) {
		at := func(label string) time.Time {
			return noon.Add(time.Duration(rapid.Int64Range(-1e15, 1e15).Draw(t, label)))
		}
		m := jobs.MissingRun{ExpectedStart: jobs.ExpectedStart{At: at("at"), By: at("by"), Kept: rapid.IntRange(0, 800).Draw(t, "kept"), Of: 800}}
		if rapid.Bool().Draw(t, "last") {
			m.LastRun = jobs.StartedRun{Job: "7b4d", Status: anyStatus.Draw(t, "status"), Start: at("start")}
		}
		entry, err := event.EncodeMissing(crmARN, "crm", m, at("observed"))
		if rapid.Bool().Draw(t, "resumed") {
			entry, err = event.EncodeResumed(crmARN, crmKey, at("started"), m, at("observed"))
		}
		if err != nil {
			t.Fatal(err)
		}
		body := eventtest.Envelope(entry, "idmapping")
		if m.LastRun.Job == "" || m.LastRun.Status != "" {
			validate(t, s, body)
		}
		if e, err := event.Decode(body); err != nil || e.Detail.TransitionID != entry.ID || e.DetailType != entry.DetailType {
			t.Fatalf("decoded to %+v (%v)", e, err)
		}
	})
	if _, err := event.EncodeMissing(crmARN, "ads", jobs.MissingRun{}, noon); err == nil {
		t.Error("an event of another workflow's ARN was encoded")
	}
}

// Subscribers compute the ID too, so it must be the same in every version.
// printf 'aws\n123456789012\neu-west-1\ncrm\n4f2a\nFAILED' | sha256sum
func TestTransitionIDNeverChanges(t *testing.T) {
	stopped := func(previous jobs.Status) jobs.Transition {
		return jobs.Transition{Job: jobs.Job{Status: "STOPPED", EndTime: noon}, Previous: previous}
	}
	vanished, err := event.EncodeVanished(crmARN, jobs.Job{Key: crmKey, Status: jobs.Failed}, noon)
	if err != nil {
		t.Fatal(err)
	}
	overdue, err := event.EncodeOverdue(crmARN, jobs.Job{Key: crmKey, Status: jobs.Running}, jobs.Assessment{}, noon, nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	run := jobs.MissingRun{ExpectedStart: jobs.ExpectedStart{At: noon, By: noon.Add(time.Hour)}}
	missing, err := event.EncodeMissing(crmARN, "crm", run, noon)
	if err != nil {
		t.Fatal(err)
	}
	resumed, err := event.EncodeResumed(crmARN, crmKey, noon, run, noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, got, word string
	}{
		{"missing run", missing.ID, "MISSING"},
		{"resumed run", resumed.ID, "RESUMED"},
		{"first sight", encode(t, jobs.Transition{Job: jobs.Job{Status: jobs.Failed}}).ID, "FAILED"},
		{"another observation", encode(t, jobs.Transition{Job: jobs.Job{Status: jobs.Failed, Error: "x"}, Previous: jobs.Running}).ID, "FAILED"},
		{"vanished", vanished.ID, "VANISHED"},
		{"overdue", overdue.ID, "OVERDUE"},
		{"unknown status", encode(t, stopped(jobs.Running)).ID, "STOPPED"},
		{"end of an unknown status", encode(t, stopped("STOPPED")).ID, "STOPPED ENDED"},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := map[string]string{
				"FAILED":        "55d9a595d50654c396751689b74bb767021c71236d10de2354638fb4d47230aa",
				"MISSING":       "86bf484780dc71b1763a6d7487ed9d9178cc0276f33029b6d9c9a1e10e81d16e",
				"RESUMED":       "d0c6fb51317089edfa81897d852f514b89c78421d17e6ebefcdade4c48d80767",
				"OVERDUE":       "cb072308c37c4108867a18f1d46bbebeb4bba8610c168dfc176991508fbd323a",
				"VANISHED":      "3dbd795aff2fa255a538366ea1a49e7f0240052f672745c3f8247e4fa393c8c7",
				"STOPPED":       "47c1c3aefbbd55abd24389e21b8c81bd9bdee96a197b8896c7dd3c7861aa7bdf",
				"STOPPED ENDED": "8d0a3153fdac9559c04c5c48238511fb3793bd4c582ecc01a19d3e0fd1619079",
			}[test.word]
			if test.got != want {
				t.Errorf("ID = %s, want %s, the hash of %s", test.got, want, test.word)
			}
		})
	}
	workflow, _ := arn.Parse(crmARN)
	if got, want := event.TransitionID(workflow, crmKey, "FAILED"), "55d9a595d50654c396751689b74bb767021c71236d10de2354638fb4d47230aa"; got != want {
		t.Errorf("TransitionID = %s, want %s", got, want)
	}
}

func TestTimeIsWhenTheStateBegan(t *testing.T) {
	start, end := noon.Add(-2*time.Hour), noon.Add(-time.Hour)
	for _, test := range []struct {
		job  jobs.Job
		want time.Time
	}{
		{jobs.Job{Status: jobs.Queued}, noon},
		{jobs.Job{Status: jobs.Running, StartTime: start}, start},
		{jobs.Job{Status: jobs.Running}, noon},
		{jobs.Job{Status: jobs.Succeeded, StartTime: start, EndTime: end}, end},
		{jobs.Job{Status: jobs.Failed, StartTime: start}, noon},
		{jobs.Job{Status: "PAUSED", StartTime: start}, start},
		{jobs.Job{Status: "STOPPED", StartTime: start, EndTime: end}, end},
	} {
		if entry := encode(t, jobs.Transition{Job: test.job}); !entry.Time.Equal(test.want) {
			t.Errorf("%s: time %v, want %v", test.job.Status, entry.Time, test.want)
		}
	}
	entry, err := event.EncodeVanished(crmARN, jobs.Job{Key: crmKey, Status: jobs.Running, StartTime: start}, noon)
	if err != nil || !entry.Time.Equal(noon) {
		t.Errorf("vanished: time %v (%v), want %v", entry.Time, err, noon)
	}
}

func TestDerivedKeysArePresentOnlyWhereDefined(t *testing.T) {
	full := detailOf(t, encode(t, jobs.Transition{Job: jobs.Job{Status: jobs.Failed, StartTime: noon, EndTime: noon.Add(90*time.Second + 600*time.Millisecond), Error: "KMS key disabled",
		Metrics: jobs.Metrics{jobs.TotalMappedRecords: 1, jobs.TotalRecordsProcessed: 3, jobs.RecordsNotProcessed: 1, jobs.InputRecords: 4}}}))
	if *full.Duration != 91 || *full.Rates.Mapped != 0.333333 || *full.Rates.NotProcessed != 0.25 || full.Error.Category != jobs.KMS {
		t.Errorf("duration %v, rates %v %v, error %v", *full.Duration, *full.Rates.Mapped, *full.Rates.NotProcessed, full.Error)
	}
	for name, job := range map[string]jobs.Job{
		"running":         {Status: jobs.Running, StartTime: noon, EndTime: noon.Add(time.Hour)},
		"nothing given":   {Status: jobs.Succeeded},
		"nothing counted": {Status: jobs.Succeeded, Metrics: jobs.Metrics{jobs.TotalMappedRecords: 0, jobs.TotalRecordsProcessed: 0}},
	} {
		if d := detailOf(t, encode(t, jobs.Transition{Job: job})); d.Duration != nil || d.Rates != nil || d.Error != nil || d.Outputs != nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
	for name, m := range map[string]jobs.Metrics{
		"mapped only":        {jobs.TotalMappedRecords: 1, jobs.TotalRecordsProcessed: 2},
		"not processed only": {jobs.RecordsNotProcessed: 1, jobs.InputRecords: 2},
	} {
		r := detailOf(t, encode(t, jobs.Transition{Job: jobs.Job{Status: jobs.Succeeded, Metrics: m}})).Rates
		if r == nil || (r.Mapped != nil) != (name == "mapped only") || (r.NotProcessed != nil) != (name == "not processed only") {
			t.Errorf("%s: rates %+v", name, r)
		}
	}
}

func TestTrimKeepsTenOutputs(t *testing.T) {
	var outputs []jobs.Output
	for i := range 11 {
		outputs = append(outputs, jobs.Output{S3Path: fmt.Sprint(i), KMSArn: strings.Repeat("k", 2049), RoleArn: strings.Repeat("r", 2048)})
	}
	for _, n := range []int{0, 9, 10, 11} {
		got := event.Trim(jobs.Job{Outputs: outputs[:n]}).Outputs
		if len(got) != min(n, 10) {
			t.Errorf("%d outputs of %d", len(got), n)
		}
		for i, o := range got {
			if o.S3Path != fmt.Sprint(i) || len(o.KMSArn) != 2048 || !strings.Contains(o.KMSArn, "cut: 2049 bytes") || o.RoleArn != outputs[i].RoleArn {
				t.Errorf("output %d is %+v", i, o)
			}
		}
	}
	long := event.Trim(jobs.Job{Status: jobs.Status(strings.Repeat("S", 2049)), Type: strings.Repeat("T", 2049), Error: strings.Repeat("E", 4097)})
	if len(long.Status) != 2048 || len(long.Type) != 2048 || len(long.Error) != 4096 {
		t.Errorf("lengths %d, %d, %d", len(long.Status), len(long.Type), len(long.Error))
	}
}

func TestEncodeRefusesAnotherWorkflowsARN(t *testing.T) {
	for _, test := range []struct{ arn, want string }{
		{"", "invalid prefix"},
		{"crm", "invalid prefix"},
		{eventtest.WorkflowARN("ads"), "is not the ARN of ID mapping workflow"},
		{strings.Replace(crmARN, "idmappingworkflow", "matchingworkflow", 1), "is not the ARN of ID mapping workflow"},
		{strings.Replace(crmARN, "entityresolution", "glue", 1), "is not the ARN of ID mapping workflow"},
		{strings.Replace(crmARN, "eu-west-1", "", 1), "has no region"},
	} {
		_, err := event.Encode(test.arn, jobs.Transition{Job: jobs.Job{Key: crmKey, Status: jobs.Running}}, noon)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "crm/4f2a") {
			t.Errorf("%q: error %v, want %q", test.arn, err, test.want)
		}
	}
}

func TestPublisherIsAddedToAnyObject(t *testing.T) {
	for _, test := range []struct{ detail, publisher, environment, want string }{
		{`{"version":"1"}`, "prod", "", `{"publisher":"prod","version":"1"}`},
		{`{"version":"1"}`, "s", "prod", `{"publisher":"s","environment":"prod","version":"1"}`},
		{`{}`, "prod", "", `{"publisher":"prod"}`},
		{`{"a":{}}`, `a"b`, "", `{"publisher":"a\"b","a":{}}`},
		{`[]`, "prod", "x", `[]`},
		{``, "prod", "", ``},
	} {
		if got := event.AddPublisher(test.detail, event.Publisher{Stack: test.publisher, Environment: test.environment}); got != test.want {
			t.Errorf("%s: got %s, want %s", test.detail, got, test.want)
		}
	}
}

func TestLinksAreRightForEveryPartition(t *testing.T) {
	for _, test := range []struct{ arn, page, s3 string }{
		{"arn:aws:entityresolution:eu-west-1:123456789012:idmappingworkflow/crm", "https://eu-west-1.console.aws.amazon.com", "eu-west-1"},
		{"arn:aws-cn:entityresolution:cn-north-1:123456789012:idmappingworkflow/crm", "https://cn-north-1.console.amazonaws.cn", "cn-north-1"},
		{"arn:aws-us-gov:entityresolution:us-gov-west-1:123456789012:idmappingworkflow/crm", "https://us-gov-west-1.console.amazonaws-us-gov.com", "us-gov-west-1"},
		{"arn:aws-other:entityresolution:xx-1:123456789012:idmappingworkflow/crm", "", ""},
	} {
		job := jobs.Job{Key: crmKey, Status: jobs.Running, Outputs: []jobs.Output{
			{S3Path: "s3://out/a b"}, {S3Path: "javascript:alert(1)"}, {S3Path: "s3://out"}, {S3Path: "s3://out/a/"}, {S3Path: "s3:///a"}}}
		entry, err := event.Encode(test.arn, jobs.Transition{Job: job}, noon)
		if err != nil {
			t.Fatal(err)
		}
		got := detailOf(t, entry).Links
		if test.page == "" {
			if got != nil {
				t.Errorf("%s has links %+v", test.arn, got)
			}
			continue
		}
		workflow := test.page + "/entityresolution/home?region=" + test.s3 + "#/id-mapping-workflows/crm"
		bucket := func(prefix string) string {
			return test.page + "/s3/buckets/out?prefix=" + prefix + "&region=" + test.s3
		}
		want := event.Links{Workflow: workflow, Job: workflow + "/jobs/4f2a",
			Outputs: []string{bucket("a+b%2F"), "", bucket(""), bucket("a%2F"), ""}}
		if fmt.Sprint(*got) != fmt.Sprint(want) {
			t.Errorf("links\n%+v\nwant\n%+v", *got, want)
		}
	}
}

func TestConsoleLinksComeFromTheARNOnly(t *testing.T) {
	d := event.Detail{WorkflowName: "crm", WorkflowARN: crmARN, JobID: `../"<x>|`,
		Links: &event.Links{Job: "https://evil.example/login", Workflow: "https://evil.example/login"}}
	want := "https://eu-west-1.console.aws.amazon.com/entityresolution/home?region=eu-west-1#/id-mapping-workflows/crm/jobs/..%2F%22%3Cx%3E%7C"
	if got := event.ConsoleLinks(d).Job; got != want {
		t.Errorf("link to %s, want %s", got, want)
	}
	for _, text := range []string{
		"",
		eventtest.WorkflowARN("ads"),
		"arn:aws:entityresolution::123456789012:idmappingworkflow/crm",
		"arn:aws:entityresolution:evil.example/:123456789012:idmappingworkflow/crm",
		"arn:aws:entityresolution:EU-WEST-1:123456789012:idmappingworkflow/crm",
		"arn:aws:entityresolution:eu-west-1{:123456789012:idmappingworkflow/crm",
		"arn:aws:entityresolution:eu_west:123456789012:idmappingworkflow/crm",
	} {
		d.WorkflowARN = text
		if got := event.ConsoleLinks(d); got != nil {
			t.Errorf("%q: links %+v", text, got)
		}
	}
	d.WorkflowARN = "arn:aws:entityresolution:az-az-09:123456789012:idmappingworkflow/crm"
	if got := event.ConsoleLinks(d); got == nil || !strings.HasPrefix(got.Job, "https://az-az-09.console.aws.amazon.com/") {
		t.Errorf("a region of the first and last letters and digits: links %+v", got)
	}
}

// change returns a valid event's body with one change.
func change(t testing.TB, entry jobs.Entry, edit func(envelope, detail map[string]any)) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(eventtest.Envelope(entry, "stack"), &m); err != nil {
		t.Fatal(err)
	}
	edit(m, m["detail"].(map[string]any))
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestDecodeRefusesForeignEventsAndSaysWhy(t *testing.T) {
	running := encode(t, jobs.Transition{Job: jobs.Job{Status: jobs.Running}, Previous: jobs.Queued})
	ended := encode(t, jobs.Transition{Job: jobs.Job{Status: "STOPPED", EndTime: noon}, Previous: "STOPPED"})
	vanished, err := event.EncodeVanished(crmARN, jobs.Job{Key: crmKey, Status: jobs.Running}, noon)
	if err != nil {
		t.Fatal(err)
	}
	canary := event.EncodeCanary(false, noon.Add(time.Nanosecond))
	run := jobs.MissingRun{ExpectedStart: jobs.ExpectedStart{At: noon, By: noon}}
	missing, err := event.EncodeMissing(crmARN, "crm", run, noon)
	if err != nil {
		t.Fatal(err)
	}
	resumed, err := event.EncodeResumed(crmARN, crmKey, noon, run, noon)
	if err != nil {
		t.Fatal(err)
	}
	envelope := func(entry jobs.Entry, key string, value any) string {
		return change(t, entry, func(m, _ map[string]any) { m[key] = value })
	}
	detail := func(entry jobs.Entry, key string, value any) string {
		return change(t, entry, func(_, d map[string]any) { d[key] = value })
	}
	const forged = "not the hash"
	for _, test := range []struct{ name, body, want string }{
		{"no JSON", "{", "not an EventBridge envelope"},
		{"empty", "", "not an EventBridge envelope"},
		{"an array", "[]", "not an EventBridge envelope"},
		{"an S3 event", `{"Records":[{"eventSource":"aws:s3"}]}`, "source is"},
		{"another source", envelope(running, "source", "aws.glue"), `source is "aws.glue"`},
		{"a canary's source", envelope(running, "source", event.CanarySource), `source is "idmapping.notifier.canary"`},
		{"a canary's detail-type", envelope(running, "detail-type", event.Canary), `source is "idmapping.notifier"`},
		{"another detail-type", envelope(running, "detail-type", "Something"), `detail-type "Something"`},
		{"no detail", change(t, running, func(m, _ map[string]any) { delete(m, "detail") }), `detail.version is ""`},
		{"detail null", envelope(running, "detail", nil), "detail.version"},
		{"a later version", detail(running, "version", "2"), `detail.version is "2"`},
		{"no transition ID", detail(running, "transitionId", ""), forged},
		{"no workflow", detail(running, "workflowName", ""), "detail.workflowName is missing"},
		{"no job", detail(running, "jobId", ""), "detail.jobId is missing"},
		{"no status", detail(running, "status", ""), "detail.status is missing"},
		{"a number for a status", detail(running, "status", 1), "detail.status"},

		{"another account", envelope(running, "account", "999999999999"), `account is "999999999999", but the workflow's account is "123456789012"`},
		{"no account", envelope(running, "account", ""), `account is ""`},
		{"another region", envelope(running, "region", "us-east-1"), `region is "us-east-1", but the workflow's region is "eu-west-1"`},
		{"no workflow ARN", detail(running, "workflowArn", ""), "workflow ARN"},
		{"no ARN", detail(running, "workflowArn", "crm"), "workflow ARN"},
		{"another service's ARN", detail(running, "workflowArn", strings.Replace(crmARN, "entityresolution", "glue", 1)), "is not the ARN of ID mapping workflow"},
		{"a matching workflow's ARN", detail(running, "workflowArn", strings.Replace(crmARN, "idmapping", "matching", 1)), "is not the ARN of ID mapping workflow"},
		{"another workflow's ARN", detail(running, "workflowArn", eventtest.WorkflowARN("ads")), "is not the ARN of ID mapping workflow"},
		{"another partition", detail(running, "workflowArn", strings.Replace(crmARN, "arn:aws:", "arn:aws-cn:", 1)), forged},

		{"not a hash", detail(running, "transitionId", "not-a-hash"), forged},
		{"another job", detail(running, "jobId", "5b3c"), forged},
		{"another status", detail(running, "status", "FAILED"), forged},
		{"an end that is not one", detail(running, "previousStatus", "RUNNING"), forged},
		{"the end of another status", detail(ended, "previousStatus", "RUNNING"), forged},
		{"an end without a previous status", change(t, ended, func(_, d map[string]any) { delete(d, "previousStatus") }), forged},
		{"a vanished job as a state change", envelope(vanished, "detail-type", event.StateChange), forged},
		{"a state change as an overdue job", envelope(running, "detail-type", event.Overdue), forged},
		{"a state change as a vanished job", envelope(running, "detail-type", event.Vanished), forged},
		{"no expected start", change(t, missing, func(_, d map[string]any) { delete(d, "expectedStart") }), "detail.expectedStart is missing"},
		{"another expected start", change(t, missing, func(_, d map[string]any) { d["expectedStart"].(map[string]any)["at"] = noon.Add(time.Hour) }), forged},
		{"a resumed run without a job", detail(resumed, "jobId", ""), "detail.jobId is missing"},
		{"a missing run as a resumed one", change(t, missing, func(e, d map[string]any) { e["detail-type"], d["jobId"] = event.RunResumed, "4f2a" }), forged},
		{"a state change with an expected start", detail(running, "expectedStart", map[string]any{"at": noon, "by": noon}), "detail.expectedStart belongs to"},
		{"a canary without an ID", detail(canary, "transitionId", ""), forged},
		{"a canary of another time", detail(canary, "observedAt", noon), forged},
		{"a canary with an event's ID", detail(canary, "transitionId", running.ID), forged},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, err := event.Decode([]byte(test.body))
			if !errors.Is(err, event.ErrForeign) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want %q", err, test.want)
			}
			if e.DetailType != "" || e.Detail.Version != "" {
				t.Errorf("the refused event is returned: %+v", e)
			}
		})
	}
}

func TestDecodeAcceptsEventsOfALaterVersion1(t *testing.T) {
	for name, entry := range map[string]jobs.Entry{
		"a state change":           encode(t, jobs.Transition{Job: jobs.Job{Status: jobs.Running}}),
		"an end by itself":         encode(t, jobs.Transition{Job: jobs.Job{Status: "STOPPED", EndTime: noon}, Previous: "STOPPED"}),
		"a canary":                 event.EncodeCanary(true, noon.Add(123456789)),
		"a canary in another zone": event.EncodeCanary(true, noon.In(time.FixedZone("", 3600))),
	} {
		body := change(t, entry, func(m, d map[string]any) {
			m["addedLater"] = 1
			d["addedLater"] = map[string]any{"a": 1}
			delete(d, "publisher")
		})
		e, err := event.Decode([]byte(body))
		if err != nil || e.DetailType != entry.DetailType || e.Detail.TransitionID != entry.ID {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
}

func TestDecodeReturnsTheEnvelope(t *testing.T) {
	entry := encode(t, jobs.Transition{Job: jobs.Job{Status: jobs.Failed, EndTime: noon}, Previous: jobs.Running})
	e, err := event.Decode(eventtest.Envelope(entry, "prod"))
	if err != nil {
		t.Fatal(err)
	}
	if e.ID == "" || e.Account != eventtest.Account || e.Region != eventtest.Region || !e.Time.Equal(noon) || e.Time.Location() != time.UTC || e.Detail.Publisher != "prod" {
		t.Errorf("the event is %+v", e)
	}
	if !e.Detail.Terminal() || e.Silent() {
		t.Errorf("terminal %t, silent %t", e.Detail.Terminal(), e.Silent())
	}
}

func TestOnlyInvisibleCanariesAreSilent(t *testing.T) {
	for _, visible := range []bool{true, false} {
		e, err := event.Decode(eventtest.Envelope(event.EncodeCanary(visible, noon), "prod"))
		if err != nil || e.Silent() == visible {
			t.Errorf("visible %t: silent %t (%v)", visible, e.Silent(), err)
		}
	}
}

func TestSchemaRefusesWhatTheContractDoesNotAllow(t *testing.T) {
	s := schema(t)
	good := string(eventtest.Envelope(encode(t, jobs.Transition{Job: jobs.Job{Status: jobs.Running}}), "prod"))
	validate(t, s, []byte(good))
	for _, change := range [][2]string{
		{`"source":"idmapping.notifier"`, `"source":"aws.glue"`},
		{`"transitionId":"`, `"transitionId":"zz`},
		{`"jobId":"4f2a",`, ``},
		{`"status":"RUNNING"`, `"status":""`},
		{`"publisher":"prod"`, `"publisher":""`},
	} {
		body := strings.Replace(good, change[0], change[1], 1)
		if body == good {
			t.Fatalf("%s not found in %s", change[0], good)
		}
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if s.Validate(value) == nil {
			t.Errorf("the schema accepts %s", change[1])
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, body := range []string{"{}", `{"source":"idmapping.notifier","detail-type":"ID Mapping Job State Change","detail":{"version":"1"}}`} {
		f.Add([]byte(body))
	}
	examples := eventtest.Examples()
	for _, name := range slices.Sorted(maps.Keys(examples)) {
		f.Add(examples[name])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := event.Decode(body); err != nil && !errors.Is(err, event.ErrForeign) {
			t.Errorf("error %v is not ErrForeign", err)
		}
	})
}
