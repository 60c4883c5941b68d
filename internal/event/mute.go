package event

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/idmapping/notifier/internal/jobs"
)

// EncodeMuteEnded returns the entry that announces that the mute m of a workflow has
// ended. records are the workflow's records of that time, archived ones included;
// history is the workflow's. The entry lists what was not sent and still matters,
// terminal statuses and jobs that vanished, and what still lasts: an overdue job, a
// missing run, and failures in a row.
//
// It fails only when state.ARN is not the ARN of the workflow.
func EncodeMuteEnded(state jobs.WorkflowState, m jobs.Mute, records []jobs.Record, history jobs.History, observed time.Time) (jobs.Entry, error) {
	workflow, err := parseWorkflow(state.ARN, state.Workflow)
	if err != nil {
		return jobs.Entry{}, fmt.Errorf("encoding an event of workflow %s: %w", state.Workflow, err)
	}
	d := Detail{Version: Version, WorkflowName: state.Workflow, WorkflowARN: state.ARN, ObservedAt: observed.UTC(),
		Mute: &Mute{seconds(m.Since), seconds(m.Until), m.Reason}}
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

// muted are the events of the time of a mute that still matter, and those that tell
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
		ended := (r.Job.Terminal() || last.Status == jobs.Vanished) && !last.ObservedAt.Before(m.Since) && last.ObservedAt.Before(m.Until)
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

// AddTags adds a workflow's tags to an entry, if there are any.
func AddTags(entry jobs.Entry, tags map[string]string) jobs.Entry {
	if len(tags) > 0 {
		value, _ := json.Marshal(tags) // strings: it cannot fail
		entry.Detail = addKey(entry.Detail, "tags", value)
	}
	return entry
}
