package jobs

import (
	"slices"
	"time"
)

const (
	// window is how many of the newest earlier runs make a usual range.
	window = 50
	// MinRuns is how many values a range needs.
	MinRuns = 5
	// trim sets how many outliers a range leaves out: one in so many values, at
	// each end.
	trim = 20
	// minVolume is how many records a share needs: a share of fewer is noise.
	minVolume = 100
	// wholeShare is 100% in basis points.
	wholeShare = 10_000

	nearShare   = 100 // basis points beyond the range of a share that are still usual
	nearPart    = 10  // beyond another range, one part in so many of its end is still usual
	nearSeconds = 60  // and this much more for a duration
)

// Measure is one figure of a finished run, spelled as the events' keys.
type Measure string

// The measures of a run. A rate is in basis points, rounded half up: 10,000 is
// 100%.
const (
	MeasureDuration         Measure = "durationSeconds"  // seconds
	MeasureInput            Measure = "inputRecords"     // records
	MeasureMappedRate       Measure = "mappedRate"       // totalMappedRecords of totalRecordsProcessed
	MeasureNotProcessedRate Measure = "notProcessedRate" // recordsNotProcessed of inputRecords
	MeasureRemovedRate      Measure = "removedRate"      // mappedRecordsRemoved of those and totalMappedRecords
)

// Measures lists every measure.
var Measures = []Measure{MeasureDuration, MeasureInput, MeasureMappedRate, MeasureNotProcessedRate, MeasureRemovedRate}

// Range is where a measure usually lies, in the measure's unit. Runs is how many
// values it was computed from.
type Range struct {
	Low, Median, High int64
	Runs              int
}

// width is how far apart the ends are.
func (r Range) width() int64 { return r.High - r.Low }

// steady reports whether the values lie so close together that a factor of one
// of them says something about the next run.
func (r Range) steady() bool { return 0 < r.High && r.High <= 2*r.Low }

// Usual holds the range of each measure that has one.
type Usual map[Measure]Range

// Word says where a value lies.
type Word string

// The words. A value a little outside the range is still usual.
const (
	WordBelow Word = "below"
	WordUsual Word = "usual"
	WordAbove Word = "above"
)

// Compared is one measure of a run beside its usual range.
type Compared struct {
	Measure Measure
	Value   int64
	Range   Range
	Word    Word
}

// Usual is the range of each measure over the newest 50 runs that stand before
// the given one. A measure with fewer than five values has none.
func (s Successes) Usual(before RunRef) Usual {
	earlier := s.before(before)
	earlier = earlier[max(0, len(earlier)-window):]
	ranges := make(Usual)
	for _, m := range Measures {
		var values []int64
		for _, run := range earlier {
			if value, ok := MeasureOf(run, m); ok {
				values = append(values, value)
			}
		}
		if r, ok := rangeOf(values); ok {
			ranges[m] = r
		}
	}
	return ranges
}

// Compare puts the run's mapped rate, duration and input beside their usual
// ranges, in this order. A measure without a value or a range is left out.
func (s Successes) Compare(run SuccessRun) []Compared {
	usual := s.Usual(run.RunRef)
	var all []Compared
	for _, m := range []Measure{MeasureMappedRate, MeasureDuration, MeasureInput} {
		value, ok := MeasureOf(run, m)
		r, known := usual[m]
		if ok && known {
			all = append(all, Compared{m, value, r, r.word(m, value)})
		}
	}
	return all
}

// word says where the value of a measure lies.
func (r Range) word(m Measure, value int64) Word {
	below, above := floorDiv(r.Low, nearPart), floorDiv(r.High, nearPart)
	switch m {
	case MeasureMappedRate:
		below, above = nearShare, nearShare
	case MeasureDuration:
		below, above = below+nearSeconds, above+nearSeconds
	}
	switch {
	case value < r.Low-below:
		return WordBelow
	case value > r.High+above:
		return WordAbove
	default:
		return WordUsual
	}
}

// before is the kept runs that stand before the given one, in order.
func (s Successes) before(run RunRef) []SuccessRun {
	at, _ := slices.BinarySearchFunc(s.Runs, run, func(x SuccessRun, r RunRef) int { return x.Compare(r) })
	return s.Runs[:at]
}

// rangeOf sorts the values and leaves out the outliers at each end. The median
// of an even number of values is the lower one.
func rangeOf(values []int64) (Range, bool) {
	n := len(values)
	if n < MinRuns {
		return Range{}, false
	}
	slices.Sort(values)
	k := n / trim
	return Range{Low: values[k], Median: values[(n-1)/2], High: values[n-1-k], Runs: n}, true
}

// MeasureOf is the run's value of a measure, in the measure's unit, and false
// where it has none. A missing counter is not zero.
func MeasureOf(run SuccessRun, m Measure) (int64, bool) {
	switch m {
	case MeasureDuration:
		return seconds(run.clock(), run.End)
	case MeasureInput:
		n, ok := run.Metrics[InputRecords]
		return n, ok
	case MeasureMappedRate:
		return run.Metrics.share(TotalMappedRecords, TotalRecordsProcessed)
	case MeasureNotProcessedRate:
		return run.Metrics.share(RecordsNotProcessed, InputRecords)
	case MeasureRemovedRate:
		removed, ok := run.Metrics[MappedRecordsRemoved]
		left, ok2 := run.Metrics[TotalMappedRecords]
		if !ok || !ok2 {
			return 0, false
		}
		return basisPoints(removed, removed+left)
	default:
		return 0, false
	}
}

// seconds is the whole seconds between two times, and false while either is
// missing or when they contradict each other. A time.Duration would overflow
// after 292 years.
func seconds(from, to time.Time) (int64, bool) {
	if from.IsZero() || to.IsZero() || to.Before(from) {
		return 0, false
	}
	n := to.Unix() - from.Unix()
	if to.Nanosecond() < from.Nanosecond() {
		n--
	}
	return n, true
}

// after is the time n seconds later, UTC.
func after(t time.Time, n int64) time.Time {
	return time.Unix(t.Unix()+n, int64(t.Nanosecond())).UTC()
}

func (m Metrics) share(part, whole Counter) (int64, bool) {
	p, ok := m[part]
	w, ok2 := m[whole]
	if !ok || !ok2 {
		return 0, false
	}
	return basisPoints(p, w)
}

// basisPoints is part of whole in basis points, rounded half up. It is false for
// too few records, and where the counters do not mean a part and its whole.
func basisPoints(part, whole int64) (int64, bool) {
	if whole < minVolume || part < 0 || part > whole {
		return 0, false
	}
	return (2*wholeShare*part + whole) / (2 * whole), true
}

// floorDiv rounds down, also where a counter is negative.
func floorDiv(n, by int64) int64 {
	if n < 0 {
		return -((-n + by - 1) / by)
	}
	return n / by
}

// Before is how many of the runs stand before the given one, of those that a range
// is computed from.
func (s Successes) Before(run RunRef) int { return len(s.before(run)) }
