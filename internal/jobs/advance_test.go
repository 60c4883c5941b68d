package jobs

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func job(status Status) Job {
	j := Job{Key: Key{"w", "j"}, Status: status, StartTime: noon}
	if status.Terminal() {
		j.EndTime = noon.Add(time.Hour)
	}
	return j
}

func TestAdvanceForEveryPairOfKnownAndObserved(t *testing.T) {
	const paused = Status("PAUSED") // a status this version has never heard of
	stopped := Job{Key: Key{"w", "j"}, Status: "STOPPED", EndTime: noon}
	first := Status("")
	tests := []struct {
		known, observed Status
		verdict         Verdict
		skipped         []Status
	}{
		{first, Queued, Changed, nil},
		{first, Running, Changed, nil},
		{first, Succeeded, Changed, []Status{Running}},
		{first, Failed, Changed, []Status{Running}},
		{first, paused, Changed, nil},
		{first, stopped.Status, Changed, []Status{Running}},

		{Queued, Queued, Unchanged, nil},
		{Queued, Running, Changed, nil},
		{Queued, Succeeded, Changed, []Status{Running}},
		{Queued, Failed, Changed, []Status{Running}},
		{Queued, paused, Changed, nil},
		{Queued, stopped.Status, Changed, []Status{Running}},

		{Running, Queued, Regressed, nil},
		{Running, Running, Unchanged, nil},
		{Running, Succeeded, Changed, nil},
		{Running, Failed, Changed, nil},
		{Running, paused, Changed, nil},
		{Running, stopped.Status, Changed, nil},

		{Succeeded, Queued, Regressed, nil},
		{Succeeded, Running, Regressed, nil},
		{Succeeded, Succeeded, Unchanged, nil},
		{Succeeded, Failed, Changed, nil},
		{Succeeded, paused, Regressed, nil},
		{Succeeded, stopped.Status, Changed, nil},

		{Failed, Queued, Regressed, nil},
		{Failed, Running, Regressed, nil},
		{Failed, Succeeded, Changed, nil},
		{Failed, Failed, Unchanged, nil},
		{Failed, paused, Regressed, nil},
		{Failed, stopped.Status, Changed, nil},

		{paused, Queued, Regressed, nil},
		{paused, Running, Changed, nil},
		{paused, Succeeded, Changed, nil},
		{paused, Failed, Changed, nil},
		{paused, paused, Unchanged, nil},
		{paused, stopped.Status, Changed, nil},

		{stopped.Status, Queued, Regressed, nil},
		{stopped.Status, Running, Regressed, nil},
		{stopped.Status, Succeeded, Changed, nil},
		{stopped.Status, Failed, Changed, nil},
		{stopped.Status, paused, Regressed, nil},
		{stopped.Status, stopped.Status, Unchanged, nil},
	}
	of := func(s Status) Job {
		if s == stopped.Status {
			return stopped
		}
		return job(s)
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s then %s", test.known, test.observed), func(t *testing.T) {
			var known *Job
			if test.known != first {
				j := of(test.known)
				known = &j
			}
			verdict, transition := Advance(known, of(test.observed))
			if verdict != test.verdict {
				t.Fatalf("verdict = %v, want %v", verdict, test.verdict)
			}
			if verdict != Changed {
				return
			}
			if transition.Previous != test.known || transition.Job.Status != test.observed || !slices.Equal(transition.Skipped, test.skipped) {
				t.Errorf("transition = %+v, want from %q, skipped %v", transition, test.known, test.skipped)
			}
		})
	}
}

func TestAnUnknownStatusIsFinalOnlyWithAnEndTime(t *testing.T) {
	open := Job{Status: "STOPPED"}
	over := Job{Status: "STOPPED", EndTime: noon}
	if open.Terminal() || !over.Terminal() {
		t.Fatalf("Ended() = %v without and %v with an end time", open.Terminal(), over.Terminal())
	}
	if verdict, _ := Advance(&open, over); verdict != Refined {
		t.Errorf("the end of an announced status is %v, want refined", verdict)
	}
	if running := (Job{Status: Running, EndTime: noon}); running.Terminal() {
		t.Error("RUNNING with an end time counts as ended")
	}
}

