package message

import "time"

// FollowUp is what a later run adds to the card of an earlier failure.
type FollowUp struct {
	Failures int       // in a row so far, or until the success
	Latest   time.Time // end of the latest failure, UTC
	Fixed    time.Time // end of the success that ended them, UTC; zero while they last
}

// Line returns what the card shows of f.
func (f FollowUp) Line() Line {
	if !f.Fixed.IsZero() {
		return Line{{Text: "Fixed by a later run: ", Bold: true}, {Time: f.Fixed}}
	}
	return Line{{Text: Plural(f.Failures, "failure") + " in a row so far", Bold: true}, {Text: ", the latest "}, {Time: f.Latest}}
}

// With returns the message of a failure as its card shows it after f. It
// interrupts nobody.
func (m Message) With(f FollowUp) Message {
	m.Loud = false
	m.Trend = []Line{f.Line()}
	if !f.Fixed.IsZero() {
		m.Severity, m.Word = Good, m.Word+", FIXED"
		m.Steps, m.Retry = nil, nil
	}
	return m
}
