package notify

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/message"
)

const (
	// responseMargin is how long before the function's deadline every call is
	// canceled, so that Lambda still gets the batch's response.
	responseMargin = time.Second
	// shutdownMargin is how long before the function's deadline nothing more is
	// sent, so that what was sent can still be recorded.
	shutdownMargin = 8 * time.Second
	// maxConsecutiveFailures suspends an unavailable destination for the rest
	// of the batch.
	maxConsecutiveFailures = 2
	// defaultTimeout applies when the context has no deadline. In Lambda it
	// always has one.
	defaultTimeout = time.Minute
)

// Handle processes the messages of a queue, given by its ARN. It returns an error
// only when no channel has that queue. A message that fails is in the result, and
// stays in its queue.
func (n *Notifier) Handle(ctx context.Context, queueARN string, messages []Received) (Result, error) {
	if len(messages) == 0 {
		return Result{Report: Report{Version: n.Version}}, nil
	}
	channel, err := n.channelOf(queueARN)
	if err != nil {
		return Result{}, err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(defaultTimeout)
	}
	workCtx, cancel := context.WithDeadline(ctx, deadline.Add(-responseMargin))
	defer cancel()
	b := newBatch(n, channel, deadline)
	var failed []string
	for _, it := range inOrder(messages) {
		if r := b.handle(workCtx, it); r.retry {
			b.postpone(workCtx, it, r.wait)
			failed = append(failed, it.ID)
		}
	}
	b.announceOutages(workCtx)
	for _, it := range b.runFollowUps(workCtx) {
		if !slices.Contains(failed, it.ID) {
			b.postpone(workCtx, it, backoff(it.ReceiveCount))
			failed = append(failed, it.ID)
		}
	}
	if n.Metrics != nil {
		n.Metrics(b.report.Values())
	}
	b.report.Version = n.Version
	return Result{Failed: failed, Report: b.report}, nil
}

// channelOf finds the channel by its queue's name, the last part of the queue's
// ARN and of its URL.
func (n *Notifier) channelOf(queueARN string) (Channel, error) {
	name := queueARN[strings.LastIndexByte(queueARN, ':')+1:]
	for _, channel := range n.Channels {
		if path.Base(channel.QueueURL) == name {
			return channel, nil
		}
	}
	return Channel{}, fmt.Errorf("choosing the channel: queue %q is none of this function's queues", queueARN)
}

// sendDeadline is when an invocation stops sending. ctx is the batch's context,
// which ends responseMargin before the function's deadline.
func sendDeadline(ctx context.Context) time.Time {
	workDeadline, ok := ctx.Deadline()
	if !ok {
		workDeadline = time.Now().Add(defaultTimeout)
	}
	return workDeadline.Add(responseMargin - shutdownMargin)
}

// batch is one invocation's work.
type batch struct {
	*Notifier
	channel   Channel
	deadline  time.Time           // of the function; claims last until then
	suspended map[string]*Failure // destinations that get nothing more in this batch, and why
	failures  map[string]int      // consecutive failures by destination
	report    Report

	followUps []followUp // after all messages

	account, region, environment string // of the last event
}

func newBatch(n *Notifier, channel Channel, deadline time.Time) *batch {
	return &batch{Notifier: n, channel: channel, deadline: deadline,
		suspended: make(map[string]*Failure), failures: make(map[string]int)}
}

// item is one message on its way through the pipeline.
type item struct {
	Received
	event     event.Event
	decodeErr error
	// summarized is set when a summary announces the event's status.
	summarized bool
	notice     *message.Message // of an outage notice, which has no body
}

// decoded is the message's event, or why it has none. inOrder has decoded it,
// because it sorts the batch by what the events say.
func (it item) decoded() (event.Event, error) { return it.event, it.decodeErr }

// inOrder decodes the messages and sorts them by observation time, then stage:
// a queue keeps no order.
func inOrder(messages []Received) []item {
	items := make([]item, len(messages))
	for i, m := range messages {
		items[i].Received = m
		items[i].event, items[i].decodeErr = event.Decode([]byte(m.Body))
	}
	slices.SortStableFunc(items, func(x, y item) int {
		return cmp.Or(x.event.Detail.ObservedAt.Compare(y.event.Detail.ObservedAt),
			cmp.Compare(ProgressOf(x.event).Stage, ProgressOf(y.event).Stage))
	})
	return items
}

// handle processes one message. A panic is the failure of that message alone:
// it must not take the other messages' outcome with it, or they would all be
// sent again.
func (b *batch) handle(ctx context.Context, it item) (r result) {
	defer func() {
		if p := recover(); p != nil {
			b.log().Error("panic", "messageId", it.ID, "panic", fmt.Sprint(p))
			b.report.Retried++
			r = result{retry: true, wait: backoff(it.ReceiveCount)}
		}
	}()
	return b.conclude(ctx, it, b.process(ctx, it))
}

// conclude moves a message that can never be delivered to the dead-letter queue
// and gives up an expired canary. It returns what is left to do.
func (b *batch) conclude(ctx context.Context, it item, r result) result {
	if r.retry && b.isStale(it.event) {
		b.log().Error("canary expired", "transitionId", it.event.Detail.TransitionID)
		return result{}
	}
	if r.refused == nil || r.retry {
		return r
	}
	b.log().Error("message dead-lettered", "messageId", it.ID, "reason", r.refused.Error())
	if err := b.Queue.DeadLetter(ctx, b.channel.DeadLetterQueueURL, it.Body, r.refused.Error(), it.ID); err != nil {
		b.log().Error("dead-lettering failed", "messageId", it.ID, "error", err.Error())
		b.report.Retried++
		return result{retry: true, wait: backoff(it.ReceiveCount)}
	}
	b.report.DeadLettered++
	return result{}
}

// canaryLife is how long a canary is retried: then the next one is on its way.
// The alarms that its failures set off have fired long before.
const canaryLife = 2 * time.Hour

func (b *batch) isStale(e event.Event) bool {
	return e.DetailType == event.Canary && time.Since(e.Detail.ObservedAt) > canaryLife
}

// postpone hides the message until its next attempt. If that fails, or no time
// is left, the message comes back after the queue's own visibility timeout.
func (b *batch) postpone(ctx context.Context, it item, wait time.Duration) {
	err := ctx.Err()
	if err == nil {
		err = b.Queue.ChangeVisibility(ctx, b.channel.QueueURL, it.ReceiptHandle, wait)
	}
	if err != nil {
		b.log().Warn("changing message visibility failed", "messageId", it.ID, "error", err.Error())
	}
}
