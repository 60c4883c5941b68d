package fakecloud

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// eventSource is an SQS event source mapping: it receives batches, invokes the
// function and deletes what did not fail ("Using Lambda with Amazon SQS",
// ReportBatchItemFailures).
type eventSource struct {
	sqs       *sqs.Client
	queueURL  string
	queueARN  string
	batchSize int32
	function  *Lambda
	problem   func(error) // told of failed invocations; may be nil
}

// run polls until the context ends.
func (s *eventSource) run(ctx context.Context) {
	for ctx.Err() == nil {
		if n, err := s.once(ctx); err != nil && ctx.Err() == nil {
			if s.problem != nil {
				s.problem(err)
			}
			pause(ctx, 200*time.Millisecond)
		} else if n == 0 {
			pause(ctx, 50*time.Millisecond)
		}
	}
}

// once takes one batch through, and returns how many messages it had. A batch
// whose invocation failed stays in the queue until its visibility timeout.
func (s *eventSource) once(ctx context.Context) (int, error) {
	out, err := s.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl:                    &s.queueURL,
		MaxNumberOfMessages:         s.batchSize,
		MessageAttributeNames:       []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil {
		return 0, fmt.Errorf("receiving from %s: %w", s.queueARN, err)
	}
	if len(out.Messages) == 0 {
		return 0, nil
	}
	payload, err := json.Marshal(s.event(out.Messages))
	if err != nil {
		return 0, err
	}
	body, err := s.function.Invoke(ctx, payload)
	if err != nil {
		return len(out.Messages), err
	}
	var response events.SQSEventResponse
	if err := json.Unmarshal(body, &response); err != nil {
		return len(out.Messages), fmt.Errorf("reading the answer of %s: %w", s.function.Name, err)
	}
	failed := make(map[string]bool)
	for _, f := range response.BatchItemFailures {
		failed[f.ItemIdentifier] = true
	}
	for _, m := range out.Messages {
		if failed[*m.MessageId] {
			continue
		}
		if _, err := s.sqs.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &s.queueURL, ReceiptHandle: m.ReceiptHandle}); err != nil {
			return len(out.Messages), fmt.Errorf("deleting from %s: %w", s.queueARN, err)
		}
	}
	return len(out.Messages), nil
}

func (s *eventSource) event(messages []types.Message) events.SQSEvent {
	var e events.SQSEvent
	for _, m := range messages {
		e.Records = append(e.Records, events.SQSMessage{
			MessageId:      aws.ToString(m.MessageId),
			ReceiptHandle:  aws.ToString(m.ReceiptHandle),
			Body:           aws.ToString(m.Body),
			Md5OfBody:      aws.ToString(m.MD5OfBody),
			Attributes:     m.Attributes,
			EventSource:    "aws:sqs",
			EventSourceARN: s.queueARN,
			AWSRegion:      Region,
		})
	}
	return e
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
