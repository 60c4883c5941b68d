package poller_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
)

// tagsCalls counts the calls for tags since the given one, by workflow.
func (w *world) tagsCalls(since int) map[string]int {
	calls := make(map[string]int)
	for _, call := range w.source.Calls()[since:] {
		if workflow, ok := strings.CutPrefix(call, "Tags "); ok {
			calls[workflow]++
		}
	}
	return calls
}

func TestTagsAreReadOnceATickForAWorkflowWithAnEventAndElseNever(t *testing.T) {
	w := newWorld(t)
	for _, workflow := range []string{"crm", "ads", "web"} {
		w.source.SetTags(workflow, map[string]string{"owner": workflow})
		w.job(workflow, "", "")
	}
	w.tick(t)
	for _, step := range []struct {
		name string
		set  func()
		want map[string]int
	}{
		{"nothing", func() {}, map[string]int{}},
		{"three jobs of one workflow and one of another", func() {
			w.job("crm", "a", jobs.Running)
			w.job("crm", "b", jobs.Queued)
			w.job("crm", "c", jobs.Failed)
			w.job("ads", "d", jobs.Running)
		}, map[string]int{"crm": 1, "ads": 1}},
		{"nothing with open jobs", func() {}, map[string]int{}},
		{"an end and a begin", func() {
			w.job("crm", "a", jobs.Succeeded)
			w.job("crm", "e", jobs.Running)
		}, map[string]int{"crm": 1}},
	} {
		step.set()
		before := len(w.source.Calls())
		w.tick(t)
		if got := w.tagsCalls(before); !maps.Equal(got, step.want) {
			t.Errorf("%s: calls %v, want %v", step.name, got, step.want)
		}
	}
}

func TestTagsLastReadCountWhereTheyCannotBeRead(t *testing.T) {
	for _, fault := range []error{jobs.ErrDenied, jobs.ErrThrottled, jobs.ErrUnavailable, jobs.ErrLate, jobs.ErrNotFound} {
		w := newWorld(t)
		w.source.SetTags("crm", map[string]string{"owner": "CRM team"})
		w.job("crm", "a", jobs.Running)
		w.tick(t)
		if state, _ := w.state(t, "crm"); state.Tags["owner"] != "CRM team" {
			t.Fatalf("stored tags %v", state.Tags)
		}
		w.source.SetTags("crm", map[string]string{"owner": "someone else"})
		w.source.Fault = on("Tags crm", fault)
		w.job("crm", "a", jobs.Failed)
		w.job("ads", "b", jobs.Queued)
		report := w.tick(t)
		if !report.Complete() || report.TagsUnread != 1 || report.Values()[poller.TagsUnread] != 1 || report.Published != 2 {
			t.Errorf("%v: report %+v", fault, report)
		}
		for _, e := range w.events(t) {
			if e.Detail.WorkflowName == "crm" && e.Detail.Tags["owner"] != "CRM team" {
				t.Errorf("%v: tags %v", fault, e.Detail.Tags)
			}
		}
	}
}

func TestTagsAreForgottenWhereTheWorkflowHasNoneAnyMore(t *testing.T) {
	w := newWorld(t)
	w.source.SetTags("crm", map[string]string{"owner": "CRM team"})
	w.job("crm", "a", jobs.Running)
	w.tick(t)
	w.source.SetTags("crm", nil)
	w.job("crm", "a", jobs.Succeeded)
	w.tick(t)
	if state, _ := w.state(t, "crm"); len(state.Tags) != 0 {
		t.Errorf("stored tags %v", state.Tags)
	}
	if all := w.events(t); all[len(all)-1].Detail.Tags != nil {
		t.Errorf("tags %v", all[len(all)-1].Detail.Tags)
	}
}

func TestTagsOfAJobThatIsFollowedCloselyAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fastWorld(t)
		w.start("a", jobs.Running)
		w.minute(t)
		w.source.SetTags("crm", map[string]string{"owner": "CRM team"})
		w.end("a", 12*time.Second)
		w.minute(t)
		if state, _ := w.state(t, "crm"); state.Tags["owner"] != "CRM team" {
			t.Errorf("stored tags %v", state.Tags)
		}
	})
}

// events are those on the bus, each of which Decode accepts.
func (w *world) events(t *testing.T) []event.Event {
	t.Helper()
	var all []event.Event
	for _, entry := range w.bus.Taken() {
		all = append(all, decode(t, entry))
	}
	return all
}

