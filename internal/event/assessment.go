package event

import (
	"time"

	"github.com/idmapping/notifier/internal/jobs"
)

// Assessment is how a run compares with earlier runs of its workflow. Every key is
// absent when there is nothing to say. The measures of the ranges are
// durationSeconds, inputRecords, mappedRate, notProcessedRate and removedRate:
// seconds, records, and fractions with four decimals.
type Assessment struct {
	Usual       map[jobs.Measure]Range `json:"usual,omitempty"`       // of a terminal status, by measure
	EarlierRuns *int                   `json:"earlierRuns,omitempty"` // comparable successes known, where they are too few for a range
	Comparison  []Compared             `json:"comparison,omitempty"`  // of a success
	Findings    []Finding              `json:"findings,omitempty"`    // of a success
	ExpectedEnd *ExpectedEnd           `json:"expectedEnd,omitempty"`
	Streak      *Streak                `json:"streak,omitempty"`
	LastSuccess *LastSuccess           `json:"lastSuccess,omitempty"` // the newest before a failure, of any job type
	Recovery    *Recovery              `json:"recovery,omitempty"`
	Overdue     *OverdueSince          `json:"overdue,omitempty"`  // of a terminal status of a job that was reported overdue
	WaitsFor    *WaitsFor              `json:"waitsFor,omitempty"` // of a QUEUED job, where it is known
}

// Range is the usual range of one measure.
type Range struct {
	Low    float64 `json:"low"`
	Median float64 `json:"median"`
	High   float64 `json:"high"`
	Runs   int     `json:"runs"` // from how many runs
}

// Compared is a measure of a success with its usual range.
type Compared struct {
	Measure jobs.Measure `json:"measure"`
	Value   float64      `json:"value"`
	Low     float64      `json:"low"`
	High    float64      `json:"high"`
	Runs    int          `json:"runs"`
	Word    jobs.Word    `json:"word"`
}

// Finding is a reason to check a run that succeeded.
type Finding struct {
	Code    jobs.FindingCode `json:"code"`
	Measure jobs.Measure     `json:"measure"`
	Value   *float64         `json:"value,omitempty"`
	Again   bool             `json:"again"`          // the comparable run before had the same code
	Low     *float64         `json:"low,omitempty"`  // absent, as High and Runs, when no range is known
	High    *float64         `json:"high,omitempty"` // or needed
	Runs    int              `json:"runs,omitempty"`
}

// ExpectedEnd is when a RUNNING job should end, UTC.
type ExpectedEnd struct {
	At       time.Time `json:"at"`
	Earliest time.Time `json:"earliest"`
	Latest   time.Time `json:"latest"`
	Runs     int       `json:"runs"`
}

// Streak is an unbroken run of failures, up to and including this one.
type Streak struct {
	Failures     int       `json:"failures"`
	SameCategory bool      `json:"sameCategory"`   // all of them have this one's category
	Since        time.Time `json:"since,omitzero"` // end of the first, UTC
	FirstJobID   string    `json:"firstJobId"`
	Repeated     bool      `json:"repeated"` // for the same reason as the one before; see jobs.History.Streak
}

// LastSuccess names the newest earlier success.
type LastSuccess struct {
	JobID   string    `json:"jobId"`
	EndTime time.Time `json:"endTime,omitzero"` // UTC
}

// Recovery is the unbroken run of failures that a success ends.
type Recovery struct {
	Failures   int       `json:"failures"`
	Since      time.Time `json:"since,omitzero"` // end of the first, UTC
	FirstJobID string    `json:"firstJobId"`
	LastJobID  string    `json:"lastJobId"`
}

// OverdueSince is when a job became overdue, UTC.
type OverdueSince struct {
	Since time.Time `json:"since"`
}

// WaitsFor names the RUNNING job that a QUEUED one waits for.
type WaitsFor struct {
	WorkflowName string `json:"workflowName"`
	JobID        string `json:"jobId"`
}

// assessmentOf converts basis points to fractions, and cuts times to whole seconds.
func assessmentOf(a jobs.Assessment) Assessment {
	out := Assessment{EarlierRuns: a.EarlierRuns, Usual: UsualOf(a.Usual)}
	for _, c := range a.Comparison {
		out.Comparison = append(out.Comparison, Compared{c.Measure, figure(c.Measure, c.Value),
			figure(c.Measure, c.Range.Low), figure(c.Measure, c.Range.High), c.Range.Runs, c.Word})
	}
	for _, f := range a.Findings {
		finding := Finding{Code: f.Code, Measure: f.Measure, Again: f.Again}
		if f.HasValue {
			value := figure(f.Measure, f.Value)
			finding.Value = &value
		}
		if f.Range != nil {
			low, high := figure(f.Measure, f.Range.Low), figure(f.Measure, f.Range.High)
			finding.Low, finding.High, finding.Runs = &low, &high, f.Range.Runs
		}
		out.Findings = append(out.Findings, finding)
	}
	if e := a.ExpectedEnd; e != nil {
		out.ExpectedEnd = &ExpectedEnd{seconds(e.At), seconds(e.Earliest), seconds(e.Latest), e.Runs}
	}
	if s := a.Streak; s != nil {
		out.Streak = &Streak{s.Failures, s.SameCategory, seconds(s.Since), s.FirstJobID, s.Repeated}
	}
	if l := a.LastSuccess; l != nil {
		out.LastSuccess = &LastSuccess{l.Job, seconds(l.End)}
	}
	if r := a.Recovery; r != nil {
		out.Recovery = &Recovery{r.Failures, seconds(r.Since), r.FirstJobID, r.LastJobID}
	}
	if !a.OverdueSince.IsZero() {
		out.Overdue = &OverdueSince{seconds(a.OverdueSince)}
	}
	if w := a.WaitsFor; w != nil {
		out.WaitsFor = &WaitsFor{w.Workflow, w.Job}
	}
	return out
}

// UsualOf is the usual ranges as an event has them; nil where there is none.
func UsualOf(usual jobs.Usual) map[jobs.Measure]Range {
	if len(usual) == 0 {
		return nil
	}
	out := make(map[jobs.Measure]Range)
	for measure, r := range usual {
		out[measure] = Range{figure(measure, r.Low), figure(measure, r.Median), figure(measure, r.High), r.Runs}
	}
	return out
}

// figure is a value as an event has it: rates are computed in basis points.
func figure(measure jobs.Measure, value int64) float64 {
	switch measure {
	case jobs.MeasureMappedRate, jobs.MeasureNotProcessedRate, jobs.MeasureRemovedRate:
		return float64(value) / 10_000
	default:
		return float64(value)
	}
}

func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
