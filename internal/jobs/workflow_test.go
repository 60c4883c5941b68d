package jobs

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestPredatesWatchSeparatesOldRunsFromNewOnes(t *testing.T) {
	first := WorkflowState{Baseline: noon}
	read := WorkflowState{Baseline: noon, Watermark: noon.Add(10 * time.Hour)}
	finished := func(start, end time.Duration) Job {
		return Job{Status: Succeeded, StartTime: noon.Add(start), EndTime: noon.Add(end)}
	}
	tests := []struct {
		name  string
		state WorkflowState
		job   Job
		want  bool
	}{
		{"finished before the baseline", first, finished(-2*time.Hour, -time.Hour), true},
		{"finished at the baseline", first, finished(-2*time.Hour, 0), true},
		{"finished while the list was read for the first time", first, finished(-2*time.Hour, time.Second), false},
		{"finished between two ticks, never observed", read, finished(10*time.Hour, 11*time.Hour), false},
		{"running for long", first, Job{Status: Running, StartTime: noon.Add(-time.Hour)}, false},
		{"running, started before the watermark", read, Job{Status: Running, StartTime: noon}, false},
		{"no times, list read for the first time", first, Job{Status: Failed}, true},
		{"no times, later", read, Job{Status: Failed}, false},
		{"no end time, started before the baseline", read, Job{Status: Failed, StartTime: noon.Add(-time.Hour)}, true},
		{"no end time, started after the watermark", read, Job{Status: Failed, StartTime: noon.Add(11 * time.Hour)}, false},
		{"no start time, finished after the watermark", read, Job{Status: Failed, EndTime: noon.Add(11 * time.Hour)}, false},
		{"no start time, finished long before the watermark", read, Job{Status: Failed, EndTime: noon.Add(time.Hour)}, true},
		{"started long before the watermark", read, finished(time.Hour, 2*time.Hour), true},
		{"started an hour before the watermark", read, finished(9*time.Hour, 10*time.Hour), false},
		{"started more than an hour before the watermark", read, finished(9*time.Hour-1, 10*time.Hour), true},
		{"retention is no reason: finished 400 days ago, after the baseline", WorkflowState{Baseline: noon}, finished(time.Hour, 2*time.Hour), false},
		{"not watched", WorkflowState{}, finished(-2*time.Hour, -time.Hour), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.state.PredatesWatch(test.job); got != test.want {
				t.Errorf("PredatesWatch = %v, want %v", got, test.want)
			}
		})
	}
}

