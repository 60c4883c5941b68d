package deployment

import (
	"errors"
	"fmt"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

// ErrOpen is returned for a job that has not finished: there is nothing to send again.
var ErrOpen = errors.New("the job is still open: what happens to it will be sent")

// LastEntry builds the entry of a job's last transition anew, as the poller published
// it, under the same transition ID. h are the workflow's histories: an old run is
// compared with what is still known of the runs before it. A run that finished before
// its workflow was watched has no transition on record; its terminal status gives one.
//
// Its error is ErrOpen for a job that has not finished.
func LastEntry(r jobs.Record, h jobs.Histories) (jobs.Entry, error) {
	if !r.Vanished && !r.Job.Terminal() {
		return jobs.Entry{}, ErrOpen
	}
	observed := r.FinishedAt()
	var last, previous jobs.Milestone
	if n := len(r.Timeline); n > 0 {
		last = r.Timeline[n-1]
		observed = last.ObservedAt
		for _, m := range r.Timeline[:n-1] {
			if m.Status != jobs.Overdue {
				previous = m
			}
		}
	}
	var entry jobs.Entry
	var err error
	if r.Vanished {
		entry, err = event.EncodeVanished(r.ARN, r.Job, observed)
	} else {
		a := h.Assess(r, true, observed)
		a.EarlierRuns = nil // of an old run they are not known any more
		a.OverdueSince = r.OverdueSince
		entry, err = event.Encode(r.ARN, jobs.Transition{Job: r.Job, Previous: previous.Status, Assessment: a}, observed)
	}
	if err == nil && last.ID != "" && entry.ID != last.ID {
		err = fmt.Errorf("the transition of job %s cannot be built again: its ID would be %s, not %s", r.Job.Key, entry.ID, last.ID)
	}
	return entry, err
}

// ReplayBody is the message that makes a channel send an entry again: the entry as
// EventBridge would deliver it, of this stack, with the workflow's tags.
func (s Stack) ReplayBody(entry jobs.Entry, own map[string]string, r event.Replay) ([]byte, error) {
	entry = event.AddReplay(event.AddTags(entry, own), r)
	entry.Detail = event.AddPublisher(entry.Detail, event.Publisher{Stack: s.Name, Environment: s.Parameters["Environment"]})
	return event.Envelope(entry, r.ID, "", s.Region())
}
