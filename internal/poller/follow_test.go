package poller_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
)

func TestJobThatVanishedIsReportedOnceAndNotBeforeTenMinutes(t *testing.T) {
	remove := map[string]jobs.Key{
		"job deleted":      {Workflow: "crm", Job: "a"},
		"workflow deleted": {Workflow: "crm"},
	}
	for name, key := range remove {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.job("crm", "b", jobs.Succeeded)
			w.job("crm", "a", jobs.Running)
			w.tick(t)
			w.source.Remove(key)
			for range 10 {
				w.tick(t)
			}
			expect(t, w.published(t), "crm/a RUNNING")
			for range 5 {
				w.tick(t)
			}
			expect(t, w.published(t), "crm/a RUNNING", "crm/a RUNNING vanished")
		})
	}
}

func TestJobMissedForAMomentIsNotReported(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	a, _ := w.source.Get(jobs.Key{Workflow: "crm", Job: "a"})
	for range 3 { // missed twice, back, and again
		w.source.Remove(a.Key)
		for range 6 {
			w.tick(t)
		}
		w.source.Put(a)
		w.tick(t)
	}
	expect(t, w.published(t), "crm/a RUNNING")
}

func TestJobThatReappearsIsNoLongerMissing(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	w.source.Order = func([]jobs.Job) []jobs.Job { return nil }
	w.source.Fault = on("Job crm/a", jobs.ErrNotFound)
	missing := func() int {
		t.Helper()
		w.tick(t)
		r, _ := w.live(t, "crm", "a")
		return r.Missing.Count
	}
	if n := missing(); n != 1 {
		t.Errorf("missed %d times", n)
	}
	w.source.Fault = nil
	if n := missing(); n != 0 {
		t.Errorf("missed %d times once it was got again", n)
	}
	if before := w.store.Writes(); missing() != 0 || w.store.Writes() != before {
		t.Errorf("%d writes for a job that has not changed", w.store.Writes()-before)
	}
}

func TestRegressionIsIgnoredAndCounted(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	w.job("crm", "a", jobs.Queued)
	if report := w.tick(t); report.Regressions != 1 {
		t.Errorf("regressions = %d", report.Regressions)
	}
	w.job("crm", "a", jobs.Succeeded)
	w.tick(t)
	expect(t, w.published(t), "crm/a RUNNING", "crm/a SUCCEEDED")
}

func TestEndOfAnUnknownStatusIsPublished(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", "PAUSED")
	w.tick(t)
	j, _ := w.source.Get(jobs.Key{Workflow: "crm", Job: "a"})
	j.EndTime = w.now
	w.source.Put(j)
	w.tick(t)
	published := w.bus.Taken()
	expect(t, w.published(t), "crm/a PAUSED", "crm/a PAUSED")
	if published[0].ID == published[1].ID {
		t.Error("both have the same transition ID")
	}
	if r, _ := w.live(t, "crm", "a"); !r.Archived {
		t.Errorf("%+v", r)
	}
}

func TestEventThatTheBusRefusesStaysAndNothingOvertakesIt(t *testing.T) {
	w := newWorld(t)
	down := true
	w.bus.Fault = func(op string, entry jobs.Entry) error {
		if down && op == "Publish" && strings.Contains(entry.Detail, `"jobId":"a"`) {
			return errors.New("InternalFailure")
		}
		return nil
	}
	w.job("crm", "a", jobs.Queued)
	w.job("crm", "b", jobs.Queued)
	w.tick(t)
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	w.job("crm", "a", jobs.Failed)
	report := w.tick(t)
	expect(t, w.published(t), "crm/b QUEUED")
	if report.Unpublished != 3 || report.OldestUnpublished < 120 {
		t.Errorf("report %+v", report)
	}
	down = false
	w.tick(t)
	expect(t, w.published(t), "crm/b QUEUED", "crm/a QUEUED", "crm/a RUNNING", "crm/a FAILED")
}

func TestOutboxIsEmptiedWhileEntityResolutionIsDown(t *testing.T) {
	w := newWorld(t)
	w.bus.Fault = func(op string, _ jobs.Entry) error { return errors.New("InternalFailure") }
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	w.bus.Fault = nil
	w.source.Fault = func(string) error { return jobs.ErrUnavailable }
	w.tick(t)
	expect(t, w.published(t), "crm/a RUNNING")
}

func TestTransitionThatIsNotRecordedIsNotPublished(t *testing.T) {
	for _, fault := range []error{errors.New("throttled"), jobs.ErrConflict} {
		w := newWorld(t)
		w.job("crm", "a", jobs.Running)
		w.store.Fault = on("Save", fault)
		w.tick(t)
		// A conflict with another process is no failure.
		if report := w.tick(t); (report.Failed == 0) != errors.Is(fault, jobs.ErrConflict) {
			t.Errorf("%v: %+v", fault, report)
		}
		expect(t, w.published(t))
		w.store.Fault = nil
		w.tick(t)
		expect(t, w.published(t), "crm/a RUNNING")
	}
}

