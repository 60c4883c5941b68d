package poller_test

import (
	"encoding/json"
	"errors"
	"path"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
)

func FuzzFilter(f *testing.F) {
	for _, include := range []string{"*", "", "prod-*,crm", "[", "a[b-]", "\\", "?", ",,"} {
		f.Add(include, "test-*", "crm")
	}
	f.Fuzz(func(t *testing.T, include, exclude, name string) {
		filter, err := poller.NewFilter(include, exclude)
		if err != nil {
			if !strings.Contains(err.Error(), "WorkflowInclude") && !strings.Contains(err.Error(), "WorkflowExclude") {
				t.Errorf("%q, %q: %v names no setting", include, exclude, err)
			}
			return
		}
		has := filter.Has(name)
		for glob := range strings.SplitSeq(exclude, ",") {
			if matched, _ := path.Match(strings.TrimSpace(glob), name); matched && has && strings.TrimSpace(glob) != "" {
				t.Errorf("%q is watched although %q leaves it out", name, glob)
			}
		}
	})
}

func FuzzHandle(f *testing.F) {
	for _, payload := range []string{`{}`, `null`, `[]`, `"x"`, `{"workflowName":"crm"}`, `{"workflowName":"crm","jobId":"a"}`, `{"jobId":"a"}`, `{"canary":"show"}`, `{"canary":7}`,
		`{"detail":{"eventName":"StartIdMappingJob","requestParameters":{"workflowName":"crm"}}}`, `{"detail":"{}"}`, `{"workflowName":{}}`} {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		w := newWorld(t)
		w.job("crm", "a", jobs.Running)
		report, err := w.Handle(t.Context(), json.RawMessage(payload))
		var in struct {
			WorkflowName, JobID, Canary string
			Detail                      struct{ EventName string }
		}
		unreadable := json.Unmarshal(payload, &in)
		asked := in.WorkflowName != "" || in.JobID != "" || in.Canary != "" || in.Detail.EventName != ""
		wrong, wrongType := errors.AsType[*json.UnmarshalTypeError](unreadable)
		switch {
		case wrongType && !strings.HasPrefix(wrong.Field, "Detail") && wrong.Field != "":
			if err == nil || !strings.Contains(err.Error(), "it must be text") {
				t.Errorf("%q: %+v, %v", payload, report, err)
			}
		case (unreadable != nil || !asked) && (err != nil || !report.Complete()):
			t.Errorf("%q is no sweep of everything: %+v, %v", payload, report, err)
		}
	})
}
