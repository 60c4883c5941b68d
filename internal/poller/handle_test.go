package poller_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
)

func TestHandleDistinguishesRequests(t *testing.T) {
	trail := `{"version":"0","detail-type":"AWS API Call via CloudTrail","source":"aws.entityresolution",
		"detail":{"eventName":"StartIdMappingJob","requestParameters":{"workflowName":"crm"}}}`
	tests := []struct {
		name, payload, failure string
		want                   []string
	}{
		{"an empty object", `{}`, "", []string{"Workflows", "Page crm", "Page web"}},
		{"the scheduler's own payload", `{"version":"0","id":"1","detail-type":"Scheduled Event","source":"aws.scheduler","detail":"{}"}`, "", []string{"Workflows", "Page crm", "Page web"}},
		{"no object at all", `"tick"`, "", []string{"Workflows", "Page crm", "Page web"}},
		{"a start in CloudTrail", trail, "", []string{"Workflows", "Page crm"}},
		{"a workflow", `{"workflowName":"web"}`, "", []string{"Workflows", "Page web"}},
		{"a start of a workflow that is not watched", strings.ReplaceAll(trail, "crm", "secret"), "", nil},
		{"a job", `{"workflowName":"crm","jobId":"x"}`, "not found", []string{"Job crm/x", "Workflows"}},
		{"a job without its workflow", `{"jobId":"x"}`, "workflowName is missing", nil},
		{"a canary", `{"canary":"check"}`, "", nil},
		{"a canary of an unknown kind", `{"canary":"yes"}`, "neither check", nil},
		{"a CloudWatch Logs subscription", `{"awslogs":{"data":"H4sIAAAAAAAA"}}`, "", []string{"Workflows", "Page crm", "Page web"}},
		{"a workflow by ARN", `{"workflowName":"` + fake.ARN("web") + `"}`, "", []string{"Workflows", "Page web"}},
		{"a workflow by URL-encoded ARN", `{"workflowName":"` + url.QueryEscape(fake.ARN("web")) + `"}`, "", []string{"Workflows", "Page web"}},
		{"a start by ARN in CloudTrail", strings.ReplaceAll(trail, `"crm"`, `"`+fake.ARN("crm")+`"`), "", []string{"Workflows", "Page crm"}},
		{"a start by URL-encoded ARN in CloudTrail", strings.ReplaceAll(trail, `"crm"`, `"`+url.PathEscape(fake.ARN("crm"))+`"`), "", []string{"Workflows", "Page crm"}},
		{"a job by ARN", `{"workflowName":"` + fake.ARN("crm") + `","jobId":"x"}`, "not found", []string{"Job crm/x", "Workflows"}},
		{"a job ID that is no text", `{"workflowName":"crm","jobId":7}`, "jobId is a number, it must be text", nil},
		{"another schedule's payload that names a workflow", `{"detail":{"eventName":7,"requestParameters":{"workflowName":"crm"}}}`, "", []string{"Workflows", "Page crm", "Page web"}},
		{"a workflow that is not there", `{"workflowName":"typo"}`, "no ID mapping workflow of that name", []string{"Workflows"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.Watched, _ = poller.NewFilter("*", "secret")
			w.source.Put(jobs.Job{Key: jobs.Key{Workflow: "crm"}})
			w.source.Put(jobs.Job{Key: jobs.Key{Workflow: "web"}})
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
