package jobs

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLikelyEndsAreEarlyOrAroundTheUsualDuration(t *testing.T) {
	minutes := func(from, until int) Window {
		return Window{noon.Add(time.Duration(from) * time.Minute), noon.Add(time.Duration(until) * time.Minute)}
	}
	for _, c := range []struct {
		name      string
		low, high int // minutes
		want      []Window
	}{
		{"an hour", 58, 70, []Window{minutes(0, 5), minutes(57, 82)}},
		{"a quarter", 10, 12, []Window{minutes(0, 5), minutes(9, 24)}},
		{"as long as the first window", 5, 6, []Window{minutes(0, 12)}},
		{"shorter than the first window", 2, 2, []Window{minutes(0, 5)}},
		{"four times", 10, 40, []Window{minutes(0, 5), minutes(9, 34)}},
		{"more than four times", 10, 41, nil},
	} {
		var s Successes
		for n := range 10 {
			took := time.Duration(c.low) * time.Minute
			if n%2 == 1 {
				took = time.Duration(c.high) * time.Minute
			}
			start := noon.Add(-time.Duration(n+1) * 24 * time.Hour)
			s = s.Add(Record{Job: Job{Key: Key{Job: string(rune('a' + n))}, Status: Succeeded, StartTime: start, EndTime: start.Add(took)}})
		}
		if got := s.likelyEnd(RunRef{Job: "z", Start: noon}, noon); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if got := (Successes{}).likelyEnd(RunRef{Job: "z", Start: noon}, noon); !reflect.DeepEqual(got, []Window{minutes(0, 5)}) {
		t.Errorf("without a usual duration: %v", got)
	}
	if got := (Successes{}).likelyEnd(RunRef{Job: "z"}, time.Time{}); got != nil {
		t.Errorf("without a start: %v", got)
	}
}

func TestEndIsLikelyForHalfAnHourAtMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Successes
		for n := range rapid.IntRange(0, 60).Draw(t, "runs") {
			start := noon.Add(-time.Duration(n+1) * 24 * time.Hour)
			took := time.Duration(rapid.Int64Range(0, 5*3600).Draw(t, "took")) * time.Second
			s = s.Add(Record{Job: Job{Key: Key{Job: time.Duration(n).String()}, Status: Succeeded, StartTime: start, EndTime: start.Add(took)}})
		}
		windows := s.likelyEnd(RunRef{Job: "z", Start: noon}, noon)
		total, until := time.Duration(0), time.Time{}
		for _, w := range windows {
			if w.From.Before(noon) || w.From.Before(until) || w.Until.Before(w.From) {
				t.Fatalf("windows %v", windows)
			}
			total, until = total+w.Until.Sub(w.From), w.Until
			at := OpenTimes{LikelyEnd: windows}
			if !at.EndIsLikely(w.From) || !at.EndIsLikely(w.Until.Add(-1)) {
				t.Fatalf("the end is not likely within %v", w)
			}
		}
		if at := (OpenTimes{LikelyEnd: windows}); total > 30*time.Minute || at.EndIsLikely(noon.Add(-1)) || at.EndIsLikely(until) {
			t.Fatalf("%s in %v", total, windows)
		}
	})
}
