package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/fakecloud"
	"github.com/idmapping/notifier/internal/fakecloud/capacity"
	"github.com/idmapping/notifier/internal/fakecloud/sam/samtest"
	"github.com/idmapping/notifier/internal/jobs"
)

// meter counts what the functions of a deployed stack use.
type meter struct {
	*fakecloud.Cloud
	t     *testing.T
	ahead atomic.Int64 // of Entity Resolution's clock, a time.Duration

	metrics map[string]bool // whose values were written

	mu    sync.Mutex
	calls []call
	lines []line
}

type call struct {
	operation         string
	request, response []byte
}

type line struct{ function, text string }

func deploy(t *testing.T) *meter {
	t.Helper()
	samtest.RequirePython(t)
	m := &meter{t: t, metrics: make(map[string]bool)}
	c, err := fakecloud.Deploy(t.Context(), fakecloud.Options{
		Parameters: map[string]string{"SlackChannel": fakecloud.SlackChannel, "SlackTokenParameterName": fakecloud.TokenParameter,
			"EmailFrom": fakecloud.EmailFrom, "EmailTo": "a@example.com"},
		Env:     map[string]map[string]string{"PollerFunction": {"REQUESTS_PER_SECOND": "1000"}}, // the test need not wait
		Version: "v1.2.3-45-g0123456789ab",                                                       // as long as they are between two releases
		Problem: func(err error) { t.Error(err) },
		Log: func(function, text string) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.lines = append(m.lines, line{function, text})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	m.Cloud = c
	c.EntityResolution.Now = func() time.Time { return time.Now().Add(time.Duration(m.ahead.Load())) }
	c.Proxy.OnCall = func(operation string, request, response []byte) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.calls = append(m.calls, call{operation, request, response})
	}
	return m
}

func (m *meter) tick() {
	m.t.Helper()
	if _, err := m.Tick(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
}

// drain waits until both queues are empty.
func (m *meter) drain() {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 10*time.Minute) // it ends a test that would not end
	defer cancel()
	for _, queue := range []string{"SlackQueue", "EmailQueue"} {
		for {
			n, err := m.QueueLength(ctx, queue)
			if err != nil {
				m.t.Fatal(err)
			}
			if n == 0 {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// use is what the calls and lines of one part used, and the operations that it
// called.
type use struct {
	usage
	calls map[string]int
	kept  map[string]float64 // bytes of what stays in the tables, by key
}

// measure adds up by part what was used since the last call. The processes end, so
// that every line that they wrote has arrived.
func (m *meter) measure() map[string]*use {
	m.t.Helper()
	m.Poller.Kill()
	m.Notifier.Kill()
	m.mu.Lock()
	calls, lines := m.calls, m.lines
	m.calls, m.lines = nil, nil
	m.mu.Unlock()
	used := make(map[string]*use)
	for _, part := range []string{pollerPart, slackChannel, emailChannel} {
		used[part] = &use{calls: make(map[string]int), kept: make(map[string]float64)}
	}
	deliveries := m.sizes(m.Resources["DeliveriesTable"], "job", "destination")
	jobsTable := make(map[string]float64) // what this part of the test has put
	for _, c := range calls {
		_, operation, _ := strings.Cut(c.operation, ".")
		part := pollerPart
		var in struct {
			Key, Item     capacity.Item
			Entries       []any
			TransactItems []struct{ Put struct{ Item capacity.Item } }
		}
		if err := json.Unmarshal(c.request, &in); err != nil {
			m.t.Fatal(err)
		}
		switch operation {
		case "Query":
			units, err := capacity.ReadUnits(c.operation, c.request, c.response)
			if err != nil {
				m.t.Fatal(err)
			}
			used[part].readUnits += units
		case "PutItem":
			size := m.size(in.Item)
			jobsTable[keyOf(in.Item, "partition", "sort")] = size
			used[part].writeUnits += capacity.WriteUnits(int(size), false)
		case "DeleteItem":
			used[part].writeUnits += capacity.WriteUnits(int(jobsTable[keyOf(in.Key, "partition", "sort")]), false)
		case "TransactWriteItems":
			for _, each := range in.TransactItems {
				size, key := m.size(each.Put.Item), keyOf(each.Put.Item, "partition", "sort")
				jobsTable[key] = size
				used[part].writeUnits += capacity.WriteUnits(int(size), true)
				if strings.HasPrefix(key, "archive#") {
					used[part].kept[key] = size
				}
			}
		case "UpdateItem": // at the size that the item has now, which is its largest
			key := keyOf(in.Key, "job", "destination")
			if part = slackChannel; strings.Contains(key, " email:") {
				part = emailChannel
			}
			if strings.HasPrefix(key, "#limit ") {
				// A slow machine reserves a slot again. TestCallsPerMessage in
				// package notify has the exact count: one for each message.
				operation = "UpdateItem of a slot"
				if used[part].calls[operation] == changesPerJob {
					continue
				}
			}
			used[part].writeUnits += capacity.WriteUnits(int(deliveries[key]), false)
			if strings.HasPrefix(key, "arn:") {
				used[part].kept[key] = deliveries[key]
			}
		case "PutEvents":
			used[part].events += float64(len(in.Entries))
		case "GetParameter":
			part = slackChannel
			used[part].secrets++
		case "SendEmail":
			part = emailChannel
			used[part].emails++
		default:
			m.t.Errorf("the functions call %s, whose price is not known here", c.operation)
		}
		used[part].calls[operation]++
	}
	for _, l := range lines {
		part := pollerPart
		if strings.Contains(l.text, `"poller started"`) {
			continue // once in many ticks
		}
		if l.function == "notifier" {
			if part = slackChannel; strings.Contains(l.text, `"destination":"email:`) {
				part = emailChannel
			}
		}
		used[part].logBytes += float64(len(l.text) + lineOverhead)
		m.noteMetrics(l.text)
	}
	for _, u := range used {
		for _, size := range u.kept {
			u.usage.kept += size
		}
	}
	return used
}

// noteMetrics collects the names of the metrics in a line of the embedded metric
// format.
func (m *meter) noteMetrics(text string) {
	var line struct {
		AWS struct {
			CloudWatchMetrics []struct{ Metrics []struct{ Name string } }
		} `json:"_aws"`
	}
	_ = json.Unmarshal([]byte(text), &line) // not every line is JSON
	for _, directive := range line.AWS.CloudWatchMetrics {
		for _, metric := range directive.Metrics {
			m.metrics[metric.Name] = true
		}
	}
}

func (m *meter) size(item capacity.Item) float64 {
	m.t.Helper()
	n, err := capacity.ItemSize(item)
	if err != nil {
		m.t.Fatal(err)
	}
	return float64(n)
}

// sizes are the sizes of a table's items by key.
func (m *meter) sizes(table, partition, sort string) map[string]float64 {
	m.t.Helper()
	sizes := make(map[string]float64)
	for _, item := range m.scan(table) {
		sizes[keyOf(item, partition, sort)] = m.size(item)
	}
	return sizes
}

// keyOf is the key of an item whose key attributes are strings.
func keyOf(item capacity.Item, partition, sort string) string {
	var p, s struct{ S string }
	_ = json.Unmarshal(item[partition], &p)
	_ = json.Unmarshal(item[sort], &s)
	return p.S + " " + s.S
}

// The counts of the model are those of the real template and binaries.
func TestCountsAreWhatTheFunctionsUse(t *testing.T) {
	if testing.Short() {
		t.Skip("This test runs the real binaries: omit -short.")
	}
	m := deploy(t)
	first := time.Now()
	for n := range workflows {
		m.EntityResolution.AddWorkflow(fmt.Sprintf("workflow-%d", n))
	}
	job := jobs.Job{Key: jobs.Key{Workflow: "workflow-0"}, Type: "BATCH", Status: jobs.Succeeded, Metrics: jobs.Metrics{
		jobs.InputRecords: 1_000_000, jobs.TotalRecordsProcessed: 990_000, jobs.TotalMappedRecords: 880_000, jobs.UniqueRecordsLoaded: 870_000}}
	r := rand.New(rand.NewPCG(1, 2)) // runs that are alike would be compressed too well
	for n := range 850 {             // more than a history keeps, the newest last, so that the list has it first
		earlier := job
		earlier.Job = fmt.Sprintf("%08x-%04x-4000-8000-%012x", r.Uint32(), r.IntN(1<<16), r.Int64N(1<<48))
		earlier.EndTime = first.Add(-time.Duration(850-n)*time.Hour + time.Duration(r.Int64N(int64(20*time.Minute))))
		earlier.StartTime = earlier.EndTime.Add(-20*time.Minute - time.Duration(r.Int64N(int64(5*time.Minute))))
		earlier.Metrics = maps.Clone(job.Metrics)
		for _, counter := range slices.Sorted(maps.Keys(job.Metrics)) { // in an order that gives the same runs each time
			earlier.Metrics[counter] += r.Int64N(100_000)
		}
		m.EntityResolution.Put(earlier)
	}
	m.settle()
	m.measure()

	const ticks = 3
	requests := len(m.EntityResolution.Calls())
	for range ticks {
		m.tick()
	}
	requests = len(m.EntityResolution.Calls()) - requests
	idle := m.measure()
	if want := counted.tick[pollerPart].requests; float64(requests) != ticks*want {
		t.Errorf("%d ticks make %d requests to Entity Resolution, want %v each", ticks, requests, want)
	}
	if got := slices.Sorted(maps.Keys(m.metrics)); len(got) != idleMetrics {
		t.Errorf("an idle tick writes the metrics %v", got)
	}
	perTick := *idle[pollerPart]
	perTick.readUnits /= ticks
	perTick.logBytes /= ticks
	check(t, "tick", pollerPart, counted.tick, &perTick)
	expectCalls(t, "ticks", idle, map[string]string{pollerPart: "3 Query", slackChannel: "", emailChannel: ""})

	if _, err := m.Poll(t.Context(), `{"canary":"check"}`); err != nil {
		t.Fatal(err)
	}
	m.drain()
	canary := m.measure()
	for part, u := range canary {
		check(t, "canary", part, counted.canary, u)
	}
	expectCalls(t, "canary", canary, map[string]string{pollerPart: "1 PutEvents", slackChannel: "1 GetParameter, 2 UpdateItem", emailChannel: "1 SendEmail, 2 UpdateItem"})

	done := 0
	job.Job = "4f2a0000-0000-4000-8000-aaaaaaaaaaaa"
	for _, status := range []jobs.Status{jobs.Queued, jobs.Running, jobs.Succeeded} {
		job.Status = status
		switch status {
		case jobs.Running:
			// Not after the whole second of the tick's Date header, as a tick a
			// minute later sees it.
			job.StartTime = time.Now().Truncate(time.Second)
		case jobs.Succeeded:
			job.EndTime = time.Now()
		}
		m.EntityResolution.Put(job)
		m.tick()
		done++
		m.drain()
		// The next message starts a new process, and Slack accepts it at once.
		m.Notifier.Kill()
		time.Sleep(time.Second)
	}
	m.ahead.Store(int64(2 * time.Hour)) // the job is forgotten, except by the archive
	for range 2 {
		m.tick()
		done++
	}
	run := m.measure()
	run[pollerPart].readUnits -= float64(done) * perTick.readUnits
	run[pollerPart].logBytes -= float64(done) * perTick.logBytes
	for part, u := range run {
		check(t, "job", part, counted.job, u)
	}
	expectCalls(t, "job", run, map[string]string{
		pollerPart:   "1 DeleteItem, 3 PutEvents, 8 PutItem, 11 Query, 1 TransactWriteItems",
		slackChannel: "3 GetParameter, 6 UpdateItem, 3 UpdateItem of a slot",
		emailChannel: "1 SendEmail, 2 UpdateItem"})
	if got := slices.Sorted(maps.Keys(m.metrics)); len(got) != idleMetrics+jobMetrics {
		t.Errorf("a job writes the metrics %v", got)
	}
}

// check compares counts exactly, and sizes to a tenth: the number of digits of a
// time varies.
func check(t *testing.T, what, part string, all map[string]usage, used *use) {
	t.Helper()
	want, got := all[part], used.usage
	for name, pair := range map[string][2]float64{
		"events": {want.events, got.events}, "read units": {want.readUnits, got.readUnits}, "write units": {want.writeUnits, got.writeUnits},
		"secrets": {want.secrets, got.secrets}, "emails": {want.emails, got.emails},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s, %s: %v %s, the model has %v", what, part, pair[1], name, pair[0])
		}
	}
	for name, pair := range map[string][2]float64{"bytes of log": {want.logBytes, got.logBytes}, "bytes kept": {want.kept, got.kept}} {
		if pair[1] > pair[0] || pair[1] < 0.9*pair[0]-10 {
			t.Errorf("%s, %s: %v %s, the model has %v", what, part, pair[1], name, pair[0])
		}
	}
}

func expectCalls(t *testing.T, what string, used map[string]*use, want map[string]string) {
	t.Helper()
	for part, u := range used {
		var calls []string
		for _, name := range slices.Sorted(maps.Keys(u.calls)) {
			calls = append(calls, fmt.Sprintf("%d %s", u.calls[name], name))
		}
		if got := strings.Join(calls, ", "); got != want[part] {
			t.Errorf("%s, %s: calls %s, want %s", what, part, got, want[part])
		}
	}
}

// settle ticks until one writes nothing.
func (m *meter) settle() {
	m.t.Helper()
	for range 60 {
		before := m.writes()
		m.tick()
		if m.writes() == before {
			return
		}
	}
	m.t.Fatal("after 60 ticks each still writes")
}

// writes is how often the functions have written to DynamoDB.
func (m *meter) writes() int {
	calls := m.Proxy.Calls()
	return calls["DynamoDB.PutItem"] + calls["DynamoDB.DeleteItem"] + calls["DynamoDB.TransactWriteItems"]
}

// scan reads a table, as the API encodes it.
func (m *meter) scan(table string) []capacity.Item {
	m.t.Helper()
	request, _ := json.Marshal(map[string]any{"TableName": table})
	in, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, m.Moto.URL, bytes.NewReader(request))
	if err != nil {
		m.t.Fatal(err)
	}
	in.Header.Set("X-Amz-Target", "DynamoDB_20120810.Scan")
	in.Header.Set("Content-Type", "application/x-amz-json-1.0")
	in.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
	response, err := http.DefaultClient.Do(in)
	if err != nil {
		m.t.Fatal(err)
	}
	defer response.Body.Close()
	var out struct{ Items []capacity.Item }
	if err := json.NewDecoder(response.Body).Decode(&out); err != nil {
		m.t.Fatal(err)
	}
	return out.Items
}
