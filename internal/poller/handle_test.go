package poller_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
)

func TestHandleDistinguishesRequests(t *testing.T) {
	trail := `{"version":"0","detail-type":"AWS API Call via CloudTrail","source":"aws.entityresolution",
		"detail":{"eventName":"StartIdMappingJob","requestParameters":{"workflowName":"crm"}}}`
	started := strings.Replace(trail, `"workflowName":"crm"}`, `"workflowName":"crm"},"responseElements":{"jobId":"new"}`, 1)
	tests := []struct {
		name, payload, failure string
		want                   []string
	}{
		{"an empty object", `{}`, "", []string{"Workflows", "Page crm", "Page web", "Tags crm", "Tags web"}},
		{"the scheduler's own payload", `{"version":"0","id":"1","detail-type":"Scheduled Event","source":"aws.scheduler","detail":"{}"}`, "", []string{"Workflows", "Page crm", "Page web", "Tags crm", "Tags web"}},
		{"no object at all", `"tick"`, "", []string{"Workflows", "Page crm", "Page web", "Tags crm", "Tags web"}},
		{"a start in CloudTrail", trail, "", []string{"Workflows", "Page crm", "Tags crm"}},
		{"a start with its job ID in CloudTrail", started, "", []string{"Workflows", "Job crm/new", "Tags crm"}},
		{"a start of a job that cannot be found yet", strings.Replace(started, "new", "later", 1), "", []string{"Workflows", "Job crm/later", "Workflows", "Page crm", "Tags crm"}},
		{"a start that was refused", strings.Replace(trail, `"crm"}`, `"crm"},"responseElements":null,"errorCode":"ThrottlingException"`, 1), "", []string{"Workflows", "Page crm", "Tags crm"}},
		{"a start in a workflow that is not watched, with its job ID", strings.Replace(started, "crm", "secret", 1), "", nil},
		{"Clean Rooms' start in CloudTrail", `{"detail-type":"AWS API Call via CloudTrail","source":"aws.cleanrooms","detail":{"eventName":"PopulateIdMappingTable",
			"requestParameters":{"idMappingTableIdentifier":"1","membershipIdentifier":"2"},"responseElements":{"idMappingJobId":"3"}}}`, "", []string{"Workflows", "Page crm", "Page web", "Tags crm", "Tags web"}},
		{"a workflow", `{"workflowName":"web"}`, "", []string{"Workflows", "Page web", "Tags web"}},
		{"a start of a workflow that is not watched", strings.ReplaceAll(trail, "crm", "secret"), "", nil},
		{"a job", `{"workflowName":"crm","jobId":"x"}`, "not found", []string{"Job crm/x", "Workflows"}},
		{"a job without its workflow", `{"jobId":"x"}`, "workflowName is missing", nil},
		{"a canary", `{"canary":"check"}`, "", nil},
		{"a canary of an unknown kind", `{"canary":"yes"}`, "neither check", nil},
		{"a CloudWatch Logs subscription", logs(t), "", []string{"Workflows", "Page crm", "Page web", "Tags crm", "Tags web"}},
		{"a workflow by ARN", `{"workflowName":"` + fake.ARN("web") + `"}`, "", []string{"Workflows", "Page web", "Tags web"}},
		{"a workflow by URL-encoded ARN", `{"workflowName":"` + url.QueryEscape(fake.ARN("web")) + `"}`, "", []string{"Workflows", "Page web", "Tags web"}},
		{"a start by ARN in CloudTrail", strings.ReplaceAll(trail, `"crm"`, `"`+fake.ARN("crm")+`"`), "", []string{"Workflows", "Page crm", "Tags crm"}},
		{"a start by URL-encoded ARN in CloudTrail", strings.ReplaceAll(trail, `"crm"`, `"`+url.PathEscape(fake.ARN("crm"))+`"`), "", []string{"Workflows", "Page crm", "Tags crm"}},
		{"a job by ARN", `{"workflowName":"` + fake.ARN("crm") + `","jobId":"x"}`, "not found", []string{"Job crm/x", "Workflows"}},
		{"a job ID that is no text", `{"workflowName":"crm","jobId":7}`, "jobId is a number, it must be text", nil},
		{"another schedule's payload that names a workflow", `{"detail":{"eventName":7,"requestParameters":{"workflowName":"crm"}}}`, "", []string{"Workflows", "Page crm", "Page web", "Tags crm", "Tags web"}},
		{"a workflow that is not there", `{"workflowName":"typo"}`, "no ID mapping workflow of that name", []string{"Workflows"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.Watched, _ = poller.NewFilter("*", "secret")
			w.source.Put(jobs.Job{Key: jobs.Key{Workflow: "crm"}})
			w.source.Put(jobs.Job{Key: jobs.Key{Workflow: "web"}})
			if strings.Contains(test.payload, `"new"`) {
				w.source.Put(jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "new"}, Status: jobs.Queued})
			}
			measured := 0
			w.Metrics = func(map[string]float64) { measured++ }
			_, err := w.Handle(t.Context(), json.RawMessage(test.payload))
			if (measured == 0) != (err != nil || strings.Contains(test.payload, "canary")) {
				t.Errorf("measured %d times, error %v", measured, err)
			}
			if test.failure == "" && err != nil || test.failure != "" && (err == nil || !strings.Contains(err.Error(), test.failure)) {
				t.Errorf("error = %v, want %q", err, test.failure)
			}
			calls := w.source.Calls()
			slices.Sort(calls)
			slices.Sort(test.want)
			if !slices.Equal(calls, test.want) {
				t.Errorf("calls %q, want %q", calls, test.want)
			}
		})
	}
}

