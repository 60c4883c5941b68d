package poller_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
)

// daily is a world whose workflow crm has run every day for 40 days. Its next run
// should start in an hour; it is missing two and a half hours from now.
func daily(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	for i := range 40 {
		w.run(fmt.Sprintf("old%02d", i), jobs.Succeeded, time.Duration(i+1)*24*time.Hour-2*time.Hour, 800)
	}
	for range 3 {
		w.tick(t)
	}
	return w
}

// runs are the events about the timetable of workflows.
func (w *world) runs(t *testing.T) []event.Event {
	t.Helper()
	var all []event.Event
	for _, entry := range w.bus.Taken() {
		if entry.DetailType != event.RunMissing && entry.DetailType != event.RunResumed {
			continue
		}
		e := event.Event{DetailType: entry.DetailType, Time: entry.Time}
		if err := json.Unmarshal([]byte(entry.Detail), &e.Detail); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// until ticks every ten minutes until the given time after the world's beginning.
func (w *world) until(t *testing.T, at time.Time) {
	t.Helper()
	for w.now.Before(at) {
		w.after(t, min(10*time.Minute, at.Sub(w.now)))
	}
}

func TestMissingRunIsReportedOnceAndSoIsItsStart(t *testing.T) {
	w := daily(t)
	expected := w.now.Truncate(time.Hour).Add(time.Hour)
	w.until(t, expected.Add(89*time.Minute))
	if all := w.runs(t); len(all) != 0 {
		t.Fatalf("before it is missing: %+v", all)
	}
	w.until(t, expected.Add(50*time.Hour))
	all := w.runs(t)
	if len(all) != 1 || all[0].DetailType != event.RunMissing {
		t.Fatalf("events %+v", all)
	}
	d := all[0].Detail
	by := expected.Add(90 * time.Minute)
	want := event.ExpectedStart{At: expected, By: by, Kept: 19, Of: 19}
	last := event.LastRun{JobID: "old00", StartTime: expected.Add(-24 * time.Hour), Status: jobs.Succeeded}
	if *d.ExpectedStart != want || *d.LastRun != last || d.JobID != "" || d.Status != "" || !all[0].Time.Equal(by) || d.ObservedAt.Before(by) || d.ObservedAt.Sub(by) > 10*time.Minute {
		t.Errorf("missing at %s: %+v, expected %+v, last %+v", all[0].Time, d, *d.ExpectedStart, *d.LastRun)
	}
	w.job("crm", "late", jobs.Running)
	start := w.now
	w.tick(t)
	w.job("crm", "late", jobs.Failed)
	w.until(t, start.Add(3*time.Hour))
	all = w.runs(t)
	if len(all) != 2 || all[1].DetailType != event.RunResumed {
		t.Fatalf("events %+v", all)
	}
	d = all[1].Detail
	if d.JobID != "late" || !d.StartTime.Equal(start) || !all[1].Time.Equal(start) || *d.ExpectedStart != want || *d.LastRun != last {
		t.Errorf("resumed: %+v", d)
	}
}

func TestRunIsNotMissing(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*world)
	}{
		{"while a job is open", func(w *world) { w.job("crm", "waits", jobs.Queued) }},
		{"when it started and failed at once", func(w *world) {
			w.now = w.now.Add(time.Hour)
			w.job("crm", "quick", jobs.Failed)
		}},
		{"for a poller whose clock is ahead", func(w *world) {
			w.now = w.now.Add(-3 * time.Hour) // not missing until the end of this test
			w.Now = func() time.Time { return w.now.Add(48 * time.Hour) }
		}},
		{"while its list cannot be read", func(w *world) { w.source.Fault = on("Page crm", jobs.ErrDenied) }},
		{"while ticks are throttled", func(w *world) { w.source.Fault = on("Page crm", jobs.ErrThrottled) }},
		{"while a row of its list cannot be read", func(w *world) {
			w.job("crm", "new", jobs.Running)
			w.source.Fault = on("Job crm/new", jobs.ErrUnavailable)
		}},
		{"when no run is expected", func(w *world) { w.ExpectNoRuns = true }},
		{"once its workflow is deleted", func(w *world) { w.source.Remove(jobs.Key{Workflow: "crm"}) }},
		{"once its workflow is excluded", func(w *world) { w.Watched, _ = poller.NewFilter("*", "crm") }},
	} {
		w := daily(t)
		c.set(w)
		for end := w.now.Add(5 * time.Hour); w.now.Before(end); w.now = w.now.Add(10 * time.Minute) {
			_, _ = w.Sweep(t.Context())
		}
		if all := w.runs(t); len(all) != 0 {
			t.Errorf("%s: %+v", c.name, all[0].Detail)
		}
	}
}

