package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
)

// maxReserveAttempts bounds the writes of one reservation while other
// invocations reserve too.
const maxReserveAttempts = 8

// Reserve takes the next free slot to send to a destination, at least
// minInterval after the previous one of any invocation. When the slot is after
// latest it takes nothing and returns false with the slot's time.
//
// The item has the job "#limit"; `nextSlot` N is the next slot in epoch
// milliseconds.
func (s Deliveries) Reserve(ctx context.Context, destination string, minInterval time.Duration, latest time.Time) (time.Time, bool, error) {
	slot := s.now()
	roundUp := time.Millisecond - time.Nanosecond // so that no slot is stored early
	condition := "attribute_not_exists(nextSlot) OR nextSlot <= :slot"
	for range maxReserveAttempts { // each sees the newest reservation
		if slot.After(latest) {
			return slot, false, nil
		}
		_, err := s.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName:           &s.Table,
			Key:                 limitKey(destination),
			UpdateExpression:    aws.String("SET nextSlot = :next, layout = :layout"),
			ConditionExpression: &condition,
			ExpressionAttributeValues: attributes{
				":slot":   number(slot.UnixMilli()),
				":next":   number(slot.Add(minInterval + roundUp).UnixMilli()),
				":layout": number(deliveriesLayout),
			},
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		})
		failed, taken := errors.AsType[*types.ConditionalCheckFailedException](err)
		if !taken {
			if err != nil {
				return slot, false, fmt.Errorf("reserving a slot to send to %s: %w", destination, err)
			}
			return slot, true, nil
		}
		slot = time.UnixMilli(num(failed.Item, "nextSlot")).UTC()
		condition = "nextSlot = :slot"
	}
	return slot.Add(minInterval), false, nil
}

// PauseUntil delays the next slot to the given time, for every invocation. It
// never makes it earlier.
func (s Deliveries) PauseUntil(ctx context.Context, destination string, until time.Time) error {
	_, err := s.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &s.Table,
		Key:                       limitKey(destination),
		UpdateExpression:          aws.String("SET nextSlot = :until, layout = :layout"),
		ConditionExpression:       aws.String("attribute_not_exists(nextSlot) OR nextSlot < :until"),
		ExpressionAttributeValues: attributes{":until": number(until.UnixMilli()), ":layout": number(deliveriesLayout)},
	})
	if err = conflict(err); err != nil && !errors.Is(err, jobs.ErrConflict) {
		return fmt.Errorf("setting the rate-limit pause of %s: %w", destination, err)
	}
	return nil
}

func limitKey(destination string) attributes {
	return deliveryKey(notify.Key{Job: "#limit", Destination: destination})
}
