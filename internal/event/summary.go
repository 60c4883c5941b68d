package event

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/idmapping/notifier/internal/jobs"
)

const (
	// LateAfter is how long after a job's end the poller may observe it before
	// the terminal status counts as late.
	LateAfter = 10 * time.Minute
	// MaxIndividual is how many late terminal statuses are notified one by one:
	// of more than that, a channel sends one summary.
	MaxIndividual = 20
)

// Limits of a summary. PutEvents accepts 256 KB.
const (
	maxListedJobs     = 500
	maxListedBytes    = 180 * 1024
	maxSummaryStatus  = 64 // bytes; no late status is longer than that
	summaryTransition = "SUMMARY"
)

// ListedJob is one late terminal status in a summary.
type ListedJob struct {
	WorkflowName string      `json:"workflowName"`
	JobID        string      `json:"jobId"`
	Status       jobs.Status `json:"status"`
	EndTime      time.Time   `json:"endTime"`
	TransitionID string      `json:"transitionId"` // of the event that announces it by itself
}

// Backlog marks an event whose status a summary has announced before. Like the
// publisher, it is added when the event is published and never stored.
type Backlog struct {
	SummaryID string              `json:"summaryId"` // the summary's transition ID
	Statuses  map[jobs.Status]int `json:"statuses"`  // the summary's
}

// Late returns the detail of an entry that announces a terminal status observed
// more than LateAfter after the job's end.
func Late(entry jobs.Entry) (Detail, bool) {
	var d Detail
	if entry.ObservedAt.Sub(entry.Time) <= LateAfter { // most are not: their detail need not be read
		return Detail{}, false
	}
	if entry.DetailType != StateChange || json.Unmarshal([]byte(entry.Detail), &d) != nil {
		return Detail{}, false
	}
	late := d.Terminal() && !d.EndTime.IsZero() && d.ObservedAt.Sub(d.EndTime) > LateAfter
	return d, late && len(d.Status) <= maxSummaryStatus
}

// EncodeSummary returns the entry that announces late terminal statuses together,
// and the mark for the events that announce each of them. All workflows must be
// in one account and region. When the entry cannot list every job, it leaves out
// the oldest successes; it counts them all the same.
func EncodeSummary(late []Detail, now time.Time) (jobs.Entry, Backlog, error) {
	if len(late) == 0 {
		return jobs.Entry{}, Backlog{}, errors.New("encoding a summary: it has no jobs")
	}
	var d Detail
	if err := d.list(late); err != nil {
		return jobs.Entry{}, Backlog{}, fmt.Errorf("encoding a summary: %w", err)
	}
	workflow, err := verifyListed(d)
	if err != nil {
		return jobs.Entry{}, Backlog{}, fmt.Errorf("encoding a summary: %w", err)
	}
	id := summaryID(workflow, d)
	body, err := json.Marshal(struct {
		Version      string              `json:"version"`
		TransitionID string              `json:"transitionId"`
		WorkflowARN  string              `json:"workflowArn"`
		ObservedAt   time.Time           `json:"observedAt"`
		Statuses     map[jobs.Status]int `json:"statuses"`
		Jobs         []ListedJob         `json:"jobs"`
	}{Version, id, d.WorkflowARN, now.UTC(), d.Statuses, d.Jobs})
	if err != nil {
		return jobs.Entry{}, Backlog{}, fmt.Errorf("encoding a summary: %w", err)
	}
	entry := jobs.Entry{ID: id, DetailType: Summary, Time: now.UTC(), Resource: d.WorkflowARN, Detail: string(body), ObservedAt: now.UTC()}
	return entry, Backlog{SummaryID: id, Statuses: d.Statuses}, nil
}

// inOrder are failures first, then the newest.
func inOrder(all []Detail) []Detail {
	return slices.SortedFunc(slices.Values(all), func(a, b Detail) int {
		return cmp.Or(cmp.Compare(successes(a), successes(b)), b.EndTime.Compare(a.EndTime), cmp.Compare(a.TransitionID, b.TransitionID))
	})
}

// list sets Statuses and Jobs to the terminal statuses of the given details. It fails
// where their workflows are not all in one account and region.
func (d *Detail) list(all []Detail) error {
	size := 0
	for i, one := range inOrder(all) {
		if i == 0 {
			d.Statuses = make(map[jobs.Status]int)
			d.WorkflowARN = one.WorkflowARN
		}
		listed := ListedJob{one.WorkflowName, one.JobID, one.Status, one.EndTime.UTC(), one.TransitionID}
		if same := d.Listed(listed).WorkflowARN; same != one.WorkflowARN {
			return fmt.Errorf("workflow %.200q is not in the account and region of %.200q", one.WorkflowARN, d.WorkflowARN)
		}
		d.Statuses[one.Status]++
		body, err := json.Marshal(listed)
		if err != nil {
			return err
		}
		if size += len(body) + 1; len(d.Jobs) < maxListedJobs && size <= maxListedBytes {
			d.Jobs = append(d.Jobs, listed)
		}
	}
	return nil
}

func successes(d Detail) int {
	if d.Status == jobs.Succeeded {
		return 1
	}
	return 0
}

// AddBacklog adds the mark to an entry's detail.
func AddBacklog(detail string, b Backlog) string {
	value, _ := json.Marshal(b) // strings and integers: it cannot fail
	return addKey(detail, "backlog", value)
}

// Listed returns what a summary says about one of its jobs. Its workflow is in
// the account and region of the summary's.
func (d Detail) Listed(j ListedJob) Detail {
	one := Detail{WorkflowName: j.WorkflowName, JobID: j.JobID, Status: j.Status, EndTime: j.EndTime, TransitionID: j.TransitionID}
	if workflow, err := arn.Parse(d.WorkflowARN); err == nil {
		workflow.Resource = workflowResource + j.WorkflowName
		one.WorkflowARN = workflow.String()
	}
	return one
}

// summaryID is the transition ID of a summary: the same statuses always have the
// same one.
func summaryID(workflow arn.ARN, d Detail) string {
	parts := []string{workflow.Partition, workflow.AccountID, workflow.Region, summaryTransition}
	for _, status := range slices.Sorted(maps.Keys(d.Statuses)) {
		parts = append(parts, string(status)+" "+strconv.Itoa(d.Statuses[status]))
	}
	var ids []string
	for _, j := range d.Jobs {
		ids = append(ids, j.TransitionID)
	}
	slices.Sort(ids)
	return hash(append(parts, ids...)...)
}

// verifyListed checks that each listed transition has the ID that follows from
// what the summary says about it. It returns the first job's workflow.
func verifyListed(d Detail) (arn.ARN, error) {
	if len(d.Jobs) == 0 {
		return arn.ARN{}, errors.New("detail.jobs is missing")
	}
	first, err := parseWorkflow(d.WorkflowARN, d.Jobs[0].WorkflowName)
	if err != nil {
		return arn.ARN{}, err
	}
	for _, j := range d.Jobs {
		if err := verifyKeys(Event{DetailType: StateChange, Detail: d.Listed(j)}); err != nil {
			return arn.ARN{}, err
		}
		word := string(j.Status)
		key := jobs.Key{Workflow: j.WorkflowName, Job: j.JobID}
		if !slices.Contains([]string{TransitionID(first, key, word), TransitionID(first, key, word+endedSuffix)}, j.TransitionID) {
			return arn.ARN{}, fmt.Errorf("detail.jobs: transitionId %.100q is not the hash of %.200s %.100s", j.TransitionID, key, word)
		}
	}
	return first, nil
}
