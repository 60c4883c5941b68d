package jobs

import (
	"slices"
	"time"
)

// Record is what the jobs table keeps of one job while the poller works on it: the
// job as last observed, and its outbox. A record leaves the live
// partition for the archive in the write that empties the outbox of a finished
// job; a stub stays until the job list cannot show the job as new any more.
type Record struct {
	Job     Job    `json:"job"`
	ARN     string `json:"arn,omitempty"` // workflow ARN
	Version int64  `json:"-"`             // counts the writes; 0 is not stored yet

	// Outbox holds the events that the bus has not accepted yet, in the order
	// of their transitions.
	Outbox []Entry `json:"outbox,omitempty"`
	// Refused holds the events that the bus will never accept.
	Refused []RefusedEntry `json:"refused,omitempty"`
	// Timeline is when each transition began, was observed and was published.
	Timeline []Milestone `json:"timeline,omitempty"`

	OpenTimes
	// OverdueSince is set once the job was reported as overdue, UTC.
	OverdueSince time.Time `json:"overdueSince,omitzero"`

	Missing  Missing `json:"missing,omitzero"`
	Vanished bool    `json:"vanished,omitempty"` // reported as vanished; no longer followed
	// Tracked is set for a job that was requested by its ID: it is followed to
	// its end even where the filter excludes its workflow.
	Tracked bool `json:"tracked,omitempty"`
	// Archived is set on a stub: nothing but the job's key, status, times and
	// Vanished is left here, the rest is in the archive. ObservedAt is when its last
	// status was observed, UTC.
	Archived   bool      `json:"archived,omitempty"`
	ObservedAt time.Time `json:"observedAt,omitzero"`

	// Unreadable says why the stored record could not be read; nothing but
	// Job.Key can be relied on then.
	Unreadable error `json:"-"`
}

// Entry is an event on its way to the bus. It stays in its job's outbox from the
// write that records the transition until the bus has accepted it.
type Entry struct {
	ID         string    `json:"id"` // transition ID: the same transition always has the same one
	DetailType string    `json:"detailType"`
	Time       time.Time `json:"time"`       // when the state began, UTC
	Resource   string    `json:"resource"`   // workflow ARN
	Detail     string    `json:"detail"`     // JSON
	ObservedAt time.Time `json:"observedAt"` // by the poller's clock, UTC
}

// RefusedEntry is an event that the bus will never accept, kept for operators.
type RefusedEntry struct {
	Entry
	Reason string `json:"reason"`
}

// Milestone is the history of one transition. Times are UTC; PublishedAt is zero
// until the bus has accepted the event.
type Milestone struct {
	ID          string    `json:"id"`
	Status      Status    `json:"status"` // VANISHED for a job that vanished
	BeganAt     time.Time `json:"beganAt"`
	ObservedAt  time.Time `json:"observedAt"`
	PublishedAt time.Time `json:"publishedAt,omitzero"`
	// Tags are those of the workflow that decided who was notified, and Signals
	// whether the event says more than its status; for the command line tool.
	Tags    map[string]string `json:"tags,omitempty"`
	Signals bool              `json:"signals,omitempty"`
}

// Known is the job as last observed, or nil when the record is new.
func (r Record) Known() *Job {
	if r.Version == 0 {
		return nil
	}
	return &r.Job
}

// Advance compares observed with the record as [Advance] does. A job that returns
// to a status that it had before has regressed, or a job that goes back and forth
// between two active statuses would never end publishing.
func (r Record) Advance(observed Job) (Verdict, Transition) {
	verdict, transition := Advance(r.Known(), observed)
	had := func(m Milestone) bool { return m.Status == observed.Status }
	if verdict == Changed && !observed.Terminal() && slices.ContainsFunc(r.Timeline, had) {
		return Regressed, Transition{}
	}
	return verdict, transition
}

// Open reports whether the job has to be followed.
func (r Record) Open() bool { return !r.Job.Terminal() && !r.Vanished && !r.Archived }

// Finished reports whether the record belongs in the archive.
func (r Record) Finished() bool { return !r.Open() && !r.Archived && len(r.Outbox) == 0 }

// LastID is the ID of the last event of r, or "".
func (r Record) LastID() string {
	if len(r.Timeline) == 0 {
		return ""
	}
	return r.Timeline[len(r.Timeline)-1].ID
}

// FinishedAt is when the run finished, UTC: its end time, otherwise when
// its last transition was observed.
func (r Record) FinishedAt() time.Time {
	if end := r.Job.EndTime; !end.IsZero() && !r.Vanished {
		return end
	}
	if n := len(r.Timeline); n > 0 {
		return r.Timeline[n-1].ObservedAt
	}
	return r.Job.StartTime
}

// Append is r with one more event in its outbox, for a transition to status.
func (r Record) Append(e Entry, status Status) Record {
	r.Outbox = append(slices.Clone(r.Outbox), e)
	r.Timeline = append(slices.Clone(r.Timeline), Milestone{ID: e.ID, Status: status, BeganAt: e.Time, ObservedAt: e.ObservedAt})
	return r
}

// Published is r without the first event of its outbox, which the bus has
// accepted at the given time.
func (r Record) Published(at time.Time) Record {
	r.Timeline = slices.Clone(r.Timeline)
	for i := range r.Timeline {
		if r.Timeline[i].ID == r.Outbox[0].ID && r.Timeline[i].PublishedAt.IsZero() {
			r.Timeline[i].PublishedAt = at.UTC()
		}
	}
	r.Outbox = slices.Clone(r.Outbox[1:])
	return r
}

// Refuse is r with the first event of its outbox set aside.
func (r Record) Refuse(reason string) Record {
	r.Refused = append(slices.Clone(r.Refused), RefusedEntry{r.Outbox[0], reason})
	r.Outbox = slices.Clone(r.Outbox[1:])
	return r
}

// Stub is what stays of r in the live partition once r is archived.
func (r Record) Stub() Record {
	var observed time.Time
	if n := len(r.Timeline); n > 0 {
		observed = r.Timeline[n-1].ObservedAt
	}
	return Record{
		Job: Job{Key: r.Job.Key, Status: r.Job.Status, StartTime: r.Job.StartTime, EndTime: r.Job.EndTime},
		ARN: r.ARN, Version: r.Version, Missing: r.Missing, Vanished: r.Vanished, Archived: true, ObservedAt: observed,
	}
}

// Missing counts the reads that did not find a job or a workflow.
type Missing struct {
	Count int       `json:"count,omitempty"`
	Since time.Time `json:"since,omitzero"` // UTC
}

// Reads right after a start or a change can miss a job for a moment, so it has
// to stay missing for this many reads and this long.
const (
	vanishedAfterMisses = 3
	vanishedAfter       = 10 * time.Minute
)

// Again returns what m becomes when the job, or the workflow, is not found once
// more at now, and whether it has vanished. A write is needed only when the result
// differs from m.
func (m Missing) Again(now time.Time) (Missing, bool) {
	if m.Count == 0 {
		return Missing{Count: 1, Since: now}, false
	}
	if m.Count < vanishedAfterMisses {
		m.Count++
	}
	return m, m.Count >= vanishedAfterMisses && now.Sub(m.Since) >= vanishedAfter
}

// Appeared reports whether a listed job that GetIdMappingJob does not find has
// been listed for so long that its row has to be used instead. now is by Entity
// Resolution's clock.
func Appeared(row Job, now time.Time) bool {
	since := row.StartTime
	if row.Terminal() && !row.EndTime.IsZero() {
		since = row.EndTime
	}
	return since.IsZero() || now.Sub(since) >= vanishedAfter
}
