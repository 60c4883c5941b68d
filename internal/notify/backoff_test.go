package notify

import (
	"errors"
	"testing"
	"time"
)

func TestBackoffDoublesFrom30SecondsTo10MinutesWithASeventhOfJitter(t *testing.T) {
	for receives, want := range map[int]time.Duration{
		-1: 30 * time.Second, 0: 30 * time.Second, 1: 30 * time.Second, 2: time.Minute, 3: 2 * time.Minute,
		4: 4 * time.Minute, 5: 8 * time.Minute, 6: 10 * time.Minute, 7: 10 * time.Minute, 600: 10 * time.Minute,
	} {
		spread(t, want, want/7, func() time.Duration { return backoff(receives) })
	}
}

func TestRetryDelayFollowsTheReasonAndWhatTheDestinationAsks(t *testing.T) {
	for _, c := range []struct {
		name     string
		failure  Failure
		receives int
		least    time.Duration
		jitter   time.Duration
	}{
		{"unavailable", Failure{Reason: Unavailable}, 1, 30 * time.Second, 30 * time.Second / 7},
		{"unavailable again", Failure{Reason: Unavailable}, 3, 2 * time.Minute, 2 * time.Minute / 7},
		{"rate limited without a time", Failure{Reason: RateLimited}, 2, time.Minute, time.Minute / 7},
		{"misconfigured at first", Failure{Reason: Misconfigured}, 1, 5 * time.Minute, 0},
		{"misconfigured, 4 minutes of backoff", Failure{Reason: Misconfigured}, 4, 5 * time.Minute, 0},
		{"misconfigured for long", Failure{Reason: Misconfigured}, 5, 8 * time.Minute, 8 * time.Minute / 7},
		{"one nanosecond", Failure{Reason: RateLimited, After: 1}, 1, 1, time.Second},
		{"asked for 7 s", Failure{Reason: RateLimited, After: 7 * time.Second}, 1, 7 * time.Second, time.Second},
		{"asked for 15 minutes", Failure{Reason: RateLimited, After: 15 * time.Minute}, 1, 15 * time.Minute, time.Second},
		{"asked for an hour", Failure{Reason: RateLimited, After: time.Hour}, 1, 15 * time.Minute, time.Second},
		{"asked for 1 s in the last receive of grace", Failure{Reason: RateLimited, After: time.Second}, 10, time.Second, time.Second},
		{"asked for 1 s after the grace", Failure{Reason: RateLimited, After: time.Second}, 11, 30 * time.Second, 30 * time.Second / 7},
		{"asked for 1 s long after", Failure{Reason: RateLimited, After: time.Second}, 13, 2 * time.Minute, 2 * time.Minute / 7},
		{"asked for more than the backoff", Failure{Reason: RateLimited, After: 12 * time.Minute}, 30, 12 * time.Minute, time.Second},
		{"misconfigured, asked for 7 s", Failure{Reason: Misconfigured, After: 7 * time.Second}, 1, 7 * time.Second, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.failure.Err = errors.New("no")
			spread(t, c.least, c.jitter, func() time.Duration { return retryDelay(&c.failure, c.receives) })
		})
	}
}

// spread checks that random waits fill [least, least+jitter). 400 draws all miss
// a tenth of it with a probability of 5e-19.
func spread(t *testing.T, least, jitter time.Duration, draw func() time.Duration) {
	t.Helper()
	shortest, longest := draw(), time.Duration(0)
	for range 400 {
		wait := draw()
		shortest, longest = min(shortest, wait), max(longest, wait)
	}
	if jitter == 0 && shortest == least && longest == least {
		return
	}
	if shortest < least || shortest > least+jitter/10 || longest < least+jitter/10*9 || longest >= least+jitter {
		t.Errorf("waits from %v to %v do not fill %v to %v", shortest, longest, least, least+jitter)
	}
}
