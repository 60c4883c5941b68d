package notify

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/message"
)

// Response is the function's answer: the partial batch response that the event
// source mapping reads, and the report for people.
type Response struct {
	BatchItemFailures []events.SQSBatchItemFailure `json:"batchItemFailures"`
	Report
}

const (
	// reserve is how long before the deadline nothing more is sent, so that
	// what was sent can still be recorded.
	reserve = 8 * time.Second
	// answering is how long before the deadline every call is cut off, so that
	// the batch's outcome is still answered.
	answering = time.Second
	// strikes is after how many failures in a row a destination that does not
	// answer is left alone for the rest of the batch.
	strikes = 2
)

// Handle is the Lambda function's handler. It returns an error only for a batch
// from a queue that it does not serve; what goes wrong with one message is in
// the response, and the message stays in its queue.
func (n *Notifier) Handle(ctx context.Context, in events.SQSEvent) (Response, error) {
	response := Response{BatchItemFailures: []events.SQSBatchItemFailure{}}
	if len(in.Records) == 0 {
		return response, nil
	}
	lane, err := n.laneOf(in.Records[0].EventSourceARN)
	if err != nil {
		return response, err
	}
	work := ctx
	until, ok := ctx.Deadline()
	if ok {
		limited, cancel := context.WithDeadline(ctx, until.Add(-answering))
		defer cancel()
		work = limited
	} else {
		until = n.now().Add(time.Minute)
	}
	b := newBatch(n, lane, until)
	for _, item := range sorted(in.Records) {
		if wait, again := b.handle(work, item); again {
			b.postpone(ctx, item, wait)
			response.BatchItemFailures = append(response.BatchItemFailures,
				events.SQSBatchItemFailure{ItemIdentifier: item.MessageId})
		}
	}
	b.warn(work)
	response.Report = b.report
	if n.Metrics != nil {
		n.Metrics(b.report.Values())
	}
	return response, nil
}

// laneOf finds the lane by its queue: the last part of a queue's ARN and of its
// URL is the queue's name.
func (n *Notifier) laneOf(queueARN string) (Channel, error) {
	name := queueARN[strings.LastIndexByte(queueARN, ':')+1:]
	for _, lane := range n.Channels {
		if path.Base(lane.QueueURL) == name {
			return lane, nil
		}
	}
	return Channel{}, fmt.Errorf("choosing the channel: queue %q is none of this function's queues", queueARN)
}

// batch is one invocation at work.
type batch struct {
	*Notifier
	lane     Channel
	until    time.Time           // the deadline
	latest   time.Time           // when nothing more is sent
	down     map[string]*Failure // destinations to be left alone for the rest of the batch
	failures map[string]int      // failures in a row by destination
	report   Report

	account, region string // of the last event
}

func newBatch(n *Notifier, lane Channel, until time.Time) *batch {
	return &batch{Notifier: n, lane: lane, until: until, latest: until.Add(-reserve),
		down: make(map[string]*Failure), failures: make(map[string]int)}
}

// item is one message of the batch.
type item struct {
	events.SQSMessage
	event event.Event
	err   error // why it is not an event
}

// sorted decodes the messages and puts them into the order in which things
// happened: a queue keeps none.
func sorted(records []events.SQSMessage) []item {
	items := make([]item, len(records))
	for i, record := range records {
		items[i].SQSMessage = record
		items[i].event, items[i].err = event.Decode([]byte(record.Body))
	}
	slices.SortStableFunc(items, func(x, y item) int {
		if c := x.event.Detail.ObservedAt.Compare(y.event.Detail.ObservedAt); c != 0 {
			return c
		}
		return int(ProgressOf(x.event).Stage - ProgressOf(y.event).Stage)
	})
	return items
}

// handle deals with one message. It says whether the message is to come again,
// and after how long.
func (b *batch) handle(ctx context.Context, it item) (wait time.Duration, again bool) {
	log := b.log().With("messageId", it.MessageId)
	defer func() {
		// One message that trips over a fault of ours must not take the others'
		// outcome with it: they would all be told again.
		if r := recover(); r != nil {
			log.Error("panic", "panic", fmt.Sprint(r))
			b.report.Retried++
			wait, again = backoff(it), true
		}
	}()
	if it.err != nil {
		return b.poison(ctx, it, it.err)
	}
	if !b.lane.Filter.Matches(it.event) {
		return 0, false
	}
	b.account, b.region = it.event.Account, it.event.Region
	m := message.Compose(it.event, b.now())
	var refused error
	for _, destination := range b.destinations(it.event) {
		err := b.tell(ctx, destination, it, m)
		if err == nil {
			continue
		}
		failure := FailureOf(err)
		log.Warn("not told", "destination", destination.ID(), "workflow", it.event.Detail.WorkflowName,
			"job", it.event.Detail.JobID, "status", it.event.Detail.Status,
			"transitionId", it.event.Detail.TransitionID, "reason", failure.Reason, "receipts", it.Attributes["ApproximateReceiveCount"], "error", err.Error())
		if failure.Reason == Refused {
			refused = errors.Join(refused, fmt.Errorf("%s: %w", destination.ID(), err))
			continue
		}
		b.report.Retried++
		if failure.Reason == Misconfigured {
			b.report.Broken++
		}
		wait, again = max(wait, pause(failure, it)), true
	}
	if again && b.isStale(it.event) {
		log.Error("canary given up: it did not reach every destination", "transitionId", it.event.Detail.TransitionID)
		return 0, false
	}
	if refused != nil && !again {
		return b.poison(ctx, it, refused)
	}
	return wait, again
}

// destinations are those to be told of e.
func (b *batch) destinations(e event.Event) []Destination {
	all := b.lane.Destinations
	if b.lane.SharedSender && e.Silent() {
		return all[:min(1, len(all))]
	}
	return all
}

