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

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
	"github.com/idmapping/notifier/internal/tags"
)

// muteUntil tags the workflow crm as muted for a while from now.
func (w *world) muteUntil(d time.Duration) time.Time {
	until := w.now.Add(d)
	w.source.SetTags("crm", map[string]string{tags.MuteUntil: until.Format(time.RFC3339), tags.MuteReason: "moving the CRM export"})
	return until
}

// muted is a world whose workflow crm is muted for three hours.
func muted(t *testing.T) (w *world, until time.Time) {
	t.Helper()
	w = newWorld(t)
	w.job("crm", "", "")
	w.tick(t)
	w.now = w.now.Add(time.Second)
	return w, w.muteUntil(3 * time.Hour)
}

// sentEvents is what people read of what the notifier sends: events that the tags
// do not mute, and the ends of mutes, each once.
type sentEvents struct {
	sent   []string        // "crm/a FAILED"
	ends   []event.Detail  // by their IDs
	listed map[string]bool // "crm/a FAILED"
}

func (w *world) sentEvents(t *testing.T) sentEvents {
	t.Helper()
	all := sentEvents{listed: make(map[string]bool)}
	var ids []string
	for _, entry := range w.bus.Taken() {
		e := decode(t, entry)
		if event.Muted(entry) || slices.Contains(ids, entry.ID) {
			continue
		}
		ids = append(ids, entry.ID)
		if e.DetailType != event.MuteEnded {
			all.sent = append(all.sent, line(t, entry))
			continue
		}
		all.ends = append(all.ends, e.Detail)
		for _, j := range e.Detail.Jobs {
			all.listed[fmt.Sprintf("%s/%s %s", j.WorkflowName, j.JobID, j.Status)] = true
		}
	}
	return all
}

func TestMutedStatusesAreListedOnceWhenTheMuteEnds(t *testing.T) {
	w, until := muted(t)
	w.job("crm", "a", jobs.Running)
	w.job("ads", "other", jobs.Running)
	since := w.now.Add(time.Minute)
	w.tick(t)
	w.job("crm", "a", jobs.Failed)
	w.job("crm", "b", jobs.Succeeded)
	w.tick(t)
	if state, _ := w.state(t, "crm"); !state.Mute.Since.Equal(since) || !state.Mute.Until.Equal(until) || state.Mute.Reason != "moving the CRM export" {
		t.Fatalf("state %+v", state.Mute)
	}
	w.until(t, until.Add(-time.Minute))
	if all := w.sentEvents(t); len(all.ends) != 0 || !slices.Equal(all.sent, []string{"ads/other RUNNING"}) {
		t.Fatalf("while it is muted: %+v", all)
	}
	w.until(t, until.Add(time.Hour))
	all := w.sentEvents(t)
	if len(all.ends) != 1 || len(all.sent) != 1 {
		t.Fatalf("afterwards: %+v", all)
	}
	d := all.ends[0]
	if !d.Mute.Since.Equal(since) || !d.Mute.Until.Equal(until) || d.Mute.Reason != "moving the CRM export" || d.Statuses[jobs.Failed] != 1 || d.Statuses[jobs.Succeeded] != 1 ||
		len(d.Jobs) != 2 || d.ObservedAt.Sub(until) > 10*time.Minute || d.JobID != "" || d.Tags[tags.MuteReason] == "" {
		t.Errorf("the end: %+v", d)
	}
	if state, _ := w.state(t, "crm"); state.Mute != (jobs.Mute{}) || len(state.Outbox) != 0 {
		t.Errorf("state %+v", state)
	}
	w.job("crm", "c", jobs.Failed)
	w.tick(t)
	if all := w.sentEvents(t); all.sent[len(all.sent)-1] != "crm/c FAILED" {
		t.Errorf("after the mute: %q", all.sent)
	}
}

func TestMuteWithoutAnyEndSaysThatNothingFinished(t *testing.T) {
	w, until := muted(t)
	w.job("crm", "a", jobs.Running)
	w.until(t, until.Add(time.Hour))
	all := w.sentEvents(t)
	if len(all.ends) != 1 || len(all.ends[0].Jobs) != 0 || all.ends[0].Streak != nil || len(all.sent) != 0 {
		t.Errorf("%+v", all)
	}
	w, until = muted(t)
	w.until(t, until.Add(time.Hour))
	if all := w.sentEvents(t); len(all.ends) != 0 {
		t.Errorf("nothing happened: %+v", all)
	}
}

