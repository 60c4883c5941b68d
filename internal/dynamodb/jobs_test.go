package dynamodb_test

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/idmapping/notifier/internal/dynamodb"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/fakecloud/aws/awstest"
	"github.com/idmapping/notifier/internal/jobs"
)

var at = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// jobsTable is a new jobs table.
func jobsTable(t *testing.T) dynamodb.Jobs {
	t.Helper()
	client, name := table(t, "partition", "sort")
	return dynamodb.Jobs{Client: client, Table: name, Retention: 24 * time.Hour, Now: func() time.Time { return at }}
}

// partition are the items of a partition, in the order of their sort keys.
func partition(t *testing.T, s dynamodb.Jobs, name string) []map[string]types.AttributeValue {
	t.Helper()
	out, err := s.Client.Query(t.Context(), &awsdynamodb.QueryInput{TableName: &s.Table,
		KeyConditionExpression: aws.String("#p = :p"), ExpressionAttributeNames: map[string]string{"#p": "partition"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":p": &types.AttributeValueMemberS{Value: name}}})
	if err != nil {
		t.Fatal(err)
	}
	return out.Items
}

func content(t *testing.T, item map[string]types.AttributeValue, into any) {
	t.Helper()
	var body []byte
	switch v := item["item"].(type) {
	case *types.AttributeValueMemberS:
		body = []byte(v.Value)
	case *types.AttributeValueMemberB:
		var err error
		if body, err = io.ReadAll(flate.NewReader(bytes.NewReader(v.Value))); err != nil {
			t.Fatal(err)
		}
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatal(err)
	}
}

func archived(t *testing.T, s dynamodb.Jobs, workflow string) []jobs.Record {
	t.Helper()
	var all []jobs.Record
	for _, item := range partition(t, s, "archive#"+workflow) {
		var r jobs.Record
		content(t, item, &r)
		r.Job.Key = jobs.Key{Workflow: workflow, Job: item["job"].(*types.AttributeValueMemberS).Value}
		all = append(all, r)
	}
	return all
}

func histories(t *testing.T, s dynamodb.Jobs, workflow string) jobs.Histories {
	t.Helper()
	h := jobs.Histories{Successes: make(map[string]jobs.Successes)}
	for _, item := range partition(t, s, "history#"+workflow) {
		sort := item["sort"].(*types.AttributeValueMemberS).Value
		if jobType, ok := strings.CutPrefix(sort, "successes#"); ok {
			var successes jobs.Successes
			content(t, item, &successes)
			h.Successes[jobType] = successes
			continue
		}
		content(t, item, &h.Runs)
	}
	return h
}

func TestJobsTableHoldsTheContract(t *testing.T) {
	fake.JobsContract(t, jobsTable(t), "contract")
}

// finished is a run that finished at the given time.
func finished(id string, end time.Time) jobs.Record {
	return jobs.Record{ARN: fake.ARN("crm"), Job: jobs.Job{Key: jobs.Key{Workflow: "crm", Job: id}, Type: "BATCH", Status: jobs.Succeeded,
		StartTime: end.Add(-time.Hour), EndTime: end}}
}

