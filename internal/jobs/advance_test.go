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

func TestAdvanceDecidesEveryPairOfKnownAndObserved(t *testing.T) {
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

func TestUnknownStatusIsTerminalOnlyWithAnEndTime(t *testing.T) {
	open := Job{Status: "STOPPED"}
	ended := Job{Status: "STOPPED", EndTime: noon}
	if open.Terminal() || !ended.Terminal() {
		t.Fatalf("Terminal() = %v without and %v with an end time", open.Terminal(), ended.Terminal())
	}
	if running := (Job{Status: Running, EndTime: noon}); running.Terminal() {
		t.Error("RUNNING with an end time counts as terminal")
	}
}

func TestEndTimeOfAnUnknownStatusIsATransitionOfItsOwn(t *testing.T) {
	open := Job{Status: "STOPPED"}
	ended := Job{Status: "STOPPED", EndTime: noon}
	verdict, transition := Advance(&open, ended)
	if verdict != Changed || transition.Previous != "STOPPED" || !transition.Job.Terminal() || transition.Skipped != nil {
		t.Errorf("verdict %v, transition %+v", verdict, transition)
	}
	if verdict, _ := Advance(&ended, open); verdict != Unchanged {
		t.Errorf("an older observation of the same status is %v", verdict)
	}
}

func TestVerdictsHaveNames(t *testing.T) {
	if got := []string{Unchanged.String(), Changed.String(), Regressed.String()}; !slices.Equal(got, []string{"unchanged", "changed", "regressed"}) {
		t.Errorf("verdicts are named %q", got)
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

func TestJobNeverMovesBackAndEachTerminalStatusIsATransition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var known *Job
		announced, ended := map[Status]bool{}, map[Status]bool{}
		for _, seen := range observations(t) {
			verdict, transition := Advance(known, seen)
			if verdict == Changed {
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
				announced[seen.Status] = true
				ended[seen.Status] = ended[seen.Status] || seen.Terminal()
				known = &seen
			}
			if seen.Terminal() && !ended[seen.Status] {
				t.Fatalf("terminal status %q is no transition", seen.Status)
			}
			if again, _ := Advance(known, seen); again == Changed {
				t.Fatalf("the same observation twice is %v", again)
			}
		}
	})
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
