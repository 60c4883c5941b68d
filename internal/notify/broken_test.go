package notify_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
)

// both is a notifier with two lanes; a.queue is the first one's.
func both(slack, email []string) (a, b *world) {
	a, b = newWorld(time.Second, slack...), newWorld(0, email...)
	b.queue.Name = "email"
	second := b.Channels[0]
	second.Name, second.QueueURL, second.DeadLetterQueueURL = "email", b.queue.URL(), b.queue.URL()+"-dead"
	a.Channels = append(a.Channels, second)
	b.Notifier = &notify.Notifier{Channels: a.Channels, Deliveries: a.ledger, Queue: b.queue, Log: a.Log}
	return a, b
}

func misconfigured(text string) func(string, notify.Delivery) error {
	return failing(notify.Misconfigured, text)
}

// failing is a place that always fails.
func failing(reason notify.Reason, text string) func(string, notify.Delivery) error {
	return func(string, notify.Delivery) error {
		return &notify.Failure{Reason: reason, Err: errors.New(text)}
	}
}

func headlines(place *fake.Destination) []string {
	var all []string
	for _, telling := range place.Told() {
		all = append(all, telling.Step.Message.Headline)
	}
	return all
}

func TestABrokenDestinationIsToldOnceByTheOtherChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slack, email := both([]string{"slack:#data-jobs"}, []string{"email:a@example.com", "email:b@example.com"})
		place := slack.places[0]
		place.Fault = misconfigured("refused by Slack: channel_not_found")
		email.places[1].Fault = func(string, notify.Delivery) error { // the notice is tried again where it failed, and only there
			email.places[1].Fault = nil
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
		const notice = "DELIVERY FAILING: cannot post to Slack channel #data-jobs: refused by Slack: channel_not_found"
		for _, p := range email.places {
			expect(t, headlines(p), notice)
		}
		place.Fault = nil
		hours(2)
		if n := len(place.Told()); n != 25 || slack.queue.Len() != 0 {
			t.Fatalf("%d told once it was mended, %d left", n, slack.queue.Len())
		}
		place.Fault = misconfigured("refused by Slack: token_revoked")
		slack.queue.Put(body("z", jobs.Failed, 0))
		hours(3)
		for _, p := range email.places {
			expect(t, headlines(p), notice, strings.Replace(notice, "channel_not_found", "token_revoked", 1))
		}
	})
}

func TestManyBrokenDestinationsAreOneNotice(t *testing.T) {
	slack, email := both([]string{"slack:C1"}, []string{"email:a@example.com", "email:b@example.com", "email:c@example.com"})
	for _, p := range email.places {
		p.Fault = misconfigured("sender not verified")
	}
	email.queue.Put(body("1", jobs.Failed, 0))
	email.deliver(t)
	expect(t, headlines(slack.places[0]), "DELIVERY FAILING: cannot send email to a@example.com and 2 more: sender not verified")
	m := slack.places[0].Told()[0].Step.Message
	if want := "email:a@example.com: sender not verified\nemail:b@example.com: sender not verified\nemail:c@example.com: sender not verified"; m.Failure.Text != want || len(m.Failure.Advice) != 1 {
		t.Errorf("failure %+v", m.Failure)
	}
}

func TestWhatIsDownForAWhileIsNotCalledBroken(t *testing.T) {
	for _, reason := range []notify.Reason{notify.Unavailable, notify.RateLimited, notify.Refused} {
		slack, email := both([]string{"slack:C1"}, []string{"email:a@example.com"})
		slack.places[0].Fault = failing(reason, "no")
		for i := range 5 { // enough to be left alone
			slack.queue.Put(body(string(rune('a'+i)), jobs.Failed, 0))
		}
		slack.deliver(t)
		expect(t, headlines(email.places[0]))
	}
}

func canary(show bool) string { return wrap(event.EncodeCanary(show, time.Now())) }

func TestACanaryChecksEveryWayAndShowsNothing(t *testing.T) {
	slack, email := both([]string{"slack:C1"}, []string{"email:a@example.com", "email:b@example.com"})
	slack.Channels[1].SharedSender = true
	slack.queue.Put(canary(false))
	email.queue.Put(canary(false))
	if r, s := slack.deliver(t), email.deliver(t); r.Canaries != 1 || s.Canaries != 1 || r.Sent+s.Sent != 0 {
		t.Errorf("reports %+v, %+v", r, s)
	}
	for i, p := range append(slack.places, email.places...) {
		if want := []int{1, 1, 0}[i]; p.Checks() != want || len(p.Told()) != 0 {
			t.Errorf("%s: %d checks, told %q", p.Name, p.Checks(), headlines(p))
		}
	}
}