func TestEndOfAMuteSaysWhatStillLasts(t *testing.T) {
	w := daily(t)
	w.source.SetTags("crm", map[string]string{"overdue-after": "90m", tags.MuteUntil: w.now.Add(40 * time.Hour).Format(time.RFC3339)})
	for i := range 2 {
		w.run(fmt.Sprint("bad", i), jobs.Failed, 0, 0)
		w.tick(t)
	}
	w.until(t, w.now.Add(30*time.Hour)) // a run is missing
	w.until(t, w.now.Add(12*time.Hour))
	all := w.sentEvents(t)
	if len(all.ends) != 1 || len(all.sent) != 0 {
		t.Fatalf("%+v", all)
	}
	if d := all.ends[0]; d.Statuses[jobs.RunMissing] != 1 || d.Streak == nil || d.Streak.Failures != 2 || d.Error == nil || d.Statuses[jobs.Failed] != 2 {
		t.Errorf("%+v", d)
	}
	w.source.SetTags("crm", map[string]string{"overdue-after": "90m", tags.MuteUntil: w.now.Add(4 * time.Hour).Format(time.RFC3339)})
	w.job("crm", "slow", jobs.Running)
	w.until(t, w.now.Add(5*time.Hour))
	all = w.sentEvents(t)
	if len(all.ends) != 2 || len(all.sent) != 0 {
		t.Fatalf("%+v", all)
	}
	if d := all.ends[1]; d.Statuses[jobs.Overdue] != 1 || d.Statuses[jobs.RunMissing] != 0 || d.Streak.Failures != 2 {
		t.Errorf("%+v", d)
	}
}

func TestStreakOfTheEndOfAMuteCountsWhatIsNotArchivedYet(t *testing.T) {
	w, until := muted(t)
	w.job("crm", "a", jobs.Failed)
	w.tick(t)
	w.store.Fault = on("Archive", errors.New("unavailable"))
	w.job("crm", "b", jobs.Failed)
	w.until(t, until.Add(time.Hour))
	if all := w.sentEvents(t); len(all.ends) != 1 || all.ends[0].Streak == nil || all.ends[0].Streak.Failures != 2 {
		t.Errorf("%+v", all)
	}
}

func TestMuteThatIsExtendedHasOneEnd(t *testing.T) {
	w, until := muted(t)
	w.job("crm", "a", jobs.Failed)
	w.tick(t)
	w.until(t, until.Add(-time.Minute))
	since, _ := w.state(t, "crm")
	until = w.muteUntil(5 * time.Hour)
	w.until(t, until.Add(-time.Hour))
	if state, _ := w.state(t, "crm"); !state.Mute.Until.Equal(until) || !state.Mute.Since.Equal(since.Mute.Since) {
		t.Errorf("state %+v", state.Mute)
	}
	w.job("crm", "b", jobs.Failed)
	w.until(t, until.Add(time.Hour))
	if all := w.sentEvents(t); len(all.ends) != 1 || all.ends[0].Statuses[jobs.Failed] != 2 || len(all.sent) != 0 {
		t.Errorf("%+v", all)
	}
}

func TestMuteEndsEarlyWhenTheTagIsChanged(t *testing.T) {
	for _, c := range []struct {
		name string
		own  func(*world) map[string]string
		set  func(*testing.T, *world)
		sent []string
	}{
		{"removed, by a sweep of the workflow", func(*world) map[string]string { return nil },
			func(_ *testing.T, w *world) { _, _ = w.SweepWorkflow(context.Background(), "crm") }, nil},
		{"in the past, by a sweep of the workflow", func(w *world) map[string]string {
			return map[string]string{tags.MuteUntil: w.now.Add(-time.Hour).Format(time.RFC3339)}
		}, func(_ *testing.T, w *world) { _, _ = w.SweepWorkflow(context.Background(), "crm") }, nil},
		{"removed, by the next event", func(*world) map[string]string { return nil },
			func(t *testing.T, w *world) { w.job("crm", "b", jobs.Failed); w.tick(t) }, []string{"crm/b FAILED"}},
		{"removed, by a tracked job", func(*world) map[string]string { return nil },
			func(_ *testing.T, w *world) {
				w.job("crm", "b", jobs.Failed)
				_, _ = w.Track(context.Background(), jobs.Key{Workflow: "crm", Job: "b"})
			}, []string{"crm/b FAILED"}},
		{"unreadable", func(*world) map[string]string { return map[string]string{tags.MuteUntil: "tomorrow"} },
			func(_ *testing.T, w *world) { _, _ = w.SweepWorkflow(context.Background(), "crm") }, nil},
	} {
		w, until := muted(t)
		w.job("crm", "a", jobs.Failed)
		w.tick(t)
		w.tick(t)
		w.source.SetTags("crm", c.own(w))
		w.now = w.now.Add(time.Minute)
		c.set(t, w)
		at := w.now
		w.until(t, until.Add(time.Hour))
		all := w.sentEvents(t)
		if len(all.ends) != 1 || !slices.Equal(all.sent, c.sent) {
			t.Errorf("%s: %+v", c.name, all)
			continue
		}
		if d := all.ends[0]; !d.ObservedAt.Equal(at) || !d.Mute.Until.Equal(at) || len(d.Jobs) != 1 || d.Jobs[0].JobID != "a" {
			t.Errorf("%s: %+v at %s", c.name, d, at)
		}
	}
}

