package jobs

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

func outboxEntry(id string, at time.Time) Entry {
	return Entry{ID: id, Time: at.Add(-time.Minute), ObservedAt: at}
}

func TestRecordIsOpenFinishedOrArchived(t *testing.T) {
	for _, c := range []struct {
		name           string
		record         Record
		open, finished bool
	}{
		{"running", Record{Job: job(Running)}, true, false},
		{"running, with an event to publish", Record{Job: job(Running), Outbox: []Entry{{}}}, true, false},
		{"failed, with an event to publish", Record{Job: job(Failed), Outbox: []Entry{{}}}, false, false},
		{"failed and published", Record{Job: job(Failed)}, false, true},
		{"vanished and published", Record{Job: job(Running), Vanished: true}, false, true},
		{"archived", Record{Job: job(Failed), Archived: true}, false, false},
		{"archived after it vanished", Record{Job: job(Running), Vanished: true, Archived: true}, false, false},
	} {
		if c.record.Open() != c.open || c.record.Finished() != c.finished {
			t.Errorf("%s: open %v, finished %v", c.name, c.record.Open(), c.record.Finished())
		}
	}
}

func TestNewRecordKnowsNoJob(t *testing.T) {
	r := Record{Job: job(Running)}
	if r.Known() != nil {
		t.Errorf("version 0 knows %v", r.Known())
	}
	r.Version = 1
	if known := r.Known(); known == nil || known.Status != Running {
		t.Errorf("version 1 knows %v", known)
	}
}

func TestTimelineKeepsWhenATransitionBeganWasObservedAndPublished(t *testing.T) {
	first, second := noon, noon.Add(time.Hour)
	before := Record{Job: job(Failed)}.Append(outboxEntry("one", first), Running)
	r := before.Append(outboxEntry("two", second), Failed)
	if len(before.Outbox) != 1 || len(before.Timeline) != 1 {
		t.Fatal("appending has changed the record it was made from")
	}
	published := r.Published(second.Add(time.Second).In(time.FixedZone("", 3600)))
	if len(r.Outbox) != 2 || !r.Timeline[0].PublishedAt.IsZero() {
		t.Fatal("publishing has changed the record it was made from")
	}
	again := published.Append(outboxEntry("one", second), Running) // it reappeared
	if !slices.EqualFunc(published.Outbox, []Entry{outboxEntry("two", second)}, func(a, b Entry) bool { return a.ID == b.ID }) {
		t.Errorf("outbox %v", published.Outbox)
	}
	want := []Milestone{
		{ID: "one", Status: Running, BeganAt: first.Add(-time.Minute), ObservedAt: first, PublishedAt: second.Add(time.Second)},
		{ID: "two", Status: Failed, BeganAt: second.Add(-time.Minute), ObservedAt: second},
	}
	if !reflect.DeepEqual(published.Timeline, want) {
		t.Errorf("timeline %v\nwant %v", published.Timeline, want)
	}
	later := again.Published(second).Published(second.Add(time.Hour))
	if got := later.Timeline[0].PublishedAt; !got.Equal(second.Add(time.Second)) {
		t.Errorf("the first publication moved to %v", got)
	}
}

func TestRefusedEventIsSetAsideWithItsReason(t *testing.T) {
	r := Record{}.Append(outboxEntry("one", noon), Running).Append(outboxEntry("two", noon), Failed)
	refused := r.Refuse("MalformedDetail")
	if len(refused.Outbox) != 1 || refused.Outbox[0].ID != "two" {
		t.Errorf("outbox %v", refused.Outbox)
	}
	if len(refused.Refused) != 1 || refused.Refused[0].ID != "one" || refused.Refused[0].Reason != "MalformedDetail" {
		t.Errorf("refused %v", refused.Refused)
	}
}

func TestStubKeepsWhatTheListIsComparedWith(t *testing.T) {
	r := Record{Job: job(Failed), ARN: "arn", Version: 7, Vanished: true, Missing: Missing{3, noon}, Tracked: true, Refused: []RefusedEntry{{}}}
	r.Job.Error, r.Job.Type = "an error", "BATCH"
	want := Record{Job: Job{Key: r.Job.Key, Status: Failed, StartTime: r.Job.StartTime, EndTime: r.Job.EndTime},
		ARN: "arn", Version: 7, Vanished: true, Missing: Missing{3, noon}, Archived: true}
	if got := r.Stub(); !reflect.DeepEqual(got, want) {
		t.Errorf("stub %+v\nwant %+v", got, want)
	}
}

