package entityresolution_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/idmapping/notifier/internal/entityresolution"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/fakecloud/account"
	fakeentityresolution "github.com/idmapping/notifier/internal/fakecloud/entityresolution"
	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
	"github.com/idmapping/notifier/internal/jobs"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const (
	fast           = 10_000 // a rate that no test waits for
	requestTimeout = 5 * time.Second
)

// source makes a Source whose requests a handler answers in this process.
func source(service http.Handler, rate float64) *entityresolution.Source {
	return entityresolution.New(aws.Config{
		Region:      account.Region,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		HTTPClient:  &http.Client{Timeout: requestTimeout, Transport: httpfault.InProcess{Handler: service}},
	}, rate)
}

// answering answers everything with a body.
func answering(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}
}

func TestSourceHoldsTheContract(t *testing.T) {
	service := &fakeentityresolution.Server{}
	fake.SourceContract(t, source(service, fast), func(j jobs.Job) { service.Put(j) })
}

func TestJobIsReadWithEveryField(t *testing.T) {
	service := &fakeentityresolution.Server{}
	key := jobs.Key{Workflow: "crm-to_ads", Job: "4f2a"}
	want := jobs.Job{
		Key: key, Type: "INCREMENTAL", Status: jobs.Failed,
		StartTime: noon, EndTime: noon.Add(90*time.Minute + 250*time.Millisecond),
		Metrics: jobs.Metrics{}, Error: "Access denied for s3://in/é\n<!channel>",
		Outputs: []jobs.Output{
			{S3Path: "s3://out/a/", KMSArn: "arn:aws:kms:us-east-1:123456789012:key/k", RoleArn: "arn:aws:iam::123456789012:role/r"},
			{S3Path: "s3://out/b/"},
		},
	}
	for i, counter := range jobs.Counters {
		want.Metrics[counter] = int64(1000 + i)
	}
	want.Metrics[jobs.NewMappedRecords] = 0 // given as zero, which is not the same as not given
	service.Put(want)
	got, err := source(service, fast).Job(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Metrics) != 15 {
		t.Errorf("%d metrics, want all 15", len(got.Metrics))
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read as\n%+v, want\n%+v", got, want)
	}
}

func TestMetricsAreReadOneByOne(t *testing.T) {
	for _, counter := range jobs.Counters {
		s := source(answering(fmt.Sprintf(`{"jobId":"1","status":"SUCCEEDED","metrics":{%q:7}}`, counter)), fast)
		got, err := s.Job(t.Context(), jobs.Key{Workflow: "crm", Job: "1"})
		if want := (jobs.Metrics{counter: 7}); err != nil || !maps.Equal(got.Metrics, want) {
			t.Errorf("%s: read as %v (%v)", counter, got.Metrics, err)
		}
	}
}

func TestJobsAreReadAsTheServiceShowsThem(t *testing.T) {
	key := jobs.Key{Workflow: "crm", Job: "1"}
	long := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		name, body string
		want       jobs.Job
	}{
		{"times null", `{"jobId":"1","status":"QUEUED","startTime":null,"endTime":null}`, jobs.Job{Key: key, Status: jobs.Queued}},
		{"times absent", `{"jobId":"1","status":"QUEUED"}`, jobs.Job{Key: key, Status: jobs.Queued}},
		{"end time null", `{"jobId":"1","status":"RUNNING","startTime":1795435200,"endTime":null}`, jobs.Job{Key: key, Status: jobs.Running, StartTime: noon}},
		{"unknown status", `{"jobId":"1","status":"PAUSED"}`, jobs.Job{Key: key, Status: "PAUSED"}},
		{"unknown type", `{"jobId":"1","status":"RUNNING","jobType":"NEW_KIND"}`, jobs.Job{Key: key, Status: jobs.Running, Type: "NEW_KIND"}},
		{"unknown keys", `{"jobId":"1","status":"RUNNING","later":{"a":[1]},"metrics":{"laterRecords":3}}`, jobs.Job{Key: key, Status: jobs.Running}},
		{"everything null", `{"jobId":null,"status":"FAILED","metrics":null,"errorDetails":null,"outputSourceConfig":null,"jobType":null}`, jobs.Job{Key: key, Status: jobs.Failed}},
		{"no metric given", `{"jobId":"1","status":"SUCCEEDED","metrics":{}}`, jobs.Job{Key: key, Status: jobs.Succeeded}},
		{"error without a message", `{"jobId":"1","status":"FAILED","errorDetails":{}}`, jobs.Job{Key: key, Status: jobs.Failed}},
		{"error of a megabyte", `{"jobId":"1","status":"FAILED","errorDetails":{"errorMessage":"` + long + `"}}`, jobs.Job{Key: key, Status: jobs.Failed, Error: long}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := source(answering(c.body), fast).Job(t.Context(), key)
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("read as %.300s (%v)", fmt.Sprintf("%+v", got), err)
			}
		})
	}
}

