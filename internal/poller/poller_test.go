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
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
)

// world is a poller among in-memory neighbours.
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
		Retention: 90 * 24 * time.Hour,
		Log:       slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now:       func() time.Time { return w.now },
	}
	w.Watched, _ = poller.NewFilter("*", "")
	return w
}

// job puts a job into Entity Resolution: started at now, ended at now if over.
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

// told are the events on the bus, as "workflow/job status".
func (w *world) told(t *testing.T) []string {
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

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("told %q\nwant %q", got, want)
	}
}

func TestEachTransitionIsToldOnceInOrder(t *testing.T) {
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
	expect(t, w.told(t), "crm/a QUEUED", "crm/a RUNNING", "crm/a SUCCEEDED")
	if !report.Complete() {
		t.Errorf("report %+v is not complete", report)
	}
}

func TestATickThatSeesNoChangeWritesNothingAndGetsNoJob(t *testing.T) {
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
	if made := w.source.Calls()[calls:]; !slices.Equal(made, []string{"Workflows", "Page crm"}) {
		t.Errorf("calls %q", made)
	}
}

func TestInstallingTellsNothingOfWhatEndedBefore(t *testing.T) {
	w := newWorld(t)
	for i := range 10_000 {
		w.job("crm", fmt.Sprintf("old-%05d", i), jobs.Succeeded)
		w.now = w.now.Add(5 * time.Minute)
	}
	w.job("crm", "now", jobs.Running)
	for range 3 {
		w.tick(t)
	}
	expect(t, w.told(t), "crm/now RUNNING")
	calls := len(w.source.Calls())
	w.tick(t)
	if n := len(w.source.Calls()) - calls; n != 2 {
		t.Errorf("a later tick makes %d calls, want 2", n)
	}
}

func TestAListTooLongForOneTickIsGoneThroughInSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 6000 {
			w.job("crm", fmt.Sprintf("old-%04d", i), jobs.Failed)
		}
		w.job("crm", "open", jobs.Running)
		w.source.Order = backwards // the open job comes last
		w.source.Fault = func(string) error { time.Sleep(time.Second / 2); return nil }
		late := 0
		for range 8 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
			w.now = w.now.Add(time.Minute)
			report, err := w.Sweep(ctx)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			if report.Late {
				late++
			}
		}
		if late < 2 {
			t.Fatalf("%d late ticks: the list was not too long", late)
		}
		expect(t, w.told(t), "crm/open RUNNING")
	})
}

func TestATickThatEndsWithinTheFirstPageLosesNoneOfIt(t *testing.T) {
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
		for i := range 20 { // nobody looks for two hours
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
		if n := len(w.told(t)); n != 20 {
			t.Errorf("%d of 20 ends are told", n)
		}
	})
}

func TestATokenThatHasExpiredBeginsTheListAnew(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "", "")
	w.tick(t)
	w.now = w.now.Add(time.Second)
	w.job("crm", "a", jobs.Succeeded)
	left, err := w.store.Watches(t.Context())
	if err != nil || len(left) != 1 {
		t.Fatalf("%v, %v", left, err)
	}
	left[0].Resume = jobs.Resume{Token: "expired", Newest: w.now}
	if err := w.store.SaveWatch(t.Context(), left[0]); err != nil {
		t.Fatal(err)
	}
	w.tick(t)
	expect(t, w.told(t), "crm/a SUCCEEDED")
}

func TestAPollersClockThatIsWrongChangesNothing(t *testing.T) {
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
		told := w.told(t)
		slices.Sort(told) // two jobs' events of one tick have no order
		expect(t, told, "crm/a RUNNING", "crm/a SUCCEEDED", "crm/quick FAILED")
	}
}

func backwards(rows []jobs.Job) []jobs.Job {
	slices.Reverse(rows)
	return rows
}

func TestAnEndThatCameWhileNobodyLookedIsTold(t *testing.T) {
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
	told := w.told(t)
	if len(told) != 62 || !slices.Contains(told, "crm/a FAILED") || !slices.Contains(told, "crm/quick-59 SUCCEEDED") {
		t.Errorf("told %d: %q", len(told), told)
	}
	w.tick(t)
	if again := len(w.told(t)) - len(told); again != 0 {
		t.Errorf("%d told again", again)
	}
}

