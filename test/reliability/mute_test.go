package reliability

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/tags"
)

// longestMute is more than any mute that tag sets.
const longestMute = 3 * time.Hour

// tag mutes one of the three workflows for a while, or no longer.
func tag(source *fake.Source, r *rand.Rand) {
	workflow := fmt.Sprintf("wf%d", r.IntN(3))
	if r.IntN(4) == 0 {
		source.SetTags(workflow, nil)
		return
	}
	until := time.Now().UTC().Add(time.Duration(r.Int64N(int64(longestMute))))
	source.SetTags(workflow, map[string]string{tags.MuteUntil: until.Format(time.RFC3339)})
}

// neitherSentNorListed is an error about a terminal status that was neither published
// so that it is sent nor is in the list of a mute that has ended, and about a mute
// that has not ended.
func neitherSentNorListed(taken []jobs.Entry, shown map[jobs.Key][]jobs.Status, store *fake.Jobs) error {
	type terminal struct {
		key    jobs.Key
		status jobs.Status
	}
	reported := make(map[terminal]bool)
	for _, entry := range taken {
		d := detailOf(entry)
		for _, j := range d.Jobs {
			if d.Mute != nil {
				reported[terminal{jobs.Key{Workflow: j.WorkflowName, Job: j.JobID}, j.Status}] = true
			}
		}
		if entry.DetailType == event.StateChange && !event.Muted(entry) {
			reported[terminal{jobs.Key{Workflow: d.WorkflowName, Job: d.JobID}, d.Status}] = true
		}
	}
	for key, statuses := range shown {
		if end := statuses[len(statuses)-1]; end.Terminal() && !reported[terminal{key, end}] {
			return fmt.Errorf("I1: the terminal status %s of %s was muted, and no mute that has ended lists it", end, key)
		}
	}
	live, err := store.Live(context.Background())
	for workflow, state := range live.Workflows {
		if state.Mute != (jobs.Mute{}) {
			return fmt.Errorf("I5: the mute of %s never ends: %+v", workflow, state.Mute)
		}
	}
	return err
}
