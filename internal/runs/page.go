package runs

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
)

// pageRows is how many runs the page's table lists.
const pageRows = 1000

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// About is what the page says beside the runs.
type About struct {
	Workflow, Stack, Region string
	Now                     time.Time
	Zone                    *time.Location
}

// figure is one plot.
type figure struct {
	Title, Unit, Label string
	SVG                template.HTML
}

// line is one row of the table, as text.
type line struct {
	Start, Duration, Input, Mapped, NotProcessed string
	DurationWord, InputWord, MappedWord          jobs.Word
	Job                                          string // its short ID
	Run                                          Run
}

// Page writes a page that loads nothing. There must be a run.
func Page(w io.Writer, all []Run, about About) error {
	summary := Summarize(all)
	data := struct {
		About
		Summary                   Summary
		From, To, Written, Median string
		Figures                   []figure
		Lines                     []line
		Omitted                   string
		Width, Height             int
	}{About: about, Summary: summary, From: day(all[0], about.Zone), To: day(all[len(all)-1], about.Zone),
		Written: about.Now.In(about.Zone).Format("2 January 2006 15:04"), Median: noFigure, Width: width, Height: height}
	if summary.MedianDurationSeconds != nil {
		data.Median = message.Duration(*summary.MedianDurationSeconds)
	}
	for _, f := range []struct {
		measure jobs.Measure
		title   string
	}{{jobs.MeasureDuration, "Duration"}, {jobs.MeasureMappedRate, "Mapped rate"}, {jobs.MeasureNotProcessedRate, "Not processed rate"}, {jobs.MeasureInput, "Input"}} {
		drawn, err := svg(all, f.measure, about.Zone)
		if err != nil {
			return fmt.Errorf("drawing %s: %w", f.measure, err)
		}
		u := unitOf(f.measure, largest(all, f.measure))
		data.Figures = append(data.Figures, figure{f.title, u.name, label(f.title, u.name, all, f.measure), drawn})
	}
	for _, r := range slices.Backward(all) {
		if len(data.Lines) == pageRows {
			data.Omitted = message.Grouped(int64(len(all) - pageRows))
			break
		}
		data.Lines = append(data.Lines, line{r.start(about.Zone), r.duration(about.Now), r.input(), percent(r.MappedRate), percent(r.NotProcessedRate),
			r.Unusual[jobs.MeasureDuration], r.Unusual[jobs.MeasureInput], r.Unusual[jobs.MeasureMappedRate], cut(r.Job, shortID), r})
	}
	return pageTemplate.Execute(w, data)
}

func day(r Run, zone *time.Location) string { return r.at.In(zone).Format("2 January 2006") }

// label says in words what a plot shows.
func label(title, unit string, all []Run, m jobs.Measure) string {
	text := fmt.Sprintf("%s in %s of %s over time, with the usual range as a band", title, unit, message.Plural(len(all), "run"))
	odd, failed := 0, 0
	for _, r := range all {
		if r.Unusual[m] != "" {
			odd++
		}
		if r.Failed() {
			failed++
		}
	}
	if m != jobs.MeasureNotProcessedRate {
		text += fmt.Sprintf("; %s outside it", message.Grouped(int64(odd)))
	}
	return text + fmt.Sprintf("; %s failed", message.Grouped(int64(failed)))
}
