package poller_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/jobs"
)

// missed runs n jobs of three workflows while nothing polls; every third fails.
func (w *world) missed(t *testing.T, n int) {
	t.Helper()
	for i := range 3 {
		w.job(fmt.Sprintf("wf%d", i), "", "")
	}
	w.tick(t)
	for i := range n {
		w.now = w.now.Add(10 * time.Minute)
		w.job(fmt.Sprintf("wf%d", i%3), fmt.Sprintf("job%03d", i), []jobs.Status{jobs.Failed, jobs.Succeeded, jobs.Succeeded}[i%3])
	}
	w.now = w.now.Add(time.Hour)
}

// deliveries splits what is on the bus: the IDs of the summaries, and of the
// transitions with the summary that each is marked with. It checks that every
// event is one that Decode accepts and that no summary comes after a transition
// that is marked with it.
func (w *world) deliveries(t *testing.T) (summaries []string, marks map[string][]string) {
	t.Helper()
	marks = make(map[string][]string)
	for _, entry := range w.bus.Taken() {
		e := decode(t, entry)
		if e.DetailType == event.Summary {
			summaries = append(summaries, entry.ID)
			continue
		}
		summary := ""
		if b := e.Detail.Backlog; b != nil {
			summary = b.SummaryID
			if !slices.Contains(summaries, summary) {
				t.Errorf("%s is marked with a summary that was not published before", line(t, entry))
			}
		}
		marks[entry.ID] = append(marks[entry.ID], summary)
	}
	return summaries, marks
}

func decode(t *testing.T, entry jobs.Entry) event.Event {
	t.Helper()
	e, err := event.Decode(eventtest.Envelope(entry, "stack"))
	if err != nil {
		t.Fatalf("%s: %v", entry.Detail, err)
	}
	return e
}

func TestManyLateStatusesArePublishedAfterOneSummary(t *testing.T) {
	w := newWorld(t)
	w.missed(t, 30)
	report := w.tick(t)
	got := w.published(t)
	if len(got) != 31 || got[0] != "summary of map[FAILED:10 SUCCEEDED:20]" || report.Summarized != 30 || report.Published != 30 {
		t.Fatalf("published %q, report %+v", got, report)
	}
	summary := decode(t, w.bus.Taken()[0])
	if len(summary.Detail.Jobs) != 30 || summary.Detail.Jobs[0].Status != jobs.Failed {
		t.Errorf("the summary lists %+v", summary.Detail.Jobs)
	}
	summaries, marks := w.deliveries(t)
	for id, of := range marks {
		if !slices.Equal(of, summaries) {
			t.Errorf("transition %s is marked with %q, the summaries are %q", id, of, summaries)
		}
	}
	if w.tick(t); len(w.bus.Taken()) != 31 {
		t.Errorf("the next tick published %q", w.published(t)[31:])
	}
}

func TestFewLateStatusesArePublishedWithoutASummary(t *testing.T) {
	w := newWorld(t)
	w.missed(t, event.MaxIndividual)
	w.tick(t)
	summaries, marks := w.deliveries(t)
	if len(summaries) != 0 || len(marks) != event.MaxIndividual {
		t.Fatalf("published %q", w.published(t))
	}
	for _, of := range marks {
		expect(t, of, "")
	}
}

func TestNoLateStatusIsPublishedWhileTheSummaryIsRefused(t *testing.T) {
	w := newWorld(t)
	w.missed(t, 30)
	w.job("wf0", "now", jobs.Running)
	w.bus.Fault = func(_ string, entry jobs.Entry) error {
		if entry.DetailType == event.Summary {
			return errors.New("throttled")
		}
		return nil
	}
	report := w.tick(t)
	expect(t, w.published(t), "wf0/now RUNNING")
	if report.Unpublished != 30 || len(report.Problems) != 1 || !strings.Contains(report.Problems[0], "publishing a summary of 30 late statuses") {
		t.Errorf("report %+v", report)
	}
	w.bus.Fault = nil
	w.tick(t)
	if got := w.published(t); len(got) != 32 || got[1] != "summary of map[FAILED:10 SUCCEEDED:20]" {
		t.Errorf("published %q", got)
	}
	w.deliveries(t)
}

func TestLateStatusesArePublishedUnmarkedWhenTheBusNeverAcceptsTheSummary(t *testing.T) {
	w := newWorld(t)
	w.missed(t, 30)
	w.bus.Fault = func(_ string, entry jobs.Entry) error {
		if entry.DetailType == event.Summary {
			return jobs.ErrUnpublishable
		}
		return nil
	}
	w.tick(t)
	summaries, marks := w.deliveries(t)
	if len(summaries) != 0 || len(marks) != 30 {
		t.Fatalf("published %q", w.published(t))
	}
	for _, of := range marks {
		expect(t, of, "")
	}
}

