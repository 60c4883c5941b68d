package event

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/tags"
)

// EncodeMuteEnded returns the entry that announces that the mute m of a workflow has
// ended, observed at the latest. records are the workflow's records of that time,
// archived ones included; history is the workflow's. The entry lists what was not
// sent and still matters, terminal statuses and jobs that vanished, and what still
// lasts: an overdue job, a missing run, and failures in a row.
//
// It fails only when state.ARN is not the ARN of the workflow.
func EncodeMuteEnded(state jobs.WorkflowState, m jobs.Mute, records []jobs.Record, history jobs.History, observed time.Time) (jobs.Entry, error) {
	workflow, err := parseWorkflow(state.ARN, state.Workflow)
	if err != nil {
		return jobs.Entry{}, fmt.Errorf("encoding an event of workflow %s: %w", state.Workflow, err)
	}
	d := Detail{Version: Version, WorkflowName: state.Workflow, WorkflowARN: state.ARN, ObservedAt: observed.UTC(),
		Mute: &Mute{seconds(m.Since), seconds(m.Until), m.Reason}}
	if observed.Before(m.Until) { // it was ended before
		d.Mute.Until = seconds(observed)
	}
	if err := d.list(muted(workflow, state, m, records)); err != nil {
		return jobs.Entry{}, fmt.Errorf("encoding an event of workflow %s: %w", state.Workflow, err)
	}
	if failures := history.Failures; len(failures) > 0 {
		last := failures[len(failures)-1]
		d.Streak = assessmentOf(jobs.Assessment{Streak: history.Streak(last.RunRef)}).Streak
		for _, r := range records {
			if r.Job.Job == last.Job {
				d.Error = jobError(Trim(r.Job))
			}
		}
	}
	d.TransitionID = TransitionID(workflow, d.Subject(), transitionWord(MuteEnded, d))
	d.Links = ConsoleLinks(d)
	return entryOf(MuteEnded, d, observed)
}

// muted are the events of the time of a mute that still matter, and those that say
// what still lasts.
func muted(workflow arn.ARN, state jobs.WorkflowState, m jobs.Mute, records []jobs.Record) []Detail {
	var all []Detail
	add := func(d Detail) {
		d.WorkflowName, d.WorkflowARN = state.Workflow, state.ARN
		if !slices.ContainsFunc(all, func(other Detail) bool { return other.TransitionID == d.TransitionID }) {
			all = append(all, d)
		}
	}
	for _, r := range records {
		if len(r.Timeline) == 0 {
			continue
		}
		last := r.Timeline[len(r.Timeline)-1]
		ended := (r.Job.Terminal() || last.Status == jobs.Vanished) && m.Covers(last.ObservedAt)
		lasts := last.Status == jobs.Overdue && r.Open()
		if (ended || lasts) && len(last.Status) <= maxSummaryStatus {
			add(Detail{JobID: r.Job.Job, Status: last.Status, EndTime: seconds(last.BeganAt), TransitionID: last.ID})
		}
	}
	if t := state.Timetable; t != nil && t.Missing != nil && !t.Missing.Silent {
		key := jobs.Key{Workflow: state.Workflow, Job: seconds(t.Missing.At).Format(time.RFC3339)}
		add(Detail{JobID: key.Job, Status: jobs.RunMissing, EndTime: seconds(t.Missing.By), TransitionID: TransitionID(workflow, key, string(jobs.RunMissing))})
	}
	return all
}

// Muted reports whether an entry's own tags keep it from being sent.
func Muted(entry jobs.Entry) bool {
	if entry.DetailType == MuteEnded || !strings.Contains(entry.Detail, tags.MuteUntil) { // most are not: their detail need not be read
		return false
	}
	own, observed := tagsOf(entry)
	return tags.Parse(own, observed).Muted(observed)
}

// Unmute returns the entry without the tag that mutes it.
func Unmute(entry jobs.Entry) jobs.Entry {
	own, _ := tagsOf(entry)
	before, _ := json.Marshal(own) // strings: it cannot fail; keys are sorted, as in AddTags
	rest, ok := strings.CutPrefix(entry.Detail, `{"tags":`+string(before))
	if !ok {
		return entry
	}
	entry.Detail = "{" + strings.TrimPrefix(rest, ",")
	left := maps.Clone(own)
	delete(left, tags.MuteUntil)
	return AddTags(entry, left)
}

func tagsOf(entry jobs.Entry) (own map[string]string, observed time.Time) {
	var d struct {
		Tags       map[string]string `json:"tags"`
		ObservedAt time.Time         `json:"observedAt"`
	}
	_ = json.Unmarshal([]byte(entry.Detail), &d) // what is not an object has none
	return d.Tags, d.ObservedAt
}

// AddTags adds a workflow's tags to an entry, if there are any.
func AddTags(entry jobs.Entry, tags map[string]string) jobs.Entry {
	if len(tags) > 0 {
		value, _ := json.Marshal(tags) // strings: it cannot fail
		entry.Detail = addKey(entry.Detail, "tags", value)
	}
	return entry
}
