package fake

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
)

var at = time.Date(2026, 11, 23, 12, 0, 0, 123_000_000, time.UTC)

// DeliveriesContract is what every deliveries store has to hold; job is a name
// that no other test uses, and open gives the store with a clock.
func DeliveriesContract(t *testing.T, open func(now func() time.Time) notify.Deliveries, job string) {
	ctx := context.Background()
	now := at
	store := open(func() time.Time { return now })
	k := notify.Key{Job: job, Destination: "slack:C1"}
	until := at.Add(time.Minute)
	shown := notify.Progress{Status: jobs.Running, Stage: jobs.Active, ObservedAt: at}
	claim := func(t *testing.T, transition, claimant string) notify.State {
		t.Helper()
		state, err := store.Claim(ctx, k, transition, claimant, shown, until)
		must(t, err)
		return state
	}
	t.Run("a first claim finds nothing told and nothing attempted", func(t *testing.T) {
		equal(t, "state", claim(t, "one", "me"), notify.State{})
	})
	t.Run("a claim keeps others out until it expires, and is the claimant's to repeat", func(t *testing.T) {
		_, err := store.Claim(ctx, k, "two", "other", shown, until)
		claimed, ok := errors.AsType[*notify.Claimed](err)
		if !ok || !claimed.Until.Equal(until) {
			t.Fatalf("Claim = %v, want claimed until %v", err, until)
		}
		claim(t, "one", "me")
		now = until.Add(time.Millisecond)
		_, err = store.Claim(ctx, k, "one", "other", shown, until.Add(time.Minute))
		must(t, err)
		now = at
	})
	t.Run("what was told and shown is remembered, with the card", func(t *testing.T) {
		must(t, store.SaveCard(ctx, k, notify.MessageRef{Channel: "C1", TS: "1.2"}))
		must(t, store.Finish(ctx, k, "other", "one", shown))
		equal(t, "state", claim(t, "two", "me"),
			notify.State{Told: []string{"one"}, Card: notify.MessageRef{Channel: "C1", TS: "1.2"}, Shown: shown, Attempted: shown})
	})
	t.Run("a transition that was told is not claimed", func(t *testing.T) {
		must(t, store.Release(ctx, k, "me"))
		equal(t, "told", claim(t, "one", "third").Told, []string{"one"})
		claim(t, "two", "fourth") // free
	})
	t.Run("finishing after the claim was lost records what was told and leaves the other's claim", func(t *testing.T) {
		must(t, store.Finish(ctx, k, "lost", "three", notify.Progress{Status: "OLD"}))
		_, err := store.Claim(ctx, k, "four", "me", shown, until)
		if _, ok := errors.AsType[*notify.Claimed](err); !ok {
			t.Fatalf("Claim = %v, want claimed", err)
		}
		must(t, store.Release(ctx, k, "not the claimant"))
		must(t, store.Release(ctx, k, "fourth"))
		state := claim(t, "four", "me")
		slices.Sort(state.Told)
		equal(t, "told", state.Told, []string{"one", "three"})
		equal(t, "shown", state.Shown, shown)
	})
	t.Run("what lies behind an attempt takes no claim and leaves the attempt", func(t *testing.T) {
		k := notify.Key{Job: job, Destination: "slack:C2"}
		end := notify.Progress{Status: jobs.Failed, Stage: jobs.Terminal, ObservedAt: at.Add(time.Minute)}
		_, err := store.Claim(ctx, k, "end", "me", end, until)
		must(t, err)
		must(t, store.Release(ctx, k, "me"))
		for range 2 {
			state, err := store.Claim(ctx, k, "running", "other", shown, until)
			must(t, err)
			equal(t, "state", state, notify.State{Attempted: end})
		}
		older := end
		older.ObservedAt = at
		_, err = store.Claim(ctx, k, "older end", "third", older, until) // an end is always told
		must(t, err)
		_, err = store.Claim(ctx, k, "end", "me", end, until)
		if _, ok := errors.AsType[*notify.Claimed](err); !ok {
			t.Fatalf("Claim = %v, want claimed", err)
		}
	})
	t.Run("slots are a gap apart, and none is reserved beyond the latest", func(t *testing.T) {
		destination := "pace of " + job
		latest := at.Add(2 * time.Second)
		for i, want := range []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second} {
			slot, ok, err := store.Slot(ctx, destination, time.Second, latest)
			must(t, err)
			equal(t, "slot", slot, at.Add(want))
			equal(t, "reserved", ok, i < 3)
		}
	})
	t.Run("a destination is broken since it was, told or not, until it refused nothing for long", func(t *testing.T) {
		destination := "broken " + job
		expect := func(want notify.Outage) {
			t.Helper()
			got, err := store.Broken(ctx, destination)
			must(t, err)
			equal(t, "breakage", got, want)
		}
		expect(notify.Outage{Since: at})
		now = at.Add(notify.RecoveryWindow)
		expect(notify.Outage{Since: at})
		must(t, store.Warned(ctx, destination))
		now = now.Add(notify.RecoveryWindow)
		expect(notify.Outage{Since: at, Told: true})
		now = now.Add(notify.RecoveryWindow + time.Millisecond)
		expect(notify.Outage{Since: now})
		now = at
	})
	t.Run("holding back moves the next slot, and never to an earlier time", func(t *testing.T) {
		destination := "hold of " + job
		must(t, store.Hold(ctx, destination, at.Add(30*time.Second)))
		must(t, store.Hold(ctx, destination, at.Add(10*time.Second)))
		slot, ok, err := store.Slot(ctx, destination, time.Second, at.Add(time.Minute))
		must(t, err)
		equal(t, "slot", slot, at.Add(30*time.Second))
		equal(t, "reserved", ok, true)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func conflicts(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, jobs.ErrConflict) {
		t.Fatalf("error = %v, want jobs.ErrConflict", err)
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}