func TestRunIsFinishedAtItsEndOrWhenItsLastTransitionWasObserved(t *testing.T) {
	observed := noon.Add(3 * time.Hour)
	timeline := []Milestone{{ObservedAt: noon}, {ObservedAt: observed}}
	failed := job(Failed)
	endless := failed
	endless.EndTime = time.Time{}
	for _, c := range []struct {
		name   string
		record Record
		want   time.Time
	}{
		{"with an end time", Record{Job: failed, Timeline: timeline}, failed.EndTime},
		{"without an end time", Record{Job: endless, Timeline: timeline}, observed},
		{"vanished", Record{Job: failed, Timeline: timeline, Vanished: true}, observed},
		{"backfilled without an end time", Record{Job: endless}, endless.StartTime},
	} {
		if got := c.record.FinishedAt(); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestJobVanishesOnlyAfterThreeMissesAndTenMinutes(t *testing.T) {
	tests := []struct {
		name string
		at   []time.Duration // when the job was missed
		want []bool
	}{
		{"three within two minutes", []time.Duration{0, time.Minute, 2 * time.Minute}, []bool{false, false, false}},
		{"two, ten minutes apart", []time.Duration{0, 10 * time.Minute}, []bool{false, false}},
		{"a third after ten minutes", []time.Duration{0, time.Minute, 10 * time.Minute}, []bool{false, false, true}},
		{"a third just before ten minutes", []time.Duration{0, time.Minute, 10*time.Minute - 1}, []bool{false, false, false}},
		{"each minute", []time.Duration{0, 1 * time.Minute, 2 * time.Minute, 9 * time.Minute, 10 * time.Minute}, []bool{false, false, false, false, true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var r Record
			for i, after := range test.at {
				missing, vanished := r.Missing.Again(noon.Add(after))
				if vanished != test.want[i] {
					t.Fatalf("miss %d: vanished = %v", i, vanished)
				}
				if missing.Count != min(i+1, 3) || !missing.Since.Equal(noon) {
					t.Fatalf("miss %d: %+v", i, missing)
				}
				r.Missing = missing
			}
		})
	}
}

func TestListedJobStandsInForOneThatCannotBeReadAfterTenMinutes(t *testing.T) {
	start := noon.Add(-time.Hour)
	for _, c := range []struct {
		name string
		row  Job
		want bool
	}{
		{"ended ten minutes ago", Job{Status: Failed, StartTime: start, EndTime: noon.Add(-10 * time.Minute)}, true},
		{"ended just now", Job{Status: Failed, StartTime: start, EndTime: noon.Add(-10*time.Minute + 1)}, false},
		{"without an end time, started long ago", Job{Status: Failed, StartTime: start}, true},
		{"running for an hour", Job{Status: Running, StartTime: start}, true},
		{"running, with an end time", Job{Status: Running, StartTime: start, EndTime: noon}, true},
		{"running since a minute", Job{Status: Running, StartTime: noon.Add(-time.Minute)}, false},
		{"queued without a start time", Job{Status: Queued}, true},
	} {
		if got := Appeared(c.row, noon); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestRecordThatHadAnActiveStatusDoesNotReturnToIt(t *testing.T) {
	record := Record{Version: 3, Job: Job{Status: "STOPPING"}, Timeline: []Milestone{{Status: Running}, {Status: "STOPPING"}}}
	for status, want := range map[Status]Verdict{Running: Regressed, "STOPPING": Unchanged, "STOPPED": Changed, Failed: Changed} {
		if got, _ := record.Advance(Job{Status: status}); got != want {
			t.Errorf("to %s: %v, want %v", status, got, want)
		}
	}
	failed := Record{Version: 4, Job: Job{Status: Succeeded}, Timeline: []Milestone{{Status: Failed}, {Status: Succeeded}}}
	if got, _ := failed.Advance(Job{Status: Failed}); got != Changed {
		t.Errorf("to a terminal status again: %v", got)
	}
}
