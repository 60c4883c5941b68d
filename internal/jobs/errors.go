package jobs

import "errors"

// The failures of a call that callers distinguish. Adapters wrap one of these with
// the cause.
var (
	// ErrThrottled: too many requests; nothing more is requested in this tick.
	ErrThrottled = errors.New("throttled")
	// ErrDenied: a permission is missing; someone has to grant it.
	ErrDenied = errors.New("access denied")
	// ErrNotFound: the service does not return the resource at this moment.
	ErrNotFound = errors.New("not found")
	// ErrRejected: the request itself is wrong (ValidationException).
	ErrRejected = errors.New("rejected as invalid")
	// ErrUnavailable: the service failed, did not respond or returned an unusable
	// response.
	ErrUnavailable = errors.New("unavailable")
	// ErrLate: the request was not sent, because its turn would come after the
	// deadline.
	ErrLate = errors.New("left for the next tick: no time is left")
	// ErrUnpublishable: the bus will never accept this entry.
	ErrUnpublishable = errors.New("cannot be published")
	// ErrConflict: the item was changed since it was read.
	ErrConflict = errors.New("changed since it was read")
)