func TestAJobWhoseRecordExpiredIsNotToldAgain(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "", "")
	w.tick(t)
	w.now = w.now.Add(time.Second)
	w.job("crm", "a", jobs.Succeeded)
	w.tick(t)
	w.now = w.now.Add(100 * 24 * time.Hour)
	w.store.Expire(func(j jobs.Job) time.Time { return j.EndTime.Add(w.Retention + 24*time.Hour) }, w.now)
	w.tick(t)
	expect(t, w.told(t), "crm/a SUCCEEDED")
}

func TestOneBrokenWorkflowAmongTenStopsNoOther(t *testing.T) {
	for _, cause := range []error{jobs.ErrDenied, jobs.ErrUnavailable, jobs.ErrRejected} {
		t.Run(cause.Error(), func(t *testing.T) {
			w := newWorld(t)
			for i := range 10 {
				w.job(fmt.Sprintf("wf%d", i), "a", jobs.Running)
			}
			w.source.Fault = on("Page wf3", fmt.Errorf("listing: %w", cause))
			report := w.tick(t)
			if n := len(w.told(t)); n != 9 {
				t.Errorf("told of %d jobs, want 9", n)
			}
			if report.Denied+report.Failed != 1 || report.Swept != 9 || len(report.Problems) != 1 {
				t.Errorf("report %+v", report)
			}
			if got, want := report.Complete(), cause == jobs.ErrDenied; got != want {
				t.Errorf("Complete = %v, want %v", got, want)
			}
			w.source.Fault = nil
			w.tick(t)
			if n := len(w.told(t)); n != 10 {
				t.Errorf("told of %d jobs in the end, want 10", n)
			}
		})
	}
}

func TestOneJobThatCannotBeGotStopsNoOther(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.job("crm", fmt.Sprint(i), jobs.Queued)
	}
	w.source.Fault = on("Job crm/2", jobs.ErrUnavailable)
	w.tick(t)
	w.tick(t)
	if n := len(w.told(t)); n != 4 {
		t.Errorf("told of %d jobs, want 4", n)
	}
	w.source.Fault = nil
	w.tick(t)
	if n := len(w.told(t)); n != 5 {
		t.Errorf("told of %d jobs in the end, want 5", n)
	}
}

func TestARowThatCannotBeReadStopsNoOther(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	w.job("crm", "a", "")
	w.job("crm", "b", jobs.Running)
	if report := w.tick(t); report.Failed != 1 || report.Complete() || !strings.Contains(report.Problems[0], "1 rows have no jobId or no status") {
		t.Errorf("report %+v", report)
	}
	w.job("crm", "a", jobs.Failed)
	if report := w.tick(t); !report.Complete() {
		t.Errorf("report %+v", report)
	}
	expect(t, w.told(t), "crm/a RUNNING", "crm/b RUNNING", "crm/a FAILED")
}

var errUnreadable = errors.New("the item cannot be read")

func TestAnItemThatCannotBeReadStopsNoOtherAndLosesNothingOnceItCan(t *testing.T) {
	for _, c := range []struct {
		name, item string
		others     []string // what is told while the item cannot be read
	}{
		{"a job", "crm/a", []string{"crm/b FAILED", "web/c FAILED"}},
		{"a watch", "crm", []string{"web/c FAILED"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			for _, id := range []string{"crm/a", "crm/b", "web/c"} {
				workflow, job, _ := strings.Cut(id, "/")
				w.job(workflow, job, jobs.Queued)
			}
			w.tick(t)
			before := len(w.told(t))
			w.store.Unreadable = map[string]error{c.item: errUnreadable}
			for _, id := range []string{"crm/a", "crm/b", "web/c"} {
				workflow, job, _ := strings.Cut(id, "/")
				w.job(workflow, job, jobs.Failed)
			}
			w.tick(t)
			if report := w.tick(t); report.Failed != 1 || report.Complete() || !strings.Contains(report.Problems[0], errUnreadable.Error()) {
				t.Errorf("report %+v", report)
			}
			told := w.told(t)[before:]
			slices.Sort(told)
			expect(t, told, c.others...)
			w.store.Unreadable = nil
			if report := w.tick(t); !report.Complete() {
				t.Errorf("report %+v", report)
			}
			told = w.told(t)[before:]
			slices.Sort(told)
			expect(t, told, "crm/a FAILED", "crm/b FAILED", "web/c FAILED")
		})
	}
}

