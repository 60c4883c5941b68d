package reliability

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/fake"
	fakeslack "github.com/idmapping/notifier/internal/fakecloud/slack"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/slack"
	"github.com/idmapping/notifier/internal/sqs"
)

// TestMissedRunsBecomeOneSummaryPerChannelOrOneMessageEach plays a pause, from
// Entity Resolution to a bot, a webhook and an email address, with and without
// a filter.
func TestMissedRunsBecomeOneSummaryPerChannelOrOneMessageEach(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		failed, succeeded   int
		bot, webhook, email int // messages
	}{
		{failed: 10, succeeded: 10, bot: 20, webhook: 12, email: 20}, // both workflows recover,
		{failed: 10, succeeded: 20, bot: 1, webhook: 10, email: 1},
		{failed: 25, succeeded: 5, bot: 1, webhook: 1, email: 1},
	} {
		t.Run(fmt.Sprintf("%d failed and %d succeeded", test.failed, test.succeeded), func(t *testing.T) {
			c := newCloud()
			c.set("crm", "open", jobs.Running)
			c.source.Put(jobs.Job{Key: jobs.Key{Workflow: "ads"}})
			c.tick(&process{})
			d := newDestinations(t)
			d.deliver(t, c)
			before := len(d.slack.Messages())
			c.set("crm", "open", jobs.Failed) // it was open when the pause began
			for n := 1; n < test.failed+test.succeeded; n++ {
				c.now = c.now.Add(20 * time.Minute)
				c.set([]string{"ads", "crm"}[n%2], fmt.Sprintf("job%02d", n), map[bool]jobs.Status{true: jobs.Failed, false: jobs.Succeeded}[n < test.failed])
			}
			c.now = c.now.Add(time.Hour)
			c.tick(&process{})
			d.deliver(t, c)

			var bot, webhook []fakeslack.Message
			for _, m := range d.slack.Messages()[before:] {
				if m.Channel == "webhook" {
					webhook = append(webhook, m)
				} else if !strings.Contains(m.Text, "in a row so far") { // that is a reply to an earlier card
					bot = append(bot, m)
				}
			}
			if len(bot) != test.bot || len(webhook) != test.webhook || len(d.email.Sent()) != test.email {
				t.Fatalf("%d messages of the bot, %d of the webhook, %d emails", len(bot), len(webhook), len(d.email.Sent()))
			}
			for channel, texts := range map[string][]string{"the bot": textsOf(bot), "the webhook": textsOf(webhook)} {
				if summary := strings.HasPrefix(texts[0], "LATE: "); summary != (len(texts) == 1) {
					t.Errorf("%s posted %q", channel, texts)
				}
			}
			if card := d.slack.Messages()[0]; card.Edits == 0 || !strings.HasPrefix(card.Text, "FAILED") {
				t.Errorf("the card of the open job shows %q", card.Text)
			}
			for _, queue := range d.queues {
				if queue.Len() != 0 || len(queue.Dead()) != 0 {
					t.Errorf("%s: %d messages left, %d dead letters", queue.Name, queue.Len(), len(queue.Dead()))
				}
			}
		})
	}
}

func textsOf(all []fakeslack.Message) []string {
	var texts []string
	for _, m := range all {
		texts = append(texts, m.Text)
	}
	return texts
}

// destinations are a bot that sends every status, a webhook that sends failures,
// and an email address that receives terminal statuses.
type destinations struct {
	notifier *notify.Notifier
	queues   []*fake.Queue
	slack    *fakeslack.Server
	email    *fake.Destination
	relayed  int
}

func newDestinations(t *testing.T) *destinations {
	t.Helper()
	d := &destinations{slack: &fakeslack.Server{Token: "xoxb-1", Channels: []string{"C1"}}, email: &fake.Destination{Name: "email:a@example.com"}}
	server := httptest.NewServer(d.slack)
	t.Cleanup(server.Close)
	secret := func(value string) slack.Secret {
		return func(context.Context) (string, error) { return value, nil }
	}
	bot := slack.NewBot(slack.BotOptions{Token: secret("xoxb-1"), Refresh: secret("xoxb-1"), APIURL: server.URL + "/api",
		Channel: "C1", Edit: true, Thread: true, Broadcast: true})
	address := server.URL + fakeslack.WebhookPath
	webhook := slack.NewWebhook(slack.WebhookOptions{URL: secret(address), Refresh: secret(address), AllowLoopback: true})
	d.notifier = &notify.Notifier{Deliveries: &fake.Deliveries{}, Log: quiet}
	for _, c := range []notify.Channel{
		{Name: "bot", Destinations: []notify.Destination{bot}, Filter: notify.Filter{All: true}},
		{Name: "webhook", Destinations: []notify.Destination{webhook}, Filter: notify.ParseFilter("FAILED")},
		{Name: "email", Destinations: []notify.Destination{d.email}},
	} {
		queue := &fake.Queue{Name: c.Name}
		c.QueueURL, c.DeadLetterQueueURL = queue.URL(), queue.URL()+"-dead"
		d.notifier.Channels, d.queues = append(d.notifier.Channels, c), append(d.queues, queue)
	}
	return d
}

// deliver brings what is on the bus to every queue, twice, and delivers it.
func (d *destinations) deliver(t *testing.T, c *cloud) {
	t.Helper()
	fresh := c.bus.TakenAfter(d.relayed)
	d.relayed += len(fresh)
	for _, queue := range d.queues {
		for range 2 {
			for _, entry := range fresh {
				queue.Put(envelope(entry))
			}
		}
		d.notifier.Queue = queue
		for queue.Len() > 0 {
			batch := queue.Receive(10)
			response, err := sqs.Handler(d.notifier)(t.Context(), batch)
			if err != nil || len(response.BatchItemFailures) > 0 {
				t.Fatalf("%s: %+v, %v", queue.Name, response, err)
			}
			queue.Delete(batch, response.BatchItemFailures)
		}
	}
}
