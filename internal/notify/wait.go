package notify

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"
)

// The waits and the template's maxReceiveCount of 600 together make four days,
// and never the fourteen after which SQS drops a message without a word.
const (
	firstWait = 30 * time.Second
	// maxWait is how long after a destination is back the last message may
	// still wait.
	maxWait = 10 * time.Minute
	// maxAsked is the most that a destination may ask for.
	maxAsked = 15 * time.Minute
	// settingWait is the least wait for a setting to be mended.
	settingWait = 5 * time.Minute
	// patience is how many receipts a message may spend on waits that the
	// destination chose. One that asks for a second again and again would
	// otherwise use them all up within minutes.
	patience = 10
)

// pause is how long a message waits after a failure.
func pause(f *Failure, it item) time.Duration {
	switch {
	case f.After > 0:
		wait := min(f.After, maxAsked) + time.Duration(rand.Int64N(int64(time.Second)))
		if n := receipts(it); n > patience {
			wait = max(wait, doubled(n-patience))
		}
		return wait
	case f.Reason == Misconfigured:
		return max(backoff(it), settingWait)
	default:
		return backoff(it)
	}
}

// backoff is 30 s, doubled with each receipt up to ten minutes, and up to a
// seventh more: messages that failed together do not come back together.
func backoff(it item) time.Duration { return doubled(receipts(it)) }

func doubled(n int) time.Duration {
	wait := min(firstWait<<min(max(n-1, 0), 5), maxWait)
	return wait + time.Duration(rand.Int64N(int64(wait/7)))
}

// receipts is how often the message was received, this time included.
func receipts(it item) int {
	n, _ := strconv.Atoi(it.Attributes["ApproximateReceiveCount"])
	return n
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