func TestMuteThatCannotBeDoesNotMute(t *testing.T) {
	for name, value := range map[string]func(*world) string{
		"more than 30 days ahead": func(w *world) string { return w.now.Add(31 * 24 * time.Hour).Format(time.RFC3339) },
		"in the past":             func(w *world) string { return w.now.Add(-time.Minute).Format(time.RFC3339) },
		"not a time":              func(*world) string { return "2026-11-24" },
	} {
		w, _ := muted(t)
		w.source.SetTags("crm", map[string]string{tags.MuteUntil: value(w)})
		w.job("crm", "a", jobs.Failed)
		w.until(t, w.now.Add(5*time.Hour))
		if all := w.sentEvents(t); len(all.ends) != 0 || !slices.Equal(all.sent, []string{"crm/a FAILED"}) {
			t.Errorf("%s: %+v", name, all)
		}
	}
}

func TestMuteThatBecomesLessThan30DaysBetweenTwoClockReadingsLosesNothing(t *testing.T) {
	w, _ := muted(t)
	reads := 0
	w.Now = func() time.Time { reads++; return w.now.Add(time.Duration(reads) * time.Millisecond) }
	for n := range 40 {
		reads = 0
		w.source.SetTags("crm", map[string]string{tags.MuteUntil: w.now.Add(time.Minute + tags.MaxMute + time.Duration(n)*time.Millisecond).Format(time.RFC3339Nano)})
		w.job("crm", fmt.Sprint(n), jobs.Failed)
		w.tick(t)
	}
	w.source.SetTags("crm", nil)
	if _, err := w.SweepWorkflow(t.Context(), "crm"); err != nil {
		t.Fatal(err)
	}
	all := w.sentEvents(t)
	for n := range 40 {
		if failed := fmt.Sprintf("crm/%d FAILED", n); !all.listed[failed] && !slices.Contains(all.sent, failed) {
			t.Errorf("%s is neither sent nor listed", failed)
		}
	}
}

func TestMutedWorkflowThatIsDeletedHasASummaryBeforeItIsForgotten(t *testing.T) {
	w, _ := muted(t)
	w.job("crm", "a", jobs.Failed)
	w.job("crm", "b", jobs.Running)
	w.tick(t)
	w.source.Remove(jobs.Key{Workflow: "crm"})
	for range 40 {
		w.tick(t)
	}
	all := w.sentEvents(t)
	if len(all.ends) != 1 || !all.listed["crm/a FAILED"] || !all.listed["crm/b VANISHED"] || len(all.sent) != 0 {
		t.Errorf("%+v", all)
	}
	if _, known := w.state(t, "crm"); known {
		t.Error("the state stays")
	}
}

func TestMutedWorkflowThatIsExcludedStillHasASummary(t *testing.T) {
	for name, again := range map[string]bool{"for good": false, "for a while": true} {
		w, until := muted(t)
		w.job("crm", "a", jobs.Failed)
		w.job("crm", "b", jobs.Running)
		w.tick(t)
		w.Watched, _ = poller.NewFilter("*", "crm")
		w.until(t, until.Add(-time.Hour))
		if again {
			w.Watched, _ = poller.NewFilter("*", "")
		}
		w.until(t, until.Add(time.Hour))
		if all := w.sentEvents(t); len(all.ends) != 1 || !all.listed["crm/a FAILED"] {
			t.Errorf("%s: %+v", name, all)
		}
		if state, _ := w.state(t, "crm"); state.Mute != (jobs.Mute{}) {
			t.Errorf("%s: %+v", name, state)
		}
	}
}

