package runs

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/plot/plotter"

	"github.com/idmapping/notifier/internal/jobs"
)

var begin = time.Date(2026, 9, 1, 6, 0, 0, 0, time.UTC)

// success is a run that took so many minutes, the nth day.
func success(n, minutes int) jobs.Record {
	start := begin.AddDate(0, 0, n)
	return jobs.Record{Job: jobs.Job{Key: jobs.Key{Workflow: "crm", Job: fmt.Sprintf("job-%06d", n)}, Type: "BATCH", Status: jobs.Succeeded,
		StartTime: start, EndTime: start.Add(time.Duration(minutes) * time.Minute),
		Metrics: jobs.Metrics{jobs.InputRecords: 1_000_000, jobs.TotalRecordsProcessed: 990_000, jobs.RecordsNotProcessed: 10_000, jobs.TotalMappedRecords: 660_000}}}
}

func failure(n int, text string) jobs.Record {
	r := success(n, 3)
	r.Job.Status, r.Job.Error, r.Job.Metrics = jobs.Failed, text, nil
	return r
}

func TestEveryRunHasTheRangeOfTheSuccessesBeforeIt(t *testing.T) {
	var records []jobs.Record
	for n := range 120 {
		records = append(records, success(n, n+1))
	}
	records = append(records, failure(200, "Access Denied"), success(250, 300))
	other := success(300, 5)
	other.Job.Type = "INCREMENTAL"
	records = append(records, other)
	records[3], records[90] = records[90], records[3] // the archive's order is that of the ends
	all := Of(records, nil)
	for i, r := range all {
		range_, ok := r.usual[jobs.MeasureDuration]
		var kept jobs.Successes // what the poller would have kept
		for n := range min(i, 120) {
			kept = kept.Add(success(n, n+1))
		}
		want, wanted := kept.Usual(jobs.RunRef{Job: r.Job, Start: r.StartTime})[jobs.MeasureDuration]
		if r.Type != "BATCH" {
			want, wanted = jobs.Range{}, false
		}
		if ok != wanted || range_ != want {
			t.Errorf("run %d has the range %+v (%v), want %+v (%v)", i, range_, ok, want, wanted)
		}
	}
	if r := all[121]; r.Unusual[jobs.MeasureDuration] != jobs.WordAbove || r.Unusual[jobs.MeasureInput] != "" {
		t.Errorf("a run that took longer than all before it is %v", r.Unusual)
	}
	if r := all[120]; !r.Failed() || r.Category != jobs.IAM || r.usual[jobs.MeasureDuration].Runs != 50 || r.MappedRate != nil || r.Unusual != nil {
		t.Errorf("the failure is %+v", r)
	}
}

func TestSummaryAndPeriodCountRuns(t *testing.T) {
	queued := jobs.Record{Job: jobs.Job{Key: jobs.Key{Job: "open"}, Status: jobs.Queued},
		Timeline: []jobs.Milestone{{Status: jobs.Queued, ObservedAt: begin.AddDate(0, 0, 9)}}}
	vanished := jobs.Record{Job: jobs.Job{Key: jobs.Key{Job: "gone"}, Status: jobs.Running, StartTime: begin.AddDate(0, 0, 5)}, Vanished: true}
	all := Of([]jobs.Record{queued, success(1, 10), success(2, 30), success(3, 20), failure(4, "x"), vanished}, nil)
	if s := Summarize(all).String(); s != "6 runs, 2 failures, 1 open, median duration 20\u00A0min" {
		t.Errorf("the summary is %q", s)
	}
	if last := all[5]; last.Job != "open" || !last.Open {
		t.Errorf("a queued job without a start time is not the newest: %+v", last)
	}
	if all[4].Status != jobs.Vanished || !all[4].Failed() {
		t.Errorf("a vanished job is %+v", all[4])
	}
	recent := Since(all, begin.AddDate(0, 0, 3))
	if len(recent) != 4 || recent[0].Job != "job-000003" {
		t.Errorf("since the third day there are %+v", recent)
	}
	if s := Summarize(nil).String(); s != "0 runs, 0 failures" {
		t.Errorf("the summary of nothing is %q", s)
	}
}

