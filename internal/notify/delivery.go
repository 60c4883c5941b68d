package notify

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
)

// Delivery is one message for a destination.
type Delivery struct {
	Message message.Message
	Card    MessageRef // the job's card; zero when none was posted
	Edit    bool       // the card shows this message from now on
	// Rendered is what the destination's Render returned for Message, or nil.
	Rendered any
	// CardOnly asks the channel to update the card and to post nothing: a
	// summary announces the status.
	CardOnly bool
	// DryRun asks the channel to go all the way but to show nothing, and to fail
	// as a delivery would.
	DryRun bool
}

// MessageRef names the Slack message that stands for a job, as
// chat.postMessage answered it. Zero when there is none.
type MessageRef struct {
	Channel string `json:"channel,omitempty"`
	TS      string `json:"ts,omitempty"`
}

// Key names one job at one destination.
type Key struct {
	Job         string // workflow ARN, "/", job ID, or of a missing run its expected start
	Destination string // "slack:#data-jobs", "slack-webhook", "email:a@example.com"
}

// KeyOf is the key of an event's job at a destination. Each canary, each summary
// and each outage notice is a job of its own.
func KeyOf(e event.Event, destination string) Key {
	switch e.DetailType {
	case event.Canary:
		return Key{Job: "#canary/" + e.Detail.TransitionID, Destination: destination}
	case event.Summary:
		return Key{Job: "#summary/" + e.Detail.TransitionID, Destination: destination}
	case outageNotice:
		return Key{Job: "#notice/" + e.Detail.TransitionID, Destination: destination}
	default:
		k := Key{Job: e.Detail.WorkflowARN + "/" + e.Detail.Subject().Job, Destination: destination}
		if r := e.Detail.Replay; r != nil && r.Again { // what was received before does not count
			k.Job += "#replay/" + r.ID
		}
		return k
	}
}

// State is what a destination has received of a job.
type State struct {
	Delivered []string // IDs of the transitions that are delivered or superseded
	Card      MessageRef
	Progress  Progress
	// Attempted is the latest progress that a claim was for. Unless it is
	// recorded too, that message may or may not have arrived.
	Attempted Progress
}

// Latest is the latest progress that the destination may have seen.
func (s State) Latest() Progress {
	if s.Attempted.SortKey() > s.Progress.SortKey() {
		return s.Attempted
	}
	return s.Progress
}

// Outcome is how the delivery of one transition ended.
type Outcome struct {
	Transition string
	Progress   Progress   // what the destination shows now
	Ref        MessageRef // of the card that was posted; zero when none was
	SentAt     time.Time  // zero for a transition that was superseded or summarized
	Attempts   int        // the message's receive count
	Body       string     // the event of a failure, for a later edit of its card; may be empty
	Delay      time.Duration
}

// Remembered is how long what a destination has received is kept after its last
// delivery.
const Remembered = 21 * 24 * time.Hour

// Ledger is what one destination has received of a job, as the deliveries table keeps
// it.
type Ledger struct {
	Destination string
	Card        MessageRef         // of a bot; zero without a card
	Receipts    map[string]Receipt // by transition ID
}

// ReceiptOf returns how the delivery of a transition to a destination ended, and false
// where the destination has none.
func ReceiptOf(ledgers []Ledger, destination, transition string) (Receipt, bool) {
	for _, l := range ledgers {
		if l.Destination == destination {
			receipt, ok := l.Receipts[transition]
			return receipt, ok
		}
	}
	return Receipt{}, false
}

// Receipt is how the delivery of one transition ended.
type Receipt struct {
	SentAt   time.Time     // UTC, whole seconds; zero for a transition that was superseded or summarized
	Attempts int           // the message's receive count
	Delay    time.Duration // from the observation to SentAt, or to when it was superseded
}

// Progress is how far a destination has followed a job.
type Progress struct {
	Status     jobs.Status
	Stage      jobs.Stage
	ObservedAt time.Time // UTC
}

// ProgressOf is the progress that e brings. A vanished job stays where it was
// last observed. A summary is terminal: one that is published again has a later
// time, and the attempt to send that one must not supersede the first.
func ProgressOf(e event.Event) Progress {
	switch e.DetailType {
	case event.Summary, event.RunResumed, event.MuteEnded:
		return Progress{Stage: jobs.Terminal, ObservedAt: e.Detail.ObservedAt}
	case event.RunMissing:
		return Progress{Stage: jobs.Active, ObservedAt: e.Detail.ObservedAt}
	}
	job := jobs.Job{Status: e.Detail.Status, EndTime: e.Detail.EndTime}
	return Progress{Status: e.Detail.Status, Stage: job.Stage(), ObservedAt: e.Detail.ObservedAt}
}

// sortKeyTime has one length for every time, so that sort keys compare as texts.
const sortKeyTime = "2006-01-02T15:04:05.000000000Z"

// SortKey is a text that orders progress: by stage, then by observation time.
func (p Progress) SortKey() string {
	return strconv.Itoa(int(p.Stage)) + " " + p.ObservedAt.UTC().Format(sortKeyTime)
}

// ParseSortKey is the reverse of SortKey. A text that is no sort key gives the
// zero Progress.
func ParseSortKey(status jobs.Status, key string) Progress {
	stage, observed, _ := strings.Cut(key, " ")
	n, err := strconv.Atoi(stage)
	at, err2 := time.Parse(sortKeyTime, observed)
	if err != nil || err2 != nil {
		return Progress{}
	}
	return Progress{Status: status, Stage: jobs.Stage(n), ObservedAt: at}
}

// SupersedeLimit is the sort key up to which earlier attempts give way to p. A
// terminal status is always delivered, any other one only while nothing later
// was attempted.
func (p Progress) SupersedeLimit() string {
	if p.Stage == jobs.Terminal {
		return strconv.Itoa(int(jobs.Terminal) + 1)
	}
	return p.SortKey()
}

// Action is what to do about an event at a destination.
type Action int

const (
	// Skip: the event is delivered already.
	Skip Action = iota
	// Supersede: a later status was shown or attempted; record this one and
	// send nothing.
	Supersede
	// ReplyOnly: send the event, but leave the card, which shows a newer
	// terminal status.
	ReplyOnly
	// UpdateCard: send the event and show it on the card.
	UpdateCard
)

// sends reports whether the action sends a message.
func (a Action) sends() bool { return a == ReplyOnly || a == UpdateCard }

// Decide chooses the action for e at a destination in state s. A status never
// regresses, and a terminal status is always delivered.
func Decide(s State, e event.Event) Action {
	if slices.Contains(s.Delivered, e.Detail.TransitionID) {
		return Skip
	}
	progress, latest := ProgressOf(e), s.Latest()
	if progress.SortKey() >= latest.SortKey() {
		return UpdateCard
	}
	if progress.Stage == jobs.Terminal {
		return ReplyOnly
	}
	return Supersede
}
