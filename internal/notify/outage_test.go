package notify_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
)

// twoChannels is a notifier with two channels, as each channel's queue sees it.
func twoChannels(slack, email []string) (a, b *world) {
	a, b = newWorld(time.Second, slack...), newWorld(0, email...)
	b.queue.Name = "email"
	second := b.Channels[0]
	second.Name, second.QueueURL, second.DeadLetterQueueURL = "email", b.queue.URL(), b.queue.URL()+"-dead"
	a.Channels = append(a.Channels, second)
	b.Notifier = &notify.Notifier{Channels: a.Channels, Deliveries: a.deliveries, Queue: b.queue, Log: a.Log}
	return a, b
}

// misconfigured is a destination whose every answer has the summary.
func misconfigured(summary string) func(string, notify.Delivery) error {
	return func(string, notify.Delivery) error {
		return &notify.Failure{Reason: notify.Misconfigured, Summary: summary,
			Err: errors.New("arn:aws:iam::123456789012:role/secret, /idmapping/parameter, b@example.com")}
	}
}

// failing is a destination that always fails.
func failing(reason notify.Reason) func(string, notify.Delivery) error {
	return func(string, notify.Delivery) error { return &notify.Failure{Reason: reason, Err: errors.New("no")} }
}

func headlines(d *fake.Destination) []string {
	var all []string
	for _, sent := range d.Sent() {
		all = append(all, sent.Delivery.Message.Title()+": "+sent.Delivery.Message.Lead[0].Plain(nil))
	}
	return all
}

// notices counts a destination's notices by the summary that they quote.
func notices(d *fake.Destination, summaries ...string) string {
	counts := make([]int, len(summaries))
	for _, headline := range headlines(d) {
		for i, summary := range summaries {
			if strings.Contains(headline, summary) {
				counts[i]++
			}
		}
	}
	return fmt.Sprint(counts, " of ", len(d.Sent()))
}

func TestMisconfiguredDestinationIsAnnouncedOnceInTheOtherChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slack, email := twoChannels([]string{"slack:#data-jobs"}, []string{"email:a@example.com", "email:b@example.com"})
		d := slack.destinations[0]
		d.Fault = misconfigured("Slack: channel_not_found")
		email.destinations[1].Fault = func(string, notify.Delivery) error { // the notice is repeated where it failed, and only there
			email.destinations[1].Fault = nil
			return &notify.Failure{Reason: notify.Unavailable, Err: errors.New("503")}
		}
		for i := range 25 {
			slack.queue.Put(body(string(rune('a'+i)), jobs.Failed, 0))
		}
		hours := func(n int) {
			for range n * 6 {
				time.Sleep(10 * time.Minute)
				for range 4 {
					slack.deliver(t)
				}
			}
		}
		hours(24)
		for _, other := range email.destinations {
			if got := notices(other, "#data-jobs", "Slack: channel_not_found"); got != "[1 1] of 1" {
				t.Errorf("%s has notices: %s", other.Name, got)
			}
		}
		d.Fault = nil
		hours(2)
		if n := len(d.Sent()); n != 25 || slack.queue.Len() != 0 {
			t.Fatalf("%d sent after the correction, %d left", n, slack.queue.Len())
		}
		d.Fault = misconfigured("Slack: token_revoked")
		slack.queue.Put(body("z", jobs.Failed, 0))
		hours(3)
		for _, other := range email.destinations {
			if got := notices(other, "Slack: channel_not_found", "Slack: token_revoked"); got != "[1 1] of 2" {
				t.Errorf("%s has notices: %s", other.Name, got)
			}
		}
	})
}

func TestManyMisconfiguredDestinationsAreOneNotice(t *testing.T) {
	slack, email := twoChannels([]string{"slack:C1"}, []string{"email:a@example.com", "email:b@example.com", "email:c@example.com"})
	for _, d := range email.destinations {
		d.Fault = misconfigured("SES: MessageRejected")
	}
	email.queue.Put(body("1", jobs.Failed, 0))
	email.deliver(t)
	if got := notices(slack.destinations[0], "and 2 more", "SES: MessageRejected"); got != "[1 1] of 1" {
		t.Fatalf("notices: %s", got)
	}
	m := slack.destinations[0].Sent()[0].Delivery.Message
	if want := "email:a•••@example.com: SES: MessageRejected\nemail:b•••@example.com: SES: MessageRejected\nemail:c•••@example.com: SES: MessageRejected"; m.Error.Text != want || len(m.Steps) != 1 {
		t.Errorf("error %+v, steps %v", m.Error, m.Steps)
	}
}

