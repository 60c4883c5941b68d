package sqs_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/sqs"
)

// batch notes what it receives and answers with fixed values.
type batch struct {
	queueARN string
	messages []notify.Received
	result   notify.Result
	err      error
}

func (b *batch) Handle(_ context.Context, queueARN string, messages []notify.Received) (notify.Result, error) {
	b.queueARN, b.messages = queueARN, messages
	return b.result, b.err
}

func TestHandlerTurnsAnEventIntoMessagesAndTheResultIntoAPartialBatchResponse(t *testing.T) {
	b := &batch{result: notify.Result{Failed: []string{"2", "1"}, Report: notify.Report{Sent: 1, Canaries: 2, Duplicates: 3, Summarized: 7, Muted: 8, Retried: 4, Misconfigured: 5, DeadLettered: 6}}}
	arn := "arn:aws:sqs:eu-west-1:123456789012:slack"
	response, err := sqs.Handler(b)(t.Context(), events.SQSEvent{Records: []events.SQSMessage{
		{MessageId: "1", ReceiptHandle: "r1", Body: "one", EventSourceARN: arn, Attributes: map[string]string{"ApproximateReceiveCount": "17"}},
		{MessageId: "2", ReceiptHandle: "r2", Body: "two", EventSourceARN: arn},
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []notify.Received{{ID: "1", ReceiptHandle: "r1", Body: "one", ReceiveCount: 17}, {ID: "2", ReceiptHandle: "r2", Body: "two"}}
	if b.queueARN != arn || !reflect.DeepEqual(b.messages, want) {
		t.Errorf("received %+v from %s", b.messages, b.queueARN)
	}
	got, err := json.Marshal(response)
	if want := `{"batchItemFailures":[{"itemIdentifier":"2"},{"itemIdentifier":"1"}],"sent":1,"canaries":2,"duplicates":3,"summarized":7,"muted":8,"followUps":0,"retried":4,"misconfigured":5,"deadLettered":6}`; err != nil || string(got) != want {
		t.Errorf("the response is %s (%v)\nwant %s", got, err, want)
	}
}

// In JSON the list is [] and never null.
func TestHandlerAlwaysRespondsWithAList(t *testing.T) {
	for name, records := range map[string][]events.SQSMessage{"no message": nil, "no failure": {{MessageId: "1"}}} {
		b := &batch{}
		response, err := sqs.Handler(b)(t.Context(), events.SQSEvent{Records: records})
		if err != nil || response.BatchItemFailures == nil || len(response.BatchItemFailures) != 0 || len(b.messages) != len(records) {
			t.Errorf("%s: %+v, %v", name, response, err)
		}
	}
}

func TestHandlerReturnsTheErrorOfAnUnknownQueue(t *testing.T) {
	b := &batch{err: errors.New("none of this function's queues")}
	if _, err := sqs.Handler(b)(t.Context(), events.SQSEvent{Records: []events.SQSMessage{{MessageId: "1"}}}); !errors.Is(err, b.err) {
		t.Errorf("%v", err)
	}
}
