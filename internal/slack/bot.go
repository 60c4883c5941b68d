package slack

import (
	"context"
	"errors"
	"strings"

	slackgo "github.com/slack-go/slack"

	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/notify"
)

// Secret gives a secret's value: as cached, or read anew.
type Secret func(ctx context.Context) (string, error)

// BotOptions are a bot's settings.
type BotOptions struct {
	Token   Secret // the bot token, xoxb-…
	Refresh Secret // the same, read anew: it may have been rotated
	APIURL  string // Slack's base URL if not https://slack.com/api/

	Channel string // channel id, or name with #
	Mention string // mrkdwn, for bad ends; may be empty

	Edit      bool // the card follows the job
	Thread    bool // each transition is told in the card's thread
	Broadcast bool // a bad end is told in the channel too
}

// Bot tells one channel with a bot token: one card per job, edited in place,
// and a reply in its thread for each transition.
type Bot struct{ BotOptions }

// NewBot makes a Bot.
func NewBot(options BotOptions) *Bot {
	if options.APIURL != "" && !strings.HasSuffix(options.APIURL, "/") {
		options.APIURL += "/"
	}
	return &Bot{options}
}

// ID names the destination.
func (b *Bot) ID() string { return "slack:" + b.Channel }

// Send tells one step. The card is posted at first sight and needs no reply
// then. Later it is edited first: an edit can be repeated without harm, so that
// a step whose reply failed can be sent again as a whole. Its error is a
// *notify.Failure.
func (b *Bot) Send(ctx context.Context, step notify.Delivery, save func(context.Context, notify.MessageRef) error) error {
	return withSecret(ctx, b.Token, b.Refresh, func(token string) error {
		return b.tell(ctx, b.client(token), step, save)
	})
}

// withSecret calls send with the secret, and once more where Slack refuses it
// and it was rotated meanwhile. Its error is a *notify.Failure.
func withSecret(ctx context.Context, read, refresh Secret, send func(string) error) error {
	value, err := read(ctx)
	if err != nil {
		return secretFailure(err)
	}
	err = send(value)
	if err != nil && kindOf(err) == secret {
		fresh, refreshed := refresh(ctx)
		if refreshed != nil {
			return secretFailure(refreshed)
		}
		if fresh != value {
			err = send(fresh)
		}
	}
	if err != nil {
		return failed(err)
	}
	return nil
}

// failed keeps a failure that is one already: of waiting for the turn, of saving
// the card.
func failed(err error) error {
	if failure, ok := err.(*notify.Failure); ok {
		return failure
	}
	return failureOf(err)
}

func (b *Bot) client(token string) *slackgo.Client {
	options := []slackgo.Option{slackgo.OptionHTTPClient(newHTTPClient(nil, false))}
	if b.APIURL != "" {
		options = append(options, slackgo.OptionAPIURL(b.APIURL))
	}
	return slackgo.New(token, options...)
}

func (b *Bot) tell(ctx context.Context, api *slackgo.Client, step notify.Delivery, save func(context.Context, notify.MessageRef) error) error {
	m := step.Message
	if step.DryRun {
		return check(m, func() error {
			_, ts, err := api.PostMessageContext(ctx, b.Channel, slackgo.MsgOptionText("", false))
			return told(ts, err)
		})
	}
	if step.Card == (notify.MessageRef{}) || !b.Edit && !b.Thread {
		return b.post(ctx, api, step, save)
	}
	if step.Edit && b.Edit {
		err := b.edit(ctx, api, step.Card, m)
		if err != nil && gone(err) {
			return b.post(ctx, api, step, save)
		}
		if err != nil {
			return err
		}
	}
	loud := m.Severity == message.Bad && b.Broadcast
	if !b.Thread && !loud {
		return nil
	}
	err := b.reply(ctx, api, step, loud)
	if err != nil && gone(err) {
		return b.post(ctx, api, step, save)
	}
	return err
}

// post posts the card and has it saved at once: were it not, the next step
// would post another.
func (b *Bot) post(ctx context.Context, api *slackgo.Client, step notify.Delivery, save func(context.Context, notify.MessageRef) error) error {
	var card notify.MessageRef
	m := step.Message
	err := orPlain(Card(m, b.Mention), Plain(m, b.Mention), func(r Rendered) (err error) {
		if err := turn(ctx, step); err != nil {
			return err
		}
		card.Channel, card.TS, err = api.PostMessageContext(ctx, b.Channel, parts(r)...)
		return told(card.TS, err)
	})
	if err != nil {
		return err
	}
	if err := save(ctx, card); err != nil {
		return &notify.Failure{Reason: notify.Unavailable, Err: err}
	}
	return nil
}

// edit lets the card show m. Nobody is mentioned: an edit notifies nobody.
func (b *Bot) edit(ctx context.Context, api *slackgo.Client, card notify.MessageRef, m message.Message) error {
	return orPlain(Card(m, ""), Plain(m, ""), func(r Rendered) error {
		_, ts, _, err := api.UpdateMessageContext(ctx, card.Channel, card.TS, parts(r)...)
		return told(ts, err)
	})
}

func (b *Bot) reply(ctx context.Context, api *slackgo.Client, step notify.Delivery, loud bool) error {
	m := step.Message
	return orPlain(Reply(m, b.Mention), Plain(m, b.Mention), func(r Rendered) error {
		if err := turn(ctx, step); err != nil {
			return err
		}
		options := append(parts(r), slackgo.MsgOptionTS(step.Card.TS))
		if loud {
			options = append(options, slackgo.MsgOptionBroadcast())
		}
		_, ts, err := api.PostMessageContext(ctx, step.Card.Channel, options...)
		return told(ts, err)
	})
}

var errNoMessage = errors.New("the answer names no message")

// told is the error of a call. slack-go takes an answer that is neither ok nor
// an error for success: only one that names a message is.
func told(ts string, err error) error {
	if err == nil && ts == "" {
		return errNoMessage
	}
	return err
}

// turn waits for the channel's turn, where there is a pace to keep.
func turn(ctx context.Context, step notify.Delivery) error {
	if step.Turn == nil {
		return nil
	}
	return step.Turn(ctx)
}

// check goes as far as can be gone without anybody seeing it: send sends an
// empty message, which Slack refuses for being empty once it has let the sender
// in.
func check(m message.Message, send func() error) error {
	if err := Card(m, "").Validate(); err != nil {
		return err
	}
	if err := send(); err != nil && kindOf(err) != blocks {
		return err
	}
	return nil
}

// orPlain sends r, and once more as plain text when Slack refuses its blocks or
// would: a plain message is better than none.
func orPlain(r, plain Rendered, send func(Rendered) error) error {
	if r.Validate() == nil {
		err := send(r)
		if err == nil || kindOf(err) != blocks {
			return err
		}
	}
	return send(plain)
}

func parts(r Rendered) []slackgo.MsgOption {
	return []slackgo.MsgOption{
		slackgo.MsgOptionText(r.Text, false),
		slackgo.MsgOptionBlocks(r.Blocks...),
		slackgo.MsgOptionDisableLinkUnfurl(),
		slackgo.MsgOptionDisableMediaUnfurl(),
	}
}
