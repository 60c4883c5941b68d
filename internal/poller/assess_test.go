package poller_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

// assessed is the assessment in the newest event of a job.
func (w *world) assessed(t *testing.T, job string) event.Assessment {
	t.Helper()
	var found *event.Assessment
	for _, entry := range w.bus.Taken() {
		var d event.Detail
		if err := json.Unmarshal([]byte(entry.Detail), &d); err != nil {
			t.Fatal(err)
		}
		if d.JobID == job {
			found = &d.Assessment
		}
	}
	if found == nil {
		t.Fatalf("no event of job %s", job)
	}
	return *found
}

// run puts a finished run of an hour into Entity Resolution that ended some time ago.
func (w *world) run(id string, status jobs.Status, ago time.Duration, mapped int64) {
	end := w.now.Add(-ago)
	j := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: id}, Type: "BATCH", Status: status, StartTime: end.Add(-time.Hour), EndTime: end}
	if status == jobs.Succeeded {
		j.Metrics = jobs.Metrics{jobs.InputRecords: 1000, jobs.TotalRecordsProcessed: 1000, jobs.TotalMappedRecords: mapped}
	} else {
		j.Error = "Access denied"
	}
	w.source.Put(j)
}

// watched is a world whose workflow crm has n earlier successes, all read.
func watched(t *testing.T, n int) *world {
	w := newWorld(t)
	for i := range n {
		w.run(fmt.Sprintf("old%02d", i), jobs.Succeeded, time.Duration(i+1)*24*time.Hour, 800)
	}
	for range 1 + (n+19)/20 {
		w.tick(t)
	}
	return w
}

func TestRunIsComparedWithEarlierRunsWhenItStartsAndWhenItEnds(t *testing.T) {
	w := watched(t, 6)
	w.job("crm", "new", jobs.Running)
	w.tick(t)
	if a := w.assessed(t, "new"); a.ExpectedEnd == nil || a.ExpectedEnd.Runs != 6 || a.ExpectedEnd.At.Sub(w.now) > time.Hour || a.Usual != nil {
		t.Errorf("RUNNING: %+v", a)
	}
	w.run("new", jobs.Succeeded, 0, 400)
	w.tick(t)
	a := w.assessed(t, "new")
	if len(a.Findings) != 1 || a.Findings[0].Code != jobs.MappedLow || len(a.Comparison) != 3 || len(a.Usual) != 3 || a.EarlierRuns != nil {
		t.Errorf("SUCCEEDED: %+v", a)
	}
}

func TestNothingIsComparedUntilTheHistoryIsComplete(t *testing.T) {
	w := newWorld(t)
	for i := range 45 {
		w.run(fmt.Sprintf("old%02d", i), jobs.Succeeded, time.Duration(i+1)*24*time.Hour, 800)
	}
	w.tick(t) // reads 20 of them
	w.now = w.now.Add(time.Minute)
	w.run("new1", jobs.Succeeded, 0, 0)
	w.run("new2", jobs.Failed, 0, 0)
	w.tick(t)
	if a := w.assessed(t, "new1"); len(a.Findings) != 1 || a.Findings[0].Code != jobs.ZeroMapped || a.Findings[0].Low != nil || a.Usual != nil || a.Comparison != nil || a.EarlierRuns != nil {
		t.Errorf("a success: %+v", a)
	}
	if a := w.assessed(t, "new2"); a.Streak != nil || a.LastSuccess != nil {
		t.Errorf("a failure: %+v", a)
	}
	w.tick(t)
	w.run("new3", jobs.Succeeded, 0, 0)
	w.tick(t)
	if a := w.assessed(t, "new3"); len(a.Findings) != 1 || a.Findings[0].Low == nil || a.Usual == nil || a.Recovery == nil {
		t.Errorf("after the history was read: %+v", a)
	}
}

func TestFewEarlierRunsAreCounted(t *testing.T) {
	w := watched(t, 2)
	w.run("new", jobs.Succeeded, 0, 800)
	w.tick(t)
	if a := w.assessed(t, "new"); a.EarlierRuns == nil || *a.EarlierRuns != 2 || a.Usual != nil {
		t.Errorf("%+v", a)
	}
}

