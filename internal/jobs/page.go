package jobs

import "time"

// Page is one page of a workflow's job list.
type Page struct {
	Rows []Job  // Key, Status and the two times only
	Next string // token of the next page; empty on the last
	// At is when the page was made by Entity Resolution's clock, the answer's
	// Date header, in UTC; zero when it had none.
	At time.Time
}
