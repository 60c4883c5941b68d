package storetest

import (
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/notifier"
)

func TestInMemoryJobsHoldTheContract(t *testing.T) {
	JobsContract(t, &Jobs{}, "contract")
}

func TestInMemoryDeliveriesHoldTheContract(t *testing.T) {
	DeliveriesContract(t, func(now func() time.Time) notifier.Deliveries { return &Deliveries{Now: now} }, "contract")
}
