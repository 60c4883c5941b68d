package jobs

import (
	"slices"
	"time"
)

const (
	// maxSuccesses is how many of the newest successes of a job type are kept.
	// A finding says whether the previous run had it too, and that run is
	// compared with its own window of earlier runs.
	maxSuccesses = window + 1
	// maxStarts is how many start times are kept: four weeks of hourly runs are
	// 672.
	maxStarts = 800
	// maxFailures is how many failures of an unbroken run are kept one by one;
	// the first is always kept.
	maxFailures = 50
)

// Histories are what later runs of one workflow are compared with.
type Histories struct {
	Runs      History
	Successes map[string]Successes // by job type
}

// Add adds one more finished run; adding a run twice changes nothing.
func (h *Histories) Add(r Record) {
	h.Runs = h.Runs.Add(r.Job)
	if !r.Succeeded() {
		return
	}
	if h.Successes == nil {
		h.Successes = make(map[string]Successes)
	}
	h.Successes[r.Job.Type] = h.Successes[r.Job.Type].Add(r)
}

// Succeeded reports whether the run is one that later runs are compared with.
func (r Record) Succeeded() bool { return r.Job.Status == Succeeded && !r.Vanished }

// History is the compact record of a workflow's runs of any job type. It is read
// only when a run starts or finishes.
type History struct {
	Version int64 `json:"-"` // counts the writes; 0 is not stored yet

	// Starts are the newest distinct start times in seconds since the epoch,
	// ascending.
	Starts []int64 `json:"starts,omitempty"`

	// Failures are the runs that failed since the last success, in the order of
	// [RunRef.Compare]. Where there are more than are kept, the first stays and
	// those after it are left out.
	Failures []FailedRun `json:"failures,omitempty"`
	Omitted  Omitted     `json:"omitted,omitzero"`

	LastSuccess *FinishedRun `json:"lastSuccess,omitempty"` // the newest, of any job type
}

// FinishedRun names a run with its end time, UTC.
type FinishedRun struct {
	RunRef
	End time.Time `json:"end,omitzero"`
}

// FailedRun is one run that failed.
type FailedRun struct {
	FinishedRun
	Cause
}

// Omitted stands for the failures between the first and the second that a
// history keeps.
type Omitted struct {
	Count   int       `json:"count,omitempty"`
	Mixed   bool      `json:"mixed,omitempty"`  // one of them has another category than the first
	Last    FailedRun `json:"last,omitzero"`    // the newest of them
	LoudEnd time.Time `json:"loudEnd,omitzero"` // when the newest loud failure up to Last ended, UTC
}

// AddStart is h with the start of one more run.
func (h History) AddStart(start time.Time) History {
	h.Starts = AddStart(h.Starts, start)
	return h
}

// Add is h with one more finished run; adding a run twice changes nothing.
func (h History) Add(j Job) History {
	h = h.AddStart(j.StartTime)
	run := FinishedRun{j.Ref(), j.EndTime}
	switch j.Status {
	case Succeeded:
		if h.LastSuccess != nil && run.Compare(h.LastSuccess.RunRef) <= 0 {
			return h
		}
		h.LastSuccess = &run
		if len(h.Failures) > 0 && h.Failures[0].Compare(run.RunRef) <= 0 {
			h.Failures = slices.DeleteFunc(slices.Clone(h.Failures), func(f FailedRun) bool { return f.Compare(run.RunRef) <= 0 })
			h.Omitted = Omitted{}
		}
	case Failed:
		if (h.LastSuccess == nil || run.Compare(h.LastSuccess.RunRef) > 0) && h.failureAt(run.RunRef) < 0 {
			h = h.addFailure(FailedRun{run, causeOf(j.Error)})
		}
	}
	return h
}

