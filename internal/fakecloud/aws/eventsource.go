package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/idmapping/notifier/internal/fakecloud/account"
	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
)

// EventSource is an SQS event source mapping: it receives batches, invokes the
// function and deletes the messages that did not fail ("Using Lambda with Amazon
// SQS", ReportBatchItemFailures).
type EventSource struct {
	SQS       *sqs.Client
	QueueURL  string
	QueueARN  string
	BatchSize int32
	Function  Function
	Problem   func(error) // receives the errors of failed invocations; may be nil
}

// Run polls until the context is done.
func (s *EventSource) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if n, err := s.poll(ctx); err != nil && ctx.Err() == nil {
			if s.Problem != nil {
				s.Problem(err)
			}
			httpfault.Pause(ctx, 200*time.Millisecond)
		} else if n == 0 {
			httpfault.Pause(ctx, 50*time.Millisecond)
		}
	}
}

// poll handles one batch and returns its number of messages. A batch whose
// invocation failed stays in the queue until its visibility timeout.
func (s *EventSource) poll(ctx context.Context) (int, error) {
	out, err := s.SQS.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl:                    &s.QueueURL,
		MaxNumberOfMessages:         s.BatchSize,
		MessageAttributeNames:       []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil {
		return 0, fmt.Errorf("receiving from %s: %w", s.QueueARN, err)
	}
	if len(out.Messages) == 0 {
		return 0, nil
	}
	payload, err := json.Marshal(s.event(out.Messages))
	if err != nil {
		return 0, err
	}
	body, err := s.Function.Invoke(ctx, payload)
	if err != nil {
		return len(out.Messages), err
	}
	var response events.SQSEventResponse
	if err := json.Unmarshal(body, &response); err != nil {
		return len(out.Messages), fmt.Errorf("reading the response to the messages of %s: %w", s.QueueARN, err)
	}
	failed := make(map[string]bool)
	for _, f := range response.BatchItemFailures {
		failed[f.ItemIdentifier] = true
	}
	for _, m := range out.Messages {
		if failed[*m.MessageId] {
			continue
		}
		if _, err := s.SQS.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &s.QueueURL, ReceiptHandle: m.ReceiptHandle}); err != nil {
			return len(out.Messages), fmt.Errorf("deleting from %s: %w", s.QueueARN, err)
		}
	}
	return len(out.Messages), nil
}

func (s *EventSource) event(messages []types.Message) events.SQSEvent {
	var e events.SQSEvent
	for _, m := range messages {
		e.Records = append(e.Records, events.SQSMessage{
			MessageId:      aws.ToString(m.MessageId),
			ReceiptHandle:  aws.ToString(m.ReceiptHandle),
			Body:           aws.ToString(m.Body),
			Md5OfBody:      aws.ToString(m.MD5OfBody),
			Attributes:     m.Attributes,
			EventSource:    "aws:sqs",
			EventSourceARN: s.QueueARN,
			AWSRegion:      account.Region,
		})
	}
	return e
}
