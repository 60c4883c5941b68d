package jobs

import (
	"cmp"
	"slices"
	"time"
)

// Assessment is how a run compares with earlier runs of its workflow. Every field
// is zero where nothing is known or there is nothing to say.
type Assessment struct {
	Usual Usual // of a terminal status
	// EarlierRuns is the number of comparable successes known, of a success without
	// a usual range; otherwise nil.
	EarlierRuns *int
	Comparison  []Compared   // of a success
	Findings    []Finding    // of a success
	ExpectedEnd *ExpectedEnd // of a RUNNING job
	Streak      *Streak      // of a failure
	LastSuccess *FinishedRun // the newest before a failure
	Recovery    *Recovery    // of a success
	WaitsFor    *Key         // the RUNNING job that a QUEUED one waits for
	// OverdueSince is set on a terminal status of a job that was reported overdue.
	OverdueSince time.Time
}

// Assess compares the run r, as now observed, with the earlier runs of its
// workflow. observed is the time of the observation. Until the history of a newly
// watched workflow is complete nothing can be compared: only the findings that
// need no earlier run are reported.
func (h Histories) Assess(r Record, complete bool, observed time.Time) Assessment {
	var a Assessment
	job, ref := r.Job, r.Job.Ref()
	if !complete {
		if job.Status == Succeeded {
			a.Findings = Successes{}.Findings(job.Type, SuccessOf(r))
		}
		return a
	}
	successes := h.Successes[job.Type]
	if job.Terminal() {
		a.Usual = successes.Usual(ref)
	}
	switch job.Status {
	case Running:
		a.ExpectedEnd = successes.ExpectedEnd(ref, job.Status, r.clock(observed))
	case Succeeded:
		run := SuccessOf(r)
		a.Comparison, a.Findings = successes.Compare(run), successes.Findings(job.Type, run)
		a.Recovery = h.Runs.Recovery(ref)
		if len(a.Usual) == 0 {
			n := successes.Before(ref)
			a.EarlierRuns = &n
		}
	case Failed:
		a.Streak = h.Runs.Add(job).Streak(ref)
		a.LastSuccess = h.Runs.LastSuccessBefore(ref)
	}
	return a
}

// AssessOpen compares the open run r with the earlier runs of its workflow.
func (h Histories) AssessOpen(r Record, observed time.Time) Assessment {
	successes := h.Successes[r.Job.Type]
	return Assessment{Usual: successes.Usual(r.Job.Ref()), ExpectedEnd: successes.ExpectedEnd(r.Job.Ref(), r.Job.Status, r.clock(observed))}
}

// clock is from when the duration of an open job counts that is observed now.
func (r Record) clock(observed time.Time) time.Time {
	queued := func(m Milestone) bool { return m.Status == Queued }
	if r.Job.Status == Queued {
		return cmp.Or(r.Job.StartTime, observed) // its clock runs from the request
	}
	if r.runningSince().IsZero() && slices.ContainsFunc(r.Timeline, queued) || r.Clock().IsZero() {
		return observed
	}
	return r.Clock()
}
