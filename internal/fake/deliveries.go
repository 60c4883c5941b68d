package fake

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/idmapping/notifier/internal/notify"
)

// Deliveries is an in-memory deliveries table. The zero value is empty.
type Deliveries struct {
	// Fault is as in [Jobs].
	Fault func(op string) error
	Now   func() time.Time

	mu    sync.Mutex
	items map[notify.Key]*deliveryItem
	slots map[string]time.Time

	broken map[string]*breakage
}

type breakage struct {
	notify.Outage
	refused time.Time
}

type deliveryItem struct {
	notify.State
	claimant string
	until    time.Time
}

// Claim takes the right to tell a destination of a transition.
func (s *Deliveries) Claim(_ context.Context, k notify.Key, transition, claimant string, attempt notify.Progress, until time.Time) (notify.State, error) {
	if err := s.fault("Claim"); err != nil {
		return notify.State{}, err
	}
	s.mu.Lock()
	it := s.item(k)
	if slices.Contains(it.Told, transition) || it.Attempted.SortKey() > attempt.SupersedeLimit() {
		defer s.mu.Unlock()
		return it.copied(), nil
	}
	if it.claimant != "" && it.claimant != claimant && !it.until.Before(s.now()) {
		defer s.mu.Unlock()
		return notify.State{}, &notify.Claimed{Until: it.until}
	}
	state := it.copied()
	it.claimant, it.until, it.Attempted = claimant, until, attempt
	s.mu.Unlock()
	return state, s.fault("Claim/done")
}

// SaveCard records the card that was posted.
func (s *Deliveries) SaveCard(_ context.Context, k notify.Key, card notify.MessageRef) error {
	return s.write("SaveCard", func() { s.item(k).Card = card })
}

// Finish records that a transition needs no more telling.
func (s *Deliveries) Finish(_ context.Context, k notify.Key, claimant, transition string, shown notify.Progress) error {
	return s.write("Finish", func() {
		it := s.item(k)
		if !slices.Contains(it.Told, transition) {
			it.Told = append(it.Told, transition)
		}
		if it.claimant == "" || it.claimant == claimant {
			it.Shown, it.claimant = shown, ""
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

// Slot reserves the next free time to send to a destination.
func (s *Deliveries) Slot(_ context.Context, destination string, gap time.Duration, latest time.Time) (time.Time, bool, error) {
	at, ok := s.now(), true
	err := s.write("Slot", func() {
		if slot, taken := s.slots[destination]; taken && slot.After(at) {
			at = slot
		}
		if ok = !at.After(latest); ok {
			s.setSlot(destination, at.Add(gap))
		}
	})
	return at, ok, err
}

// Hold keeps everybody from sending to a destination until the given time.
func (s *Deliveries) Hold(_ context.Context, destination string, until time.Time) error {
	return s.write("Hold", func() {
		if s.slots[destination].Before(until) {
			s.setSlot(destination, until)
		}
	})
}

// Broken notes that a destination is broken, and returns since when.
func (s *Deliveries) Broken(_ context.Context, destination string) (b notify.Outage, err error) {
	err = s.write("Broken", func() {
		now := s.now()
		it := s.broken[destination]
		if it == nil || it.refused.Before(now.Add(-notify.RecoveryWindow)) {
			it = &breakage{Outage: notify.Outage{Since: now}}
			if s.broken == nil {
				s.broken = make(map[string]*breakage)
			}
			s.broken[destination] = it
		}
		it.refused = now
		b = it.Outage
	})
	return b, err
}

// Warned records that the other channels were told that a destination is broken.
func (s *Deliveries) Warned(_ context.Context, destination string) error {
	return s.write("Warned", func() {
		if it := s.broken[destination]; it != nil {
			it.Told = true
		}
	})
}

// State is what a destination has been told of a job.
func (s *Deliveries) State(k notify.Key) notify.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.item(k).copied()
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
		s.items[k] = &deliveryItem{}
	}
	return s.items[k]
}

func (it *deliveryItem) copied() notify.State {
	state := it.State
	state.Told = slices.Clone(state.Told)
	return state
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
