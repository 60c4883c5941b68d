package jobs

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Workflow is one ID mapping workflow as ListIdMappingWorkflows shows it.
type Workflow struct {
	Name      string
	ARN       string
	CreatedAt time.Time // UTC by Entity Resolution's clock; zero when not given
}

// WorkflowList is the response of ListIdMappingWorkflows.
type WorkflowList struct {
	Workflows map[string]Workflow // by name
	// At is the response's Date header, Entity Resolution's clock, in UTC; zero
	// when it has none.
	At time.Time
}

// Page is one page of a workflow's job list.
type Page struct {
	Rows []Job // Key, Status and the two times only
	// Unreadable counts further rows without a job ID or a status.
	Unreadable int

	Next string    // token of the next page; empty on the last
	At   time.Time // as in WorkflowList
}

// WorkflowState is what is kept of one workflow between two ticks.
type WorkflowState struct {
	Workflow string `json:"-"`
	ARN      string `json:"arn"`
	Version  int64  `json:"-"` // counts the writes; 0 is not stored yet

	// Baseline is when the workflow was first watched, by Entity Resolution's
	// clock: what finished until then is not reported. Zero while the workflow
	// is known but not watched.
	Baseline time.Time `json:"baseline,omitzero"`

	// Watermark is a start time: every job that started at or before it has
	// been recorded or finished before Baseline. Zero until the list was read
	// to its end once.
	Watermark time.Time `json:"watermark,omitzero"`

	// Cursor is where reading a list that takes several ticks continues.
	Cursor Cursor `json:"cursor,omitzero"`

	// Backfill holds the newest runs that finished before Baseline, as far as
	// they are still to be fetched for the history, newest first.
	Backfill []RunRef `json:"backfill,omitempty"`

	// Newest is the newest run that the list has shown.
	Newest StartedRun `json:"newest,omitzero"`
	// Timetable is when the next run should start; nil while that was never
	// computed.
	Timetable *Timetable `json:"timetable,omitempty"`
	// Outbox holds the events about the workflow's timetable that the bus has not
	// accepted yet, in their order.
	Outbox []Entry `json:"outbox,omitempty"`

	// Tags are the workflow's own tags as last read; see package tags.
	Tags map[string]string `json:"tags,omitempty"`
	// Mute is set from the first event that the tags mute until its end is published.
	Mute Mute `json:"mute,omitzero"`

	// Missing counts how often neither list showed the workflow.
	Missing Missing `json:"missing,omitzero"`

	// Unreadable says why the stored state could not be read; nothing but
	// Workflow can be relied on then.
	Unreadable error `json:"-"`
}

// Mute is the time in which nothing is sent about a workflow.
type Mute struct {
	Since  time.Time `json:"since"` // when the first muted event was observed, UTC
	Until  time.Time `json:"until"` // UTC
	Reason string    `json:"reason,omitempty"`
	// Earliest is when the first of the muted states began, UTC, where that was before
	// Since: a run may have finished long before it was observed.
	Earliest time.Time `json:"earliest,omitzero"`
}

// Covers reports whether what was observed at the given time is muted.
func (m Mute) Covers(observed time.Time) bool {
	return !observed.Before(m.Since) && observed.Before(m.Until)
}

// From is when the first of the muted states began, UTC.
func (m Mute) From() time.Time {
	if !m.Earliest.IsZero() && m.Earliest.Before(m.Since) {
		return m.Earliest
	}
	return m.Since
}

// With is m after a state was muted that began at the given time.
func (m Mute) With(began time.Time) Mute {
	if began = began.UTC().Truncate(time.Second); began.Before(m.From()) {
		m.Earliest = began
	}
	return m
}

// Cursor is a position within a job list.
type Cursor struct {
	Token      string    `json:"token,omitempty"`      // ListIdMappingJobs nextToken
	Newest     time.Time `json:"newest,omitzero"`      // newest start time of the part already read
	Incomplete bool      `json:"incomplete,omitempty"` // a row of that part could not be handled
	BeganAt    time.Time `json:"beganAt,omitzero"`     // when reading the list began, UTC
}

// RunRef names one run and places it among the others of its workflow.
type RunRef struct {
	Job   string    `json:"job"`
	Start time.Time `json:"start,omitzero"`
}

// Compare orders runs by start time, then by job ID bytewise.
func (r RunRef) Compare(other RunRef) int {
	if c := r.Start.Compare(other.Start); c != 0 {
		return c
	}
	return strings.Compare(r.Job, other.Job)
}

