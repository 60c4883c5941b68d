package poller_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
)

// The rate limiter refuses a call whose turn comes after the deadline.
func TestCallRefusedForTheDeadlineIsLateAndDiscardsNoPage(t *testing.T) {
	w := newWorld(t)
	for i := range 200 {
		w.job("crm", fmt.Sprintf("old-%03d", i), jobs.Succeeded)
	}
	w.job("crm", "open", jobs.Running)
	w.source.Order = backwards
	pages := 0
	w.source.Fault = func(call string) error {
		if call == "Page crm" {
			if pages++; pages%3 == 0 {
				return fmt.Errorf("listing: %w", jobs.ErrLate)
			}
		}
		return nil
	}
	for range 5 { // two pages a tick
		if report := w.tick(t); report.Failed != 0 || report.Late || !report.Complete() {
			t.Fatalf("report %+v", report)
		}
	}
	expect(t, w.published(t), "crm/open RUNNING")
}

func TestListThatIsNotFinishedWithinAnHourIsLate(t *testing.T) {
	w := newWorld(t)
	for i := range 50 {
		w.job("crm", fmt.Sprint(i), jobs.Succeeded)
	}
	w.tick(t)
	w.source.Fault = func(call string) error {
		if call == "Page crm" {
			return jobs.ErrLate
		}
		return nil
	}
	for minute := range 70 {
		if report := w.tick(t); report.Late != (minute >= 60) || report.Complete() == report.Late {
			t.Fatalf("minute %d: report %+v", minute, report)
		}
	}
	w.source.Fault = nil
	if report := w.tick(t); !report.Complete() {
		t.Errorf("report %+v", report)
	}
}

func TestWorkflowWhoseListWasNeverReadIsLate(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.source.Fault = on("Page crm", jobs.ErrLate)
	if report := w.tick(t); !report.Late || report.Complete() {
		t.Errorf("report %+v", report)
	}
	if state, known := w.state(t, "crm"); known {
		t.Errorf("known as %+v", state)
	}
}

func TestTrackedJobThatHasFinishedLeavesItsEventInNoForgottenOutbox(t *testing.T) {
	w := newWorld(t)
	w.Watched, _ = poller.NewFilter("other-*", "")
	w.job("crm", "a", jobs.Succeeded)
	w.bus.Fault = func(string, jobs.Entry) error { return errors.New("down for a second") }
	if report, err := w.Track(t.Context(), jobs.Key{Workflow: "crm", Job: "a"}); err != nil || report.Unpublished != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	w.bus.Fault = nil
	w.tick(t)
	expect(t, w.published(t), "crm/a SUCCEEDED")
	w.tick(t)
	if r, live := w.live(t, "crm", "a"); live {
		t.Errorf("left behind: %+v", r)
	}
}

func TestRunThatEndedBeforeALongPauseIsPublishedWhateverTheRetention(t *testing.T) {
	w := newWorld(t)
	w.store.Retention = 7 * 24 * time.Hour
	w.job("crm", "a", jobs.Succeeded)
	w.tick(t)
	w.now = w.now.Add(time.Hour)
	w.job("crm", "b", jobs.Running)
	w.now = w.now.Add(time.Hour)
	w.job("crm", "b", jobs.Failed)
	w.now = w.now.Add(30 * 24 * time.Hour)
	w.store.Expire(w.now)
	w.tick(t)
	expect(t, w.published(t), "crm/b FAILED")
}

func TestFirstRunOfANewWorkflowIsPublishedHoweverShort(t *testing.T) {
	w := newWorld(t)
	w.job("old", "", "")
	w.tick(t)
	w.tick(t)
	w.now = w.now.Add(10 * time.Second)
	w.job("new", "", "")
	w.now = w.now.Add(time.Second)
	w.job("new", "first", jobs.Failed)
	w.tick(t)
	expect(t, w.published(t), "new/first FAILED")
}

func TestWorkflowThatAWiderFilterIncludesIsWatchedFromNow(t *testing.T) {
	w := newWorld(t)
	w.Watched, _ = poller.NewFilter("crm-*", "")
	w.job("crm-a", "", "")
	w.tick(t)
	w.job("web", "", "") // created while the filter excludes it
	for i := range 30 {
		w.now = w.now.Add(time.Minute)
		w.job("web", fmt.Sprint(i), jobs.Failed)
	}
	w.tick(t)
	w.Watched, _ = poller.NewFilter("crm-*,web", "")
	w.tick(t)
	w.job("web", "next", jobs.Running)
	w.tick(t)
	expect(t, w.published(t), "web/next RUNNING")
}

