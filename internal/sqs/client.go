// Package sqs connects the notifier with its queues: it turns Lambda's event into
// messages and the outcome into the partial batch response, and it calls SQS to
// postpone a message or to move it to a dead-letter queue.
package sqs

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const (
	// maxReasonBytes is the most of a reason that a dead-lettered message carries.
	maxReasonBytes = 1000
	// maxVisibility stays below the twelve hours that SQS allows: it counts them
	// from the time of the receive ("Amazon SQS visibility timeout").
	maxVisibility = 11 * time.Hour
)

// Client calls SQS.
type Client struct{ client *sqs.Client }

// New makes a Client.
func New(cfg aws.Config) Client { return Client{sqs.NewFromConfig(cfg)} }

// ChangeVisibility hides a received message for a duration from now on, in
// whole seconds, at most eleven hours.
func (c Client) ChangeVisibility(ctx context.Context, queueURL, receiptHandle string, d time.Duration) error {
	seconds := min(max(d, 0), maxVisibility).Round(time.Second) / time.Second
	_, err := c.client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &queueURL, ReceiptHandle: &receiptHandle, VisibilityTimeout: int32(seconds),
	})
	if err != nil {
		return fmt.Errorf("changing the visibility of a message: %w", err)
	}
	return nil
}

// DeadLetter sends a message's body to a dead-letter queue, with the reason and
// its original ID as message attributes `Reason` and `OriginalMessageId`.
func (c Client) DeadLetter(ctx context.Context, queueURL, body, reason, messageID string) error {
	attribute := func(value string) types.MessageAttributeValue {
		return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
	}
	if body == "" {
		body = " " // SQS refuses a message without a body
	}
	_, err := c.client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: &queueURL, MessageBody: &body,
		MessageAttributes: map[string]types.MessageAttributeValue{
			"Reason":            attribute(attributeText(reason)),
			"OriginalMessageId": attribute(attributeText(messageID)),
		},
	})
	if err != nil {
		return fmt.Errorf("sending to the dead-letter queue: %w", err)
	}
	return nil
}

// attributeText makes text valid as a message attribute, which must not be empty
// and holds only what XML can hold (SendMessage, "Message attributes").
func attributeText(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\uFFFE' || r == '\uFFFF' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	if len(text) > maxReasonBytes {
		text = strings.ToValidUTF8(text[:maxReasonBytes], "") + "…"
	}
	if strings.TrimSpace(text) == "" {
		return "unknown"
	}
	return text
}
