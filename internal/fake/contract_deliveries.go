package fake

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
)

// DeliveriesStore is what the deliveries table does for the notifier and its rate
// limiter.
type DeliveriesStore interface {
	notify.Deliveries
	notify.RateLimits
}

// DeliveriesContract holds for every deliveries store. job is a name that no other
// test uses; open makes the store with a clock.
func DeliveriesContract(t *testing.T, open func(now func() time.Time) DeliveriesStore, job string) {
	ctx := context.Background()
	now := at
	store := open(func() time.Time { return now })
	k := notify.Key{Job: job, Destination: "slack:C1"}
	until := at.Add(time.Minute)
	running := notify.Progress{Status: jobs.Running, Stage: jobs.Active, ObservedAt: at}
	card := notify.MessageRef{Channel: "C1", TS: "1.2"}
	claim := func(t *testing.T, k notify.Key, transition, claimant string) notify.State {
		t.Helper()
		state, err := store.Claim(ctx, k, transition, claimant, running, until)
		must(t, err)
		return state
	}
	claimed := func(t *testing.T, k notify.Key, transition, claimant string, attempt notify.Progress) {
		t.Helper()
		_, err := store.Claim(ctx, k, transition, claimant, attempt, until)
		if claimed, ok := errors.AsType[*notify.Claimed](err); !ok || !claimed.Until.Equal(until) {
			t.Fatalf("Claim = %v, want claimed until %v", err, until)
		}
	}
	outcome := func(transition string, progress notify.Progress, ref notify.MessageRef) notify.Outcome {
		return notify.Outcome{Transition: transition, Progress: progress, Ref: ref, SentAt: at, Attempts: 2, Delay: 90 * time.Second}
	}
	t.Run("a first claim finds nothing delivered and nothing attempted", func(t *testing.T) {
		equal(t, "state", claim(t, k, "one", "me"), notify.State{})
	})
	t.Run("a claim keeps others out until it expires, and its claimant may repeat it", func(t *testing.T) {
		claimed(t, k, "two", "other", running)
		claim(t, k, "one", "me")
		now = until
		claimed(t, k, "two", "other", running)
		now = until.Add(time.Millisecond)
		_, err := store.Claim(ctx, k, "one", "other", running, until.Add(time.Minute))
		must(t, err)
		now = at
	})
	t.Run("what is recorded is read back, with the card", func(t *testing.T) {
		must(t, store.Record(ctx, k, "other", outcome("one", running, card)))
		equal(t, "state", claim(t, k, "two", "me"),
			notify.State{Delivered: []string{"one"}, Card: card, Progress: running, Attempted: running})
	})
	t.Run("a delivered transition is not claimed", func(t *testing.T) {
		must(t, store.Release(ctx, k, "me"))
		equal(t, "delivered", claim(t, k, "one", "third").Delivered, []string{"one"})
		claim(t, k, "two", "fourth") // the third has no claim
	})
	t.Run("recording after the claim was lost keeps the other's claim, progress and card", func(t *testing.T) {
		must(t, store.Record(ctx, k, "lost", outcome("three", notify.Progress{Status: "OLD"}, notify.MessageRef{Channel: "C1", TS: "9.9"})))
		claimed(t, k, "four", "me", running)
		must(t, store.Release(ctx, k, "not the claimant"))
		claimed(t, k, "four", "me", running)
		must(t, store.Release(ctx, k, "fourth"))
		equal(t, "state", claim(t, k, "four", "me"),
			notify.State{Delivered: []string{"one", "three"}, Card: card, Progress: running, Attempted: running})
	})
	t.Run("a record without a reference keeps the card, and one with a reference replaces it", func(t *testing.T) {
		must(t, store.Record(ctx, k, "me", outcome("four", running, notify.MessageRef{})))
		equal(t, "card", claim(t, k, "five", "me").Card, card)
		newer := notify.MessageRef{Channel: "C2", TS: "3.4"}
		must(t, store.Record(ctx, k, "me", outcome("five", running, newer)))
		must(t, store.Record(ctx, k, "me", outcome("five", running, newer))) // its answer was lost
		equal(t, "card", claim(t, k, "six", "me").Card, newer)
	})
	t.Run("a card that was posted after the claim was lost is kept if there is no other", func(t *testing.T) {
		k := notify.Key{Job: job, Destination: "slack:lost"}
		claim(t, k, "one", "me")
		must(t, store.Record(ctx, k, "lost", outcome("two", running, card)))
		must(t, store.Release(ctx, k, "me"))
		equal(t, "state", claim(t, k, "one", "me"), notify.State{Delivered: []string{"two"}, Card: card, Attempted: running})
	})
	t.Run("a superseded transition counts as delivered", func(t *testing.T) {
		k := notify.Key{Job: job, Destination: "slack:superseded"}
		claim(t, k, "one", "me")
		must(t, store.Record(ctx, k, "me", notify.Outcome{Transition: "one", Progress: running}))
		equal(t, "delivered", claim(t, k, "one", "me").Delivered, []string{"one"})
	})
	t.Run("what is behind an attempt takes no claim and leaves the attempt", func(t *testing.T) {
		k := notify.Key{Job: job, Destination: "slack:C2"}
		failed := notify.Progress{Status: jobs.Failed, Stage: jobs.Terminal, ObservedAt: at.Add(time.Minute)}
		_, err := store.Claim(ctx, k, "failed", "me", failed, until)
		must(t, err)
		must(t, store.Release(ctx, k, "me"))
		for range 2 {
			state, err := store.Claim(ctx, k, "running", "other", running, until)
			must(t, err)
			equal(t, "state", state, notify.State{Attempted: failed})
		}
		earlier := failed
		earlier.ObservedAt = at
		_, err = store.Claim(ctx, k, "earlier failed", "third", earlier, until) // a terminal status is always delivered
		must(t, err)
		claimed(t, k, "failed", "me", failed)
	})
	t.Run("the card of a failure is claimed with its event, once per order", func(t *testing.T) {
		k := notify.Key{Job: job, Destination: "slack:follow-up"}
		claimCard := func(claimant string, order int) notify.Card {
			t.Helper()
			card, err := store.ClaimCard(ctx, k, claimant, order, until)
			must(t, err)
			return card
		}
		equal(t, "card of an unknown job", claimCard("me", 2), notify.Card{})
		claim(t, k, "running", "me")
		must(t, store.Record(ctx, k, "me", outcome("running", running, card)))
		equal(t, "card without an event", claimCard("me", 2), notify.Card{})
		claim(t, k, "failed", "me")
		failed := outcome("failed", running, notify.MessageRef{})
		failed.Body = "{}"
		must(t, store.Record(ctx, k, "me", failed))
		want := notify.Card{Ref: card, Body: "{}"}
		equal(t, "card", claimCard("me", 2), want)
		equal(t, "card, claimed again by its claimant", claimCard("me", 2), want)
		_, err := store.ClaimCard(ctx, k, "other", 2, until)
		if claimed, ok := errors.AsType[*notify.Claimed](err); !ok || !claimed.Until.Equal(until) {
			t.Fatalf("ClaimCard = %v, want claimed until %v", err, until)
		}
		claimed(t, k, "more", "other", running)
		must(t, store.RecordFollowUp(ctx, k, "other", 9)) // it has no claim
		must(t, store.RecordFollowUp(ctx, k, "me", 2))
		equal(t, "card that shows as much", claimCard("other", 2), notify.Card{})
		equal(t, "card that shows less", claimCard("other", 3), want)
		must(t, store.Release(ctx, k, "other"))
		equal(t, "card after a release", claimCard("third", 3), want)
	})
	t.Run("the card of a failure that is attempted and not sent waits", func(t *testing.T) {
		k := notify.Key{Job: job, Destination: "slack:waiting"}
		failure := notify.Progress{Status: jobs.Failed, Stage: jobs.Terminal, ObservedAt: at}
		_, err := store.Claim(ctx, k, "failed", "me", failure, until)
		must(t, err)
		must(t, store.Release(ctx, k, "me"))
		_, err = store.ClaimCard(ctx, k, "other", 2, until)
		if _, ok := errors.AsType[*notify.Claimed](err); !ok {
			t.Fatalf("ClaimCard = %v, want claimed", err)
		}
	})
	t.Run("slots are an interval apart, and none after the latest time is reserved", func(t *testing.T) {
		destination := "limit of " + job
		latest := at.Add(2 * time.Second)
		for i, want := range []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second} {
			slot, reserved, err := store.Reserve(ctx, destination, time.Second, latest)
			must(t, err)
			equal(t, "slot", slot, at.Add(want))
			equal(t, "reserved", reserved, i < 3)
		}
	})
	t.Run("a free slot after the latest time is not reserved", func(t *testing.T) {
		destination := "late " + job
		for _, latest := range []time.Time{at.Add(-time.Millisecond), at} {
			slot, reserved, err := store.Reserve(ctx, destination, time.Second, latest)
			must(t, err)
			equal(t, "slot", slot, at)
			equal(t, "reserved", reserved, latest.Equal(at))
		}
	})
	t.Run("a pause moves the next slot, and never to an earlier time", func(t *testing.T) {
		destination := "pause of " + job
		must(t, store.PauseUntil(ctx, destination, at.Add(30*time.Second)))
		must(t, store.PauseUntil(ctx, destination, at.Add(10*time.Second)))
		slot, reserved, err := store.Reserve(ctx, destination, time.Second, at.Add(time.Minute))
		must(t, err)
		equal(t, "slot", slot, at.Add(30*time.Second))
		equal(t, "reserved", reserved, true)
	})
	t.Run("an outage lasts until the destination has refused nothing for the recovery window", func(t *testing.T) {
		destination := "outage of " + job
		expect := func(want notify.Outage) {
			t.Helper()
			got, err := store.RecordOutage(ctx, destination)
			must(t, err)
			equal(t, "outage", got, want)
		}
		expect(notify.Outage{Since: at})
		now = at.Add(notify.RecoveryWindow)
		expect(notify.Outage{Since: at})
		must(t, store.RecordAnnouncement(ctx, destination))
		now = now.Add(notify.RecoveryWindow)
		expect(notify.Outage{Since: at, Announced: true})
		now = now.Add(notify.RecoveryWindow + time.Millisecond)
		expect(notify.Outage{Since: now})
		now = at
	})
}
