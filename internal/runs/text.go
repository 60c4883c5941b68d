package runs

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/guptarohit/asciigraph"

	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
)

const (
	columns    = 64 // of a plot in a terminal
	plotHeight = 6
	shortID    = 8 // characters of a job ID, as explain takes it
	noFigure   = "–"
)

// Table writes the runs as a table. Outside text is made safe for a terminal.
func Table(w io.Writer, all []Run, now time.Time, zone *time.Location) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "START (%s)\tDURATION\tSTATUS\tINPUT\tMAPPED\tNOT PROCESSED\tERROR\tJOB\n", zone)
	for _, r := range all {
		category := string(r.Category)
		if category == "" {
			category = noFigure
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.start(zone), r.duration(now), cut(string(r.Status), 24),
			r.input(), percent(r.MappedRate), percent(r.NotProcessedRate), category, cut(r.Job, shortID))
	}
	_ = table.Flush()
}

func (r Run) start(zone *time.Location) string {
	if r.StartTime.IsZero() {
		return noFigure
	}
	return r.StartTime.In(zone).Format("2006-01-02 15:04")
}

func (r Run) duration(now time.Time) string {
	switch {
	case r.DurationSeconds != nil:
		return message.Duration(*r.DurationSeconds)
	case r.Open && !r.clock.IsZero() && now.After(r.clock):
		return message.Duration(int64(now.Sub(r.clock)/time.Second)) + " so far"
	}
	return noFigure
}

func (r Run) input() string {
	if r.InputRecords == nil {
		return noFigure
	}
	return message.Grouped(*r.InputRecords)
}

func percent(rate *float64) string {
	if rate == nil {
		return noFigure
	}
	return message.Percent(*rate)
}

// cut is the beginning of outside text, in one line.
func cut(text string, n int) string {
	text = message.OneLine(text)
	if runes := []rune(text); len(runes) > n {
		return string(runes[:n])
	}
	return text
}

// String is the summary in one line.
func (s Summary) String() string {
	text := message.Plural(s.Runs, "run") + ", " + message.Plural(s.Failures, "failure")
	if s.Open > 0 {
		text += ", " + message.Grouped(int64(s.Open)) + " open"
	}
	if s.MedianDurationSeconds != nil {
		text += ", median duration " + message.Duration(*s.MedianDurationSeconds)
	}
	return text
}

// LastFailure writes why the newest failed run failed.
func LastFailure(w io.Writer, all []Run) {
	for i := len(all) - 1; i >= 0; i-- {
		if r := all[i]; r.Failed() && r.Error != "" {
			fmt.Fprintf(w, "Last failure (%s): %s\n", cut(r.Job, shortID), cut(r.Error, 300))
			return
		}
	}
}

// Plot writes the durations and the mapped rates of the finished runs as plots, the
// newest at the right, with the failures marked below. A column of more than one run
// shows the worst of them. It writes nothing for fewer than two figures.
func Plot(w io.Writer, all []Run) {
	var finished []Run
	for _, r := range all {
		if !r.Open {
			finished = append(finished, r)
		}
	}
	each := max(1, (len(finished)+columns-1)/columns)
	of := ""
	if each > 1 {
		of = fmt.Sprintf(", each column the %%s of up to %d runs", each)
	}
	for _, p := range []struct {
		measure jobs.Measure
		title   string
		worst   func(a, b float64) float64
		word    string
	}{{jobs.MeasureDuration, "Duration", math.Max, "longest"}, {jobs.MeasureMappedRate, "Mapped rate", math.Min, "lowest"}} {
		u := unitOf(p.measure, largest(finished, p.measure))
		values, failed, known := cells(finished, each, p.measure, p.worst)
		if known < 2 {
			continue
		}
		for i := range values {
			values[i] /= u.size
		}
		title := fmt.Sprintf("\n%s in %s", p.title, u.name)
		if of != "" {
			title += fmt.Sprintf(of, p.word)
		}
		graph := asciigraph.Plot(values, asciigraph.Height(plotHeight), asciigraph.Precision(1))
		fmt.Fprintf(w, "%s\n%s\n", title, graph)
		if strings.Contains(failed, "✕") {
			first, _, _ := strings.Cut(graph, "\n")
			margin := max(0, strings.IndexAny(first, "┤┼"))
			fmt.Fprintf(w, "%*s %s\n", len([]rune(first[:margin])), "failed", failed)
		}
	}
}

// cells are the values of the columns, NaN where there is none, and the marks of those
// with a failure. known counts the values.
func cells(all []Run, each int, m jobs.Measure, worst func(a, b float64) float64) (values []float64, failed string, known int) {
	for from := 0; from < len(all); from += each {
		value, mark := math.NaN(), " "
		for _, r := range all[from:min(len(all), from+each)] {
			v, ok := r.values[m]
			switch {
			case r.Failed():
				mark = "✕"
			case ok && math.IsNaN(value):
				value = float64(v)
			case ok:
				value = worst(value, float64(v))
			}
		}
		if !math.IsNaN(value) {
			known++
		}
		values, failed = append(values, value), failed+mark
	}
	return values, failed, known
}

// unit is how a measure is written on an axis.
type unit struct {
	size float64 // in the measure's own unit
	name string
	tick string // behind a number
}

func unitOf(m jobs.Measure, largest int64) unit {
	switch m {
	case jobs.MeasureDuration:
		switch {
		case largest >= 3*3600:
			return unit{3600, "hours", " h"}
		case largest >= 180:
			return unit{60, "minutes", " min"}
		}
		return unit{1, "seconds", " s"}
	case jobs.MeasureInput:
		switch {
		case largest >= 2_000_000:
			return unit{1_000_000, "million records", " M"}
		case largest >= 2_000:
			return unit{1_000, "thousand records", " k"}
		}
		return unit{1, "records", ""}
	}
	return unit{100, "percent", "%"}
}

func largest(all []Run, m jobs.Measure) int64 {
	var n int64
	for _, r := range all {
		n = max(n, r.values[m], r.usual[m].High)
	}
	return n
}