func TestWorkflowCreatedWhileAnotherFilterIncludedItIsWatchedFromItsCreation(t *testing.T) {
	w := newWorld(t)
	w.job("crm-a", "", "")
	w.tick(t)
	w.now = w.now.Add(time.Second)
	w.job("crm-b", "first", jobs.Failed)
	w.Watched, _ = poller.NewFilter("crm-*", "") // deployed between two ticks
	w.tick(t)
	expect(t, w.published(t), "crm-b/first FAILED")
}

func TestNewWorkflowThatIsThrottledAtFirstIsStillWatchedFromItsCreation(t *testing.T) {
	for _, fault := range []error{jobs.ErrThrottled, jobs.ErrUnavailable, jobs.ErrLate} {
		w := newWorld(t)
		w.job("old", "", "")
		w.tick(t)
		w.now = w.now.Add(time.Second)
		w.job("new", "first", jobs.Failed)
		w.source.Fault = on("Page new", fault)
		w.tick(t)
		w.tick(t)
		w.source.Fault = nil
		w.tick(t)
		expect(t, w.published(t), "new/first FAILED")
	}
}

func TestWorkflowThatWasDeniedIsWatchedFromItsPermission(t *testing.T) {
	w := newWorld(t)
	w.job("old", "", "")
	w.tick(t)
	w.now = w.now.Add(time.Second)
	w.source.Fault = on("Page new", jobs.ErrDenied)
	for i := range 40 {
		w.job("new", fmt.Sprint(i), jobs.Failed)
		if report := w.tick(t); report.Denied != 1 || !report.Complete() {
			t.Fatalf("report %+v", report)
		}
	}
	writes := w.store.Writes()
	w.tick(t)
	if n := w.store.Writes() - writes; n != 0 {
		t.Errorf("%d writes of a tick that is denied again", n)
	}
	w.source.Fault = nil
	w.tick(t)
	w.job("new", "next", jobs.Running)
	w.tick(t)
	expect(t, w.published(t), "new/next RUNNING")
}

func TestExcludedWorkflowThatIsIncludedAgainFloodsNothing(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "", "")
	w.tick(t)
	w.now = w.now.Add(time.Second)
	w.job("web", "", "") // created while the filter includes it
	w.tick(t)
	w.Watched, _ = poller.NewFilter("*", "web")
	w.source.Fault = on("Page crm", jobs.ErrUnavailable) // no tick under this filter is complete
	w.tick(t)
	for i := range 30 {
		w.now = w.now.Add(time.Minute)
		w.job("web", fmt.Sprint(i), jobs.Failed)
	}
	w.Watched, _ = poller.NewFilter("*", "")
	w.source.Fault = nil
	w.tick(t)
	expect(t, w.published(t))
}

func TestJobThatNeverEndsCostsOneCallATick(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "", "")
	w.tick(t)
	w.job("crm", "stuck", jobs.Running)
	w.tick(t)
	for hour := range 30 * 24 {
		w.now = w.now.Add(59 * time.Minute)
		w.job("crm", fmt.Sprint(hour), jobs.Succeeded)
		w.tick(t)
	}
	w.tick(t)
	calls, writes := len(w.source.Calls()), w.store.Writes()
	w.tick(t)
	if made := w.source.Calls()[calls:]; len(made) != 3 {
		t.Errorf("calls %q, want one for the workflows, one for the list and one for the job", made)
	}
	if n := w.store.Writes() - writes; n != 0 {
		t.Errorf("%d writes", n)
	}
	if n := len(w.published(t)); n != 30*24+2 { // RUNNING, and that it is overdue
		t.Errorf("%d events", n)
	}
	all, err := w.store.Live(t.Context())
	if err != nil || len(all.Records) > 4 {
		t.Errorf("an idle tick reads %d records, %v", len(all.Records), err)
	}
	if n := len(w.store.Runs("crm")); n != 30*24 {
		t.Errorf("%d runs are archived", n)
	}
}

func TestTerminalStatusTakesOneTickWhateverTheOrderOfTheList(t *testing.T) {
	orders := map[string]func([]jobs.Job) []jobs.Job{"newest first": nil, "oldest first": backwards, "by ID": func(rows []jobs.Job) []jobs.Job {
		slices.SortFunc(rows, func(a, b jobs.Job) int { return strings.Compare(a.Job, b.Job) })
		return rows
	}}
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.source.Order = order
			for i := range 1000 {
				w.job("crm", fmt.Sprintf("m-%04d", i), jobs.Succeeded)
				w.now = w.now.Add(time.Second)
			}
			w.job("crm", "n-open", jobs.Running)
			w.tick(t)
			w.tick(t)
			w.source.Fault = func(call string) error { // no list can be read any more
				if strings.HasPrefix(call, "Page") {
					return jobs.ErrLate
				}
				return nil
			}
			w.job("crm", "n-open", jobs.Failed)
			w.tick(t)
			expect(t, w.published(t), "crm/n-open RUNNING", "crm/n-open FAILED")
		})
	}
}

