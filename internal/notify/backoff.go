package notify

import (
	"math/rand/v2"
	"time"
)

// These waits and the template's maxReceiveCount of 600 together make four days,
// and always less than the fourteen after which SQS drops a message silently.
const (
	firstBackoff = 30 * time.Second
	// maxBackoff bounds how long the last message waits after a destination has
	// recovered.
	maxBackoff = 10 * time.Minute
	// maxRetryAfter is the longest wait that a destination may ask for.
	maxRetryAfter = 15 * time.Minute
	// misconfiguredBackoff is the least wait for someone to correct a setting.
	misconfiguredBackoff = 5 * time.Minute
	// graceReceives is how many receives a message may spend on waits that the
	// destination chose. A destination that asks for one second again and again
	// would otherwise use up all receives within minutes.
	graceReceives = 10
)

// retryDelay is how long a message waits after a failure.
func retryDelay(f *Failure, receiveCount int) time.Duration {
	if f.After > 0 {
		wait := min(f.After, maxRetryAfter) + jitter(time.Second)
		if receiveCount > graceReceives {
			wait = max(wait, backoff(receiveCount-graceReceives))
		}
		return wait
	}
	if f.Reason == Misconfigured {
		return max(backoff(receiveCount), misconfiguredBackoff)
	}
	return backoff(receiveCount)
}

// backoff doubles with each receive, from 30 s to 10 min. Up to a seventh more
// keeps messages that failed together from coming back together.
func backoff(receiveCount int) time.Duration {
	wait := min(firstBackoff<<min(max(receiveCount-1, 0), 5), maxBackoff)
	return wait + jitter(wait/7)
}

// jitter is a random duration below limit.
func jitter(limit time.Duration) time.Duration { return rand.N(limit) }
