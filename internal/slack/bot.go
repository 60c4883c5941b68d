package slack

import (
	"context"
	"errors"
	"strings"
	"time"

	slackgo "github.com/slack-go/slack"

	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/notify"
)

// Bot sends to one channel with a bot token: one card per job, edited in place,
// and a reply in its thread for each transition.
type Bot struct{ BotOptions }

// BotOptions are a bot's settings.
type BotOptions struct {
	Token   Secret // the bot token, xoxb-…
	Refresh Secret // the same, read again: it may have been rotated
	APIURL  string // Slack's base URL if not https://slack.com/api/; see CheckAPIURL

	Channel string // channel ID, or name with #
	Mention string // mrkdwn, for messages that are loud; may be empty

	Edit      bool // the card follows the job
	Thread    bool // the card's thread has a reply per transition
	Broadcast bool // the channel shows a loud reply too

	Limiter RateLimiter // may be nil
}

// Secret returns a secret's value: from the cache, or read again.
type Secret func(ctx context.Context) (string, error)

// RateLimiter spaces the messages to one channel, over all invocations.
type RateLimiter interface {
	// Prepare reserves a slot for the next Wait.
	Prepare(ctx context.Context)
	// Wait returns when the caller may post one message. Its error is a
	// *notify.Failure.
	Wait(ctx context.Context) error
	// PauseUntil keeps everyone from posting until the given time.
	PauseUntil(ctx context.Context, until time.Time) error
}

// MinInterval is the least time between two messages to one channel (Slack:
// "Rate limits", posting messages: one per second). Slack hides what comes
// faster, without an error.
const MinInterval = time.Second

// NewBot makes a Bot.
func NewBot(options BotOptions) *Bot {
	if options.APIURL != "" && !strings.HasSuffix(options.APIURL, "/") {
		options.APIURL += "/"
	}
	return &Bot{options}
}

// ID names the destination.
func (b *Bot) ID() string { return "slack:" + b.Channel }

// Prepare reserves a slot in advance where a delivery surely posts a message.
func (b *Bot) Prepare(ctx context.Context) {
	if b.Limiter != nil && (b.Thread || !b.Edit) {
		b.Limiter.Prepare(ctx)
	}
}

// Render renders the card in advance: most messages post or edit one.
func (b *Bot) Render(m message.Message) any { return encoded(RenderCard(m, mentionOf(m, b.Mention))) }

// Send posts the card at first sight. Later it edits the card, then replies in
// its thread: an edit can be repeated without harm, so that a delivery whose
// reply failed can be sent again as a whole. After it has posted a card it sends
// nothing more. Its error is a *notify.Failure.
func (b *Bot) Send(ctx context.Context, d notify.Delivery) (ref notify.MessageRef, err error) {
	err = withSecret(ctx, b.Token, b.Refresh, func(token string) error {
		ref, err = b.deliver(ctx, b.client(token), d)
		return err
	})
	return ref, toFailure(ctx, b.Limiter, err)
}

func (b *Bot) client(token string) *slackgo.Client {
	options := []slackgo.Option{slackgo.OptionHTTPClient(newHTTPClient(nil, false))}
	if b.APIURL != "" {
		options = append(options, slackgo.OptionAPIURL(b.APIURL))
	}
	return slackgo.New(token, options...)
}

func (b *Bot) deliver(ctx context.Context, api *slackgo.Client, d notify.Delivery) (notify.MessageRef, error) {
	m := d.Message
	none := notify.MessageRef{}
	if d.DryRun {
		return none, dryRun(m, func() error {
			_, ts, err := api.PostMessageContext(ctx, b.Channel, slackgo.MsgOptionText("", false))
			return checkPosted(ts, err)
		})
	}
	if d.CardOnly {
		return none, b.updateCard(ctx, api, d)
	}
	if d.Card == none || !b.Edit && !b.Thread {
		return b.post(ctx, api, m, d.Rendered)
	}
	if d.Edit && b.Edit {
		err := b.edit(ctx, api, d.Card, m)
		if isGone(err) {
			return b.post(ctx, api, m, d.Rendered)
		}
		if err != nil {
			return none, err
		}
	}
	broadcast := m.Loud && b.Broadcast
	if d.Edit && !b.Thread && !broadcast {
		return none, nil // the edited card shows it
	}
	err := b.reply(ctx, api, d.Card, m, broadcast)
	if isGone(err) {
		return b.post(ctx, api, m, d.Rendered)
	}
	return none, err
}

// updateCard edits the card if there is one to edit, and posts nothing.
func (b *Bot) updateCard(ctx context.Context, api *slackgo.Client, d notify.Delivery) error {
	if !b.Edit || d.Card == (notify.MessageRef{}) {
		return nil
	}
	if err := b.edit(ctx, api, d.Card, d.Message); !isGone(err) {
		return err
	}
	return nil
}

// post posts the card.
func (b *Bot) post(ctx context.Context, api *slackgo.Client, m message.Message, ready any) (ref notify.MessageRef, err error) {
	err = sendForms(cardForms, ready, m, mentionOf(m, b.Mention), func(r Rendered) error {
		if err := wait(ctx, b.Limiter); err != nil {
			return err
		}
		channel, ts, err := api.PostMessageContext(ctx, b.Channel, messageOptions(r)...)
		if err = checkPosted(ts, err); err == nil {
			ref = notify.MessageRef{Channel: channel, TS: ts}
		}
		return err
	})
	return ref, err
}

// edit makes the card show m. It mentions nobody: Slack notifies nobody of an
// edit.
func (b *Bot) edit(ctx context.Context, api *slackgo.Client, card notify.MessageRef, m message.Message) error {
	return sendForms(cardForms, nil, m, "", func(r Rendered) error {
		_, ts, _, err := api.UpdateMessageContext(ctx, card.Channel, card.TS, messageOptions(r)...)
		return checkPosted(ts, err)
	})
}

func (b *Bot) reply(ctx context.Context, api *slackgo.Client, card notify.MessageRef, m message.Message, broadcast bool) error {
	return sendForms(replyForms, nil, m, mentionOf(m, b.Mention), func(r Rendered) error {
		if err := wait(ctx, b.Limiter); err != nil {
			return err
		}
		options := append(messageOptions(r), slackgo.MsgOptionTS(card.TS))
		if broadcast {
			options = append(options, slackgo.MsgOptionBroadcast())
		}
		_, ts, err := api.PostMessageContext(ctx, card.Channel, options...)
		return checkPosted(ts, err)
	})
}

var errNoMessage = errors.New("the response names no message")

// checkPosted is the error of a call. slack-go takes a response that is neither
// ok nor an error for success: only one that names a message is.
func checkPosted(ts string, err error) error {
	if err == nil && ts == "" {
		return errNoMessage
	}
	return err
}

func messageOptions(r Rendered) []slackgo.MsgOption {
	options := []slackgo.MsgOption{
		slackgo.MsgOptionText(r.Text, false),
		slackgo.MsgOptionBlocks(r.Blocks...),
		slackgo.MsgOptionDisableLinkUnfurl(),
		slackgo.MsgOptionDisableMediaUnfurl(),
	}
	if len(r.Blocks) > 0 {
		options = append(options, slackgo.MsgOptionDisableMarkdown()) // of the text, which only a push shows
	}
	return options
}
