package jobs

import "time"

const (
	// earlyEnds is how long after its start a run often fails: a wrong
	// configuration shows then.
	earlyEnds = 5 * 60 // seconds
	// lateEnds is for how long a run is followed closely at most from the low end of
	// its usual duration on; together with earlyEnds half an hour.
	lateEnds = 25 * 60 // seconds
	// ahead is how long before the low end that begins: a tick that begins before the
	// window does not follow it.
	ahead = 60 // seconds
	// widest is how many times as high as the low end a usual duration may be that
	// says when a run ends.
	widest = 4
)

// Window is a time in which a running job is likely to end, UTC, Until excluded.
type Window struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
}

// OpenTimes are the times of an open job, by Entity Resolution's clock, that a later
// tick compares with. They are computed when its status changes.
type OpenTimes struct {
	// OverdueAt is when the job becomes overdue, UTC; zero while that is not known.
	OverdueAt time.Time `json:"overdueAt,omitzero"`
	// LikelyEnd is when its end is likely, of a RUNNING job.
	LikelyEnd []Window `json:"likelyEnd,omitempty"`
}

// EndIsLikely reports whether the end of the job is likely at the given time.
func (t OpenTimes) EndIsLikely(at time.Time) bool {
	for _, w := range t.LikelyEnd {
		if !at.Before(w.From) && at.Before(w.Until) {
			return true
		}
	}
	return false
}

// OpenTimes are the times of the job r. observed is the time of the observation.
func (h Histories) OpenTimes(rule OverdueRule, r Record, observed time.Time) OpenTimes {
	t := OpenTimes{OverdueAt: rule.At(h, r, observed)}
	if r.Job.Status == Running {
		t.LikelyEnd = h.Successes[r.Job.Type].likelyEnd(r.Job.Ref(), r.clock(observed))
	}
	return t
}

// likelyEnd is when a running job is likely to end: in its first five minutes, and
// from a minute before the low end of its usual duration until twice the high end,
// but for no more than 25 minutes. There is no such time where durations vary by more
// than four times.
func (s Successes) likelyEnd(job RunRef, clock time.Time) []Window {
	if clock.IsZero() {
		return nil
	}
	r, known := s.Usual(job)[MeasureDuration]
	if known && r.High > widest*r.Low {
		return nil
	}
	windows := []Window{{clock, after(clock, earlyEnds)}}
	if from := r.Low - ahead; known && from < earlyEnds {
		windows[0].Until = after(clock, max(earlyEnds, min(2*r.High, max(0, from)+lateEnds)))
	} else if known {
		windows = append(windows, Window{after(clock, from), after(clock, min(2*r.High, from+lateEnds))})
	}
	return windows
}
