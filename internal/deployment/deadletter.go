package deployment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const (
	// deadLetterHidden is how long received dead letters are hidden from others,
	// unless they are released before: time to read them and to decide.
	deadLetterHidden = 10 * time.Minute
	// afterInterrupt is how long what must be finished goes on after Ctrl-C.
	afterInterrupt = 10 * time.Second
)

// DeadLetterQueue is the dead-letter queue of a channel with the queue that its
// messages came from.
type DeadLetterQueue struct {
	Channel string // slack or email

	url, source string
	client      *sqs.Client
}

// DeadLetter is a message that was received from a dead-letter queue.
type DeadLetter struct {
	ID, Body string
	Why      string // it is in the dead-letter queue

	receipt string
}

// DeadLetterQueues returns the dead-letter queues of the channels that the stack has.
func (s Stack) DeadLetterQueues(ctx context.Context) ([]DeadLetterQueue, error) {
	urls, err := s.resources(ctx, "AWS::SQS::Queue")
	if err != nil {
		return nil, err
	}
	var all []DeadLetterQueue
	client := sqs.NewFromConfig(s.cfg)
	for _, channel := range []struct{ name, prefix string }{{"slack", "Slack"}, {"email", "Email"}} {
		q := DeadLetterQueue{channel.name, urls[channel.prefix+"DeadLetterQueue"], urls[channel.prefix+"Queue"], client}
		if q.url != "" && q.source != "" {
			all = append(all, q)
		}
	}
	return all, nil
}

// Receive receives every message of the queue and hides it from others. With an error
// it returns what it has received.
func (q DeadLetterQueue) Receive(ctx context.Context) ([]DeadLetter, error) {
	var all []DeadLetter
	seen := make(map[string]bool)
	for {
		out, err := q.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &q.url, MaxNumberOfMessages: 10,
			VisibilityTimeout: int32(deadLetterHidden / time.Second), MessageAttributeNames: []string{"All"},
			WaitTimeSeconds: 1, // a receive that does not wait asks only some of SQS's servers
		})
		if err != nil {
			return all, fmt.Errorf("reading the dead-letter queue of %s: %w", q.Channel, err)
		}
		news := false
		for _, m := range out.Messages {
			d := DeadLetter{aws.ToString(m.MessageId), aws.ToString(m.Body), whyDead(m.MessageAttributes), aws.ToString(m.ReceiptHandle)}
			if !seen[d.ID] {
				all, news = append(all, d), true
				seen[d.ID] = true
				continue
			}
			i := slices.IndexFunc(all, func(other DeadLetter) bool { return other.ID == d.ID })
			all[i] = d // the latest receipt counts
		}
		if !news {
			return all, nil
		}
	}
}

// whyDead says why a message is in a dead-letter queue, by the attributes that the
// notifier gives it, or EventBridge ("Using dead-letter queues to process undelivered
// events"). SQS gives none: that is the queue's maxReceiveCount (template.yaml).
func whyDead(attributes map[string]types.MessageAttributeValue) string {
	value := func(name string) string { return aws.ToString(attributes[name].StringValue) }
	if reason := value("Reason"); reason != "" {
		return reason
	}
	if code := value("ERROR_CODE"); code != "" {
		return strings.TrimSuffix("EventBridge could not deliver it: "+code+": "+value("ERROR_MESSAGE"), ": ")
	}
	return "received 600 times"
}

// NotDeletedError is Move's error about a message that is in both queues.
type NotDeletedError struct{ Err error }

func (e *NotDeletedError) Error() string {
	return "moved, but a copy stays in the dead-letter queue: " + e.Err.Error()
}

func (e *NotDeletedError) Unwrap() error { return e.Err }

// Send sends a message to the channel's queue.
func (q DeadLetterQueue) Send(ctx context.Context, body string) error {
	if _, err := q.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &q.source, MessageBody: &body}); err != nil {
		return fmt.Errorf("sending to the queue of %s: %w", q.Channel, err)
	}
	return nil
}

// Move sends a received message to the channel's queue and then deletes it from the
// dead-letter queue. What it has sent it deletes even after Ctrl-C.
func (q DeadLetterQueue) Move(ctx context.Context, d DeadLetter) error {
	if err := q.Send(ctx, d.Body); err != nil {
		return fmt.Errorf("moving message %s: %w", d.ID, err)
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), afterInterrupt)
	defer stop()
	if _, err := q.client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &q.url, ReceiptHandle: &d.receipt}); err != nil {
		return &NotDeletedError{fmt.Errorf("deleting message %s from the dead-letter queue of %s: %w", d.ID, q.Channel, err)}
	}
	return nil
}

// Release makes received messages visible again at once, even after Ctrl-C.
func (q DeadLetterQueue) Release(ctx context.Context, all []DeadLetter) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), afterInterrupt)
	defer stop()
	var problems error
	for batch := range slices.Chunk(all, 10) {
		var entries []types.ChangeMessageVisibilityBatchRequestEntry
		for i, d := range batch {
			entries = append(entries, types.ChangeMessageVisibilityBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &d.receipt})
		}
		out, err := q.client.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &q.url, Entries: entries})
		if err != nil {
			return errors.Join(problems, fmt.Errorf("making messages of the dead-letter queue of %s visible: %w", q.Channel, err))
		}
		for _, f := range out.Failed {
			if !f.SenderFault { // otherwise it is visible already, or gone
				problems = errors.Join(problems, fmt.Errorf("making a message of the dead-letter queue of %s visible: %s", q.Channel, aws.ToString(f.Code)))
			}
		}
	}
	return problems
}
