package jobs

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// loudAgainAfter is how long after a loud failure the next one is loud although
// its cause is the same: a workflow that fails every day is reported every day.
const loudAgainAfter = 20 * time.Hour

// Streak is an unbroken run of failures, up to one of them.
type Streak struct {
	Failures     int
	SameCategory bool      // all have the first one's
	Since        time.Time // when the first ended, UTC; zero if it is not known
	FirstJobID   string
	// Repeated reports whether the last failure adds nothing to the one before:
	// both have the same [Cause], and the last loud failure ended less than 20
	// hours before it. Every other failure is loud.
	Repeated bool
}

// Recovery is the run of failures that a success ends.
type Recovery struct {
	Failures   int
	Since      time.Time // when the first ended, UTC; zero if it is not known
	FirstJobID string
	LastJobID  string
}

// Cause is what two failures have in common when the second one is repeated.
// Values too long to be kept are cut and end in a hash, so that equal causes
// stay equal and others stay different.
type Cause struct {
	Category Category `json:"category"`
	Action   string   `json:"action,omitempty"`
	Resource string   `json:"resource,omitempty"`
	Message  string   `json:"message,omitempty"` // without IDs and numbers, where the message names neither
}

// maxCause bounds a value of a cause in bytes: a history keeps 50 of them.
const maxCause = 300

func causeOf(message string) Cause {
	named := NamedIn(message)
	c := Cause{Category: Categorize(message), Action: named.Action, Resource: shortened(named.Resource)}
	if c.Action == "" && c.Resource == "" {
		c.Message = shortened(withoutNumbers(message))
	}
	return c
}

// numbers match words that contain a digit, with the digits and IDs joined to
// them: "12", "1,204", "02:00:12", "7K2JQW4Z", a UUID, an S3 extended request ID.
var numbers = lazily(`[\pL\pN_+/=-]*\pN[\pL\pN_+/=-]*(?:[.,:][\pL\pN_+/=-]*\pN[\pL\pN_+/=-]*)*`)

func withoutNumbers(message string) string {
	message = strings.ToValidUTF8(beginning(message, maxRead), "\uFFFD")
	return strings.Join(strings.Fields(numbers().ReplaceAllString(message, "#")), " ")
}

func shortened(text string) string {
	if len(text) <= maxCause {
		return text
	}
	hash := sha256.Sum256([]byte(text))
	mark := "#" + hex.EncodeToString(hash[:8])
	return beginning(text, maxCause-len(mark)) + mark
}

// Streak returns the unbroken run of failures that ends with the given run, or
// nil when h does not hold that run as a failure since the last success. It
// equals what all those failures would give, provided that they were added in
// order: of more than 50, h no longer holds each one, and a failure that is added
// among those left out is not counted.
func (h History) Streak(run RunRef) *Streak {
	at := h.failureAt(run)
	if at < 0 {
		return nil
	}
	s := &Streak{Failures: at + 1, SameCategory: true, Since: h.Failures[0].End, FirstJobID: h.Failures[0].Job}
	if at > 0 {
		s.Failures += h.Omitted.Count
		s.SameCategory = !h.Omitted.Mixed
	}
	for _, f := range h.Failures[:at+1] {
		s.SameCategory = s.SameCategory && f.Category == h.Failures[0].Category
	}
	s.Repeated, _ = h.loudness(at)
	return s
}

func (h History) failureAt(run RunRef) int {
	for i, f := range h.Failures {
		if f.Compare(run) == 0 {
			return i
		}
	}
	return -1
}

// loudness reports whether the failure at an index is repeated, and when the
// newest loud failure up to it ended.
func (h History) loudness(at int) (repeated bool, loudEnd time.Time) {
	previous := h.Failures[0]
	loudEnd = previous.ended()
	for i, f := range h.Failures[1 : at+1] {
		if i == 0 && h.Omitted.Count > 0 {
			previous, loudEnd = h.Omitted.Last, h.Omitted.LoudEnd
		}
		repeated = f.Cause == previous.Cause && f.ended().Sub(loudEnd) < loudAgainAfter
		if !repeated {
			loudEnd = f.ended()
		}
		previous = f
	}
	return repeated, loudEnd
}

// ended is when the run ended, or began if its end is not known.
func (r FinishedRun) ended() time.Time {
	if r.End.IsZero() {
		return r.Start
	}
	return r.End
}

// Recovery returns the failures that a success ends, or nil when none came right
// before it. h is the history without that success. Of more than 50 failures,
// those that h no longer holds are counted if the newest of them came before the
// success.
func (h History) Recovery(success RunRef) *Recovery {
	before := 0
	for before < len(h.Failures) && h.Failures[before].Compare(success) < 0 {
		before++
	}
	if before == 0 {
		return nil
	}
	first, last := h.Failures[0], h.Failures[before-1]
	r := &Recovery{Failures: before, Since: first.End, FirstJobID: first.Job, LastJobID: last.Job}
	if h.Omitted.Count > 0 && h.Omitted.Last.Compare(success) < 0 {
		r.Failures += h.Omitted.Count
		if before == 1 {
			r.LastJobID = h.Omitted.Last.Job
		}
	}
	return r
}

// LastSuccessBefore returns the newest success of any job type, or nil when there
// is none before the given run.
func (h History) LastSuccessBefore(run RunRef) *FinishedRun {
	if h.LastSuccess == nil || h.LastSuccess.Compare(run) >= 0 {
		return nil
	}
	return h.LastSuccess
}
