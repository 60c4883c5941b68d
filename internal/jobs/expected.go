package jobs

import "time"

const (
	// overdueLeast is how long after its usual high a run is overdue at the
	// earliest.
	overdueLeast = 30 * 60 // seconds
	// overdueUnknown is after how long a run is overdue whose job type has no
	// usual duration yet, unless a run is known to have taken half of it.
	overdueUnknown = 24 * 60 * 60 // seconds
)

// ExpectedEnd is when a running job should end, UTC: the middle and the ends of
// the usual range, over so many runs.
type ExpectedEnd struct {
	At, Earliest, Latest time.Time
	Runs                 int
}

// ExpectedEnd is when a RUNNING job should end, by the usual duration of the runs
// before it, and nil where that is not known. clock is [Record.Clock].
func (s Successes) ExpectedEnd(job RunRef, status Status, clock time.Time) *ExpectedEnd {
	r, known := s.Usual(job)[MeasureDuration]
	if status != Running || !known || clock.IsZero() {
		return nil
	}
	return &ExpectedEnd{At: after(clock, r.Median), Earliest: after(clock, r.Low), Latest: after(clock, r.High), Runs: r.Runs}
}

// OverdueAt is from when an open job is overdue, UTC, and zero where its clock is
// not known. clock is [Record.Clock]. A QUEUED job is not overdue while
// another ID mapping job of the account is RUNNING: it waits for that one.
func (s Successes) OverdueAt(job RunRef, clock time.Time) time.Time {
	if clock.IsZero() {
		return time.Time{}
	}
	if r, known := s.Usual(job)[MeasureDuration]; known {
		return after(clock, max(r.overdueLimit(), r.High+overdueLeast))
	}
	var longest int64
	for _, run := range s.before(job) {
		if d, ok := MeasureOf(run, MeasureDuration); ok {
			longest = max(longest, d)
		}
	}
	return after(clock, max(overdueUnknown, 2*longest))
}

// overdueLimit is 2.5 times the high of a steady range of durations, and four
// times that of another, in seconds.
func (r Range) overdueLimit() int64 {
	if r.steady() {
		return r.High * 5 / 2
	}
	return r.High * 4
}

// OverdueRule says when jobs are overdue. The zero rule learns it from earlier runs.
type OverdueRule struct {
	Off   bool
	After time.Duration // since the start, whatever is usual; 0 is learned
}

// At is when the job r becomes overdue, by Entity Resolution's clock, UTC; zero if
// never. observed is the time of the observation.
func (o OverdueRule) At(h Histories, r Record, observed time.Time) time.Time {
	clock := r.clock(observed)
	switch {
	case o.Off || !r.Job.Status.Known() || r.Job.Terminal():
		return time.Time{}
	case o.After > 0:
		return clock.Add(o.After)
	default:
		return h.Successes[r.Job.Type].OverdueAt(r.Job.Ref(), clock)
	}
}
