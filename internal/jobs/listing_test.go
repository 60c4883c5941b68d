package jobs

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// history is n jobs, newest first, started every ten minutes.
func history(n int) []Job {
	rows := make([]Job, n)
	for i := range rows {
		rows[i] = Job{Key: Key{"w", fmt.Sprint(i)}, Status: Succeeded, StartTime: noon.Add(-time.Duration(i) * 10 * time.Minute)}
	}
	return rows
}

func TestReadingStopsEarlyOnlyWhereTheRowsProveIt(t *testing.T) {
	read := WorkflowState{Baseline: noon.Add(-1000 * time.Hour), Watermark: noon}
	newest := history(25)
	queued := Job{Key: Key{"w", "new"}, Status: Queued}
	tests := []struct {
		name  string
		state WorkflowState
		rows  []Job
		want  bool
	}{
		{"newest first, all behind the watermark", read, newest, true},
		{"a job without a start time before the others", read, append([]Job{queued}, newest...), true},
		{"oldest first", read, backwards(newest), false},
		{"two swapped", read, swapped(newest), false},
		{"a job without a start time further down", read, append(slices.Clone(newest), queued), false},
		{"just enough to prove an order", read, newest[:11], true},
		{"one too few to prove an order", read, newest[:10], false},
		{"all started in the same moment", read, sameStart(25), false},
		{"never read to the end", WorkflowState{Baseline: read.Baseline}, newest, false},
		{"the last row is too close to the watermark", WorkflowState{Watermark: noon.Add(-4 * time.Hour)}, newest, false},
		{"no rows", read, nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var l Listing
			l.Add(test.rows)
			if got := l.Enough(test.state); got != test.want {
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

// What stays unread when reading stops early is known already if the list is newest
// first, whatever happened since the last sweep.
func TestNothingNewIsLeftUnread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := history(rapid.IntRange(1, 120).Draw(t, "jobs"))
		fresh := rapid.IntRange(0, len(rows)).Draw(t, "new since the last sweep")
		w := WorkflowState{Baseline: noon.Add(-1000 * time.Hour)}
		if fresh < len(rows) {
			w.Watermark = rows[fresh].StartTime
		}
		var l Listing
		read := 0
		for read < len(rows) && !l.Enough(w) {
			page := rows[read:min(read+25, len(rows))]
			l.Add(page)
			read += len(page)
		}
		if read < fresh {
			t.Fatalf("read %d of %d rows, of which %d are new", read, len(rows), fresh)
		}
	})
}

func TestRowThatMovedToTheNextPageKeepsTheOrderProved(t *testing.T) {
	rows := history(30)
	var l Listing
	l.Add(rows[:25])
	l.Add(rows[24:])
	if !l.Newest.Equal(rows[0].StartTime) {
		t.Errorf("the newest started at %v, want %v", l.Newest, rows[0].StartTime)
	}
	if !l.Enough(WorkflowState{Watermark: noon}) {
		t.Error("the order is not proved")
	}
}
