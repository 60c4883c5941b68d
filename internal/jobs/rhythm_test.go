package jobs

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	hour = int64(3600)
	day  = 24 * hour
)

// days are the starts at noon of n days.
func days(n int) []int64 {
	starts := make([]int64, n)
	for i := range starts {
		starts[i] = noon.Unix() + int64(i)*day
	}
	return starts
}

// unix is an absolute time in UTC.
func unix(n int64) time.Time { return time.Unix(n, 0).UTC() }

func TestRhythmNeedsThreeWeeksAndFiveSlots(t *testing.T) {
	for _, n := range []int{0, 1, 14, 25} {
		if r := RhythmOf(days(n)); r != nil {
			t.Errorf("%d days: %+v", n, r)
		}
	}
	r := RhythmOf(days(26))
	if r == nil || r.Kept != 5 || r.Of != 5 || !r.Last.Equal(unix(noon.Unix()+25*day)) || r.Last.Location() != time.UTC {
		t.Fatalf("26 days: %+v", r)
	}
	var irregular []int64
	for i := range int64(50) {
		irregular = append(irregular, noon.Unix()+i*i*7919)
	}
	if r := RhythmOf(irregular); r != nil {
		t.Errorf("irregular starts: %+v", r)
	}
}

func TestMissingRunIsReportedFromItsTimeForAWeek(t *testing.T) {
	r := RhythmOf(days(30))
	next, last := noon.Unix()+30*day, noon.Unix()+29*day
	want := &ExpectedStart{At: unix(next), By: unix(next + 90*60), Last: unix(last), Kept: 9, Of: 9}
	for now, found := range map[int64]bool{
		last: false, next: false, next + 5399: false, next + 5400: true, next + 5400 + 7*day: true, next + 5401 + 7*day: false,
	} {
		got := r.Missing(unix(now))
		if (got != nil) != found || found && !reflect.DeepEqual(got, want) {
			t.Errorf("at %v: %+v", unix(now), got)
		}
	}
	for now, want := range map[int64]int64{last + 1: next, next + 5399: next, next + 5400: next + day, next + 6*day: next + 6*day} {
		if got := r.Next(unix(now)); got == nil || got.At.Unix() != want || got.By.Unix() != want+5400 {
			t.Errorf("next at %v: %+v", unix(now), got)
		}
	}
	if got := r.Next(unix(next + 7*day)); got != nil {
		t.Errorf("a week later: %+v", got)
	}
	var none *Rhythm
	if none.Next(noon) != nil || none.Missing(noon) != nil {
		t.Error("no rhythm expects a run")
	}
}

// late are thirty days, of which the newest started so many seconds late.
func late(seconds ...int64) []int64 {
	starts := days(30)
	for i, s := range seconds {
		starts[30-len(seconds)+i] += s
	}
	return starts
}

func TestRhythmForgivesWhatItHasLearned(t *testing.T) {
	for _, c := range []struct {
		name     string
		starts   []int64
		kept, of int
		grace    int64
	}{
		{"punctual", late(), 9, 9, 90 * 60},
		{"half an hour late", late(1800), 9, 9, 90 * 60},
		{"longer than that", late(1801), 9, 9, 5403},
		{"an hour late, as when summer time ends", late(hour), 9, 9, 3 * hour},
		{"early", late(-5400), 9, 9, 90 * 60},
		{"six hours late, once of ten", append(days(30), noon.Unix()+30*day+6*hour), 10, 10, 18 * hour},
		{"later than that", append(days(30), noon.Unix()+30*day+6*hour+1), 9, 10, 90 * 60},
		{"later than that, once of nine", late(6*hour + 1), 0, 0, 0},
		{"one day left out", slices.Delete(days(35), 33, 34), 13, 14, 90 * 60},
		{"two days left out of fourteen", append(days(33), noon.Unix()+35*day), 0, 0, 0},
	} {
		r := RhythmOf(c.starts)
		if r == nil {
			r = &Rhythm{}
		}
		if r.Kept != c.kept || r.Of != c.of || r.grace != c.grace {
			t.Errorf("%s: %d of %d, grace %d s", c.name, r.Kept, r.Of, r.grace)
		}
	}
}

func TestTimetableIsPunctualWithinTenMinutes(t *testing.T) {
	for _, c := range []struct {
		drift int64 // seconds per week
		found bool
	}{{0, true}, {600, true}, {601, false}} {
		starts := days(40)
		for i := range starts {
			starts[i] += int64(i/7) * c.drift
		}
		if r := RhythmOf(starts); (r != nil) != c.found {
			t.Errorf("%d s: %+v", c.drift, r)
		}
	}
}

