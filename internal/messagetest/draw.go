// Package messagetest draws events for property tests of everything that people
// read.
package messagetest

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

// Hostile is text that must come out inert wherever it goes.
const Hostile = "<!channel> <@U0123456> <https://evil.example|aws.amazon.com> & ```fence``` `tick` *b* _i_ ~s~ <script>alert(1)</script>\r\nBcc: x@example.com\x00\u202E"

// Fuzz fuzzes a property, beginning with the least that can be drawn: the event
// in which everything is empty. A random draw hardly ever comes by it.
func Fuzz(f *testing.F, property func(*rapid.T)) {
	f.Add(make([]byte, 4096))
	f.Fuzz(rapid.MakeFuzz(property))
}

// Event draws an event in which everything that can be text is outside text:
// as a subscriber's own PutEvents could send it, not only as the poller does.
func Event(t *rapid.T) event.Event {
	text := rapid.OneOf(rapid.String(), rapid.Just(Hostile), rapid.StringN(200, 3000, -1),
		rapid.Map(rapid.IntRange(1, 5000), func(n int) string { return strings.Repeat("<&>`é", n) }))
	draw := func(label string) json.RawMessage {
		b, _ := json.Marshal(text.Draw(t, label))
		return b
	}
	detail := map[string]json.RawMessage{}
	for _, key := range []string{"transitionId", "workflowName", "workflowArn", "jobId", "jobType", "previousStatus"} {
		detail[key] = draw(key)
	}
	if rapid.Bool().Draw(t, "known status") {
		detail["status"], _ = json.Marshal(rapid.SampledFrom([]string{"QUEUED", "RUNNING", "SUCCEEDED", "FAILED"}).Draw(t, "status"))
	} else {
		detail["status"] = draw("status")
	}
	detail["skipped"], _ = json.Marshal([]json.RawMessage{draw("skipped")})
	if rapid.Bool().Draw(t, "has error") {
		detail["error"], _ = json.Marshal(map[string]json.RawMessage{"message": draw("error"), "category": draw("category")})
	}
	var outputs []map[string]json.RawMessage
	url := rapid.Map(rapid.SampledFrom([]int{0, 50, 970, 1000, 1970, 1980}), func(n int) string { return "https://console.example/" + strings.Repeat("x", n) })
	links := map[string]any{"job": rapid.OneOf(text, url).Draw(t, "job link"), "workflow": rapid.OneOf(text, url).Draw(t, "workflow link")}
	var outputLinks []string
	for range rapid.SampledFrom([]int{0, 1, 10}).Draw(t, "outputs") {
		outputs = append(outputs, map[string]json.RawMessage{"outputS3Path": draw("path"), "roleArn": draw("role"), "KMSArn": draw("key")})
		outputLinks = append(outputLinks, url.Draw(t, "output link"))
	}
	detail["outputs"], _ = json.Marshal(outputs)
	links["outputs"] = outputLinks
	detail["links"], _ = json.Marshal(links)
	metrics := map[jobs.Counter]int64{}
	for _, c := range rapid.SliceOfDistinct(rapid.SampledFrom(jobs.Counters), rapid.ID[jobs.Counter]).Draw(t, "counters") {
		metrics[c] = rapid.Int64().Draw(t, string(c))
	}
	detail["metrics"], _ = json.Marshal(metrics)
	body, _ := json.Marshal(detail)
	e := event.Event{DetailType: rapid.SampledFrom([]string{event.StateChange, event.Vanished}).Draw(t, "detail-type")}
	if err := json.Unmarshal(body, &e.Detail); err != nil {
		t.Fatal(err)
	}
	return e
}
