package notify

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

func TestMessagesAreSortedByObservationThenStageThenArrival(t *testing.T) {
	message := func(id string, status jobs.Status, second int) Received {
		at := noon.Add(time.Duration(second) * time.Second)
		job := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: id}, Status: status, StartTime: noon}
		if status.Terminal() {
			job.EndTime = at
		}
		entry, err := event.Encode("arn:aws:entityresolution:eu-west-1:123456789012:idmappingworkflow/crm", jobs.Transition{Job: job}, at)
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(map[string]any{"id": "1", "source": event.Source, "detail-type": entry.DetailType,
			"account": "123456789012", "region": "eu-west-1", "time": entry.Time, "detail": json.RawMessage(entry.Detail)})
		if err != nil {
			t.Fatal(err)
		}
		return Received{ID: id, Body: string(body)}
	}
	var got []string
	for _, it := range inOrder([]Received{
		message("failed at 9", jobs.Failed, 9), message("queued at 9", jobs.Queued, 9), message("running at 9", jobs.Running, 9),
		message("paused at 9", "PAUSED", 9), message("failed at 1", jobs.Failed, 1), message("running at 5", jobs.Running, 5),
		{ID: "poison", Body: "{"},
	}) {
		got = append(got, it.ID)
		if (it.decodeErr != nil) != (it.ID == "poison") {
			t.Errorf("%s: %v", it.ID, it.decodeErr)
		}
	}
	if want := "poison, failed at 1, running at 5, queued at 9, running at 9, paused at 9, failed at 9"; strings.Join(got, ", ") != want {
		t.Errorf("in the order %s\nwant %s", strings.Join(got, ", "), want)
	}
}

func TestDestinationIsSuspendedByTheReasonOfItsFailure(t *testing.T) {
	to := namedDestination("slack:C1")
	for _, c := range []struct {
		reasons   string
		suspended bool
		failures  int
	}{
		{"unavailable", false, 1},
		{"unavailable unavailable", true, 2},
		{"unavailable refused", false, 0},
		{"unavailable refused unavailable", false, 1},
		{"refused refused refused", false, 0},
		{"rate_limited", true, 1},
		{"misconfigured", true, 1},
	} {
		b := newBatch(&Notifier{}, Channel{}, time.Time{})
		for reason := range strings.SplitSeq(c.reasons, " ") {
			b.recordFailure(to, &Failure{Reason: Reason(reason)})
		}
		if suspended := b.suspended["slack:C1"] != nil; suspended != c.suspended || b.failures["slack:C1"] != c.failures {
			t.Errorf("after %s: suspended %v with %d failures", c.reasons, suspended, b.failures["slack:C1"])
		}
	}
}

// namedDestination sends nothing.
type namedDestination string

func (d namedDestination) ID() string { return string(d) }

func (d namedDestination) Send(context.Context, Delivery) (MessageRef, error) {
	return MessageRef{}, errors.New("not implemented")
}

func TestChannelIsFoundByTheNameOfItsQueue(t *testing.T) {
	n := &Notifier{Channels: []Channel{
		{Name: "slack", QueueURL: "https://sqs.eu-west-1.amazonaws.com/123456789012/stack-Slack"},
		{Name: "email", QueueURL: "https://sqs.eu-west-1.amazonaws.com/123456789012/Slack"},
	}}
	for arn, want := range map[string]string{
		"arn:aws:sqs:eu-west-1:123456789012:stack-Slack": "slack", "arn:aws:sqs:eu-west-1:123456789012:Slack": "email", "Slack": "email",
		"arn:aws:sqs:eu-west-1:123456789012:other": "", "": "",
	} {
		channel, err := n.channelOf(arn)
		if channel.Name != want || (err != nil) != (want == "") {
			t.Errorf("%s is of %q (%v), want %q", arn, channel.Name, err, want)
		}
	}
}

func TestCanaryIsStaleAfterTwoHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			detailType string
			age        time.Duration
			want       bool
		}{
			{event.Canary, 2 * time.Hour, false}, {event.Canary, 2*time.Hour + 1, true}, {event.StateChange, 48 * time.Hour, false},
		} {
			e := event.Event{DetailType: c.detailType, Detail: event.Detail{ObservedAt: time.Now().Add(-c.age)}}
			if got := newBatch(&Notifier{}, Channel{}, time.Time{}).isStale(e); got != c.want {
				t.Errorf("%s of %v is stale: %v", c.detailType, c.age, got)
			}
		}
	})
}

func TestAddressOfADestinationIsMasked(t *testing.T) {
	for id, want := range map[string]string{
		"email:alice@example.com": "email:a•••@example.com", "email:é@example.com": "email:é•••@example.com", "email:@example.com": "email:•••@example.com",
		`email:"a@b"@example.com`: `email:"•••@example.com`, "email:nobody": "email:•••", "slack:#data-jobs": "slack:#data-jobs", "slack-webhook": "slack-webhook",
	} {
		if got := maskAddress(id); got != want {
			t.Errorf("%s is shown as %s, want %s", id, got, want)
		}
	}
}

func TestNoticeHasOneIDPerSetOfOutages(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	a, b := outage{"email:a@example.com", at, "SES: no"}, outage{"email:b@example.com", at.Add(time.Minute), "SES: no"}
	later := a
	later.since = at.Add(time.Nanosecond)
	seen := make(map[string]bool)
	for _, outages := range [][]outage{{a}, {b}, {a, b}, {later}} {
		e := noticeEvent(outages)
		if seen[e.Detail.TransitionID] || noticeEvent(outages).Detail.TransitionID != e.Detail.TransitionID {
			t.Errorf("%v has the ID %s", outages, e.Detail.TransitionID)
		}
		seen[e.Detail.TransitionID] = true
	}
	for _, outages := range [][]outage{{a, b}, {b, a}} {
		if got := noticeEvent(outages).Detail.ObservedAt; !got.Equal(b.since) {
			t.Errorf("observed at %v, want the last outage's %v", got, b.since)
		}
	}
	if a.summary = "SES: yes"; !seen[noticeEvent([]outage{a}).Detail.TransitionID] {
		t.Error("another summary makes another notice")
	}
}

func TestReportHasOneMetricPerCount(t *testing.T) {
	got := Report{Sent: 1, Canaries: 2, Duplicates: 3, Retried: 4, Misconfigured: 5, DeadLettered: 6}.Values()
	if len(got) != 3 || got["Delivered"] != 1 || got["DeliveriesRetried"] != 4 || got["DestinationsMisconfigured"] != 5 {
		t.Errorf("%v", got)
	}
}
