package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/idmapping/notifier/internal/fakecloud"
	fakeaws "github.com/idmapping/notifier/internal/fakecloud/aws"
	"github.com/idmapping/notifier/internal/fakecloud/capacity"
	fakelambda "github.com/idmapping/notifier/internal/fakecloud/lambda"
	"github.com/idmapping/notifier/internal/jobs"
)

// call is one call to DynamoDB with its response.
type call struct {
	operation         string
	request, response []byte
}

// recorder records a function's calls to DynamoDB on their way to moto.
type recorder struct {
	mu      sync.Mutex
	calls   []call
	latency time.Duration // of each call, at least
}

func (r *recorder) setLatency(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.latency = d
}

// since returns the calls from the n-th on.
func (r *recorder) since(n int) []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls[n:])
}

// deployment is the real template with the real binaries, and what they call.
type deployment struct {
	*fakecloud.Cloud
	poller, notifier *recorder
	server           []*httptest.Server
}

func deploy(ctx context.Context, b binaries) (*deployment, error) {
	c, err := fakecloud.Deploy(ctx, fakecloud.Options{
		Parameters: map[string]string{"SlackChannel": fakecloud.SlackChannel, "SlackTokenParameterName": fakecloud.TokenParameter},
		Bootstraps: map[string]string{"PollerFunction": b.poller, "NotifierFunction": b.notifier},
	})
	if err != nil {
		return nil, err
	}
	d := &deployment{Cloud: c}
	if d.poller, err = d.record(c.Poller); err == nil {
		d.notifier, err = d.record(c.Notifier)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *deployment) close() {
	d.Close()
	for _, s := range d.server {
		s.Close()
	}
}

// record makes the function call DynamoDB through a recorder. Its process starts
// with the first invocation, so its environment can still change.
func (d *deployment) record(f *fakelambda.Function) (*recorder, error) {
	r := &recorder{}
	proxy, err := fakeaws.NewProxy(d.Moto.URL)
	if err != nil {
		return nil, err
	}
	proxy.OnCall = func(operation string, request, response []byte) {
		r.mu.Lock()
		r.calls = append(r.calls, call{operation, request, response})
		r.mu.Unlock()
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		r.mu.Lock()
		latency := r.latency
		r.mu.Unlock()
		due := time.Now().Add(latency)
		proxy.ServeHTTP(&delayed{ResponseWriter: w, due: due}, in)
	}))
	d.server = append(d.server, server)
	f.Env["AWS_ENDPOINT_URL_DYNAMODB"] = server.URL
	return r, nil
}

// delayed is a response that starts no sooner than due.
type delayed struct {
	http.ResponseWriter
	due time.Time
}

func (d *delayed) WriteHeader(status int) {
	time.Sleep(time.Until(d.due))
	d.ResponseWriter.WriteHeader(status)
}

