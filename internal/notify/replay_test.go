package notify_test

import (
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/tags"
)

// namedBy is a router that finds every channel that tags name.
type namedBy struct{}

func (namedBy) Route(s tags.Settings) (all []notify.Destination) {
	for _, id := range s.SlackChannels {
		all = append(all, &fake.Destination{Name: "slack:" + id})
	}
	return all
}

func TestReplayGoesWhereItIsSentWhateverTheStatusesAndMutes(t *testing.T) {
	own := &fake.Destination{Name: "slack:C0OWN"}
	channel := notify.Channel{Name: "slack", Destinations: []notify.Destination{own}, Router: namedBy{}, Filter: notify.ParseFilter("FAILED")}
	muted := map[string]string{"mute-until": noon.Add(time.Hour).Format(time.RFC3339)}
	for name, c := range map[string]struct {
		status  jobs.Status
		tags    map[string]string
		replay  *event.Replay
		verdict notify.Verdict
		to      string
	}{
		"no replay of a muted workflow":         {jobs.Failed, muted, nil, notify.Muted, ""},
		"a replay of a muted workflow":          {jobs.Failed, muted, &event.Replay{ID: "1"}, notify.Sent, "slack:C0OWN"},
		"a replay of a status not chosen":       {jobs.Succeeded, nil, &event.Replay{ID: "1"}, notify.NotChosen, ""},
		"a replay to the channel's destination": {jobs.Succeeded, muted, &event.Replay{ID: "1", To: []string{"slack:C0OWN"}}, notify.Sent, "slack:C0OWN"},
		"a replay to another one":               {jobs.Succeeded, nil, &event.Replay{ID: "1", To: []string{"slack:C0OTHER"}}, notify.Sent, "slack:C0OTHER"},
		"a replay to another channel's":         {jobs.Failed, nil, &event.Replay{ID: "1", To: []string{"email:a@example.com"}}, notify.NotChosen, ""},
		"a replay to nothing":                   {jobs.Failed, nil, &event.Replay{ID: "1", To: []string{"slack:"}}, notify.NotChosen, ""},
	} {
		e := event.Event{DetailType: event.StateChange, Detail: event.Detail{Status: c.status, ObservedAt: noon, Tags: c.tags, Replay: c.replay,
			Backlog: &event.Backlog{Statuses: map[jobs.Status]int{jobs.Failed: 99}}}}
		if c.replay == nil {
			e.Detail.Backlog = nil
		}
		r := channel.Routing(e)
		if r.Verdict != c.verdict || (len(r.Destinations) == 1) != (c.to != "") || c.to != "" && r.Destinations[0].ID() != c.to {
			t.Errorf("%s: %s to %v", name, r.Verdict, r.Destinations)
		}
	}
}

func TestReplayHasALedgerOfItsOwnOnlyWhenSentAgain(t *testing.T) {
	d := event.Detail{WorkflowARN: "arn", JobID: "j", Replay: &event.Replay{ID: "r1"}}
	e := event.Event{DetailType: event.StateChange, Detail: d}
	if got := notify.KeyOf(e, "x").Job; got != "arn/j" {
		t.Errorf("a replay has the key %s", got)
	}
	d.Replay.Again = true
	if got := notify.KeyOf(e, "x").Job; got != "arn/j#replay/r1" {
		t.Errorf("a replay to those who have received it has the key %s", got)
	}
}
