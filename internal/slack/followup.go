package slack

import (
	"context"

	slackgo "github.com/slack-go/slack"

	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/notify"
)

// Edits reports whether the bot edits its cards.
func (b *Bot) Edits() bool { return b.Edit }

// FollowUp makes an earlier card show m, and posts the reply to its thread unless
// it is empty. A card that is gone is no error: a later run must not post it again.
// Its error is a *notify.Failure.
func (b *Bot) FollowUp(ctx context.Context, card notify.MessageRef, m message.Message, reply message.Line) error {
	err := withSecret(ctx, b.Token, b.Refresh, func(token string) error { return b.followUp(ctx, b.client(token), card, m, reply) })
	return toFailure(ctx, b.Limiter, err)
}

func (b *Bot) followUp(ctx context.Context, api *slackgo.Client, card notify.MessageRef, m message.Message, reply message.Line) error {
	if err := b.edit(ctx, api, card, m); err != nil || len(reply) == 0 || !b.Thread {
		return unlessGone(err)
	}
	short := message.Message{Severity: m.Severity, Environment: m.Environment, Word: m.Word, Name: m.Name, Lead: []message.Line{reply}, Zone: m.Zone}
	return unlessGone(b.reply(ctx, api, card, short, false))
}

// unlessGone is err, or nil when the card does not exist any more.
func unlessGone(err error) error {
	if err != nil && isGone(err) {
		return nil
	}
	return err
}
