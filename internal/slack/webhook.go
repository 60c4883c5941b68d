package slack

import (
	"context"
	"fmt"
	"net/http"

	slackgo "github.com/slack-go/slack"

	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/notify"
)

// Webhook posts a message per delivery with an incoming webhook, which can
// neither edit nor reply.
type Webhook struct {
	WebhookOptions
	client *http.Client
}

// WebhookOptions are an incoming webhook's settings.
type WebhookOptions struct {
	URL     Secret // https://hooks.slack.com/services/…: anyone who knows it can post
	Refresh Secret // the same, read again: it may have been rotated
	Mention string // mrkdwn, for messages that are loud; may be empty

	Limiter       RateLimiter // may be nil
	AllowLoopback bool        // accept http on a loopback address, for tests
}

// NewWebhook makes a Webhook.
func NewWebhook(options WebhookOptions) *Webhook {
	return &Webhook{options, newHTTPClient(nil, true)}
}

// ID names the destination.
func (w *Webhook) ID() string { return "slack-webhook" }

// Prepare reserves a slot in advance: each delivery posts a message.
func (w *Webhook) Prepare(ctx context.Context) {
	if w.Limiter != nil {
		w.Limiter.Prepare(ctx)
	}
}

// Render renders the message in advance.
func (w *Webhook) Render(m message.Message) any {
	return encoded(RenderCard(m, mentionOf(m, w.Mention)))
}

// Send posts the delivery's message. It returns no reference: a webhook's answer
// has none. Its error is a *notify.Failure.
func (w *Webhook) Send(ctx context.Context, d notify.Delivery) (notify.MessageRef, error) {
	err := withSecret(ctx, w.URL, w.Refresh, func(address string) error { return w.post(ctx, address, d) })
	return notify.MessageRef{}, toFailure(ctx, w.Limiter, err)
}

func (w *Webhook) post(ctx context.Context, address string, d notify.Delivery) error {
	if err := CheckWebhookURL(address, w.AllowLoopback); err != nil {
		return &notify.Failure{Reason: notify.Misconfigured, Summary: "Slack: not a webhook URL",
			Err: fmt.Errorf("the SSM parameter that SlackWebhookParameterName names does not hold a webhook URL: %w", err)}
	}
	if d.DryRun {
		return dryRun(d.Message, func() error {
			return slackgo.PostWebhookCustomHTTPContext(ctx, address, w.client, &slackgo.WebhookMessage{})
		})
	}
	no := false
	return sendForms(cardForms, d.Rendered, d.Message, mentionOf(d.Message, w.Mention), func(r Rendered) error {
		if err := wait(ctx, w.Limiter); err != nil {
			return err
		}
		m := &slackgo.WebhookMessage{Text: r.Text, UnfurlLinks: &no, UnfurlMedia: &no}
		if len(r.Blocks) > 0 {
			m.Blocks = &slackgo.Blocks{BlockSet: r.Blocks}
		}
		return slackgo.PostWebhookCustomHTTPContext(ctx, address, w.client, m)
	})
}