func (h History) addFailure(run FailedRun) History {
	at, known := slices.BinarySearchFunc(h.Failures, run.RunRef, func(f FailedRun, r RunRef) int { return f.Compare(r) })
	if known || h.Omitted.Count > 0 && at == 1 { // it is one of those left out
		return h
	}
	h.Failures = slices.Insert(slices.Clone(h.Failures), at, run)
	if len(h.Failures) > maxFailures {
		h = h.omitSecond()
	}
	return h
}

func (h History) omitSecond() History {
	first, second := h.Failures[0], h.Failures[1]
	if h.Omitted.Count == 0 || second.Compare(h.Omitted.Last.RunRef) > 0 {
		_, h.Omitted.LoudEnd = h.loudness(1)
		h.Omitted.Last = second
	}
	h.Omitted.Count++
	h.Omitted.Mixed = h.Omitted.Mixed || second.Category != first.Category
	h.Failures = slices.Delete(h.Failures, 1, 2)
	return h
}

// Successes are the newest runs of one job type that succeeded, in the order of
// [RunRef.Compare]: what a later run is compared with.
type Successes struct {
	Version int64        `json:"-"`
	Runs    []SuccessRun `json:"runs,omitempty"`
}

// SuccessRun holds the measures of one run. End is zero for a run without a start
// time: it has no duration.
type SuccessRun struct {
	FinishedRun
	// RunningSince is set for a run that was observed QUEUED: its first
	// observed RUNNING, from which its duration counts. UTC.
	RunningSince time.Time `json:"runningSince,omitzero"`
	Metrics      Metrics   `json:"metrics,omitempty"` // records; only the counters of measures
}

// measured are the counters that a comparison with earlier runs needs.
var measured = []Counter{InputRecords, TotalRecordsProcessed, RecordsNotProcessed, DeleteRecordsProcessed, TotalMappedRecords, MappedRecordsRemoved}

// SuccessOf is what is kept of a run that succeeded.
func SuccessOf(r Record) SuccessRun {
	run := SuccessRun{FinishedRun: FinishedRun{r.Job.Ref(), r.Job.EndTime}, RunningSince: r.runningSince()}
	if r.Clock().IsZero() {
		run.End = time.Time{} // Start holds the end time, and would make the duration zero
	}
	for _, counter := range measured {
		if n, ok := r.Job.Metrics[counter]; ok {
			if run.Metrics == nil {
				run.Metrics = make(Metrics)
			}
			run.Metrics[counter] = n
		}
	}
	return run
}

// clock is from when the run's duration counts.
func (run SuccessRun) clock() time.Time {
	if !run.RunningSince.IsZero() {
		return run.RunningSince
	}
	return run.Start
}

// Add is s with one more run; adding a run twice changes nothing.
func (s Successes) Add(r Record) Successes {
	run := SuccessOf(r)
	at, known := slices.BinarySearchFunc(s.Runs, run.RunRef, func(x SuccessRun, r RunRef) int { return x.Compare(r) })
	if known {
		return s
	}
	s.Runs = slices.Insert(slices.Clone(s.Runs), at, run)
	s.Runs = s.Runs[max(0, len(s.Runs)-maxSuccesses):]
	return s
}

// Clock is from when the job's duration counts, UTC: its first observed RUNNING
// if it was observed QUEUED, as its start time may be that of the request;
// otherwise its start time, which is zero when not given.
func (r Record) Clock() time.Time {
	if since := r.runningSince(); !since.IsZero() {
		return since
	}
	return r.Job.StartTime
}

// runningSince is the first observed RUNNING of a job that was observed QUEUED.
func (r Record) runningSince() time.Time {
	queued := false
	for _, m := range r.Timeline {
		switch m.Status {
		case Queued:
			queued = true
		case Running:
			if queued {
				return m.ObservedAt
			}
		}
	}
	return time.Time{}
}

// beginning cuts text to at most limit bytes, at a rune boundary.
func beginning(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && text[limit]&0xC0 == 0x80 {
		limit--
	}
	return text[:limit]
}
