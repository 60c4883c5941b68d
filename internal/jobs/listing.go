package jobs

import "time"

// Listing follows a workflow's job list page by page and knows when the
// remainder can stay unread.
type Listing struct {
	Newest time.Time // newest start time so far

	unordered bool      // the order so far is not newest first
	oldest    time.Time // start time of the last row that had one
	descents  int       // how often the start time fell from one row to the next
}

// Add takes in one page.
func (l *Listing) Add(rows []Job) {
	for _, row := range rows {
		l.compare(row.StartTime)
		if row.StartTime.After(l.Newest) {
			l.Newest = row.StartTime
		}
	}
}

func (l *Listing) compare(start time.Time) {
	switch {
	case start.IsZero():
		// A job without a start time belongs before all that have one.
		l.unordered = l.unordered || !l.oldest.IsZero()
	case l.oldest.IsZero():
		l.oldest = start
	case start.After(l.oldest):
		l.unordered = true
	case start.Before(l.oldest):
		l.oldest = start
		l.descents++
	}
}

// minDescents is how many times in a row the start time must have fallen before
// the list counts as newest first: by chance that happens once in 3.6 million.
const minDescents = 10

// Enough reports whether the remainder of the list is known: the rows prove that
// it is sorted newest first (the API documents no order), and what is left
// started well before the watermark.
func (l *Listing) Enough(w WorkflowState) bool {
	return !l.unordered && l.descents >= minDescents && w.behind(l.oldest)
}
