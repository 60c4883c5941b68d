package fake

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// Queue is an in-memory SQS queue with its dead-letter queue. Its name is the
// last part of its URL and ARN.
type Queue struct {
	Name string
	// Fault is called before every operation ("ChangeVisibility",
	// "DeadLetter") and, for the latter, after ("DeadLetter/done").
	Fault func(op string) error
	Now   func() time.Time
	// Visibility is how long a received message stays hidden; MaxReceive after
	// how many receives it goes to the dead-letter queue. Zero means 6 minutes
	// and never.
	Visibility time.Duration
	MaxReceive int

	mu       sync.Mutex
	messages []*queued
	dead     []Dead
	sent     int
}

type queued struct {
	id, body, receipt string
	visible, sent     time.Time
	received          int
}

// Dead is a message in the dead-letter queue.
type Dead struct{ Body, Reason string }

// URL is the queue's URL.
func (q *Queue) URL() string { return "https://sqs.test/123456789012/" + q.Name }

// Put sends a message.
func (q *Queue) Put(body string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sent++
	q.messages = append(q.messages, &queued{id: q.Name + "-" + strconv.Itoa(q.sent), body: body, sent: q.now()})
}

// Receive takes up to n visible messages, as an event source mapping does.
func (q *Queue) Receive(n int) events.SQSEvent {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	var batch events.SQSEvent
	q.messages = slices.DeleteFunc(q.messages, func(m *queued) bool {
		if len(batch.Records) == n || m.visible.After(now) {
			return false
		}
		if q.MaxReceive > 0 && m.received >= q.MaxReceive {
			q.dead = append(q.dead, Dead{m.body, "received too often"})
			return true
		}
		m.received++
		m.receipt = m.id + "#" + strconv.Itoa(m.received)
		m.visible = now.Add(6 * time.Minute)
		if q.Visibility > 0 {
			m.visible = now.Add(q.Visibility)
		}
		batch.Records = append(batch.Records, events.SQSMessage{
			MessageId: m.id, ReceiptHandle: m.receipt, Body: m.body,
			Attributes:     map[string]string{"ApproximateReceiveCount": strconv.Itoa(m.received)},
			EventSource:    "aws:sqs",
			EventSourceARN: "arn:aws:sqs:eu-west-1:123456789012:" + q.Name,
		})
		return false
	})
	return batch
}

// Delete removes the messages of the batch that did not fail.
func (q *Queue) Delete(batch events.SQSEvent, failed []events.SQSBatchItemFailure) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, record := range batch.Records {
		if slices.Contains(failed, events.SQSBatchItemFailure{ItemIdentifier: record.MessageId}) {
			continue
		}
		q.messages = slices.DeleteFunc(q.messages, func(m *queued) bool { return m.receipt == record.ReceiptHandle })
	}
}

// ChangeVisibility hides a received message for a duration from now on.
func (q *Queue) ChangeVisibility(_ context.Context, _, receipt string, d time.Duration) error {
	if err := q.fault("ChangeVisibility"); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range q.messages {
		if m.receipt == receipt {
			m.visible = q.now().Add(d)
		}
	}
	return nil
}

// DeadLetter sends a message's body to the dead-letter queue.
func (q *Queue) DeadLetter(_ context.Context, _, body, reason, _ string) error {
	if err := q.fault("DeadLetter"); err != nil {
		return err
	}
	q.mu.Lock()
	q.dead = append(q.dead, Dead{body, reason})
	q.mu.Unlock()
	return q.fault("DeadLetter/done")
}

// Len is how many messages are in the queue, hidden ones included.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.messages)
}

// Measure is what SQS reports of a queue: how many messages are visible and how
// many are not, and the age of the oldest one received less than three times
// ("Available CloudWatch metrics").
func (q *Queue) Measure() (visible, hidden int, oldest time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	for _, m := range q.messages {
		if m.visible.After(now) {
			hidden++
		} else {
			visible++
		}
		if m.received < 3 {
			oldest = max(oldest, now.Sub(m.sent))
		}
	}
	return visible, hidden, oldest
}

// Next is when the next message becomes visible; false when the queue is empty.
func (q *Queue) Next() (time.Time, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.messages) == 0 {
		return time.Time{}, false
	}
	return slices.MinFunc(q.messages, func(a, b *queued) int { return a.visible.Compare(b.visible) }).visible, true
}

// Dead are the messages in the dead-letter queue.
func (q *Queue) Dead() []Dead {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.dead)
}

func (q *Queue) fault(op string) error {
	if q.Fault == nil {
		return nil
	}
	return q.Fault(op)
}

func (q *Queue) now() time.Time {
	if q.Now != nil {
		return q.Now()
	}
	return time.Now()
}
