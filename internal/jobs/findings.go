package jobs

import "slices"

const (
	// expectedMapped is how many mapped records the low end of the range has to
	// promise before a mapped rate is judged.
	expectedMapped = 30
	// dropRate, rejectRate and removeRate are how far a rate has to lie outside
	// its range at least, in basis points.
	dropRate   = 500
	rejectRate = 200
	removeRate = 1000
	// riseFactor is how many times its high a rate has to be at least.
	riseFactor = 3
)

// FindingCode names what is wrong with a run that succeeded.
type FindingCode string

// The findings. ZeroInput, ZeroProcessed and ZeroMapped are absolute: they are
// reported from the first run on.
const (
	ZeroInput        FindingCode = "ZERO_INPUT"
	ZeroProcessed    FindingCode = "ZERO_PROCESSED"
	InputLow         FindingCode = "INPUT_LOW"
	ZeroMapped       FindingCode = "ZERO_MAPPED"
	MappedLow        FindingCode = "MAPPED_LOW"
	NotProcessedHigh FindingCode = "NOT_PROCESSED_HIGH"
	RemovedHigh      FindingCode = "REMOVED_HIGH"
)

// FindingCodes lists every code in the order in which findings are reported.
var FindingCodes = []FindingCode{ZeroInput, ZeroProcessed, InputLow, ZeroMapped, MappedLow, NotProcessedHigh, RemovedHigh}

// Finding is one thing that is wrong with a run that succeeded.
type Finding struct {
	Code     FindingCode
	Measure  Measure
	Value    int64 // in the measure's unit, if HasValue
	HasValue bool
	Again    bool   // the run right before it had the same finding
	Range    *Range // nil for an absolute finding
}

// Findings is what to report of a run of the job type that succeeded, in the
// order of [FindingCodes]. More input, more mapped records and a shorter duration
// are never findings.
//
// It is exact while the 51 newest successes before the run are kept, so for a run
// that is not added yet: Again compares the previous run with its own 50 earlier
// runs.
func (s Successes) Findings(jobType string, run SuccessRun) []Finding {
	found := s.findings(jobType, run)
	if len(found) == 0 {
		return nil
	}
	earlier := s.before(run.RunRef)
	if len(earlier) == 0 {
		return found
	}
	previous := s.findings(jobType, earlier[len(earlier)-1])
	for i, f := range found {
		found[i].Again = slices.ContainsFunc(previous, func(p Finding) bool { return p.Code == f.Code })
	}
	return found
}

// findings leaves Again unset.
func (s Successes) findings(jobType string, run SuccessRun) []Finding {
	if jobType == "DELETE_ONLY" {
		return nil
	}
	usual := s.Usual(run.RunRef)
	if f, ok := emptyBatch(jobType, run, usual); ok {
		return []Finding{f}
	}
	var found []Finding
	for _, judge := range []func(SuccessRun, Usual) (Finding, bool){lowInput, lowMapped, highNotProcessed, highRemoved} {
		if f, ok := judge(run, usual); ok {
			found = append(found, f)
		}
	}
	return found
}

// emptyBatch is the finding of a BATCH run that read or processed nothing, which
// explains whatever else is wrong with it. An INCREMENTAL run is often empty.
func emptyBatch(jobType string, run SuccessRun, usual Usual) (Finding, bool) {
	if jobType != "BATCH" {
		return Finding{}, false
	}
	input, given := run.Metrics[InputRecords]
	processed, ok := run.Metrics[TotalRecordsProcessed]
	r := usual.find(MeasureInput)
	switch {
	case given && input == 0 && (r == nil || r.Low != 0):
		return finding(ZeroInput, run, MeasureInput, r), true
	case ok && processed == 0 && given && input >= minVolume:
		return finding(ZeroProcessed, run, MeasureInput, nil), true
	default:
		return Finding{}, false
	}
}

// lowInput finds less than half of the usual low. It judges only where the range
// is even downwards: its low is at least two thirds of its median.
func lowInput(run SuccessRun, usual Usual) (Finding, bool) {
	input, ok := run.Metrics[InputRecords]
	r := usual.find(MeasureInput)
	if !ok || r == nil || r.Low < minVolume || 2*r.Median > 3*r.Low || 2*input >= r.Low {
		return Finding{}, false
	}
	return finding(InputLow, run, MeasureInput, r), true
}

// lowMapped finds no mapped records at all, or a mapped rate far below its range.
// It judges only where the usual low promises enough mapped records.
func lowMapped(run SuccessRun, usual Usual) (Finding, bool) {
	rate, ok := MeasureOf(run, MeasureMappedRate)
	if !ok {
		return Finding{}, false
	}
	r := usual.find(MeasureMappedRate)
	expected := r != nil && r.Low*run.Metrics[TotalRecordsProcessed] >= expectedMapped*wholeShare
	switch {
	case run.Metrics[TotalMappedRecords] == 0:
		return finding(ZeroMapped, run, MeasureMappedRate, r), r == nil || expected
	case expected:
		low := rate < r.Low-max(dropRate, r.width()) || r.steady() && 2*rate < r.Low
		return finding(MappedLow, run, MeasureMappedRate, r), low
	default:
		return Finding{}, false
	}
}

func highNotProcessed(run SuccessRun, usual Usual) (Finding, bool) {
	r := usual.find(MeasureNotProcessedRate)
	high := run.above(MeasureNotProcessedRate, r, rejectRate) && run.Metrics[RecordsNotProcessed] >= minVolume
	return finding(NotProcessedHigh, run, MeasureNotProcessedRate, r), high
}

// highRemoved does not count what the run was asked to delete.
func highRemoved(run SuccessRun, usual Usual) (Finding, bool) {
	r := usual.find(MeasureRemovedRate)
	unasked := run.Metrics[MappedRecordsRemoved] - run.Metrics[DeleteRecordsProcessed]
	high := run.above(MeasureRemovedRate, r, removeRate) && unasked >= minVolume
	return finding(RemovedHigh, run, MeasureRemovedRate, r), high
}

// above reports whether a rate lies above its range by at least the given basis
// points, the range's width, and a factor.
func (run SuccessRun) above(m Measure, r *Range, least int64) bool {
	rate, ok := MeasureOf(run, m)
	return ok && r != nil && rate > max(riseFactor*r.High, r.High+max(least, r.width()))
}

// find is the range of a measure, or nil.
func (u Usual) find(m Measure) *Range {
	if r, ok := u[m]; ok {
		return &r
	}
	return nil
}

func finding(code FindingCode, run SuccessRun, m Measure, r *Range) Finding {
	value, ok := MeasureOf(run, m)
	return Finding{Code: code, Measure: m, Value: value, HasValue: ok, Range: r}
}