// canaryLife is how long a canary is tried: then the next one is on its way.
// The alarms that its failures move have gone off long before.
const canaryLife = 2 * time.Hour

func (b *batch) isStale(e event.Event) bool {
	return e.DetailType == event.Canary && b.now().Sub(e.Detail.ObservedAt) > canaryLife
}

// tell takes one event to one destination.
func (b *batch) tell(ctx context.Context, to Destination, it item, m message.Message) error {
	if failure := b.down[to.ID()]; failure != nil {
		return failure
	}
	k, transition, claimant := KeyOf(it.event, to.ID()), it.event.Detail.TransitionID, b.claimant(it)
	state, err := b.Deliveries.Claim(ctx, k, transition, claimant, ProgressOf(it.event), b.until)
	if claimed, ok := errors.AsType[*Claimed](err); ok {
		return &Failure{Reason: Unavailable, After: claimed.Until.Sub(b.now()) + time.Second, Err: err}
	}
	if err != nil {
		return err
	}
	action := Decide(state, it.event)
	if action == Skip {
		b.report.Duplicates++
		return nil
	}
	if action == Supersede {
		b.report.Duplicates++
		return b.Deliveries.Finish(ctx, k, claimant, transition, state.Latest())
	}
	step := Delivery{Message: m, Card: state.Card, Edit: action == UpdateCard, DryRun: it.event.Silent()}
	if err := b.send(ctx, to, k, step); err != nil {
		b.strike(to, err)
		return errors.Join(err, b.Deliveries.Release(ctx, k, claimant))
	}
	b.failures[to.ID()] = 0
	shown := state.Latest()
	if action == UpdateCard {
		shown = ProgressOf(it.event)
	}
	if err := b.Deliveries.Finish(ctx, k, claimant, transition, shown); err != nil {
		return err
	}
	if step.DryRun {
		b.report.Canaries++
		b.log().Info("canary arrived", "destination", to.ID(), "transitionId", transition)
		return nil
	}
	b.report.Sent++
	b.log().Info("told", "destination", to.ID(), "workflow", it.event.Detail.WorkflowName, "job", it.event.Detail.JobID,
		"status", it.event.Detail.Status, "transitionId", transition)
	return nil
}

// send sends, each message in the destination's turn.
func (b *batch) send(ctx context.Context, to Destination, k Key, step Delivery) error {
	if now := b.now(); now.After(b.latest) {
		return &Failure{Reason: RateLimited, After: time.Second, Err: errors.New("left for the next invocation: this one's time is up")}
	}
	var late error // what kept it from its turn
	step.Turn = func(ctx context.Context) error {
		late = b.turn(ctx, to)
		return late
	}
	err := to.Send(ctx, step, func(ctx context.Context, card MessageRef) error {
		return b.Deliveries.SaveCard(ctx, k, card)
	})
	if err == nil || late != nil {
		return err
	}
	if failure := FailureOf(err); failure.Reason == RateLimited && b.lane.Gap > 0 {
		if err := b.Deliveries.Hold(ctx, to.ID(), b.now().Add(failure.After)); err != nil {
			b.log().Warn("hold failed", "destination", to.ID(), "error", err.Error())
		}
	}
	return err
}

// turn waits for the next free slot of a destination.
func (b *batch) turn(ctx context.Context, to Destination) error {
	if b.lane.Gap == 0 {
		return nil
	}
	at, ok, err := b.Deliveries.Slot(ctx, to.ID(), b.lane.Gap, b.latest)
	if err != nil {
		return FailureOf(err)
	}
	wait := at.Sub(b.now())
	if !ok {
		return &Failure{Reason: RateLimited, After: wait, Err: errors.New("left for later: others are sent to this destination first")}
	}
	if err := sleep(ctx, wait); err != nil {
		return FailureOf(err)
	}
	return nil
}

// strike decides whether the destination is left alone for the rest of the
// batch after a failure.
func (b *batch) strike(to Destination, err error) {
	failure := FailureOf(err)
	if failure.Reason == Refused {
		b.failures[to.ID()] = 0 // it answers
		return
	}
	b.failures[to.ID()]++
	if failure.Reason != Unavailable || b.failures[to.ID()] >= strikes {
		b.down[to.ID()] = failure
	}
}

// poison moves a message that can never be told to the dead-letter queue at
// once, with the reason. Where that fails it stays.
func (b *batch) poison(ctx context.Context, it item, reason error) (time.Duration, bool) {
	b.log().Error("moved to the dead-letter queue", "messageId", it.MessageId, "reason", reason.Error())
	if err := b.Queue.DeadLetter(ctx, b.lane.DeadLetterQueueURL, it.Body, reason.Error(), it.MessageId); err != nil {
		b.log().Error("dead-letter queue", "messageId", it.MessageId, "error", err.Error())
		b.report.Retried++
		return backoff(it), true
	}
	b.report.DeadLettered++
	return 0, false
}

// postpone hides the message until it is worth another try. Where that fails
// it comes back after the queue's own visibility timeout.
func (b *batch) postpone(ctx context.Context, it item, wait time.Duration) {
	if err := b.Queue.ChangeVisibility(ctx, b.lane.QueueURL, it.ReceiptHandle, wait); err != nil {
		b.log().Warn("visibility unchanged", "messageId", it.MessageId, "error", err.Error())
	}
}

// claimant differs between two receipts of one message: a claim of an
// invocation that died must not pass for this one's.
func (b *batch) claimant(it item) string {
	return it.MessageId + "/" + it.Attributes["ApproximateReceiveCount"] + "/" + strconv.FormatInt(b.until.UnixMilli(), 36)
}