func TestPanicStaysWithinItsWorkflow(t *testing.T) {
	for _, call := range []string{"Page bad", "Job bad/a"} {
		w := newWorld(t)
		for _, workflow := range []string{"bad", "good"} {
			w.job(workflow, "a", jobs.Running)
		}
		w.tick(t)
		w.source.Fault = func(c string) error {
			if c == call {
				panic("a fault of ours")
			}
			return nil
		}
		for _, workflow := range []string{"bad", "good"} {
			w.job(workflow, "a", jobs.Failed)
		}
		report := w.tick(t)
		if report.Failed != 1 || report.Swept != 1 || report.Complete() || !strings.Contains(report.Problems[0], "bad: panic: a fault of ours") {
			t.Errorf("%s: report %+v", call, report)
		}
		if !slices.Contains(w.published(t), "good/a FAILED") {
			t.Errorf("%s: published %q", call, w.published(t))
		}
		w.source.Fault = nil
		if report := w.tick(t); !report.Complete() || !slices.Contains(w.published(t), "bad/a FAILED") {
			t.Errorf("%s: report %+v, published %q", call, report, w.published(t))
		}
	}
}

func TestPanicInATrackedJobIsAnError(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.source.Fault = func(c string) error {
		if c == "Job crm/a" {
			panic("a fault of ours")
		}
		return nil
	}
	if _, err := w.Handle(t.Context(), json.RawMessage(`{"workflowName":"crm","jobId":"a"}`)); err == nil || !strings.Contains(err.Error(), "panic") {
		t.Errorf("error %v", err)
	}
}

// tokens is a source whose continuation tokens are refused.
type tokens struct {
	*fake.Source
	refuse error
	pages  int
}

func (s *tokens) Page(ctx context.Context, workflow, token string) (jobs.Page, error) {
	s.pages++
	if token != "" && s.refuse != nil {
		return jobs.Page{}, s.refuse
	}
	return s.Source.Page(ctx, workflow, token)
}

func TestStoredTokenThatFailsDoesNotStallItsWorkflow(t *testing.T) {
	for _, refuse := range []error{jobs.ErrRejected, jobs.ErrUnavailable, jobs.ErrDenied, jobs.ErrNotFound} {
		w := newWorld(t)
		source := &tokens{Source: w.source, refuse: refuse}
		w.Source = source
		w.job("crm", "", "")
		w.tick(t)
		w.now = w.now.Add(time.Second)
		w.job("crm", "a", jobs.Failed)
		state, _ := w.state(t, "crm")
		state.Cursor = jobs.Cursor{Token: "25", BeganAt: w.now, Incomplete: true}
		if err := w.store.SaveWorkflow(t.Context(), state); err != nil {
			t.Fatal(err)
		}
		if report := w.tick(t); !report.Complete() {
			t.Errorf("%v: report %+v", refuse, report)
		}
		expect(t, w.published(t), "crm/a FAILED")
		if state, _ := w.state(t, "crm"); state.Cursor != (jobs.Cursor{}) {
			t.Errorf("%v: cursor %+v", refuse, state.Cursor)
		}
	}
}

func TestTokenOlderThanAnHourIsNotUsed(t *testing.T) {
	for age, want := range map[time.Duration]int{59 * time.Minute: 2, 60 * time.Minute: 1} {
		w := newWorld(t)
		source := &tokens{Source: w.source, refuse: jobs.ErrUnavailable}
		w.Source = source
		w.job("crm", "", "")
		w.tick(t)
		state, _ := w.state(t, "crm")
		state.Cursor = jobs.Cursor{Token: "25", BeganAt: w.now.Add(-age)}
		if err := w.store.SaveWorkflow(t.Context(), state); err != nil {
			t.Fatal(err)
		}
		before := source.pages
		w.tick(t) // a minute later
		if n := source.pages - before; n != want {
			t.Errorf("%v: %d pages, want %d", age, n, want)
		}
	}
}