func TestPauseRaisesNoFalseAlarm(t *testing.T) {
	for _, c := range []struct {
		name    string
		pause   time.Duration
		started []time.Duration // runs in the pause
		want    int
	}{
		{"everything ran", 7 * 24 * time.Hour, []time.Duration{1, 25, 49, 73, 97, 121, 145}, 0},
		{"one run was left out", 3 * 24 * time.Hour, []time.Duration{1, 49}, 0},
		{"the last run was left out", 3 * 24 * time.Hour, []time.Duration{1, 25}, 1},
		{"nothing has run for too long", 9 * 24 * time.Hour, nil, 0},
	} {
		w := daily(t)
		begin := w.now.Truncate(time.Hour)
		for i, at := range c.started {
			end := begin.Add(at*time.Hour + 30*time.Minute)
			w.source.Put(jobs.Job{Key: jobs.Key{Workflow: "crm", Job: fmt.Sprintf("paused%d", i)}, Type: "BATCH", Status: jobs.Succeeded, StartTime: begin.Add(at * time.Hour), EndTime: end})
		}
		w.now = begin.Add(c.pause)
		w.until(t, w.now.Add(30*time.Minute))
		if all := w.runs(t); len(all) != c.want {
			t.Errorf("%s: %d events, want %d: %+v", c.name, len(all), c.want, all)
		}
	}
}

func TestRunThatWasMissingBeforeTheWatchIsNoNews(t *testing.T) {
	w := newWorld(t)
	for i := range 40 {
		w.run(fmt.Sprintf("old%02d", i), jobs.Succeeded, time.Duration(i+2)*24*time.Hour, 800)
	}
	w.until(t, w.now.Add(30*time.Hour))
	w.job("crm", "again", jobs.Succeeded)
	w.until(t, w.now.Add(time.Hour))
	if all := w.runs(t); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	if state, _ := w.state(t, "crm"); state.Timetable == nil || state.Timetable.Missing != nil {
		t.Errorf("state %+v", state.Timetable)
	}
}

func TestExpectationsTurnedOnAgainBeginAnew(t *testing.T) {
	w := daily(t)
	w.ExpectNoRuns = true
	w.until(t, w.now.Add(5*time.Hour))
	if state, _ := w.state(t, "crm"); state.Timetable != nil {
		t.Errorf("turned off: %+v", state.Timetable)
	}
	w.ExpectNoRuns = false
	w.until(t, w.now.Add(time.Hour))
	if all := w.runs(t); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

func TestMissingRunNamesALastRunThatVanished(t *testing.T) {
	w := daily(t)
	w.now = w.now.Add(-2 * time.Hour)
	w.job("crm", "gone", jobs.Running)
	w.tick(t)
	w.source.Remove(jobs.Key{Workflow: "crm", Job: "gone"})
	w.until(t, w.now.Add(30*time.Hour))
	all := w.runs(t)
	if len(all) != 1 || all[0].Detail.LastRun.JobID != "gone" || all[0].Detail.LastRun.Status != jobs.Vanished {
		t.Fatalf("%+v", all)
	}
}

func TestEventAboutARunWaitsForTheBus(t *testing.T) {
	w := daily(t)
	w.bus.Fault = func(string, jobs.Entry) error { return errors.New("the bus is down") }
	w.until(t, w.now.Add(4*time.Hour))
	report := w.tick(t)
	if report.Unpublished != 1 || report.OldestUnpublished < 3600 || len(w.runs(t)) != 0 {
		t.Fatalf("report %+v", report)
	}
	w.Watched, _ = poller.NewFilter("*", "crm") // what was recorded is published
	w.bus.Fault = nil
	w.tick(t)
	w.tick(t)
	if n := len(w.runs(t)); n != 1 {
		t.Errorf("%d events", n)
	}
	if state, _ := w.state(t, "crm"); len(state.Outbox) != 0 || state.Timetable != nil {
		t.Errorf("state %+v", state)
	}
}

func TestEventAboutARunThatTheBusNeverAcceptsIsSetAside(t *testing.T) {
	w := daily(t)
	w.bus.Fault = func(string, jobs.Entry) error { return jobs.ErrUnpublishable }
	var quarantined int
	for end := w.now.Add(4 * time.Hour); w.now.Before(end); {
		quarantined += w.after(t, 10*time.Minute).Quarantined
	}
	if quarantined != 1 {
		t.Errorf("%d quarantined", quarantined)
	}
}

func TestMissingRunIsRecordedOnceThroughFailingWrites(t *testing.T) {
	for _, op := range []string{"SaveWorkflow", "SaveWorkflow/done", "Histories"} {
		w := daily(t)
		var failed int
		w.store.Fault = func(called string) error {
			if called == op && failed < 3 {
				failed++
				return errors.New("unavailable")
			}
			return nil
		}
		for end := w.now.Add(6 * time.Hour); w.now.Before(end); {
			w.now = w.now.Add(10 * time.Minute)
			if _, err := w.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		var ids []string
		for _, e := range w.runs(t) {
			ids = append(ids, e.Detail.TransitionID)
		}
		if ids = slices.Compact(ids); len(ids) != 1 || op != "Histories" && failed == 0 {
			t.Errorf("%s failed %d times: %d events", op, failed, len(ids))
		}
	}
}

func TestIdleTickOfATimetableReadsAndWritesNothing(t *testing.T) {
	w := daily(t)
	w.tick(t)
	for _, moment := range []string{"before it is missing", "after it was reported"} {
		writes := w.store.Writes()
		w.store.Fault = on("Histories", errors.New("read"))
		for range 3 {
			if report := w.tick(t); len(report.Problems) != 0 {
				t.Errorf("%s: problems %q", moment, report.Problems)
			}
		}
		if n := w.store.Writes() - writes; n != 0 {
			t.Errorf("%s: %d writes", moment, n)
		}
		w.store.Fault = nil
		w.until(t, w.now.Add(4*time.Hour))
	}
}