func mustSave(t *testing.T, s dynamodb.Jobs, r jobs.Record) jobs.Record {
	t.Helper()
	if err := s.Save(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	r.Version++
	return r
}

func TestArchivedRunExpiresAfterTheRetention(t *testing.T) {
	s := jobsTable(t)
	endless := finished("endless", time.Time{})
	endless.Job.StartTime = time.Time{}
	for id, c := range map[string]struct {
		run  jobs.Record
		want time.Time
	}{
		"ended":         {finished("ended", at.Add(-time.Hour)), at.Add(23 * time.Hour)},
		"without times": {endless, at.Add(24 * time.Hour)},
	} {
		if err := s.Archive(t.Context(), mustSave(t, s, c.run)); err != nil {
			t.Fatal(err)
		}
		items := partition(t, s, "archive#crm")
		i := slices.IndexFunc(items, func(item map[string]types.AttributeValue) bool {
			return item["job"].(*types.AttributeValueMemberS).Value == c.run.Job.Job
		})
		if i < 0 {
			t.Fatalf("%s: not archived", id)
		}
		if got, ok := items[i]["expiresAt"].(*types.AttributeValueMemberN); !ok || got.Value != fmt.Sprint(c.want.Unix()) {
			t.Errorf("%s: expiresAt = %+v, want %d", id, items[i]["expiresAt"], c.want.Unix())
		}
	}
	for _, item := range partition(t, s, "live") {
		if item["expiresAt"] != nil {
			t.Errorf("a live item expires: %v", item)
		}
	}
}

func TestRunOlderThanTheRetentionIsBackfilledIntoTheHistoryOnly(t *testing.T) {
	s := jobsTable(t)
	runs := []jobs.Record{finished("old", at.Add(-24*time.Hour)), finished("new", at.Add(-24*time.Hour+time.Second))}
	if err := s.Backfill(t.Context(), "crm", runs); err != nil {
		t.Fatal(err)
	}
	if got := archived(t, s, "crm"); len(got) != 1 || got[0].Job.Job != "new" {
		t.Errorf("archived %+v", got)
	}
	if n := len(histories(t, s, "crm").Successes["BATCH"].Runs); n != 2 {
		t.Errorf("%d successes", n)
	}
}

// lossy is an HTTP client that counts requests by operation, and fails chosen
// ones before they are sent or after they took effect.
type lossy struct {
	next http.RoundTripper

	mu       sync.Mutex
	requests []string // operations, with the partition that a query names
	fail     int      // which request fails, from 1; 0 is none
	after    bool     // after it took effect
}

func (l *lossy) Do(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if operation == "Query" {
		var query struct {
			KeyConditionExpression    string
			ExpressionAttributeNames  map[string]string
			ExpressionAttributeValues map[string]map[string]string
			ConsistentRead            bool
		}
		_ = json.Unmarshal(body, &query)
		operation = fmt.Sprintf("Query %s %s consistent=%v", strings.NewReplacer("#partition", query.ExpressionAttributeNames["#partition"],
			":partition", query.ExpressionAttributeValues[":partition"]["S"]).Replace(query.KeyConditionExpression), "", query.ConsistentRead)
	}
	l.mu.Lock()
	l.requests = append(l.requests, operation)
	failing := len(l.requests) == l.fail
	l.mu.Unlock()
	if failing && !l.after {
		return nil, errors.New("connection refused")
	}
	response, err := l.next.RoundTrip(r)
	if failing && err == nil {
		_ = response.Body.Close()
		return nil, errors.New("connection reset after the request was sent")
	}
	return response, err
}

// through is the table seen through a lossy client, with as many attempts of the
// SDK's own.
func through(s dynamodb.Jobs, l *lossy, attempts int) dynamodb.Jobs {
	l.next = http.DefaultTransport
	s.Client = awsdynamodb.New(s.Client.Options(), func(o *awsdynamodb.Options) {
		o.HTTPClient = l
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) { r.MaxAttempts, r.MaxBackoff = attempts, time.Millisecond })
	})
	return s
}

func TestLiveIsOneConsistentQueryOfTheLivePartitionHoweverMuchIsArchived(t *testing.T) {
	s := jobsTable(t)
	for i := range 30 {
		if err := s.Archive(t.Context(), mustSave(t, s, finished(fmt.Sprint(i), at.Add(time.Duration(i)*time.Minute)))); err != nil {
			t.Fatal(err)
		}
	}
	l := &lossy{}
	live, err := through(s, l, 1).Live(t.Context())
	if err != nil || len(live.Records) != 30 {
		t.Fatalf("%d records, %v", len(live.Records), err)
	}
	if !slices.Equal(l.requests, []string{"Query partition = live  consistent=true"}) {
		t.Errorf("requests %q", l.requests)
	}
}

