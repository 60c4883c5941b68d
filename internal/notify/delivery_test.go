package notify

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// seen is a status that was seen some minutes after noon.
func seen(status jobs.Status, minutes int) Progress {
	return Progress{Status: status, Stage: jobs.Job{Status: status}.Stage(), ObservedAt: noon.Add(time.Duration(minutes) * time.Minute)}
}

func TestAStatusNeverRunsBackwardsAndAnEndIsAlwaysTold(t *testing.T) {
	shown := func(s Progress) State { return State{Shown: s} }
	attempted := func(s Progress) State { return State{Attempted: s} }
	for _, c := range []struct {
		name  string
		state State
		event Progress
		want  Action
	}{
		{"nothing was shown", State{}, seen(jobs.Running, 5), UpdateCard},
		{"it was told", State{Told: []string{"FAILED"}}, seen(jobs.Failed, 5), Skip},
		{"another was told", State{Told: []string{"RUNNING"}, Shown: seen(jobs.Running, 1)}, seen(jobs.Failed, 5), UpdateCard},
		{"the same again, shown but not told of", shown(seen(jobs.Running, 5)), seen(jobs.Running, 5), UpdateCard},
		{"a later stage", shown(seen(jobs.Queued, 9)), seen(jobs.Running, 5), UpdateCard},
		{"an earlier stage", shown(seen(jobs.Running, 1)), seen(jobs.Queued, 5), Supersede},
		{"an earlier stage than one that may have been told", attempted(seen(jobs.Failed, 1)), seen(jobs.Running, 5), Supersede},
		{"what may have been told is older than what was", State{Shown: seen(jobs.Failed, 9), Attempted: seen(jobs.Queued, 1)}, seen(jobs.Running, 5), Supersede},
		{"what was told is older than what may have been", State{Shown: seen(jobs.Queued, 1), Attempted: seen(jobs.Failed, 9)}, seen(jobs.Running, 5), Supersede},
		{"an end after another end", shown(seen(jobs.Failed, 1)), seen(jobs.Succeeded, 5), UpdateCard},
		{"an end before another end", shown(seen(jobs.Failed, 9)), seen(jobs.Succeeded, 5), ReplyOnly},
	} {
		e := event.Event{DetailType: event.StateChange, Detail: event.Detail{
			TransitionID: string(c.event.Status), Status: c.event.Status, ObservedAt: c.event.ObservedAt}}
		if ProgressOf(e) != c.event {
			t.Fatalf("%s: the event shows %+v", c.name, ProgressOf(e))
		}
		if got := Decide(c.state, e); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestOnlyAnEndMayClaimBehindWhatWasAttempted(t *testing.T) {
	for _, c := range []struct {
		attempted, claiming Progress
		want                bool
	}{
		{seen(jobs.Running, 1), seen(jobs.Running, 1), true},
		{seen(jobs.Running, 1), seen(jobs.Running, 2), true},
		{seen(jobs.Running, 2), seen(jobs.Running, 1), false},
		{seen(jobs.Failed, 1), seen(jobs.Running, 2), false},
		{seen(jobs.Failed, 2), seen(jobs.Succeeded, 1), true},
	} {
		if got := c.attempted.SortKey() <= c.claiming.SupersedeLimit(); got != c.want {
			t.Errorf("after %+v, %+v claims: %v", c.attempted, c.claiming, got)
		}
	}
}

func TestACanaryIsAJobOfItsOwn(t *testing.T) {
	detail := event.Detail{TransitionID: "t", WorkflowARN: "arn:w", JobID: "j"}
	for detailType, want := range map[string]string{event.Canary: "#canary/t", event.StateChange: "arn:w/j", event.Vanished: "arn:w/j"} {
		if got := KeyOf(event.Event{DetailType: detailType, Detail: detail}, "email:a@example.com"); got != (Key{want, "email:a@example.com"}) {
			t.Errorf("%s: %+v", detailType, got)
		}
	}
}

func TestAnErrorThatIsNoFailureIsTriedAgain(t *testing.T) {
	refused := &Failure{Reason: Refused, Err: errors.New("invalid_blocks")}
	if got := FailureOf(fmt.Errorf("telling: %w", refused)); got != refused {
		t.Errorf("the failure within is %v", got)
	}
	cause := errors.New("broken pipe")
	if got := FailureOf(cause); got.Reason != Unavailable || !errors.Is(got, cause) || got.Error() != "unavailable: broken pipe" {
		t.Errorf("another error is %v", got)
	}
}
