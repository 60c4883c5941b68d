package slack

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	slackgo "github.com/slack-go/slack"

	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/notify"
)

// withSecret calls send with the secret. When Slack refuses the secret it reads
// it again, and calls send once more if it was rotated.
func withSecret(ctx context.Context, read, refresh Secret, send func(string) error) error {
	value, err := read(ctx)
	if err != nil {
		return secretFailure(err)
	}
	err = send(value)
	if err != nil && kindOf(err) == badCredential {
		fresh, refreshErr := refresh(ctx)
		if refreshErr != nil {
			return secretFailure(refreshErr)
		}
		if fresh != value {
			err = send(fresh)
		}
	}
	return err
}

// wait waits until one message may be posted, if the channel has a rate limiter.
// Its error is a *notify.Failure.
func wait(ctx context.Context, l RateLimiter) error {
	if l == nil {
		return nil
	}
	if err := l.Wait(ctx); err != nil {
		return notify.FailureOf(err)
	}
	return nil
}

// toFailure makes a *notify.Failure of an error of Slack's. When Slack limits the
// rate it pauses the rate limiter, for every invocation. An error that is a
// failure already, of the limiter or of reading the secret, says nothing about
// Slack.
func toFailure(ctx context.Context, l RateLimiter, err error) error {
	if err == nil {
		return nil
	}
	if f, ok := err.(*notify.Failure); ok {
		return f
	}
	f := failureOf(err)
	if l != nil && f.Reason == notify.RateLimited {
		if pauseErr := l.PauseUntil(ctx, time.Now().Add(f.After)); pauseErr != nil {
			f.Err = fmt.Errorf("%w; setting rate-limit pause failed: %w", f.Err, pauseErr)
		}
	}
	return f
}

// dryRun goes as far as possible without showing anything: send sends an empty
// message, which Slack refuses for being empty after it has authenticated the
// sender.
func dryRun(m message.Message, send func() error) error {
	if err := RenderCard(m, "").Validate(); err != nil {
		return err
	}
	if err := send(); err != nil && kindOf(err) != invalidBlocks {
		return err
	}
	return nil
}

// form renders a message, the first with the newest blocks.
type form func(message.Message, string) Rendered

var (
	cardForms  = []form{RenderCard, RenderSimple, RenderPlain}
	replyForms = []form{RenderReply, RenderSimple, RenderPlain}
)

// sendForms sends m in the first form that Slack accepts: a plain message is better
// than none. ready is the first form if it was rendered before, see encoded.
func sendForms(forms []form, ready any, m message.Message, mention string, send func(Rendered) error) error {
	var err error
	for i, render := range forms {
		r, ok := ready.(Rendered)
		if !ok || i > 0 {
			r = render(m, mention)
			if last := i == len(forms)-1; !last && r.Validate() != nil {
				continue
			}
		}
		if err = send(r); err == nil || kindOf(err) != invalidBlocks {
			return err
		}
	}
	return err
}

// encoded is a valid card whose blocks are JSON already, or nil if it is not valid.
func encoded(r Rendered) any {
	if r.Validate() != nil {
		return nil
	}
	for i, b := range r.Blocks {
		raw, err := json.Marshal(b)
		if err != nil {
			return nil
		}
		r.Blocks[i] = encodedBlock{b, raw}
	}
	return r
}

// encodedBlock is a block with its JSON.
type encodedBlock struct {
	slackgo.Block
	raw []byte
}

func (b encodedBlock) MarshalJSON() ([]byte, error) { return b.raw, nil }
