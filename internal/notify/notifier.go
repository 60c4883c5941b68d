// Package notify delivers events to destinations: Slack channels and email
// addresses. It holds the words that all channels share, and one pipeline that
// every message passes, whatever the channel: decode, filter, claim, wait, send,
// record (see process in pipeline.go).
package notify

import (
	"context"
	"log/slog"
	"time"

	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/tags"
)

// Notifier delivers the events of its channels' queues. All fields but
// Settings, Version, Metrics and Log are required.
type Notifier struct {
	Channels   []Channel
	Deliveries Deliveries
	Queue      Queue
	Settings   message.Settings
	Version    string                   // of the function, for the report
	Metrics    func(map[string]float64) // called once per batch
	Log        *slog.Logger
}

// Channel is one kind of destination with its own queue.
type Channel struct {
	Name               string
	QueueURL           string
	DeadLetterQueueURL string
	Destinations       []Destination // unless a workflow's tags name others
	Router             Router        // may be nil
	Filter             Filter
	// SharedSender is set when one destination's canary proves the way to all.
	SharedSender bool
}

// Router finds the destinations that a workflow's tags name.
type Router interface {
	// Route returns the destinations that the tags name, or none where they name none
	// of this channel. Each has one instance, whatever names it.
	Route(s tags.Settings) []Destination
}

// Destination is one place that receives notifications.
type Destination interface {
	// ID names the destination in the deliveries table and in logs. It holds no
	// secret.
	ID() string
	// Send sends the delivery and returns the reference of the card that it
	// posted, or the zero reference when it posted none. Its error is a
	// *Failure. A reference never comes with an error: a channel sends nothing
	// after it has posted a card, so nothing can fail after the post.
	Send(ctx context.Context, d Delivery) (MessageRef, error)
}

// Preparer is a destination that can do a part of its waiting while the
// notification is being claimed.
type Preparer interface {
	// Prepare is called before Send in the same invocation, while nothing else
	// uses the destination.
	Prepare(ctx context.Context)
}

// Renderer is a destination that can render a message while the notification is
// being claimed.
type Renderer interface {
	// Render returns the message as the destination posts it, for Delivery.Rendered.
	Render(m message.Message) any
}

// Deliveries stores what each destination has received.
type Deliveries interface {
	// Claim takes the right to deliver a transition until the given time and
	// returns what the destination received of the job before. It notes the
	// attempted progress. When the transition is delivered already, or
	// something later was attempted, it claims nothing. It returns *Claimed
	// while another claimant holds an unexpired claim.
	Claim(ctx context.Context, k Key, transition, claimant string, attempt Progress, until time.Time) (State, error)
	// Record stores an outcome and gives the claim back, in one write.
	Record(ctx context.Context, k Key, claimant string, o Outcome) error
	// ClaimCard takes the right to edit the card of an earlier failure until the
	// given time, and returns the card. Where no card with its event is known, or
	// the card shows a follow-up of that order or a higher one, it claims nothing
	// and returns the zero Card. It returns *Claimed while another claimant holds
	// an unexpired claim, and while the failure itself is attempted and not sent.
	ClaimCard(ctx context.Context, k Key, claimant string, order int, until time.Time) (Card, error)
	// RecordFollowUp notes the order of the follow-up that a card shows, and gives
	// the claim back.
	RecordFollowUp(ctx context.Context, k Key, claimant string, order int) error
	// Release gives a claim back after a failure.
	Release(ctx context.Context, k Key, claimant string) error
	// RecordOutage notes that a destination is misconfigured, and returns since
	// when, and whether the other channels have a notice of it.
	RecordOutage(ctx context.Context, destination string) (Outage, error)
	// RecordAnnouncement notes that the other channels have the notice.
	RecordAnnouncement(ctx context.Context, destination string) error
}

// Queue is what the notifier needs of SQS beside receiving.
type Queue interface {
	// ChangeVisibility hides a received message for a duration from now on.
	ChangeVisibility(ctx context.Context, queueURL, receiptHandle string, d time.Duration) error
	// DeadLetter sends a message's body to a dead-letter queue, with the reason
	// and the message's original ID.
	DeadLetter(ctx context.Context, queueURL, body, reason, messageID string) error
}

// Received is a message as received from a queue.
type Received struct {
	ID            string
	ReceiptHandle string
	Body          string
	ReceiveCount  int // how often it was received, this time included
}

// Result is the outcome of a batch.
type Result struct {
	Failed []string // IDs of the messages that stay in the queue
	Report Report
}

// Report counts the outcomes of a batch, per message and destination.
type Report struct {
	Sent          int `json:"sent"`          // sent and recorded
	Canaries      int `json:"canaries"`      // canaries that found the way open
	Duplicates    int `json:"duplicates"`    // delivered before, or superseded
	Summarized    int `json:"summarized"`    // announced by a summary of late statuses
	Muted         int `json:"muted"`         // messages that a workflow's tags keep from being sent
	FollowUps     int `json:"followUps"`     // cards of earlier failures that were updated
	Retried       int `json:"retried"`       // in the queue for another attempt
	Misconfigured int `json:"misconfigured"` // of these, because a setting is wrong
	DeadLettered  int `json:"deadLettered"`  // messages moved to the dead-letter queue

	Version string `json:"version,omitempty"` // the function's
}

func (n *Notifier) log() *slog.Logger {
	if n.Log != nil {
		return n.Log
	}
	return slog.Default()
}
