package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/idmapping/notifier/internal/jobs"
)

const workflowARN = "arn:aws:entityresolution:eu-west-1:123456789012:idmappingworkflow/crm"

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("../../docs/event.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// envelope is the entry as EventBridge delivers it.
func envelope(entry jobs.Entry) []byte {
	body, err := json.Marshal(map[string]any{
		"version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
		"source": Source, "detail-type": entry.DetailType,
		"account": "123456789012", "region": "eu-west-1",
		"time":      entry.Time.Format(time.RFC3339),
		"resources": []string{entry.Resource},
		"detail":    json.RawMessage(entry.Detail),
	})
	if err != nil {
		panic(err)
	}
	return body
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

// anyJob draws whatever the API might ever answer.
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
		Status:    jobs.Status(rapid.SampledFrom([]string{"QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "PAUSED", "<!channel>", strings.Repeat("X", 9000)}).Draw(t, "status")),
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

func TestEveryEventThatCanBeEncodedHoldsTheSchemaAndIsReadBack(t *testing.T) {
	rapid.Check(t, readBack(schema(t)))
}

// readBack is the property of an event that holds the schema and is read back
// as it was encoded.
func readBack(s *jsonschema.Schema) func(*rapid.T) {
	return func(t *rapid.T) {
		j := anyJob(t)
		seen := noon.Add(time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "seen")))
		_, transition := jobs.Advance(nil, j)
		if rapid.Bool().Draw(t, "known") {
			transition.Previous = jobs.Queued
		}
		entry, err := Encode(workflowARN, transition, seen)
		if rapid.Bool().Draw(t, "vanished") {
			entry, err = EncodeVanished(workflowARN, j, seen)
		}
		if err != nil {
			t.Fatal(err)
		}
		body := envelope(entry)
		validate(t, s, body)
		if len(entry.Detail) > 150_000 {
			t.Fatalf("detail has %d bytes", len(entry.Detail))
		}
		e, err := Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		if e.Detail.TransitionID != entry.ID || e.DetailType != entry.DetailType || e.Detail.JobID != j.Job || len(e.Detail.Metrics) != len(j.Metrics) {
			t.Fatalf("read back as %+v", e)
		}
	}
}

// The id is part of the contract: anybody can compute it, and it must be the
// same in every version. printf 'aws\n123456789012\neu-west-1\ncrm\n4f2a\nFAILED' | sha256sum
func TestTheTransitionIDNeverChanges(t *testing.T) {
	workflow, _ := arn.Parse(workflowARN)
	key := jobs.Key{Workflow: "crm", Job: "4f2a"}
	if got, want := TransitionID(workflow, key, jobs.Failed), "55d9a595d50654c396751689b74bb767021c71236d10de2354638fb4d47230aa"; got != want {
		t.Errorf("id = %s, want %s", got, want)
	}
	early, _ := Encode(workflowARN, jobs.Transition{Job: jobs.Job{Key: key, Status: jobs.Failed}}, noon)
	late, _ := Encode(workflowARN, jobs.Transition{Job: jobs.Job{Key: key, Status: jobs.Failed, Error: "x"}, Previous: jobs.Running}, noon.Add(time.Hour))
	gone, _ := EncodeVanished(workflowARN, jobs.Job{Key: key, Status: jobs.Failed}, noon)
	if early.ID != late.ID || early.ID == gone.ID {
		t.Errorf("ids %s %s %s: the same transition must have the same id and another one another", early.ID, late.ID, gone.ID)
	}
}

func TestTheTimeIsWhenTheStateBegan(t *testing.T) {
	start, end, seen := noon, noon.Add(time.Hour), noon.Add(2*time.Hour)
	for _, test := range []struct {
		job  jobs.Job
		want time.Time
	}{
		{jobs.Job{Status: jobs.Queued}, seen},
		{jobs.Job{Status: jobs.Running, StartTime: start}, start},
		{jobs.Job{Status: jobs.Running}, seen},
		{jobs.Job{Status: jobs.Succeeded, StartTime: start, EndTime: end}, end},
		{jobs.Job{Status: jobs.Failed, StartTime: start}, seen},
		{jobs.Job{Status: "PAUSED", StartTime: start}, start},
	} {
		entry, err := Encode(workflowARN, jobs.Transition{Job: test.job}, seen)
		if err != nil || !entry.Time.Equal(test.want) {
			t.Errorf("%s: time %v (%v), want %v", test.job.Status, entry.Time, err, test.want)
		}
	}
}

func TestDerivedKeysAreThereOnlyWhereTheyAreDefined(t *testing.T) {
	read := func(j jobs.Job) Detail {
		t.Helper()
		entry, err := Encode(workflowARN, jobs.Transition{Job: j}, noon)
		if err != nil {
			t.Fatal(err)
		}
		var d Detail
		if err := json.Unmarshal([]byte(entry.Detail), &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	full := read(jobs.Job{Status: jobs.Failed, StartTime: noon, EndTime: noon.Add(90 * time.Second), Error: "KMS key disabled",
		Metrics: jobs.Metrics{jobs.TotalMappedRecords: 1, jobs.TotalRecordsProcessed: 3, jobs.RecordsNotProcessed: 1, jobs.InputRecords: 4}})
	if *full.Duration != 90 || *full.Rates.Mapped != 0.333333 || *full.Rates.NotProcessed != 0.25 || full.Error.Category != jobs.KMS {
		t.Errorf("duration %v, rates %v %v, error %v", *full.Duration, *full.Rates.Mapped, *full.Rates.NotProcessed, full.Error)
	}
	for name, d := range map[string]Detail{
		"running":         read(jobs.Job{Status: jobs.Running, StartTime: noon, EndTime: noon.Add(time.Hour)}),
		"nothing given":   read(jobs.Job{Status: jobs.Succeeded}),
		"nothing counted": read(jobs.Job{Status: jobs.Succeeded, Metrics: jobs.Metrics{jobs.TotalMappedRecords: 0, jobs.TotalRecordsProcessed: 0}}),
	} {
		if d.Duration != nil || d.Rates != nil || d.Error != nil || d.Outputs != nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestLinksAreRightForEveryPartition(t *testing.T) {
	for _, test := range []struct{ arn, job, output string }{
		{
			"arn:aws:entityresolution:eu-west-1:123456789012:idmappingworkflow/crm",
			"https://eu-west-1.console.aws.amazon.com/entityresolution/home?region=eu-west-1#/id-mapping-workflows/crm/jobs/4f2a",
			"https://eu-west-1.console.aws.amazon.com/s3/buckets/out?prefix=a+b%2F&region=eu-west-1",
		},
		{
			"arn:aws-cn:entityresolution:cn-north-1:123456789012:idmappingworkflow/crm",
			"https://cn-north-1.console.amazonaws.cn/entityresolution/home?region=cn-north-1#/id-mapping-workflows/crm/jobs/4f2a",
			"https://cn-north-1.console.amazonaws.cn/s3/buckets/out?prefix=a+b%2F&region=cn-north-1",
		},
		{
			"arn:aws-us-gov:entityresolution:us-gov-west-1:123456789012:idmappingworkflow/crm",
			"https://us-gov-west-1.console.amazonaws-us-gov.com/entityresolution/home?region=us-gov-west-1#/id-mapping-workflows/crm/jobs/4f2a",
			"https://us-gov-west-1.console.amazonaws-us-gov.com/s3/buckets/out?prefix=a+b%2F&region=us-gov-west-1",
		},
		{"arn:aws-other:entityresolution:xx-1:123456789012:idmappingworkflow/crm", "", ""},
	} {
		job := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "4f2a"}, Status: jobs.Running,
			Outputs: []jobs.Output{{S3Path: "s3://out/a b"}, {S3Path: "javascript:alert(1)"}}}
		entry, err := Encode(test.arn, jobs.Transition{Job: job}, noon)
		if err != nil {
			t.Fatal(err)
		}
		var d Detail
		if err := json.Unmarshal([]byte(entry.Detail), &d); err != nil {
			t.Fatal(err)
		}
		if test.job == "" {
			if d.Links != nil {
				t.Errorf("%s has links %+v", test.arn, d.Links)
			}
			continue
		}
		if d.Links.Job != test.job || d.Links.Outputs[0] != test.output || d.Links.Outputs[1] != "" {
			t.Errorf("links %+v\nwant %s\n     %s", d.Links, test.job, test.output)
		}
	}
}

func TestCutKeepsBothEndsAndWholeRunes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringN(3000, 6000, -1), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "text")
		limit := rapid.IntRange(100, 4096).Draw(t, "limit")
		got := cut(text, limit)
		if len(got) > limit || !utf8.ValidString(got) {
			t.Fatalf("%d bytes, valid %v", len(got), utf8.ValidString(got))
		}
		valid := strings.ToValidUTF8(text, "\uFFFD")
		if len(valid) <= limit && got != valid {
			t.Fatalf("text that fits was changed")
		}
		if len(valid) > limit {
			head, tail, ok := strings.Cut(got, " … [cut: ")
			if !ok || !strings.HasPrefix(valid, head) || !strings.HasSuffix(valid, tail[strings.Index(tail, "… ")+len("… "):]) {
				t.Fatalf("cut to %q", got)
			}
		}
	})
}

func TestDecodeRefusesWhatIsNotOursAndSaysWhy(t *testing.T) {
	ours := func(change func(m map[string]any)) string {
		entry, _ := Encode(workflowARN, jobs.Transition{Job: jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "4f2a"}, Status: jobs.Running}}, noon)
		var m map[string]any
		_ = json.Unmarshal(envelope(entry), &m)
		change(m)
		body, _ := json.Marshal(m)
		return string(body)
	}
	detail := func(key string, value any) func(map[string]any) {
		return func(m map[string]any) { m["detail"].(map[string]any)[key] = value }
	}
	for _, test := range []struct{ name, body, want string }{
		{"no JSON", "{", "not an EventBridge envelope"},
		{"empty", "", "not an EventBridge envelope"},
		{"an array", "[]", "not an EventBridge envelope"},
		{"an S3 event", `{"Records":[{"eventSource":"aws:s3"}]}`, "source is"},
		{"another source", ours(func(m map[string]any) { m["source"] = "aws.glue" }), `source is "aws.glue"`},
		{"a canary under the name of an event", ours(func(m map[string]any) { m["source"] = CanarySource }), `source is "idmapping.notifier.canary"`},
		{"an event under the name of a canary", ours(func(m map[string]any) { m["detail-type"] = Canary }), `source is "idmapping.notifier"`},
		{"a canary without an id", ours(func(m map[string]any) {
			m["source"], m["detail-type"], m["detail"] = CanarySource, Canary, map[string]string{"version": "1"}
		}), "detail.transitionId is missing"},
		{"another detail-type", ours(func(m map[string]any) { m["detail-type"] = "Something" }), `detail-type "Something"`},
		{"no detail", ours(func(m map[string]any) { delete(m, "detail") }), "reading detail"},
		{"detail null", ours(func(m map[string]any) { m["detail"] = nil }), "detail.version"},
		{"a later version", ours(detail("version", "2")), `detail.version is "2"`},
		{"no transition id", ours(detail("transitionId", "")), "detail.transitionId is missing"},
		{"no workflow", ours(detail("workflowName", "")), "detail.workflowName is missing"},
		{"no job", ours(detail("jobId", "")), "detail.jobId is missing"},
		{"no status", ours(detail("status", "")), "detail.status is missing"},
		{"a number for a status", ours(detail("status", 1)), "reading detail"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Decode([]byte(test.body))
			if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error = %v, want %q", err, test.want)
			}
		})
	}
	if e, err := Decode([]byte(ours(detail("addedLater", map[string]any{"a": 1})))); err != nil || e.Detail.Status != jobs.Running {
		t.Errorf("an event with a key of a later version: %+v, %v", e, err)
	}
}

func TestTheSchemaRefusesWhatTheContractDoesNotAllow(t *testing.T) {
	s := schema(t)
	entry, _ := Encode(workflowARN, jobs.Transition{Job: jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "4f2a"}, Status: jobs.Running}}, noon)
	good := string(envelope(entry))
	validate(t, s, []byte(good))
	for _, change := range [][2]string{
		{`"source":"idmapping.notifier"`, `"source":"aws.glue"`},
		{`"transitionId":"`, `"transitionId":"zz`},
		{`"jobId":"4f2a",`, ``},
		{`"status":"RUNNING"`, `"status":""`},
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
			t.Errorf("with %s it still holds", change[1])
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, name := range []string{"{}", `{"source":"idmapping.notifier","detail-type":"ID Mapping Job State Change","detail":{"version":"1"}}`} {
		f.Add([]byte(name))
	}
	entry, _ := Encode(workflowARN, jobs.Transition{Job: jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "4f2a"}, Status: jobs.Running}}, noon)
	f.Add(envelope(entry))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := Decode(body); err != nil && !errors.Is(err, ErrForeign) {
			t.Errorf("error %v is not ErrForeign", err)
		}
	})
}