func TestTokenIsKeptWhenTheTickIsThrottledOrLate(t *testing.T) {
	for _, refuse := range []error{jobs.ErrThrottled, jobs.ErrLate} {
		w := newWorld(t)
		source := &tokens{Source: w.source, refuse: refuse}
		w.Source = source
		w.job("crm", "", "")
		w.tick(t)
		state, _ := w.state(t, "crm")
		state.Cursor = jobs.Cursor{Token: "25", BeganAt: w.now}
		if err := w.store.SaveWorkflow(t.Context(), state); err != nil {
			t.Fatal(err)
		}
		before := source.pages
		w.tick(t)
		if after, _ := w.state(t, "crm"); after.Cursor.Token != "25" || source.pages != before+1 {
			t.Errorf("%v: cursor %+v after %d pages", refuse, after.Cursor, source.pages-before)
		}
	}
}

func TestErrorAfterTheFirstPageKeepsTheProgress(t *testing.T) {
	w := newWorld(t)
	source := &tokens{Source: w.source, refuse: jobs.ErrUnavailable}
	w.Source = source
	for i := range 60 {
		w.job("crm", fmt.Sprint(i), jobs.Succeeded)
	}
	if report := w.tick(t); report.Failed != 1 || report.Complete() {
		t.Errorf("report %+v", report)
	}
	if state, _ := w.state(t, "crm"); state.Cursor.Token != "25" || !state.Watermark.IsZero() {
		t.Errorf("state %+v", state)
	}
}

func TestConflictHidesNoOtherError(t *testing.T) {
	w := newWorld(t)
	source := &tokens{Source: w.source, refuse: jobs.ErrDenied}
	w.Source = source
	w.job("crm", "", "")
	w.tick(t)
	w.now = w.now.Add(time.Second)
	for i := range 30 {
		w.job("crm", fmt.Sprint(i), jobs.Failed)
	}
	conflicts := 1
	w.store.Fault = func(op string) error {
		if op == "Save" && conflicts > 0 {
			conflicts--
			return jobs.ErrConflict
		}
		return nil
	}
	report := w.tick(t)
	if report.Denied != 1 || report.Swept != 0 || len(report.Problems) != 1 {
		t.Errorf("report %+v", report)
	}
	if state, _ := w.state(t, "crm"); !state.Cursor.Incomplete {
		t.Errorf("the conflict is forgotten: %+v", state)
	}
	source.refuse = nil
	w.tick(t)
	w.tick(t)
	if n := len(w.published(t)); n != 30 {
		t.Errorf("%d terminal statuses published, want 30", n)
	}
}

func TestStartTimeInTheFutureHidesNoLaterRun(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "", "")
	w.tick(t)
	w.source.Put(jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "future"}, Status: jobs.Running, StartTime: w.now.Add(48 * time.Hour)})
	w.tick(t)
	w.now = w.now.Add(time.Hour)
	w.job("crm", "short", jobs.Failed)
	w.tick(t)
	expect(t, w.published(t), "crm/future RUNNING", "crm/short FAILED")
}

func TestListedJobThatCannotBeReadIsReportedFromItsRow(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "", "")
	w.tick(t)
	w.now = w.now.Add(time.Second)
	w.job("crm", "a", jobs.Failed)
	started := w.now
	w.source.Fault = on("Job crm/a", jobs.ErrNotFound)
	for range 9 {
		if report := w.tick(t); !report.Complete() {
			t.Fatalf("report %+v", report)
		}
	}
	expect(t, w.published(t))
	if state, _ := w.state(t, "crm"); !state.Watermark.Before(started) {
		t.Errorf("the watermark has passed it: %+v", state)
	}
	w.tick(t)
	expect(t, w.published(t), "crm/a FAILED")
	calls := len(w.source.Calls())
	w.tick(t)
	if n := len(w.source.Calls()) - calls; n != 2 {
		t.Errorf("%d calls of an idle tick, want 2", n)
	}
}

func TestVanishedJobThatIsListedAgainIsFollowedAgain(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	a, _ := w.source.Get(jobs.Key{Workflow: "crm", Job: "a"})
	w.source.Remove(a.Key)
	for range 15 {
		w.tick(t)
	}
	w.source.Put(a)
	w.tick(t)
	if r, _ := w.live(t, "crm", "a"); !r.Open() {
		t.Fatalf("record %+v", r)
	}
	w.job("crm", "a", jobs.Succeeded)
	w.tick(t)
	expect(t, w.published(t), "crm/a RUNNING", "crm/a RUNNING vanished", "crm/a SUCCEEDED")
}

func TestVanishedJobThatIsOnlyListedCausesNoWrite(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	w.source.Fault = on("Job crm/a", jobs.ErrNotFound)
	for range 15 {
		w.tick(t)
	}
	writes := w.store.Writes()
	w.tick(t)
	if n := w.store.Writes() - writes; n != 0 {
		t.Errorf("%d writes", n)
	}
	expect(t, w.published(t), "crm/a RUNNING", "crm/a RUNNING vanished")
	w.job("crm", "a", jobs.Failed)
	for range 11 {
		w.tick(t)
	}
	expect(t, w.published(t), "crm/a RUNNING", "crm/a RUNNING vanished", "crm/a FAILED")
}

