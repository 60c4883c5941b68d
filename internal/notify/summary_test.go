package notify_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/notify"
)

// backlog is what the poller publishes after a pause: a summary if there are more
// than 20 statuses, and an event for each.
func backlog(t *testing.T, failed, succeeded int) []string {
	t.Helper()
	var entries []jobs.Entry
	var late []event.Detail
	for i := range failed + succeeded {
		j := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: fmt.Sprintf("job%02d", i)}, Status: jobs.Failed,
			StartTime: noon, EndTime: noon.Add(time.Duration(i) * time.Minute)}
		if i >= failed {
			j.Status = jobs.Succeeded
		}
		entry, err := event.Encode(fake.ARN("crm"), jobs.Transition{Job: j}, noon.Add(5*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		d, isLate := event.Late(entry)
		if !isLate {
			t.Fatalf("%s is not late", entry.Detail)
		}
		entries, late = append(entries, entry), append(late, d)
	}
	var bodies []string
	summary, mark, err := event.EncodeSummary(late, noon.Add(5*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if len(late) > event.MaxIndividual {
		bodies = append(bodies, wrap(summary))
	}
	for _, entry := range entries {
		if len(late) > event.MaxIndividual {
			entry.Detail = event.AddBacklog(entry.Detail, mark)
		}
		bodies = append(bodies, wrap(entry))
	}
	return bodies
}

func TestChannelSendsEitherTheSummaryOrEachStatus(t *testing.T) {
	for name, test := range map[string]struct {
		filter            notify.Filter
		failed, succeeded int
		summary           string // its headline
		individual        int
	}{
		"all of 30":                {notify.Filter{All: true}, 10, 20, "LATE: 30 ID mapping jobs finished: 10 FAILED, 20 SUCCEEDED", 0},
		"terminal statuses of 30":  {notify.ParseFilter(""), 10, 20, "LATE: 30 ID mapping jobs finished: 10 FAILED, 20 SUCCEEDED", 0},
		"10 failures of 30":        {notify.ParseFilter("FAILED"), 10, 20, "", 10},
		"20 failures of 30":        {notify.ParseFilter("FAILED"), 20, 10, "", 20},
		"21 failures of 30":        {notify.ParseFilter("FAILED"), 21, 9, "LATE: 21 ID mapping jobs finished: 21 FAILED", 0},
		"no statuses of these":     {notify.ParseFilter("RUNNING"), 10, 20, "", 0},
		"all of 20":                {notify.Filter{All: true}, 10, 10, "", 20},
		"all of 21":                {notify.Filter{All: true}, 10, 11, "LATE: 21 ID mapping jobs finished: 10 FAILED, 11 SUCCEEDED", 0},
		"failures and one running": {notify.ParseFilter("FAILED,RUNNING"), 30, 1, "LATE: 30 ID mapping jobs finished: 30 FAILED", 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(0, "a", "b")
			w.Channels[0].Filter = test.filter
			for range 2 { // queues deliver at least once
				for _, b := range backlog(t, test.failed, test.succeeded) {
					w.queue.Put(b)
				}
			}
			w.drain(t)
			for _, d := range w.destinations {
				var summaries []message.Message
				individual := 0
				for _, sent := range d.Sent() {
					m := sent.Delivery.Message
					if m.Jobs == nil {
						individual++
						continue
					}
					summaries = append(summaries, m)
				}
				if individual != test.individual || len(summaries) > 1 || (len(summaries) == 1) != (test.summary != "") || len(d.Updates()) > 0 {
					t.Fatalf("%d messages, %d summaries, %d updates", individual, len(summaries), len(d.Updates()))
				}
				if len(summaries) == 1 && summaries[0].Title()+": "+summaries[0].Lead[0].Plain(nil) != test.summary {
					t.Errorf("the summary is %q: %q", summaries[0].Title(), summaries[0].Lead[0].Plain(nil))
				}
			}
			if w.queue.Len() != 0 || len(w.queue.Dead()) != 0 {
				t.Errorf("%d messages left, %d dead letters", w.queue.Len(), len(w.queue.Dead()))
			}
		})
	}
}

func TestSummaryListsOnlyWhatTheChannelSends(t *testing.T) {
	w := newWorld(0, "a")
	w.Channels[0].Filter = notify.ParseFilter("FAILED")
	w.queue.Put(backlog(t, 25, 25)[0])
	w.drain(t)
	m := w.destinations[0].Sent()[0].Delivery.Message
	if len(m.Jobs) != 20 || m.MoreJobs != 5 || m.Lead[0].Plain(nil) != "25 FAILED" {
		t.Errorf("%d jobs, %d more, lead %q", len(m.Jobs), m.MoreJobs, m.Lead[0].Plain(nil))
	}
	for _, j := range m.Jobs {
		if !strings.HasPrefix(j.Label, "FAILED: crm, ") || !strings.HasPrefix(j.URL, "https://") {
			t.Errorf("the list has %+v", j)
		}
	}
}

func TestSummarizedStatusUpdatesItsCardAndPostsNothing(t *testing.T) {
	w := newWorld(0, "a")
	w.queue.Put(body("job00", jobs.Running, 0))
	w.drain(t)
	bodies := backlog(t, 30, 0)
	for _, b := range bodies {
		w.queue.Put(b)
	}
	w.drain(t)
	d := w.destinations[0]
	if len(d.Sent()) != 2 || len(d.Updates()) != 1 {
		t.Fatalf("%d messages, %d updates", len(d.Sent()), len(d.Updates()))
	}
	update := d.Updates()[0].Delivery
	if update.Card == (notify.MessageRef{}) || !update.Edit || update.Message.JobID != "job00" || update.Message.Status != jobs.Failed {
		t.Errorf("the update is %+v", update)
	}
	// A crash of the poller may publish a status again, without the mark.
	w.queue.Put(body("job01", jobs.Failed, 1))
	response := w.deliver(t)
	if response.Duplicates != 1 || response.Sent != 0 {
		t.Errorf("the status is sent again: %+v", response)
	}
}

func TestSummarizedStatusesAreCountedAndLogged(t *testing.T) {
	w := newWorld(0, "a")
	w.queue.Put(backlog(t, 30, 0)[1])
	lines := logged(t, w.Notifier, func() {
		if response := w.deliver(t); response.Summarized != 1 || response.Sent != 0 {
			t.Errorf("response %+v", response)
		}
	})
	expect(t, lines, "notification summarized a")
}

func TestSummaryThatIsPublishedTwiceIsSentOnceAndNeverLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0, "a")
		outage := time.Now().Add(time.Hour)
		w.destinations[0].Fault = func(string, notify.Delivery) error {
			if time.Now().Before(outage) {
				return &notify.Failure{Reason: notify.Unavailable, Err: errors.New("503")}
			}
			return nil
		}
		first := backlog(t, 30, 0)[0]
		second := strings.Replace(first, `"observedAt":"2026-11-23T17:00:00Z"`, `"observedAt":"2026-11-23T17:01:00Z"`, 1)
		if second == first {
			t.Fatalf("the time of the summary is another one: %s", first)
		}
		w.queue.Put(second) // EventBridge keeps no order
		w.deliver(t)
		w.queue.Put(first)
		w.drain(t)
		if got := len(w.destinations[0].Sent()); got != 1 {
			t.Errorf("the summary is sent %d times", got)
		}
	})
}