func TestTableSaysWhatIsKnown(t *testing.T) {
	open := jobs.Record{Job: jobs.Job{Key: jobs.Key{Job: "open\x1b[31m-and-long"}, Status: "PAUSED\n\u202eX", StartTime: begin.AddDate(0, 0, 3)}}
	all := Of([]jobs.Record{success(1, 61), failure(2, "Access Denied\x1b[2J\r\nforged line"), open}, nil)
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	Table(&out, all, begin.AddDate(0, 0, 3).Add(90*time.Minute), zone)
	LastFailure(&out, all)
	text := strings.ReplaceAll(out.String(), "\u00A0", " ")
	for _, want := range []string{"START (Europe/Berlin)", "2026-09-02 08:00", "1 h 1 min", "1,000,000", "66.7%", "1.0%", "IAM", "PAUSED X", "1 h 30 min so far",
		"Last failure (job-0000): Access Denied [2J forged line"} {
		if !strings.Contains(text, want) {
			t.Errorf("the table lacks %q:\n%s", want, text)
		}
	}
	if strings.ContainsAny(text, "\x1b\r\u202e") || strings.Count(text, "\n") != 5 {
		t.Errorf("outside text changes the terminal: %q", text)
	}
}

func TestTerminalPlotMarksFailures(t *testing.T) {
	var out bytes.Buffer
	Plot(&out, Of([]jobs.Record{success(1, 10), success(2, 30), failure(3, "x"), success(4, 20)}, nil))
	text := out.String()
	if !strings.Contains(text, "Duration in minutes\n") || !strings.Contains(text, "Mapped rate in percent\n") || !strings.Contains(text, "failed   ✕ ") {
		t.Errorf("the plot is\n%s", text)
	}
	t.Log(text)
	out.Reset()
	Plot(&out, Of([]jobs.Record{success(1, 10), failure(2, "x")}, nil))
	Plot(&out, nil)
	if out.Len() > 0 {
		t.Errorf("one figure is plotted:\n%s", out.String())
	}
	out.Reset()
	var many []jobs.Record
	for n := range 5000 {
		many = append(many, success(n, 10))
	}
	many[2000] = failure(2000, "x")
	many[3000] = success(3000, 600)
	Plot(&out, Of(many, nil))
	if text := out.String(); !strings.Contains(text, "each column the longest of up to 79 runs") || strings.Count(text, "✕") != 2 || !strings.Contains(text, "10.0") {
		t.Errorf("the plot of 5,000 runs is\n%s", text)
	}
	for l := range strings.Lines(out.String()) {
		if len([]rune(l)) > 81 {
			t.Errorf("the line is wider than a terminal: %q", l)
		}
	}
}

func TestThinKeepsTheExtremes(t *testing.T) {
	var points plotter.XYs
	for n := range 5000 {
		points = append(points, plotter.XY{X: float64(n), Y: math.Sin(float64(n))})
	}
	points[1234].Y, points[4321].Y = 99, -99
	kept := thin(points, 100)
	low, high := 0.0, 0.0
	for _, p := range kept {
		low, high = min(low, p.Y), max(high, p.Y)
	}
	if len(kept) > 202 || low != -99 || high != 99 {
		t.Errorf("%d points from %v to %v", len(kept), low, high)
	}
	if few := points[:50]; len(thin(few, 100)) != 50 {
		t.Error("few points are thinned")
	}
	for i := range points {
		points[i].X = 7
	}
	if len(thin(points, 100)) > 2 {
		t.Error("points of one time are not one column")
	}
}

func TestEachJobTypeHasItsBand(t *testing.T) {
	var records []jobs.Record
	for n := range 20 {
		records = append(records, success(n, 10))
		r := success(n, 50)
		r.Job.Job, r.Job.Type = fmt.Sprintf("i-%d", n), "INCREMENTAL"
		records = append(records, r)
	}
	all := Of(records, nil)
	from, to := period(all)
	bands := bandsOf(all, jobs.MeasureDuration, 60, from, to)
	if len(bands) != 2 || len(bands[0].low) != 15 || bands[0].high[0].Y != 50 || bands[1].high[0].Y != 10 {
		t.Errorf("the bands are %+v", bands)
	}
}

func TestTicksAreRoundAndFew(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, hours := range []int{1, 5, 30, 60, 100, 24 * 30, 24 * 90, 24 * 200, 24 * 800} {
		got := timeTicks(begin, begin.Add(time.Duration(hours)*time.Hour), berlin)
		if len(got) < 1 || len(got) > 16 {
			t.Errorf("%d hours have %d ticks: %+v", hours, len(got), got)
		}
		for i, tick := range got {
			if local := time.Unix(int64(tick.Value), 0).In(berlin); local.Minute() != 0 || hours > 60 && local.Hour() != 0 || i > 0 && tick.Value <= got[i-1].Value {
				t.Errorf("a tick of %d hours is at %s", hours, local)
			}
		}
	}
	for _, to := range []float64{0.004, 0.7, 1, 9, 59, 101, 1234567} {
		if got := valueTicks(0, to, " x"); len(got) < 3 || len(got) > 8 {
			t.Errorf("0 to %v has the ticks %+v", to, got)
		}
	}
}

