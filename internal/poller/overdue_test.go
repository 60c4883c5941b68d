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

// overdue are the events about overdue jobs.
func (w *world) overdue(t *testing.T) []event.Detail {
	t.Helper()
	var all []event.Detail
	for _, entry := range w.bus.Taken() {
		var d event.Detail
		if err := json.Unmarshal([]byte(entry.Detail), &d); err != nil {
			t.Fatal(err)
		}
		if entry.DetailType == event.Overdue {
			all = append(all, d)
		}
	}
	return all
}

// after ticks once a while later.
func (w *world) after(t *testing.T, d time.Duration) poller.Report {
	t.Helper()
	w.now = w.now.Add(d - time.Minute)
	return w.tick(t)
}

func TestOverdueJobIsReportedOnceAndItsEndSaysSo(t *testing.T) {
	w := watched(t, 6) // each took an hour: overdue after two and a half
	w.job("crm", "slow", jobs.Running)
	start := w.now
	w.tick(t)
	w.job("ads", "behind", jobs.Queued)
	w.after(t, 2*time.Hour+29*time.Minute-time.Minute)
	if n := len(w.overdue(t)); n != 0 {
		t.Fatalf("%d events after %s", n, w.now.Sub(start))
	}
	for range 3 {
		w.tick(t)
	}
	all := w.overdue(t)
	if len(all) != 1 {
		t.Fatalf("%d events", len(all))
	}
	d := all[0]
	if !d.Since.Equal(start.Add(150*time.Minute)) || d.Usual[jobs.MeasureDuration].Runs != 6 || d.ExpectedEnd == nil || d.Status != jobs.Running ||
		!slices.Equal(d.Waiting, []event.WaitsFor{{WorkflowName: "ads", JobID: "behind"}}) {
		t.Errorf("%+v", d)
	}
	w.job("crm", "slow", jobs.Succeeded)
	w.tick(t)
	if a := w.assessed(t, "slow"); a.Overdue == nil || !a.Overdue.Since.Equal(d.Since) {
		t.Errorf("the end: %+v", a.Overdue)
	}
}

func TestOverdueRuleIsLearnedSetOrOff(t *testing.T) {
	for _, c := range []struct {
		name    string
		rule    jobs.OverdueRule
		earlier int
		want    time.Duration // after the start; 0 is never
	}{
		{"learned", jobs.OverdueRule{}, 6, 150 * time.Minute},
		{"nothing learned yet", jobs.OverdueRule{}, 0, 24 * time.Hour},
		{"set", jobs.OverdueRule{After: 20 * time.Minute}, 6, 20 * time.Minute},
		{"off", jobs.OverdueRule{Off: true}, 6, 0},
	} {
		w := watched(t, c.earlier)
		w.Overdue = c.rule
		w.job("crm", "slow", jobs.Running)
		start := w.now
		for w.tick(t); w.now.Sub(start) < 25*time.Hour && len(w.overdue(t)) == 0; {
			w.tick(t)
		}
		got := time.Duration(0)
		if all := w.overdue(t); len(all) > 0 {
			got = all[0].Since.Sub(start)
		}
		if got != c.want {
			t.Errorf("%s: overdue after %s, want %s", c.name, got, c.want)
		}
	}
}

func TestQueuedJobIsOverdueOnlyWhenNothingElseCanRun(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   func(*world)
		want  int
		other jobs.Status // of another job
	}{
		{"alone", nil, 1, ""},
		{"behind a running job", nil, 0, jobs.Running},
		{"behind a queued job", nil, 1, jobs.Queued},
		{"with workflows that are not watched", func(w *world) { w.Watched, _ = poller.NewFilter("crm,ads", "") }, 0, ""},
		{"with a workflow that is denied", func(w *world) {
			w.source.Fault = func(op string) error {
				if op == "Page ads" {
					return jobs.ErrDenied
				}
				return nil
			}
		}, 0, ""},
	} {
		w := watched(t, 6)
		w.Overdue = jobs.OverdueRule{After: time.Hour}
		w.source.Put(jobs.Job{Key: jobs.Key{Workflow: "ads"}})
		w.tick(t)
		w.job("crm", "waits", jobs.Queued)
		j, _ := w.source.Get(jobs.Key{Workflow: "crm", Job: "waits"})
		j.StartTime = w.now // of the request
		w.source.Put(j)
		if c.other != "" {
			w.job("ads", "other", c.other)
		}
		if c.set != nil {
			c.set(w)
		}
		w.tick(t)
		w.after(t, 2*time.Hour)
		got := 0
		for _, d := range w.overdue(t) {
			if d.JobID == "waits" {
				got++
			}
		}
		if got != c.want {
			t.Errorf("%s: %d events, want %d", c.name, got, c.want)
		}
	}
}

