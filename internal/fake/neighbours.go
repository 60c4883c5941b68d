package fake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/poller"
)

// SourceContract is what every source has to hold; it shows nothing but what is
// put there.
func SourceContract(t *testing.T, source poller.Source, put func(jobs.Job)) {
	ctx := context.Background()
	start := at.Truncate(time.Second)
	want := make(map[string]jobs.Job)
	for i := range 60 {
		j := sample("crm").Job
		j.Job = fmt.Sprintf("%02d", i)
		j.StartTime, j.EndTime = start.Add(time.Duration(i)*time.Minute), start.Add(time.Duration(i+1)*time.Minute)
		want[j.Job] = j
		put(j)
	}
	put(jobs.Job{Key: jobs.Key{Workflow: "web", Job: "a"}, Type: "BATCH", Status: jobs.Queued})
	t.Run("every workflow is shown with its ARN", func(t *testing.T) {
		all, err := source.Workflows(ctx)
		must(t, err)
		for _, name := range []string{"crm", "web"} {
			w := all.Workflows[name]
			if w.Name != name || !strings.HasSuffix(w.ARN, ":idmappingworkflow/"+name) || w.CreatedAt.IsZero() {
				t.Errorf("%s is %+v", name, w)
			}
		}
		equal(t, "workflows", len(all.Workflows), 2)
		equal(t, "listed at a time", all.At.IsZero(), false)
	})
	t.Run("a list is read page by page, newest first, with what a list shows", func(t *testing.T) {
		var rows []jobs.Job
		for token, pages := "", 0; ; pages++ {
			page, err := source.Page(ctx, "crm", token)
			must(t, err)
			if page.At.IsZero() || len(page.Rows) > 25 || pages > 3 {
				t.Fatalf("page %d of %v has %d rows", pages, page.At, len(page.Rows))
			}
			rows = append(rows, page.Rows...)
			if token = page.Next; token == "" {
				break
			}
		}
		equal(t, "rows", len(rows), 60)
		for i, row := range rows {
			j := want[fmt.Sprintf("%02d", 59-i)]
			equal(t, "row", row, jobs.Job{Key: j.Key, Status: j.Status, StartTime: j.StartTime, EndTime: j.EndTime})
		}
	})
	t.Run("a job is read whole", func(t *testing.T) {
		j, err := source.Job(ctx, want["07"].Key)
		must(t, err)
		equal(t, "job", j, want["07"])
	})
	t.Run("what is not there is not found, and a token that is none is rejected", func(t *testing.T) {
		_, err := source.Job(ctx, jobs.Key{Workflow: "crm", Job: "gone"})
		fails(t, err, jobs.ErrNotFound)
		_, err = source.Page(ctx, "gone", "")
		fails(t, err, jobs.ErrNotFound)
		_, err = source.Page(ctx, "crm", "no token")
		fails(t, err, jobs.ErrRejected)
	})
}

// PublisherContract is what every event bus has to hold; taken are the ids of
// what has arrived there.
func PublisherContract(t *testing.T, publisher poller.Publisher, taken func() []string) {
	var entries []jobs.Entry
	var ids []string
	for i := range 25 {
		e := entry(fmt.Sprintf("%064d", i))
		e.Detail = fmt.Sprintf(`{"version":"1","transitionId":%q,"workflowName":"w","jobId":"j","status":"FAILED"}`, e.ID)
		entries, ids = append(entries, e), append(ids, e.ID)
	}
	for _, err := range publisher.Publish(context.Background(), entries) {
		must(t, err)
	}
	got := taken()
	slices.Sort(got)
	equal(t, "taken", got, ids)
	equal(t, "outcomes of nothing", len(publisher.Publish(context.Background(), nil)), 0)
}

// QueueContract is what every queue has to hold. put sends a message, receive
// takes what is visible, dead is what lies in the dead-letter queue.
func QueueContract(t *testing.T, queue notify.Queue, url, deadURL string, put func(body string), receive func() []events.SQSMessage, dead func() []Dead) {
	ctx := context.Background()
	one := func(t *testing.T) string {
		t.Helper()
		got := receive()
		if len(got) != 1 || got[0].Body != "a message" {
			t.Fatalf("received %+v", got)
		}
		return got[0].ReceiptHandle
	}
	t.Run("a received message is hidden as long as asked", func(t *testing.T) {
		put("a message")
		receipt := one(t)
		equal(t, "visible", len(receive()), 0)
		must(t, queue.ChangeVisibility(ctx, url, receipt, 0))
		receipt = one(t)
		must(t, queue.ChangeVisibility(ctx, url, receipt, time.Hour))
		equal(t, "visible", len(receive()), 0)
	})
	t.Run("a dead message bears its reason", func(t *testing.T) {
		must(t, queue.DeadLetter(ctx, deadURL, "a dead message", "for a reason", "1"))
		equal(t, "dead", dead(), []Dead{{"a dead message", "for a reason"}})
	})
}

// DestinationContract is what every destination with cards has to hold; shown is
// how many messages people see there.
func DestinationContract(t *testing.T, d notify.Destination, shown func() int) {
	ctx := context.Background()
	turns := 0
	step := notify.Delivery{Message: message.Message{Headline: "FAILED: w", Subject: "[FAILED] w", Title: "FAILED: w", Severity: message.Bad,
		Fields: []message.Field{{Label: "Workflow", Value: "w"}}, WorkflowName: "w", JobID: "j"},
		Turn: func(context.Context) error { turns++; return nil }}
	var card notify.MessageRef
	save := func(_ context.Context, c notify.MessageRef) error { card = c; return nil }
	t.Run("a check shows nothing and takes no turn", func(t *testing.T) {
		checked := step
		checked.DryRun = true
		must(t, d.Send(ctx, checked, save))
		equal(t, "shown and turns", []int{shown(), turns}, []int{0, 0})
	})
	t.Run("without its turn nothing is shown", func(t *testing.T) {
		late := step
		late.Turn = func(context.Context) error {
			return &notify.Failure{Reason: notify.RateLimited, After: time.Second, Err: errors.New("later")}
		}
		err := d.Send(ctx, late, save)
		equal(t, "reason", notify.FailureOf(err).Reason, notify.RateLimited)
		equal(t, "shown", shown(), 0)
	})
	t.Run("the first step posts a card and has it saved, in its turn", func(t *testing.T) {
		must(t, d.Send(ctx, step, save))
		equal(t, "shown and turns", []int{shown(), turns}, []int{1, 1})
		if card == (notify.MessageRef{}) {
			t.Error("no card was saved")
		}
	})
	t.Run("a card that cannot be saved is tried again", func(t *testing.T) {
		err := d.Send(ctx, step, func(context.Context, notify.MessageRef) error { return errors.New("no") })
		if err == nil || notify.FailureOf(err).Reason != notify.Unavailable {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a later step posts no other card", func(t *testing.T) {
		step.Card = card
		must(t, d.Send(ctx, step, func(context.Context, notify.MessageRef) error {
			t.Error("another card is saved")
			return nil
		}))
	})
}

func fails(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}