func TestArchivingThatIsInterruptedAnywhereIsDoneOnceInTheEnd(t *testing.T) {
	requests := func(s dynamodb.Jobs, r jobs.Record) int {
		l := &lossy{}
		if err := through(s, l, 1).Archive(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		return len(l.requests)
	}
	s := jobsTable(t)
	n := requests(s, mustSave(t, s, finished("clean", at)))
	if n != 2 {
		t.Fatalf("%d requests, want a query of the histories and the transaction", n)
	}
	for fail := 1; fail <= n; fail++ {
		for _, after := range []bool{false, true} {
			for _, attempts := range []int{1, 3} { // without and with the SDK's own retries
				s := jobsTable(t)
				r := mustSave(t, s, finished("a", at))
				lossy := through(s, &lossy{fail: fail, after: after}, attempts)
				err := lossy.Archive(t.Context(), r)
				if attempts == 1 && err == nil || attempts == 3 && err != nil {
					t.Errorf("request %d, after %v, %d attempts: error %v", fail, after, attempts, err)
				}
				if err := s.Archive(t.Context(), r); err != nil { // the next tick, with what it knows
					t.Errorf("request %d, after %v: archiving again: %v", fail, after, err)
				}
				h := histories(t, s, "crm")
				if a := archived(t, s, "crm"); len(a) != 1 || len(h.Successes["BATCH"].Runs) != 1 || len(h.Runs.Starts) != 1 {
					t.Errorf("request %d, after %v: archived %+v, histories %+v", fail, after, a, h)
				}
				live, err := s.Live(t.Context())
				if got := live.Records[r.Job.Key]; err != nil || !got.Archived || got.Version != 2 {
					t.Errorf("request %d, after %v: live %+v, %v", fail, after, got, err)
				}
			}
		}
	}
}

func TestConcurrentArchivingLosesNoRunOfTheHistories(t *testing.T) {
	s := jobsTable(t)
	var running sync.WaitGroup
	var mu sync.Mutex
	failed := make(map[string]jobs.Record)
	for i := range 6 {
		r := mustSave(t, s, finished(fmt.Sprint(i), at.Add(time.Duration(i)*time.Minute)))
		running.Go(func() {
			if err := s.Archive(context.Background(), r); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed[r.Job.Job] = r
			}
		})
	}
	running.Wait()
	for id, r := range failed { // as the next tick does
		if err := s.Archive(t.Context(), r); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if h := histories(t, s, "crm"); len(h.Successes["BATCH"].Runs) != 6 || len(h.Runs.Starts) != 6 {
		t.Errorf("histories %+v", h)
	}
}

// put puts an item as another version, or an operator, may have left it.
func put(t *testing.T, s dynamodb.Jobs, partition, sort string, more map[string]types.AttributeValue) {
	t.Helper()
	item := map[string]types.AttributeValue{
		"partition": &types.AttributeValueMemberS{Value: partition}, "sort": &types.AttributeValueMemberS{Value: sort},
		"version": &types.AttributeValueMemberN{Value: "3"},
	}
	for name, value := range more {
		item[name] = value
	}
	if _, err := s.Client.PutItem(t.Context(), &awsdynamodb.PutItemInput{TableName: &s.Table, Item: item}); err != nil {
		t.Fatal(err)
	}
}

func stringOf(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func TestUnreadableItemSaysSoAndStopsNoOther(t *testing.T) {
	s := jobsTable(t)
	newer := &types.AttributeValueMemberN{Value: "2"}
	put(t, s, "live", "job#crm#1", map[string]types.AttributeValue{"workflow": stringOf("crm"), "job": stringOf("1"), "item": stringOf(`{"job":["RUNNING"]}`)})
	put(t, s, "live", "job#crm#2", map[string]types.AttributeValue{"workflow": stringOf("crm"), "job": stringOf("2"), "item": stringOf(`{}`), "layout": newer})
	put(t, s, "live", "job#crm#3", map[string]types.AttributeValue{"workflow": stringOf("crm"), "job": stringOf("3")})
	put(t, s, "live", "workflow#crm", map[string]types.AttributeValue{"workflow": stringOf("crm"), "item": stringOf("{")})
	put(t, s, "live", "filter", map[string]types.AttributeValue{"item": stringOf("{")})
	mustSave(t, s, jobs.Record{Job: jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "4"}, Status: jobs.Running}})
	if err := s.SaveWorkflow(t.Context(), jobs.WorkflowState{Workflow: "web"}); err != nil {
		t.Fatal(err)
	}
	live, err := s.Live(t.Context())
	if err != nil || len(live.Records) != 4 || len(live.Workflows) != 2 {
		t.Fatalf("%+v, %v", live, err)
	}
	for id, want := range map[string]string{
		"1": "reading the item of job crm/1: attribute item", "2": "reading the item of job crm/2: it was written by a newer version",
		"3": "reading the item of job crm/3: attribute item", "4": "",
	} {
		r := live.Records[jobs.Key{Workflow: "crm", Job: id}]
		if r.Job.Job != id || (r.Unreadable == nil) != (want == "") || want != "" && !strings.Contains(r.Unreadable.Error(), want) {
			t.Errorf("record %s: %+v", id, r)
		}
	}
	if err := live.Workflows["crm"].Unreadable; err == nil || !strings.Contains(err.Error(), "reading the item of workflow crm") || live.Workflows["web"].Unreadable != nil {
		t.Errorf("states %+v", live.Workflows)
	}
	if live.Filter.Version != 3 || live.Filter.Include != "" {
		t.Errorf("filter %+v", live.Filter)
	}
	if err := s.SaveFilter(t.Context(), jobs.FilterState{Include: "*", Version: live.Filter.Version}); err != nil {
		t.Errorf("replacing it: %v", err)
	}
}

