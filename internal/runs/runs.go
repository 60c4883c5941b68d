// Package runs shows the runs of one workflow beside what was usual at the time: as
// rows, as a table and a plot for a terminal, and as an HTML page. It is pure: no I/O
// and no clock.
package runs

import (
	"cmp"
	"slices"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

// Run is one run. A figure that Entity Resolution did not give is nil; a rate is a
// fraction. Times are UTC.
type Run struct {
	Job              string        `json:"job"`
	Type             string        `json:"type,omitempty"`
	Status           jobs.Status   `json:"status"`
	Open             bool          `json:"open"`
	StartTime        time.Time     `json:"startTime,omitzero"`
	EndTime          time.Time     `json:"endTime,omitzero"`
	DurationSeconds  *int64        `json:"durationSeconds,omitempty"`
	InputRecords     *int64        `json:"inputRecords,omitempty"`
	MappedRate       *float64      `json:"mappedRate,omitempty"`
	NotProcessedRate *float64      `json:"notProcessedRate,omitempty"`
	Category         jobs.Category `json:"errorCategory,omitempty"`
	Error            string        `json:"errorMessage,omitempty"`
	// Usual is the range of each measure that the run was compared with, or would be.
	Usual map[jobs.Measure]event.Range `json:"usual,omitempty"`
	// Unusual are the measures outside their usual range, of a success.
	Unusual map[jobs.Measure]jobs.Word `json:"unusual,omitempty"`

	at     time.Time // where it stands on a time axis
	clock  time.Time // from when its duration counts
	usual  jobs.Usual
	values map[jobs.Measure]int64
}

// Failed reports whether the run ended without a success.
func (r Run) Failed() bool { return !r.Open && r.Status != jobs.Succeeded }

// Of is the runs of records of one workflow, the oldest first, each with the range
// that it was compared with: of the successes of its type before it. kept are those
// of the workflow's histories, by job type, which reach further back than the archive
// where runs are rare.
func Of(records []jobs.Record, kept map[string]jobs.Successes) []Run {
	records = slices.SortedFunc(slices.Values(records), func(a, b jobs.Record) int {
		return cmp.Or(position(a).Compare(position(b)), cmp.Compare(a.Job.Job, b.Job.Job))
	})
	successes := older(kept, records)
	var all []Run
	for _, r := range records {
		earlier := successes[r.Job.Type]
		all = append(all, runOf(r, earlier))
		if r.Succeeded() {
			successes[r.Job.Type] = earlier.Add(r)
		}
	}
	return all
}

// older are the kept successes that are not among the records, by job type.
func older(kept map[string]jobs.Successes, records []jobs.Record) map[string]jobs.Successes {
	recorded := make(map[string]bool)
	for _, r := range records {
		recorded[r.Job.Job] = true
	}
	successes := make(map[string]jobs.Successes)
	for jobType, s := range kept {
		s.Runs = slices.DeleteFunc(slices.Clone(s.Runs), func(r jobs.SuccessRun) bool { return recorded[r.Job] })
		successes[jobType] = s
	}
	return successes
}

// position is where a run stands: at its start, otherwise at what else is known.
func position(r jobs.Record) time.Time {
	if at := r.Job.Ref().Start; !at.IsZero() {
		return at
	}
	return r.FinishedAt()
}

func runOf(r jobs.Record, earlier jobs.Successes) Run {
	run := Run{Job: r.Job.Job, Type: r.Job.Type, Status: r.Job.Status, Open: r.Open(), StartTime: r.Job.StartTime, EndTime: r.Job.EndTime,
		Error: r.Job.Error, at: position(r), clock: r.Clock(), usual: earlier.Usual(r.Job.Ref()), values: make(map[jobs.Measure]int64)}
	if r.Vanished {
		run.Status = jobs.Vanished
	}
	run.Usual = event.UsualOf(run.usual)
	measured := jobs.SuccessOf(r)
	for _, m := range jobs.Measures {
		if value, ok := jobs.MeasureOf(measured, m); ok {
			run.values[m] = value
		}
	}
	if seconds, ok := run.values[jobs.MeasureDuration]; ok {
		run.DurationSeconds = &seconds
	}
	if n, ok := r.Job.Metrics[jobs.InputRecords]; ok {
		run.InputRecords = &n
	}
	if rate, ok := r.Job.Metrics.MappedRate(); ok {
		run.MappedRate = &rate
	}
	if rate, ok := r.Job.Metrics.NotProcessedRate(); ok {
		run.NotProcessedRate = &rate
	}
	if r.Job.Status == jobs.Failed {
		run.Category = jobs.Categorize(r.Job.Error)
	}
	if !r.Succeeded() {
		return run
	}
	for _, c := range earlier.Compare(measured) {
		if c.Word != jobs.WordUsual {
			if run.Unusual == nil {
				run.Unusual = make(map[jobs.Measure]jobs.Word)
			}
			run.Unusual[c.Measure] = c.Word
		}
	}
	return run
}

// Since is the runs that are open or finished at or after a time.
func Since(all []Run, since time.Time) []Run {
	return slices.DeleteFunc(slices.Clone(all), func(r Run) bool {
		finished := cmp.Or(r.EndTime, r.at)
		return !r.Open && finished.Before(since)
	})
}

// Summary counts runs.
type Summary struct {
	Runs                  int    `json:"runs"`
	Failures              int    `json:"failures"`
	Open                  int    `json:"open"`
	MedianDurationSeconds *int64 `json:"medianDurationSeconds,omitempty"` // of the successes
}

// Summarize counts the runs.
func Summarize(all []Run) Summary {
	s := Summary{Runs: len(all)}
	var durations []int64
	for _, r := range all {
		switch {
		case r.Open:
			s.Open++
		case r.Failed():
			s.Failures++
		case r.DurationSeconds != nil:
			durations = append(durations, *r.DurationSeconds)
		}
	}
	if len(durations) > 0 {
		slices.Sort(durations)
		s.MedianDurationSeconds = &durations[(len(durations)-1)/2]
	}
	return s
}
