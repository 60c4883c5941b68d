package poller_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
)

func TestReportCountsWhatATickDid(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Queued)
	w.job("crm", "b", jobs.Queued)
	if r := w.tick(t); r.Workflows != 1 || r.Swept != 1 || r.Transitions != 2 || r.Published != 2 || r.Unpublished != 0 {
		t.Errorf("report %+v", r)
	}
	w.bus.Fault = func(string, jobs.Entry) error { return errors.New("down") }
	w.job("crm", "a", jobs.Running)
	if r := w.tick(t); r.Transitions != 1 || r.Published != 0 || r.Unpublished != 1 || r.OldestUnpublished != 0 {
		t.Errorf("report %+v", r)
	}
	w.job("crm", "a", jobs.Failed)
	r := w.tick(t)
	if r.Transitions != 1 || r.Unpublished != 2 || r.OldestUnpublished != 60 {
		t.Errorf("report %+v", r)
	}
	want := map[string]float64{poller.SweepsCompleted: 1, poller.TransitionsPublished: 0, poller.OldestUnpublishedSeconds: 60,
		poller.WorkflowsFailed: 0, poller.WorkflowsDenied: 0, poller.Throttled: 0, poller.EventsQuarantined: 0}
	for name, value := range r.Values() {
		if want[name] != value {
			t.Errorf("%s = %v, want %v", name, value, want[name])
		}
	}
}

func TestReportCountsATransitionOnceWhileItWaitsInTheOutbox(t *testing.T) {
	w := newWorld(t)
	w.bus.Fault = func(string, jobs.Entry) error { return errors.New("down") }
	for unpublished, status := range []jobs.Status{jobs.Queued, jobs.Running, jobs.Failed} {
		w.job("crm", "a", status)
		if r := w.tick(t); r.Transitions != 1 || r.Unpublished != unpublished+1 {
			t.Errorf("%s: report %+v", status, r)
		}
	}
}

func TestProblemsNameEachWorkflowOnce(t *testing.T) {
	w := newWorld(t)
	for _, job := range []string{"a", "b", "c"} {
		w.job("crm", job, jobs.Running)
	}
	w.tick(t)
	w.source.Fault = func(call string) error {
		if strings.HasPrefix(call, "Job crm/") {
			return jobs.ErrUnavailable
		}
		return nil
	}
	if r := w.tick(t); r.Failed != 1 || len(r.Problems) != 1 || !strings.HasPrefix(r.Problems[0], "sweeping workflow crm: ") {
		t.Errorf("report %+v", r)
	}
}

func TestFailedListOfWorkflowsCountsAsOneFailure(t *testing.T) {
	w := newWorld(t)
	w.source.Fault = on("Workflows", jobs.ErrUnavailable)
	if r := w.tick(t); r.Failed != 1 || len(r.Problems) != 1 || !strings.HasPrefix(r.Problems[0], "listing ID mapping workflows: ") {
		t.Errorf("report %+v", r)
	}
}

func TestFailedWriteIsReported(t *testing.T) {
	broken := errors.New("throttled")
	for op, prepare := range map[string]func(*world){
		"SaveWorkflow": func(w *world) { w.job("new", "a", jobs.Succeeded) },
		"DeleteWorkflow": func(w *world) {
			w.source.Remove(jobs.Key{Workflow: "crm"})
		},
		"Delete": func(w *world) { // a stub of a workflow that is excluded now
			w.job("crm", "x", jobs.Failed)
			w.tickQuietly()
			w.Watched, _ = poller.NewFilter("*", "crm")
		},
	} {
		w := newWorld(t)
		w.job("crm", "", "")
		w.tick(t)
		w.now = w.now.Add(time.Second)
		prepare(w)
		w.store.Fault = on(op, broken)
		for op == "DeleteWorkflow" && w.tick(t).Complete() { // it has to be missing for ten minutes
		}
		if r := w.tick(t); r.Failed != 1 || r.Complete() || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "throttled") {
			t.Errorf("%s: report %+v", op, r)
		}
		w.store.Fault = nil
		if r := w.tick(t); !r.Complete() {
			t.Errorf("%s: report %+v", op, r)
		}
	}
}

