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

// RecordOutage notes that a destination is misconfigured, and returns since when.
// A destination that refused nothing for [notify.RecoveryWindow] had recovered,
// and a new outage begins.
//
// The item has the job "#outage": `since` N and `refusedAt` N (the last refusal)
// in epoch milliseconds, `announced` BOOL (the other channels have a notice).
func (s Deliveries) RecordOutage(ctx context.Context, destination string) (notify.Outage, error) {
	now := s.now()
	in := &dynamodb.UpdateItemInput{
		TableName:           &s.Table,
		Key:                 outageKey(destination),
		UpdateExpression:    aws.String("SET refusedAt = :now, expiresAt = :expires, layout = :layout"),
		ConditionExpression: aws.String("refusedAt >= :recovered"),
		ExpressionAttributeValues: attributes{
			":now":       number(now.UnixMilli()),
			":recovered": number(now.Add(-notify.RecoveryWindow).UnixMilli()),
			":expires":   number(now.Add(deliveriesRetention).Unix()),
			":layout":    number(deliveriesLayout),
		},
		ReturnValues: types.ReturnValueAllNew,
	}
	out, err := s.Client.UpdateItem(ctx, in)
	if errors.Is(conflict(err), jobs.ErrConflict) {
		in.UpdateExpression = aws.String("SET refusedAt = :now, since = :now, expiresAt = :expires, layout = :layout REMOVE announced")
		in.ConditionExpression = aws.String("attribute_not_exists(refusedAt) OR refusedAt < :recovered")
		out, err = s.Client.UpdateItem(ctx, in)
	}
	if err != nil {
		return notify.Outage{}, fmt.Errorf("recording the outage of %s: %w", destination, err)
	}
	announced, _ := out.Attributes["announced"].(*types.AttributeValueMemberBOOL)
	return notify.Outage{Since: time.UnixMilli(num(out.Attributes, "since")).UTC(), Announced: announced != nil && announced.Value}, nil
}

// RecordAnnouncement notes that the other channels have a notice of the outage.
func (s Deliveries) RecordAnnouncement(ctx context.Context, destination string) error {
	_, err := s.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &s.Table,
		Key:                       outageKey(destination),
		UpdateExpression:          aws.String("SET announced = :yes"),
		ConditionExpression:       aws.String("attribute_exists(refusedAt)"),
		ExpressionAttributeValues: attributes{":yes": &types.AttributeValueMemberBOOL{Value: true}},
	})
	if err != nil {
		return fmt.Errorf("recording the announcement that %s has an outage: %w", destination, err)
	}
	return nil
}

func outageKey(destination string) attributes {
	return deliveryKey(notify.Key{Job: "#outage", Destination: destination})
}
