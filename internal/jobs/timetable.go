package jobs

import (
	"slices"
	"time"
)

// Timetable is what is kept of a workflow's rhythm between two ticks, so that an
// idle tick compares a time and reads no history. It is computed whenever a run
// starts or finishes.
type Timetable struct {
	// Newest is the run that it was computed for.
	Newest StartedRun `json:"newest,omitzero"`
	// Every is the interval that the workflow's tags set in place of its rhythm, or 0.
	Every time.Duration `json:"every,omitempty"`
	// Expected is the first start that the interval or the rhythm expects after the
	// newest one, nil where no rhythm is proved.
	Expected *ExpectedStart `json:"expected,omitempty"`
	// Missing is the run that is missing, once that was recorded, until a run
	// starts.
	Missing *MissingRun `json:"missing,omitempty"`
}

// StartedRun is a run of a workflow as its job list shows it.
type StartedRun struct {
	Job    string    `json:"job"`
	Status Status    `json:"status"`
	Start  time.Time `json:"start"` // UTC
}

// Newer is the newer of r and the run of a row of the job list. A row of the same
// run replaces it; one without a start time does not count.
func (r StartedRun) Newer(row Job) StartedRun {
	at := StartedRun{row.Job, row.Status, row.StartTime}
	if row.StartTime.IsZero() || r.Job != row.Job && (RunRef{row.Job, row.StartTime}).Compare(RunRef{r.Job, r.Start}) < 0 {
		return r
	}
	return at
}

// MissingRun is a run that did not start.
type MissingRun struct {
	ExpectedStart
	LastRun StartedRun `json:"lastRun"` // the newest at that time
	// Silent is set where the run was missing already when the workflow was first
	// watched, which is no news and has no event.
	Silent bool `json:"silent,omitempty"`
}

// With is t after the workflow's newest run, or the interval that its tags set, has
// changed. starts are all its start times as in [History].
func (t Timetable) With(newest StartedRun, every time.Duration, starts []int64) Timetable {
	t.Newest, t.Every, t.Expected = newest, every, nil
	if every > 0 {
		if !newest.Start.IsZero() {
			t.Expected = expectedEvery(newest.Start, every)
		}
		return t
	}
	if r := RhythmOf(starts); r != nil && len(r.ahead) > 0 {
		t.Expected = r.expected(r.ahead[0])
	}
	return t
}

// Miss is the run that is missing at now and not recorded yet, or nil. now is the
// time, by Entity Resolution's clock, at which reading the job list began that shows
// no further run; no job of the workflow is open.
func (t Timetable) Miss(now time.Time) *MissingRun {
	e := t.Expected
	if e == nil || t.Missing != nil || now.Before(e.By) || t.Every == 0 && now.After(after(e.By, stale)) {
		return nil
	}
	return &MissingRun{ExpectedStart: *e, LastRun: t.Newest}
}

// Resume is the first start after the run that is missing, UTC, and false while
// there is none.
func (t Timetable) Resume(starts []int64) (time.Time, bool) {
	if t.Missing == nil {
		return time.Time{}, false
	}
	return Resumed(t.Missing.Last, starts)
}

// AddStart adds a start time to others as in [History], unless it is zero.
func AddStart(starts []int64, start time.Time) []int64 {
	at, known := slices.BinarySearch(starts, start.Unix())
	if known || start.IsZero() {
		return starts
	}
	starts = slices.Insert(slices.Clone(starts), at, start.Unix())
	return starts[max(0, len(starts)-maxStarts):]
}