// logs is what a CloudWatch Logs subscription invokes a function with (CloudWatch Logs
// User Guide, Subscription filters with Lambda), about a workflow log as Entity
// Resolution documents it.
func logs(t *testing.T) string {
	t.Helper()
	message, _ := json.Marshal(map[string]any{"event_type": "JOB_FAILURE", "event_timestamp": 1728562395042, "job_id": "b01eea4678d4423a4b43eeada003f6",
		"workflow_name": "crm", "error_message": "sample error that caused workflow failure"})
	data, err := json.Marshal(map[string]any{"messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/aws/vendedlogs/crm", "logStream": "crm",
		"subscriptionFilters": []string{"poller"}, "logEvents": []map[string]any{{"id": "1", "timestamp": 1728562395042, "message": string(message)}}})
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return `{"awslogs":{"data":"` + base64.StdEncoding.EncodeToString(zipped.Bytes()) + `"}}`
}

func TestOnlyTheScheduleFollowsLikelyEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fastWorld(t)
		w.start("new", jobs.Running)
		for payload, want := range map[string]time.Duration{
			`{}`:    40 * time.Second,
			logs(t): 0,
			`{"detail":{"eventName":"PopulateIdMappingTable"}}`: 0,
			`{"workflowName":"crm"}`:                            0,
		} {
			begin := time.Now()
			if _, err := w.Handle(t.Context(), json.RawMessage(payload)); err != nil || time.Since(begin) != want {
				t.Errorf("%s: %s (%v)", payload, time.Since(begin), err)
			}
		}
	})
}

func TestCanaryThatTheBusRefusesFailsTheInvocation(t *testing.T) {
	w := newWorld(t)
	w.Metrics = func(map[string]float64) { t.Error("a canary counts as real work") }
	handle := func(payload string) (poller.Report, error) {
		w.now = w.now.Add(2 * time.Hour)
		return w.Handle(t.Context(), json.RawMessage(payload))
	}
	w.bus.Fault = func(string, jobs.Entry) error { return errors.New("the bus is down") }
	if _, err := handle(`{"canary":"check"}`); err == nil || !strings.Contains(err.Error(), "the bus is down") {
		t.Errorf("error %v", err)
	}
	w.bus.Fault = nil
	for i, visible := range []bool{false, true} {
		report, err := handle([]string{`{"canary":"check"}`, `{"canary":"show"}`}[i])
		if err != nil || report.Published != 1 {
			t.Fatalf("%+v, %v", report, err)
		}
		taken := w.bus.Taken()[i]
		var d event.Detail
		if err := json.Unmarshal([]byte(taken.Detail), &d); err != nil || taken.DetailType != event.Canary || d.Visible != visible || d.TransitionID != report.Canary || taken.ID != report.Canary {
			t.Errorf("canary %d is %+v, report %+v, %v", i, taken, report, err)
		}
	}
	if n := w.store.Writes(); n != 0 {
		t.Errorf("%d writes", n)
	}
}

func TestFilterAcceptsGlobsAndNamesTheSettingOfAnInvalidOne(t *testing.T) {
	f, err := poller.NewFilter("crm-*, web", "*-test")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"crm-a": true, "web": true, "webshop": false, "crm-test": false, "other": false} {
		if f.Has(name) != want {
			t.Errorf("Has(%q) = %v", name, !want)
		}
	}
	for _, include := range []string{"", " , "} {
		if f, err := poller.NewFilter(include, ","); err != nil || !f.Has("crm") {
			t.Errorf("%q, which names nothing: watches crm = %v, %v", include, f.Has("crm"), err)
		}
	}
	if _, err := poller.NewFilter("*", "[a"); err == nil || !strings.Contains(err.Error(), "WorkflowExclude") {
		t.Errorf("error = %v", err)
	}
}
