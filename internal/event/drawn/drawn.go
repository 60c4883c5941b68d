// Package drawn has events that are drawn at random, for property tests.
package drawn

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"pgregory.net/rapid"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/tags"
)

// Hostile is text that every rendering must make inert.
const Hostile = "<!channel> <@U0123456> <https://evil.example|aws.amazon.com> & ```fence``` `tick` *b* _i_ ~s~ <script>alert(1)</script>\r\nBcc: x@example.com\x00\u202E"

// Fuzz fuzzes a property, starting with the smallest draw: the event in which
// everything is empty. A random draw hardly ever produces it.
func Fuzz(f *testing.F, property func(*rapid.T)) {
	f.Add(make([]byte, 4096))
	f.Fuzz(rapid.MakeFuzz(property))
}

// Event draws an event. Most are events that Decode accepts, in which every free
// text is hostile: what anyone who may call PutEvents can send. The others are
// events that Decode refuses, whose ARN is any text: renderings must not rely on
// the verification.
func Event(t *rapid.T) event.Event {
	text := rapid.OneOf(rapid.String(), rapid.Just(Hostile), rapid.StringN(200, 3000, -1),
		rapid.Map(rapid.IntRange(1, 5000), func(n int) string { return strings.Repeat("<&>`é", n) }),
		rapid.Map(rapid.IntRange(0, 2100), func(n int) string { return strings.Repeat("x", n) }))
	if rapid.IntRange(0, 7).Draw(t, "summary") == 7 {
		return drawSummary(t, text)
	}
	d := drawDetail(t, text)
	d.Tags = drawTags(t, text)
	detailType := rapid.SampledFrom([]string{event.StateChange, event.Vanished, event.Overdue, event.RunMissing, event.RunResumed, event.MuteEnded}).Draw(t, "detail-type")
	if rapid.IntRange(0, 3).Draw(t, "refused") == 3 {
		d.WorkflowARN, d.TransitionID = utf8Text(t, text, "workflowArn"), utf8Text(t, text, "transitionId")
		return event.Event{DetailType: detailType, Detail: d}
	}
	workflow := arn.ARN{
		Partition: rapid.SampledFrom([]string{"aws", "aws-cn", "aws-us-gov", "aws-other"}).Draw(t, "partition"),
		Service:   "entityresolution", AccountID: eventtest.Account,
		Region:   rapid.SampledFrom([]string{eventtest.Region, "us-gov-west-1"}).Draw(t, "region"),
		Resource: "idmappingworkflow/" + d.WorkflowName,
	}
	d.WorkflowARN = workflow.String()
	if detailType == event.RunMissing || detailType == event.RunResumed {
		d.ExpectedStart = &event.ExpectedStart{At: drawTime(t, "expected"), By: drawTime(t, "by"), Kept: rapid.Int().Draw(t, "kept"), Of: rapid.Int().Draw(t, "of")}
		if rapid.Bool().Draw(t, "last") {
			d.LastRun = &event.LastRun{JobID: utf8Text(t, text, "last job"), StartTime: drawTime(t, "last start"), Status: jobs.Status(utf8Text(t, text, "last status"))}
		}
	}
	if detailType == event.MuteEnded {
		drawMute(t, text, workflow, &d)
	}
	word := string(d.Status)
	switch {
	case detailType == event.MuteEnded:
		word = string(jobs.MuteEnded)
	case detailType == event.Vanished:
		word = string(jobs.Vanished)
	case detailType == event.Overdue:
		word = string(jobs.Overdue)
	case detailType == event.RunMissing:
		word = string(jobs.RunMissing)
	case detailType == event.RunResumed:
		word = string(jobs.RunResumed)
	case d.PreviousStatus == d.Status:
		word += " ENDED"
	}
	d.TransitionID = event.TransitionID(workflow, d.Subject(), word)
	detail, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	e, err := event.Decode(eventtest.Envelope(jobs.Entry{DetailType: detailType, Resource: d.WorkflowARN, Detail: string(detail)}, eventtest.Publisher))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Runbook is the only page outside AWS's console that a drawn event's tags link.
const Runbook = "https://wiki.example.com/crm?a=1&b='2'#c"

// drawTags draws a workflow's tags, some of which can be used.
func drawTags(t *rapid.T, text *rapid.Generator[string]) map[string]string {
	if !rapid.Bool().Draw(t, "tagged") {
		return nil
	}
	all := make(map[string]string)
	usable := map[string]string{tags.SlackChannel: "C0123456789", tags.Email: "a@example.com", tags.Mention: "S0123456789", tags.Statuses: "FAILED", tags.Runbook: Runbook,
		tags.Owner: "CRM team", tags.OverdueAfter: "90m", tags.ExpectEvery: "24h", tags.MuteUntil: "2026-11-23T18:00:00Z", tags.MuteReason: "moving the export", "else": "x"}
	for _, key := range slices.Sorted(maps.Keys(usable)) {
		value := utf8Text(t, text, key)
		if key == tags.Runbook && strings.Contains(value, "https:") || rapid.Bool().Draw(t, "usable") {
			value = usable[key]
		}
		all[tags.Prefix+key] = value
	}
	return tags.Own(all)
}

// drawMute draws the end of a mute, which Decode accepts.
func drawMute(t *rapid.T, text *rapid.Generator[string], workflow arn.ARN, d *event.Detail) {
	d.Mute = &event.Mute{Since: drawTime(t, "since"), Until: drawTime(t, "until"), Reason: utf8Text(t, text, "reason")}
	for range rapid.SampledFrom([]int{0, 1, 25}).Draw(t, "muted") {
		status := rapid.SampledFrom([]jobs.Status{jobs.Succeeded, jobs.Failed, jobs.Vanished, jobs.Overdue, jobs.RunMissing, d.Status}).Draw(t, "muted status")
		key := jobs.Key{Workflow: d.WorkflowName, Job: "j" + utf8Text(t, text, "muted job")}
		if d.Statuses == nil {
			d.Statuses = make(map[jobs.Status]int)
		}
		d.Statuses[status]++
		d.Jobs = append(d.Jobs, event.ListedJob{WorkflowName: key.Workflow, JobID: key.Job, Status: status, EndTime: drawTime(t, "end"), TransitionID: event.TransitionID(workflow, key, string(status))})
	}
}

// drawSummary draws a summary that Decode need not accept.
func drawSummary(t *rapid.T, text *rapid.Generator[string]) event.Event {
	draw := func(label string) string { return utf8Text(t, text, label) }
	d := event.Detail{Version: event.Version, TransitionID: draw("transitionId"), WorkflowARN: draw("workflowArn"), Statuses: make(map[jobs.Status]int)}
	d.Tags = drawTags(t, text)
	if rapid.Bool().Draw(t, "has an ARN") {
		d.WorkflowARN = eventtest.WorkflowARN("w")
	}
	for range rapid.SampledFrom([]int{0, 1, 25}).Draw(t, "listed") {
		status := jobs.Status(draw("status"))
		if rapid.Bool().Draw(t, "known") {
			status = rapid.SampledFrom([]jobs.Status{jobs.Succeeded, jobs.Failed}).Draw(t, "status")
		}
		d.Statuses[status] += rapid.IntRange(1, 1e6).Draw(t, "count")
		d.Jobs = append(d.Jobs, event.ListedJob{WorkflowName: draw("workflow"), JobID: draw("job"), Status: status, TransitionID: draw("transition")})
	}
	return event.Event{DetailType: event.Summary, Detail: d}
}

func drawDetail(t *rapid.T, text *rapid.Generator[string]) event.Detail {
	draw := func(label string) string { return utf8Text(t, text, label) }
	d := event.Detail{
		Version: event.Version, JobType: draw("jobType"), PreviousStatus: jobs.Status(draw("previousStatus")),
		Skipped:      []jobs.Status{jobs.Status(draw("skipped"))},
		WorkflowName: "w" + draw("workflowName"), JobID: "j" + draw("jobId"), Status: "S" + jobs.Status(draw("status")),
	}
	if rapid.Bool().Draw(t, "known status") {
		d.Status = rapid.SampledFrom([]jobs.Status{jobs.Queued, jobs.Running, jobs.Succeeded, jobs.Failed}).Draw(t, "status")
	}
	if rapid.Bool().Draw(t, "ended later") {
		d.PreviousStatus = d.Status
	}
	if rapid.Bool().Draw(t, "has error") {
		d.Error = &event.Error{Message: draw("error"), Category: jobs.Category(draw("category"))}
		if rapid.Bool().Draw(t, "known category") {
			d.Error.Category = rapid.SampledFrom([]jobs.Category{jobs.IAM, jobs.KMS, jobs.S3, jobs.Glue, jobs.Schema, jobs.Quota, jobs.Provider, jobs.Internal}).Draw(t, "category")
		}
		d.Error.Role, d.Error.Action, d.Error.Resource = draw("role"), draw("action"), draw("resource")
	}
	d.Environment = draw("environment")
	for range rapid.SampledFrom([]int{0, 1, 20}).Draw(t, "waiting") {
		d.Waiting = append(d.Waiting, event.WaitsFor{WorkflowName: draw("waiting"), JobID: "1"})
	}
	if rapid.Bool().Draw(t, "assessed") {
		d.Assessment = drawAssessment(t, draw)
	}
	for range rapid.SampledFrom([]int{0, 1, 10}).Draw(t, "outputs") {
		path := draw("path")
		if rapid.Bool().Draw(t, "in S3") {
			path = "s3://" + path
		}
		d.Outputs = append(d.Outputs, jobs.Output{S3Path: path, RoleArn: draw("role"), KMSArn: draw("key")})
	}
	d.Links = &event.Links{Job: draw("job link"), Workflow: draw("workflow link"), Outputs: []string{draw("output link")}}
	for _, c := range rapid.SliceOfDistinct(rapid.SampledFrom(jobs.Counters), rapid.ID[jobs.Counter]).Draw(t, "counters") {
		if d.Metrics == nil {
			d.Metrics = jobs.Metrics{}
		}
		d.Metrics[c] = rapid.Int64().Draw(t, string(c))
	}
	return d
}

// drawAssessment draws an assessment with any numbers and texts.
func drawAssessment(t *rapid.T, draw func(string) string) event.Assessment {
	number := func() float64 {
		return rapid.OneOf(rapid.Float64Range(0, 1), rapid.Float64Range(-1e12, 1e12)).Draw(t, "number")
	}
	runs := rapid.IntRange(-1, 60).Draw(t, "runs")
	measures := []jobs.Measure{jobs.MeasureDuration, jobs.MeasureInput, jobs.MeasureMappedRate, jobs.MeasureNotProcessedRate, jobs.MeasureRemovedRate, jobs.Measure(draw("measure"))}
	at := time.Date(2026, 11, 23, 2, 0, 12, 0, time.UTC)
	value := number()
	a := event.Assessment{EarlierRuns: &runs, LastSuccess: &event.LastSuccess{JobID: draw("last success"), EndTime: at},
		ExpectedEnd: &event.ExpectedEnd{At: at, Earliest: at, Latest: at.Add(time.Duration(runs) * time.Hour), Runs: runs}, WaitsFor: &event.WaitsFor{WorkflowName: draw("other workflow"), JobID: draw("other job")}}
	for _, measure := range measures {
		a.Comparison = append(a.Comparison, event.Compared{Measure: measure, Value: number(), Low: number(), High: number(), Runs: runs,
			Word: rapid.SampledFrom([]jobs.Word{jobs.WordBelow, jobs.WordUsual, jobs.WordAbove, jobs.Word(draw("word"))}).Draw(t, "word")})
	}
	codes := []jobs.FindingCode{jobs.ZeroInput, jobs.ZeroProcessed, jobs.InputLow, jobs.ZeroMapped, jobs.MappedLow, jobs.NotProcessedHigh, jobs.RemovedHigh, jobs.FindingCode(draw("code"))}
	for range rapid.IntRange(0, 4).Draw(t, "findings") {
		f := event.Finding{Code: rapid.SampledFrom(codes).Draw(t, "code"), Measure: rapid.SampledFrom(measures).Draw(t, "measure"), Again: rapid.Bool().Draw(t, "again")}
		if rapid.Bool().Draw(t, "has a range") {
			f.Value, f.Low, f.High, f.Runs = &value, &value, &value, runs
		}
		a.Findings = append(a.Findings, f)
	}
	if rapid.Bool().Draw(t, "streak") {
		a.Streak = &event.Streak{Failures: runs, SameCategory: rapid.Bool().Draw(t, "same"), Since: at, FirstJobID: draw("first job"), Repeated: rapid.Bool().Draw(t, "repeated")}
	}
	if rapid.Bool().Draw(t, "recovery") {
		a.Recovery = &event.Recovery{Failures: runs, Since: at, FirstJobID: draw("first job"), LastJobID: draw("last job")}
	}
	return a
}

// utf8Text draws text as JSON can carry it.
func utf8Text(t *rapid.T, text *rapid.Generator[string], label string) string {
	return strings.ToValidUTF8(text.Draw(t, label), "\uFFFD")
}

func drawTime(t *rapid.T, label string) time.Time {
	return time.Unix(rapid.Int64Range(-1e9, 1e10).Draw(t, label), 0).UTC()
}