// counted is the operations of calls with their numbers, such as "1 Query".
func counted(calls []call) string {
	numbers := map[string]int{}
	for _, c := range calls {
		numbers[strings.TrimPrefix(c.operation, "DynamoDB.")]++
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(numbers)) {
		all = append(all, fmt.Sprintf("%d %s", numbers[name], name))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

func isRead(operation string) bool {
	return slices.Contains([]string{"DynamoDB.Query", "DynamoDB.GetItem", "DynamoDB.BatchGetItem", "DynamoDB.Scan"}, operation)
}

var placeholder = regexp.MustCompile(`:\w+`)

// partitions are the key values that a Query names.
func partitions(c call) ([]string, error) {
	var in struct {
		IndexName                 string
		KeyConditionExpression    string
		ExpressionAttributeValues map[string]struct{ S string }
	}
	if err := json.Unmarshal(c.request, &in); err != nil {
		return nil, err
	}
	var all []string
	if in.IndexName != "" {
		all = append(all, "index "+in.IndexName)
	}
	for _, name := range placeholder.FindAllString(in.KeyConditionExpression, -1) {
		all = append(all, in.ExpressionAttributeValues[name].S)
	}
	return all, nil
}

// idleTicks measures ticks that find nothing new, of the real poller with ten
// workflows, while 10 and while 10,000 runs are archived.
func idleTicks(ctx context.Context, b binaries) ([]row, error) {
	d, err := deploy(ctx, b)
	if err != nil {
		return nil, err
	}
	defer d.close()
	rate := d.Poller.Env["REQUESTS_PER_SECOND"]
	d.Poller.Env["REQUESTS_PER_SECOND"] = "1000" // the preparation need not wait
	const workflows = 10
	for n := range workflows {
		d.EntityResolution.AddWorkflow(fmt.Sprintf("workflow-%d", n))
	}
	if _, err := d.Tick(ctx); err != nil {
		return nil, err
	}
	time.Sleep(1100 * time.Millisecond) // Date headers have whole seconds
	now := time.Now()
	for n := range workflows {
		d.EntityResolution.Put(jobs.Job{Key: jobs.Key{Workflow: fmt.Sprintf("workflow-%d", n), Job: fmt.Sprintf("4f2a0000-0000-4000-8000-%012d", n)},
			Type: "BATCH", Status: jobs.Succeeded, StartTime: now, EndTime: now, Metrics: jobs.Metrics{jobs.InputRecords: 1_000_000,
				jobs.TotalRecordsProcessed: 990_000, jobs.TotalMappedRecords: 880_000, jobs.UniqueRecordsLoaded: 870_000}})
	}
	if err := d.settle(ctx); err != nil {
		return nil, err
	}
	rows, err := d.idleRow(ctx, "10 runs remembered")
	if err != nil {
		return rows, err
	}
	copies, err := d.fillArchive(ctx, 10_000)
	if err != nil {
		return rows, err
	}
	more, err := d.idleRow(ctx, fmt.Sprintf("%d runs remembered", copies))
	if rows = append(rows, more...); err != nil {
		return rows, err
	}
	if copies < 10_000 {
		rows = append(rows, row{what: "idle tick, 10 workflows: runs in the archive", measured: fmt.Sprint(copies), hold: "≥ 10000"})
	}

	d.Poller.Kill()
	d.Poller.Env["REQUESTS_PER_SECOND"] = rate
	d.EntityResolution.SetLatency(25 * time.Millisecond)
	d.poller.setLatency(25 * time.Millisecond)
	var took []float64
	for n := range 6 {
		time.Sleep(time.Second) // as in a tick a minute later, the first request need not wait
		begin := time.Now()
		if _, err := d.Tick(ctx); err != nil {
			return rows, err
		}
		if n > 0 { // not the cold start
			took = append(took, time.Since(begin).Seconds())
		}
	}
	return append(rows, atMost("idle tick, 10 workflows, 25 ms per call: wall time", median(took), 2.5, "%.2f s")), nil
}

// settle ticks until three ticks in a row have written nothing.
func (d *deployment) settle(ctx context.Context) error {
	quiet := 0
	for range 60 {
		before := len(d.poller.since(0))
		if _, err := d.Tick(ctx); err != nil {
			return err
		}
		quiet++
		if slices.ContainsFunc(d.poller.since(before), func(c call) bool { return !isRead(c.operation) }) {
			quiet = 0
		}
		if quiet == 3 {
			return nil
		}
	}
	return errors.New("waiting for an idle tick: after 60 ticks each still writes")
}

// idleRow measures three idle ticks and reports the one that costs most.
func (d *deployment) idleRow(ctx context.Context, when string) ([]row, error) {
	var most []call
	var units float64
	var named []string
	for range 3 {
		before := len(d.poller.since(0))
		if _, err := d.Tick(ctx); err != nil {
			return nil, err
		}
		calls := d.poller.since(before)
		if len(calls) > len(most) {
			most = calls
		}
		sum := 0.0
		for _, c := range calls {
			if !isRead(c.operation) {
				continue
			}
			n, err := capacity.ReadUnits(c.operation, c.request, c.response)
			if err != nil {
				return nil, err
			}
			sum += n
			if c.operation == "DynamoDB.Query" {
				keys, err := partitions(c)
				if err != nil {
					return nil, err
				}
				named = append(named, keys...)
			}
		}
		units = max(units, sum)
	}
	slices.Sort(named)
	named = slices.Compact(named)
	what := "idle tick, 10 workflows, " + when + ": DynamoDB "
	return []row{
		{what + "calls", counted(most), "1 Query", counted(most) == "1 Query"},
		{what + "partitions queried", strings.Join(named, ", "), "live", slices.Equal(named, []string{"live"})},
		atMost(what+"read units", units, 3, "%.1f"),
	}, nil
}

// fillArchive copies the archived runs until there are so many, and returns how
// many there are. A copy differs from a real run only in its sort key.
func (d *deployment) fillArchive(ctx context.Context, target int) (int, error) {
	client, table := dynamodb.NewFromConfig(d.Config()), d.Resources["JobsTable"]
	var archived []map[string]types.AttributeValue
	pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{TableName: &table})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return 0, fmt.Errorf("reading the jobs table: %w", err)
		}
		for _, item := range page.Items {
			if p, ok := item["partition"].(*types.AttributeValueMemberS); ok && strings.HasPrefix(p.Value, "archive#") {
				archived = append(archived, item)
			}
		}
	}
	if len(archived) == 0 {
		return 0, nil
	}
	total := len(archived)
	for total < target {
		var writes []types.WriteRequest
		for range min(25, target-total) {
			item := maps.Clone(archived[total%len(archived)])
			sort, ok := item["sort"].(*types.AttributeValueMemberS)
			if !ok {
				return total, errors.New("copying an archived run: it has no sort key")
			}
			item["sort"] = &types.AttributeValueMemberS{Value: fmt.Sprintf("%s-%d", sort.Value, total)}
			writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: item}})
			total++
		}
		out, err := client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{table: writes}})
		if err != nil {
			return total, fmt.Errorf("filling the archive: %w", err)
		}
		if n := len(out.UnprocessedItems); n > 0 {
			return total, fmt.Errorf("filling the archive: %d batches were not processed", n)
		}
	}
	return total, nil
}

