package notify_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/sqs"
)

// maxReceive is the queues' maxReceiveCount in template.yaml.
const maxReceive = 600

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// body is an event as the queue holds it: the job's status, observed some minutes
// after noon.
func body(job string, status jobs.Status, minute int) string {
	return bodyAt(job, status, noon.Add(time.Duration(minute)*time.Minute))
}

func bodyAt(job string, status jobs.Status, at time.Time) string {
	j := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: job}, Status: status, StartTime: noon}
	if status.Terminal() {
		j.EndTime = at
	}
	entry, err := event.Encode(fake.ARN("crm"), jobs.Transition{Job: j}, at)
	if err != nil {
		panic(err)
	}
	return wrap(entry)
}

// wrap is an entry as EventBridge delivers it.
func wrap(entry jobs.Entry) string {
	b, _ := json.Marshal(map[string]any{"id": "1", "source": event.SourceOf(entry.DetailType), "detail-type": entry.DetailType,
		"account": "123456789012", "region": "eu-west-1", "time": entry.Time, "detail": json.RawMessage(entry.Detail)})
	return string(b)
}

// world is a notifier with one channel among in-memory doubles.
type world struct {
	*notify.Notifier
	queue        *fake.Queue
	deliveries   *fake.Deliveries
	destinations []*fake.Destination
}

// newWorld has a destination per name. With an interval each has a rate limiter.
func newWorld(interval time.Duration, names ...string) *world {
	w := &world{queue: &fake.Queue{Name: "slack"}, deliveries: &fake.Deliveries{}}
	channel := notify.Channel{Name: "slack", QueueURL: w.queue.URL(), DeadLetterQueueURL: w.queue.URL() + "-dead", Filter: notify.Filter{All: true}}
	for _, name := range names {
		d := &fake.Destination{Name: name}
		if interval > 0 {
			d.Limiter = &notify.Limiter{Limits: w.deliveries, Destination: name, MinInterval: interval}
		}
		w.destinations = append(w.destinations, d)
		channel.Destinations = append(channel.Destinations, d)
	}
	w.Notifier = &notify.Notifier{Channels: []notify.Channel{channel}, Deliveries: w.deliveries, Queue: w.queue,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	return w
}

// deliver passes a batch of visible messages through the notifier, as Lambda
// does in a minute, and deletes those that did not fail.
func (w *world) deliver(t *testing.T) sqs.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	batch := w.queue.Receive(10)
	response, err := sqs.Handler(w)(ctx, batch)
	if err != nil {
		t.Fatal(err)
	}
	w.queue.Delete(batch, response.BatchItemFailures)
	return response
}

// drain delivers until the queue is empty. It sleeps while all messages are
// hidden.
func (w *world) drain(t *testing.T) {
	t.Helper()
	for range 50_000 {
		next, some := w.queue.Next()
		if !some {
			return
		}
		time.Sleep(max(0, time.Until(next)))
		w.deliver(t)
	}
	t.Fatal("the queue does not drain")
}

// received lists job and status of the messages that a destination shows.
func received(d *fake.Destination) []string {
	var all []string
	for _, sent := range d.Sent() {
		all = append(all, sent.Delivery.Message.JobID+" "+string(sent.Delivery.Message.Status))
	}
	return all
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("received %q\nwant %q", got, want)
	}
}