func TestEventOfEachTypeHasTheTags(t *testing.T) {
	w := daily(t)
	w.source.SetTags("crm", map[string]string{"owner": "CRM team", "email": "crm@example.com", "overdue-after": "90m"})
	w.until(t, w.now.Add(30*time.Hour)) // missing
	w.job("crm", "slow", jobs.Running)  // resumed
	w.until(t, w.now.Add(2*time.Hour))  // overdue
	w.source.Remove(jobs.Key{Workflow: "crm", Job: "slow"})
	w.until(t, w.now.Add(time.Hour)) // vanished
	w.now = w.now.Add(time.Hour)
	for i := range 21 {
		w.job("crm", fmt.Sprint("late", i), jobs.Failed)
	}
	w.now = w.now.Add(time.Hour)
	w.tick(t) // summary
	w.source.SetTags("crm", map[string]string{"owner": "CRM team", "email": "crm@example.com", "mute-until": w.now.Add(time.Hour).Format(time.RFC3339)})
	w.job("crm", "muted", jobs.Failed)
	w.tick(t)
	w.until(t, w.now.Add(2*time.Hour)) // the mute has ended
	types := make(map[string]int)
	for _, e := range w.events(t) {
		types[e.DetailType]++
		want := "CRM team"
		if e.DetailType == event.Summary {
			want = ""
		}
		if e.Detail.Tags["email"] != "crm@example.com" || e.Detail.Tags["owner"] != want {
			t.Errorf("%s has tags %v", e.DetailType, e.Detail.Tags)
		}
	}
	want := []string{event.StateChange, event.Vanished, event.Overdue, event.RunMissing, event.RunResumed, event.MuteEnded, event.Summary}
	if got := slices.Sorted(maps.Keys(types)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("events %v", types)
	}
}

