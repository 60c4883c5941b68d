package sqs

import (
	"context"
	"strconv"

	"github.com/aws/aws-lambda-go/events"

	"github.com/idmapping/notifier/internal/notify"
)

// Response is the function's answer: the partial batch response that the event
// source mapping reads, and the report for people.
type Response struct {
	BatchItemFailures []events.SQSBatchItemFailure `json:"batchItemFailures"`
	notify.Report
}

// Batch handles the messages of the queue that has the ARN.
type Batch interface {
	Handle(ctx context.Context, queueARN string, messages []notify.Received) (notify.Result, error)
}

// Handler makes the Lambda function's handler. The messages of one event come
// from one queue: an event source mapping has one source.
func Handler(b Batch) func(context.Context, events.SQSEvent) (Response, error) {
	return func(ctx context.Context, e events.SQSEvent) (Response, error) {
		response := Response{BatchItemFailures: []events.SQSBatchItemFailure{}} // [] in JSON, not null
		queue := ""
		if len(e.Records) > 0 { // none: a person asks which version runs
			queue = e.Records[0].EventSourceARN
		}
		result, err := b.Handle(ctx, queue, received(e.Records))
		for _, id := range result.Failed {
			response.BatchItemFailures = append(response.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: id})
		}
		response.Report = result.Report
		return response, err
	}
}

func received(records []events.SQSMessage) []notify.Received {
	all := make([]notify.Received, len(records))
	for i, r := range records {
		count, _ := strconv.Atoi(r.Attributes["ApproximateReceiveCount"]) // 0 if SQS gives none
		all[i] = notify.Received{ID: r.MessageId, ReceiptHandle: r.ReceiptHandle, Body: r.Body, ReceiveCount: count}
	}
	return all
}
