package poller_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
)

// The dashboard counts these lines.
func TestLogHasOneLinePerTransition(t *testing.T) {
	w := daily(t)
	var out bytes.Buffer
	w.Log = slog.New(slog.NewJSONHandler(&out, nil))
	w.Overdue = jobs.OverdueRule{After: time.Hour}
	w.run("empty", jobs.Succeeded, 0, 0) // a finding
	w.tick(t)
	w.run("bad", jobs.Failed, 0, 0)
	w.tick(t)
	w.until(t, w.now.Add(40*time.Hour)) // missing
	w.job("crm", "slow", jobs.Running)
	w.until(t, w.now.Add(2*time.Hour)) // overdue
	var got []string
	for line := range strings.Lines(out.String()) {
		var l struct {
			Msg, Workflow, Status, DetailType string
			Findings                          *int
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l.Msg != "transition" {
			continue
		}
		if l.Workflow != "crm" || l.Findings == nil || (*l.Findings > 0) != (l.Status == "SUCCEEDED") {
			t.Errorf("line %s", line)
		}
		got = append(got, strings.TrimPrefix(l.DetailType, "ID Mapping ")+" "+l.Status)
	}
	expect(t, got, "Job State Change SUCCEEDED", "Job State Change FAILED", "Run Missing ", "Job State Change RUNNING", "Run Resumed ", "Job Overdue RUNNING")
}