func TestOverdueAfterTagTakesThePlaceOfTheStacksRule(t *testing.T) {
	for _, c := range []struct {
		name, tag string
		rule      jobs.OverdueRule
		want      time.Duration // after the start; 0 is never
	}{
		{"set", "20m", jobs.OverdueRule{}, 20 * time.Minute},
		{"set where the stack has none", "4h", jobs.OverdueRule{Off: true}, 4 * time.Hour},
		{"off", "off", jobs.OverdueRule{After: time.Hour}, 0},
		{"unusable", "tomorrow", jobs.OverdueRule{After: time.Hour}, time.Hour},
	} {
		w := watched(t, 6)
		w.Overdue = c.rule
		w.source.SetTags("crm", map[string]string{"overdue-after": c.tag})
		w.job("crm", "slow", jobs.Running)
		start := w.now
		for w.tick(t); w.now.Sub(start) < 25*time.Hour && len(w.overdue(t)) == 0; {
			w.after(t, 10*time.Minute)
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

func TestOverdueAfterThatChangesWhileAJobIsOpenCounts(t *testing.T) {
	for _, c := range []struct {
		name, before, after string
		learn               func(*world) // how the poller learns of the change
		want                time.Duration
	}{
		{"sooner, by a sweep of the workflow", "4h", "90m", func(w *world) { _, _ = w.SweepWorkflow(context.Background(), "crm") }, 90 * time.Minute},
		{"off, by a sweep of the workflow", "4h", "off", func(w *world) { _, _ = w.SweepWorkflow(context.Background(), "crm") }, 0},
		{"sooner, by a sweep with an event", "4h", "90m", func(w *world) {
			w.job("crm", "other", jobs.Succeeded)
			_, _ = w.SweepWorkflow(context.Background(), "crm")
		}, 90 * time.Minute},
		{"sooner, by another job's event", "4h", "90m", func(w *world) { w.job("crm", "other", jobs.Succeeded) }, 90 * time.Minute},
		{"later, by its own event", "90m", "4h", func(*world) {}, 4 * time.Hour},
		{"off, by its own event", "90m", "off", func(*world) {}, 0},
	} {
		w := watched(t, 6)
		w.source.SetTags("crm", map[string]string{"overdue-after": c.before})
		w.job("crm", "slow", jobs.Running)
		w.job("crm", "other", jobs.Running)
		start := w.now
		w.tick(t)
		w.source.SetTags("crm", map[string]string{"overdue-after": c.after})
		w.after(t, 30*time.Minute)
		c.learn(w)
		w.tick(t)
		w.job("crm", "other", jobs.Succeeded)
		for w.now.Sub(start) < 8*time.Hour {
			w.after(t, 10*time.Minute)
		}
		got := time.Duration(0)
		if all := w.overdue(t); len(all) > 0 {
			got = all[0].Since.Sub(start)
		}
		if n := len(w.overdue(t)); got != c.want || n > 1 {
			t.Errorf("%s: overdue after %s, want %s (%d events)", c.name, got, c.want, n)
		}
	}
}

func TestExpectEveryTagTakesThePlaceOfTheRhythm(t *testing.T) {
	for _, c := range []struct {
		name, tag string
		none      bool          // the stack expects no runs
		missing   time.Duration // after the last start; 0 is never
	}{
		{"of an hour", "1h", false, time.Hour + 90*time.Minute},
		{"of two days", "48h", false, 48*time.Hour + 48*time.Hour/10},
		{"where the stack expects none", "2h", true, 2*time.Hour + 90*time.Minute},
		{"off", "off", false, 0},
		{"unusable", "weekly", false, 0},
	} {
		w := newWorld(t)
		w.ExpectNoRuns = c.none
		w.source.SetTags("crm", map[string]string{"expect-every": c.tag})
		w.job("crm", "", "")
		w.tick(t)
		w.job("crm", "a", jobs.Running)
		start := w.now
		w.tick(t)
		w.job("crm", "a", jobs.Succeeded)
		w.until(t, start.Add(80*time.Hour))
		all := w.runs(t)
		if c.missing == 0 {
			if len(all) != 0 {
				t.Errorf("%s: %+v", c.name, all[0].Detail)
			}
			continue
		}
		if len(all) != 1 || all[0].DetailType != event.RunMissing || !all[0].Detail.ExpectedStart.By.Equal(start.Add(c.missing)) || all[0].Detail.ExpectedStart.Of != 0 {
			t.Errorf("%s: %d events: %+v", c.name, len(all), all)
			continue
		}
		w.job("crm", "b", jobs.Succeeded)
		w.until(t, w.now.Add(20*time.Minute))
		if all = w.runs(t); len(all) != 2 || all[1].DetailType != event.RunResumed || all[1].Detail.JobID != "b" {
			t.Errorf("%s: %+v", c.name, all)
		}
	}
}

func TestExpectEveryIsReadAgainBeforeARunIsReportedAsMissing(t *testing.T) {
	for tag, want := range map[string]int{"off": 0, "24h": 0, "1h": 1} {
		w := newWorld(t)
		w.source.SetTags("crm", map[string]string{"expect-every": "2h"})
		w.job("crm", "", "")
		w.tick(t)
		w.now = w.now.Add(time.Second)
		w.job("crm", "a", jobs.Succeeded)
		w.tick(t)
		w.source.SetTags("crm", map[string]string{"expect-every": tag})
		w.until(t, w.now.Add(10*time.Hour))
		if n := len(w.runs(t)); n != want {
			t.Errorf("%s: %d events, want %d", tag, n, want)
		}
	}
}

func TestTagsThatCannotBeReadDoNotKeepAMissingRunFromBeingReported(t *testing.T) {
	w := newWorld(t)
	w.source.SetTags("crm", map[string]string{"expect-every": "2h"})
	w.job("crm", "", "")
	w.tick(t)
	w.now = w.now.Add(time.Second)
	w.job("crm", "a", jobs.Succeeded)
	w.tick(t)
	w.source.Fault = on("Tags crm", jobs.ErrDenied)
	w.until(t, w.now.Add(10*time.Hour))
	if n := len(w.runs(t)); n != 1 {
		t.Errorf("%d events", n)
	}
}

func TestManyLateStatusesOfEachAudienceHaveASummaryOfTheirOwn(t *testing.T) {
	w := newWorld(t)
	routed := map[string]map[string]string{
		"wf0": {"slack-channel": "C0AAA", "owner": "a"},
		"wf1": {"slack-channel": "C0AAA", "owner": "b"}, // the same people
		"wf2": {"slack-channel": "C0BBB"},
		"wf3": nil,
		"wf4": {"statuses": "FAILED"},
	}
	for workflow, own := range routed {
		w.source.SetTags(workflow, own)
		w.job(workflow, "", "")
	}
	w.tick(t)
	w.now = w.now.Add(time.Second)
	for i, n := range []int{11, 11, 25, 20, 21} {
		for j := range n {
			w.job(fmt.Sprint("wf", i), fmt.Sprint("job", j), jobs.Failed)
		}
	}
	w.now = w.now.Add(time.Hour)
	w.tick(t)
	summaries := make(map[string]string) // by ID
	var got []string
	marked := make(map[string]string) // by workflow
	for _, e := range w.events(t) {
		if e.DetailType == event.Summary {
			about := fmt.Sprintf("%d for %v", e.Detail.Statuses[jobs.Failed], e.Detail.Tags)
			summaries[e.Detail.TransitionID], got = about, append(got, about)
			continue
		}
		mark := ""
		if e.Detail.Backlog != nil {
			mark = summaries[e.Detail.Backlog.SummaryID]
		}
		marked[e.Detail.WorkflowName] = mark
	}
	slices.Sort(got)
	expect(t, got, "21 for map[statuses:FAILED]", "22 for map[slack-channel:C0AAA]", "25 for map[slack-channel:C0BBB]")
	want := map[string]string{"wf0": got[1], "wf1": got[1], "wf2": got[2], "wf3": "", "wf4": got[0]}
	if !maps.Equal(marked, want) {
		t.Errorf("marks %v, want %v", marked, want)
	}
}