func TestJobThatWasQueuedIsTimedFromItsFirstRunning(t *testing.T) {
	w := watched(t, 6)
	w.job("ads", "first", jobs.Running)
	w.job("crm", "waits", jobs.Queued)
	w.tick(t)
	w.after(t, 10*time.Hour)
	w.job("ads", "first", jobs.Succeeded)
	w.job("crm", "waits", jobs.Running)
	w.tick(t)
	began := w.now
	w.after(t, 149*time.Minute)
	if n := len(w.overdue(t)); n != 0 {
		t.Fatalf("%d events after %s", n, w.now.Sub(began))
	}
	w.tick(t)
	if all := w.overdue(t); len(all) != 1 || !all[0].Since.Equal(began.Add(150*time.Minute)) {
		t.Errorf("%+v, running since %s", all, began)
	}
}

// A job that this tick could not read may have ended.
func TestJobThatCannotBeReadIsNotReportedOverdue(t *testing.T) {
	w := watched(t, 6)
	w.job("crm", "slow", jobs.Running)
	w.tick(t)
	w.source.Fault = on("Job crm/slow", jobs.ErrThrottled)
	w.after(t, 5*time.Hour)
	if n := len(w.overdue(t)); n != 0 {
		t.Errorf("%d events", n)
	}
	w.source.Fault = nil
	w.job("crm", "slow", jobs.Succeeded)
	w.tick(t)
	if n := len(w.overdue(t)); n != 0 {
		t.Errorf("%d events after its end", n)
	}
}

func TestOpenJobIsTimedAnewWhenTheHistoryIsComplete(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "slow", jobs.Running)
	for i := range 45 {
		w.run("old"+string(rune('a'+i%26))+string(rune('a'+i/26)), jobs.Succeeded, time.Duration(i+1)*24*time.Hour, 800)
	}
	w.tick(t)
	first, _ := w.live(t, "crm", "slow")
	for range 4 {
		w.tick(t)
	}
	then, _ := w.live(t, "crm", "slow")
	if !first.OverdueAt.Equal(first.Job.StartTime.Add(24*time.Hour)) || !then.OverdueAt.Equal(then.Job.StartTime.Add(150*time.Minute)) {
		t.Errorf("overdue %s after the start, then %s", first.OverdueAt.Sub(first.Job.StartTime), then.OverdueAt.Sub(then.Job.StartTime))
	}
}

// After a pause, the list shows the open job first and the successes on a later page.
func TestOpenJobIsComparedWithRunsOnLaterPagesOfItsList(t *testing.T) {
	w := watched(t, 1)
	w.now = w.now.Add(10 * 24 * time.Hour)
	for i := range 10 {
		w.run(fmt.Sprintf("success%d", i), jobs.Succeeded, time.Duration(100+i)*time.Hour, 800)
	}
	for i := range 40 {
		w.run(fmt.Sprintf("failure%02d", i), jobs.Failed, time.Duration(1+i)*time.Hour, 0)
	}
	w.job("crm", "slow", jobs.Running)
	w.tick(t)
	if r, _ := w.live(t, "crm", "slow"); !r.OverdueAt.Equal(r.Job.StartTime.Add(150 * time.Minute)) {
		t.Errorf("overdue %s after the start", r.OverdueAt.Sub(r.Job.StartTime))
	}
}

func TestOverdueEventThatTheBusRefusesIsPublishedLater(t *testing.T) {
	w := watched(t, 6)
	w.job("crm", "slow", jobs.Running)
	w.tick(t)
	w.bus.Fault = func(string, jobs.Entry) error { return errors.New("down") }
	w.after(t, 5*time.Hour)
	w.bus.Fault = nil
	w.tick(t)
	w.tick(t)
	if n := len(w.overdue(t)); n != 1 {
		t.Errorf("%d events", n)
	}
}

func TestOverdueTimeIsComputedOnceTheHistoryCanBeRead(t *testing.T) {
	w := watched(t, 6)
	w.store.Fault = on("Histories", errors.New("the item is damaged"))
	w.job("crm", "slow", jobs.Running)
	start := w.now
	w.tick(t)
	w.tick(t)
	w.store.Fault = nil
	w.tick(t)
	if r, _ := w.live(t, "crm", "slow"); !r.OverdueAt.Equal(start.Add(150*time.Minute)) || len(r.LikelyEnd) != 2 {
		t.Errorf("%+v", r.OpenTimes)
	}
	writes := w.store.Writes()
	w.tick(t)
	if n := w.store.Writes() - writes; n != 0 {
		t.Errorf("%d writes", n)
	}
}

// What a tick knows of a job that another poller has written since says nothing.
func TestJobThatAnotherPollerHasWrittenIsNotReportedOverdue(t *testing.T) {
	w := watched(t, 6)
	w.job("crm", "slow", jobs.Running)
	w.tick(t)
	w.job("crm", "slow", jobs.Failed)
	conflicts := 0
	w.store.Fault = func(op string) error {
		if op == "Save" && conflicts == 0 {
			conflicts++
			return jobs.ErrConflict
		}
		return nil
	}
	w.after(t, 3*time.Hour)
	if n := len(w.overdue(t)); n != 0 || conflicts != 1 {
		t.Errorf("%d events, %d conflicts", n, conflicts)
	}
}
