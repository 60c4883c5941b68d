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

	"github.com/aws/aws-lambda-go/events"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/message"
)

// warn tells the other channels, once, of the destinations that take nothing
// until someone mends a setting: whoever reads only the broken one would never
// learn of it. Where that fails it is tried again with the next message that
// the destination refuses; the alarm has gone off in any case.
func (b *batch) warn(ctx context.Context) {
	if !slices.ContainsFunc(b.Channels, func(l Channel) bool { return l.Name != b.lane.Name && len(l.Destinations) > 0 }) {
		return
	}
	defer func() { // of our own: the batch's outcome stands
		if r := recover(); r != nil {
			b.log().Error("panic", "panic", fmt.Sprint(r))
		}
	}()
	var broken []message.Broken
	for _, id := range slices.Sorted(maps.Keys(b.down)) {
		failure := b.down[id]
		if failure.Reason != Misconfigured {
			continue
		}
		breakage, err := b.Deliveries.Broken(ctx, id)
		if err != nil {
			b.log().Warn("not noted as broken", "destination", id, "error", err.Error())
			continue
		}
		if !breakage.Told {
			broken = append(broken, message.Broken{Destination: id, Cause: failure.Err.Error(), Since: breakage.Since})
		}
	}
	if len(broken) == 0 || !b.tellOthers(ctx, broken) {
		return
	}
	for _, one := range broken {
		if err := b.Deliveries.Warned(ctx, one.Destination); err != nil {
			b.log().Warn("not noted as told", "destination", one.Destination, "error", err.Error())
		}
	}
}

// tellOthers passes a notice through the same stages as any event, so that it
// is claimed, paced and recorded, and told once. It says whether everybody has
// it.
func (b *batch) tellOthers(ctx context.Context, broken []message.Broken) bool {
	notice := item{event: noticeOf(broken)}
	notice.SQSMessage = events.SQSMessage{MessageId: notice.event.Detail.TransitionID}
	m := message.ComposeBroken(broken, b.account, b.region)
	all := true
	for _, lane := range b.Channels {
		if lane.Name == b.lane.Name {
			continue
		}
		other := newBatch(b.Notifier, lane, b.until)
		for _, to := range lane.Destinations {
			if err := other.tell(ctx, to, notice, m); err != nil {
				b.log().Warn("not told that another is broken", "destination", to.ID(), "error", err.Error())
				all = false
			}
		}
		b.report.Sent += other.report.Sent
	}
	return all
}

// noticeOf is the notice as the stages take it: an event with an id that is the
// same as long as the same destinations are broken.
func noticeOf(broken []message.Broken) event.Event {
	parts := []string{"broken"}
	var since time.Time
	for _, one := range broken {
		parts = append(parts, one.Destination, one.Since.Format(time.RFC3339Nano))
		if one.Since.After(since) {
			since = one.Since
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	id := hex.EncodeToString(sum[:])
	return event.Event{Detail: event.Detail{TransitionID: id, WorkflowARN: "#broken", JobID: id, Status: "BROKEN", ObservedAt: since}}
}