// Readers of one channel are not always those of the other: a notice names the
// failure's code, and no account, role, parameter or address.
func TestNoticeQuotesNeitherTheErrorNorAddresses(t *testing.T) {
	for _, summary := range []string{"SES: MessageRejected", ""} {
		slack, email := twoChannels([]string{"slack:C1"}, []string{"email:alice@example.com"})
		email.destinations[0].Fault = misconfigured(summary)
		email.queue.Put(body("1", jobs.Failed, 0))
		email.deliver(t)
		sent := slack.destinations[0].Sent()
		if len(sent) != 1 {
			t.Fatalf("%q: %d notices", summary, len(sent))
		}
		m := sent[0].Delivery.Message
		text := fmt.Sprintf("%+v %+v", m, m.Error)
		for _, private := range []string{"alice", "arn:", "/idmapping/", "b@example.com"} {
			if strings.Contains(text, private) {
				t.Errorf("%q: the notice quotes %q: %s", summary, private, text)
			}
		}
		if want := "a•••@example.com"; !strings.Contains(text, want) || summary != "" && !strings.Contains(text, summary) || summary == "" && !strings.Contains(text, "notifier's log") {
			t.Errorf("%q: the notice says %s", summary, text)
		}
	}
}

func TestTransientFailureIsNoOutage(t *testing.T) {
	for _, reason := range []notify.Reason{notify.Unavailable, notify.RateLimited, notify.Refused} {
		slack, email := twoChannels([]string{"slack:C1"}, []string{"email:a@example.com"})
		slack.destinations[0].Fault = failing(reason)
		for i := range 5 { // enough to be suspended
			slack.queue.Put(body(string(rune('a'+i)), jobs.Failed, 0))
		}
		slack.deliver(t)
		expect(t, headlines(email.destinations[0]))
	}
}

// Whatever goes wrong with a notice, the batch that it is about has its response.
func TestFailingNoticeLeavesTheBatchAsItIs(t *testing.T) {
	for _, fault := range []string{"RecordOutage", "RecordAnnouncement", "panic", "refused", "no other channel"} {
		slack, email := twoChannels([]string{"slack:C1", "slack:C2"}, []string{"email:a@example.com"})
		slack.destinations[0].Fault = misconfigured("Slack: channel_not_found")
		recorded, announced := false, false
		slack.deliveries.Fault = func(op string) error {
			recorded, announced = recorded || op == "RecordOutage", announced || op == "RecordAnnouncement"
			if op == fault {
				return errors.New("throttled")
			}
			return nil
		}
		switch fault {
		case "panic":
			email.destinations[0].Fault = func(string, notify.Delivery) error { panic("a bug of ours") }
		case "refused":
			email.destinations[0].Fault = failing(notify.Refused)
		case "no other channel":
			slack.Channels[1].Destinations = nil
		}
		slack.queue.Put(body("1", jobs.Failed, 0))
		if response := slack.deliver(t); len(response.BatchItemFailures) != 1 || len(slack.destinations[1].Sent()) != 1 || len(slack.queue.Dead()) != 0 {
			t.Errorf("%s: %+v, %d dead", fault, response, len(slack.queue.Dead()))
		}
		if sent := len(email.destinations[0].Sent()) > 0; sent != (fault == "RecordAnnouncement") {
			t.Errorf("%s: the notice is sent: %v", fault, sent)
		}
		if recorded == (fault == "no other channel") {
			t.Errorf("%s: the outage is recorded: %v", fault, recorded)
		}
		if announced != (fault == "RecordAnnouncement") {
			t.Errorf("%s: the announcement is recorded: %v", fault, announced)
		}
	}
}

// The report counts the notices that the batch has sent.
func TestNoticeIsCountedAsSent(t *testing.T) {
	slack, _ := twoChannels([]string{"slack:C1"}, []string{"email:a@example.com", "email:b@example.com"})
	slack.destinations[0].Fault = misconfigured("Slack: channel_not_found")
	slack.queue.Put(body("1", jobs.Failed, 0))
	if response := slack.deliver(t); response.Sent != 2 || response.Retried != 1 || response.Misconfigured != 1 {
		t.Errorf("%+v", response)
	}
}

// An unfiltered notice: it has a status that no filter knows.
func TestNoticePassesEveryFilter(t *testing.T) {
	slack, email := twoChannels([]string{"slack:C1"}, []string{"email:a@example.com"})
	slack.Channels[1].Filter = notify.ParseFilter("FAILED")
	slack.destinations[0].Fault = misconfigured("Slack: channel_not_found")
	slack.queue.Put(body("1", jobs.Failed, 0))
	slack.deliver(t)
	if n := len(email.destinations[0].Sent()); n != 1 {
		t.Errorf("%d notices", n)
	}
}