func TestJobThatIsTrackedInAWorkflowWithoutAStateIsNotMuted(t *testing.T) {
	w, _ := muted(t)
	w.Watched, _ = poller.NewFilter("ads", "")
	w.store = nil
	other := newWorld(t)
	other.Watched, _ = poller.NewFilter("ads", "")
	other.muteUntil(3 * time.Hour)
	other.job("crm", "a", jobs.Running)
	if _, err := other.Track(t.Context(), jobs.Key{Workflow: "crm", Job: "a"}); err != nil {
		t.Fatal(err)
	}
	other.job("crm", "a", jobs.Failed)
	other.tick(t)
	if all := other.sentEvents(t); !slices.Equal(all.sent, []string{"crm/a RUNNING", "crm/a FAILED"}) {
		t.Errorf("%+v", all)
	}
	for _, e := range other.events(t) {
		if e.Detail.Tags[tags.MuteUntil] != "" || e.Detail.Tags[tags.MuteReason] == "" {
			t.Errorf("tags %v", e.Detail.Tags)
		}
	}
}

func TestMuteIsStoredBeforeItsFirstEvent(t *testing.T) {
	w, until := muted(t)
	w.store.Fault = on("Save", errors.New("unavailable"))
	w.job("crm", "a", jobs.Failed)
	w.tick(t)
	if state, _ := w.state(t, "crm"); state.Mute.Until.IsZero() || len(w.sentEvents(t).sent) != 0 {
		t.Fatalf("state %+v", state)
	}
	w.store.Fault = on("SaveWorkflow", errors.New("unavailable"))
	other, _ := muted(t)
	other.store.Fault = on("SaveWorkflow", errors.New("unavailable"))
	other.job("crm", "a", jobs.Failed)
	other.tick(t)
	if _, recorded := other.live(t, "crm", "a"); recorded {
		t.Error("an event was recorded whose mute was not stored")
	}
	for _, w := range []*world{w, other} {
		w.store.Fault = nil
		w.until(t, until.Add(time.Hour))
		if all := w.sentEvents(t); len(all.ends) != 1 || !all.listed["crm/a FAILED"] {
			t.Errorf("%+v", all)
		}
	}
}

// A process that dies at the n-th operation of the store or the bus.
func TestCrashAnywhereLosesNoMutedStatusAndRepeatsNoSummary(t *testing.T) {
	for _, kind := range []string{"error", "death", "panic"} {
		for n := 1; ; n++ {
			w, until := muted(t)
			calls, dead := 0, false
			fault := func(string) error {
				calls++
				switch {
				case dead:
					return errors.New("dead")
				case calls != n:
					return nil
				case kind == "panic":
					panic("crash")
				}
				dead = kind == "death"
				return errors.New("unavailable")
			}
			w.store.Fault = fault
			w.bus.Fault = func(op string, _ jobs.Entry) error { return fault(op) }
			sweep := func() {
				w.now = w.now.Add(time.Minute)
				func() {
					defer func() { _ = recover() }()
					_, _ = w.Sweep(context.Background())
				}()
				dead = false
			}
			w.job("crm", "a", jobs.Running)
			w.job("crm", "b", jobs.Failed)
			sweep()
			w.job("crm", "a", jobs.Failed)
			sweep()
			w.now = until
			sweep()
			sweep()
			reached := calls
			w.store.Fault, w.bus.Fault = nil, nil
			for range 3 {
				sweep()
			}
			all := w.sentEvents(t)
			for _, failed := range []string{"crm/a FAILED", "crm/b FAILED"} {
				if !all.listed[failed] && !slices.Contains(all.sent, failed) {
					t.Errorf("%s at %d: %s is neither sent nor listed: %+v", kind, n, failed, all)
				}
			}
			if len(all.ends) != 1 {
				t.Errorf("%s at %d: %d ends", kind, n, len(all.ends))
			}
			if reached < n {
				break
			}
		}
	}
}

