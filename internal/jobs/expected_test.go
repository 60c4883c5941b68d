package jobs

import (
	"testing"
	"time"
)

func TestExpectedEndIsKnownOfRunningJobsOnly(t *testing.T) {
	job := batch(30).RunRef
	clock := job.Start.Add(100*time.Second + time.Millisecond)
	got := month().ExpectedEnd(job, Running, clock)
	want := ExpectedEnd{At: clock.Add(3720 * time.Second), Earliest: clock.Add(time.Hour), Latest: clock.Add(3840 * time.Second), Runs: 30}
	if got == nil || *got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for name, got := range map[string]*ExpectedEnd{
		"queued":           month().ExpectedEnd(job, Queued, clock),
		"no clock":         month().ExpectedEnd(job, Running, time.Time{}),
		"four known runs":  first(4, month()).ExpectedEnd(job, Running, clock),
		"only later runs":  month().ExpectedEnd(RunRef{Start: noon}, Running, clock),
		"no known history": Successes{}.ExpectedEnd(job, Running, clock),
	} {
		if got != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestOverdueDependsOnTheUsualDurationBeforeTheJob(t *testing.T) {
	job := batch(30).RunRef
	clock := job.Start.Add(time.Minute)
	runs := func(seconds ...int) Successes {
		var s Successes
		for n, d := range seconds {
			s.Runs = append(s.Runs, batch(n, taking(d)))
		}
		return s
	}
	for _, c := range []struct {
		name    string
		earlier Successes
		want    int // seconds after the clock
	}{
		{"steady", month(), 9600},
		{"steady, odd", runs(3601, 3601, 3601, 3601, 3601), 9002},
		{"the high is twice the low", runs(2000, 2000, 2000, 2000, 4000), 10_000},
		{"the high is more than twice the low", runs(2000, 2000, 2000, 2000, 4001), 16_004},
		{"short", runs(60, 60, 60, 60, 60), 1860},
		{"no time at all", runs(0, 0, 0, 0, 0), 1800},
		{"unknown", Successes{}, 86_400},
		{"four runs", runs(60, 60, 60, 60), 86_400},
		{"four runs, one of half a day", runs(60, 60, 60, 43_200), 86_400},
		{"four runs, one of more than half a day", runs(60, 43_201, 60, 60), 86_402},
		{"four runs with a duration, after others", runs(-1, -1, 50_000, 60, 60, 60), 100_000},
	} {
		if got := c.earlier.OverdueAt(job, clock); !got.Equal(clock.Add(time.Duration(c.want) * time.Second)) {
			t.Errorf("%s: %v after the clock, want %d s", c.name, got.Sub(clock), c.want)
		}
	}
	if got := month().OverdueAt(job, time.Time{}); !got.IsZero() {
		t.Errorf("without a clock: %v", got)
	}
	if got := month().OverdueAt(RunRef{Start: noon}, noon); !got.Equal(noon.AddDate(0, 0, 1)) {
		t.Errorf("before every known run: %v", got)
	}
	long := runs(1, 1, 1, 1)
	long.Runs[0].End = long.Runs[0].Start.AddDate(7000, 0, 0)
	if got := long.OverdueAt(job, clock); got.Year() < 14_000 {
		t.Errorf("after a run of 7,000 years: %v", got)
	}
}
