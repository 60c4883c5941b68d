package jobs

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// run is a finished run that started n hours after noon.
func run(n int, status Status) Job {
	start := noon.Add(time.Duration(n) * time.Hour)
	return Job{Key: Key{"w", fmt.Sprintf("run-%04d", n)}, Type: "BATCH", Status: status, StartTime: start, EndTime: start.Add(10 * time.Minute),
		Error: "s3 bucket", Metrics: Metrics{InputRecords: int64(n), NewMappedRecords: 1, TotalMappedRecords: 0}}
}

func TestStartsAreTheNewestDistinctEightHundred(t *testing.T) {
	var h History
	for _, n := range []int{3, 1, 2, 1} {
		h = h.AddStart(noon.Add(time.Duration(n) * time.Second))
	}
	h = h.AddStart(time.Time{})
	base := noon.Unix()
	if !slices.Equal(h.Starts, []int64{base + 1, base + 2, base + 3}) {
		t.Errorf("starts %v", h.Starts)
	}
	kept := h
	for n := range 900 {
		h = h.AddStart(noon.Add(time.Duration(n) * time.Hour))
	}
	if len(h.Starts) != 800 || h.Starts[799] != noon.Add(899*time.Hour).Unix() || h.Starts[0] != noon.Add(100*time.Hour).Unix() {
		t.Errorf("%d starts from %d to %d", len(h.Starts), h.Starts[0], h.Starts[len(h.Starts)-1])
	}
	if len(kept.Starts) != 3 {
		t.Error("the history it was made from has changed")
	}
}

func TestFailuresAreThoseSinceTheLastSuccess(t *testing.T) {
	ids := func(h History) []string {
		var all []string
		for _, f := range h.Failures {
			all = append(all, f.Job)
		}
		return all
	}
	var h History
	for _, j := range []Job{run(1, Failed), run(0, Failed), run(2, "STOPPED"), run(3, Failed), run(3, Failed)} {
		h = h.Add(j)
	}
	if got := ids(h); !slices.Equal(got, []string{"run-0000", "run-0001", "run-0003"}) || h.LastSuccess != nil {
		t.Fatalf("failures %v, last success %v", got, h.LastSuccess)
	}
	if f := h.Failures[0]; f.Category != S3 || f.Message == "" || !f.End.Equal(noon.Add(10*time.Minute)) {
		t.Errorf("failure %+v", f)
	}
	h = h.Add(run(2, Succeeded)) // observed after a later failure
	if got := ids(h); !slices.Equal(got, []string{"run-0003"}) || h.LastSuccess.Job != "run-0002" || !h.LastSuccess.End.Equal(run(2, Succeeded).EndTime) {
		t.Fatalf("failures %v, last success %+v", got, h.LastSuccess)
	}
	if again := h.Add(run(1, Succeeded)).Add(run(1, Failed)).Add(run(2, Succeeded)); !reflect.DeepEqual(ids(again), ids(h)) || again.LastSuccess.Job != "run-0002" {
		t.Errorf("earlier runs changed it to %v after %v", ids(again), again.LastSuccess)
	}
	if done := h.Add(run(9, Succeeded)); len(done.Failures) != 0 || len(h.Failures) != 1 {
		t.Errorf("failures %v", done.Failures)
	}
	if both := (History{}).Add(run(1, Failed)).Add(run(1, Succeeded)).Add(run(1, Failed)); len(both.Failures) != 0 || both.LastSuccess.Job != "run-0001" {
		t.Errorf("a run that failed and succeeded leaves %v", ids(both))
	}
	if n := len(h.Starts); n != 4 {
		t.Errorf("%d starts, want one for each run of any status", n)
	}
}