// Two pollers at once: while one is at an operation, another does a whole tick.
func TestOverlapAnywhereLosesNoMutedStatus(t *testing.T) {
	for _, c := range []struct {
		name  string
		first func(w *world, until time.Time) // before the tick of the one that is held up
		other func(w *world, until time.Time) // before the tick of the other
	}{
		{"a status while the mute ends", func(w *world, until time.Time) {
			w.now = until.Add(-time.Second)
			w.job("crm", "b", jobs.Failed)
		}, func(w *world, until time.Time) { w.now = until }},
		{"a status while the tag is removed", func(w *world, _ time.Time) { w.job("crm", "b", jobs.Failed) },
			func(w *world, _ time.Time) { w.source.SetTags("crm", nil) }},
		{"a status while the mute ends, which the one that ends it does not know", func(w *world, until time.Time) { w.now = until },
			func(w *world, until time.Time) {
				w.now = until.Add(-time.Second)
				w.job("crm", "b", jobs.Failed)
			}},
		{"a status while the mute is made shorter", func(w *world, _ time.Time) { w.job("crm", "b", jobs.Failed) },
			func(w *world, _ time.Time) { w.muteUntil(time.Second) }},
		{"the end of the mute twice", func(w *world, until time.Time) { w.now = until }, func(*world, time.Time) {}},
	} {
		for _, archives := range []bool{true, false} {
			for n := 1; ; n++ {
				w, until := muted(t)
				w.job("crm", "a", jobs.Failed)
				w.job("crm", "b", jobs.Running)
				w.tick(t)
				w.job("crm", "newest", jobs.Running) // otherwise the end of b would change the state
				w.tick(t)
				w.tick(t)
				other := *w.Poller
				c.first(w, until)
				calls, busy := 0, false
				w.store.Fault = func(op string) error {
					if busy {
						if !archives && op == "Archive" {
							return errors.New("unavailable")
						}
						return nil
					}
					if calls++; calls == n {
						busy = true
						now := w.now
						c.other(w, until)
						_, _ = other.SweepWorkflow(context.Background(), "crm")
						w.now, busy = latest(now, w.now, until.Add(time.Second), c.name), false
					}
					return nil
				}
				_, _ = w.Sweep(context.Background())
				reached := calls
				w.store.Fault = nil
				w.until(t, until.Add(time.Hour))
				all := w.sentEvents(t)
				for _, failed := range []string{"crm/a FAILED", "crm/b FAILED"} {
					if job, _ := w.source.Get(jobs.Key{Workflow: "crm", Job: failed[4:5]}); job.Status == jobs.Failed && !all.listed[failed] && !slices.Contains(all.sent, failed) {
						t.Errorf("%s at %d (archives: %v): %s is neither sent nor listed: %+v", c.name, n, archives, failed, all)
					}
				}
				if strings.HasSuffix(c.name, "twice") && len(all.ends) != 1 {
					t.Errorf("%s at %d: %d ends", c.name, n, len(all.ends))
				}
				if reached < n {
					break
				}
			}
		}
	}
}

// latest is the time at which the one that was held up goes on.
func latest(before, after, ended time.Time, name string) time.Time {
	if strings.Contains(name, "does not know") || after.Before(before) {
		return ended
	}
	return after
}

func TestMuteWhoseEndTheBusDoesNotAcceptIsPublishedLaterUnderTheSameID(t *testing.T) {
	w, until := muted(t)
	w.job("crm", "a", jobs.Failed)
	w.tick(t)
	down := errors.New("the bus is down")
	var ids []string
	w.bus.Fault = func(op string, entry jobs.Entry) error {
		if entry.DetailType == event.MuteEnded && op == "Publish" {
			ids = append(ids, entry.ID)
		}
		return down
	}
	w.until(t, until.Add(time.Hour))
	down = nil
	w.tick(t)
	w.tick(t)
	if all := w.sentEvents(t); len(all.ends) != 1 || len(slices.Compact(ids)) != 1 || !all.listed["crm/a FAILED"] {
		t.Errorf("%+v under %q", all, ids)
	}
}

func TestEndOfAMuteWaitsForTheEventsThatTheBusHasNotAccepted(t *testing.T) {
	w, until := muted(t)
	down := errors.New("the bus is down")
	w.bus.Fault = func(string, jobs.Entry) error { return down }
	w.job("crm", "a", jobs.Failed)
	w.until(t, until.Add(time.Hour))
	down = nil
	w.tick(t)
	w.tick(t)
	if all := w.sentEvents(t); len(all.ends) != 1 || !all.listed["crm/a FAILED"] || len(all.sent) != 0 {
		t.Errorf("%+v", all)
	}
}

func TestRunThatFinishedLongBeforeTheMuteIsListed(t *testing.T) {
	w, _ := muted(t)
	w.job("crm", "old", jobs.Failed)
	w.now = w.now.Add(20 * 24 * time.Hour) // the stack was paused
	until := w.muteUntil(3 * time.Hour)
	w.tick(t)
	w.until(t, until.Add(time.Hour))
	if all := w.sentEvents(t); len(all.ends) != 1 || !all.listed["crm/old FAILED"] || len(all.sent) != 0 {
		t.Errorf("%+v", all)
	}
}

