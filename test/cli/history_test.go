package cli

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/idmapping/notifier/internal/dynamodb"
	"github.com/idmapping/notifier/internal/fakecloud"
	fakeaws "github.com/idmapping/notifier/internal/fakecloud/aws"
	"github.com/idmapping/notifier/internal/jobs"
)

// hostile is an error text that would change a terminal or a page.
const hostile = "Access Denied \x1b[2J\r\n\u202e<script>alert(1)</script> <img src=x onerror=alert(2)>"

func jobsTable(c *fakecloud.Cloud) dynamodb.Jobs {
	return dynamodb.Jobs{Client: awsdynamodb.NewFromConfig(c.Config()), Table: c.Resources["JobsTable"], Retention: 400 * 24 * time.Hour, Now: time.Now}
}

// pastRun is a success that ended so many days ago.
func pastRun(workflow string, daysAgo int) jobs.Record {
	start := time.Now().UTC().Truncate(time.Second).Add(-time.Duration(daysAgo) * 24 * time.Hour)
	n := int64(1_000_000 + daysAgo%7*10_000)
	return jobs.Record{Job: jobs.Job{Key: jobs.Key{Workflow: workflow, Job: fmt.Sprintf("%08d-run", daysAgo)}, Type: "BATCH", Status: jobs.Succeeded,
		StartTime: start, EndTime: start.Add(time.Duration(30+daysAgo%5) * time.Minute),
		Metrics: jobs.Metrics{jobs.InputRecords: n, jobs.TotalRecordsProcessed: n - 10_000, jobs.RecordsNotProcessed: 10_000, jobs.TotalMappedRecords: n * 66 / 100}}}
}

// archive puts runs into the archive as the poller does with earlier ones.
func archive(t *testing.T, c *fakecloud.Cloud, workflow string, runs ...jobs.Record) {
	t.Helper()
	if err := jobsTable(c).Backfill(t.Context(), workflow, runs); err != nil {
		t.Fatal(err)
	}
}

// historyOfCRM is a workflow with 59 successes, a failure and an open job.
func historyOfCRM(t *testing.T, c *fakecloud.Cloud, workflow string) {
	t.Helper()
	c.EntityResolution.AddWorkflow(workflow)
	tick(t, c)
	var runs []jobs.Record
	for day := 60; day >= 1; day-- {
		r := pastRun(workflow, day)
		if day == 2 {
			r.Job.Status, r.Job.Error, r.Job.Metrics = jobs.Failed, hostile, nil
		}
		runs = append(runs, r)
	}
	archive(t, c, workflow, runs...)
	c.EntityResolution.Put(jobs.Job{Key: jobs.Key{Workflow: workflow, Job: "openopen-1"}, Type: "BATCH", Status: jobs.Running, StartTime: time.Now().Add(-10 * time.Minute)})
	t.Cleanup(func() { c.EntityResolution.Remove(jobs.Key{Workflow: workflow, Job: "openopen-1"}) }) // one job runs at a time
	sweep(t, c, workflow)
}