func TestANamedJobThatCannotBeReadIsFollowedOnceItCan(t *testing.T) {
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
	w.store.Unreadable["crm"] = errUnreadable
	if _, err := w.Handle(t.Context(), json.RawMessage(`{"workflowName":"crm","jobId":"a"}`)); !errors.Is(err, errUnreadable) {
		t.Errorf("tracking says %v", err)
	}
	w.store.Unreadable = nil
	w.tick(t)
	expect(t, w.told(t), "crm/a RUNNING", "crm/a FAILED")
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
	if n := len(w.source.Calls()); n > 1+4 {
		t.Errorf("%d calls after the first throttling", n)
	}
}

func TestARegressionIsIgnoredAndCounted(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	w.job("crm", "a", jobs.Queued)
	if report := w.tick(t); report.Regressions != 1 {
		t.Errorf("regressions = %d", report.Regressions)
	}
	w.job("crm", "a", jobs.Succeeded)
	w.tick(t)
	expect(t, w.told(t), "crm/a RUNNING", "crm/a SUCCEEDED")
}

func TestAJobThatIsGoneIsReportedVanishedOnceAndNotBeforeTenMinutes(t *testing.T) {
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
			expect(t, w.told(t), "crm/a RUNNING")
			for range 5 {
				w.tick(t)
			}
			expect(t, w.told(t), "crm/a RUNNING", "crm/a RUNNING vanished")
		})
	}
}

