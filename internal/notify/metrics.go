package notify

// The CloudWatch metrics of a batch.
const (
	Delivered          = "Delivered"          // messages that a destination took
	DeliveriesRetried  = "DeliveriesRetried"  // messages that wait for another try
	DestinationsBroken = "DestinationsBroken" // of these, for a setting that someone has to mend
)

// Values are the report as metrics.
func (r Report) Values() map[string]float64 {
	return map[string]float64{
		Delivered:          float64(r.Sent),
		DeliveriesRetried:  float64(r.Retried),
		DestinationsBroken: float64(r.Broken),
	}
}