func TestACanaryThatIsToBeSeenIsToldOnce(t *testing.T) {
	w := newWorld(0, "slack:C1")
	w.Channels[0].Filter = notify.ParseFilter("FAILED")
	b := canary(true)
	w.queue.Put(b)
	w.queue.Put(b)
	w.deliver(t)
	expect(t, headlines(w.places[0]), "TEST: notifications from the ID mapping notifier reach this channel")
}

func TestACanaryThatDoesNotArriveIsNotTriedForDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(0, "slack:C1")
		w.places[0].Fault = misconfigured("channel_not_found")
		w.queue.Put(canary(false))
		begin, broken := time.Now(), 0
		for w.queue.Len() > 0 {
			next, _ := w.queue.Next()
			time.Sleep(max(0, time.Until(next)))
			broken += w.deliver(t).Broken
		}
		if tried := time.Since(begin); tried < 2*time.Hour || tried > 150*time.Minute || broken < 5 || len(w.queue.Dead()) != 0 {
			t.Errorf("tried for %v, %d times broken, %d dead", tried, broken, len(w.queue.Dead()))
		}
	})
}

func TestOnlyACanaryNobodySeesStopsAtTheFirstOfThoseThatAreAlike(t *testing.T) {
	for _, c := range []struct {
		name, body    string
		alike         bool
		told, checked []int
	}{
		{"unseen", canary(false), true, []int{0, 0}, []int{1, 0}},
		{"unseen, not alike", canary(false), false, []int{0, 0}, []int{1, 1}},
		{"seen", canary(true), true, []int{1, 1}, []int{0, 0}},
		{"an event", body("1", jobs.Failed, 0), true, []int{1, 1}, []int{0, 0}},
	} {
		w := newWorld(0, "email:a@example.com", "email:b@example.com")
		w.Channels[0].SharedSender = c.alike
		w.queue.Put(c.body)
		w.deliver(t)
		for i, place := range w.places {
			if len(place.Told()) != c.told[i] || place.Checks() != c.checked[i] {
				t.Errorf("%s: %s was told %d times and checked %d times", c.name, place.Name, len(place.Told()), place.Checks())
			}
		}
	}
}

func TestACanaryThatComesLateStillArrives(t *testing.T) {
	w := newWorld(0, "slack:C1")
	w.queue.Put(wrap(event.EncodeCanary(false, time.Now().Add(-5*time.Hour))))
	if response := w.deliver(t); response.Canaries != 1 || w.queue.Len() != 0 {
		t.Errorf("%+v", response)
	}
}

// Whatever goes wrong with a notice, the batch that it came of is answered.
func TestANoticeThatFailsLeavesTheBatchAsItIs(t *testing.T) {
	for _, fault := range []string{"Broken", "Warned", "panic", "nobody else"} {
		slack, email := both([]string{"slack:C1", "slack:C2"}, []string{"email:a@example.com"})
		slack.places[0].Fault = misconfigured("channel_not_found")
		noted := false
		slack.ledger.Fault = func(op string) error {
			noted = noted || op == "Broken"
			if op == fault {
				return errors.New("throttled")
			}
			return nil
		}
		switch fault {
		case "panic":
			email.places[0].Fault = func(string, notify.Delivery) error { panic("a fault of ours") }
		case "nobody else":
			slack.Channels[1].Destinations = nil
		}
		slack.queue.Put(body("1", jobs.Failed, 0))
		if response := slack.deliver(t); len(response.BatchItemFailures) != 1 || len(slack.places[1].Told()) != 1 {
			t.Errorf("%s: %+v", fault, response)
		}
		if told := len(email.places[0].Told()) > 0; told != (fault == "Warned") {
			t.Errorf("%s: the other channel was told: %v", fault, told)
		}
		if noted == (fault == "nobody else") {
			t.Errorf("%s: noted as broken: %v", fault, noted)
		}
	}
}
