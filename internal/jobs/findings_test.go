package jobs

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// codes prints the codes of the findings.
func codes(findings []Finding) string {
	all := make([]string, len(findings))
	for i, f := range findings {
		all[i] = string(f.Code)
	}
	return strings.Join(all, " ")
}

func TestFindingNeedsADistanceFromTheRange(t *testing.T) {
	// Removed 1% to 3%, not processed 0.1% to 0.3%.
	restless := month()
	for i, run := range restless.Runs {
		run.Metrics[RecordsNotProcessed] = 1000 + 1000*int64(i%3)
		run.Metrics[MappedRecordsRemoved] = 7800 + 7800*int64(i%3)
	}
	// Mapped 20% to 80%.
	wide := month()
	for i, run := range wide.Runs {
		run.Metrics[TotalMappedRecords] = 200_000 + 100_000*int64(i%7)
	}
	// Mapped 6% to 11%: half of the low comes before 5 points.
	small := month()
	for i, run := range small.Runs {
		run.Metrics[TotalMappedRecords] = 60_000 + 10_000*int64(i%6)
	}
	// Input peaks every third run, at the given number of records.
	peaks := func(n int64) Successes {
		s := month()
		for i, run := range s.Runs {
			if i%3 != 0 {
				run.Metrics[InputRecords] = n
			}
		}
		return s
	}
	var tiny, hundred, empty Successes
	for n := range 10 {
		hundred.Runs = append(hundred.Runs, batch(n, records(100, 50)))
		tiny.Runs = append(tiny.Runs, batch(n, records(99, 50)))
		empty.Runs = append(empty.Runs, batch(n, records(0, 0)))
	}
	none := Successes{}
	for _, c := range []struct {
		name    string
		earlier Successes
		jobType string
		change  func(*SuccessRun)
		want    string
	}{
		{"as usual", month(), "BATCH", records(1_000_000, 780_000), ""},
		{"more mapped", month(), "BATCH", records(1_000_000, 900_000), ""},
		{"5 points below", month(), "BATCH", records(1_000_000, 725_000), ""},
		{"more than 5 points below", month(), "BATCH", records(1_000_000, 724_900), "MAPPED_LOW"},
		{"of type INCREMENTAL", month(), "INCREMENTAL", records(1_000_000, 724_900), "MAPPED_LOW"},
		{"of type DELETE_ONLY", month(), "DELETE_ONLY", records(1_000_000, 0), ""},
		{"a width below a wide range", wide, "BATCH", records(1_000_000, 1), ""},
		{"half of a small share", small, "BATCH", records(1_000_000, 30_000), ""},
		{"less than half of a small share", small, "BATCH", records(1_000_000, 29_900), "MAPPED_LOW"},
		{"29 mapped expected", small, "BATCH", with(TotalRecordsProcessed, 499), ""},
		{"29 mapped expected, one mapped", small, "BATCH", records(499, 1), "INPUT_LOW"},
		{"30 mapped expected, one mapped", small, "BATCH", records(500, 1), "INPUT_LOW MAPPED_LOW"},
		{"29 mapped expected, none mapped", small, "INCREMENTAL", records(499, 0), "INPUT_LOW"},
		{"30 mapped expected, none mapped", small, "INCREMENTAL", records(500, 0), "INPUT_LOW ZERO_MAPPED"},
		{"none mapped", month(), "BATCH", records(1_000_000, 0), "ZERO_MAPPED"},
		{"none mapped in the first run", none, "BATCH", records(100, 0), "ZERO_MAPPED"},
		{"none mapped of 99", none, "BATCH", records(99, 0), ""},
		{"none mapped, unknown of how many", none, "BATCH", func(run *SuccessRun) { run.Metrics = Metrics{TotalMappedRecords: 0} }, ""},
		{"one mapped in the first run", none, "BATCH", records(1_000_000, 1), ""},
		{"half of the input", month(), "BATCH", records(500_000, 390_000), ""},
		{"less than half of the input", month(), "BATCH", records(499_999, 390_000), "INPUT_LOW"},
		{"less than half of an even input with peaks", peaks(1_500_000), "BATCH", records(499_999, 390_000), "INPUT_LOW"},
		{"less than half of an uneven input", peaks(1_500_001), "BATCH", records(499_999, 390_000), ""},
		{"less than half of 99", tiny, "BATCH", records(1, 1), ""},
		{"less than half of 100", hundred, "BATCH", records(49, 1), "INPUT_LOW"},
		{"input unknown", month(), "BATCH", without(InputRecords), ""},
		{"no input", month(), "BATCH", records(0, 0), "ZERO_INPUT"},
		{"no input in the first run", none, "BATCH", records(0, 0), "ZERO_INPUT"},
		{"no input as usual", empty, "BATCH", records(0, 0), ""},
		{"no input, INCREMENTAL", month(), "INCREMENTAL", records(0, 0), "INPUT_LOW"},
		{"no input, no type", none, "", records(0, 0), ""},
		{"nothing processed", month(), "BATCH", with(TotalRecordsProcessed, 0), "ZERO_PROCESSED"},
		{"nothing processed of 100", none, "BATCH", func(run *SuccessRun) { records(100, 0)(run); with(TotalRecordsProcessed, 0)(run) }, "ZERO_PROCESSED"},
		{"nothing processed of 99", none, "BATCH", func(run *SuccessRun) { records(99, 0)(run); with(TotalRecordsProcessed, 0)(run) }, ""},
		{"nothing processed, input unknown", none, "BATCH", func(run *SuccessRun) { run.Metrics = Metrics{TotalRecordsProcessed: 0} }, ""},
		{"nothing processed, INCREMENTAL", none, "INCREMENTAL", with(TotalRecordsProcessed, 0), ""},
		{"2 points not processed", month(), "BATCH", with(RecordsNotProcessed, 20_000), ""},
		{"more than 2 points not processed", month(), "BATCH", with(RecordsNotProcessed, 20_100), "NOT_PROCESSED_HIGH"},
		{"2 points more not processed", restless, "BATCH", with(RecordsNotProcessed, 23_000), ""},
		{"more than 2 points more not processed", restless, "BATCH", with(RecordsNotProcessed, 23_100), "NOT_PROCESSED_HIGH"},
		{"99 not processed", tiny, "BATCH", func(run *SuccessRun) { records(100, 50)(run); with(RecordsNotProcessed, 99)(run) }, ""},
		{"100 not processed, no range", tiny, "BATCH", func(run *SuccessRun) { records(100, 50)(run); with(RecordsNotProcessed, 100)(run) }, ""},
		{"many removed", month(), "BATCH", with(MappedRecordsRemoved, 300_000), "REMOVED_HIGH"},
		{"removed as asked", month(), "BATCH", func(run *SuccessRun) {
			with(MappedRecordsRemoved, 300_000)(run)
			with(DeleteRecordsProcessed, 299_901)(run)
		}, ""},
		{"100 more removed than asked", month(), "BATCH", func(run *SuccessRun) {
			with(MappedRecordsRemoved, 300_000)(run)
			with(DeleteRecordsProcessed, 299_900)(run)
		}, "REMOVED_HIGH"},
		{"10 points more removed", restless, "BATCH", with(MappedRecordsRemoved, 114_500), ""},
		{"more than 10 points more removed", restless, "BATCH", with(MappedRecordsRemoved, 116_000), "REMOVED_HIGH"},
		{"everything", month(), "BATCH", func(run *SuccessRun) {
			run.Metrics = Metrics{InputRecords: 300, TotalRecordsProcessed: 100, RecordsNotProcessed: 200, TotalMappedRecords: 1, MappedRecordsRemoved: 200}
		}, "INPUT_LOW MAPPED_LOW NOT_PROCESSED_HIGH REMOVED_HIGH"},
	} {
		if got := codes(c.earlier.Findings(c.jobType, batch(99, c.change))); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestFindingOfSmallNumbersNeedsAHundredRecords(t *testing.T) {
	var s Successes
	for n := range 10 {
		s.Runs = append(s.Runs, batch(n, records(200, 100), with(MappedRecordsRemoved, 0)))
	}
	for n, want := range map[int64]string{99: "", 100: "NOT_PROCESSED_HIGH"} {
		if got := codes(s.Findings("BATCH", batch(10, records(200, 100), with(RecordsNotProcessed, n)))); got != want {
			t.Errorf("%d not processed: %q", n, got)
		}
	}
	for n, want := range map[int64]string{99: "", 100: "REMOVED_HIGH"} {
		if got := codes(s.Findings("BATCH", batch(10, records(200, 100), with(MappedRecordsRemoved, n)))); got != want {
			t.Errorf("%d removed: %q", n, got)
		}
	}
}

func TestRateAboveItsRangeNeedsThreeTimesItsHighAndItsWidth(t *testing.T) {
	for _, c := range []struct {
		low, high, value int64 // basis points
		want             bool
	}{
		{300, 300, 900, false},
		{300, 300, 901, true},
		{10, 20, 220, false},
		{10, 20, 221, true},
		{0, 300, 900, false},
		{0, 300, 901, true},
		{-900, 300, 1500, false}, // the width counts where the factor is less
		{-900, 300, 1501, true},
	} {
		run := batch(0, func(run *SuccessRun) { run.Metrics = Metrics{InputRecords: 10_000, RecordsNotProcessed: c.value} })
		if got := run.above(MeasureNotProcessedRate, &Range{Low: c.low, High: c.high}, rejectRate); got != c.want {
			t.Errorf("%d in %d to %d: %v", c.value, c.low, c.high, got)
		}
	}
}

func TestFindingHasItsValueAndRange(t *testing.T) {
	r := Range{7750, 7850, 7950, 30}
	want := []Finding{{Code: MappedLow, Measure: MeasureMappedRate, Value: 4100, HasValue: true, Range: &r}}
	if got := month().Findings("BATCH", batch(30, records(1_000_000, 410_000))); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	want = []Finding{{Code: ZeroProcessed, Measure: MeasureInput, Value: 1_000_000, HasValue: true}}
	if got := month().Findings("BATCH", batch(30, with(TotalRecordsProcessed, 0))); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestLastingChangeIsReportedUntilItIsUsual(t *testing.T) {
	s := month()
	for i, want := range []string{"false", "true", "", ""} { // the low is the second lowest
		run := batch(30+i, records(1_000_000, 410_000))
		got := ""
		for _, f := range s.Findings("BATCH", run) {
			got += fmt.Sprint(f.Again)
		}
		if got != want {
			t.Errorf("run %d: again %q, want %q", i, got, want)
		}
		s.Runs = append(s.Runs, run)
	}
	other := month()
	other.Runs = append(other.Runs, batch(30, records(1_000_000, 0)))
	if got := other.Findings("BATCH", batch(31, records(400_000, 310_000))); codes(got) != "INPUT_LOW" || got[0].Again {
		t.Errorf("after another finding: %+v", got)
	}
	if got := (Successes{}).Findings("BATCH", batch(0, records(100, 0))); codes(got) != "ZERO_MAPPED" || got[0].Again {
		t.Errorf("in the first run: %+v", got)
	}
}

// The kept successes have to be enough for the previous run too.
func TestAgainUsesFiftyRunsBeforeThePreviousRun(t *testing.T) {
	var s Successes
	for n := range 60 {
		mapped := int64(780_000)
		if n >= 9 && n <= 11 { // run 9 is the 50th before run 59, and the 51st before run 60
			mapped = 410_000
		}
		s = s.Add(Record{Job: Job{Key: Key{"w", fmt.Sprintf("%04d", n)}, Type: "BATCH", Status: Succeeded,
			StartTime: noon.AddDate(0, 0, n), EndTime: noon.AddDate(0, 0, n), Metrics: batch(0, records(1_000_000, mapped)).Metrics}})
	}
	if len(s.Runs) != 51 || s.Runs[0].Job != "0009" {
		t.Fatalf("%d runs from %s", len(s.Runs), s.Runs[0].Job)
	}
	previous := batch(59)
	if got := s.Usual(previous.RunRef)[MeasureMappedRate]; got != (Range{4100, 7800, 7800, 50}) {
		t.Errorf("the previous run is compared with %+v", got)
	}
	if got := s.Usual(batch(60).RunRef)[MeasureMappedRate]; got != (Range{7800, 7800, 7800, 50}) {
		t.Errorf("the run is compared with %+v", got)
	}
}

// drawHistory is the successes of a job type, and a run after them.
func drawHistory(t *rapid.T, least, most int) (Successes, SuccessRun) {
	var s Successes
	for i := range rapid.IntRange(least, most).Draw(t, "runs") {
		s = s.Add(drawRun(t, fmt.Sprint(i)))
	}
	run := SuccessOf(drawRun(t, "judged"))
	run.Start, run.End = run.Start.AddDate(0, 0, 9), run.End.AddDate(0, 0, 9)
	return s, run
}

func TestDeleteOnlyRunsHaveNoFindings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, run := drawHistory(t, 0, 20)
		if got := s.Findings("DELETE_ONLY", run); got != nil {
			t.Fatalf("findings %+v", got)
		}
	})
}

