package notify_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
)

func canary(visible bool) string { return wrap(event.EncodeCanary(visible, time.Now())) }

func TestSilentCanaryTestsEveryChannelAndShowsNothing(t *testing.T) {
	slack, email := twoChannels([]string{"slack:C1"}, []string{"email:a@example.com", "email:b@example.com"})
	slack.Channels[1].SharedSender = true
	slack.queue.Put(canary(false))
	email.queue.Put(canary(false))
	if r, s := slack.deliver(t), email.deliver(t); r.Canaries != 1 || s.Canaries != 1 || r.Sent+s.Sent != 0 {
		t.Errorf("reports %+v, %+v", r, s)
	}
	for i, p := range append(slack.destinations, email.destinations...) {
		if want := []int{1, 1, 0}[i]; p.DryRuns() != want || len(p.Sent()) != 0 {
			t.Errorf("%s: %d dry runs, received %q", p.Name, p.DryRuns(), headlines(p))
		}
	}
}

func TestVisibleCanaryIsShownOnce(t *testing.T) {
	w := newWorld(0, "slack:C1")
	w.Channels[0].Filter = notify.ParseFilter("FAILED")
	b := canary(true)
	w.queue.Put(b)
	w.queue.Put(b)
	w.deliver(t)
	if n := len(w.destinations[0].Sent()); n != 1 || w.destinations[0].DryRuns() != 0 {
		t.Errorf("%d messages, %d dry runs", n, w.destinations[0].DryRuns())
	}
}

func TestCanaryExpiresAfterTwoHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0, "slack:C1")
		w.destinations[0].Fault = misconfigured("Slack: channel_not_found")
		w.queue.Put(canary(false))
		begin, misconfigured := time.Now(), 0
		for w.queue.Len() > 0 {
			next, _ := w.queue.Next()
			time.Sleep(max(0, time.Until(next)))
			misconfigured += w.deliver(t).Misconfigured
		}
		if tried := time.Since(begin); tried < 2*time.Hour || tried > 150*time.Minute || misconfigured < 5 || len(w.queue.Dead()) != 0 {
			t.Errorf("tried for %v, %d times misconfigured, %d dead", tried, misconfigured, len(w.queue.Dead()))
		}
	})
}

func TestOnlyASilentCanaryUsesOneDestinationOfASharedSender(t *testing.T) {
	for _, c := range []struct {
		name, body    string
		sharedSender  bool
		sent, dryRuns []int
	}{
		{"silent", canary(false), true, []int{0, 0}, []int{1, 0}},
		{"silent, own senders", canary(false), false, []int{0, 0}, []int{1, 1}},
		{"visible", canary(true), true, []int{1, 1}, []int{0, 0}},
		{"an event", body("1", jobs.Failed, 0), true, []int{1, 1}, []int{0, 0}},
	} {
		w := newWorld(0, "email:a@example.com", "email:b@example.com")
		w.Channels[0].SharedSender = c.sharedSender
		w.queue.Put(c.body)
		w.deliver(t)
		for i, d := range w.destinations {
			if len(d.Sent()) != c.sent[i] || d.DryRuns() != c.dryRuns[i] {
				t.Errorf("%s: %s has %d messages and %d dry runs", c.name, d.Name, len(d.Sent()), d.DryRuns())
			}
		}
	}
}

func TestLateCanaryIsDelivered(t *testing.T) {
	w := newWorld(0, "slack:C1")
	w.queue.Put(wrap(event.EncodeCanary(false, time.Now().Add(-5*time.Hour))))
	if response := w.deliver(t); response.Canaries != 1 || w.queue.Len() != 0 {
		t.Errorf("%+v", response)
	}
}
