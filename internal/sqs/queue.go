// Package sqs does what the notifier needs of its queues beside receiving,
// which Lambda does for it.
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
	// maxReason is the most bytes of a reason that are kept with a dead message.
	maxReason = 1000
	// maxHidden stays below the twelve hours that SQS allows: it counts them
	// from the receipt ("Amazon SQS visibility timeout").
	maxHidden = 11 * time.Hour
)

// Client calls SQS.
type Client struct{ client *sqs.Client }

// New makes a Client.
func New(cfg aws.Config) Client { return Client{sqs.NewFromConfig(cfg)} }

// ChangeVisibility hides a received message for so long from now on, in whole
// seconds, at most eleven hours.
func (c Client) ChangeVisibility(ctx context.Context, queueURL, receiptHandle string, d time.Duration) error {
	seconds := min(max(d, 0), maxHidden).Round(time.Second) / time.Second
	_, err := c.client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &queueURL, ReceiptHandle: &receiptHandle, VisibilityTimeout: int32(seconds),
	})
	if err != nil {
		return fmt.Errorf("changing the visibility of a message: %w", err)
	}
	return nil
}

// DeadLetter sends a message's body to a dead-letter queue, with the reason and
// the id it had as message attributes `Reason` and `OriginalMessageId`.
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
			"Reason":            attribute(clean(reason)),
			"OriginalMessageId": attribute(clean(messageID)),
		},
	})
	if err != nil {
		return fmt.Errorf("sending to the dead-letter queue: %w", err)
	}
	return nil
}

// clean makes text fit for a message attribute, which must not be empty and
// holds only what XML can (SendMessage, "Message attributes").
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\uFFFE' || r == '\uFFFF' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	if strings.TrimSpace(text) == "" {
		return "unknown"
	}
	return text
}
