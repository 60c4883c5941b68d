package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/message"
)

// outageNotice is the detail type of a notice on its way through the pipeline.
// It exists in this process only.
const outageNotice = "Outage Notice"

// Outage is the time in which a destination refuses everything because a setting
// is wrong.
type Outage struct {
	Since     time.Time // UTC
	Announced bool      // the other channels have a notice of it
}

// RecoveryWindow is how long a misconfigured destination must have refused
// nothing to count as recovered: waiting messages try it at least every quarter
// of an hour.
const RecoveryWindow = time.Hour

// announceOutages sends the channels that work, once per outage, a notice of the
// destinations that refuse everything: people who read only the misconfigured
// channel would never learn of it. A notice that fails is sent again with the
// next message that the destination refuses; the alarm fires in any case.
func (b *batch) announceOutages(ctx context.Context) {
	defer func() { // the batch's outcome stands whatever happens to a notice
		if p := recover(); p != nil {
			b.log().Error("panic", "panic", fmt.Sprint(p))
		}
	}()
	others := slices.DeleteFunc(slices.Clone(b.Channels), func(c Channel) bool {
		return c.Name == b.channel.Name && b.isDown(c) || len(c.Destinations) == 0
	})
	if len(others) == 0 {
		return
	}
	outages := b.newOutages(ctx)
	if len(outages) == 0 || !b.sendNotice(ctx, others, outages) {
		return
	}
	for _, o := range outages {
		if err := b.Deliveries.RecordAnnouncement(ctx, o.destination); err != nil {
			b.log().Warn("recording outage announcement failed", "destination", o.destination, "error", err.Error())
		}
	}
}

// isDown reports whether one of the channel's own destinations refuses everything. A
// destination that only a workflow's tags name is announced in its own channel too.
func (b *batch) isDown(c Channel) bool {
	return slices.ContainsFunc(c.Destinations, func(d Destination) bool { return b.suspended[d.ID()] != nil })
}

// outage is a destination to announce.
type outage struct {
	destination string
	since       time.Time
	summary     string
}

// newOutages records which of the channel's destinations are misconfigured, and
// returns those that the other channels have no notice of.
func (b *batch) newOutages(ctx context.Context) []outage {
	var all []outage
	for _, id := range slices.Sorted(maps.Keys(b.suspended)) {
		failure := b.suspended[id]
		if failure.Reason != Misconfigured {
			continue
		}
		stored, err := b.Deliveries.RecordOutage(ctx, id)
		if err != nil {
			b.log().Warn("recording destination failure failed", "destination", id, "error", err.Error())
			continue
		}
		if !stored.Announced {
			all = append(all, outage{id, stored.Since, failure.Summary})
		}
	}
	return all
}

// sendNotice passes a notice through the same pipeline as any event, so that it
// is claimed, rate limited and recorded, and sent once. It reports whether every
// destination has it.
func (b *batch) sendNotice(ctx context.Context, others []Channel, outages []outage) bool {
	m := message.ComposeBroken(publicOutages(outages), b.account, b.region, b.environment, b.Settings)
	it := item{event: noticeEvent(outages), notice: &m}
	it.ID = it.event.Detail.TransitionID
	sent := true
	for _, channel := range others {
		other := newBatch(b.Notifier, channel, b.deadline)
		r := other.process(ctx, it)
		sent = sent && !r.retry && r.refused == nil
		b.report.Sent += other.report.Sent
	}
	return sent
}

// publicOutages are the outages as readers of the other channels see them:
// without the full error and without addresses.
func publicOutages(outages []outage) []message.Broken {
	var all []message.Broken
	for _, o := range outages {
		cause := o.summary
		if cause == "" {
			cause = "see the notifier's log"
		}
		all = append(all, message.Broken{Destination: maskAddress(o.destination), Cause: cause, Since: o.since})
	}
	return all
}

// maskAddress hides the local part of an email destination's address but for its
// first character. Asterisks would make text bold in Slack.
func maskAddress(destination string) string {
	address, ok := strings.CutPrefix(destination, "email:")
	if !ok {
		return destination
	}
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return "email:•••"
	}
	local := []rune(address[:at])
	return "email:" + string(local[:min(1, len(local))]) + "•••" + address[at:]
}

// noticeEvent gives the notice an ID that stays the same while the same
// destinations have the same outages.
func noticeEvent(outages []outage) event.Event {
	parts := []string{"outage"}
	var since time.Time
	for _, o := range outages {
		parts = append(parts, o.destination, o.since.Format(time.RFC3339Nano))
		if o.since.After(since) {
			since = o.since
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return event.Event{DetailType: outageNotice,
		Detail: event.Detail{TransitionID: hex.EncodeToString(sum[:]), Status: "OUTAGE", ObservedAt: since}}
}