func TestAJobThatOnlyTheListMissesIsNoLongerMissed(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	w.source.Order = func([]jobs.Job) []jobs.Job { return nil }
	w.source.Fault = on("Job crm/a", jobs.ErrNotFound)
	missing := func() int {
		t.Helper()
		w.tick(t)
		r, err := w.store.Record(t.Context(), jobs.Key{Workflow: "crm", Job: "a"})
		if err != nil {
			t.Fatal(err)
		}
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

func TestAJobTooNewToBeGotIsLeftForTheNextTick(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.source.Fault = on("Job crm/a", jobs.ErrNotFound)
	if report := w.tick(t); report.Failed != 1 {
		t.Errorf("report %+v", report)
	}
	if r, err := w.store.Record(t.Context(), jobs.Key{Workflow: "crm", Job: "a"}); err != nil || r.Version != 0 {
		t.Errorf("recorded as %+v, %v", r, err)
	}
	w.source.Fault = nil
	w.tick(t)
	expect(t, w.told(t), "crm/a RUNNING")
}

func TestAnEventThatCannotBeEncodedIsNotTakenForTold(t *testing.T) {
	w := newWorld(t)
	watch := jobs.Watch{Workflow: "crm", ARN: "not an ARN", Since: w.now}
	if err := w.store.SaveWatch(t.Context(), watch); err != nil {
		t.Fatal(err)
	}
	w.job("crm", "a", jobs.Running)
	w.job("web", "b", jobs.Running)
	if report := w.tick(t); report.Failed != 1 || !strings.Contains(report.Problems[0], `workflow ARN "not an ARN"`) {
		t.Errorf("report %+v", report)
	}
	expect(t, w.told(t), "web/b RUNNING")
	all, err := w.store.Watches(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, watch := range all {
		if watch.Workflow == "crm" {
			watch.ARN = fake.ARN("crm")
			if err := w.store.SaveWatch(t.Context(), watch); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.tick(t)
	expect(t, w.told(t), "web/b RUNNING", "crm/a RUNNING")
}

func TestAnUnknownStatusThatEndsIsKeptAndNotToldAgain(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", "PAUSED")
	w.tick(t)
	j, _ := w.source.Get(jobs.Key{Workflow: "crm", Job: "a"})
	j.EndTime = w.now
	w.source.Put(j)
	w.tick(t)
	expect(t, w.told(t), "crm/a PAUSED")
	if r, err := w.store.Record(t.Context(), j.Key); err != nil || r.Open() || !r.Expiring {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAJobThatIsMissedForAMomentIsNotReported(t *testing.T) {
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
	expect(t, w.told(t), "crm/a RUNNING")
}

func TestWhatTheBusDoesNotTakeStaysAndNothingOvertakesIt(t *testing.T) {
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
	expect(t, w.told(t), "crm/b QUEUED")
	if report.Unpublished != 3 || report.OldestUnpublished < 120 {
		t.Errorf("report %+v", report)
	}
	r, err := w.store.Record(t.Context(), jobs.Key{Workflow: "crm", Job: "a"})
	if err != nil || !slices.IsSortedFunc(r.Pending, func(a, b jobs.Entry) int { return int(a.Seq - b.Seq) }) || r.Pending[0].Seq == r.Pending[2].Seq {
		t.Errorf("outbox %+v, %v", r.Pending, err)
	}
	down = false
	w.tick(t)
	expect(t, w.told(t), "crm/b QUEUED", "crm/a QUEUED", "crm/a RUNNING", "crm/a FAILED")
}

func TestTheOutboxIsEmptiedWhileEntityResolutionIsDown(t *testing.T) {
	w := newWorld(t)
	w.bus.Fault = func(op string, _ jobs.Entry) error { return errors.New("InternalFailure") }
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	w.bus.Fault = nil
	w.source.Fault = func(string) error { return jobs.ErrUnavailable }
	w.tick(t)
	expect(t, w.told(t), "crm/a RUNNING")
}

// hiding is an Entity Resolution whose list of workflows is behind.
type hiding struct {
	*fake.Source
	workflow string
}

func (h *hiding) Workflows(ctx context.Context) (map[string]string, error) {
	all, err := h.Source.Workflows(ctx)
	delete(all, h.workflow)
	return all, err
}

func TestAWorkflowThatOnlyTheListMissesIsNotGone(t *testing.T) {
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
	expect(t, w.told(t), "crm/a RUNNING", "crm/a SUCCEEDED")
}

func TestNothingIsPublishedThatIsNotRecorded(t *testing.T) {
	for _, fault := range []error{errors.New("throttled"), jobs.ErrConflict} {
		w := newWorld(t)
		w.job("crm", "a", jobs.Running)
		w.store.Fault = on("Save", fault)
		w.tick(t)
		// Another tick that was faster is no fault.
		if report := w.tick(t); (report.Failed == 0) != errors.Is(fault, jobs.ErrConflict) {
			t.Errorf("%v: %+v", fault, report)
		}
		expect(t, w.told(t))
		w.store.Fault = nil
		w.tick(t)
		expect(t, w.told(t), "crm/a RUNNING")
	}
}

func TestWhatTheBusWillNeverTakeIsKeptAsideAndTheRestGoesOn(t *testing.T) {
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
	expect(t, w.told(t), "crm/a SUCCEEDED")
	if n := len(w.store.Refused()); n != 1 {
		t.Errorf("%d entries kept aside", n)
	}
}

func TestTheOutboxOfAWorkflowThatIsNoLongerWatchedIsStillEmptied(t *testing.T) {
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
			w.tick(t) // from here on it is watched
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
			w.tick(t)
			w.tick(t)
			expect(t, w.told(t), "crm/b SUCCEEDED")
			if left, _ := w.store.Watches(t.Context()); len(left) != 0 {
				t.Errorf("still remembered: %+v", left)
			}
		})
	}
}

func TestAWorkflowWatchedAgainBeginsAnew(t *testing.T) {
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
	expect(t, w.told(t), "crm/a RUNNING", "crm/a SUCCEEDED") // a was open; b came and went unwatched
}

func TestANamedJobIsFollowedToItsEndInAWorkflowThatIsNotWatched(t *testing.T) {
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
	expect(t, w.told(t), "crm/a RUNNING")
	w.job("crm", "a", jobs.Succeeded)
	w.job("crm", "b", jobs.Succeeded)
	w.tick(t)
	w.tick(t)
	expect(t, w.told(t), "crm/a RUNNING", "crm/a SUCCEEDED")
	if left, _ := w.store.Watches(t.Context()); len(left) != 0 {
		t.Errorf("still remembered: %+v", left)
	}
	handle(`{"workflowName":"crm","jobId":"b"}`) // had ended before it was named
	expect(t, w.told(t), "crm/a RUNNING", "crm/a SUCCEEDED", "crm/b SUCCEEDED")
}

func TestANamedJobWhoseFirstRecordFailedIsFollowedAllTheSame(t *testing.T) {
	w := newWorld(t)
	w.Watched, _ = poller.NewFilter("other-*", "")
	w.job("crm", "a", jobs.Running)
	w.job("crm", "b", jobs.Running)
	w.store.Fault = on("Save", errors.New("throttled"))
	for _, id := range []string{"a", "b"} {
		if _, err := w.Handle(t.Context(), json.RawMessage(`{"workflowName":"crm","jobId":"`+id+`"}`)); err == nil {
			t.Fatal("no error although nothing could be recorded")
		}
	}
	w.store.Fault = nil
	w.source.Remove(jobs.Key{Workflow: "crm", Job: "b"}) // gone before it was ever recorded
	w.tick(t)
	w.job("crm", "a", jobs.Failed)
	w.tick(t)
	expect(t, w.told(t), "crm/a RUNNING", "crm/a FAILED")
	calls := len(w.source.Calls())
	w.tick(t)
	if left, _ := w.store.Watches(t.Context()); len(left) != 0 || len(w.source.Calls())-calls > 1 {
		t.Errorf("still remembered: %+v, still asked for: %q", left, w.source.Calls()[calls:])
	}
}

func TestHandleTellsTheRequestsApart(t *testing.T) {
	trail := `{"version":"0","detail-type":"AWS API Call via CloudTrail","source":"aws.entityresolution",
		"detail":{"eventName":"StartIdMappingJob","requestParameters":{"workflowName":"crm"}}}`
	tests := []struct {
		name, payload, failure string
		want                   []string
	}{
		{"an empty object", `{}`, "", []string{"Workflows", "Page crm", "Page web"}},
		{"the scheduler's own payload", `{"version":"0","id":"1","detail-type":"Scheduled Event","source":"aws.scheduler","detail":"{}"}`, "", []string{"Workflows", "Page crm", "Page web"}},
		{"no object at all", `"tick"`, "", []string{"Workflows", "Page crm", "Page web"}},
		{"a start in CloudTrail", trail, "", []string{"Workflows", "Page crm"}},
		{"a workflow", `{"workflowName":"web"}`, "", []string{"Workflows", "Page web"}},
		{"a start of a workflow that is not watched", strings.ReplaceAll(trail, "crm", "secret"), "", nil},
		{"a job", `{"workflowName":"crm","jobId":"x"}`, "not found", []string{"Job crm/x"}},
		{"a job without its workflow", `{"jobId":"x"}`, "workflowName is missing", nil},
		{"a canary", `{"canary":"check"}`, "", nil},
		{"a canary that is none", `{"canary":"yes"}`, "neither check", nil},
		{"a job id that is no text", `{"workflowName":"crm","jobId":7}`, "jobId is a number, it must be text", nil},
		{"another schedule's payload that names a workflow", `{"detail":{"eventName":7,"requestParameters":{"workflowName":"crm"}}}`, "", []string{"Workflows", "Page crm", "Page web"}},
		{"a workflow that is not there", `{"workflowName":"typo"}`, "no ID mapping workflow of that name", []string{"Workflows"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.Watched, _ = poller.NewFilter("*", "secret")
			w.source.Put(jobs.Job{Key: jobs.Key{Workflow: "crm"}})
			w.source.Put(jobs.Job{Key: jobs.Key{Workflow: "web"}})
			measured := 0
			w.Metrics = func(map[string]float64) { measured++ }
			_, err := w.Handle(t.Context(), json.RawMessage(test.payload))
			if (measured == 0) != (err != nil || strings.Contains(test.payload, "canary")) {
				t.Errorf("measured %d times, error %v", measured, err)
			}
			if test.failure == "" && err != nil || test.failure != "" && (err == nil || !strings.Contains(err.Error(), test.failure)) {
				t.Errorf("error = %v, want %q", err, test.failure)
			}
			calls := w.source.Calls()
			slices.Sort(calls)
			slices.Sort(test.want)
			if !slices.Equal(calls, test.want) {
				t.Errorf("calls %q, want %q", calls, test.want)
			}
		})
	}
}

func TestACanaryGoesTheWayOfATransition(t *testing.T) {
	w := newWorld(t)
	w.Metrics = func(map[string]float64) { t.Error("a canary moves the metrics of real work") }
	down := true
	w.bus.Fault = func(string, jobs.Entry) error {
		if down {
			return errors.New("the bus is down")
		}
		return nil
	}
	handle := func(payload string, published int) string {
		t.Helper()
		w.now = w.now.Add(2 * time.Hour)
		report, err := w.Handle(t.Context(), json.RawMessage(payload))
		if err != nil || report.Published != published {
			t.Fatalf("%s: %+v, %v", payload, report, err)
		}
		return report.Canary
	}
	first := handle(`{"canary":"check"}`, 0)
	down = false
	second := handle(`{"canary":"show"}`, 2) // with what the bus had not taken
	taken := w.bus.Taken()
	if len(taken) != 2 || taken[0].ID != first || taken[1].ID != second || first == second {
		t.Fatalf("%q and %q were sent, taken %+v", first, second, taken)
	}
	for _, op := range []string{"Record", "Save"} {
		w.store.Fault = on(op, errors.New("throttled"))
		if _, err := w.Handle(t.Context(), json.RawMessage(`{"canary":"check"}`)); err == nil {
			t.Errorf("%s failed, and the canary did not", op)
		}
	}
	for i, show := range []bool{false, true} {
		body, _ := json.Marshal(map[string]any{"source": event.SourceOf(taken[i].DetailType), "detail-type": taken[i].DetailType,
			"time": taken[i].Time, "detail": json.RawMessage(taken[i].Detail)})
		e, err := event.Decode(body)
		if err != nil || e.Detail.Visible != show || e.Detail.TransitionID != taken[i].ID {
			t.Errorf("canary %d is read as %+v, %v", i, e, err)
		}
	}
	record, err := w.store.Record(t.Context(), jobs.Key{Workflow: "#canary", Job: "canary"})
	if err != nil || len(record.Pending) != 0 || !record.Expiring {
		t.Errorf("left behind: %+v, %v", record, err)
	}
}

func TestASweepThatDoesNotKnowTheWorkflowsIsNoHeartbeat(t *testing.T) {
	for _, fault := range []error{jobs.ErrThrottled, jobs.ErrDenied, jobs.ErrUnavailable} {
		w := newWorld(t)
		w.source.Fault = on("Workflows", fault)
		if report := w.tick(t); report.Complete() {
			t.Errorf("%v: %+v", fault, report)
		}
		w.source.Fault = nil
		if report := w.tick(t); !report.Complete() {
			t.Errorf("%v is over: %+v", fault, report)
		}
	}
}

func TestOnlyASweepOfEverythingIsAHeartbeat(t *testing.T) {
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

func TestFilterTakesGlobsAndNamesTheSettingOfABadOne(t *testing.T) {
	f, err := poller.NewFilter("crm-*, web", "*-test")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"crm-a": true, "web": true, "webshop": false, "crm-test": false, "other": false} {
		if f.Has(name) != want {
			t.Errorf("Has(%q) = %v", name, !want)
		}
	}
	for _, include := range []string{"", " , "} {
		if f, err := poller.NewFilter(include, ","); err != nil || !f.Has("crm") {
			t.Errorf("%q, which names nothing: watches crm = %v, %v", include, f.Has("crm"), err)
		}
	}
	if _, err := poller.NewFilter("*", "[a"); err == nil || !strings.Contains(err.Error(), "WorkflowExclude") {
		t.Errorf("error = %v", err)
	}
}