// notificationCalls counts what the real notifier calls for a job's first
// message and for its terminal status on a card with a thread.
func notificationCalls(ctx context.Context, b binaries) ([]row, error) {
	d, err := deploy(ctx, b)
	if err != nil {
		return nil, err
	}
	defer d.close()
	d.EntityResolution.AddWorkflow("crm")
	if _, err := d.Tick(ctx); err != nil {
		return nil, err
	}
	time.Sleep(1100 * time.Millisecond) // Date headers have whole seconds
	job := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "4f2a"}, Type: "BATCH", Status: jobs.Running, StartTime: time.Now()}
	var rows []row
	for _, c := range []struct {
		what            string
		status          jobs.Status
		dynamodb, slack int
	}{
		{"calls: first message of a job", jobs.Running, 3, 1},
		{"calls: terminal status on a card with a thread", jobs.Failed, 4, 2},
	} {
		if job.Status = c.status; c.status.Terminal() {
			job.EndTime, job.Error = time.Now(), "Access Denied"
		}
		d.EntityResolution.Put(job)
		calls, posts := len(d.notifier.since(0)), len(d.Slack.Calls())
		if _, err := d.Tick(ctx); err != nil {
			return rows, err
		}
		if err := d.delivered(ctx, posts+c.slack); err != nil {
			return rows, err
		}
		made, posted := d.notifier.since(calls), d.Slack.Calls()[posts:]
		rows = append(rows, row{c.what, fmt.Sprintf("%d + %d (%s; %s)", len(made), len(posted), counted(made), strings.Join(posted, ", ")),
			fmt.Sprintf("≤ %d DynamoDB + %d Slack", c.dynamodb, c.slack), len(made) <= c.dynamodb && len(posted) == c.slack})
		time.Sleep(2 * time.Second) // the channel's rate limit allows the next message again
	}
	return rows, nil
}

// delivered waits until Slack was called so often and the queue is empty, which
// it is after the notifier has recorded the delivery.
func (d *deployment) delivered(ctx context.Context, posts int) error {
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if len(d.Slack.Calls()) < posts {
			continue
		}
		n, err := d.QueueLength(ctx, "SlackQueue")
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
	}
	return fmt.Errorf("waiting for the notification: Slack was called %d times of %d within 20 s", len(d.Slack.Calls()), posts)
}