// sample is a page with all that a page can show.
func sample() []jobs.Record {
	var records []jobs.Record
	for n := range 90 {
		r := success(n, 34+n%7*3+n/12)
		r.Job.Metrics[jobs.InputRecords] += int64(n%5*31_000 + n*2_500)
		r.Job.Metrics[jobs.TotalRecordsProcessed] = r.Job.Metrics[jobs.InputRecords] - int64(9_000+n%4*1500)
		r.Job.Metrics[jobs.RecordsNotProcessed] = int64(9_000 + n%4*1500)
		r.Job.Metrics[jobs.TotalMappedRecords] = r.Job.Metrics[jobs.TotalRecordsProcessed] * int64(655+n%6*4) / 1000
		switch n {
		case 31, 57, 58:
			r = failure(n, `<script>alert("x")</script> User: arn:aws:sts::123456789012:assumed-role/er is not authorized to perform: s3:GetObject (Service: S3, Status Code: 403)`)
		case 44:
			r.Job.Metrics[jobs.TotalMappedRecords] = r.Job.Metrics[jobs.TotalRecordsProcessed] * 52 / 100
		case 70:
			r.Job.EndTime = r.Job.EndTime.Add(70 * time.Minute)
		}
		records = append(records, r)
	}
	open := success(90, 0)
	open.Job.Status, open.Job.EndTime, open.Job.Metrics = jobs.Running, time.Time{}, nil
	return append(records, open)
}

func TestPageIsSelfContainedAndEscapes(t *testing.T) {
	about := About{Workflow: `crm"><b>`, Stack: "idmapping", Region: "eu-west-1", Now: begin.AddDate(0, 0, 90).Add(20 * time.Minute), Zone: time.UTC}
	var out bytes.Buffer
	if err := Page(&out, Of(sample(), nil), about); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	if path := os.Getenv("HISTORY_PAGE"); path != "" { // to look at
		if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, not := range []string{"<script", "<b>", "http://", "https://", "url(", "#010101", "#ZgotmplZ"} {
		if strings.Contains(page, not) {
			t.Errorf("the page has %q", not)
		}
	}
	for _, want := range []string{"&lt;script&gt;", "prefers-color-scheme: dark", `aria-label="Duration in minutes of 91 runs over time, with the usual range as a band; 1 outside it; 3 failed"`,
		"14 Sep</text>", "40 min</text>", "60%</text>", "1000 k</text>", "var(--band)", "var(--fail)", "var(--odd)", "so far", "below usual", "<strong>IAM</strong>"} {
		if !strings.Contains(strings.ReplaceAll(page, "\u00A0", " "), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if n := strings.Count(page, `role="img"`); n != 4 || strings.Count(page, "<svg") != strings.Count(page, "</svg>") {
		t.Errorf("the page has %d plots", n)
	}
}

func TestPageOfFewAndOfManyRuns(t *testing.T) {
	about := About{Workflow: "crm", Now: begin, Zone: time.UTC}
	bare := jobs.Record{Job: jobs.Job{Key: jobs.Key{Job: "bare"}, Status: jobs.Failed}}
	for _, records := range [][]jobs.Record{{success(1, 10)}, {failure(1, "x")}, {bare}, {bare, success(1, 0)}} {
		if err := Page(&bytes.Buffer{}, Of(records, nil), about); err != nil {
			t.Errorf("the page of %+v: %v", records, err)
		}
	}
	var many []jobs.Record
	for n := range 5000 {
		many = append(many, success(n, 10+n%50))
	}
	many[77] = failure(77, "x")
	var out bytes.Buffer
	if err := Page(&out, Of(many, nil), about); err != nil {
		t.Fatal(err)
	}
	if out.Len() > 2<<20 || !strings.Contains(out.String(), "4,000 older runs are in the plots") {
		t.Errorf("the page of 5,000 runs has %d bytes", out.Len())
	}
}

func TestKeptSuccessesReachFurtherBackThanTheArchive(t *testing.T) {
	kept := jobs.Successes{}
	for n := 1; n <= 10; n++ {
		kept = kept.Add(success(n, 10+n))
	}
	archived := []jobs.Record{success(9, 19), success(10, 20)}
	all := Of(archived, map[string]jobs.Successes{"BATCH": kept})
	if len(all) != 2 || all[0].Usual[jobs.MeasureDuration].Runs != 8 || all[1].Usual[jobs.MeasureDuration].Runs != 9 {
		t.Errorf("the ranges are %+v and %+v", all[0].Usual, all[1].Usual)
	}
	if without := Of(archived, nil); without[1].Usual != nil {
		t.Errorf("without them: %+v", without[1].Usual)
	}
}
