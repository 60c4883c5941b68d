package jobs

// Verdict is the result of comparing an observation with what is known.
type Verdict int

const (
	// Unchanged: nothing to record, nothing to publish.
	Unchanged Verdict = iota
	// Changed: a transition, to be recorded and published.
	Changed
	// Regressed: the observation is older than what is known, as a read of Entity
	// Resolution can be for a moment; it is ignored and counted.
	Regressed
)

// String names the verdict in logs.
func (v Verdict) String() string {
	return [...]string{"unchanged", "changed", "regressed"}[v]
}

// Transition is one change of a job's status. Previous equals Job.Status where
// only an end time was added to a status that this version does not know: the
// job reached its end under the same name.
type Transition struct {
	Job      Job      // as observed after the change
	Previous Status   // empty when the job is observed for the first time
	Skipped  []Status // statuses between the two that were not observed

	Assessment Assessment // how the run compares with earlier ones; see Histories.Assess
}

// Advance compares observed with known, the job as last recorded, or nil when it
// is observed for the first time. A job never moves back to an
// earlier [Stage], each pair of different statuses is one transition, and the
// same observation twice changes nothing. The transition is meaningful only
// with the verdict Changed.
//
// [WorkflowState.PredatesWatch] decides whether a job observed for the first time
// needs no record.
func Advance(known *Job, observed Job) (Verdict, Transition) {
	switch {
	case known == nil:
		return Changed, Transition{Job: observed, Skipped: skipped("", observed)}
	case observed.Status == known.Status && (known.Terminal() || !observed.Terminal()):
		return Unchanged, Transition{}
	case observed.Stage() < known.Stage():
		return Regressed, Transition{}
	default:
		return Changed, Transition{Job: observed, Previous: known.Status, Skipped: skipped(known.Status, observed)}
	}
}

// skipped names the documented statuses between from and the observed one.
// QUEUED is not named when a job is observed for the first time: not every job has
// to wait.
func skipped(from Status, observed Job) []Status {
	if observed.Stage() == Terminal && (from == "" || from == Queued) {
		return []Status{Running}
	}
	return nil
}
