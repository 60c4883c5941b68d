package fake

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/notify"
)

// Destination is an in-memory destination with cards as Slack has them.
type Destination struct {
	Name string
	// Limiter, if set, is what Send waits for, and pauses when a fault says that
	// the destination limits the rate.
	Limiter RateLimiter
	// Fault, if set, is called before a delivery takes effect ("Send") and after
	// ("Send/done").
	Fault func(op string, d notify.Delivery) error
	// KeepsCards makes FollowUp edit cards.
	KeepsCards bool
	Now        func() time.Time

	mu      sync.Mutex
	sent    []Sent
	updates []Sent
	dryRuns int

	followUps []FollowUp
}

// FollowUp is an edit of an earlier card that arrived.
type FollowUp struct {
	Card    notify.MessageRef
	Message message.Message
	Reply   string
}

// Edits reports whether the destination edits its cards.
func (d *Destination) Edits() bool { return d.KeepsCards }

// FollowUp edits an earlier card. Its fault is called with "FollowUp" and
// "FollowUp/done".
func (d *Destination) FollowUp(_ context.Context, card notify.MessageRef, m message.Message, reply message.Line) error {
	if err := d.fault("FollowUp", notify.Delivery{Card: card, Message: m}); err != nil {
		return err
	}
	d.mu.Lock()
	d.followUps = append(d.followUps, FollowUp{card, m, reply.Plain(nil)})
	d.mu.Unlock()
	return d.fault("FollowUp/done", notify.Delivery{Card: card, Message: m})
}

// FollowUps are the edits of earlier cards, in order.
func (d *Destination) FollowUps() []FollowUp {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.followUps)
}

// Sent is one message that arrived.
type Sent struct {
	At       time.Time
	Delivery notify.Delivery
}

// ID names the destination.
func (d *Destination) ID() string { return d.Name }

// Send shows the delivery; the first of a job posts a card.
func (d *Destination) Send(ctx context.Context, delivery notify.Delivery) (notify.MessageRef, error) {
	if err := d.fault("Send", delivery); err != nil {
		if failure := notify.FailureOf(err); failure.Reason == notify.RateLimited && d.Limiter != nil {
			if paused := d.Limiter.PauseUntil(ctx, d.now().Add(failure.After)); paused != nil {
				return notify.MessageRef{}, paused
			}
		}
		return notify.MessageRef{}, err
	}
	if delivery.DryRun {
		d.mu.Lock()
		d.dryRuns++
		d.mu.Unlock()
		return notify.MessageRef{}, d.fault("Send/done", delivery)
	}
	if delivery.CardOnly {
		d.mu.Lock()
		d.updates = append(d.updates, Sent{d.now(), delivery})
		d.mu.Unlock()
		return notify.MessageRef{}, d.fault("Send/done", delivery)
	}
	if d.Limiter != nil {
		if err := d.Limiter.Wait(ctx); err != nil {
			return notify.MessageRef{}, err
		}
	}
	d.mu.Lock()
	d.sent = append(d.sent, Sent{d.now(), delivery})
	card := notify.MessageRef{Channel: "C1", TS: strconv.Itoa(len(d.sent))}
	d.mu.Unlock()
	if err := d.fault("Send/done", delivery); err != nil {
		return notify.MessageRef{}, err
	}
	if delivery.Card != (notify.MessageRef{}) {
		return notify.MessageRef{}, nil
	}
	return card, nil
}

// Sent is what arrived, in order.
func (d *Destination) Sent() []Sent {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.sent)
}

// Updates are the deliveries that only updated a card, in order.
func (d *Destination) Updates() []Sent {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.updates)
}

// DryRuns counts the deliveries that showed nothing.
func (d *Destination) DryRuns() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dryRuns
}

func (d *Destination) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

func (d *Destination) fault(op string, delivery notify.Delivery) error {
	if d.Fault == nil {
		return nil
	}
	return d.Fault(op, delivery)
}
