package jobs

import "time"

// Verdict is what an observation means beside what is known.
type Verdict int

const (
	// Unchanged: nothing to write, nothing to tell.
	Unchanged Verdict = iota
	// Changed: a transition, to be recorded and announced.
	Changed
	// Refined: the job has come to its end within a status that was announced
	// already; to be recorded, not announced again.
	Refined
	// Regressed: the observation lies behind what is known, which Entity
	// Resolution's reads can do for a moment; to be ignored and counted.
	Regressed
)

// String names the verdict in logs.
func (v Verdict) String() string {
	return [...]string{"unchanged", "changed", "refined", "regressed"}[v]
}

// Transition is one change of a job's status.
type Transition struct {
	Job      Job      // as observed after the change
	Previous Status   // empty on first sight
	Skipped  []Status // steps of a job's life that lie between and were not seen
}

// Advance decides what observed means beside known, the job as last recorded,
// or nil when it is seen for the first time. It holds that a job never moves
// back to an earlier [Stage], that each pair of different statuses is one
// transition, and that the same observation twice changes nothing. The
// transition is meaningful only with the verdict Changed.
//
// Whether a job seen for the first time is old news is not decided here but by
// [Watch.Settled].
func Advance(known *Job, observed Job) (Verdict, Transition) {
	if known == nil {
		return Changed, Transition{Job: observed, Skipped: skipped("", observed)}
	}
	if observed.Status == known.Status {
		if observed.Terminal() && !known.Terminal() {
			return Refined, Transition{}
		}
		return Unchanged, Transition{}
	}
	if observed.Stage() < known.Stage() {
		return Regressed, Transition{}
	}
	return Changed, Transition{Job: observed, Previous: known.Status, Skipped: skipped(known.Status, observed)}
}

// skipped names the documented steps between from and the observed status.
// QUEUED is not named on first sight: not every job has to wait.
func skipped(from Status, observed Job) []Status {
	if observed.Stage() == Terminal && (from == "" || from == Queued) {
		return []Status{Running}
	}
	return nil
}

// Entry is an event on its way to the bus: it lies in its job's outbox from the
// write that recorded the transition until the bus has taken it.
type Entry struct {
	ID         string    `json:"id"`  // the transition id: the same transition always has the same one
	Seq        int64     `json:"seq"` // version of the record that the entry came with: the order within a job
	DetailType string    `json:"detailType"`
	Time       time.Time `json:"time"`     // UTC
	Resource   string    `json:"resource"` // workflow ARN
	Detail     string    `json:"detail"`   // JSON
	ObservedAt time.Time `json:"seenAt"`   // when it was put here; UTC by the poller's clock
}

// Record is what is kept of one job.
type Record struct {
	Job      Job
	Version  int64   // counts the writes that changed the job; 0 is not stored yet
	Pending  []Entry // the outbox, by Seq
	Missing  Missing
	Vanished bool // reported as vanished; no longer looked for
	Expiring bool // has its expiry set

	// Unreadable says why the stored record could not be read; nothing but
	// Job.Key can be relied on then.
	Unreadable error
}

// Open tells whether the job still has to be looked for.
func (r Record) Open() bool { return !r.Job.Terminal() && !r.Vanished }

// Missing counts the sweeps that did not find a job that should be there.
type Missing struct {
	Count int       `json:"count,omitempty"`
	Since time.Time `json:"since,omitzero"` // UTC
}

// Misses and time over which a job has to stay missing before it is reported:
// reads right after a start or a change can miss it for a moment.
const (
	vanishedAfterMisses = 3
	vanishedAfter       = 10 * time.Minute
)

// Miss decides what it means that r's job was not found at now: what its
// Missing becomes, and whether it has now vanished. Missing is worth a write
// only when it differs from r's.
func Miss(r Record, now time.Time) (Missing, bool) {
	m := r.Missing
	if m.Count == 0 {
		return Missing{Count: 1, Since: now}, false
	}
	if m.Count < vanishedAfterMisses {
		m.Count++
	}
	return m, m.Count >= vanishedAfterMisses && now.Sub(m.Since) >= vanishedAfter
}
