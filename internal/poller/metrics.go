package poller

// The CloudWatch metrics of a tick. None is per job: each has its price.
const (
	SweepsCompleted          = "SweepsCompleted"          // the heartbeat: 1 when every watched workflow was checked
	TransitionsPublished     = "TransitionsPublished"     // events that the bus accepted
	OldestUnpublishedSeconds = "OldestUnpublishedSeconds" // age of the oldest event in an outbox
	WorkflowsFailed          = "WorkflowsFailed"          // workflows given up because of an error
	WorkflowsDenied          = "WorkflowsDenied"          // workflows that IAM does not let the poller see
	Throttled                = "Throttled"                // ticks that Entity Resolution throttled
	EventsQuarantined        = "EventsQuarantined"        // events that the bus will never accept
	TagsUnread               = "TagsUnread"               // workflows whose tags could not be read when an event was due
)

// Values are the report as metrics.
func (r Report) Values() map[string]float64 {
	return map[string]float64{
		SweepsCompleted:          one(r.Complete()),
		TransitionsPublished:     float64(r.Published),
		OldestUnpublishedSeconds: float64(r.OldestUnpublished),
		WorkflowsFailed:          float64(r.Failed),
		WorkflowsDenied:          float64(r.Denied),
		Throttled:                one(r.Throttled),
		EventsQuarantined:        float64(r.Quarantined),
		TagsUnread:               float64(r.TagsUnread),
	}
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
