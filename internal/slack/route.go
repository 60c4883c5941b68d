package slack

import (
	"strings"
	"sync"

	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/tags"
)

// Bots finds the channels that workflows' tags name. Each has a bot like Default, with
// a rate limiter of its own.
type Bots struct {
	Default *Bot
	Limiter func(destination string) RateLimiter // of one channel; may be nil

	mu        sync.Mutex
	byChannel map[string]*Bot // by channel ID
}

// Route returns a bot for each channel that the tags name.
func (b *Bots) Route(s tags.Settings) []notify.Destination {
	var all []notify.Destination
	for _, channel := range s.SlackChannels {
		all = append(all, b.bot(channel))
	}
	return all
}

func (b *Bots) bot(channel string) *Bot {
	if channel == b.Default.Channel {
		return b.Default
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if bot := b.byChannel[channel]; bot != nil {
		return bot
	}
	options := b.Default.BotOptions
	options.Channel, options.Limiter = channel, nil
	bot := NewBot(options)
	if b.Limiter != nil {
		bot.Limiter = b.Limiter(bot.ID())
	}
	if b.byChannel == nil {
		b.byChannel = make(map[string]*Bot)
	}
	b.byChannel[channel] = bot
	return bot
}

// BotFilter is the filter of a bot's channel: without a list of statuses it chooses all
// of them, because a card shows each and is still one message.
func BotFilter(f notify.Filter) notify.Filter {
	f.All = len(f.Only) == 0
	return f
}

// mentionOf is whom a message mentions, mrkdwn: those that the workflow's tags name,
// otherwise the channel's own.
func mentionOf(m message.Message, own string) string {
	if len(m.Mentions) == 0 {
		return own
	}
	mention, err := ParseMention(strings.Join(m.Mentions, ","))
	if err != nil {
		return own
	}
	return mention
}
