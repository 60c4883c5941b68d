// Package delivery holds what a destination has been told of a job, what is to
// be told next, and why telling it can fail. Pure: the ledger's storage and the
// channels live elsewhere and share these words.
package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
)

// Key names one job at one destination.
type Key struct {
	Job         string // workflow ARN, "/", job id
	Destination string // "slack:#data-jobs", "slack-webhook", "email:a@example.com"
}

// KeyOf is the key of an event's job at a destination.
func KeyOf(e event.Event, destination string) Key {
	if e.DetailType == event.Canary {
		return Key{Job: "#canary/" + e.Detail.TransitionID, Destination: destination}
	}
	return Key{Job: e.Detail.WorkflowARN + "/" + e.Detail.JobID, Destination: destination}
}

// MessageRef is the Slack message that stands for a job: what chat.postMessage
// answered. Zero when there is none.
type MessageRef struct {
	Channel string `json:"channel,omitempty"`
	TS      string `json:"ts,omitempty"`
}

// State is what a destination has been told of a job.
type State struct {
	Told  []string // transition ids that need no more telling
	Card  MessageRef
	Shown Progress
	// Attempted is the latest that a claim was for. Whether that arrived is
	// not known where it was not recorded.
	Attempted Progress
}

// orderTime has the same length for every time, so that orders compare as texts.
const orderTime = "2006-01-02T15:04:05.000000000Z"

// SortKey is a text that compares as what was shown does: by stage, then by the
// time of the observation.
func (s Progress) SortKey() string {
	return strconv.Itoa(int(s.Stage)) + " " + s.ObservedAt.UTC().Format(orderTime)
}

// ParseSortKey is the reverse of Order; the zero Shown for a text that is none.
func ParseSortKey(status jobs.Status, order string) Progress {
	stage, at, _ := strings.Cut(order, " ")
	n, err := strconv.Atoi(stage)
	when, err2 := time.Parse(orderTime, at)
	if err != nil || err2 != nil {
		return Progress{}
	}
	return Progress{Status: status, Stage: jobs.Stage(n), ObservedAt: when}
}

// SupersedeLimit is the order up to which an attempt gives way to s: an end is always
// told, everything else only when nothing later was attempted.
func (s Progress) SupersedeLimit() string {
	if s.Stage == jobs.Terminal {
		return strconv.Itoa(int(jobs.Terminal) + 1)
	}
	return s.SortKey()
}

// Latest is the newest status that the destination may have been shown.
func (s State) Latest() Progress {
	if s.Attempted.SortKey() > s.Shown.SortKey() {
		return s.Attempted
	}
	return s.Shown
}

// Progress is the newest status that the destination has been shown.
type Progress struct {
	Status     jobs.Status
	Stage      jobs.Stage
	ObservedAt time.Time // UTC
}

// Action is what is to be done about an event at a destination.
type Action int

const (
	// Skip: told already.
	Skip Action = iota
	// Supersede: a later status was shown, or is about to be; record this one
	// as told, say nothing.
	Supersede
	// ReplyOnly: say it, but leave the card as it is, which shows a newer end.
	ReplyOnly
	// UpdateCard: say it, and let the card show it.
	UpdateCard
)

// Decide says what is to be done about e where s has been told. A status never
// runs backwards; an end is always told.
func Decide(s State, e event.Event) Action {
	d := e.Detail
	if slices.Contains(s.Told, d.TransitionID) {
		return Skip
	}
	now, newest := ProgressOf(e), s.Latest()
	switch {
	case now.SortKey() >= newest.SortKey():
		return UpdateCard
	case now.Stage == jobs.Terminal:
		return ReplyOnly
	default:
		return Supersede
	}
}

// ProgressOf is what a destination has been shown once e is told. A vanished job
// counts as being as far as it was last seen.
func ProgressOf(e event.Event) Progress {
	job := jobs.Job{Status: e.Detail.Status, EndTime: e.Detail.EndTime}
	return Progress{Status: e.Detail.Status, Stage: job.Stage(), ObservedAt: e.Detail.ObservedAt}
}

// Delivery is one telling, as handed to a channel.
type Delivery struct {
	Message message.Message
	Card    MessageRef // zero when no card was posted yet
	Edit    bool       // the card is to show this message
	// Turn waits for the destination's turn. It is to be called before each
	// message, not before an edit. Its error is a *Failure.
	Turn func(ctx context.Context) error
	// DryRun asks to go all the way but to show nothing, and to fail as a
	// telling would.
	DryRun bool
}

// Reason sorts why a destination was not told.
type Reason string

const (
	// RateLimited: asked to wait; nothing more is to be sent there meanwhile.
	RateLimited Reason = "rate_limited"
	// Unavailable: an outage or a broken connection; trying again helps. The
	// message may have arrived.
	Unavailable Reason = "unavailable"
	// Misconfigured: wrong token, channel, address or permission; someone has
	// to mend a setting first.
	Misconfigured Reason = "misconfigured"
	// Refused: this one message will never be taken.
	Refused Reason = "refused"
)

// Outage is a destination that refuses everything for the sake of a setting
// that someone has to mend.
type Outage struct {
	Since time.Time // UTC
	Told  bool      // the other channels were told of it
}

// RecoveryWindow is how long a broken destination must have refused nothing to count as
// mended: waiting messages try it every quarter of an hour at least.
const RecoveryWindow = time.Hour

// Failure is a failed telling. Channels return no other error.
type Failure struct {
	Reason Reason
	After  time.Duration // how long the destination asked to be left alone; zero when it did not say
	Err    error         // never holds a secret
}

// Error says the reason and the cause.
func (f *Failure) Error() string { return fmt.Sprintf("%s: %v", f.Reason, f.Err) }

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }

// FailureOf finds the Failure in err. An error that is none counts as
// Unavailable, because trying again loses nothing.
func FailureOf(err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	return &Failure{Reason: Unavailable, Err: err}
}