func TestHalfOfTheStartsHaveToBePunctual(t *testing.T) {
	for _, c := range []struct {
		moves [7]int // in how many of the newest weeks the starts of a weekday move
		found bool
	}{
		{[7]int{4, 4, 4, 2}, true},  // 14 of 28
		{[7]int{4, 4, 4, 3}, false}, // 15 of 28
	} {
		starts := days(42)
		for i := range starts {
			starts[i] += 601 * int64(max(0, i/7-5+c.moves[i%7]))
		}
		if r := RhythmOf(starts); (r != nil) != c.found {
			t.Errorf("%v: %+v", c.moves, r)
		}
	}
}

func TestStartNinetyMinutesEarlyKeepsItsSlot(t *testing.T) {
	last := noon.Unix() + 29*day
	for early, want := range map[int64]int64{5400: last + day, 5401: last} {
		if got := RhythmOf(late(-early)).Next(unix(last)); got == nil || got.At.Unix() != want {
			t.Errorf("%d s early: next is %+v", early, got)
		}
	}
}

func TestSlotIsPredictedByStartsWithinNinetyMinutes(t *testing.T) {
	var weekly []int64
	for n := range int64(12) {
		weekly = append(weekly, noon.Unix()+n*week)
	}
	for shift, want := range map[int64]bool{0: true, 5400: true, 5401: false, -5400: true, -5401: false} {
		starts := slices.Clone(weekly)
		starts[len(starts)-1] += shift
		r := RhythmOf(starts)
		if r == nil || slices.Contains(r.ahead, starts[len(starts)-1]+week) != want {
			t.Errorf("the newest start moved by %d s: %+v", shift, r)
		}
	}
}

func TestRhythmUsesTheNewestEightHundredStarts(t *testing.T) {
	var starts []int64
	for n := range int64(900) {
		starts = append(starts, noon.Unix()+n*hour)
	}
	if all, newest := RhythmOf(starts), RhythmOf(starts[100:]); !reflect.DeepEqual(all, newest) || all == nil {
		t.Errorf("%+v and %+v", all, newest)
	}
}

func TestFirstStartAfterAMissingRunResumes(t *testing.T) {
	starts := days(3)
	for _, c := range []struct {
		last, want int64
	}{{starts[0], starts[1]}, {starts[0] - 1, starts[0]}, {starts[1] + 1, starts[2]}, {starts[2], 0}} {
		got, ok := Resumed(unix(c.last), starts)
		if ok != (c.want != 0) || ok && !got.Equal(unix(c.want)) {
			t.Errorf("after %v: %v, %v", unix(c.last), got, ok)
		}
	}
}

func TestRunIsMissingAfterTheIntervalSetByHand(t *testing.T) {
	for _, c := range []struct {
		every time.Duration
		by    int64 // seconds after the last start
	}{{24 * time.Hour, 95_040}, {time.Hour, 9000}, {54_019 * time.Second, 59_420}} {
		by := unix(noon.Unix() + c.by)
		if got := MissingEvery(noon, c.every, by.Add(-1)); got != nil {
			t.Errorf("every %v: %+v", c.every, got)
		}
		want := &ExpectedStart{At: noon.Add(c.every), By: by, Last: noon}
		if got := MissingEvery(noon, c.every, by); !reflect.DeepEqual(got, want) {
			t.Errorf("every %v: %+v, want %+v", c.every, got, want)
		}
	}
}

func TestRhythmNeitherFlapsNorExpectsThePast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h History
		for n := range rapid.IntRange(20, 45).Draw(t, "days") {
			if rapid.IntRange(0, 20).Draw(t, "left out") > 0 {
				h = h.AddStart(noon.Add(time.Duration(n)*24*time.Hour + time.Duration(rapid.IntRange(0, 1200).Draw(t, "jitter"))*time.Second))
			}
		}
		r := RhythmOf(h.Starts)
		var missing *ExpectedStart
		for now := noon.AddDate(0, 0, 20); now.Before(noon.AddDate(0, 0, 60)); now = now.Add(time.Hour) {
			if e := r.Next(now); e != nil && (!now.Before(e.By) || !e.At.After(e.Last)) {
				t.Fatalf("at %v the next start is %+v", now, e)
			}
			e := r.Missing(now)
			if e != nil && missing != nil && *e != *missing {
				t.Fatalf("at %v %+v is missing after %+v", now, e, missing)
			}
			if e != nil {
				missing = e
			}
		}
	})
}
