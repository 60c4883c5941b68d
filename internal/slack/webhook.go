package slack

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"

	slackgo "github.com/slack-go/slack"

	"github.com/idmapping/notifier/internal/notify"
)

// WebhookOptions are an incoming webhook's settings.
type WebhookOptions struct {
	URL     Secret // https://hooks.slack.com/services/…: whoever knows it can post
	Refresh Secret // the same, read anew: it may have been rotated
	Mention string // mrkdwn, for bad ends; may be empty
}

// Webhook tells the channel of an incoming webhook, a message for each event: a
// webhook can neither edit nor reply.
type Webhook struct {
	WebhookOptions
	client *http.Client
}

// NewWebhook makes a Webhook.
func NewWebhook(options WebhookOptions) *Webhook {
	return &Webhook{options, newHTTPClient(nil, true)}
}

// ID names the destination.
func (w *Webhook) ID() string { return "slack-webhook" }

// Send posts the step's message. Its error is a *notify.Failure.
func (w *Webhook) Send(ctx context.Context, step notify.Delivery, _ func(context.Context, notify.MessageRef) error) error {
	return withSecret(ctx, w.URL, w.Refresh, func(address string) error {
		return w.post(ctx, address, step)
	})
}

func (w *Webhook) post(ctx context.Context, address string, step notify.Delivery) error {
	if err := checkWebhookURL(address); err != nil {
		return &notify.Failure{Reason: notify.Misconfigured, Err: err}
	}
	if step.DryRun {
		return check(step.Message, func() error {
			return slackgo.PostWebhookCustomHTTPContext(ctx, address, w.client, &slackgo.WebhookMessage{})
		})
	}
	no := false
	return orPlain(Card(step.Message, w.Mention), Plain(step.Message, w.Mention), func(r Rendered) error {
		if err := turn(ctx, step); err != nil {
			return err
		}
		m := &slackgo.WebhookMessage{Text: r.Text, UnfurlLinks: &no, UnfurlMedia: &no}
		if len(r.Blocks) > 0 {
			m.Blocks = &slackgo.Blocks{BlockSet: r.Blocks}
		}
		return slackgo.PostWebhookCustomHTTPContext(ctx, address, w.client, m)
	})
}

var errWebhookURL = errors.New("the SSM parameter that SlackWebhookParameter names does not hold a webhook URL: it must begin with https:// (http:// only on loopback)")

// checkWebhookURL keeps the secret from going over the wire in the clear. Its
// error does not hold the URL.
func checkWebhookURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return errWebhookURL
	}
	if u.Scheme == "https" {
		return nil
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return errWebhookURL
}
