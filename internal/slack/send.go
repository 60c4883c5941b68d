package slack

import (
	"context"
	"fmt"
	"time"

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

// sendOrPlain sends r, a rendering of m, and then m in plain text when Slack
// refuses the blocks or would: a plain message is better than none.
func sendOrPlain(r Rendered, m message.Message, mention string, send func(Rendered) error) error {
	if r.Validate() == nil {
		err := send(r)
		if err == nil || kindOf(err) != invalidBlocks {
			return err
		}
	}
	return send(RenderPlain(m, mention))
}