func TestAnswersWithoutStatusOrIDAreNoJobs(t *testing.T) {
	for name, body := range map[string]string{
		"no status": `{"jobId":"1"}`, "status null": `{"jobId":"1","status":null}`, "status empty": `{"jobId":"1","status":""}`, "nothing": `{}`,
	} {
		job, err := source(answering(body), fast).Job(t.Context(), jobs.Key{Workflow: "crm", Job: "1"})
		if !errors.Is(err, jobs.ErrUnavailable) {
			t.Errorf("%s: read as %+v, error %v", name, job, err)
		}
	}
	for name, row := range map[string]string{
		"no status": `{"jobId":"1"}`, "no id": `{"status":"RUNNING"}`, "an empty id": `{"jobId":"","status":"RUNNING"}`, "empty": `{}`,
	} {
		page, err := source(answering(`{"jobs":[`+row+`,{"jobId":"2","status":"RUNNING"}]}`), fast).Page(t.Context(), "crm", "")
		if err != nil || page.Unreadable != 1 || len(page.Rows) != 1 || page.Rows[0].Job != "2" {
			t.Errorf("a row with %s: read as %+v, error %v", name, page, err)
		}
	}
}

func TestListIsReadPageByPage(t *testing.T) {
	service := &fakeentityresolution.Server{Now: func() time.Time { return noon }}
	const n = 60
	for i := range n {
		service.Put(jobs.Job{Key: jobs.Key{Workflow: "crm", Job: fmt.Sprint(i)}, Status: jobs.Succeeded, Type: "BATCH",
			StartTime: noon.Add(time.Duration(i) * time.Minute), EndTime: noon.Add(time.Duration(i+1) * time.Minute), Metrics: jobs.Metrics{jobs.InputRecords: 1}})
	}
	service.AddWorkflow("empty")
	s := source(service, fast)
	var rows []jobs.Job
	var sizes []int
	for token := ""; ; {
		page, err := s.Page(t.Context(), "crm", token)
		if err != nil {
			t.Fatal(err)
		}
		if !page.At.Equal(noon) || page.At.Location() != time.UTC {
			t.Errorf("page made at %s, want the service's %s", page.At, noon)
		}
		rows, sizes = append(rows, page.Rows...), append(sizes, len(page.Rows))
		if token = page.Next; token == "" {
			break
		}
	}
	if !reflect.DeepEqual(sizes, []int{25, 25, 10}) {
		t.Errorf("pages of %v rows", sizes)
	}
	for i, row := range rows {
		at := n - 1 - i
		want := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: fmt.Sprint(at)}, Status: jobs.Succeeded,
			StartTime: noon.Add(time.Duration(at) * time.Minute), EndTime: noon.Add(time.Duration(at+1) * time.Minute)}
		if !reflect.DeepEqual(row, want) {
			t.Fatalf("row %d is %+v, want %+v", i, row, want)
		}
	}
	if page, err := s.Page(t.Context(), "empty", ""); err != nil || len(page.Rows) != 0 || page.Next != "" {
		t.Errorf("an empty list is %+v (%v)", page, err)
	}
}

func TestPageWithoutDateHasNoTime(t *testing.T) {
	s := source(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Date"] = nil
		_, _ = w.Write([]byte(`{"jobs":[]}`))
	}), fast)
	if page, err := s.Page(t.Context(), "crm", ""); err != nil || !page.At.IsZero() {
		t.Errorf("page made at %s (%v)", page.At, err)
	}
}

func TestWorkflowsAreListedOverEveryPage(t *testing.T) {
	service := &fakeentityresolution.Server{Now: func() time.Time { return noon }}
	want := make(map[string]jobs.Workflow)
	for _, name := range []string{"crm", "ads", "a-b_C9"} {
		service.AddWorkflow(name)
		want[name] = jobs.Workflow{Name: name, ARN: fakeentityresolution.WorkflowARN(name), CreatedAt: noon}
	}
	if got, err := source(service, fast).Workflows(t.Context()); err != nil || !reflect.DeepEqual(got, jobs.WorkflowList{Workflows: want, At: noon}) {
		t.Errorf("workflows are %v (%v), want %v", got, err, want)
	}
	paged := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		if r.URL.Query().Get("nextToken") == "" {
			_, _ = w.Write([]byte(`{"workflowSummaries":[{"workflowName":"a","workflowArn":"arn:a"},{"workflowName":"nameless"}],"nextToken":"t"}`))
			return
		}
		_, _ = w.Write([]byte(`{"workflowSummaries":[{"workflowName":"b","workflowArn":"arn:b"}]}`))
	})
	want = map[string]jobs.Workflow{"a": {Name: "a", ARN: "arn:a"}, "b": {Name: "b", ARN: "arn:b"}}
	if got, err := source(paged, fast).Workflows(t.Context()); err != nil || !reflect.DeepEqual(got, jobs.WorkflowList{Workflows: want}) {
		t.Errorf("workflows are %v (%v), want %v", got, err, want)
	}
}

func TestPartialWorkflowListIsAnError(t *testing.T) {
	s := source(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("nextToken") != "" {
			w.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write([]byte(`{"workflowSummaries":[{"workflowName":"a","workflowArn":"arn:a"}],"nextToken":"t"}`))
	}), fast)
	if got, err := s.Workflows(t.Context()); !errors.Is(err, jobs.ErrDenied) || got.Workflows != nil {
		t.Errorf("workflows are %v, error %v", got, err)
	}
}