// observations draws what a job may look like, seen in any order, with times
// missing or not.
func observations(t *rapid.T) []Job {
	statuses := []Status{Queued, Running, Succeeded, Failed, "PAUSED", "STOPPED"}
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Job {
		j := Job{Key: Key{"w", "j"}, Status: rapid.SampledFrom(statuses).Draw(t, "status")}
		if rapid.Bool().Draw(t, "start") {
			j.StartTime = noon
		}
		if rapid.Bool().Draw(t, "end") {
			j.EndTime = noon.Add(time.Hour)
		}
		return j
	}), 1, 20).Draw(t, "observations")
}

func TestAJobNeverMovesBackAndEveryEndSeenIsTold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var known *Job
		told := map[Status]bool{}
		for _, seen := range observations(t) {
			verdict, transition := Advance(known, seen)
			switch verdict {
			case Changed:
				if known != nil && seen.Stage() < known.Stage() {
					t.Fatalf("moved back from %v to %v", *known, seen)
				}
				if known != nil && transition.Previous != known.Status {
					t.Fatalf("previous is %q after %q", transition.Previous, known.Status)
				}
				for _, s := range transition.Skipped {
					if s == seen.Status || s == transition.Previous {
						t.Fatalf("%q counts as skipped between %q and %q", s, transition.Previous, seen.Status)
					}
				}
				told[seen.Status] = true
			case Refined:
				if !told[seen.Status] {
					t.Fatalf("%q was refined and never told", seen.Status)
				}
			}
			if verdict == Changed || verdict == Refined {
				known = &seen
			}
			if seen.Status.Terminal() && !told[seen.Status] {
				t.Fatalf("end %q was not told", seen.Status)
			}
			if again, _ := Advance(known, seen); again != Unchanged && again != Regressed {
				t.Fatalf("the same observation twice is %v", again)
			}
		}
	})
}

func TestAJobIsReportedMissingOnlyAfterThreeMissesAndTenMinutes(t *testing.T) {
	tests := []struct {
		name string
		at   []time.Duration // when the job was missed
		want []bool
	}{
		{"three within two minutes", []time.Duration{0, time.Minute, 2 * time.Minute}, []bool{false, false, false}},
		{"two, ten minutes apart", []time.Duration{0, 10 * time.Minute}, []bool{false, false}},
		{"a third after ten minutes", []time.Duration{0, time.Minute, 10 * time.Minute}, []bool{false, false, true}},
		{"each minute", []time.Duration{0, 1 * time.Minute, 2 * time.Minute, 9 * time.Minute, 10 * time.Minute}, []bool{false, false, false, false, true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var r Record
			for i, after := range test.at {
				missing, vanished := Miss(r, noon.Add(after))
				if vanished != test.want[i] {
					t.Fatalf("miss %d: vanished = %v", i, vanished)
				}
				r.Missing = missing
			}
			if r.Missing.Count > 3 {
				t.Errorf("count went on to %d: every miss would be a write", r.Missing.Count)
			}
		})
	}
}

func TestDurationNeedsBothTimesInOrder(t *testing.T) {
	for _, test := range []struct {
		job  Job
		want time.Duration
		ok   bool
	}{
		{Job{StartTime: noon, EndTime: noon.Add(90 * time.Second)}, 90 * time.Second, true},
		{Job{StartTime: noon, EndTime: noon}, 0, true},
		{Job{StartTime: noon}, 0, false},
		{Job{EndTime: noon}, 0, false},
		{Job{StartTime: noon, EndTime: noon.Add(-time.Second)}, 0, false},
	} {
		if got, ok := test.job.Duration(); got != test.want || ok != test.ok {
			t.Errorf("%v: %v, %v", test.job, got, ok)
		}
	}
}