func TestLongRunOfFailuresKeepsTheFirstAndTheNewest(t *testing.T) {
	h := History{}.Add(run(-1, Succeeded))
	for n := range 60 {
		j := run(n, Failed)
		if n == 5 {
			j.Error = "kms"
		}
		h = h.Add(j)
		if h.Omitted.Mixed != (n >= 54) { // the sixth is left out with the 55th
			t.Fatalf("mixed = %v after %d failures", h.Omitted.Mixed, n+1)
		}
	}
	if len(h.Failures) != 50 || h.Omitted.Count != 10 || h.Failures[0].Job != "run-0000" || h.Failures[1].Job != "run-0011" || h.Failures[49].Job != "run-0059" {
		t.Fatalf("%d failures from %s, %s to %s, %d omitted", len(h.Failures), h.Failures[0].Job, h.Failures[1].Job, h.Failures[49].Job, h.Omitted.Count)
	}
	if again := h.Add(run(5, Failed)).Add(run(59, Failed)).Add(run(0, Failed)).Add(run(-1, Succeeded)); again.Omitted.Count != 10 || len(again.Failures) != 50 {
		t.Errorf("%d omitted after the same failures again", again.Omitted.Count)
	}
	if after := h.Add(run(60, Succeeded)); after.Omitted != (Omitted{}) || len(after.Failures) != 0 {
		t.Errorf("after a success: %+v", after)
	}
}

func TestSuccessesAreTheNewestFiftyOneOfAJobType(t *testing.T) {
	var h Histories
	for n := range 60 {
		h.Add(Record{Job: run(59-n, Succeeded)})
		h.Add(Record{Job: run(59-n, Succeeded)})
	}
	h.Add(Record{Job: run(70, Failed)})
	h.Add(Record{Job: run(71, Succeeded), Vanished: true})
	untyped := run(1, Succeeded)
	untyped.Type = ""
	h.Add(Record{Job: untyped})
	s := h.Successes["BATCH"]
	if len(s.Runs) != 51 || s.Runs[0].Job != "run-0009" || s.Runs[50].Job != "run-0059" {
		t.Fatalf("%d runs from %s to %s", len(s.Runs), s.Runs[0].Job, s.Runs[len(s.Runs)-1].Job)
	}
	if got := s.Runs[50].Metrics; !reflect.DeepEqual(got, Metrics{InputRecords: 59, TotalMappedRecords: 0}) {
		t.Errorf("measures %v", got)
	}
	if len(h.Successes) != 2 || len(h.Successes[""].Runs) != 1 {
		t.Errorf("types %v", h.Successes)
	}
}

func TestDurationOfAQueuedRunCountsFromItsFirstObservedRunning(t *testing.T) {
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	for _, c := range []struct {
		name     string
		timeline []Milestone
		want     time.Time
	}{
		{"queued, then running", []Milestone{{Status: Queued, ObservedAt: at(0)}, {Status: Running, ObservedAt: at(5)}, {Status: Running, ObservedAt: at(6)}}, at(5)},
		{"running at first sight", []Milestone{{Status: Running, ObservedAt: at(5)}, {Status: Queued, ObservedAt: at(6)}}, time.Time{}},
		{"queued, then finished", []Milestone{{Status: Queued, ObservedAt: at(0)}, {Status: Succeeded, ObservedAt: at(5)}}, time.Time{}},
		{"backfilled", nil, time.Time{}},
	} {
		got := Successes{}.Add(Record{Job: run(0, Succeeded), Timeline: c.timeline}).Runs[0].RunningSince
		if !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestHistoriesDoNotDependOnTheOrderInWhichRunsAreAdded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		statuses := rapid.SliceOfN(rapid.SampledFrom([]Status{Succeeded, Failed, "STOPPED"}), 1, 40).Draw(t, "statuses")
		var inOrder, shuffled Histories
		records := make([]Record, len(statuses))
		for n, status := range statuses {
			records[n] = Record{Job: run(n, status)}
			inOrder.Add(records[n])
		}
		for _, r := range rapid.Permutation(records).Draw(t, "order") {
			shuffled.Add(r)
			shuffled.Add(r)
		}
		if len(inOrder.Runs.Failures) == 0 {
			inOrder.Runs.Failures, shuffled.Runs.Failures = nil, shuffled.Runs.Failures[:0:0]
		}
		if len(shuffled.Runs.Failures) == 0 {
			shuffled.Runs.Failures = nil
		}
		if !reflect.DeepEqual(inOrder, shuffled) {
			t.Fatalf("in order %+v\nshuffled %+v", inOrder, shuffled)
		}
	})
}
