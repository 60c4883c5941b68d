package notify_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
)

// logged runs a function with a log and returns the log's lines as
// "message destination reason".
func logged(t *testing.T, n *notify.Notifier, f func()) []string {
	t.Helper()
	var out bytes.Buffer
	n.Log = slog.New(slog.NewJSONHandler(&out, nil))
	f()
	var lines []string
	for line := range strings.Lines(out.String()) {
		var l struct {
			Msg, Destination, Reason, Workflow, Job, Status, TransitionID string
			ReceiveCount                                                  int
			DelaySeconds                                                  *int64
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(l.Msg, "notification") && l.Job != "" && (l.Workflow != "crm" || l.Status != "FAILED" || len(l.TransitionID) != 64 || l.ReceiveCount != 1) {
			t.Errorf("the line lacks something: %s", line)
		}
		if l.Msg == "notification sent" && l.DelaySeconds == nil { // the dashboard shows it
			t.Errorf("the line has no delay: %s", line)
		}
		if !strings.HasPrefix(l.Msg, "notification") {
			l.Reason = ""
		}
		lines = append(lines, strings.TrimSpace(l.Msg+" "+l.Destination+" "+l.Reason))
	}
	return lines
}

// Operators search for these lines.
func TestLogHasOneLinePerDecision(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(w *world)
		body string
		want []string
	}{
		"sent":       {func(*world) {}, body("1", jobs.Failed, 0), []string{"notification sent a"}},
		"filtered":   {func(w *world) { w.Channels[0].Filter = notify.ParseFilter("QUEUED") }, body("1", jobs.Failed, 0), nil},
		"canary":     {func(*world) {}, canary(false), []string{"canary delivered a"}},
		"poison":     {func(*world) {}, "{", []string{"message dead-lettered"}},
		"refused":    {func(w *world) { w.destinations[0].Fault = failing(notify.Refused) }, body("1", jobs.Failed, 0), []string{"notification failed a refused", "message dead-lettered"}},
		"failed":     {func(w *world) { w.destinations[0].Fault = failing(notify.Unavailable) }, body("1", jobs.Failed, 0), []string{"notification failed a unavailable"}},
		"a bug":      {func(w *world) { w.destinations[0].Fault = func(string, notify.Delivery) error { panic("a bug") } }, body("1", jobs.Failed, 0), []string{"panic"}},
		"no queue":   {func(w *world) { w.destinations[0].Fault, w.queue.Fault = failing(notify.Unavailable), failingQueue }, body("1", jobs.Failed, 0), []string{"notification failed a unavailable", "changing message visibility failed"}},
		"no dlq":     {func(w *world) { w.queue.Fault = failingQueue }, "{", []string{"message dead-lettered", "dead-lettering failed", "changing message visibility failed"}},
		"old canary": {func(w *world) { w.destinations[0].Fault = failing(notify.Unavailable) }, wrap(event.EncodeCanary(false, time.Now().Add(-3*time.Hour))), []string{"notification failed a unavailable", "canary expired"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(0, "a")
			c.set(w)
			w.queue.Put(c.body)
			expect(t, logged(t, w.Notifier, func() { w.deliver(t) }), c.want...)
		})
	}
}

func failingQueue(string) error { return &notify.Claimed{} }

func TestLogOfAnOutageNamesWhatFailed(t *testing.T) {
	for fault, want := range map[string]string{
		"RecordOutage":       "recording destination failure failed slack:C1",
		"RecordAnnouncement": "recording outage announcement failed slack:C1",
		"":                   "",
	} {
		slack, _ := twoChannels([]string{"slack:C1"}, []string{"email:a@example.com"})
		slack.destinations[0].Fault = misconfigured("Slack: channel_not_found")
		slack.deliveries.Fault = func(op string) error {
			if op == fault {
				return &notify.Claimed{}
			}
			return nil
		}
		slack.queue.Put(body("1", jobs.Failed, 0))
		var out bytes.Buffer
		slack.Log = slog.New(slog.NewTextHandler(&out, nil))
		slack.deliver(t)
		message, destination, _ := strings.Cut(want, " slack:")
		if log := out.String(); want != "" && (!strings.Contains(log, message) || !strings.Contains(log, "destination=slack:"+destination)) || strings.Contains(log, "panic") ||
			want == "" && strings.Contains(log, "recording") {
			t.Errorf("%s: the log is\n%s", fault, log)
		}
	}
}

func TestLogIsTheDefaultOneIfNoneIsSet(t *testing.T) {
	defer slog.SetDefault(slog.Default())
	var out bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
	w := newWorld(0, "a")
	w.Log = nil
	w.queue.Put(body("1", jobs.Failed, 0))
	w.deliver(t)
	if !strings.Contains(out.String(), "notification sent") {
		t.Errorf("the log is %q", out.String())
	}
}