func TestFailuresInARowAreCountedAndEnded(t *testing.T) {
	w := watched(t, 6)
	w.now = w.now.Add(time.Hour)
	w.run("bad1", jobs.Failed, 2*time.Minute, 0)
	w.run("bad2", jobs.Failed, time.Minute, 0) // in the same tick, before the first is archived
	w.tick(t)
	if a := w.assessed(t, "bad2"); a.Streak == nil || a.Streak.FirstJobID != "bad1" || a.LastSuccess == nil || a.LastSuccess.JobID != "old00" {
		t.Errorf("the second: %+v", a)
	}
	w.now = w.now.Add(time.Hour)
	w.run("bad3", jobs.Failed, 0, 0)
	w.tick(t)
	if a := w.assessed(t, "bad3"); a.Streak == nil || a.Streak.Failures != 3 || !a.Streak.SameCategory || !a.Streak.Repeated || a.Streak.FirstJobID != "bad1" {
		t.Errorf("the third: %+v", a.Streak)
	}
	w.now = w.now.Add(2 * time.Hour)
	w.run("good", jobs.Succeeded, 0, 800)
	w.tick(t)
	if a := w.assessed(t, "good"); a.Recovery == nil || a.Recovery.Failures != 3 || a.Recovery.FirstJobID != "bad1" || a.Recovery.LastJobID != "bad3" {
		t.Errorf("the recovery: %+v", a.Recovery)
	}
	w.now = w.now.Add(2 * time.Hour)
	w.run("good2", jobs.Succeeded, 0, 800)
	w.tick(t)
	if a := w.assessed(t, "good2"); a.Recovery != nil {
		t.Errorf("the next success: %+v", a.Recovery)
	}
}

func TestRunsOfOneTickAreComparedInTheirOrder(t *testing.T) {
	for range 20 { // jobs are read in a random order
		w := watched(t, 6)
		w.now = w.now.Add(3 * time.Hour)
		for _, id := range []string{"b", "a"} { // a is the newer one
			w.job("crm", id, jobs.Queued)
		}
		w.tick(t)
		w.now = w.now.Add(time.Hour)
		w.run("b", jobs.Failed, 2*time.Minute, 0)
		w.run("a", jobs.Succeeded, time.Minute, 800)
		w.tick(t)
		if a := w.assessed(t, "a"); a.Recovery == nil || a.Recovery.Failures != 1 || a.Recovery.FirstJobID != "b" {
			t.Fatalf("the recovery: %+v", a.Recovery)
		}
	}
}

func TestQueuedJobNamesTheRunningOne(t *testing.T) {
	w := watched(t, 6)
	w.job("ads", "first", jobs.Running)
	w.tick(t)
	w.job("crm", "waits", jobs.Queued)
	w.tick(t)
	if a := w.assessed(t, "waits"); a.WaitsFor == nil || *a.WaitsFor != (event.WaitsFor{WorkflowName: "ads", JobID: "first"}) {
		t.Errorf("waits for %+v", a.WaitsFor)
	}
	w.job("ads", "first", jobs.Succeeded)
	w.job("crm", "waits", jobs.Running)
	j, _ := w.source.Get(jobs.Key{Workflow: "crm", Job: "waits"})
	j.StartTime = w.now.Add(-3 * time.Hour) // the time of the request
	w.source.Put(j)
	w.tick(t)
	if a := w.assessed(t, "waits"); a.ExpectedEnd == nil || !a.ExpectedEnd.At.Equal(w.now.Add(time.Hour)) {
		t.Errorf("expected end %+v, observed at %s", a.ExpectedEnd, w.now)
	}
}

// A status must not wait for a comparison.
func TestHistoryThatCannotBeReadDelaysNoStatus(t *testing.T) {
	w := watched(t, 6)
	w.store.Fault = on("Histories", errors.New("the item is damaged"))
	w.run("new", jobs.Succeeded, 0, 400)
	report := w.tick(t)
	if a := w.assessed(t, "new"); a.Usual != nil || a.Findings != nil || report.Published != 1 || len(report.Problems) == 0 || report.Failed != 0 {
		t.Errorf("%+v in %+v", a, report)
	}
}

func TestIdleTickReadsNoHistory(t *testing.T) {
	w := watched(t, 6)
	w.job("crm", "open", jobs.Running)
	w.tick(t)
	w.store.Fault = on("Histories", errors.New("read"))
	for range 3 {
		if report := w.tick(t); len(report.Problems) != 0 {
			t.Errorf("problems %q", report.Problems)
		}
	}
}