func TestTerminalStatusThatChangesAfterArchivingIsPublished(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "", "")
	w.tick(t)
	w.now = w.now.Add(time.Second)
	w.job("crm", "a", jobs.Succeeded)
	w.tick(t)
	w.job("crm", "a", jobs.Failed)
	w.tick(t)
	w.tick(t)
	expect(t, w.published(t), "crm/a SUCCEEDED", "crm/a FAILED")
	if r, _ := w.live(t, "crm", "a"); !r.Archived || r.Job.Status != jobs.Failed {
		t.Errorf("record %+v", r)
	}
}

func TestArchiveKeepsWhenEachTransitionBeganWasObservedAndPublished(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	began := w.now
	w.tick(t)
	observed := w.now
	w.now = w.now.Add(30 * time.Second)
	w.job("crm", "a", jobs.Succeeded)
	ended := w.now
	w.tick(t)
	runs := w.store.Runs("crm")
	if len(runs) != 1 || len(runs[0].Timeline) != 2 || len(runs[0].Outbox) != 0 {
		t.Fatalf("archived %+v", runs)
	}
	first, second := runs[0].Timeline[0], runs[0].Timeline[1]
	if first.Status != jobs.Running || !first.BeganAt.Equal(began) || !first.ObservedAt.Equal(observed) || !first.PublishedAt.Equal(observed) {
		t.Errorf("first %+v", first)
	}
	if second.Status != jobs.Succeeded || !second.BeganAt.Equal(ended) || !second.PublishedAt.Equal(w.now) {
		t.Errorf("second %+v", second)
	}
	if h := w.histories("crm"); len(h.Successes["BATCH"].Runs) != 1 || len(h.Runs.Starts) != 1 {
		t.Errorf("histories %+v", h)
	}
}

func TestFailedArchivingEmptiesTheOutboxAndIsTriedAgain(t *testing.T) {
	for _, op := range []string{"Archive", "Archive/done"} {
		w := newWorld(t)
		w.job("crm", "a", jobs.Running)
		w.tick(t)
		w.job("crm", "a", jobs.Succeeded)
		w.store.Fault = on(op, errors.New("transaction conflict"))
		// If only the response was lost, the run is archived.
		if report := w.tick(t); (report.Failed == 1) != (op == "Archive") || report.Unpublished != 0 {
			t.Errorf("%s: report %+v", op, report)
		}
		w.store.Fault = nil
		w.tick(t)
		expect(t, w.published(t), "crm/a RUNNING", "crm/a SUCCEEDED")
		if n := len(w.store.Runs("crm")); n != 1 {
			t.Errorf("%s: %d runs archived", op, n)
		}
	}
}

func TestStubsAreRemovedOnceTheListCannotBringTheirJobsBack(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "", "")
	w.tick(t)
	stubs := func() int {
		all, err := w.store.Live(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(all.Records)
	}
	for i := range 6 {
		w.now = w.now.Add(20 * time.Minute)
		w.job("crm", fmt.Sprint(i), jobs.Succeeded)
		w.tick(t)
	}
	if n := stubs(); n != 3 { // of the last hour before the newest start
		t.Errorf("%d stubs", n)
	}
	if n := len(w.published(t)); n != 6 {
		t.Errorf("%d events", n)
	}
}

func TestStubOfAWorkflowWhoseStateIsUnknownStays(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Failed)
	if _, err := w.Track(t.Context(), jobs.Key{Workflow: "crm", Job: "a"}); err != nil {
		t.Fatal(err)
	}
	w.source.Fault = on("Page crm", jobs.ErrUnavailable)
	w.tick(t)
	if _, live := w.live(t, "crm", "a"); !live {
		t.Error("the stub is gone")
	}
	w.source.Fault = nil
	w.tick(t)
	expect(t, w.published(t), "crm/a FAILED")
}