func TestStartTimesThatCannotBeAddedAreReadAgain(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Succeeded)
	w.store.Fault = on("AddStarts", errors.New("throttled"))
	if r := w.tick(t); r.Failed != 1 || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "adding start times to its history: throttled") {
		t.Errorf("report %+v", r)
	}
	w.store.Fault = nil
	w.tick(t)
	if h := w.histories("crm"); len(h.Runs.Starts) != 1 {
		t.Errorf("starts %v", h.Runs.Starts)
	}
}

func (w *world) tickQuietly() {
	w.now = w.now.Add(time.Minute)
	_, _ = w.Handle(context.Background(), json.RawMessage(`{}`))
}

func TestUnsavedFilterIsAProblemAndTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "", "")
	w.store.Fault = on("SaveFilter", errors.New("throttled"))
	if r := w.tick(t); len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "saving the filter: throttled") {
		t.Errorf("report %+v", r)
	}
	w.store.Fault = on("SaveFilter", jobs.ErrConflict)
	if r := w.tick(t); len(r.Problems) != 0 {
		t.Errorf("report %+v", r)
	}
	w.store.Fault = nil
	w.tick(t)
	if all, err := w.store.Live(t.Context()); err != nil || all.Filter.Include != "*" || !all.Filter.Since.Equal(w.now) {
		t.Errorf("filter %+v, %v", all.Filter, err)
	}
}

func TestDeletedWorkflowIsForgottenOnceItsJobsHaveVanished(t *testing.T) {
	w := newWorld(t)
	w.job("web", "other", jobs.Running)
	w.job("crm", "done", jobs.Succeeded)
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	w.tick(t)
	w.source.Remove(jobs.Key{Workflow: "crm"})
	for range 10 {
		if r := w.tick(t); !r.Complete() {
			t.Fatalf("report %+v", r)
		}
		if _, known := w.state(t, "crm"); !known {
			t.Fatal("forgotten while a job of it is open")
		}
	}
	for range 3 {
		w.tick(t)
	}
	if state, known := w.state(t, "crm"); known {
		t.Errorf("left behind: %+v", state)
	}
	if all, err := w.store.Live(t.Context()); err != nil || len(all.Records) != 1 {
		t.Errorf("left behind: %+v, %v", all.Records, err)
	}
	if h := w.histories("crm"); len(h.Runs.Starts) != 0 {
		t.Errorf("left behind: %+v", h)
	}
}

func TestExcludedWorkflowThatIsDeletedLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.job("web", "other", jobs.Running)
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	w.Watched, _ = poller.NewFilter("*", "crm")
	w.tick(t)
	if _, live := w.live(t, "crm", "a"); !live {
		t.Fatal("an open job of an excluded workflow is forgotten")
	}
	w.source.Remove(jobs.Key{Workflow: "crm"})
	w.store.Fault = on("Delete", errors.New("throttled"))
	if r := w.tick(t); r.Failed != 1 {
		t.Errorf("report %+v", r)
	}
	w.store.Fault = nil
	w.tick(t)
	if all, err := w.store.Live(t.Context()); err != nil || len(all.Records) != 1 || len(all.Workflows) != 1 {
		t.Errorf("left behind: %+v, %v", all, err)
	}
	if _, live := w.live(t, "web", "other"); !live {
		t.Error("an open job of another workflow is forgotten")
	}
}

func TestTrackedJobLeavesNothingAfterTheTickThatArchivesIt(t *testing.T) {
	w := newWorld(t)
	w.Watched, _ = poller.NewFilter("other-*", "")
	w.job("crm", "a", jobs.Running)
	if _, err := w.Track(t.Context(), jobs.Key{Workflow: "crm", Job: "a"}); err != nil {
		t.Fatal(err)
	}
	w.job("crm", "a", jobs.Succeeded)
	if r := w.tick(t); len(r.Problems) != 0 || r.Published != 1 {
		t.Errorf("report %+v", r)
	}
	if r, live := w.live(t, "crm", "a"); live {
		t.Errorf("left behind: %+v", r)
	}
}