func TestStubIsObsoleteOnceItsRowIsBehindTheWatermark(t *testing.T) {
	w := WorkflowState{Watermark: noon}
	stub := func(j Job) Record { return Record{Job: j, Archived: true} }
	for _, c := range []struct {
		name string
		stub Record
		want bool
	}{
		{"started more than an hour before", stub(Job{Status: Failed, StartTime: noon.Add(-time.Hour - 1)}), true},
		{"started an hour before", stub(Job{Status: Failed, StartTime: noon.Add(-time.Hour)}), false},
		{"started after", stub(Job{Status: Failed, StartTime: noon.Add(time.Hour)}), false},
		{"only an end time", stub(Job{Status: Failed, EndTime: noon.Add(-2 * time.Hour)}), true},
		{"ended an hour ago", stub(Job{Status: Failed, StartTime: noon.Add(-5 * time.Hour), EndTime: noon.Add(time.Hour)}), true},
		{"ended within the last hour", stub(Job{Status: Failed, StartTime: noon.Add(-5 * time.Hour), EndTime: noon.Add(time.Hour + 1)}), false},
		{"no times", stub(Job{Status: Failed}), false},
		{"vanished while it was running", Record{Job: Job{Status: Running, StartTime: noon.Add(-48 * time.Hour)}, Archived: true, Vanished: true}, false},
		{"no stub", Record{Job: Job{Status: Failed, StartTime: noon.Add(-2 * time.Hour)}}, false},
	} {
		if got := w.Obsolete(c.stub, noon.Add(2*time.Hour)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestBackfillIsTheNewestFiftyRuns(t *testing.T) {
	var w WorkflowState
	rows := history(60)
	for _, i := range []int{30, 5, 59, 5} {
		w = w.Remember(rows[i])
	}
	for _, row := range backwards(rows) {
		before := slices.Clone(w.Backfill)
		next := w.Remember(row)
		if !slices.Equal(w.Backfill, before) {
			t.Fatal("the state it was made from has changed")
		}
		w = next
	}
	if len(w.Backfill) != 50 {
		t.Fatalf("%d runs", len(w.Backfill))
	}
	for i, ref := range w.Backfill {
		if ref.Job != rows[i].Job || !ref.Start.Equal(rows[i].StartTime) {
			t.Fatalf("run %d is %v, want %v", i, ref, rows[i])
		}
	}
	left := w.Fetched([]string{"0", "1", "none"})
	if len(left.Backfill) != 48 || left.Backfill[0].Job != "2" || len(w.Backfill) != 50 {
		t.Errorf("left are %v", left.Backfill)
	}
}

func TestRunsAreOrderedByStartThenJobID(t *testing.T) {
	refs := []RunRef{{"b", noon}, {"a", noon.Add(time.Hour)}, {"a", noon}, {"c", noon.Add(-time.Hour)}}
	slices.SortFunc(refs, RunRef.Compare)
	if got := fmt.Sprint(refs[0].Job, refs[1].Job, refs[2].Job, refs[3].Job); got != "caba" {
		t.Errorf("order %s", got)
	}
}

func TestStatesAreEqualWhateverTheirVersions(t *testing.T) {
	w := WorkflowState{Workflow: "w", ARN: "arn", Version: 1, Baseline: noon, Watermark: noon, Cursor: Cursor{Token: "t", BeganAt: noon}, Backfill: []RunRef{{"a", noon}}}
	same := w
	same.Version, same.Backfill = 2, slices.Clone(w.Backfill)
	if !w.Equal(same) {
		t.Error("versions count")
	}
	for name, change := range map[string]func(*WorkflowState){
		"ARN":       func(w *WorkflowState) { w.ARN = "other" },
		"baseline":  func(w *WorkflowState) { w.Baseline = noon.Add(1) },
		"watermark": func(w *WorkflowState) { w.Watermark = noon.Add(1) },
		"cursor":    func(w *WorkflowState) { w.Cursor.Incomplete = true },
		"backfill":  func(w *WorkflowState) { w.Backfill = nil },
	} {
		changed := w
		change(&changed)
		if w.Equal(changed) {
			t.Errorf("%s does not count", name)
		}
	}
}

func TestFilterIsTheSameOnlyOnceItIsStored(t *testing.T) {
	for _, c := range []struct {
		f    FilterState
		want bool
	}{
		{FilterState{Include: "a", Exclude: "b", Version: 1}, true},
		{FilterState{Include: "a", Exclude: "b"}, false},
		{FilterState{Include: "a", Version: 1}, false},
		{FilterState{Include: "x", Exclude: "b", Version: 1}, false},
	} {
		if got := c.f.Same("a", "b"); got != c.want {
			t.Errorf("%+v: %v", c.f, got)
		}
	}
}

func TestStubStaysWhileAPollerThatReadItMayStillWrite(t *testing.T) {
	w := WorkflowState{Watermark: noon.Add(3 * time.Hour)}
	r := Record{Job: Job{Status: Failed, StartTime: noon, EndTime: noon.Add(time.Minute)}, Timeline: []Milestone{{ObservedAt: noon.Add(2 * time.Hour)}}}
	stub := r.Stub()
	if w.Obsolete(stub, noon.Add(2*time.Hour+15*time.Minute-1)) || !w.Obsolete(stub, noon.Add(2*time.Hour+15*time.Minute)) {
		t.Errorf("the stub %+v must stay for a quarter of an hour after its observation", stub)
	}
}