func TestHistoryOfANewlyWatchedWorkflowIsFetchedOnceOverSeveralTicks(t *testing.T) {
	w := newWorld(t)
	for i := range 120 {
		status := jobs.Succeeded
		if i >= 117 {
			status = jobs.Failed
		}
		w.job("crm", fmt.Sprintf("old-%03d", i), status)
		w.now = w.now.Add(time.Hour)
	}
	w.store.Retention, w.store.Now = 24*time.Hour, func() time.Time { return w.now }
	var fetched []int
	for range 5 {
		fetched = append(fetched, w.tick(t).Backfilled)
	}
	if !slices.Equal(fetched, []int{20, 20, 10, 0, 0}) {
		t.Errorf("fetched %v per tick", fetched)
	}
	expect(t, w.published(t))
	h := w.histories("crm")
	if n := len(h.Successes["BATCH"].Runs); n != 47 {
		t.Errorf("%d successes, want 47 of the newest 50 runs", n)
	}
	if n := len(h.Runs.Starts); n != 120 {
		t.Errorf("%d starts, want all 120", n)
	}
	if len(h.Runs.Failures) != 3 || h.Runs.LastSuccess.Job != "old-116" {
		t.Errorf("%d failures after %v", len(h.Runs.Failures), h.Runs.LastSuccess)
	}
	if n := len(w.store.Runs("crm")); n != 23 { // of the last 24 hours
		t.Errorf("%d runs are archived", n)
	}
	writes := w.store.Writes()
	calls := len(w.source.Calls())
	w.tick(t)
	if n := len(w.source.Calls()) - calls; n != 2 || w.store.Writes() != writes {
		t.Errorf("%d calls and %d writes of an idle tick", n, w.store.Writes()-writes)
	}
}

func TestBackfillSkipsWhatIsGoneAndContinuesAfterAFailure(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.job("crm", fmt.Sprint(i), jobs.Succeeded)
		w.now = w.now.Add(time.Hour)
	}
	w.source.Fault = func(call string) error {
		switch call {
		case "Job crm/4":
			return jobs.ErrNotFound
		case "Job crm/2":
			return jobs.ErrUnavailable
		}
		return nil
	}
	if report := w.tick(t); report.Backfilled != 3 || !report.Complete() {
		t.Errorf("report %+v", report)
	}
	w.store.Fault = on("Backfill", errors.New("throttled"))
	w.source.Fault = nil
	if report := w.tick(t); report.Backfilled != 0 || report.Failed != 1 {
		t.Errorf("report %+v", report)
	}
	w.store.Fault = on("SaveWorkflow", jobs.ErrConflict) // after the runs were added
	w.tick(t)
	w.store.Fault = nil
	w.tick(t)
	h := w.histories("crm")
	if n := len(h.Successes["BATCH"].Runs); n != 4 {
		t.Errorf("%d successes", n)
	}
	if state, _ := w.state(t, "crm"); len(state.Backfill) != 0 {
		t.Errorf("still to fetch: %v", state.Backfill)
	}
}

func TestEarlierRunThatCannotBeReadIsGivenUpAfterAnHour(t *testing.T) {
	w := newWorld(t)
	for i := range 10 {
		w.job("crm", fmt.Sprint(i), jobs.Succeeded)
		w.now = w.now.Add(time.Hour)
	}
	w.source.Fault = on("Job crm/7", jobs.ErrRejected)
	for i := range 59 {
		if report := w.tick(t); !report.Complete() {
			t.Fatalf("report %+v", report)
		}
		if state, _ := w.state(t, "crm"); len(state.Backfill) != 1 {
			t.Fatalf("tick %d: still to fetch: %v", i, state.Backfill)
		}
	}
	w.tick(t)
	w.tick(t)
	w.tick(t)
	if state, _ := w.state(t, "crm"); len(state.Backfill) != 0 {
		t.Errorf("still to fetch: %v", state.Backfill)
	}
	if n := len(w.histories("crm").Successes["BATCH"].Runs); n != 9 {
		t.Errorf("%d successes", n)
	}
}

// An hourly run for 15 days: the cost of an idle tick stays what it was.
func TestJobThatCannotBeReadKeepsNoListFromBeingKnown(t *testing.T) {
	for name, prepare := range map[string]func(*world){
		"listed as running for good and not found": func(w *world) {
			w.job("crm", "bad", jobs.Running)
			w.tickQuietly()
			w.source.Fault = on("Job crm/bad", jobs.ErrNotFound)
		},
		"always an internal error": func(w *world) {
			w.job("crm", "bad", jobs.Succeeded)
			w.source.Fault = on("Job crm/bad", jobs.ErrUnavailable)
		},
		"always rejected": func(w *world) {
			w.job("crm", "bad", jobs.Succeeded)
			w.source.Fault = on("Job crm/bad", jobs.ErrRejected)
		},
		"no status": func(w *world) {
			w.source.Put(jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "bad"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.job("crm", "", "")
			w.tick(t)
			w.now = w.now.Add(time.Second)
			prepare(w)
			for range 20 {
				w.tick(t)
			}
			for run := range 15 * 24 {
				w.now = w.now.Add(58 * time.Minute)
				w.job("crm", fmt.Sprintf("run%03d", run), jobs.Succeeded)
				w.tick(t)
				w.tick(t)
			}
			before := len(w.source.Calls())
			w.tick(t)
			if n := len(w.source.Calls()) - before; n > 3 {
				t.Errorf("an idle tick makes %d calls", n)
			}
			if all, err := w.store.Live(t.Context()); err != nil || len(all.Records) > 4 {
				t.Errorf("%d records in the live partition, %v", len(all.Records), err)
			}
		})
	}
}

