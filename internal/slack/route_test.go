package slack

import (
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/event/drawn"
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/tags"
)

func ids(all []notify.Destination) string {
	var names []string
	for _, d := range all {
		names = append(names, d.ID())
	}
	return strings.Join(names, " ")
}

func TestEachChannelThatATagNamesHasOneBotWithItsOwnLimiter(t *testing.T) {
	base := NewBot(BotOptions{Channel: channel, Mention: group, Edit: true, Thread: true, Broadcast: true})
	base.Limiter = &fake.Limiter{}
	var limited []string
	bots := &Bots{Default: base, Limiter: func(destination string) RateLimiter {
		limited = append(limited, destination)
		return &fake.Limiter{}
	}}
	for own, want := range map[string]string{
		"":                        "",
		"#data-jobs":              "",
		channel:                   "slack:" + channel,
		"C0AAA C0BBB":             "slack:C0AAA slack:C0BBB",
		"C0BBB " + channel + " x": "slack:C0BBB slack:" + channel,
	} {
		if got := ids(bots.Route(tags.Settings{SlackChannels: tags.Parse(map[string]string{"slack-channel": own}, now).SlackChannels})); got != want {
			t.Errorf("%q: %q, want %q", own, got, want)
		}
	}
	first, again := bots.Route(tags.Settings{SlackChannels: []string{"C0AAA"}})[0], bots.Route(tags.Settings{SlackChannels: []string{"C0AAA"}})[0]
	bot := first.(*Bot)
	if first != again || len(limited) != 2 || bot.Limiter == base.Limiter || bots.Route(tags.Settings{SlackChannels: []string{channel}})[0] != notify.Destination(base) {
		t.Errorf("limiters of %q", limited)
	}
	if bot.Channel != "C0AAA" || bot.Mention != group || !bot.Edit || !bot.Thread || !bot.Broadcast || base.Channel != channel {
		t.Errorf("bot %+v", bot.BotOptions)
	}
}

func TestTaggedChannelReceivesTheMessage(t *testing.T) {
	w := newWorkspace(t, nil)
	w.Channels = append(w.Channels, "C0AAA")
	bots := &Bots{Default: w.bot}
	for _, d := range bots.Route(tags.Settings{SlackChannels: []string{"C0AAA", "C0GONE"}}) {
		ref, err := d.Send(t.Context(), notify.Delivery{Message: isBad, Edit: true})
		switch {
		case d.ID() == "slack:C0AAA" && (err != nil || ref.Channel != "C0AAA"):
			t.Errorf("%+v (%v)", ref, err)
		case d.ID() == "slack:C0GONE" && reasonOf(t, err) != notify.Misconfigured:
			t.Errorf("a channel that does not exist: %v", err)
		}
	}
}

func TestMessageMentionsThoseThatItsTagsName(t *testing.T) {
	for name, c := range map[string]struct {
		mentions []string
		want     string
	}{
		"none":              {nil, group},
		"a user":            {[]string{"U0123456789"}, "<@U0123456789>"},
		"a user and a team": {[]string{"W0123456789", "S0123456789"}, "<@W0123456789> <!subteam^S0123456789>"},
		"not an ID":         {[]string{"U0123456789", "channel>"}, group},
	} {
		if got := mentionOf(message.Message{Mentions: c.mentions}, group); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestMessageWithEveryTagIsWithinSlacksLimitsAndInert(t *testing.T) {
	own := map[string]string{
		"mention": strings.TrimSpace(strings.Repeat("S12 ", 64)), "slack-channel": strings.TrimSpace(strings.Repeat("<!channel> ", 25)), "email": drawn.Hostile,
		"statuses": strings.TrimSpace(strings.Repeat("x ", 128)), "runbook": "https://wiki.example.com/" + strings.Repeat("a&", 115), "owner": drawn.Hostile,
		"overdue-after": drawn.Hostile, "expect-every": drawn.Hostile, "mute-until": drawn.Hostile, "mute-reason": drawn.Hostile, "x": drawn.Hostile,
	}
	for _, name := range []string{"failure-iam", "mute-ended", "summary", "run-missing"} {
		e, err := event.Decode(eventtest.Examples()[name])
		if err != nil {
			t.Fatal(err)
		}
		e.Detail.Tags = tags.Own(prefixed(own))
		m := message.Compose(e, now, settings)
		mention := mentionOf(m, group)
		for kind, r := range map[string]Rendered{"card": RenderCard(m, mention), "reply": RenderReply(m, mention), "simple": RenderSimple(m, mention), "plain": RenderPlain(m, mention)} {
			if err := r.Validate(); err != nil {
				t.Errorf("%s of %s: %v", kind, name, err)
			}
			for _, text := range texts(r) {
				text = strings.ReplaceAll(text, "<!subteam^S12>", "")
				if left := ours.ReplaceAllString(text, ""); strings.ContainsAny(left, "<>") {
					t.Errorf("%s of %s: markup in %q", kind, name, left)
				}
			}
			if all := strings.Join(texts(r), "\n"); name == "failure-iam" && kind == "card" && (!strings.Contains(all, "idmapping:") || !strings.Contains(all, "more words of the tags are ignored") || !strings.Contains(all, "job ")) {
				t.Errorf("the context lacks something: %s", all)
			}
		}
	}
}

func prefixed(own map[string]string) map[string]string {
	all := make(map[string]string)
	for key, value := range own {
		all[tags.Prefix+key] = value
	}
	return all
}

func TestStatusOfAWorkflowWithoutUsableTagsMentionsTheChannelsOwn(t *testing.T) {
	m := message.Compose(event.Event{Detail: event.Detail{WorkflowName: "w", JobID: "1", Status: jobs.Failed, Tags: map[string]string{"mention": "everyone <!channel>"}}}, now, settings)
	if got := mentionOf(m, group); got != group || len(m.Notes) < 2 {
		t.Errorf("mention %q, notes %v", got, m.Notes)
	}
}
