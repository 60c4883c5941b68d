package jobs

import "time"

// Page is one page of a workflow's job list.
type Page struct {
	Rows []Job // Key, Status and the two times only
	// Unreadable is how many more rows there were, without a job id or a status.
	Unreadable int

	Next string // token of the next page; empty on the last
	// At is when the page was made by Entity Resolution's clock, the answer's
	// Date header, in UTC; zero when it had none.
	At time.Time
}
