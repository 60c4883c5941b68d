package dynamodb

import (
	"context"
	"errors"
	"fmt"
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
//	job          S  partition key: workflow ARN, "/", job id
//	destination  S  sort key
//	told         SS transition ids that need no more telling
//	channel, ts  S  the Slack card
//	shown        S  newest status shown; with shownStage N and shownAt S (RFC 3339)
//	claim        S  who is telling now; with claimUntil N, epoch milliseconds
//	attempt      S  the latest status that a claim was for; with attemptOrder S, by which they compare
//	expiresAt    N  TTL, epoch seconds
//
// and under the job "#pace" one per paced destination, whose `slot` N is the
// time of the next free slot in epoch milliseconds, and under "#broken" one per
// broken destination: since when it is (`since` N), when it was last (`refused`
// N), both in epoch milliseconds, and whether the other channels were told
// (`warned` BOOL).
type Deliveries struct {
	Client    *dynamodb.Client
	Table     string
	Retention time.Duration // from the last telling to the expiry
	Now       func() time.Time
}

// Claim takes the right to tell the destination of a transition, which shows
// attempt, until the given time, and returns what it was told of the job
// before. Where it has been told of this very transition nothing is claimed, and
// State.Told says so. It returns *notify.Claimed while another claimant holds
// an unexpired claim.
//
// The same claimant may claim again: an answer can be lost on its way.
func (s Deliveries) Claim(ctx context.Context, k notify.Key, transition, claimant string, attempt notify.Progress, until time.Time) (notify.State, error) {
	now := s.now()
	out, err := s.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.Table,
		Key:       deliveryKey(k),
		UpdateExpression: aws.String("SET claim = :claimant, claimUntil = :until, expiresAt = :expires, " +
			"attempt = :attempt, attemptOrder = :order"),
		ConditionExpression: aws.String("NOT contains(told, :transition) AND " +
			"(attribute_not_exists(attemptOrder) OR attemptOrder <= :behind) AND " +
			"(attribute_not_exists(claim) OR claim = :claimant OR claimUntil < :now)"),
		ExpressionAttributeValues: attributes{
			":claimant":   text(claimant),
			":until":      number(until.UnixMilli()),
			":expires":    number(now.Add(s.Retention).Unix()),
			":transition": text(transition),
			":now":        number(now.UnixMilli()),
			":attempt":    text(string(attempt.Status)),
			":order":      text(attempt.SortKey()),
			":behind":     text(attempt.SupersedeLimit()),
		},
		ReturnValues:                        types.ReturnValueAllOld,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		state := stateOf(failed.Item)
		if slices.Contains(state.Told, transition) || state.Attempted.SortKey() > attempt.SupersedeLimit() {
			return state, nil
		}
		return notify.State{}, &notify.Claimed{Until: time.UnixMilli(num(failed.Item, "claimUntil")).UTC()}
	}
	if err != nil {
		return notify.State{}, fmt.Errorf("claiming %s for %s: %w", k.Job, k.Destination, err)
	}
	return stateOf(out.Attributes), nil
}

// SaveCard records the card that was posted for the job.
func (s Deliveries) SaveCard(ctx context.Context, k notify.Key, card notify.MessageRef) error {
	_, err := s.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &s.Table,
		Key:                       deliveryKey(k),
		UpdateExpression:          aws.String("SET channel = :channel, ts = :ts"),
		ExpressionAttributeValues: attributes{":channel": text(card.Channel), ":ts": text(card.TS)},
	}, persistently)
	if err != nil {
		return fmt.Errorf("recording the card of %s for %s: %w", k.Job, k.Destination, err)
	}
	return nil
}

// Finish records that a transition needs no more telling and what the
// destination has been shown, and gives the claim back.
func (s Deliveries) Finish(ctx context.Context, k notify.Key, claimant, transition string, shown notify.Progress) error {
	values := attributes{
		":told":  &types.AttributeValueMemberSS{Value: []string{transition}},
		":shown": text(string(shown.Status)),
		":stage": number(int64(shown.Stage)),
		":at":    text(shown.ObservedAt.UTC().Format(time.RFC3339Nano)),
	}
	_, err := s.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &s.Table,
		Key:                       deliveryKey(k),
		UpdateExpression:          aws.String("SET shown = :shown, shownStage = :stage, shownAt = :at ADD told :told REMOVE claim, claimUntil"),
		ConditionExpression:       aws.String("claim = :claimant OR attribute_not_exists(claim)"),
		ExpressionAttributeValues: with(values, ":claimant", text(claimant)),
	}, persistently)
	if errors.Is(conflict(err), jobs.ErrConflict) {
		// The claim expired and another has it now: what was told is told, the
		// rest is the other's to say.
		_, err = s.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName:                 &s.Table,
			Key:                       deliveryKey(k),
			UpdateExpression:          aws.String("ADD told :told"),
			ExpressionAttributeValues: attributes{":told": values[":told"]},
		}, persistently)
	}
	if err != nil {
		return fmt.Errorf("recording that %s was told of %s: %w", k.Destination, k.Job, err)
	}
	return nil
}

// persistently tries a call five times, over some eight seconds, instead of
// three times over one: what was sent and cannot be recorded is sent again.
func persistently(o *dynamodb.Options) { o.RetryMaxAttempts = 5 }