// Ref uses the end time of a job without a start time, so that every comparison
// places the job at the same time.
func (j Job) Ref() RunRef {
	start := j.StartTime
	if start.IsZero() {
		start = j.EndTime
	}
	return RunRef{Job: j.Job, Start: start}
}

// skewMargin is how much later than its start a job may appear in the list, and
// how far the clocks of Entity Resolution's own parts may lie apart.
const skewMargin = time.Hour

// PredatesWatch reports whether a terminal job that the live partition does not
// hold needs no record: it finished before the workflow was watched, or it was
// recorded and archived. In doubt it reports false: a repeated event is better
// than a lost one.
func (w WorkflowState) PredatesWatch(j Job) bool {
	return j.Terminal() && (w.finishedBefore(j) || w.behind(j.Ref().Start))
}

func (w WorkflowState) finishedBefore(j Job) bool {
	end := j.EndTime
	if end.IsZero() {
		end = j.StartTime
	}
	if end.IsZero() {
		// Only the order of events decides: what is terminal when the list is
		// read for the first time was terminal before.
		return w.Watermark.IsZero()
	}
	return !end.After(w.Baseline)
}

func (w WorkflowState) behind(start time.Time) bool {
	return !start.IsZero() && start.Before(w.Watermark.Add(-skewMargin))
}

// frozenMargin is longer than any invocation lives: Lambda's limit is 15 minutes.
const frozenMargin = 15 * time.Minute

// Obsolete reports whether a stub can be removed at now, by Entity Resolution's
// clock: its job's row is behind the watermark, and its end was observed so long ago
// that no frozen poller can still write what it read before. The stub of a job that
// vanished before it was terminal stays as long as its workflow does: the list may
// show the job again, however late, and its terminal status has not been reported.
func (w WorkflowState) Obsolete(stub Record, now time.Time) bool {
	return stub.Archived && stub.Job.Terminal() && w.behind(stub.Job.Ref().Start) &&
		now.Sub(stub.Job.EndTime) >= skewMargin && now.Sub(stub.ObservedAt) >= frozenMargin
}

// backfillRuns is how many finished runs of a newly watched workflow are fetched
// for its history: as many as a range is computed from.
const backfillRuns = window

// Remember is w with the row of a run that finished before Baseline among the
// runs to fetch, if it is one of the newest.
func (w WorkflowState) Remember(row Job) WorkflowState {
	ref := row.Ref()
	if slices.ContainsFunc(w.Backfill, func(r RunRef) bool { return r.Job == ref.Job }) {
		return w
	}
	all := append(slices.Clone(w.Backfill), ref)
	slices.SortFunc(all, func(a, b RunRef) int { return b.Compare(a) })
	w.Backfill = all[:min(len(all), backfillRuns)]
	return w
}

// Fetched is w without the given jobs among the runs to fetch.
func (w WorkflowState) Fetched(ids []string) WorkflowState {
	w.Backfill = slices.DeleteFunc(slices.Clone(w.Backfill), func(r RunRef) bool { return slices.Contains(ids, r.Job) })
	return w
}

// Append is w with one more event in its outbox.
func (w WorkflowState) Append(e Entry) WorkflowState {
	w.Outbox = append(slices.Clone(w.Outbox), e)
	return w
}

// Equal reports whether both are stored as the same, versions aside.
func (w WorkflowState) Equal(other WorkflowState) bool {
	a, err := json.Marshal(w)
	b, err2 := json.Marshal(other)
	return err == nil && err2 == nil && bytes.Equal(a, b)
}

// Live is everything that an idle tick reads.
type Live struct {
	Workflows map[string]WorkflowState
	Records   map[Key]Record
	Filter    FilterState
}

// FilterState is the filter of the last tick that knew every workflow it
// includes. A workflow that it includes, that was created after Since and that
// has no state was created after that tick.
type FilterState struct {
	Include string    `json:"include"` // as in the settings
	Exclude string    `json:"exclude,omitempty"`
	Since   time.Time `json:"since"` // the first such tick, UTC by Entity Resolution's clock
	Version int64     `json:"-"`
}

// Same reports whether the filter is stored and has the same text.
func (f FilterState) Same(include, exclude string) bool {
	return f.Version > 0 && f.Include == include && f.Exclude == exclude
}
