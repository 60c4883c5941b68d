package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// ErrForeign is wrapped by every error of [Decode]: the body is not an event of
// the notifier, or not what it claims to be. A retry cannot change that.
var ErrForeign = errors.New("not an event of the ID mapping notifier")

// Decode reads and verifies an event as EventBridge delivers it to a target.
// Anyone who may call PutEvents in the account can imitate the source, so Decode
// accepts only an event whose account, region and transition ID follow from the
// workflow that it names. It ignores unknown keys, so that it reads the events
// of a later version 1.
//
// Every error wraps ErrForeign and names what is wrong with the body.
func Decode(body []byte) (Event, error) {
	e, err := read(body)
	if err == nil {
		err = verify(e)
	}
	if err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return e, nil
}

// Parse reads an event as EventBridge delivers it to a target and does not verify it:
// for tools that show an event, never for what acts on one.
func Parse(body []byte) (Event, error) { return read(body) }

// envelope is an event as EventBridge sends it to a target.
type envelope struct {
	ID         string    `json:"id"`
	Source     string    `json:"source"`
	DetailType string    `json:"detail-type"`
	Account    string    `json:"account"`
	Region     string    `json:"region"`
	Time       time.Time `json:"time"`
	Detail     Detail    `json:"detail"`
}

func read(body []byte) (Event, error) {
	var envelope envelope
	if err := json.Unmarshal(body, &envelope); err != nil {
		return Event{}, fmt.Errorf("the body is not an EventBridge envelope: %w", err)
	}
	if source := SourceOf(envelope.DetailType); envelope.Source != source {
		return Event{}, fmt.Errorf("source is %.100q, not %q", envelope.Source, source)
	}
	if !slices.Contains([]string{StateChange, Vanished, Overdue, RunMissing, RunResumed, MuteEnded, Summary, Canary}, envelope.DetailType) {
		return Event{}, fmt.Errorf("detail-type %.100q is unknown", envelope.DetailType)
	}
	e := Event{
		ID:         envelope.ID,
		DetailType: envelope.DetailType,
		Account:    envelope.Account,
		Region:     envelope.Region,
		Time:       envelope.Time.UTC(),
		Detail:     envelope.Detail,
	}
	if e.Detail.Version != Version {
		return Event{}, fmt.Errorf("detail.version is %.100q, not %q", e.Detail.Version, Version)
	}
	return e, nil
}

// verify checks that the event is what it claims to be.
func verify(e Event) error {
	d := e.Detail
	var workflow arn.ARN
	var want string
	var err error
	switch e.DetailType {
	case Canary:
		return verifyID(d.TransitionID, canaryID(d.ObservedAt))
	case Summary:
		if workflow, err = verifyListed(d); err != nil {
			return err
		}
		want = summaryID(workflow, d)
	default:
		if err = verifyKeys(e); err != nil {
			return err
		}
		if workflow, err = parseWorkflow(d.WorkflowARN, d.WorkflowName); err != nil {
			return err
		}
		if e.DetailType == MuteEnded && len(d.Jobs) > 0 {
			if _, err = verifyListed(d); err != nil {
				return err
			}
		}
		want = TransitionID(workflow, d.Subject(), transitionWord(e.DetailType, d))
	}
	if e.Account != workflow.AccountID {
		return fmt.Errorf("account is %.100q, but the workflow's account is %.100q", e.Account, workflow.AccountID)
	}
	if e.Region != workflow.Region {
		return fmt.Errorf("region is %.100q, but the workflow's region is %.100q", e.Region, workflow.Region)
	}
	return verifyID(d.TransitionID, want)
}

func verifyKeys(e Event) error {
	d := e.Detail
	aboutRun := e.DetailType == RunMissing || e.DetailType == RunResumed
	aboutMute := e.DetailType == MuteEnded
	for _, key := range []struct {
		name    string
		present bool
	}{
		{"workflowName", d.WorkflowName != ""},
		{"jobId", d.JobID != "" || e.DetailType == RunMissing || aboutMute},
		{"status", d.Status != "" || aboutRun || aboutMute},
		{"expectedStart", d.ExpectedStart != nil || !aboutRun},
		{"mute", d.Mute != nil || !aboutMute},
	} {
		if !key.present {
			return fmt.Errorf("detail.%s is missing", key.name)
		}
	}
	if d.ExpectedStart != nil && !aboutRun {
		return fmt.Errorf("detail.expectedStart belongs to %s and %s events", RunMissing, RunResumed)
	}
	if d.Mute != nil && !aboutMute {
		return fmt.Errorf("detail.mute belongs to %s events", MuteEnded)
	}
	return nil
}

func verifyID(got, want string) error {
	if got != want {
		return fmt.Errorf("detail.transitionId is %.100q, not the hash %q of this transition", got, want)
	}
	return nil
}
