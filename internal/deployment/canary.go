package deployment

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/poller"
)

// SendCanary invokes the poller to publish a canary that people see, and returns
// its transition ID. The invocation fails when the event bus does not accept it.
func (s Stack) SendCanary(ctx context.Context) (string, error) {
	var report poller.Report
	if err := s.invoke(ctx, s.Poller, `{"canary":"show"}`, &report); err != nil {
		return "", err
	}
	if report.Canary == "" {
		return "", fmt.Errorf("invoking %s: the report names no canary", s.Poller)
	}
	return report.Canary, nil
}

// AwaitCanary calls received once for each destination, when it has received the
// canary. Its error names the destinations that have not when ctx ends.
func (s Stack) AwaitCanary(ctx context.Context, id string, received func(destination string)) error {
	begin := time.Now()
	deliveries := s.Deliveries()
	key := notify.KeyOf(event.Event{DetailType: event.Canary, Detail: event.Detail{TransitionID: id}}, "")
	waiting := slices.Clone(s.Destinations)
	for {
		ledgers, err := deliveries.Ledgers(ctx, key.Job)
		if err != nil && ctx.Err() == nil {
			return err
		}
		for _, l := range ledgers {
			if _, sent := l.Receipts[id]; sent && slices.Contains(waiting, l.Destination) {
				received(l.Destination)
				waiting = slices.DeleteFunc(waiting, func(destination string) bool { return destination == l.Destination })
			}
		}
		if len(waiting) == 0 {
			return nil
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the test message was not received after %.0f s: %s. The notifier's log has the reason (\"notification failed\"): "+
				"aws logs tail /aws/lambda/%s-notifier --since 5m. Without an entry there, check the rules, the queues and the event source mappings",
				time.Since(begin).Seconds(), strings.Join(waiting, ", "), s.Name)
		}
	}
}