func TestOnlyZerosAreFoundBeforeTheFifthRun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, run := drawHistory(t, 0, 4)
		for _, f := range s.Findings("BATCH", run) {
			if !strings.HasPrefix(string(f.Code), "ZERO_") || f.Range != nil {
				t.Fatalf("finding %+v", f)
			}
		}
		if got := s.Compare(run); got != nil {
			t.Fatalf("comparison %+v", got)
		}
	})
}

func TestMoreInputMoreMappedAndFasterAreNeverFindings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, run := drawHistory(t, 5, 20)
		processed := rapid.Int64Range(1, 2000).Draw(t, "processed")
		mapped := rapid.Int64Range(0, processed-1).Draw(t, "mapped")
		input := rapid.Int64Range(0, 2_000_000).Draw(t, "input")
		run.Metrics = Metrics{InputRecords: input, TotalRecordsProcessed: processed, TotalMappedRecords: mapped}
		has := func(run SuccessRun, codes ...FindingCode) bool {
			return slices.ContainsFunc(s.Findings("BATCH", run), func(f Finding) bool { return slices.Contains(codes, f.Code) })
		}
		better := run
		better.Metrics = maps.Clone(run.Metrics)
		better.End = run.Start
		better.Metrics[TotalMappedRecords] = rapid.Int64Range(mapped+1, processed).Draw(t, "more mapped")
		if !has(run, ZeroMapped, MappedLow) && has(better, MappedLow, ZeroMapped) {
			t.Fatalf("more mapped: %+v", s.Findings("BATCH", better))
		}
		better.Metrics[InputRecords] = rapid.Int64Range(input, math.MaxInt32).Draw(t, "more input")
		if !has(run, ZeroInput, InputLow) && has(better, InputLow) {
			t.Fatalf("more input: %+v", s.Findings("BATCH", better))
		}
	})
}

func TestFindingsAreInTheOrderOfTheirCodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, run := drawHistory(t, 0, 20)
		position := -1
		for _, f := range s.Findings(rapid.SampledFrom([]string{"BATCH", "INCREMENTAL", ""}).Draw(t, "type"), run) {
			at := slices.Index(FindingCodes, f.Code)
			if at <= position {
				t.Fatalf("%s is out of order", f.Code)
			}
			position = at
			if value, ok := MeasureOf(run, f.Measure); !ok || !f.HasValue || value != f.Value {
				t.Fatalf("%+v has the value %d, %v", f, value, ok)
			}
		}
	})
}
