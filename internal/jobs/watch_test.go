package jobs

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSettledTellsOldNewsFromNewEnds(t *testing.T) {
	const retention = 90 * 24 * time.Hour
	first := Watch{Since: noon}
	swept := Watch{Since: noon, SweptThrough: noon.Add(10 * time.Hour)}
	ended := func(start, end time.Duration) Job {
		return Job{Status: Succeeded, StartTime: noon.Add(start), EndTime: noon.Add(end)}
	}
	tests := []struct {
		name  string
		watch Watch
		job   Job
		now   time.Duration
		want  bool
	}{
		{"ended before the first watch", first, ended(-2*time.Hour, -time.Hour), 0, true},
		{"ended in the very moment of the first watch", first, ended(-2*time.Hour, 0), 0, true},
		{"ended while the first sweep went on", first, ended(-2*time.Hour, time.Second), time.Minute, false},
		{"ended between two ticks, never seen before", swept, ended(10*time.Hour, 11*time.Hour), 12 * time.Hour, false},
		{"still running", first, Job{Status: Running, StartTime: noon.Add(-time.Hour)}, 0, false},
		{"no times, first sweep", first, Job{Status: Failed}, 0, true},
		{"no times, later", swept, Job{Status: Failed}, time.Hour, false},
		{"no end time, started before the watch", swept, Job{Status: Failed, StartTime: noon.Add(-time.Hour)}, time.Hour, true},
		{"no end time, started after", swept, Job{Status: Failed, StartTime: noon.Add(11 * time.Hour)}, 12 * time.Hour, false},
		{"no start time, ended after what was swept", swept, Job{Status: Failed, EndTime: noon.Add(11 * time.Hour)}, 12 * time.Hour, false},
		{"recorded once, its record expired", swept, ended(time.Hour, 2*time.Hour), retention + 3*time.Hour, true},
		{"started long before what was swept", swept, ended(time.Hour, 2*time.Hour), 12 * time.Hour, true},
		{"started a little before what was swept", swept, ended(9*time.Hour+30*time.Minute, 10*time.Hour), 12 * time.Hour, false},
		{"no watch: a job that was named", Watch{}, ended(-2*time.Hour, -time.Hour), 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.watch.Settled(test.job, noon.Add(test.now), retention); got != test.want {
				t.Errorf("Settled = %v, want %v", got, test.want)
			}
		})
	}
}

// history is n jobs, newest first, started every ten minutes.
func history(n int) []Job {
	rows := make([]Job, n)
	for i := range rows {
		rows[i] = Job{Key: Key{"w", fmt.Sprint(i)}, Status: Succeeded, StartTime: noon.Add(-time.Duration(i) * 10 * time.Minute)}
	}
	return rows
}

func TestReadingStopsEarlyOnlyWhereTheRowsProveIt(t *testing.T) {
	swept := Watch{Since: noon.Add(-1000 * time.Hour), SweptThrough: noon}
	newest := history(25)
	tests := []struct {
		name  string
		watch Watch
		rows  []Job
		open  []string
		want  bool
	}{
		{"newest first, all swept before", swept, newest, nil, true},
		{"a job without a start ahead of the others", swept, append([]Job{{Key: Key{"w", "new"}, Status: Queued}}, newest...), []string{"new"}, true},
		{"an open job was not among them", swept, newest, []string{"elsewhere"}, false},
		{"oldest first", swept, backwards(newest), nil, false},
		{"two swapped", swept, swapped(newest), nil, false},
		{"a job without a start further down", swept, append(slices.Clone(newest), Job{Key: Key{"w", "late"}, Status: Queued}), nil, false},
		{"just enough to prove an order", swept, newest[:11], nil, true},
		{"one too few to prove an order", swept, newest[:10], nil, false},
		{"all started in the same moment", swept, sameStart(25), nil, false},
		{"never swept to the end", Watch{Since: swept.Since}, newest, nil, false},
		{"the last row is too close to what was swept", Watch{SweptThrough: noon.Add(-4 * time.Hour)}, newest, nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var l Listing
			l.Add(test.rows)
			if got := l.Enough(test.watch, test.open); got != test.want {
				t.Errorf("Enough = %v, want %v", got, test.want)
			}
		})
	}
}

func backwards(rows []Job) []Job {
	rows = slices.Clone(rows)
	slices.Reverse(rows)
	return rows
}

func swapped(rows []Job) []Job {
	rows = slices.Clone(rows)
	rows[11], rows[12] = rows[12], rows[11]
	return rows
}

func sameStart(n int) []Job {
	rows := history(n)
	for i := range rows {
		rows[i].StartTime = noon.Add(-10 * time.Hour)
	}
	return rows
}

// Whatever is left unread when reading stops early is known already, as long
// as the list really is newest first, whatever happened since the last sweep.
func TestNothingNewIsLeftUnread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := history(rapid.IntRange(1, 120).Draw(t, "jobs"))
		fresh := rapid.IntRange(0, len(rows)).Draw(t, "new since the last sweep")
		w := Watch{Since: noon.Add(-1000 * time.Hour)}
		if fresh < len(rows) {
			w.SweptThrough = rows[fresh].StartTime
		}
		var open []string
		for _, i := range rapid.SliceOfDistinct(rapid.IntRange(0, len(rows)-1), rapid.ID[int]).Draw(t, "open") {
			if i >= fresh {
				open = append(open, rows[i].Job)
			}
		}
		var l Listing
		read := 0
		for read < len(rows) && !l.Enough(w, open) {
			page := rows[read:min(read+25, len(rows))]
			l.Add(page)
			read += len(page)
		}
		if read < fresh {
			t.Fatalf("read %d of %d rows, of which %d are new", read, len(rows), fresh)
		}
		for _, id := range open {
			if !l.Has(id) {
				t.Fatalf("open job %s was left unread", id)
			}
		}
	})
}

func TestARowThatMovedToTheNextPageCountsOnce(t *testing.T) {
	rows := history(30)
	var l Listing
	l.Add(rows[:25])
	l.Add(rows[24:])
	if len(l.Rows) != 30 {
		t.Errorf("%d rows, want 30", len(l.Rows))
	}
	if !l.Newest.Equal(rows[0].StartTime) {
		t.Errorf("the newest started at %v, want %v", l.Newest, rows[0].StartTime)
	}
}
