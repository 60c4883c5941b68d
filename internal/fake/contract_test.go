package fake

import (
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/idmapping/notifier/internal/notify"
)

func TestInMemoryJobsHoldTheContract(t *testing.T) {
	table := &Jobs{}
	JobsContract(t, table, "contract")
}

func TestInMemoryDeliveriesHoldTheContract(t *testing.T) {
	DeliveriesContract(t, func(now func() time.Time) DeliveriesStore { return &Deliveries{Now: now} }, "contract")
}

func TestInMemorySourceHoldsTheContract(t *testing.T) {
	s := &Source{Clock: time.Now}
	SourceContract(t, s, s.Put)
}

func TestInMemoryBusHoldsTheContract(t *testing.T) {
	b := &Bus{}
	PublisherContract(t, b, func() (ids []string) {
		for _, e := range b.Taken() {
			ids = append(ids, e.ID)
		}
		return ids
	})
}

func TestInMemoryQueueHoldsTheContract(t *testing.T) {
	q := &Queue{Name: "q"}
	QueueContract(t, q, q.URL(), q.URL()+"-dead", q.Put, func() []events.SQSMessage { return q.Receive(10).Records }, q.Dead)
}

func TestInMemoryDestinationHoldsTheContract(t *testing.T) {
	d := &Destination{Name: "slack:C1"}
	open := func(l RateLimiter) notify.Destination { d.Limiter = l; return d }
	DestinationContract(t, open, func() int { return len(d.Sent()) })
}
