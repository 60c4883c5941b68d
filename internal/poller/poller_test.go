package poller_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
)

// world is a poller among in-memory doubles.
type world struct {
	*poller.Poller
	source *fake.Source
	store  *fake.Jobs
	bus    *fake.Bus
	now    time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{source: &fake.Source{}, store: &fake.Jobs{}, bus: &fake.Bus{},
		now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	w.source.Clock = func() time.Time { return w.now }
	w.Poller = &poller.Poller{
		Source: w.source, Store: w.store, Publisher: w.bus,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now: func() time.Time { return w.now },
	}
	w.Watched, _ = poller.NewFilter("*", "")
	return w
}

// histories are what a workflow's runs are compared with.
func (w *world) histories(workflow string) jobs.Histories {
	h, _ := w.store.Histories(context.Background(), workflow)
	return h
}

// job puts a job into Entity Resolution: started now, and ended now if terminal.
func (w *world) job(workflow, id string, status jobs.Status) {
	j, ok := w.source.Get(jobs.Key{Workflow: workflow, Job: id})
	if !ok {
		j = jobs.Job{Key: jobs.Key{Workflow: workflow, Job: id}, Type: "BATCH"}
	}
	j.Status = status
	if status != jobs.Queued && j.StartTime.IsZero() {
		j.StartTime = w.now
	}
	if status.Terminal() {
		j.EndTime = w.now
	}
	w.source.Put(j)
}

// tick moves the clock on by a minute and sweeps.
func (w *world) tick(t *testing.T) poller.Report {
	t.Helper()
	w.now = w.now.Add(time.Minute)
	report, err := w.Sweep(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if report.Unpublished > 0 && w.bus.Fault == nil {
		t.Errorf("nothing is wrong with the bus, and %d events were left: %+v", report.Unpublished, report)
	}
	return report
}

// published are the events on the bus, as "workflow/job status".
func (w *world) published(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, entry := range w.bus.Taken() {
		all = append(all, line(t, entry))
	}
	return all
}

func line(t *testing.T, entry jobs.Entry) string {
	t.Helper()
	var d event.Detail
	if err := json.Unmarshal([]byte(entry.Detail), &d); err != nil {
		t.Fatal(err)
	}
	if entry.DetailType == event.Summary {
		return fmt.Sprintf("summary of %v", d.Statuses)
	}
	s := fmt.Sprintf("%s/%s %s", d.WorkflowName, d.JobID, d.Status)
	if entry.DetailType == event.Vanished {
		s += " vanished"
	}
	return s
}

// on is a fault of one operation.
func on(op string, err error) func(string) error {
	return func(called string) error {
		if called == op {
			return err
		}
		return nil
	}
}

// live is a record as stored.
func (w *world) live(t *testing.T, workflow, job string) (jobs.Record, bool) {
	t.Helper()
	all, err := w.store.Live(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, ok := all.Records[jobs.Key{Workflow: workflow, Job: job}]
	return r, ok
}

// state is a workflow's state as stored.
func (w *world) state(t *testing.T, workflow string) (jobs.WorkflowState, bool) {
	t.Helper()
	all, err := w.store.Live(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	state, ok := all.Workflows[workflow]
	return state, ok
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("published %q\nwant %q", got, want)
	}
}

func TestEachTransitionIsPublishedOnceInOrder(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "", "")
	w.tick(t)
	w.job("crm", "a", jobs.Queued)
	w.tick(t)
	w.tick(t)
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	w.job("crm", "a", jobs.Succeeded)
	w.tick(t)
	report := w.tick(t)
	expect(t, w.published(t), "crm/a QUEUED", "crm/a RUNNING", "crm/a SUCCEEDED")
	if !report.Complete() {
		t.Errorf("report %+v is not complete", report)
	}
}

func TestIdleTickWritesNothingAndGetsOnlyOpenJobs(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.job("crm", "b", jobs.Queued)
	w.tick(t)
	w.tick(t)
	writes, calls := w.store.Writes(), len(w.source.Calls())
	w.tick(t)
	if n := w.store.Writes() - writes; n != 0 {
		t.Errorf("%d writes", n)
	}
	made := w.source.Calls()[calls:]
	slices.Sort(made)
	if !slices.Equal(made, []string{"Job crm/a", "Job crm/b", "Page crm", "Workflows"}) {
		t.Errorf("calls %q", made)
	}
}

func TestThrottlingEndsTheTickWithoutAnError(t *testing.T) {
	w := newWorld(t)
	for i := range 20 {
		w.job(fmt.Sprintf("wf%02d", i), "a", jobs.Running)
	}
	w.source.Fault = func(call string) error {
		if strings.HasPrefix(call, "Page") {
			return jobs.ErrThrottled
		}
		return nil
	}
	report := w.tick(t)
	if !report.Throttled || report.Complete() || report.Failed != 0 {
		t.Errorf("report %+v", report)
	}
	if n := len(w.source.Calls()); n > 1+16 {
		t.Errorf("%d calls after the first throttling", n)
	}
}

func TestOneFailingWorkflowAmongTenStopsNoOther(t *testing.T) {
	for _, cause := range []error{jobs.ErrDenied, jobs.ErrUnavailable, jobs.ErrRejected} {
		t.Run(cause.Error(), func(t *testing.T) {
			w := newWorld(t)
			for i := range 10 {
				w.job(fmt.Sprintf("wf%d", i), "a", jobs.Running)
			}
			w.source.Fault = on("Page wf3", fmt.Errorf("listing: %w", cause))
			report := w.tick(t)
			if n := len(w.published(t)); n != 9 {
				t.Errorf("%d jobs published, want 9", n)
			}
			if report.Denied+report.Failed != 1 || report.Swept != 9 || len(report.Problems) != 1 {
				t.Errorf("report %+v", report)
			}
			if got, want := report.Complete(), cause == jobs.ErrDenied; got != want {
				t.Errorf("Complete = %v, want %v", got, want)
			}
			w.source.Fault = nil
			w.tick(t)
			if n := len(w.published(t)); n != 10 {
				t.Errorf("%d jobs published in the end, want 10", n)
			}
		})
	}
}

func TestOneJobThatCannotBeReadStopsNoOther(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.job("crm", fmt.Sprint(i), jobs.Queued)
	}
	w.source.Fault = on("Job crm/2", jobs.ErrUnavailable)
	w.tick(t)
	w.tick(t)
	if n := len(w.published(t)); n != 4 {
		t.Errorf("%d jobs published, want 4", n)
	}
	w.source.Fault = nil
	w.tick(t)
	if n := len(w.published(t)); n != 5 {
		t.Errorf("%d jobs published in the end, want 5", n)
	}
}

var errUnreadable = errors.New("the item cannot be read")

func TestUnreadableItemStopsNoOtherAndLosesNothing(t *testing.T) {
	for _, c := range []struct {
		name, item string
		others     []string // what is published while the item cannot be read
	}{
		{"a record", "crm/a", []string{"crm/b FAILED", "web/c FAILED"}},
		{"a state", "crm", []string{"crm/a FAILED", "crm/b FAILED", "web/c FAILED"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			for _, id := range []string{"crm/a", "crm/b", "web/c"} {
				workflow, job, _ := strings.Cut(id, "/")
				w.job(workflow, job, jobs.Queued)
			}
			w.tick(t)
			before := len(w.published(t))
			w.store.Unreadable = map[string]error{c.item: errUnreadable}
			for _, id := range []string{"crm/a", "crm/b", "web/c"} {
				workflow, job, _ := strings.Cut(id, "/")
				w.job(workflow, job, jobs.Failed)
			}
			w.tick(t)
			if report := w.tick(t); report.Failed != 1 || report.Complete() || !strings.Contains(report.Problems[0], errUnreadable.Error()) {
				t.Errorf("report %+v", report)
			}
			got := w.published(t)[before:]
			slices.Sort(got)
			expect(t, got, c.others...)
			w.store.Unreadable = nil
			if report := w.tick(t); !report.Complete() {
				t.Errorf("report %+v", report)
			}
			got = w.published(t)[before:]
			slices.Sort(got)
			expect(t, got, "crm/a FAILED", "crm/b FAILED", "web/c FAILED")
		})
	}
}

func TestWrongClockOfThePollerChangesNothing(t *testing.T) {
	for _, skew := range []time.Duration{-10 * time.Minute, 10 * time.Minute, 24 * time.Hour} {
		w := newWorld(t)
		w.Now = func() time.Time { return w.now.Add(skew) }
		w.job("crm", "old", jobs.Failed)
		w.job("crm", "a", jobs.Running)
		w.tick(t)
		w.now = w.now.Add(time.Second)
		w.job("crm", "a", jobs.Succeeded)
		w.job("crm", "quick", jobs.Failed)
		w.tick(t)
		w.tick(t)
		got := w.published(t)
		slices.Sort(got) // two jobs' events of one tick have no order
		expect(t, got, "crm/a RUNNING", "crm/a SUCCEEDED", "crm/quick FAILED")
	}
}

func TestSweepWithoutTheListOfWorkflowsIsIncomplete(t *testing.T) {
	for _, fault := range []error{jobs.ErrThrottled, jobs.ErrDenied, jobs.ErrUnavailable} {
		w := newWorld(t)
		w.source.Fault = on("Workflows", fault)
		if report := w.tick(t); report.Complete() {
			t.Errorf("%v: %+v", fault, report)
		}
		w.source.Fault = nil
		if report := w.tick(t); !report.Complete() {
			t.Errorf("after %v: %+v", fault, report)
		}
	}
}

func TestOnlyASweepOfEverythingCountsAsHeartbeat(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	var beat float64
	w.Metrics = func(values map[string]float64) { beat = values[poller.SweepsCompleted] }
	for payload, want := range map[string]float64{
		`{}`:                                 1,
		`{"workflowName":"crm"}`:             0,
		`{"workflowName":"crm","jobId":"a"}`: 0,
	} {
		if _, err := w.Handle(t.Context(), json.RawMessage(payload)); err != nil || beat != want {
			t.Errorf("%s: heartbeat %v (%v), want %v", payload, beat, err, want)
		}
	}
}
