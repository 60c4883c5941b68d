package jobs

import "errors"

// What can go wrong with a call to the outside, as far as a caller decides by
// it. Adapters wrap one of these with the cause.
var (
	// ErrThrottled: too many requests; nothing more is to be asked this tick.
	ErrThrottled = errors.New("throttled")
	// ErrDenied: a permission is missing; someone has to grant it.
	ErrDenied = errors.New("access denied")
	// ErrNotFound: the service does not show the resource, now.
	ErrNotFound = errors.New("not found")
	// ErrRejected: the request itself is wrong (ValidationException).
	ErrRejected = errors.New("rejected as invalid")
	// ErrUnavailable: the service failed, did not answer or answered nonsense.
	ErrUnavailable = errors.New("unavailable")
	// ErrUnpublishable: the bus will never take this entry.
	ErrUnpublishable = errors.New("cannot be published")
	// ErrConflict: the item was changed since it was read.
	ErrConflict = errors.New("changed meanwhile")
)
