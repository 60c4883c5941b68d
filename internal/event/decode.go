package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrForeign is returned, wrapped, by [Decode] for a body that is not one of
// our events and never will be: waiting or trying again cannot help.
var ErrForeign = errors.New("not an event of the ID mapping notifier")

// Decode reads an event as EventBridge delivers it to a target. Unknown keys
// are ignored, so that an event of a later version 1 is understood.
//
// Every error wraps ErrForeign and says what is wrong with the body.
func Decode(body []byte) (Event, error) {
	var envelope struct {
		ID         string          `json:"id"`
		Source     string          `json:"source"`
		DetailType string          `json:"detail-type"`
		Account    string          `json:"account"`
		Region     string          `json:"region"`
		Time       time.Time       `json:"time"`
		Detail     json.RawMessage `json:"detail"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return Event{}, fmt.Errorf("%w: the body is not an EventBridge envelope: %w", ErrForeign, err)
	}
	if source := SourceOf(envelope.DetailType); envelope.Source != source {
		return Event{}, fmt.Errorf("%w: source is %.100q, not %q", ErrForeign, envelope.Source, source)
	}
	if !slices.Contains([]string{StateChange, Vanished, Canary}, envelope.DetailType) {
		return Event{}, fmt.Errorf("%w: detail-type %.100q is not known", ErrForeign, envelope.DetailType)
	}
	e := Event{
		ID:         envelope.ID,
		DetailType: envelope.DetailType,
		Account:    envelope.Account,
		Region:     envelope.Region,
		Time:       envelope.Time.UTC(),
	}
	if err := json.Unmarshal(envelope.Detail, &e.Detail); err != nil {
		return Event{}, fmt.Errorf("%w: reading detail: %w", ErrForeign, err)
	}
	if e.Detail.Version != Version {
		return Event{}, fmt.Errorf("%w: detail.version is %.100q, not %q", ErrForeign, e.Detail.Version, Version)
	}
	for _, key := range []struct{ name, value string }{
		{"transitionId", e.Detail.TransitionID},
		{"workflowName", e.Detail.WorkflowName},
		{"jobId", e.Detail.JobID},
		{"status", string(e.Detail.Status)},
	} {
		if key.value == "" && (e.DetailType != Canary || key.name == "transitionId") {
			return Event{}, fmt.Errorf("%w: detail.%s is missing", ErrForeign, key.name)
		}
	}
	return e, nil
}