func TestEventThatTheBusNeverAcceptsIsSetAsideAndTheRestGoesOn(t *testing.T) {
	w := newWorld(t)
	w.bus.Fault = func(op string, entry jobs.Entry) error {
		if op == "Publish" && line(t, entry) == "crm/a RUNNING" {
			return fmt.Errorf("%w: MalformedDetail", jobs.ErrUnpublishable)
		}
		return nil
	}
	w.job("crm", "a", jobs.Running)
	if report := w.tick(t); report.Quarantined != 1 {
		t.Errorf("report %+v", report)
	}
	w.job("crm", "a", jobs.Succeeded)
	w.tick(t)
	expect(t, w.published(t), "crm/a SUCCEEDED")
	if n := len(w.store.Refused()); n != 1 {
		t.Errorf("%d events set aside", n)
	}
}

func TestEventThatCannotBeEncodedIsNotRecorded(t *testing.T) {
	w := newWorld(t)
	state := jobs.WorkflowState{Workflow: "crm", ARN: "not an ARN", Baseline: w.now}
	if err := w.store.SaveWorkflow(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	w.job("crm", "a", jobs.Running)
	w.job("web", "b", jobs.Running)
	if report := w.tick(t); report.Failed != 1 || !strings.Contains(report.Problems[0], `workflow ARN "not an ARN"`) {
		t.Errorf("report %+v", report)
	}
	expect(t, w.published(t), "web/b RUNNING")
	state, _ = w.state(t, "crm")
	state.ARN = fake.ARN("crm")
	if err := w.store.SaveWorkflow(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	w.tick(t)
	expect(t, w.published(t), "web/b RUNNING", "crm/a RUNNING")
}

func TestOutboxOfAWorkflowThatIsNoLongerWatchedIsStillEmptied(t *testing.T) {
	for _, name := range []string{"excluded", "deleted"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			down := true
			w.bus.Fault = func(op string, _ jobs.Entry) error {
				if down && op == "Publish" {
					return errors.New("InternalFailure")
				}
				return nil
			}
			w.job("crm", "a", jobs.Succeeded)
			w.tick(t) // it is watched from here on
			w.now = w.now.Add(time.Second)
			w.job("crm", "b", jobs.Succeeded)
			w.tick(t)
			if name == "excluded" {
				w.Watched, _ = poller.NewFilter("*", "crm")
			} else {
				w.source.Remove(jobs.Key{Workflow: "crm"})
			}
			w.tick(t)
			down = false
			for range 12 {
				w.tick(t)
			}
			expect(t, w.published(t), "crm/b SUCCEEDED")
			if _, live := w.live(t, "crm", "b"); live {
				t.Error("a stub is left behind")
			}
			if state, known := w.state(t, "crm"); known != (name == "excluded") || !state.Baseline.IsZero() {
				t.Errorf("left behind: %+v", state)
			}
		})
	}
}

func TestWorkflowWatchedAgainBeginsAnew(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	w.Watched, _ = poller.NewFilter("*", "crm")
	w.tick(t)
	w.job("crm", "a", jobs.Succeeded)
	w.job("crm", "b", jobs.Failed)
	w.tick(t)
	w.Watched, _ = poller.NewFilter("*", "")
	w.tick(t)
	expect(t, w.published(t), "crm/a RUNNING", "crm/a SUCCEEDED") // a was open; b came and went while it was not watched
}

func TestTrackedJobIsFollowedToItsEndInAWorkflowThatIsNotWatched(t *testing.T) {
	w := newWorld(t)
	w.Watched, _ = poller.NewFilter("other-*", "")
	w.job("crm", "a", jobs.Running)
	w.job("crm", "b", jobs.Running)
	handle := func(payload string) poller.Report {
		t.Helper()
		report, err := w.Handle(t.Context(), json.RawMessage(payload))
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	handle(`{"workflowName":"crm","jobId":"a"}`)
	handle(`{"workflowName":"crm","jobId":"a"}`)
	expect(t, w.published(t), "crm/a RUNNING")
	w.job("crm", "a", jobs.Succeeded)
	w.job("crm", "b", jobs.Succeeded)
	w.tick(t)
	w.tick(t)
	expect(t, w.published(t), "crm/a RUNNING", "crm/a SUCCEEDED")
	w.tick(t)
	if r, live := w.live(t, "crm", "a"); live {
		t.Errorf("left behind: %+v", r)
	}
	handle(`{"workflowName":"crm","jobId":"b"}`) // had finished before it was requested
	expect(t, w.published(t), "crm/a RUNNING", "crm/a SUCCEEDED", "crm/b SUCCEEDED")
}

func TestTrackedJobThatCannotBeReadIsFollowedOnceItCan(t *testing.T) {
	w := newWorld(t)
	w.Watched, _ = poller.NewFilter("other-*", "")
	w.job("crm", "a", jobs.Running)
	if _, err := w.Handle(t.Context(), json.RawMessage(`{"workflowName":"crm","jobId":"a"}`)); err != nil {
		t.Fatal(err)
	}
	w.store.Unreadable = map[string]error{"crm/a": errUnreadable}
	w.job("crm", "a", jobs.Failed)
	if report := w.tick(t); report.Failed != 1 {
		t.Errorf("report %+v", report)
	}
	if _, err := w.Handle(t.Context(), json.RawMessage(`{"workflowName":"crm","jobId":"a"}`)); !errors.Is(err, errUnreadable) {
		t.Errorf("tracking says %v", err)
	}
	w.store.Unreadable = nil
	w.tick(t)
	expect(t, w.published(t), "crm/a RUNNING", "crm/a FAILED")
}
