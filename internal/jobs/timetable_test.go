package jobs

import (
	"testing"
	"time"
)

func TestTimetableMissesARunOnceAndResumes(t *testing.T) {
	starts := days(30)
	last := unix(starts[29])
	next := last.Add(24 * time.Hour)
	tt := Timetable{}.With(StartedRun{Job: "29", Status: Succeeded, Start: last}, 0, starts)
	if tt.Expected == nil || !tt.Expected.At.Equal(next) || !tt.Expected.Last.Equal(last) {
		t.Fatalf("expected %+v", tt.Expected)
	}
	by := tt.Expected.By
	for _, c := range []struct {
		now     time.Time
		missing bool
	}{{by.Add(-1), false}, {by, true}, {by.Add(7 * 24 * time.Hour), true}, {by.Add(7*24*time.Hour + 1), false}} {
		if m := tt.Miss(c.now); (m != nil) != c.missing || m != nil && (m.LastRun != tt.Newest || m.At != tt.Expected.At) {
			t.Errorf("at %s: %+v", c.now, m)
		}
	}
	if _, ok := tt.Resume(append(starts, next.Unix())); ok {
		t.Error("a run that was never missing has resumed")
	}
	tt.Missing = tt.Miss(by)
	if m := tt.Miss(by); m != nil {
		t.Errorf("reported again: %+v", m)
	}
	if _, ok := tt.Resume(starts); ok {
		t.Error("resumed without a start")
	}
	late := next.Unix() + 3*hour
	if at, ok := tt.Resume(append(starts, late, late+hour)); !ok || at.Unix() != late {
		t.Errorf("resumed at %s (%v)", at, ok)
	}
	if got := tt.With(tt.Newest, 0, starts[:20]); got.Expected != nil || got.Missing == nil {
		t.Errorf("without a rhythm: %+v", got)
	}
}

func TestNewestRunIsTheLastByStartAndJobID(t *testing.T) {
	row := func(id string, status Status, start int64) Job {
		j := Job{Key: Key{Workflow: "crm", Job: id}, Status: status}
		if start > 0 {
			j.StartTime = unix(start)
		}
		return j
	}
	for _, c := range []struct {
		name string
		rows []Job
		want StartedRun
	}{
		{"none", nil, StartedRun{}},
		{"in any order", []Job{row("b", Failed, 20), row("c", Succeeded, 30), row("a", Succeeded, 10)}, StartedRun{"c", Succeeded, unix(30)}},
		{"at one time", []Job{row("b", Failed, 20), row("a", Succeeded, 20)}, StartedRun{"b", Failed, unix(20)}},
		{"its newest status", []Job{row("a", Running, 10), row("a", Succeeded, 10)}, StartedRun{"a", Succeeded, unix(10)}},
		{"without a start", []Job{row("a", Succeeded, 10), row("b", Queued, 0)}, StartedRun{"a", Succeeded, unix(10)}},
	} {
		var got StartedRun
		for _, r := range c.rows {
			got = got.Newer(r)
		}
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestStartsAreDistinctAscendingAndTheNewest(t *testing.T) {
	var starts []int64
	for i := range int64(maxStarts + 5) {
		starts = AddStart(starts, unix(1000+(i*7919)%(maxStarts+5)))
		starts = AddStart(starts, unix(1000+(i*7919)%(maxStarts+5)))
	}
	starts = AddStart(starts, time.Time{})
	if len(starts) != maxStarts || starts[0] != 1005 || starts[maxStarts-1] != 1000+maxStarts+4 {
		t.Errorf("%d starts from %d to %d", len(starts), starts[0], starts[len(starts)-1])
	}
}
