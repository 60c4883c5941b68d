package fake

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/notify"
)

// DestinationContract holds for every destination with cards. open makes one that
// uses the rate limiter; shown counts the messages that people see there.
func DestinationContract(t *testing.T, open func(RateLimiter) notify.Destination, shown func() int) {
	ctx := context.Background()
	limiter := &Limiter{}
	d := open(limiter)
	delivery := notify.Delivery{Message: message.Message{Severity: message.Bad, Loud: true, Word: "FAILED", Name: "w", Subject: "[FAILED] w",
		Lead: []message.Line{message.Plain("Access denied")}, WorkflowName: "w", JobID: "j"}}
	t.Run("a dry run shows nothing, posts no card and does not wait", func(t *testing.T) {
		dryRun := delivery
		dryRun.DryRun = true
		ref, err := d.Send(ctx, dryRun)
		must(t, err)
		equal(t, "reference", ref, notify.MessageRef{})
		equal(t, "shown and waits", []int{shown(), limiter.Waits}, []int{0, 0})
	})
	t.Run("nothing is shown when the rate limiter refuses", func(t *testing.T) {
		limiter.Err = &notify.Failure{Reason: notify.RateLimited, After: time.Second, Err: errors.New("later")}
		ref, err := d.Send(ctx, delivery)
		equal(t, "failure", notify.FailureOf(err), limiter.Err)
		equal(t, "reference", ref, notify.MessageRef{})
		equal(t, "shown", shown(), 0)
		equal(t, "pauses", len(limiter.Pauses), 0)
		limiter.Err = nil
		limiter.Waits = 0
	})
	t.Run("the first delivery posts a card after one wait and returns its reference", func(t *testing.T) {
		ref, err := d.Send(ctx, delivery)
		must(t, err)
		equal(t, "shown and waits", []int{shown(), limiter.Waits}, []int{1, 1})
		if ref == (notify.MessageRef{}) {
			t.Error("no reference")
		}
		delivery.Card = ref
	})
	t.Run("a later delivery posts no other card", func(t *testing.T) {
		ref, err := d.Send(ctx, delivery)
		must(t, err)
		equal(t, "reference", ref, notify.MessageRef{})
	})
	t.Run("a delivery for the card only posts nothing and does not wait", func(t *testing.T) {
		waits, before := limiter.Waits, shown()
		only := delivery
		only.CardOnly, only.Edit = true, true
		ref, err := d.Send(ctx, only)
		must(t, err)
		equal(t, "reference", ref, notify.MessageRef{})
		equal(t, "shown and waits", []int{shown(), limiter.Waits}, []int{before, waits})
	})
}