func TestHistoryShowsTheRunsAsTableAndPlots(t *testing.T) {
	c := stackForTest(t)
	const workflow = "history-crm"
	historyOfCRM(t, c, workflow)
	r := idmapping(t, c, "", "history", workflow, "--time-zone", "Asia/Tokyo")
	r.stdout = strings.ReplaceAll(r.stdout, "\u00A0", " ")
	r.has(t, 0, "START (Asia/Tokyo)", "DURATION", "NOT PROCESSED", "IAM", "RUNNING", "so far", "1.0%", "openopen", "Duration in minutes", "Mapped rate in percent", "✕",
		"61 runs, 1 failure, 1 open, median duration 32 min", "Last failure (00000002): Access Denied [2J <script>")
	if strings.ContainsAny(r.stdout, "\x1b\r\u202e") {
		t.Errorf("the error's text changes the terminal: %q", r.stdout)
	}
	if rows := strings.Count(r.stdout, "-run") + strings.Count(r.stdout, "SUCCEEDED"); rows != 18 {
		t.Errorf("%d successes among the newest 20, want 18:\n%s", rows, r.stdout)
	}
	if first, last := strings.Index(r.stdout, "00000003"), strings.Index(r.stdout, "openopen"); first < 0 || first > last {
		t.Errorf("the newest is not last:\n%s", r.stdout)
	}
	var result struct {
		Summary struct{ Runs, Failures, Open int }
		Runs    []struct {
			Job, Status, ErrorCategory, ErrorMessage string
			Open                                     bool
			MappedRate                               float64
			Usual                                    map[string]struct {
				Low, High float64
				Runs      int
			}
		}
	}
	idmapping(t, c, "", "history", workflow, "--json", "--last", "3", "--since", "30d").decode(t, &result)
	if s := result.Summary; s.Runs != 31 && s.Runs != 30 || s.Failures != 1 || len(result.Runs) != 3 {
		t.Fatalf("the JSON is %+v", result)
	}
	failed, open := result.Runs[0], result.Runs[2]
	if !open.Open || open.Usual["mappedRate"].Runs != 50 || failed.ErrorCategory != "IAM" || failed.ErrorMessage != hostile {
		t.Errorf("the runs are %+v", result.Runs)
	}
}

// EventBridge has no way to accept an event that it has refused as invalid.
func TestExplainSaysThatAnEventWasRefused(t *testing.T) {
	c := stackForTest(t)
	const workflow = "refused"
	c.EntityResolution.AddWorkflow(workflow)
	tick(t, c)
	r := fullRun(workflow, 3)
	r.Job.Job = "refused-job"
	last := &r.Timeline[2]
	last.PublishedAt = time.Time{}
	r.Refused = []jobs.RefusedEntry{{Entry: jobs.Entry{ID: last.ID, DetailType: "ID Mapping Job State Change"}, Reason: "InvalidArgument: " + hostile}}
	archive(t, c, workflow, r)
	shown := idmapping(t, c, "", "explain", workflow+"/refused-job")
	shown.has(t, 0, "never  ", "EventBridge refused the event: InvalidArgument: Access Denied", "not sent")
	if strings.Contains(shown.stdout, "not yet") || strings.Contains(shown.stdout, "\x1b") {
		t.Errorf("%s", shown.stdout)
	}
	var found struct{ Transitions []struct{ Refused string } }
	if err := json.Unmarshal([]byte(idmapping(t, c, "", "explain", workflow+"/refused-job", "--json").stdout), &found); err != nil || len(found.Transitions) != 3 || found.Transitions[2].Refused == "" {
		t.Errorf("%+v, %v", found, err)
	}
	items, err := jobsTable(c).Client.Scan(t.Context(), &awsdynamodb.ScanInput{TableName: new(c.Resources["JobsTable"]), FilterExpression: new("attribute_exists(refused)")})
	if err != nil || len(items.Items) != 1 {
		t.Errorf("%d items have refused events, %v", len(items.Items), err)
	}
}

func TestHistoryOfNothingIsSaidPlainly(t *testing.T) {
	c := stackForTest(t)
	c.EntityResolution.AddWorkflow("history-empty")
	tick(t, c)
	page := filepath.Join(t.TempDir(), "empty.html")
	idmapping(t, c, "", "history", "history-empty", "--html", page).has(t, 0, "No run of history-empty is kept yet")
	if _, err := os.Stat(page); err == nil {
		t.Error("an empty page is written")
	}
	idmapping(t, c, "", "history", "history-nowhere").has(t, 1, "the stack has no workflow history-nowhere; it has: ", "history-empty")
	archive(t, c, "history-empty", pastRun("history-empty", 40))
	idmapping(t, c, "", "history", "history-empty", "--since", "10d").has(t, 0, "there are older ones")
	idmapping(t, c, "", "history", "history-empty", "--since", "yesterday").has(t, 2, "30d")
	idmapping(t, c, "", "history", "history-empty", "--time-zone", "Mars/Base").has(t, 2, "Europe/Berlin")
	idmapping(t, c, "", "history", "history-empty", "--last", "0").has(t, 2, "--last")
	idmapping(t, c, "", "history", "history-empty", "--html", filepath.Join(t.TempDir(), "missing", "x.html")).has(t, 1, "no such file")
}

