package jobs

import (
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// batch is a success that started n days after noon, took an hour and mapped
// 780,000 of a million records.
func batch(n int, change ...func(*SuccessRun)) SuccessRun {
	start := noon.AddDate(0, 0, n)
	run := SuccessRun{
		FinishedRun: FinishedRun{RunRef{fmt.Sprintf("%04d", n), start}, start.Add(time.Hour)},
		Metrics: Metrics{
			InputRecords: 1_000_000, TotalRecordsProcessed: 1_000_000, RecordsNotProcessed: 0,
			TotalMappedRecords: 780_000, MappedRecordsRemoved: 0, DeleteRecordsProcessed: 0,
		},
	}
	for _, f := range change {
		f(&run)
	}
	return run
}

// with sets a counter.
func with(c Counter, n int64) func(*SuccessRun) {
	return func(run *SuccessRun) { run.Metrics[c] = n }
}

// without removes a counter.
func without(c Counter) func(*SuccessRun) {
	return func(run *SuccessRun) { delete(run.Metrics, c) }
}

// records sets how many records were read and processed, and how many of them
// were mapped.
func records(n, mapped int64) func(*SuccessRun) {
	return func(run *SuccessRun) {
		run.Metrics[InputRecords], run.Metrics[TotalRecordsProcessed], run.Metrics[TotalMappedRecords] = n, n, mapped
	}
}

// taking sets the duration in seconds.
func taking(n int) func(*SuccessRun) {
	return func(run *SuccessRun) { run.End = run.Start.Add(time.Duration(n) * time.Second) }
}

// month is 30 daily runs that took 60 to 64 minutes and mapped 77.5% to 79.5%.
func month() Successes {
	var s Successes
	for n := range 30 {
		s.Runs = append(s.Runs, batch(n, taking(3600+60*(n%5)), with(TotalMappedRecords, 775_000+5000*int64(n%5))))
	}
	return s
}

// first is the n oldest runs of s.
func first(n int, s Successes) Successes { return Successes{Runs: s.Runs[:n]} }

func TestMeasuresAreSpelledAsTheKeysOfEvents(t *testing.T) {
	want := []Measure{"durationSeconds", "inputRecords", "mappedRate", "notProcessedRate", "removedRate"}
	if !reflect.DeepEqual(Measures, want) {
		t.Errorf("%q", Measures)
	}
}

func TestMeasureOfARunNeedsItsCountersAndTimes(t *testing.T) {
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Millisecond) }
	times := func(start, running, end time.Time) func(*SuccessRun) {
		return func(run *SuccessRun) { run.Start, run.RunningSince, run.End = start, running, end }
	}
	const none = -1
	for _, c := range []struct {
		name    string
		measure Measure
		change  func(*SuccessRun)
		want    int64
	}{
		{"an hour", MeasureDuration, taking(3600), 3600},
		{"no time at all", MeasureDuration, taking(0), 0},
		{"an end before the start", MeasureDuration, taking(-1), none},
		{"no end", MeasureDuration, times(noon, time.Time{}, time.Time{}), none},
		{"part of a second", MeasureDuration, times(at(900), time.Time{}, at(2100)), 1},
		{"whole seconds", MeasureDuration, times(at(900), time.Time{}, at(2900)), 2},
		{"queued first", MeasureDuration, times(noon, at(60_000), at(90_000)), 30},
		{"a thousand years", MeasureDuration, times(noon, time.Time{}, noon.AddDate(1000, 0, 0)), 365_242 * 86_400},
		{"an empty input", MeasureInput, with(InputRecords, 0), 0},
		{"no input counter", MeasureInput, without(InputRecords), none},
		{"a third", MeasureMappedRate, records(300, 100), 3333},
		{"two thirds", MeasureMappedRate, records(300, 200), 6667},
		{"half a basis point", MeasureMappedRate, records(20_000, 1), 1},
		{"less than half a basis point", MeasureMappedRate, records(20_001, 1), 0},
		{"a hundred records", MeasureMappedRate, records(100, 100), 10_000},
		{"fewer than a hundred records", MeasureMappedRate, records(99, 99), none},
		{"more mapped than processed", MeasureMappedRate, records(100, 101), none},
		{"a negative counter", MeasureMappedRate, records(100, -1), none},
		{"the largest counters", MeasureMappedRate, records(math.MaxInt32, math.MaxInt32), 10_000},
		{"nothing known of what was processed", MeasureMappedRate, without(TotalRecordsProcessed), none},
		{"nothing known of what was mapped", MeasureMappedRate, without(TotalMappedRecords), none},
		{"a tenth not processed", MeasureNotProcessedRate, with(RecordsNotProcessed, 100_000), 1000},
		{"nothing known of what was not processed", MeasureNotProcessedRate, without(RecordsNotProcessed), none},
		{"a quarter removed", MeasureRemovedRate, with(MappedRecordsRemoved, 260_000), 2500},
		{"nothing known of what was removed", MeasureRemovedRate, without(MappedRecordsRemoved), none},
		{"nothing known of what is left", MeasureRemovedRate, without(TotalMappedRecords), none},
		{"a measure of a later version", "cost", records(100, 100), none},
	} {
		got, ok := MeasureOf(batch(0, c.change), c.measure)
		if !ok {
			got = none
		}
		if got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestRunWithoutAStartTimeHasNoDuration(t *testing.T) {
	r := Record{Job: Job{Key: Key{"w", "j"}, Status: Succeeded, EndTime: noon}}
	if run := SuccessOf(r); !run.Start.Equal(noon) || !run.End.IsZero() || !r.Clock().IsZero() {
		t.Errorf("run %+v, clock %v", run, r.Clock())
	}
	r.Timeline = []Milestone{{Status: Queued, ObservedAt: noon.Add(-time.Hour)}, {Status: Running, ObservedAt: noon.Add(-time.Minute)}}
	if d, ok := MeasureOf(SuccessOf(r), MeasureDuration); d != 60 || !ok {
		t.Errorf("observed QUEUED and RUNNING: %d s, %v", d, ok)
	}
}

func TestClockOfAJobIsItsStartOrItsFirstObservedRunning(t *testing.T) {
	r := Record{Job: run(0, Running)}
	if got := r.Clock(); !got.Equal(noon) {
		t.Errorf("clock %v", got)
	}
	r.Timeline = []Milestone{{Status: Queued, ObservedAt: noon}, {Status: Running, ObservedAt: noon.Add(time.Minute)}}
	if got := r.Clock(); !got.Equal(noon.Add(time.Minute)) {
		t.Errorf("clock %v of a job that was observed QUEUED", got)
	}
}

func TestRangeLeavesOutOneOfTwentyValuesAtEachEnd(t *testing.T) {
	for _, c := range []struct {
		n    int
		want Range
	}{
		{5, Range{100, 102, 104, 5}},
		{6, Range{100, 102, 105, 6}},
		{19, Range{100, 109, 118, 19}},
		{20, Range{101, 109, 118, 20}},
		{40, Range{102, 119, 137, 40}},
		{50, Range{102, 124, 147, 50}},
		{51, Range{103, 125, 148, 50}},
		{60, Range{112, 134, 157, 50}},
	} {
		var s Successes
		for n := range c.n {
			s.Runs = append(s.Runs, batch(n, with(InputRecords, 100+int64(n))))
		}
		if got := s.Usual(batch(c.n).RunRef)[MeasureInput]; got != c.want {
			t.Errorf("%d values: %+v, want %+v", c.n, got, c.want)
		}
	}
	if got := first(4, month()).Usual(batch(4).RunRef); len(got) != 0 {
		t.Errorf("four values: %v", got)
	}
}

func TestUsualIsComputedFromEarlierRunsOnly(t *testing.T) {
	s := month()
	if got := s.Usual(s.Runs[5].RunRef)[MeasureDuration]; got != (Range{3600, 3720, 3840, 5}) {
		t.Errorf("%+v", got)
	}
	s.Runs[0].Metrics = nil
	got := s.Usual(s.Runs[5].RunRef)
	if len(got) != 1 || got[MeasureDuration].Runs != 5 {
		t.Errorf("a run without counters leaves %v", got)
	}
}

func TestValueALittleOutsideItsRangeIsUsual(t *testing.T) {
	r := Range{Low: 1005, Median: 2000, High: 3009, Runs: 9}
	for _, c := range []struct {
		measure     Measure
		first, last int64 // usual values
	}{
		{MeasureMappedRate, 905, 3109},
		{MeasureInput, 905, 3309},
		{MeasureDuration, 845, 3369},
	} {
		for value, want := range map[int64]Word{c.first - 1: WordBelow, c.first: WordUsual, c.last: WordUsual, c.last + 1: WordAbove} {
			if got := r.word(c.measure, value); got != want {
				t.Errorf("%s %d is %s, want %s", c.measure, value, got, want)
			}
		}
	}
	// A tenth of a negative counter is rounded down too.
	for _, c := range []struct {
		r     Range
		value int64
		want  Word
	}{
		{Range{Low: -11, High: 0}, -10, WordBelow},
		{Range{Low: -10, High: 0}, -9, WordUsual},
		{Range{Low: -10, High: 0}, -10, WordBelow},
		{Range{Low: -30, High: -1}, -1, WordAbove},
	} {
		if got := c.r.word(MeasureInput, c.value); got != c.want {
			t.Errorf("%d in %+v is %s, want %s", c.value, c.r, got, c.want)
		}
	}
}

func TestRangeIsSteadyWithinAFactorOfTwo(t *testing.T) {
	for r, want := range map[Range]bool{{Low: 0, High: 0}: false, {Low: 0, High: 1}: false, {Low: 1, High: 2}: true, {Low: 1, High: 3}: false} {
		if got := r.steady(); got != want {
			t.Errorf("%+v: %v", r, got)
		}
	}
}

func TestComparisonListsMappedThenDurationThenInput(t *testing.T) {
	got := month().Compare(batch(30, taking(5000), records(500_000, 380_000)))
	want := []Compared{
		{MeasureMappedRate, 7600, Range{7750, 7850, 7950, 30}, WordBelow},
		{MeasureDuration, 5000, Range{3600, 3720, 3840, 30}, WordAbove},
		{MeasureInput, 500_000, Range{1_000_000, 1_000_000, 1_000_000, 30}, WordBelow},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if got := month().Compare(batch(30, without(InputRecords), taking(-1))); len(got) != 1 || got[0].Measure != MeasureMappedRate {
		t.Errorf("only mapped has a value: %+v", got)
	}
	if got := first(4, month()).Compare(batch(30)); got != nil {
		t.Errorf("four earlier runs: %+v", got)
	}
}

// drawRun is a success with any counters and times, at one of few starts.
func drawRun(t *rapid.T, label string) Record {
	counters := rapid.MapOfN(rapid.SampledFrom(measured), rapid.OneOf(
		rapid.Int64Range(-2, 400), rapid.Int64Range(900_000, 1_000_000), rapid.Int64Range(math.MinInt32, math.MaxInt32),
	), 0, len(measured)).Draw(t, label+" counters")
	start := noon.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, label+" start")) * time.Hour)
	return Record{Job: Job{
		Key:  Key{"w", rapid.StringMatching("[a-e]{2}").Draw(t, label+" job")},
		Type: "BATCH", Status: Succeeded, StartTime: start, Metrics: counters,
		EndTime: start.Add(time.Duration(rapid.IntRange(-10, 9000).Draw(t, label+" seconds")) * time.Second),
	}}
}

func TestRangeNeitherDependsOnTheOrderNorCountsTheRunItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 50).Draw(t, "runs")
		unique := make(map[RunRef]Record)
		var all []Record
		for i := range n {
			r := drawRun(t, fmt.Sprint(i))
			if _, known := unique[r.Job.Ref()]; !known {
				unique[r.Job.Ref()] = r
				all = append(all, r)
			}
		}
		judged := drawRun(t, "judged")
		if earlier, known := unique[judged.Job.Ref()]; known {
			judged = earlier
		}
		var inOrder, shuffled Successes
		for _, r := range all {
			inOrder = inOrder.Add(r)
		}
		for _, r := range rapid.Permutation(append(all, judged)).Draw(t, "order") {
			shuffled = shuffled.Add(r)
		}
		run := SuccessOf(judged)
		if got, want := shuffled.Usual(run.RunRef), inOrder.Usual(run.RunRef); !reflect.DeepEqual(got, want) {
			t.Fatalf("usual %v, without the run and in another order %v", got, want)
		}
		if got, want := shuffled.Findings("BATCH", run), inOrder.Findings("BATCH", run); !reflect.DeepEqual(got, want) {
			t.Fatalf("findings %v, without the run and in another order %v", got, want)
		}
	})
}