func TestLateStatusesThatAreMutedHaveNoSummaryButTheEndOfTheMute(t *testing.T) {
	w, _ := muted(t)
	w.job("ads", "", "")
	w.tick(t)
	for i := range 25 {
		w.now = w.now.Add(time.Second)
		w.job("crm", fmt.Sprint(i), jobs.Failed)
		w.job("ads", fmt.Sprint(i), jobs.Failed)
	}
	w.now = w.now.Add(time.Hour)
	until := w.muteUntil(3 * time.Hour)
	w.tick(t)
	w.until(t, until.Add(time.Hour))
	all := w.sentEvents(t)
	summaries := 0
	for _, e := range w.events(t) {
		if e.DetailType == event.Summary {
			summaries++
		}
	}
	if len(all.ends) != 1 || all.ends[0].Statuses[jobs.Failed] != 25 || len(all.sent) != 26 || summaries != 1 {
		t.Errorf("%d summaries, %d ends, %d sent", summaries, len(all.ends), len(all.sent))
	}
}

func TestTagsThatCannotBeReadEndAMuteWhenItWasToEnd(t *testing.T) {
	w, until := muted(t)
	w.job("crm", "a", jobs.Failed)
	w.tick(t)
	w.source.Fault = on("Tags crm", jobs.ErrDenied)
	w.job("crm", "b", jobs.Failed)
	w.tick(t) // muted by what was read last
	w.until(t, until.Add(time.Hour))
	if all := w.sentEvents(t); len(all.ends) != 1 || !all.listed["crm/a FAILED"] || !all.listed["crm/b FAILED"] || len(all.sent) != 0 {
		t.Errorf("%+v", all)
	}
}

func TestTickThatDiesAfterStoringAMuteKnowsItsTags(t *testing.T) {
	w, until := muted(t)
	w.store.Fault = func(op string) error {
		if op == "Save" {
			panic("crash")
		}
		return nil
	}
	w.job("crm", "a", jobs.Failed)
	w.now = w.now.Add(time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = w.Sweep(ctx)
	_, _ = w.Sweep(t.Context())
	w.store.Fault, w.source.Fault = nil, on("Tags crm", jobs.ErrDenied)
	w.until(t, until.Add(time.Hour))
	if all := w.sentEvents(t); len(all.ends) != 1 || !all.listed["crm/a FAILED"] || len(all.sent) != 0 {
		t.Errorf("%+v", all)
	}
}

func TestIdleTickOfAMutedWorkflowReadsAndWritesNothing(t *testing.T) {
	w, _ := muted(t)
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	w.tick(t)
	writes, calls := w.store.Writes(), len(w.source.Calls())
	for range 3 {
		w.tick(t)
	}
	if n := w.store.Writes() - writes; n != 0 || len(w.tagsCalls(calls)) != 0 {
		t.Errorf("%d writes, calls %v", n, w.tagsCalls(calls))
	}
}

func TestMuteIsEndedByAnyRequest(t *testing.T) {
	for _, payload := range []string{`{}`, `{"workflowName":"ads"}`, `{"workflowName":"ads","jobId":"b"}`} {
		w, until := muted(t)
		w.job("ads", "b", jobs.Running)
		w.job("crm", "a", jobs.Failed)
		w.tick(t)
		w.now = until
		if _, err := w.Handle(t.Context(), json.RawMessage(payload)); err != nil {
			t.Fatal(err)
		}
		if all := w.sentEvents(t); len(all.ends) != 1 || !all.listed["crm/a FAILED"] {
			t.Errorf("%s: %+v", payload, all)
		}
	}
}

func TestMuteThatTheEventOfACloselyFollowedJobLiftsEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fastWorld(t)
		w.source.SetTags("crm", map[string]string{tags.MuteUntil: time.Now().Add(24 * time.Hour).Format(time.RFC3339)})
		w.start("a", jobs.Failed)
		w.end("a", 0)
		w.start("b", jobs.Running)
		w.minute(t)
		w.source.SetTags("crm", nil)
		w.end("b", 12*time.Second)
		for range 3 {
			w.minute(t)
		}
		if all := w.sentEvents(t); len(all.ends) != 1 || len(all.listed) != 1 || !all.listed["crm/a FAILED"] || !slices.Equal(all.sent, []string{"crm/b FAILED"}) {
			t.Errorf("%+v", all)
		}
	})
}
