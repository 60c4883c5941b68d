package fake

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
)

// Deliveries is an in-memory deliveries table. The zero value is empty.
type Deliveries struct {
	// Fault is as in [Jobs].
	Fault func(op string) error
	Now   func() time.Time

	mu      sync.Mutex
	items   map[notify.Key]*deliveryItem
	slots   map[string]time.Time
	outages map[string]*outageItem
}

type outageItem struct {
	notify.Outage
	refusedAt time.Time
}

type deliveryItem struct {
	outcomes            map[string]notify.Outcome // by transition
	card                notify.MessageRef
	progress, attempted notify.Progress
	body                string
	followUp            int
	claimant            string
	until               time.Time
}

// Claim takes the right to deliver a transition.
func (s *Deliveries) Claim(_ context.Context, k notify.Key, transition, claimant string, attempt notify.Progress, until time.Time) (notify.State, error) {
	if err := s.fault("Claim"); err != nil {
		return notify.State{}, err
	}
	s.mu.Lock()
	it := s.item(k)
	state := it.state()
	if slices.Contains(state.Delivered, transition) || state.Attempted.SortKey() > attempt.SupersedeLimit() {
		defer s.mu.Unlock()
		return state, nil
	}
	if it.claimant != "" && it.claimant != claimant && !it.until.Before(s.now()) {
		defer s.mu.Unlock()
		return notify.State{}, &notify.Claimed{Until: it.until}
	}
	it.claimant, it.until, it.attempted = claimant, until, attempt
	s.mu.Unlock()
	return state, s.fault("Claim/done")
}

// Record stores an outcome and gives the claim back.
func (s *Deliveries) Record(_ context.Context, k notify.Key, claimant string, o notify.Outcome) error {
	return s.write("Record", func() {
		it := s.item(k)
		it.outcomes[o.Transition] = o
		if o.Body != "" {
			it.body = o.Body
		}
		owner := it.claimant == "" || it.claimant == claimant
		if o.Ref != (notify.MessageRef{}) && (owner || it.card == (notify.MessageRef{})) {
			it.card = o.Ref
		}
		if owner {
			it.progress, it.claimant = o.Progress, ""
		}
	})
}

// ClaimCard takes the right to edit the card of an earlier failure.
func (s *Deliveries) ClaimCard(_ context.Context, k notify.Key, claimant string, order int, until time.Time) (card notify.Card, err error) {
	fault := s.write("ClaimCard", func() {
		it := s.items[k]
		switch {
		case it != nil && it.attempted.Status == jobs.Failed && it.progress.Status != jobs.Failed:
			err = &notify.Claimed{Until: it.until}
		case it == nil || it.card == (notify.MessageRef{}) || it.body == "" || it.followUp >= order:
		case it.claimant != "" && it.claimant != claimant && !it.until.Before(s.now()):
			err = &notify.Claimed{Until: it.until}
		default:
			it.claimant, it.until = claimant, until
			card = notify.Card{Ref: it.card, Body: it.body}
		}
	})
	if fault != nil {
		return notify.Card{}, fault
	}
	return card, err
}

// RecordFollowUp notes the follow-up that a card shows.
func (s *Deliveries) RecordFollowUp(_ context.Context, k notify.Key, claimant string, order int) error {
	return s.write("RecordFollowUp", func() {
		if it := s.item(k); it.claimant == claimant {
			it.followUp, it.claimant = order, ""
		}
	})
}

// Release gives a claim back.
func (s *Deliveries) Release(_ context.Context, k notify.Key, claimant string) error {
	return s.write("Release", func() {
		if it := s.item(k); it.claimant == claimant {
			it.claimant = ""
		}
	})
}

// Reserve takes the next free slot to send to a destination.
func (s *Deliveries) Reserve(_ context.Context, destination string, minInterval time.Duration, latest time.Time) (time.Time, bool, error) {
	slot, reserved := s.now(), true
	err := s.write("Reserve", func() {
		if next, taken := s.slots[destination]; taken && next.After(slot) {
			slot = next
		}
		if reserved = !slot.After(latest); reserved {
			s.setSlot(destination, slot.Add(minInterval))
		}
	})
	return slot, reserved, err
}

// PauseUntil delays the next slot of a destination.
func (s *Deliveries) PauseUntil(_ context.Context, destination string, until time.Time) error {
	return s.write("PauseUntil", func() {
		if s.slots[destination].Before(until) {
			s.setSlot(destination, until)
		}
	})
}

// RecordOutage notes that a destination is misconfigured.
func (s *Deliveries) RecordOutage(_ context.Context, destination string) (o notify.Outage, err error) {
	err = s.write("RecordOutage", func() {
		now := s.now()
		it := s.outages[destination]
		if it == nil || it.refusedAt.Before(now.Add(-notify.RecoveryWindow)) {
			it = &outageItem{Outage: notify.Outage{Since: now}}
			if s.outages == nil {
				s.outages = make(map[string]*outageItem)
			}
			s.outages[destination] = it
		}
		it.refusedAt = now
		o = it.Outage
	})
	return o, err
}

// RecordAnnouncement notes that the other channels have a notice of an outage.
func (s *Deliveries) RecordAnnouncement(_ context.Context, destination string) error {
	return s.write("RecordAnnouncement", func() {
		if it := s.outages[destination]; it != nil {
			it.Announced = true
		}
	})
}

// State is what a destination has received of a job.
func (s *Deliveries) State(k notify.Key) notify.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.item(k).state()
}

// Outcome is what was recorded of a transition.
func (s *Deliveries) Outcome(k notify.Key, transition string) notify.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.item(k).outcomes[transition]
}

func (s *Deliveries) setSlot(destination string, at time.Time) {
	if s.slots == nil {
		s.slots = make(map[string]time.Time)
	}
	s.slots[destination] = at
}

func (s *Deliveries) item(k notify.Key) *deliveryItem {
	if s.items == nil {
		s.items = make(map[notify.Key]*deliveryItem)
	}
	if s.items[k] == nil {
		s.items[k] = &deliveryItem{outcomes: make(map[string]notify.Outcome)}
	}
	return s.items[k]
}

func (it *deliveryItem) state() notify.State {
	return notify.State{Delivered: slices.Sorted(maps.Keys(it.outcomes)), Card: it.card, Progress: it.progress, Attempted: it.attempted}
}

func (s *Deliveries) write(op string, effect func()) error {
	if err := s.fault(op); err != nil {
		return err
	}
	s.mu.Lock()
	effect()
	s.mu.Unlock()
	return s.fault(op + "/done")
}

func (s *Deliveries) fault(op string) error {
	if s.Fault == nil {
		return nil
	}
	return s.Fault(op)
}

func (s *Deliveries) now() time.Time {
	if s.Now != nil {
		return s.Now().UTC()
	}
	return time.Now().UTC()
}
