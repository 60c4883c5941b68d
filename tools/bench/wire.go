package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fakecloud/account"
	fakeentityresolution "github.com/idmapping/notifier/internal/fakecloud/entityresolution"
	"github.com/idmapping/notifier/internal/jobs"
)

// wire measures from the arrival of an event in a warm notifier to the first
// call that reaches Slack, in alternation with the baseline.
func wire(ctx context.Context, b binaries) ([]row, error) {
	const warmUps, measured = 50, 2000
	aws := newInstantAWS()
	defer aws.close()
	dirs := []string{b.notifier}
	if b.notifierBaseline != "" {
		dirs = append(dirs, b.notifierBaseline)
	}
	took := make([][]float64, len(dirs))
	invoke := make([]func([]byte) ([]byte, error), len(dirs))
	for i, dir := range dirs {
		f := aws.function("notifier", dir)
		defer f.Close()
		invoke[i] = func(payload []byte) ([]byte, error) { return f.Invoke(ctx, payload) }
	}
	for n := range warmUps + measured {
		for i := range dirs {
			payload, err := batch(n)
			if err != nil {
				return nil, err
			}
			for len(aws.posted) > 0 {
				<-aws.posted
			}
			begin := time.Now()
			out, err := invoke[i](payload)
			if err != nil {
				return nil, err
			}
			select {
			case at := <-aws.posted:
				if n >= warmUps {
					took[i] = append(took[i], at.Sub(begin).Seconds()*1000)
				}
			default:
				return nil, fmt.Errorf("measuring event → Slack: nothing reached Slack, the notifier responded %s", out)
			}
		}
	}
	p50 := median(took[0])
	rows := []row{{what: "event → Slack on the wire, warm p50", measured: fmt.Sprintf("%.2f ms", p50)}}
	if len(dirs) > 1 {
		rows = append(rows, atMost("event → Slack on the wire, warm p50, beside the baseline", p50/median(took[1]), 0.85, "%.2f ×"))
	}
	return rows, nil
}

// batch is an SQS event with the event of one failed job.
func batch(n int) ([]byte, error) {
	now := time.Now()
	job := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: strconv.Itoa(n)}, Type: "BATCH", Status: jobs.Failed,
		StartTime: now.Add(-time.Hour), EndTime: now, Error: "Access Denied",
		Metrics: jobs.Metrics{jobs.InputRecords: 1_000_000, jobs.TotalRecordsProcessed: 990_000, jobs.TotalMappedRecords: 880_000}}
	entry, err := event.Encode(fakeentityresolution.WorkflowARN("crm"), jobs.Transition{Job: job}, now)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{"id": strconv.Itoa(n), "source": event.Source, "detail-type": entry.DetailType,
		"account": account.ID, "region": account.Region, "time": entry.Time, "detail": json.RawMessage(entry.Detail)})
	if err != nil {
		return nil, err
	}
	return json.Marshal(events.SQSEvent{Records: []events.SQSMessage{{
		MessageId: strconv.Itoa(n), ReceiptHandle: "r", Body: string(body), EventSource: "aws:sqs",
		EventSourceARN: "arn:aws:sqs:us-east-1:1:slack", Attributes: map[string]string{"ApproximateReceiveCount": "1"},
	}}})
}
