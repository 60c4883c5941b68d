// Package notifier tells destinations of transitions: it takes a batch of
// events from a queue and passes each through the same few stages, whatever the
// channel. Decode, choose, claim, pace, send, record; what failed waits in the
// queue.
package notify

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/idmapping/notifier/internal/event"
)

// Deliveries is the ledger of what each destination has been told.
type Deliveries interface {
	// Claim takes the right to tell a destination of a transition, which shows
	// attempt, until the given time, and returns what it was told of the job
	// before. If it was told of this transition, or something later was
	// attempted, nothing is claimed. It returns *Claimed while another
	// claimant holds a claim.
	Claim(ctx context.Context, k Key, transition, claimant string, attempt Progress, until time.Time) (State, error)
	// SaveCard records the card that was posted.
	SaveCard(ctx context.Context, k Key, card MessageRef) error
	// Finish records that a transition needs no more telling and what is shown
	// now, and gives the claim back.
	Finish(ctx context.Context, k Key, claimant, transition string, shown Progress) error
	// Release gives a claim back after a failure.
	Release(ctx context.Context, k Key, claimant string) error
	// Broken notes that a destination takes nothing until someone mends a
	// setting, and returns since when and whether the others were told.
	Broken(ctx context.Context, destination string) (Outage, error)
	// Warned records that the others were told of a broken destination.
	Warned(ctx context.Context, destination string) error
	// Slot reserves the next free time to send to a destination; false, and
	// nothing is reserved, when that is after latest.
	Slot(ctx context.Context, destination string, gap time.Duration, latest time.Time) (time.Time, bool, error)
	// Hold keeps everybody from sending to a destination until the given time.
	Hold(ctx context.Context, destination string, until time.Time) error
}

// Queue is what is needed of SQS.
type Queue interface {
	// ChangeVisibility hides a received message for so long from now on.
	ChangeVisibility(ctx context.Context, queueURL, receiptHandle string, d time.Duration) error
	// DeadLetter sends a message's body to a dead-letter queue, with the reason
	// and the id that it had.
	DeadLetter(ctx context.Context, queueURL, body, reason, messageID string) error
}

// Destination is one place that is told: a Slack channel, an email address.
type Destination interface {
	// ID names it in the ledger and in logs; it holds no secret.
	ID() string
	// Send tells the step, or only checks that it could where the step says so.
	// It calls save as soon as it has posted a card. Its error is a
	// *Failure.
	Send(ctx context.Context, step Delivery, save func(context.Context, MessageRef) error) error
}

// Channel is one channel kind with its queue.
type Channel struct {
	Name               string
	QueueURL           string
	DeadLetterQueueURL string
	Destinations       []Destination
	Filter             Filter
	// SharedSender is set where one destination's canary stands for all.
	SharedSender bool
	// Gap is the least time between two messages to one destination; zero
	// leaves the pace to the destination.
	Gap time.Duration
}

// Notifier tells. All fields but Metrics, Log and the clock are required.
type Notifier struct {
	Channels   []Channel
	Deliveries Deliveries
	Queue      Queue
	Metrics    func(map[string]float64) // called once a batch
	Log        *slog.Logger
	Now        func() time.Time
}

// Report is what one batch came to, in messages to destinations.
type Report struct {
	Sent         int `json:"told"`     // sent and recorded
	Canaries     int `json:"checked"`  // canaries that found the way open
	Duplicates   int `json:"known"`    // were told before, or are out of date
	Retried      int `json:"retried"`  // wait in the queue for another try
	Broken       int `json:"broken"`   // of these, because of a setting that someone has to mend
	DeadLettered int `json:"poisoned"` // events moved to the dead-letter queue
}

// Filter is which events a lane wants.
type Filter struct {
	All  bool            // every status
	Only map[string]bool // these, when All is false; empty means ends only
}

// Matches tells whether the lane is to tell of e. A vanished job is told in every
// case: its end will never come. A canary goes everywhere.
func (s Filter) Matches(e event.Event) bool {
	switch {
	case s.All || e.DetailType == event.Vanished || e.DetailType == event.Canary:
		return true
	case len(s.Only) == 0:
		return e.Detail.Terminal()
	default:
		return s.Only[string(e.Detail.Status)]
	}
}

// ParseFilter reads a comma-separated list of statuses; an empty one means
// the ends only. Statuses that this version does not know are
// taken as they are: the API's enum can grow.
func ParseFilter(list string) Filter {
	s := Filter{Only: make(map[string]bool)}
	for status := range strings.SplitSeq(list, ",") {
		if status = strings.ToUpper(strings.TrimSpace(status)); status != "" {
			s.Only[status] = true
		}
	}
	return s
}

func (n *Notifier) now() time.Time {
	if n.Now != nil {
		return n.Now().UTC()
	}
	return time.Now().UTC()
}

func (n *Notifier) log() *slog.Logger {
	if n.Log != nil {
		return n.Log
	}
	return slog.Default()
}
