package fake

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/idmapping/notifier/internal/notify"
)

// QueueContract holds for every queue. put sends a message, receive takes the
// visible messages, dead reads the dead-letter queue.
func QueueContract(t *testing.T, queue notify.Queue, url, deadURL string, put func(body string), receive func() []events.SQSMessage, dead func() []Dead) {
	ctx := context.Background()
	receiptHandle := func(t *testing.T) string {
		t.Helper()
		got := receive()
		if len(got) != 1 || got[0].Body != "a message" {
			t.Fatalf("received %+v", got)
		}
		return got[0].ReceiptHandle
	}
	t.Run("a received message is hidden for the time asked", func(t *testing.T) {
		put("a message")
		handle := receiptHandle(t)
		equal(t, "visible", len(receive()), 0)
		must(t, queue.ChangeVisibility(ctx, url, handle, 0))
		handle = receiptHandle(t)
		must(t, queue.ChangeVisibility(ctx, url, handle, time.Hour))
		equal(t, "visible", len(receive()), 0)
	})
	t.Run("a dead-lettered message carries its reason", func(t *testing.T) {
		must(t, queue.DeadLetter(ctx, deadURL, "a dead message", "for a reason", "1"))
		equal(t, "dead", dead(), []Dead{{"a dead message", "for a reason"}})
	})
}
