package jobs

import (
	"slices"
	"time"
)

// Watch is what is remembered of one workflow between sweeps.
type Watch struct {
	Workflow string
	ARN      string // workflow ARN
	Version  int64  // counts the writes; 0 is not stored yet

	// Since is when the workflow was first watched, by Entity Resolution's
	// clock. Zero while only single jobs of it are tracked.
	Since time.Time

	// SweptThrough is a start time: every job that started at or before it is
	// in the table, or ended before Since. Zero until a sweep was completed.
	SweptThrough time.Time

	// Resume is where a sweep that ran out of time goes on.
	Resume Resume

	// Jobs are ids that were named explicitly and are looked for even where
	// the workflow is not watched.
	Jobs []string

	// Unreadable says why the stored watch could not be read; nothing but
	// Workflow can be relied on then.
	Unreadable error `json:"-"`
}

// Resume is a list position within a sweep that takes more than one tick.
type Resume struct {
	Token  string    `json:"token,omitempty"` // ListIdMappingJobs nextToken
	Newest time.Time `json:"newest,omitzero"` // newest start time of the part already read
	Left   bool      `json:"left,omitempty"`  // something in that part could not be handled
}

// margin is how much later than its start a job may turn up in the list, and
// how far the clocks of Entity Resolution's own parts may lie apart.
const margin = time.Hour

// Settled tells whether a job that is over and not in the table is old news:
// it ended before the workflow was first watched, or it was recorded once and
// its record has expired. now is Entity Resolution's clock; retention is how
// long records are kept after a job's end.
//
// In doubt it says false: a message too many is better than one lost.
func (w Watch) Settled(j Job, now time.Time, retention time.Duration) bool {
	if !j.Terminal() || w.Since.IsZero() {
		return false
	}
	end := j.EndTime
	if end.IsZero() {
		end = j.StartTime
	}
	switch {
	case end.IsZero():
		// Nothing but the order of events tells: what is over when the first
		// sweep finds it was over before.
		return w.SweptThrough.IsZero()
	case !end.After(w.Since):
		return true
	case !end.Add(retention).After(now):
		return true
	default:
		return !j.StartTime.IsZero() && j.StartTime.Before(w.SweptThrough.Add(-margin))
	}
}

// Listing follows a workflow's job list, page by page, and says when the rest
// can be left unread.
type Listing struct {
	Rows   []Job // in the order read, each id once
	Newest time.Time

	seen     map[string]bool
	shuffled bool      // the order read so far is not newest first
	oldest   time.Time // start time of the last row that had one
	falls    int       // how often the start time fell from one row to the next
}

// Add takes in one page.
func (l *Listing) Add(rows []Job) {
	if l.seen == nil {
		l.seen = make(map[string]bool)
	}
	for _, row := range rows {
		l.follow(row.StartTime)
		if row.StartTime.After(l.Newest) {
			l.Newest = row.StartTime
		}
		if !l.seen[row.Job] {
			l.seen[row.Job] = true
			l.Rows = append(l.Rows, row)
		}
	}
}

func (l *Listing) follow(start time.Time) {
	switch {
	case start.IsZero():
		// A job that has no start yet belongs ahead of all that have one.
		l.shuffled = l.shuffled || !l.oldest.IsZero()
	case l.oldest.IsZero():
		l.oldest = start
	case start.After(l.oldest):
		l.shuffled = true
	case start.Before(l.oldest):
		l.oldest = start
		l.falls++
	}
}

// Has tells whether the list, as far as read, shows the job.
func (l *Listing) Has(job string) bool { return l.seen[job] }

// proof is how many times in a row the start time must have fallen before the
// list counts as newest first: by chance that happens once in 3.6 million.
const proof = 10

// Enough tells whether what was read makes the rest needless: the rows prove
// that order is newest first (the API documents none), every open job was
// among them, and all that is left started well before what was swept already.
func (l *Listing) Enough(w Watch, open []string) bool {
	return !l.shuffled && l.falls >= proof &&
		l.oldest.Before(w.SweptThrough.Add(-margin)) &&
		!slices.ContainsFunc(open, func(id string) bool { return !l.seen[id] })
}