func TestTrackingAnOpenJobOfAnExcludedWorkflowFollowsItToItsEnd(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	w.Watched, _ = poller.NewFilter("*", "crm")
	w.tick(t)
	w.store.Fault = on("Save", errors.New("throttled"))
	if _, err := w.Track(t.Context(), jobs.Key{Workflow: "crm", Job: "a"}); err == nil {
		t.Error("no error although the request could not be recorded")
	}
	w.store.Fault = nil
	if _, err := w.Track(t.Context(), jobs.Key{Workflow: "crm", Job: "a"}); err != nil {
		t.Fatal(err)
	}
	writes := w.store.Writes()
	if _, err := w.Track(t.Context(), jobs.Key{Workflow: "crm", Job: "a"}); err != nil || w.store.Writes() != writes {
		t.Errorf("the same request again: %d writes, %v", w.store.Writes()-writes, err)
	}
	w.job("crm", "a", jobs.Failed)
	w.tick(t)
	expect(t, w.published(t), "crm/a RUNNING", "crm/a FAILED")
}

func TestTrackingAJobThatDoesNotExistRecordsNothing(t *testing.T) {
	w := newWorld(t)
	w.Watched, _ = poller.NewFilter("other-*", "")
	w.job("crm", "", "")
	if _, err := w.Track(t.Context(), jobs.Key{Workflow: "crm", Job: "typo"}); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("error %v", err)
	}
	if n := w.store.Writes(); n != 0 {
		t.Errorf("%d writes", n)
	}
}

func TestSweepOfOneWorkflowReadsNoOther(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.job("web", "b", jobs.Running)
	w.tick(t)
	calls := len(w.source.Calls())
	if _, err := w.SweepWorkflow(t.Context(), "crm"); err != nil {
		t.Fatal(err)
	}
	for _, call := range w.source.Calls()[calls:] {
		if strings.Contains(call, "web") {
			t.Errorf("calls %q", w.source.Calls()[calls:])
		}
	}
}

func TestRowThatIsOutOfDatePublishesNothing(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Succeeded)
	w.tick(t)
	for i := range 3 {
		w.now = w.now.Add(time.Hour)
		w.job("crm", string(rune('b'+i)), jobs.Succeeded)
		w.tick(t)
	}
	before := len(w.published(t))
	w.source.Order = func(rows []jobs.Job) []jobs.Job {
		for i := range rows {
			if rows[i].Job == "a" {
				rows[i].Status, rows[i].EndTime = jobs.Running, time.Time{}
			}
		}
		return rows
	}
	w.tick(t)
	if got := w.published(t); len(got) != before {
		t.Errorf("published %q", got)
	}
}

func TestPollerLogsToItsLoggerOrTheDefault(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, nil))
	for name, prepare := range map[string]func(*world){
		"its own": func(w *world) { w.Log = logger },
		"the default": func(w *world) {
			before := slog.Default()
			t.Cleanup(func() { slog.SetDefault(before) })
			slog.SetDefault(logger)
			w.Log = nil
		},
	} {
		out.Reset()
		w := newWorld(t)
		prepare(w)
		w.job("crm", "a", jobs.Running)
		w.tick(t)
		if !strings.Contains(out.String(), `msg=transition workflow=crm job=a status=RUNNING`) {
			t.Errorf("%s: log %q", name, out.String())
		}
	}
}

func TestFailedReadOfTheLivePartitionFailsTheInvocation(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.store.Fault = on("Live", errors.New("throttled"))
	for _, payload := range []string{`{}`, `{"workflowName":"crm"}`, `{"workflowName":"crm","jobId":"a"}`} {
		if _, err := w.Handle(t.Context(), json.RawMessage(payload)); err == nil || !strings.Contains(err.Error(), "reading the live partition of the jobs table: throttled") {
			t.Errorf("%s: error %v", payload, err)
		}
	}
}