// Release gives a claim back after a telling that failed. A claim that another
// has by now stays.
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

// Slot reserves the next free time to send to a destination, at least gap after
// the one before, whoever reserved that. It reserves nothing and says false
// when the next free time is after latest.
func (s Deliveries) Slot(ctx context.Context, destination string, gap time.Duration, latest time.Time) (time.Time, bool, error) {
	k := deliveryKey(notify.Key{Job: "#pace", Destination: destination})
	at := s.now()
	condition := "attribute_not_exists(slot) OR slot <= :at"
	for range 8 { // others reserve too; each try sees the newest slot
		_, err := s.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName:           &s.Table,
			Key:                 k,
			UpdateExpression:    aws.String("SET slot = :next"),
			ConditionExpression: &condition,
			ExpressionAttributeValues: attributes{
				":at":   number(at.UnixMilli()),
				":next": number(at.Add(gap).UnixMilli()),
			},
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		})
		failed, taken := errors.AsType[*types.ConditionalCheckFailedException](err)
		if !taken {
			if err != nil {
				return at, false, fmt.Errorf("reserving a slot to send to %s: %w", destination, err)
			}
			return at, true, nil
		}
		at = time.UnixMilli(num(failed.Item, "slot")).UTC()
		if at.After(latest) {
			return at, false, nil
		}
		condition = "slot = :at"
	}
	return at.Add(gap), false, nil
}

// Hold keeps everybody from sending to a destination until the given time.
func (s Deliveries) Hold(ctx context.Context, destination string, until time.Time) error {
	_, err := s.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &s.Table,
		Key:                       deliveryKey(notify.Key{Job: "#pace", Destination: destination}),
		UpdateExpression:          aws.String("SET slot = :until"),
		ConditionExpression:       aws.String("attribute_not_exists(slot) OR slot < :until"),
		ExpressionAttributeValues: attributes{":until": number(until.UnixMilli())},
	})
	if err = conflict(err); err != nil && !errors.Is(err, jobs.ErrConflict) {
		return fmt.Errorf("holding back what is sent to %s: %w", destination, err)
	}
	return nil
}

// Broken notes that a destination is broken, and returns since when. One that
// refused nothing for [notify.RecoveryWindow] was mended meanwhile and is broken anew.
func (s Deliveries) Broken(ctx context.Context, destination string) (notify.Outage, error) {
	now := s.now()
	in := &dynamodb.UpdateItemInput{
		TableName:           &s.Table,
		Key:                 brokenKey(destination),
		UpdateExpression:    aws.String("SET refused = :now, expiresAt = :expires"),
		ConditionExpression: aws.String("refused >= :mended"),
		ExpressionAttributeValues: attributes{
			":now":     number(now.UnixMilli()),
			":mended":  number(now.Add(-notify.RecoveryWindow).UnixMilli()),
			":expires": number(now.Add(s.Retention).Unix()),
		},
		ReturnValues: types.ReturnValueAllNew,
	}
	out, err := s.Client.UpdateItem(ctx, in)
	if errors.Is(conflict(err), jobs.ErrConflict) {
		in.UpdateExpression = aws.String("SET refused = :now, since = :now, expiresAt = :expires REMOVE warned")
		in.ConditionExpression = aws.String("attribute_not_exists(refused) OR refused < :mended")
		out, err = s.Client.UpdateItem(ctx, in)
	}
	if err != nil {
		return notify.Outage{}, fmt.Errorf("noting that %s is broken: %w", destination, err)
	}
	warned, _ := out.Attributes["warned"].(*types.AttributeValueMemberBOOL)
	return notify.Outage{Since: time.UnixMilli(num(out.Attributes, "since")).UTC(), Told: warned != nil && warned.Value}, nil
}

// Warned records that the other channels were told that a destination is broken.
func (s Deliveries) Warned(ctx context.Context, destination string) error {
	_, err := s.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &s.Table,
		Key:                       brokenKey(destination),
		UpdateExpression:          aws.String("SET warned = :yes"),
		ConditionExpression:       aws.String("attribute_exists(refused)"),
		ExpressionAttributeValues: attributes{":yes": &types.AttributeValueMemberBOOL{Value: true}},
	})
	if err != nil {
		return fmt.Errorf("recording that the others know %s to be broken: %w", destination, err)
	}
	return nil
}

func brokenKey(destination string) attributes {
	return deliveryKey(notify.Key{Job: "#broken", Destination: destination})
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

func with(values attributes, name string, v types.AttributeValue) attributes {
	values[name] = v
	return values
}

func stateOf(item attributes) notify.State {
	state := notify.State{
		Card:      notify.MessageRef{Channel: str(item, "channel"), TS: str(item, "ts")},
		Shown:     shownOf(item),
		Attempted: notify.ParseSortKey(jobs.Status(str(item, "attempt")), str(item, "attemptOrder")),
	}
	if told, ok := item["told"].(*types.AttributeValueMemberSS); ok {
		state.Told = told.Value
	}
	return state
}

func shownOf(item attributes) notify.Progress {
	at, _ := time.Parse(time.RFC3339Nano, str(item, "shownAt")) // zero in an item without
	return notify.Progress{
		Status:     jobs.Status(str(item, "shown")),
		Stage:      jobs.Stage(num(item, "shownStage")),
		ObservedAt: at,
	}
}