func TestHistoryPageInABrowser(t *testing.T) {
	c := stackForTest(t)
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	const workflow = "history-page"
	historyOfCRM(t, c, workflow)
	dir := t.TempDir()
	page, picture := filepath.Join(dir, "page.html"), filepath.Join(dir, "page.png")
	idmapping(t, c, "", "history", workflow, "--html", page).has(t, 0, "61 runs, 1 failure", "The page is in "+page)
	chromium := func(arguments ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		arguments = append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--user-data-dir=" + filepath.Join(dir, "profile")}, arguments...)
		output, err := exec.CommandContext(ctx, browser, append(arguments, "file://"+page)...).Output()
		if err != nil {
			t.Fatalf("chromium: %v", err)
		}
		return string(output)
	}
	dom := chromium("--dump-dom")
	for _, want := range []string{workflow, `role="img"`, "usual range as a band", "1 failed", "&lt;script&gt;alert(1)", "openopen-1", "20 min</text>"} {
		if !strings.Contains(dom, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(dom, "<script") || strings.Contains(dom, "<img") || strings.Count(dom, "</svg>") != 8 {
		t.Errorf("the error's text is markup, or a plot is missing: %d plots", strings.Count(dom, "</svg>"))
	}
	chromium("--window-size=1200,1400", "--screenshot="+picture)
	if info, err := os.Stat(picture); err != nil || info.Size() < 40_000 {
		t.Errorf("the page is drawn as %v, %v", info, err)
	}
}

// fill writes many archived runs as Backfill does, until the test ends.
func fill(t *testing.T, c *fakecloud.Cloud, workflow string, n int) {
	t.Helper()
	table := jobsTable(c)
	archive(t, c, workflow, fullRun(workflow, 1))
	var sample map[string]types.AttributeValue
	found, err := table.Client.Query(t.Context(), &awsdynamodb.QueryInput{TableName: &table.Table, KeyConditionExpression: new("#p = :p"),
		ExpressionAttributeNames: map[string]string{"#p": "partition"}, ExpressionAttributeValues: map[string]types.AttributeValue{":p": &types.AttributeValueMemberS{Value: "archive#" + workflow}}})
	if err != nil || len(found.Items) != 1 {
		t.Fatalf("the archived run: %v, %v", found, err)
	}
	sample = found.Items[0]
	read, err := io.ReadAll(flate.NewReader(bytes.NewReader(sample["item"].(*types.AttributeValueMemberB).Value)))
	if err != nil {
		t.Fatal(err)
	}
	body := string(read)
	w, err := flate.NewWriter(io.Discard, flate.DefaultCompression)
	if err != nil {
		t.Fatal(err)
	}
	text := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
	var puts, deletes []types.WriteRequest
	for i := 1; i < n; i++ {
		end := time.Now().UTC().Add(-time.Duration(i) * time.Hour)
		item := maps.Clone(sample)
		item["sort"], item["job"] = text(end.Format("2006-01-02T15:04:05.000Z")+"#many-"+strconv.Itoa(i)), text("many-"+strconv.Itoa(i))
		item["item"] = &types.AttributeValueMemberB{Value: compressed(t, w, strings.NewReplacer(`"startTime":"`, `"startTime":"`+end.Add(-20*time.Minute).Format(time.RFC3339)+`","x":"`,
			`"endTime":"`, `"endTime":"`+end.Format(time.RFC3339)+`","y":"`).Replace(body))}
		puts = append(puts, types.WriteRequest{PutRequest: &types.PutRequest{Item: item}})
		deletes = append(deletes, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: map[string]types.AttributeValue{"partition": item["partition"], "sort": item["sort"]}}})
	}
	write(t, table, puts)
	// Later tests look for a job in every archive of the stack.
	t.Cleanup(func() { write(t, table, deletes) })
}

