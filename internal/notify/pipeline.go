package notify

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/idmapping/notifier/internal/message"
)

// process is the pipeline that each message passes: decode, filter, and for each
// destination claim, wait, send, record. The wait is in send: a channel with a
// rate limiter waits before each message that it posts.
func (b *batch) process(ctx context.Context, it item) result {
	e, err := it.decoded()
	if err != nil {
		return result{refused: err}
	}
	routing := b.channel.Routing(e)
	switch routing.Verdict {
	case Muted:
		b.report.Muted++
		b.log().Info("notification muted", "channel", b.channel.Name, "workflow", e.Detail.WorkflowName, "transitionId", e.Detail.TransitionID)
		return result{}
	case NotChosen:
		return result{}
	}
	it.event, it.summarized = routing.Event, routing.Verdict == Summarized
	var r result
	for _, n := range b.notifications(it, routing.Destinations) {
		action, state, err := b.claim(ctx, &n)
		if err == nil && n.sends(action, state) {
			n.ref, err = b.send(ctx, n, action, state)
		}
		if err == nil && action != Skip {
			err = b.record(ctx, n, action, state)
		}
		if err == nil {
			b.followUps = append(b.followUps, followUps(n)...)
		}
		b.note(n, action, err, &r)
	}
	return r
}

// result is what the pipeline leaves to do about a message: nothing, or one of
// these. A message that one destination refuses and another has not accepted yet
// is retried first.
type result struct {
	refused error         // dead-letter the message, for this reason
	retry   bool          // keep the message in the queue
	wait    time.Duration // until the next attempt
}

// notification is one message for one destination.
type notification struct {
	item
	to       Destination
	key      Key
	claimant string
	message  *message.Message // shared by the destinations; see compose
	rendered any              // see Renderer
	ref      MessageRef       // of the card that was posted
}

// sends reports whether the action sends anything: a status that a summary
// announces only updates the card that the destination shows.
func (n notification) sends(action Action, state State) bool {
	if n.summarized {
		return action == UpdateCard && state.Card != MessageRef{}
	}
	return action.sends()
}

// notifications are those that a message makes, one for each destination.
func (b *batch) notifications(it item, destinations []Destination) []notification {
	e := it.event
	if b.channel.SharedSender && e.Silent() {
		destinations = destinations[:min(1, len(destinations))]
	}
	composed := it.notice
	if composed == nil {
		b.account, b.region, b.environment = e.Account, e.Region, e.Detail.Environment
		composed = new(message.Message)
	}
	// The claimant differs between two receives of one message: the claim of an
	// invocation that died must not count as this one's.
	claimant := fmt.Sprintf("%s/%d/%s", it.ID, it.ReceiveCount, strconv.FormatInt(b.deadline.UnixMilli(), 36))
	all := make([]notification, len(destinations))
	for i, to := range destinations {
		all[i] = notification{item: it, to: to, key: KeyOf(e, to.ID()), claimant: claimant, message: composed}
	}
	return all
}

// claim takes the right to deliver, and decides what there is to do. The message
// is composed while the claim is written.
func (b *batch) claim(ctx context.Context, n *notification) (Action, State, error) {
	if failure := b.suspended[n.to.ID()]; failure != nil {
		return Skip, State{}, failure
	}
	prepared := prepare(ctx, *n)
	var state State
	written := make(chan error, 1)
	go func() {
		written <- b.isolated(func() (err error) {
			state, err = b.Deliveries.Claim(ctx, n.key, n.event.Detail.TransitionID, n.claimant, ProgressOf(n.event), b.deadline)
			return err
		})
	}()
	composing := b.isolated(func() error { b.compose(n); return nil })
	err := <-written
	<-prepared
	if err == nil && composing != nil {
		err = errors.Join(composing, b.Deliveries.Release(ctx, n.key, n.claimant))
	}
	if claimed, ok := errors.AsType[*Claimed](err); ok {
		err = &Failure{Reason: Unavailable, After: time.Until(claimed.Until) + time.Second, Err: err}
	}
	if err != nil {
		return Skip, State{}, err
	}
	return Decide(state, n.event), state, nil
}