// A process that dies after n operations of the bus: the summary is the first.
func TestCrashWhilePublishingABacklogLosesNoStatus(t *testing.T) {
	for after := range 34 {
		w := newWorld(t)
		w.missed(t, 30)
		var calls atomic.Int64
		dead := func() error {
			if calls.Add(1) > int64(2*after) {
				return errors.New("dead")
			}
			return nil
		}
		w.bus.Fault = func(string, jobs.Entry) error { return dead() }
		w.store.Fault = func(op string) error {
			if calls.Load() > int64(2*after) && op != "Live" {
				return errors.New("dead")
			}
			return nil
		}
		w.tick(t)
		first, _ := w.deliveries(t)
		w.bus.Fault, w.store.Fault = nil, nil
		w.tick(t)
		summaries, marks := w.deliveries(t)
		if len(marks) != 30 {
			t.Errorf("dead after %d: %d of 30 transitions were published", after, len(marks))
		}
		if after == 1 && (len(first) != 1 || len(summaries) != 2 || summaries[0] != summaries[1]) {
			t.Errorf("the summary that was published before the crash has the ID %q, then %q", first, summaries)
		}
	}
}

func TestLateStatusesWaitForThoseThatTheTickCouldNotDiscover(t *testing.T) {
	w := newWorld(t)
	w.missed(t, 30)
	var calls atomic.Int64
	w.source.Fault = func(call string) error {
		if strings.HasPrefix(call, "Job ") && calls.Add(1) > 15 {
			return jobs.ErrThrottled
		}
		return nil
	}
	w.bus.Fault = func(string, jobs.Entry) error { return nil }
	report := w.tick(t)
	if !report.Throttled || report.Unpublished == 0 || report.Published != 0 {
		t.Fatalf("report %+v", report)
	}
	w.source.Fault = nil
	w.tick(t)
	if got := w.published(t); len(got) != 31 || got[0] != "summary of map[FAILED:10 SUCCEEDED:20]" {
		t.Errorf("published %q", got)
	}
}

func TestLateStatusesWaitFourMinutesAtMost(t *testing.T) {
	w := newWorld(t)
	w.missed(t, 3)
	w.tick(t)
	w.now = w.now.Add(time.Hour)
	w.job("wf0", "late", jobs.Failed)
	w.now = w.now.Add(time.Hour)
	if _, err := w.SweepWorkflow(t.Context(), "wf0"); err != nil { // it is recorded, not published
		t.Fatal(err)
	}
	w.source.Fault = on("Workflows", jobs.ErrThrottled)
	w.bus.Fault = func(string, jobs.Entry) error { return nil }
	for minute := 1; minute <= 5; minute++ {
		w.tick(t)
		if published, want := slices.Contains(w.published(t), "wf0/late FAILED"), minute > 4; published != want {
			t.Errorf("after %d minutes: published %t", minute, published)
		}
	}
}

func TestLateStatusesWaitForATickWithTimeToPublishThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.job("wf", "", "")
		w.tick(t)
		w.now = w.now.Add(time.Minute)
		for i := range 200 { // ten seconds
			w.job("wf", fmt.Sprintf("job%03d", i), jobs.Succeeded)
		}
		w.now = w.now.Add(time.Hour)
		w.bus.Fault = func(string, jobs.Entry) error { return nil }
		w.sweepWithin(t, 9*time.Second)
		if got := len(w.bus.Taken()); got != 0 {
			t.Errorf("with too little time: %d events published", got)
		}
		w.sweepWithin(t, 11*time.Second)
		if got := len(w.bus.Taken()); got != 201 {
			t.Errorf("with enough time: %d events published", got)
		}
	})
}

func (w *world) sweepWithin(t *testing.T, limit time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if _, err := w.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestSweepOfOneWorkflowLeavesLateStatusesToTheNextTick(t *testing.T) {
	w := newWorld(t)
	w.missed(t, 30)
	for i := range 3 {
		if _, err := w.SweepWorkflow(t.Context(), fmt.Sprintf("wf%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, w.published(t))
	w.tick(t)
	if summaries, marks := w.deliveries(t); len(summaries) != 1 || len(marks) != 30 {
		t.Errorf("published %q", w.published(t))
	}
}

func TestTrackedJobThatFinishedLongAgoIsPublishedAtOnce(t *testing.T) {
	w := newWorld(t)
	w.missed(t, 30)
	if _, err := w.Track(t.Context(), jobs.Key{Workflow: "wf0", Job: "job000"}); err != nil {
		t.Fatal(err)
	}
	expect(t, w.published(t), "wf0/job000 FAILED")
}

func TestEarlierEventsOfALateJobArePublishedBeforeItAndUnmarked(t *testing.T) {
	w := newWorld(t)
	w.job("wf1", "", "")
	w.job("wf0", "open", jobs.Queued)
	w.bus.Fault = func(string, jobs.Entry) error { return errors.New("down") }
	w.tick(t)
	w.job("wf0", "open", jobs.Running)
	w.tick(t)
	w.job("wf0", "open", jobs.Failed)
	w.bus.Fault = nil
	w.now = w.now.Add(time.Hour)
	for i := range 25 {
		w.job("wf1", fmt.Sprint(i), jobs.Succeeded)
	}
	w.now = w.now.Add(time.Hour)
	w.tick(t)
	var of []string
	for _, entry := range w.bus.Taken() {
		if e := decode(t, entry); e.Detail.JobID == "open" {
			of = append(of, fmt.Sprintf("%s %t", e.Detail.Status, e.Detail.Backlog != nil))
		}
	}
	expect(t, of, "QUEUED false", "RUNNING false", "FAILED true")
}
