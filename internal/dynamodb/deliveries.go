package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
)

// Deliveries is the deliveries table. Its items:
//
//	job          S  partition key: workflow ARN, "/", job ID
//	destination  S  sort key
//	layout       N  1
//	delivered    M  per delivered or superseded transition ID: sentAt S (RFC 3339,
//	                absent when superseded), attempts N, delaySeconds N (sent or
//	                superseded minus observed)
//	channel, ts  S  the Slack card
//	body         S  the event of a failure that the card shows
//	followUp     N  the order of the last follow-up that the card shows
//	progress     S  the latest status shown; progressKey S is its sort key
//	attempted    S  the latest status that a claim was for; attemptedKey S is its sort key
//	claim        S  who delivers now; claimUntil N, epoch milliseconds
//	expiresAt    N  TTL, epoch seconds
//
// The rate limiter and the outages have items of their own (limits.go,
// outages.go).
type Deliveries struct {
	Client *dynamodb.Client
	Table  string
	Now    func() time.Time
}

const (
	// deliveriesLayout is the version of the items' layout.
	deliveriesLayout = 1
	// deliveriesRetention is the time from the last claim to the expiry. It does
	// not depend on RetentionDays: an item must outlive every message that can
	// still arrive, after four days of attempts and fourteen in the dead-letter
	// queue.
	deliveriesRetention = notify.Remembered
)

// Claim takes the right to deliver a transition until the given time, notes the
// attempted progress, and returns what the destination received of the job
// before. When the transition is delivered already, or something later was
// attempted, it claims nothing and the state shows that. It returns
// *notify.Claimed while another claimant holds an unexpired claim.
//
// The same claimant may claim again: an answer can be lost on its way.
func (s Deliveries) Claim(ctx context.Context, k notify.Key, transition, claimant string, attempt notify.Progress, until time.Time) (notify.State, error) {
	now := s.now()
	out, err := s.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.Table,
		Key:       deliveryKey(k),
		UpdateExpression: aws.String("SET claim = :claimant, claimUntil = :until, expiresAt = :expires, layout = :layout, " +
			"delivered = if_not_exists(delivered, :none), attempted = :attempted, attemptedKey = :key"),
		ConditionExpression: aws.String("attribute_not_exists(delivered.#transition) AND " +
			"(attribute_not_exists(attemptedKey) OR attemptedKey <= :limit) AND " +
			"(attribute_not_exists(claim) OR claim = :claimant OR claimUntil < :now)"),
		ExpressionAttributeNames: map[string]string{"#transition": transition},
		ExpressionAttributeValues: attributes{
			":claimant":  text(claimant),
			":until":     number(until.UnixMilli()),
			":expires":   number(now.Add(deliveriesRetention).Unix()),
			":layout":    number(deliveriesLayout),
			":none":      &types.AttributeValueMemberM{Value: attributes{}},
			":now":       number(now.UnixMilli()),
			":attempted": text(string(attempt.Status)),
			":key":       text(attempt.SortKey()),
			":limit":     text(attempt.SupersedeLimit()),
		},
		ReturnValues:                        types.ReturnValueAllOld,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		state := stateOf(failed.Item)
		if slices.Contains(state.Delivered, transition) || state.Attempted.SortKey() > attempt.SupersedeLimit() {
			return state, nil
		}
		return notify.State{}, &notify.Claimed{Until: time.UnixMilli(num(failed.Item, "claimUntil")).UTC()}
	}
	if err != nil {
		return notify.State{}, fmt.Errorf("claiming %s for %s: %w", k.Job, k.Destination, err)
	}
	return stateOf(out.Attributes), nil
}

// Record stores an outcome and gives the claim back.
func (s Deliveries) Record(ctx context.Context, k notify.Key, claimant string, o notify.Outcome) error {
	values := attributes{
		":entry":    &types.AttributeValueMemberM{Value: entryOf(o)},
		":progress": text(string(o.Progress.Status)),
		":key":      text(o.Progress.SortKey()),
		":claimant": text(claimant),
	}
	err := s.record(ctx, k, o, values, "SET delivered.#transition = :entry, progress = :progress, progressKey = :key",
		"channel = :channel, ts = :ts", " REMOVE claim, claimUntil", "claim = :claimant OR attribute_not_exists(claim)")
	if errors.Is(conflict(err), jobs.ErrConflict) {
		// The claim has expired and another claimant holds it: progress is its
		// to record, and so is the card if it has posted one.
		err = s.record(ctx, k, o, attributes{":entry": values[":entry"]}, "SET delivered.#transition = :entry",
			"channel = if_not_exists(channel, :channel), ts = if_not_exists(ts, :ts)", "", "")
	}
	if err != nil {
		return fmt.Errorf("recording that %s received %s: %w", k.Destination, k.Job, err)
	}
	return nil
}

// record makes the one write of Record. It sets the card only when one was
// posted.
func (s Deliveries) record(ctx context.Context, k notify.Key, o notify.Outcome, values attributes, set, setCard, remove, condition string) error {
	if o.Ref != (notify.MessageRef{}) {
		set += ", " + setCard
		values[":channel"], values[":ts"] = text(o.Ref.Channel), text(o.Ref.TS)
	}
	if o.Body != "" {
		set += ", body = :body"
		values[":body"] = text(o.Body)
	}
	in := &dynamodb.UpdateItemInput{
		TableName:                 &s.Table,
		Key:                       deliveryKey(k),
		UpdateExpression:          aws.String(set + remove),
		ExpressionAttributeNames:  map[string]string{"#transition": o.Transition},
		ExpressionAttributeValues: values,
	}
	if condition != "" {
		in.ConditionExpression = &condition
	}
	_, err := s.Client.UpdateItem(ctx, in, persistently)
	return err
}

