package notify

import (
	"errors"
	"fmt"
	"time"
)

// Reason sorts failures by what has to happen before another attempt.
type Reason string

const (
	// RateLimited: the destination asked to wait; it receives nothing meanwhile.
	RateLimited Reason = "rate_limited"
	// Unavailable: an outage or a broken connection; another attempt helps. The
	// message may have arrived.
	Unavailable Reason = "unavailable"
	// Misconfigured: wrong token, channel, address or permission; someone has to
	// correct a setting first.
	Misconfigured Reason = "misconfigured"
	// Refused: the destination will never accept this message.
	Refused Reason = "refused"
)

// Failure is why a delivery failed. Channels return no other error.
type Failure struct {
	Reason Reason
	After  time.Duration // how long the destination asked to wait; zero when it did not say
	Err    error         // the full cause, for the log; never holds a secret
	// Summary is a short code such as "Slack: channel_not_found" that readers
	// of other channels may see: it holds no account ID, ARN, parameter name or
	// address.
	Summary string
}

// Error says the reason and the cause.
func (f *Failure) Error() string { return fmt.Sprintf("%s: %v", f.Reason, f.Err) }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// FailureOf finds the Failure in err. Any other error counts as Unavailable,
// because another attempt loses nothing.
func FailureOf(err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	return &Failure{Reason: Unavailable, Err: err}
}

// Claimed is returned while another invocation delivers to the same destination
// a transition of the same job.
type Claimed struct {
	Until time.Time // when its claim expires, UTC
}

// Error says until when.
func (c *Claimed) Error() string {
	return fmt.Sprintf("claimed by another invocation until %s", c.Until.Format(time.RFC3339))
}