func TestUnreadableHistoryIsNotReplaced(t *testing.T) {
	for name, damaged := range map[string]types.AttributeValue{
		"no JSON": stringOf("{"), "nothing compressed": &types.AttributeValueMemberB{Value: []byte("{}")}, "another type": &types.AttributeValueMemberN{Value: "1"},
	} {
		s := jobsTable(t)
		put(t, s, "history#crm", "runs", map[string]types.AttributeValue{"item": damaged})
		r := mustSave(t, s, finished("a", at))
		if err := s.Archive(t.Context(), r); err == nil || !strings.Contains(err.Error(), "reading the history of workflow crm") {
			t.Errorf("%s: error %v", name, err)
		}
		if items := partition(t, s, "history#crm"); len(items) != 1 || !reflect.DeepEqual(items[0]["item"], damaged) {
			t.Errorf("%s: history %v", name, items)
		}
	}
}

// Operators read the live partition in the console; 5,000 runs of the archive are at
// most six pages of 1 MB, with all that a run can have.
func TestLiveItemsAreTextAndAnArchivedRunIsOneWriteUnit(t *testing.T) {
	s := jobsTable(t)
	r := finished("0123456789abcdef0123456789abcdef", at)
	r.Job.Outputs = []jobs.Output{{S3Path: "s3://example-analytics/id-mapping/output/", KMSArn: "arn:aws:kms:eu-west-1:123456789012:key/0123abcd-4567-89ab-cdef-0123456789ab",
		RoleArn: "arn:aws:iam::123456789012:role/service-role/entityresolution-id-mapping"}}
	r.Job.Metrics = make(jobs.Metrics)
	for i, counter := range jobs.Counters {
		r.Job.Metrics[counter] = int64(1_234_567 + 7_919*i)
	}
	for i, status := range []jobs.Status{jobs.Queued, jobs.Running, jobs.Succeeded} {
		began := at.Add(time.Duration(i) * time.Hour)
		r.Timeline = append(r.Timeline, jobs.Milestone{ID: fmt.Sprintf("%016x", 0x123456789abcdef*(i+1)), Status: status, BeganAt: began,
			ObservedAt: began.Add(41 * time.Second), PublishedAt: began.Add(42 * time.Second), Tags: map[string]string{"slack-channel": "C0123456789", "owner": "Data platform"}})
	}
	r = mustSave(t, s, r)
	if _, ok := partition(t, s, "live")[0]["item"].(*types.AttributeValueMemberS); !ok {
		t.Errorf("a live item is no text")
	}
	if err := s.Archive(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	size := 0
	for name, value := range partition(t, s, "archive#crm")[0] {
		size += len(name)
		switch v := value.(type) {
		case *types.AttributeValueMemberS:
			size += len(v.Value)
		case *types.AttributeValueMemberB:
			size += len(v.Value)
		case *types.AttributeValueMemberN:
			size += len(v.Value)/2 + 2 // at most
		}
	}
	if size > 1024 {
		t.Errorf("an archived run with everything is %d bytes", size)
	}
	t.Logf("%d bytes", size)
}

// With an error ignored, an event would count as published or a run as archived.
func TestFailedCallOfTheJobsTableIsAnError(t *testing.T) {
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	defer down.Close()
	s := dynamodb.Jobs{Table: "t", Client: awsdynamodb.NewFromConfig(awstest.Moto(t).Config(), func(o *awsdynamodb.Options) {
		o.BaseEndpoint, o.Retryer = &down.URL, aws.NopRetryer{}
	})}
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"Live":           func() error { _, err := s.Live(ctx); return err },
		"Save":           func() error { return s.Save(ctx, finished("a", at)) },
		"Archive":        func() error { return s.Archive(ctx, finished("a", at)) },
		"Delete":         func() error { return s.Delete(ctx, finished("a", at)) },
		"AddStarts":      func() error { return s.AddStarts(ctx, "crm", []time.Time{at}) },
		"Backfill":       func() error { return s.Backfill(ctx, "crm", []jobs.Record{finished("a", time.Now())}) },
		"SaveWorkflow":   func() error { return s.SaveWorkflow(ctx, jobs.WorkflowState{Workflow: "crm"}) },
		"DeleteWorkflow": func() error { return s.DeleteWorkflow(ctx, jobs.WorkflowState{Workflow: "crm", Version: 1}) },
		"SaveFilter":     func() error { return s.SaveFilter(ctx, jobs.FilterState{}) },
	} {
		if err := call(); err == nil || errors.Is(err, jobs.ErrConflict) || !strings.Contains(err.Error(), "500") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestArchivedRunsAreReadFromATimeOnOldestFirst(t *testing.T) {
	s := jobsTable(t)
	for i := range 5 {
		r := jobs.Record{Job: jobs.Job{Key: jobs.Key{Workflow: "w", Job: fmt.Sprintf("j%d", 4-i)}, Status: jobs.Succeeded,
			StartTime: at, EndTime: at.Add(time.Duration(4-i) * time.Minute)}}
		if err := s.Archive(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	read := func(since time.Time) (ids []string) {
		for r, err := range s.Archived(t.Context(), "w", since) {
			if err != nil || r.Unreadable != nil {
				t.Fatal(err, r.Unreadable)
			}
			ids = append(ids, r.Job.Job)
		}
		return ids
	}
	if got := read(time.Time{}); !slices.Equal(got, []string{"j0", "j1", "j2", "j3", "j4"}) {
		t.Errorf("all runs are %v", got)
	}
	if got := read(at.Add(3 * time.Minute)); !slices.Equal(got, []string{"j3", "j4"}) {
		t.Errorf("the runs since the third minute are %v", got)
	}
	for range s.Archived(t.Context(), "w", time.Time{}) {
		break // stops reading
	}
}
