package fake

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/idmapping/notifier/internal/notify"
)

// Destination is an in-memory place to be told, with cards as Slack has them.
type Destination struct {
	Name string
	// Fault, if set, is called before a step takes effect ("Send") and after
	// ("Send/done").
	Fault func(op string, step notify.Delivery) error
	Now   func() time.Time

	mu   sync.Mutex
	told []Telling
	ts   int

	checks int
}

// Telling is one message that arrived.
type Telling struct {
	At   time.Time
	Step notify.Delivery
}

// ID names the destination.
func (d *Destination) ID() string { return d.Name }

// Send tells the step; the first of a job posts a card.
func (d *Destination) Send(ctx context.Context, step notify.Delivery, save func(context.Context, notify.MessageRef) error) error {
	if err := d.fault("Send", step); err != nil {
		return err
	}
	if step.DryRun {
		d.mu.Lock()
		d.checks++
		d.mu.Unlock()
		return d.fault("Send/done", step)
	}
	if step.Turn != nil {
		if err := step.Turn(ctx); err != nil {
			return err
		}
	}
	d.mu.Lock()
	at := time.Now()
	if d.Now != nil {
		at = d.Now()
	}
	d.told = append(d.told, Telling{at, step})
	d.ts++
	card := notify.MessageRef{Channel: "C1", TS: strconv.Itoa(d.ts)}
	d.mu.Unlock()
	if err := d.fault("Send/done", step); err != nil {
		return err
	}
	if step.Card == (notify.MessageRef{}) {
		return save(ctx, card)
	}
	return nil
}

// Told is what arrived, in order.
func (d *Destination) Told() []Telling {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Telling(nil), d.told...)
}

// Checks is how often it was checked.
func (d *Destination) Checks() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.checks
}

func (d *Destination) fault(op string, step notify.Delivery) error {
	if d.Fault == nil {
		return nil
	}
	return d.Fault(op, step)
}