// write writes many items, 25 a call.
func write(t *testing.T, table dynamodb.Jobs, all []types.WriteRequest) {
	t.Helper()
	group, ctx := errgroup.WithContext(context.Background()) // also after the test's own has ended
	group.SetLimit(4)
	for writes := range slices.Chunk(all, 25) {
		group.Go(func() error {
			out, err := table.Client.BatchWriteItem(ctx, &awsdynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{table.Table: writes}})
			if err == nil && len(out.UnprocessedItems) > 0 {
				err = fmt.Errorf("%d items are not written", len(out.UnprocessedItems))
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// compressed is the content of an archived item.
func compressed(t *testing.T, w *flate.Writer, body string) []byte {
	t.Helper()
	var b bytes.Buffer
	w.Reset(&b)
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// fullRun is a run with everything that the archive keeps of one.
func fullRun(workflow string, daysAgo int) jobs.Record {
	r := pastRun(workflow, daysAgo)
	r.ARN = "arn:aws:entityresolution:eu-west-1:123456789012:idmappingworkflow/" + workflow
	r.Job.Outputs = []jobs.Output{{S3Path: "s3://example-analytics/id-mapping/output/", KMSArn: "arn:aws:kms:eu-west-1:123456789012:key/0123abcd-4567-89ab-cdef-0123456789ab",
		RoleArn: "arn:aws:iam::123456789012:role/service-role/entityresolution-id-mapping"}}
	for i, counter := range jobs.Counters {
		if _, ok := r.Job.Metrics[counter]; !ok {
			r.Job.Metrics[counter] = int64(123_456 + 7_919*i)
		}
	}
	for i, status := range []jobs.Status{jobs.Queued, jobs.Running, jobs.Succeeded} {
		began := r.Job.StartTime.Add(time.Duration(i) * time.Minute)
		r.Timeline = append(r.Timeline, jobs.Milestone{ID: fmt.Sprintf("%016x", 0x123456789abcdef*(i+1)), Status: status, BeganAt: began,
			ObservedAt: began.Add(41 * time.Second), PublishedAt: began.Add(42 * time.Second)})
	}
	return r
}

// A page of Query is 1 MB of stored items. These runs have all that one can have.
func TestHistoryOf5000RunsIsAFewReads(t *testing.T) {
	c := stackForTest(t)
	const workflow, n = "history-many", 5000
	c.EntityResolution.AddWorkflow(workflow)
	tick(t, c)
	fill(t, c, workflow, n)
	before := c.Proxy.Calls()["DynamoDB.Query"]
	r := idmapping(t, c, "", "history", workflow)
	r.has(t, 0, "5,000 runs, 0 failures", "each column the longest of up to 79 runs")
	calls := c.Proxy.Calls()["DynamoDB.Query"] - before
	if calls > 6 {
		t.Errorf("%d Query calls, want at most 6", calls)
	}
	t.Logf("%d Query calls", calls)
	c.Proxy.Inject(fakeaws.Fault{Operation: "DynamoDB.Query", Times: 2, Delay: 2100 * time.Millisecond,
		Match: func(body []byte) bool { return bytes.Contains(body, []byte("archive#"+workflow)) }})
	defer c.Proxy.Clear()
	page := filepath.Join(t.TempDir(), "many.html")
	r = idmapping(t, c, "", "history", workflow, "--html", page)
	r.has(t, 0, "5,000 runs", "read 2,000 runs…")
	if strings.Contains(r.stdout, "read ") {
		t.Errorf("the progress is in the result: %s", r.stdout)
	}
	if info, err := os.Stat(page); err != nil || info.Size() > 2<<20 {
		t.Errorf("the page is %v, %v", info, err)
	}
}