func TestRunWhoseDetailsCannotBeReadIsReportedFromItsRowAfterAnHour(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "", "")
	w.tick(t)
	w.now = w.now.Add(time.Second)
	w.job("crm", "a", jobs.Failed)
	w.source.Fault = on("Job crm/a", jobs.ErrUnavailable)
	for range 60 {
		w.tick(t)
	}
	expect(t, w.published(t))
	w.tick(t)
	expect(t, w.published(t), "crm/a FAILED")
}

func TestStubsOfAWorkflowWithoutNewRunsAreRemoved(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "", "")
	w.tick(t)
	for i := range 15 {
		w.now = w.now.Add(time.Second)
		w.job("crm", fmt.Sprint(i), jobs.Succeeded)
		w.tick(t)
	}
	for range 90 {
		w.tick(t)
	}
	if all, err := w.store.Live(t.Context()); err != nil || len(all.Records) != 0 {
		t.Errorf("%d records in the live partition, %v", len(all.Records), err)
	}
	before := w.store.Writes()
	for range 90 {
		w.tick(t)
	}
	if n := w.store.Writes() - before; n != 0 {
		t.Errorf("idle ticks wrote %d times", n)
	}
}

func TestWorkflowThatBothListsMissForAMomentRepeatsNothing(t *testing.T) {
	w := newWorld(t)
	w.job("old", "", "")
	w.tick(t)
	w.now = w.now.Add(time.Hour)
	w.job("crm", "", "")
	w.tick(t)
	for i := range 20 {
		w.now = w.now.Add(24 * time.Hour)
		w.job("crm", fmt.Sprint(i), jobs.Succeeded)
		w.tick(t)
	}
	source := &hiding{Source: w.source, workflow: "crm"}
	w.Source = source
	w.source.Fault = on("Page crm", jobs.ErrNotFound)
	for range 3 {
		w.tick(t)
	}
	w.source.Fault = nil
	source.workflow = ""
	for range 20 {
		w.tick(t)
	}
	if n := len(w.published(t)); n != 20 {
		t.Errorf("published %d events of 20 runs", n)
	}
	if state, _ := w.state(t, "crm"); state.Missing != (jobs.Missing{}) {
		t.Errorf("still missing: %+v", state.Missing)
	}
}

func TestNoJobIsAlwaysTheOneThatThrottlingLeavesOut(t *testing.T) {
	w := newWorld(t)
	for i := range 6 {
		w.job("crm", fmt.Sprint(i), jobs.Queued)
	}
	w.tick(t)
	w.job("crm", "5", jobs.Failed)
	left := 0
	w.source.Fault = func(string) error {
		if left--; left < 0 {
			return jobs.ErrThrottled
		}
		return nil
	}
	for range 500 { // each tick leaves another one of six
		left = 5
		w.tick(t)
	}
	expect(t, w.published(t)[6:], "crm/5 FAILED")
}

func TestRequestCutOffByThrottlingIsNoFailure(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.job("web", "b", jobs.Running)
	w.tick(t)
	w.source.Fault = on("Job crm/a", jobs.ErrThrottled)
	w.Source = hanging{w.source}
	for range 20 { // in some of them the other request has been sent
		if report := w.tick(t); report.Failed != 0 || !report.Throttled {
			t.Fatalf("report %+v", report)
		}
	}
}

// hanging is Entity Resolution whose answers about the job b never come.
type hanging struct{ poller.Source }

func (h hanging) Job(ctx context.Context, key jobs.Key) (jobs.Job, error) {
	if key.Job == "b" {
		<-ctx.Done()
		return jobs.Job{}, jobs.ErrUnavailable
	}
	return h.Source.Job(ctx, key)
}

func TestFilterThatCannotBeReadPublishesNoOldRuns(t *testing.T) {
	w := newWorld(t)
	for i := range 10 {
		w.job("crm", fmt.Sprint(i), jobs.Failed)
	}
	w.Store = unreadableFilter{w.store}
	w.tick(t)
	w.tick(t)
	expect(t, w.published(t))
}

// unreadableFilter is a store whose filter item another version has written.
type unreadableFilter struct{ *fake.Jobs }

