package notify

// The CloudWatch metrics of a batch.
const (
	Delivered                 = "Delivered"                 // messages that a destination accepted
	DeliveriesRetried         = "DeliveriesRetried"         // messages that wait for another attempt
	DestinationsMisconfigured = "DestinationsMisconfigured" // of these, because a setting is wrong
)

// Values are the report as metrics.
func (r Report) Values() map[string]float64 {
	return map[string]float64{
		Delivered:                 float64(r.Sent),
		DeliveriesRetried:         float64(r.Retried),
		DestinationsMisconfigured: float64(r.Misconfigured),
	}
}
