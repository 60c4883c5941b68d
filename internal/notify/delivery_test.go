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

// observed is the progress of a status some minutes after noon.
func observed(status jobs.Status, minutes int) Progress {
	return Progress{Status: status, Stage: jobs.Job{Status: status}.Stage(), ObservedAt: noon.Add(time.Duration(minutes) * time.Minute)}
}

func TestStatusNeverRegressesAndATerminalStatusIsAlwaysDelivered(t *testing.T) {
	shown := func(s Progress) State { return State{Progress: s} }
	attempted := func(s Progress) State { return State{Attempted: s} }
	for _, c := range []struct {
		name  string
		state State
		event Progress
		want  Action
	}{
		{"nothing is delivered", State{}, observed(jobs.Running, 5), UpdateCard},
		{"delivered", State{Delivered: []string{"FAILED"}}, observed(jobs.Failed, 5), Skip},
		{"another one is delivered", State{Delivered: []string{"RUNNING"}, Progress: observed(jobs.Running, 1)}, observed(jobs.Failed, 5), UpdateCard},
		{"the same progress, not delivered", shown(observed(jobs.Running, 5)), observed(jobs.Running, 5), UpdateCard},
		{"a later stage", shown(observed(jobs.Queued, 9)), observed(jobs.Running, 5), UpdateCard},
		{"an earlier stage", shown(observed(jobs.Running, 1)), observed(jobs.Queued, 5), Supersede},
		{"an earlier stage than an attempt", attempted(observed(jobs.Failed, 1)), observed(jobs.Running, 5), Supersede},
		{"an attempt earlier than the progress", State{Progress: observed(jobs.Failed, 9), Attempted: observed(jobs.Queued, 1)}, observed(jobs.Running, 5), Supersede},
		{"an attempt later than the progress", State{Progress: observed(jobs.Queued, 1), Attempted: observed(jobs.Failed, 9)}, observed(jobs.Running, 5), Supersede},
		{"a terminal status after another", shown(observed(jobs.Failed, 1)), observed(jobs.Succeeded, 5), UpdateCard},
		{"a terminal status before another", shown(observed(jobs.Failed, 9)), observed(jobs.Succeeded, 5), ReplyOnly},
	} {
		e := event.Event{DetailType: event.StateChange, Detail: event.Detail{
			TransitionID: string(c.event.Status), Status: c.event.Status, ObservedAt: c.event.ObservedAt}}
		if ProgressOf(e) != c.event {
			t.Fatalf("%s: the event brings %+v", c.name, ProgressOf(e))
		}
		if got := Decide(c.state, e); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestLatestProgressOfATieIsTheRecordedOne(t *testing.T) {
	recorded, attempted := observed(jobs.Running, 1), observed("PAUSED", 1)
	if got := (State{Progress: recorded, Attempted: attempted}).Latest(); got != recorded {
		t.Errorf("the latest is %+v", got)
	}
}

func TestOnlyATerminalStatusMayClaimBehindAnAttempt(t *testing.T) {
	for _, c := range []struct {
		attempted, claiming Progress
		want                bool
	}{
		{observed(jobs.Running, 1), observed(jobs.Running, 1), true},
		{observed(jobs.Running, 1), observed(jobs.Running, 2), true},
		{observed(jobs.Running, 2), observed(jobs.Running, 1), false},
		{observed(jobs.Failed, 1), observed(jobs.Running, 2), false},
		{observed(jobs.Failed, 2), observed(jobs.Succeeded, 1), true},
	} {
		if got := c.attempted.SortKey() <= c.claiming.SupersedeLimit(); got != c.want {
			t.Errorf("after %+v, %+v claims: %v", c.attempted, c.claiming, got)
		}
	}
}

func TestCanaryAndNoticeAreJobsOfTheirOwn(t *testing.T) {
	detail := event.Detail{TransitionID: "t", WorkflowARN: "arn:w", JobID: "j"}
	for detailType, want := range map[string]string{event.Canary: "#canary/t", event.StateChange: "arn:w/j", event.Vanished: "arn:w/j", outageNotice: "#notice/t"} {
		if got := KeyOf(event.Event{DetailType: detailType, Detail: detail}, "email:a@example.com"); got != (Key{want, "email:a@example.com"}) {
			t.Errorf("%s: %+v", detailType, got)
		}
	}
}

func TestOtherErrorsCountAsUnavailable(t *testing.T) {
	refused := &Failure{Reason: Refused, Err: errors.New("invalid_blocks")}
	if got := FailureOf(fmt.Errorf("sending: %w", refused)); got != refused {
		t.Errorf("the failure within is %v", got)
	}
	cause := errors.New("broken pipe")
	if got := FailureOf(cause); got.Reason != Unavailable || !errors.Is(got, cause) || got.Error() != "unavailable: broken pipe" {
		t.Errorf("another error is %v", got)
	}
}
