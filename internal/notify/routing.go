package notify

import (
	"slices"
	"strings"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/tags"
)

// Verdict is what a channel does with an event.
type Verdict string

// The verdicts.
const (
	Sent       Verdict = "sent"
	Summarized Verdict = "summarized" // a summary of late statuses announces it
	Muted      Verdict = "muted"      // by the workflow's tags
	NotChosen  Verdict = "not chosen" // by the channel's statuses, or those in the workflow's tags
)

// Routing is what a channel does with an event, and where it sends it. It depends on
// the event and the channel only, so that it can be computed again at any time.
type Routing struct {
	Verdict      Verdict
	Event        event.Event // as the channel delivers it
	Tags         tags.Settings
	Destinations []Destination // nil unless the verdict is Sent or Summarized
	Tagged       bool          // the workflow's tags name the destinations
}

// Routing returns what the channel does with e.
func (c Channel) Routing(e event.Event) Routing {
	r := Routing{Event: e, Tags: tags.Parse(e.Detail.Tags, e.Detail.ObservedAt)}
	filter := c.Filter.Of(r.Tags)
	replay := e.Detail.Replay
	switch {
	case replay != nil && len(replay.To) > 0:
		if r.Destinations = c.named(replay.To); len(r.Destinations) > 0 {
			r.Verdict = Sent
		} else {
			r.Verdict = NotChosen
		}
		return r
	case replay == nil && e.DetailType != event.MuteEnded && r.Tags.Muted(e.Detail.ObservedAt):
		r.Verdict = Muted
		return r
	case !filter.Matches(e):
		r.Verdict = NotChosen
		return r
	case replay == nil && filter.Summarized(e):
		r.Verdict = Summarized
	default:
		r.Verdict = Sent
	}
	r.Event = filter.Narrow(e)
	if c.Router != nil {
		r.Destinations = c.Router.Route(r.Tags)
	}
	if r.Tagged = len(r.Destinations) > 0; !r.Tagged {
		r.Destinations = c.Destinations
	}
	return r
}

// named are the channel's destinations among those with the given IDs: its own, and
// those that tags can name.
func (c Channel) named(ids []string) []Destination {
	var all []Destination
	for _, id := range ids {
		if i := slices.IndexFunc(c.Destinations, func(d Destination) bool { return d.ID() == id }); i >= 0 {
			all = append(all, c.Destinations[i])
			continue
		}
		kind, name, _ := strings.Cut(id, ":")
		if c.Router == nil || name == "" {
			continue
		}
		own := tags.Parse(map[string]string{map[string]string{"slack": tags.SlackChannel, "email": tags.Email}[kind]: name}, time.Time{})
		for _, d := range c.Router.Route(own) {
			if d.ID() == id {
				all = append(all, d)
			}
		}
	}
	return all
}