// persistently makes five attempts in about eight seconds, instead of three in
// one: what was sent and is not recorded is sent again.
func persistently(o *dynamodb.Options) { o.RetryMaxAttempts = 5 }

// ClaimCard takes the right to edit the card of an earlier failure until the given
// time. It returns *notify.Claimed while another claimant holds an unexpired
// claim or the failure is attempted and not sent yet, and the zero Card where there
// is nothing to edit.
func (s Deliveries) ClaimCard(ctx context.Context, k notify.Key, claimant string, order int, until time.Time) (notify.Card, error) {
	now := s.now()
	out, err := s.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:        &s.Table,
		Key:              deliveryKey(k),
		UpdateExpression: aws.String("SET claim = :claimant, claimUntil = :until, expiresAt = :expires"),
		ConditionExpression: aws.String("attribute_exists(ts) AND attribute_exists(body) AND " +
			"(attribute_not_exists(followUp) OR followUp < :order) AND " +
			"(attribute_not_exists(claim) OR claim = :claimant OR claimUntil < :now)"),
		ExpressionAttributeValues: attributes{
			":claimant": text(claimant),
			":until":    number(until.UnixMilli()),
			":expires":  number(now.Add(deliveriesRetention).Unix()),
			":order":    number(int64(order)),
			":now":      number(now.UnixMilli()),
		},
		ReturnValues:                        types.ReturnValueAllOld,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		failure := string(jobs.Failed)
		waits := str(failed.Item, "attempted") == failure && str(failed.Item, "progress") != failure
		if !waits && (cardOf(failed.Item).Ref == (notify.MessageRef{}) || num(failed.Item, "followUp") >= int64(order)) {
			return notify.Card{}, nil
		}
		return notify.Card{}, &notify.Claimed{Until: time.UnixMilli(num(failed.Item, "claimUntil")).UTC()}
	}
	if err != nil {
		return notify.Card{}, fmt.Errorf("claiming the card of %s for %s: %w", k.Job, k.Destination, err)
	}
	return cardOf(out.Attributes), nil
}

// cardOf is the card of an item with its event, or the zero Card without one.
func cardOf(item attributes) notify.Card {
	if str(item, "body") == "" || str(item, "ts") == "" {
		return notify.Card{}
	}
	return notify.Card{Ref: notify.MessageRef{Channel: str(item, "channel"), TS: str(item, "ts")}, Body: str(item, "body")}
}

// RecordFollowUp notes the order of the follow-up that a card shows, and gives the
// claim back. After the claim was lost it changes nothing: the edit may repeat.
func (s Deliveries) RecordFollowUp(ctx context.Context, k notify.Key, claimant string, order int) error {
	_, err := s.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &s.Table,
		Key:                       deliveryKey(k),
		UpdateExpression:          aws.String("SET followUp = :order REMOVE claim, claimUntil"),
		ConditionExpression:       aws.String("claim = :claimant"),
		ExpressionAttributeValues: attributes{":claimant": text(claimant), ":order": number(int64(order))},
	}, persistently)
	if err = conflict(err); err != nil && !errors.Is(err, jobs.ErrConflict) {
		return fmt.Errorf("recording the follow-up of %s for %s: %w", k.Job, k.Destination, err)
	}
	return nil
}

// Release gives a claim back after a failure. The claim of another claimant
// stays.
func (s Deliveries) Release(ctx context.Context, k notify.Key, claimant string) error {
	_, err := s.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &s.Table,
		Key:                       deliveryKey(k),
		UpdateExpression:          aws.String("REMOVE claim, claimUntil"),
		ConditionExpression:       aws.String("claim = :claimant"),
		ExpressionAttributeValues: attributes{":claimant": text(claimant)},
	})
	if err = conflict(err); err != nil && !errors.Is(err, jobs.ErrConflict) {
		return fmt.Errorf("releasing the claim of %s for %s: %w", k.Job, k.Destination, err)
	}
	return nil
}

func (s Deliveries) now() time.Time {
	if s.Now != nil {
		return s.Now().UTC()
	}
	return time.Now().UTC()
}

func deliveryKey(k notify.Key) attributes {
	return attributes{"job": text(k.Job), "destination": text(k.Destination)}
}

func entryOf(o notify.Outcome) attributes {
	entry := attributes{"attempts": number(int64(o.Attempts)), "delaySeconds": number(int64(o.Delay / time.Second))}
	if !o.SentAt.IsZero() {
		entry["sentAt"] = text(o.SentAt.UTC().Format(time.RFC3339))
	}
	return entry
}

func stateOf(item attributes) notify.State {
	state := notify.State{
		Card:      notify.MessageRef{Channel: str(item, "channel"), TS: str(item, "ts")},
		Progress:  notify.ParseSortKey(jobs.Status(str(item, "progress")), str(item, "progressKey")),
		Attempted: notify.ParseSortKey(jobs.Status(str(item, "attempted")), str(item, "attemptedKey")),
	}
	if delivered, ok := item["delivered"].(*types.AttributeValueMemberM); ok {
		state.Delivered = slices.Sorted(maps.Keys(delivered.Value))
	}
	return state
}
