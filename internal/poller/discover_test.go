package poller_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
)

func TestInstallationPublishesNothingThatFinishedBefore(t *testing.T) {
	w := newWorld(t)
	for i := range 10_000 {
		w.job("crm", fmt.Sprintf("old-%05d", i), jobs.Succeeded)
		w.now = w.now.Add(5 * time.Minute)
	}
	w.job("crm", "now", jobs.Running)
	for range 5 {
		w.tick(t)
	}
	expect(t, w.published(t), "crm/now RUNNING")
	calls := len(w.source.Calls())
	w.tick(t)
	if n := len(w.source.Calls()) - calls; n != 3 {
		t.Errorf("a later tick makes %d calls, want 3", n)
	}
}

func TestListTooLongForOneTickIsReadInSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 6000 {
			w.job("crm", fmt.Sprintf("old-%04d", i), jobs.Failed)
		}
		w.job("crm", "open", jobs.Running)
		w.source.Order = backwards // the open job comes last
		w.source.Fault = func(string) error { time.Sleep(time.Second / 2); return nil }
		unfinished := 0
		for range 8 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
			w.now = w.now.Add(time.Minute)
			report, err := w.Sweep(ctx)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			if state, _ := w.state(t, "crm"); state.Cursor.Token != "" {
				unfinished++
			}
			if report.Late {
				t.Errorf("report %+v", report)
			}
		}
		if unfinished < 2 {
			t.Fatalf("%d unfinished ticks: the list was not too long", unfinished)
		}
		expect(t, w.published(t), "crm/open RUNNING")
	})
}

func TestTickThatEndsWithinTheFirstPageLosesNoneOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Now = nil
		w.source.Clock = func() time.Time { return time.Now().UTC() }
		w.source.Put(jobs.Job{Key: jobs.Key{Workflow: "crm"}})
		sweep := func(within time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			if _, err := w.Sweep(ctx); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		sweep(time.Minute)
		for i := range 20 { // no tick for two hours
			now := time.Now().UTC()
			w.source.Put(jobs.Job{Key: jobs.Key{Workflow: "crm", Job: fmt.Sprintf("%02d", i)}, Status: jobs.Failed, StartTime: now, EndTime: now.Add(time.Minute)})
			time.Sleep(6 * time.Minute)
		}
		w.source.Fault = func(string) error { time.Sleep(5 * time.Second); return nil }
		for range 6 {
			sweep(50 * time.Second)
		}
		w.source.Fault = nil
		sweep(time.Minute)
		if n := len(w.published(t)); n != 20 {
			t.Errorf("%d of 20 terminal statuses are published", n)
		}
	})
}

func TestExpiredTokenBeginsTheListAnew(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "", "")
	w.tick(t)
	w.now = w.now.Add(time.Second)
	w.job("crm", "a", jobs.Succeeded)
	state, _ := w.state(t, "crm")
	state.Cursor = jobs.Cursor{Token: "expired", Newest: w.now, BeganAt: w.now}
	if err := w.store.SaveWorkflow(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	w.tick(t)
	expect(t, w.published(t), "crm/a SUCCEEDED")
}

func backwards(rows []jobs.Job) []jobs.Job {
	slices.Reverse(rows)
	return rows
}

func TestTerminalStatusDuringMissedTicksIsPublished(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	w.now = w.now.Add(9 * time.Hour) // ticks were missed
	w.job("crm", "a", jobs.Failed)
	for i := range 60 {
		w.now = w.now.Add(time.Minute)
		w.job("crm", fmt.Sprintf("quick-%02d", i), jobs.Succeeded)
	}
	w.tick(t)
	got := w.published(t)
	if len(got) != 63 || !slices.Contains(got, "summary of map[FAILED:1 SUCCEEDED:50]") || !slices.Contains(got, "crm/a FAILED") || !slices.Contains(got, "crm/quick-59 SUCCEEDED") {
		t.Errorf("published %d: %q", len(got), got)
	}
	w.tick(t)
	if again := len(w.published(t)) - len(got); again != 0 {
		t.Errorf("%d published again", again)
	}
}

func TestRunWhoseArchivedItemExpiredIsNotPublishedAgain(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "", "")
	w.tick(t)
	w.now = w.now.Add(time.Second)
	w.job("crm", "a", jobs.Succeeded)
	w.tick(t)
	w.store.Retention = 90 * 24 * time.Hour
	w.now = w.now.Add(100 * 24 * time.Hour)
	w.store.Expire(w.now)
	if n := len(w.store.Runs("crm")); n != 0 {
		t.Fatalf("%d runs are still archived", n)
	}
	w.tick(t)
	expect(t, w.published(t), "crm/a SUCCEEDED")
}

func TestUnreadableRowStopsNoOther(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	w.job("crm", "x", "")
	w.job("crm", "b", jobs.Running)
	if report := w.tick(t); report.Failed != 1 || report.Complete() || !strings.Contains(report.Problems[0], "1 rows have no job ID or no status") {
		t.Errorf("report %+v", report)
	}
	w.source.Remove(jobs.Key{Workflow: "crm", Job: "x"})
	w.job("crm", "a", jobs.Failed)
	if report := w.tick(t); !report.Complete() {
		t.Errorf("report %+v", report)
	}
	expect(t, w.published(t), "crm/a RUNNING", "crm/b RUNNING", "crm/a FAILED")
}

func TestListedJobTooNewToBeReadIsLeftForTheNextTick(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.source.Fault = on("Job crm/a", jobs.ErrNotFound)
	if report := w.tick(t); report.Failed != 0 {
		t.Errorf("report %+v", report)
	}
	if r, live := w.live(t, "crm", "a"); live {
		t.Errorf("recorded as %+v", r)
	}
	w.source.Fault = nil
	w.tick(t)
	expect(t, w.published(t), "crm/a RUNNING")
}

// hiding is an Entity Resolution whose list of workflows is out of date.
type hiding struct {
	*fake.Source
	workflow string
}

func (h *hiding) Workflows(ctx context.Context) (jobs.WorkflowList, error) {
	list, err := h.Source.Workflows(ctx)
	delete(list.Workflows, h.workflow)
	return list, err
}

func TestWorkflowMissingFromTheListForAMomentIsNotDeleted(t *testing.T) {
	w := newWorld(t)
	source := &hiding{Source: w.source}
	w.Source = source
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	source.workflow = "crm"
	for range 20 {
		w.tick(t)
	}
	w.job("crm", "a", jobs.Succeeded)
	w.tick(t)
	expect(t, w.published(t), "crm/a RUNNING", "crm/a SUCCEEDED")
}
