package poller

import (
	"context"
	"fmt"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

// Canary publishes a synthetic event that goes the way of a real one, from the
// bus to every channel; visible says whether people see it. It returns an error
// when the bus does not accept the event, so that the invocation counts as
// failed.
func (p *Poller) Canary(ctx context.Context, visible bool) (Report, error) {
	entry := event.EncodeCanary(visible, p.now())
	if err := p.Publisher.Publish(ctx, []jobs.Entry{entry})[0]; err != nil {
		p.log().Error("canary refused by the event bus", "transitionId", entry.ID, "error", err.Error())
		return Report{}, fmt.Errorf("sending a canary: %w", err)
	}
	p.log().Info("canary sent", "transitionId", entry.ID)
	return Report{Canary: entry.ID, Published: 1}, nil
}
