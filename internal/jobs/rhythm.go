package jobs

import (
	"slices"
	"time"
)

// All in seconds.
const (
	week = 7 * 24 * 60 * 60
	// tolerance is how far apart two starts of one timetable may lie. Daylight
	// saving time moves a local timetable by an hour.
	tolerance = 90 * 60
	// punctual is how far apart half of them may lie, or there is no timetable.
	punctual = 10 * 60
	// latest is how late a start may be that still belongs to its slot.
	latest = 6 * 60 * 60
	// stale is after how long a missing run is not reported any more.
	stale = week
)

const (
	rhythmWeeks = 3 // how many weeks in a row a start has to recur to predict the next
	minSlots    = 5 // how many slots a rhythm needs in the past
	// graceFactor is how many times the latest start so far a run may be late.
	graceFactor = 3
)

// Rhythm is the timetable that a workflow's starts prove: of its slots so far,
// Kept of Of were followed by a start. Status and job type of the runs do not
// matter: a run that failed did start.
type Rhythm struct {
	Last     time.Time // newest start, UTC
	Kept, Of int

	ahead []int64 // slots after the newest start, ascending, in seconds since the epoch
	grace int64   // seconds that a start may be late before it is missing
}

// ExpectedStart is one run that should start. Times are UTC; By is when the run
// is missing. Kept and Of are those of the rhythm, zero for an interval set by
// hand.
type ExpectedStart struct {
	At   time.Time `json:"at"`
	By   time.Time `json:"by"`
	Last time.Time `json:"last"` // newest start: a missing run is reported once for each
	Kept int       `json:"kept,omitempty"`
	Of   int       `json:"of,omitempty"`
}

// RhythmOf is the rhythm of the starts, which are distinct, ascending and in
// seconds since the epoch as in [History], or nil if they have none.
//
// A start predicts a slot one week later if it had a start near it in both weeks
// before. A slot is decided once a start is known at its time or later. At least
// nine of ten decided slots have to be kept.
func RhythmOf(starts []int64) *Rhythm {
	starts = starts[max(0, len(starts)-maxStarts):]
	slots, offsets := predict(starts)
	kept, decided, latestKept := 0, 0, int64(0)
	for _, slot := range slots {
		i, _ := slices.BinarySearch(starts, slot-tolerance)
		if i == len(starts) {
			continue
		}
		decided++
		if late := max(0, starts[i]-slot); late <= latest {
			kept++
			latestKept = max(latestKept, late)
		}
	}
	if decided < minSlots || 10*kept < 9*decided {
		return nil
	}
	slices.Sort(offsets)
	if offsets[(len(offsets)-1)/2] > punctual {
		return nil
	}
	last := starts[len(starts)-1]
	ahead := slices.DeleteFunc(slots, func(slot int64) bool { return last >= slot-tolerance })
	return &Rhythm{Last: time.Unix(last, 0).UTC(), Kept: kept, Of: decided, ahead: ahead, grace: max(tolerance, graceFactor*latestKept)}
}

// predict returns the slots that the starts predict, ascending, and how far each
// start that predicts one lies from the start a week before.
func predict(starts []int64) (slots, offsets []int64) {
	for _, start := range starts {
		recurs := true
		for weeks := int64(1); weeks < rhythmWeeks && recurs; weeks++ {
			recurs = nearest(starts, start-weeks*week) <= tolerance
		}
		if recurs {
			slots = append(slots, start+week)
			offsets = append(offsets, nearest(starts, start-week))
		}
	}
	return slots, offsets
}

// nearest is how far the start nearest to at lies from it, in seconds. at is
// before the newest start.
func nearest(starts []int64, at int64) int64 {
	i, _ := slices.BinarySearch(starts, at)
	if i == 0 {
		return starts[0] - at
	}
	return min(starts[i]-at, at-starts[i-1])
}

// Next is the first slot ahead that is not missing yet at now, or nil.
func (r *Rhythm) Next(now time.Time) *ExpectedStart {
	if r == nil {
		return nil
	}
	for _, slot := range r.ahead {
		if e := r.expected(slot); now.Before(e.By) {
			return e
		}
	}
	return nil
}

// Missing is the first slot without a start at now, or nil. It is reported once
// for each newest start, and not while a job of the workflow is QUEUED or RUNNING.
func (r *Rhythm) Missing(now time.Time) *ExpectedStart {
	if r == nil || len(r.ahead) == 0 {
		return nil
	}
	e := r.expected(r.ahead[0])
	if now.Before(e.By) || now.After(after(e.By, stale)) {
		return nil
	}
	return e
}

func (r *Rhythm) expected(slot int64) *ExpectedStart {
	at := time.Unix(slot, 0).UTC()
	return &ExpectedStart{At: at, By: after(at, r.grace), Last: r.Last, Kept: r.Kept, Of: r.Of}
}

// Resumed is the first start after last, the newest start when a run was reported
// missing, and false while there is none. starts are as in [History].
func Resumed(last time.Time, starts []int64) (time.Time, bool) {
	i, _ := slices.BinarySearch(starts, last.Unix()+1)
	if i == len(starts) {
		return time.Time{}, false
	}
	return time.Unix(starts[i], 0).UTC(), true
}

// MissingEvery is the run that is missing at now where a run is expected every so
// often by a setting, or nil. It is reported once for each last start. A tenth of
// the interval, but at least 90 minutes, may pass after its end.
func MissingEvery(last time.Time, every time.Duration, now time.Time) *ExpectedStart {
	e := expectedEvery(last, every)
	if now.Before(e.By) {
		return nil
	}
	return e
}

func expectedEvery(last time.Time, every time.Duration) *ExpectedStart {
	at := last.Add(every).UTC()
	return &ExpectedStart{At: at, By: at.Add(max(tolerance*time.Second, (every / 10).Truncate(time.Second))), Last: last.UTC()}
}