// compose composes the notification's message, unless another destination has, and
// renders it.
func (b *batch) compose(n *notification) {
	if n.message.Word == "" {
		*n.message = message.Compose(n.event, time.Now().UTC(), b.Settings)
	}
	if r, ok := n.to.(Renderer); ok && !n.event.Silent() {
		n.rendered = r.Render(*n.message)
	}
}

// prepare lets the destination reserve its slot while the notification is being
// claimed: nearly every message is sent when it is received for the first time.
func prepare(ctx context.Context, n notification) <-chan struct{} {
	done := make(chan struct{})
	p, ok := n.to.(Preparer)
	if !ok || n.ReceiveCount > 1 || n.event.Silent() || n.summarized {
		close(done)
		return done
	}
	go func() {
		defer close(done)
		defer func() { _ = recover() }() // a fault of ours shows again in send, where it stays with its message
		p.Prepare(ctx)
	}()
	return done
}

// send sends the notification, and gives the claim back when that fails.
func (b *batch) send(ctx context.Context, n notification, action Action, state State) (MessageRef, error) {
	ref, err := MessageRef{}, error(nil)
	if time.Now().After(sendDeadline(ctx)) {
		err = errLate()
	} else {
		ref, err = n.to.Send(ctx, Delivery{Message: *n.message, Rendered: n.rendered, Card: state.Card, Edit: action == UpdateCard,
			CardOnly: n.summarized, DryRun: n.event.Silent()})
	}
	if err != nil {
		b.recordFailure(n.to, FailureOf(err))
		return MessageRef{}, errors.Join(err, b.Deliveries.Release(ctx, n.key, n.claimant))
	}
	b.failures[n.to.ID()] = 0
	return ref, nil
}

// record stores the outcome. When that fails the message is sent again: a
// notification may repeat, it is never lost.
func (b *batch) record(ctx context.Context, n notification, action Action, state State) error {
	now := time.Now().UTC()
	o := Outcome{Transition: n.event.Detail.TransitionID, Progress: state.Latest(), Ref: n.ref,
		Attempts: n.ReceiveCount, Body: n.keptBody(), Delay: max(0, now.Sub(n.event.Detail.ObservedAt))}
	if action != Supersede && !n.summarized {
		o.SentAt = now
	}
	if action == UpdateCard {
		o.Progress = ProgressOf(n.event)
	}
	return b.Deliveries.Record(ctx, n.key, n.claimant, o)
}

// note counts and logs how a notification ended, and adds to the message's
// result what is left to do.
func (b *batch) note(n notification, action Action, err error, r *result) {
	d := n.event.Detail
	log := b.log().With("destination", n.to.ID(), "workflow", d.WorkflowName, "job", d.JobID, "status", d.Status,
		"transitionId", d.TransitionID, "messageId", n.ID, "receiveCount", n.ReceiveCount)
	if err != nil {
		failure := FailureOf(err)
		log.Warn("notification failed", "reason", failure.Reason, "error", err.Error())
		if failure.Reason == Refused {
			r.refused = errors.Join(r.refused, fmt.Errorf("%s: %w", n.to.ID(), err))
			return
		}
		b.report.Retried++
		if failure.Reason == Misconfigured {
			b.report.Misconfigured++
		}
		r.retry, r.wait = true, max(r.wait, retryDelay(failure, n.ReceiveCount))
		return
	}
	if !action.sends() {
		b.report.Duplicates++
		return
	}
	if n.summarized {
		b.report.Summarized++
		log.Info("notification summarized", "summaryId", d.Backlog.SummaryID)
		return
	}
	if n.event.Silent() {
		b.report.Canaries++
		log.Info("canary delivered")
		return
	}
	b.report.Sent++
	if d.Terminal() && !d.EndTime.IsZero() {
		log = log.With("delaySeconds", int64(time.Since(d.EndTime).Seconds())) // since the job's end, for the dashboard
	}
	log.Info("notification sent")
}

// recordFailure decides whether a destination is suspended for the rest of the
// batch.
func (b *batch) recordFailure(to Destination, failure *Failure) {
	if failure.Reason == Refused {
		b.failures[to.ID()] = 0 // the destination responds
		return
	}
	b.failures[to.ID()]++
	if failure.Reason != Unavailable || b.failures[to.ID()] >= maxConsecutiveFailures {
		b.suspended[to.ID()] = failure
	}
}