func (s unreadableFilter) Live(ctx context.Context) (jobs.Live, error) {
	live, err := s.Jobs.Live(ctx)
	live.Filter = jobs.FilterState{Version: 3}
	return live, err
}

func TestJobThatAlternatesBetweenActiveStatusesIsPublishedOnceForEach(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		w.job("crm", "a", jobs.Running)
		w.tick(t)
		w.job("crm", "a", "STOPPING")
		w.tick(t)
	}
	w.job("crm", "a", jobs.Failed)
	w.tick(t)
	expect(t, w.published(t), "crm/a RUNNING", "crm/a STOPPING", "crm/a FAILED")
}

func TestArchiveThatFailsCausesNoWriteInAnIdleTick(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "", "")
	w.tick(t)
	w.store.Fault = on("Archive", errors.New("AccessDeniedException"))
	for i := range 10 {
		w.now = w.now.Add(time.Second)
		w.job("crm", fmt.Sprint(i), jobs.Succeeded)
		w.tick(t)
	}
	before := w.store.Writes()
	w.tick(t)
	if n := w.store.Writes() - before; n != 0 {
		t.Errorf("an idle tick wrote %d times", n)
	}
}

func TestBackfillGivesWayWhenTheTickIsThrottledOrLate(t *testing.T) {
	for _, fault := range []error{jobs.ErrThrottled, jobs.ErrLate} {
		w := newWorld(t)
		for i := range 5 {
			w.job("crm", fmt.Sprint(i), jobs.Succeeded)
		}
		w.source.Fault = func(call string) error {
			if strings.HasPrefix(call, "Job") {
				return fault
			}
			return nil
		}
		if report := w.tick(t); report.Failed != 0 || report.Throttled != errors.Is(fault, jobs.ErrThrottled) || report.Late {
			t.Errorf("%v: report %+v", fault, report)
		}
		if n := len(w.source.Calls()); n != 4 { // the workflows, its tags, a page, a job
			t.Errorf("%v: %d calls", fault, n)
		}
	}
}

func TestTickStartsNothingInItsLastFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Now = nil
		for i := range 40 {
			w.job("crm", fmt.Sprintf("%02d", i), jobs.Running)
		}
		var last time.Duration
		start := time.Now()
		slow := true
		w.source.Fault = func(string) error {
			if slow {
				last = max(last, time.Since(start))
				time.Sleep(4600 * time.Millisecond)
			}
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
		defer cancel()
		report, err := w.Sweep(ctx)
		if err != nil || last > 45*time.Second || last < 40*time.Second {
			t.Errorf("the last call began after %v, %+v, %v", last, report, err)
		}
		if report.Unpublished != 0 || report.Published == 0 {
			t.Errorf("report %+v", report)
		}
		slow = false
		for range 3 {
			if _, err := w.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(w.published(t)); n != 40 {
			t.Errorf("%d of 40 published", n)
		}
	})
}

func TestVanishedJobThatFinishedUnseenIsPublishedWhenItIsListedAgain(t *testing.T) {
	w := newWorld(t)
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	a, _ := w.source.Get(jobs.Key{Workflow: "crm", Job: "a"})
	w.source.Remove(a.Key)
	for range 15 {
		w.tick(t)
	}
	for i := range 5 { // the watermark passes it
		w.now = w.now.Add(time.Hour)
		w.job("crm", fmt.Sprint(i), jobs.Succeeded)
		w.tick(t)
	}
	w.source.Put(a)
	w.job("crm", "a", jobs.Failed)
	w.tick(t)
	if got := w.published(t); got[len(got)-1] != "crm/a FAILED" {
		t.Errorf("published %q", got)
	}
}

func TestBaselineSurvivesATickThatDies(t *testing.T) {
	for name, fail := range map[string]func(*world){
		"a failing write": func(w *world) { w.store.Fault = on("AddStarts", errors.New("throttled")) },
		"a panic": func(w *world) {
			w.source.Fault = func(call string) error {
				if call == "Job crm/stuck" {
					panic("a fault of ours")
				}
				return nil
			}
		},
	} {
		w := newWorld(t)
		w.job("crm", "old", jobs.Succeeded)
		w.job("crm", "stuck", jobs.Running)
		fail(w)
		w.tick(t)
		w.now = w.now.Add(time.Second)
		w.job("crm", "a", jobs.Failed)
		w.tick(t)
		w.store.Fault, w.source.Fault = nil, nil
		w.tick(t)
		if !slices.Contains(w.published(t), "crm/a FAILED") {
			t.Errorf("%s: published %q", name, w.published(t))
		}
	}
}
