package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
)

// CardEditor is a destination that shows on the card of an earlier failure what
// later runs did.
type CardEditor interface {
	Destination
	// Edits reports whether the destination edits its cards.
	Edits() bool
	// FollowUp makes a card that an earlier Send posted show m, and posts the reply
	// to its thread unless it is empty. A card that is gone is no error; every
	// error is a *Failure.
	FollowUp(ctx context.Context, card MessageRef, m message.Message, reply message.Line) error
}

// Card is the card of an earlier failure.
type Card struct {
	Ref  MessageRef
	Body string // the failure's event, as EventBridge delivered it
}

const (
	// fixed is the order of the last follow-up of a card: the failures are over.
	fixed = 1 << 30
	// maxFollowUpAttempts bounds the receives of a message whose notification is
	// sent and whose follow-up fails: an old card is not worth a dead letter.
	maxFollowUpAttempts = 10
	// maxKeptBody is the largest event that is kept with its card, in bytes.
	maxKeptBody = 32 << 10
)

// followUp is an edit of another job's card that a notification brings.
type followUp struct {
	notification
	job    string // ID of the job whose card it is
	order  int    // a card only takes a follow-up of a higher order
	change message.FollowUp
}

// followUps are those that a delivered notification brings: a repeated failure
// counts on the card of the first one, a success after failures ends the first
// and the last one's.
func followUps(n notification) []followUp {
	d := n.event.Detail
	if editor, ok := n.to.(CardEditor); !ok || !editor.Edits() || n.event.DetailType != event.StateChange || n.summarized || d.Replay != nil {
		return nil
	}
	switch {
	case d.Status == jobs.Failed && d.Streak != nil && d.Streak.Repeated:
		return []followUp{{n, d.Streak.FirstJobID, d.Streak.Failures, message.FollowUp{Failures: d.Streak.Failures, Latest: d.EndTime}}}
	case d.Status == jobs.Succeeded && d.Recovery != nil && len(d.Findings) == 0: // a run to check fixes nothing
		var all []followUp
		for _, job := range slices.Compact([]string{d.Recovery.FirstJobID, d.Recovery.LastJobID}) {
			all = append(all, followUp{n, job, fixed, message.FollowUp{Failures: d.Recovery.Failures, Fixed: d.EndTime}})
		}
		return all
	}
	return nil
}

// runFollowUps edits the cards of other jobs, after all messages of the batch. It
// returns the items that stay in their queue for another attempt.
func (b *batch) runFollowUps(ctx context.Context) []item {
	var again []item
	for _, f := range b.followUps {
		err := b.isolated(func() error {
			if failure := b.suspended[f.to.ID()]; failure != nil {
				return failure
			}
			return b.followUp(ctx, f)
		})
		if err == nil {
			continue
		}
		retried := f.ReceiveCount < maxFollowUpAttempts && FailureOf(err).Reason != Refused
		b.log().Warn("earlier card not updated", "destination", f.to.ID(), "workflow", f.event.Detail.WorkflowName, "job", f.job,
			"transitionId", f.event.Detail.TransitionID, "retried", retried, "error", err.Error())
		if retried {
			b.report.Retried++
			again = append(again, f.item)
		}
	}
	return again
}

// followUp claims the card, edits it and records that, as a notification is.
func (b *batch) followUp(ctx context.Context, f followUp) error {
	if time.Now().After(sendDeadline(ctx)) {
		return errLate()
	}
	k := Key{Job: f.event.Detail.WorkflowARN + "/" + f.job, Destination: f.to.ID()}
	card, err := b.Deliveries.ClaimCard(ctx, k, f.claimant, f.order, b.deadline)
	if claimed, ok := errors.AsType[*Claimed](err); ok {
		return &Failure{Reason: Unavailable, After: time.Until(claimed.Until) + time.Second, Err: err}
	}
	if err != nil || card.Ref == (MessageRef{}) {
		return err // without an error: the card is unknown, or shows something later
	}
	earlier, err := event.Decode([]byte(card.Body))
	if err == nil {
		m := message.Compose(earlier, earlier.Detail.ObservedAt, b.Settings).With(f.change)
		var reply message.Line
		if f.change.Fixed.IsZero() {
			reply = f.change.Line()
		}
		err = f.to.(CardEditor).FollowUp(ctx, card.Ref, m, reply)
	}
	if err != nil {
		return errors.Join(err, b.Deliveries.Release(ctx, k, f.claimant))
	}
	b.report.FollowUps++
	return b.Deliveries.RecordFollowUp(ctx, k, f.claimant, f.order)
}

// isolated runs work and turns a panic into an error.
func (b *batch) isolated(work func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			b.log().Error("panic", "panic", fmt.Sprint(p))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return work()
}

// keptBody is the event that is kept with the card of a failure, or "".
func (n notification) keptBody() string {
	editor, ok := n.to.(CardEditor)
	if !ok || !editor.Edits() || n.event.DetailType != event.StateChange || n.event.Detail.Status != jobs.Failed || len(n.Body) > maxKeptBody {
		return ""
	}
	return n.Body
}
