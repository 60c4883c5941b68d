package runs

import (
	"bytes"
	"cmp"
	"html/template"
	"image/color"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/idmapping/notifier/internal/jobs"
)

const (
	width, height = 1120, 210 // of a plot, in points of its SVG
	margin        = 64        // left of its vertical axis, so that the time axes are aligned
	resolution    = 280       // columns that keep a point of their own
)

// The colors stand for CSS variables of the page, so that they follow its scheme.
var (
	inkColor   = color.RGBA{1, 1, 1, 255}
	gridColor  = color.RGBA{2, 2, 2, 255}
	bandColor  = color.RGBA{3, 3, 3, 255}
	runColor   = color.RGBA{4, 4, 4, 255}
	oddColor   = color.RGBA{5, 5, 5, 255}
	failColor  = color.RGBA{6, 6, 6, 255}
	cssOfColor = strings.NewReplacer("#010101", "var(--soft)", "#020202", "var(--grid)", "#030303", "var(--band)",
		"#040404", "var(--run)", "#050505", "var(--odd)", "#060606", "var(--fail)")
)

// svg draws the content of an SVG element: a measure of the runs over time, with the
// usual range as a band. It holds no outside text.
func svg(all []Run, m jobs.Measure, zone *time.Location) (template.HTML, error) {
	from, to := period(all)
	u := unitOf(m, largest(all, m))
	bands := bandsOf(all, m, u.size, from, to)
	low, high := verticalRange(all, m, u.size)
	p := plot.New()
	p.BackgroundColor = nil
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = seconds(from), seconds(to), low, high
	p.X.Tick.Marker = plot.ConstantTicks(timeTicks(from, to, zone))
	p.Y.Tick.Marker = plot.TickerFunc(func(low, high float64) []plot.Tick { return valueTicks(low, high, u.tick) })
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color, axis.Tick.Color, axis.Tick.Label.Color = gridColor, gridColor, inkColor
		axis.Tick.Label.Font.Variant, axis.Tick.Label.Font.Size = "Sans", 12
		axis.Padding = 4
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = gridColor, gridColor
	grid.Vertical.Width, grid.Horizontal.Width = 0.8, 0.8
	p.Add(grid)
	for _, b := range bands {
		if err := b.add(p); err != nil {
			return "", err
		}
	}
	for _, s := range seriesOf(all, m, u.size, low) {
		points, err := plotter.NewScatter(thin(s.points, resolution))
		if err != nil {
			return "", err
		}
		points.GlyphStyle = draw.GlyphStyle{Color: s.color, Radius: s.radius, Shape: s.shape}
		p.Add(points)
	}
	canvas := vgsvg.New(width, height)
	area := draw.New(canvas)
	p.Draw(draw.Crop(area, margin-p.DataCanvas(area).Min.X, -8, 2, -8))
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return "", err
	}
	_, body, _ := strings.Cut(out.String(), "<g ")
	return template.HTML(cssOfColor.Replace("<g " + strings.TrimSuffix(strings.TrimSpace(body), "</svg>"))), nil //nolint:gosec // drawn from numbers and times alone
}

// period is the time that the plots show.
func period(all []Run) (from, to time.Time) {
	from, to = all[0].at, all[len(all)-1].at
	pad := max(to.Sub(from)/100, 10*time.Minute)
	return from.Add(-pad), to.Add(pad)
}

func seconds(t time.Time) float64 { return float64(t.Unix()) }

// verticalRange is what the vertical axis shows. All measures but the mapped rate begin
// at zero.
func verticalRange(all []Run, m jobs.Measure, size float64) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, r := range all {
		if v, ok := r.values[m]; ok {
			low, high = min(low, float64(v)), max(high, float64(v))
		}
		if u, ok := r.usual[m]; ok {
			low, high = min(low, float64(u.Low)), max(high, float64(u.High))
		}
	}
	if math.IsInf(low, 0) {
		low, high = 0, size
	}
	pad := max((high-low)/8, high/50, size/10)
	low, high = (low-pad)/size, (high+pad)/size
	if m != jobs.MeasureMappedRate {
		low = 0
	}
	if m == jobs.MeasureMappedRate || m == jobs.MeasureNotProcessedRate {
		low, high = max(0, low), min(101, high)
	}
	return low, high
}

// series are the points of one kind.
type series struct {
	points plotter.XYs
	color  color.Color
	radius vg.Length
	shape  draw.GlyphDrawer
}

// seriesOf are the kinds that have points; what matters most is drawn last. A failure
// without a figure stands on the time axis.
func seriesOf(all []Run, m jobs.Measure, size, low float64) []series {
	radius := vg.Length(3.5)
	if len(all) > 2*resolution {
		radius = 2
	}
	usual := series{color: runColor, radius: radius, shape: draw.CircleGlyph{}}
	odd := series{color: oddColor, radius: radius + 2, shape: draw.PyramidGlyph{}}
	failed := series{color: failColor, radius: 4.5, shape: cross{}}
	for _, r := range all {
		v, ok := r.values[m]
		point := plotter.XY{X: seconds(r.at), Y: float64(v) / size}
		switch {
		case r.Failed():
			if !ok {
				point.Y = low
			}
			failed.points = append(failed.points, point)
		case ok && r.Unusual[m] != "":
			odd.points = append(odd.points, point)
		case ok:
			usual.points = append(usual.points, point)
		}
	}
	return slices.DeleteFunc([]series{usual, odd, failed}, func(s series) bool { return len(s.points) == 0 })
}

// cross is thicker than the glyph of gonum.
type cross struct{}

// DrawGlyph draws the cross.
func (cross) DrawGlyph(c *draw.Canvas, s draw.GlyphStyle, at vg.Point) {
	c.SetLineStyle(draw.LineStyle{Color: s.Color, Width: 2.2})
	r := s.Radius
	for _, sign := range []vg.Length{1, -1} {
		var path vg.Path
		path.Move(vg.Point{X: at.X - r, Y: at.Y - sign*r})
		path.Line(vg.Point{X: at.X + r, Y: at.Y + sign*r})
		c.Stroke(path)
	}
}

// thin leaves out points that lie between others: of each of n columns it keeps the
// lowest and the highest.
func thin(points plotter.XYs, n int) plotter.XYs {
	if len(points) <= 2*n {
		return points
	}
	first, last := points[0].X, points[len(points)-1].X
	column := func(p plotter.XY) int { return int((p.X - first) / (last - first) * float64(n)) }
	var kept plotter.XYs
	for from := 0; from < len(points); {
		to := from + 1
		for to < len(points) && (last == first || column(points[to]) == column(points[from])) {
			to++
		}
		byValue := func(a, b plotter.XY) int { return cmp.Compare(a.Y, b.Y) }
		low, high := slices.MinFunc(points[from:to], byValue), slices.MaxFunc(points[from:to], byValue)
		if kept = append(kept, low); high != low {
			kept = append(kept, high)
		}
		from = to
	}
	return kept
}

// band is the usual range of one job type over time, without a gap.
type band struct{ low, median, high plotter.XYs }

// bandsOf are the bands of all job types. One column keeps one range, its newest.
func bandsOf(all []Run, m jobs.Measure, size float64, from, to time.Time) []band {
	columnOf := func(x float64) int {
		return int((x - seconds(from)) / (seconds(to) - seconds(from)) * 2 * resolution)
	}
	open := make(map[string]*band) // by job type
	var types []string
	var done []band
	for _, r := range all {
		usual, ok := r.usual[m]
		b := open[r.Type]
		if !ok {
			if b != nil {
				done = append(done, *b)
				delete(open, r.Type)
			}
			continue
		}
		if b == nil {
			b = &band{}
			open[r.Type], types = b, append(types, r.Type)
		}
		x := seconds(r.at)
		if n := len(b.low); n > 1 && columnOf(b.low[n-1].X) == columnOf(x) {
			b.low, b.median, b.high = b.low[:n-1], b.median[:n-1], b.high[:n-1]
		}
		b.low = append(b.low, plotter.XY{X: x, Y: float64(usual.Low) / size})
		b.median = append(b.median, plotter.XY{X: x, Y: float64(usual.Median) / size})
		b.high = append(b.high, plotter.XY{X: x, Y: float64(usual.High) / size})
	}
	for _, name := range types {
		if b := open[name]; b != nil {
			done = append(done, *b)
			delete(open, name)
		}
	}
	return done
}

func (b band) add(p *plot.Plot) error {
	backwards := slices.Clone(b.high)
	slices.Reverse(backwards)
	area, err := plotter.NewPolygon(slices.Concat(b.low, backwards))
	if err != nil {
		return err
	}
	area.Color, area.LineStyle = bandColor, draw.LineStyle{Color: bandColor, Width: 1}
	median, err := plotter.NewLine(b.median)
	if err != nil {
		return err
	}
	median.LineStyle = draw.LineStyle{Color: runColor, Width: 1, Dashes: []vg.Length{4, 3}}
	p.Add(area, median)
	return nil
}

// valueTicks are at most eight round numbers with their unit.
func valueTicks(low, high float64, suffix string) []plot.Tick {
	step := math.Pow(10, math.Floor(math.Log10((high-low)/5)))
	for _, factor := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*factor) <= 7 {
			step *= factor
			break
		}
	}
	var all []plot.Tick
	for n := math.Ceil(low / step); n*step <= high; n++ {
		decimals := max(0, int(-math.Floor(math.Log10(step)+1e-9)))
		all = append(all, plot.Tick{Value: n * step, Label: strconv.FormatFloat(n*step, 'f', decimals, 64) + suffix})
	}
	return all
}

// timeTicks are at most 14 or so round times of a zone.
func timeTicks(from, to time.Time, zone *time.Location) []plot.Tick {
	from, to = from.In(zone), to.In(zone)
	hours := to.Sub(from).Hours()
	day := time.Date(from.Year(), from.Month(), from.Day(), 0, 0, 0, 0, zone)
	layout := "2 Jan"
	var step func(n int) time.Time
	fit := func(steps ...int) int { // the first with at most 14 ticks
		for _, s := range steps {
			if hours/float64(s) <= 14 {
				return s
			}
		}
		return steps[len(steps)-1]
	}
	switch {
	case hours <= 60:
		by := fit(1, 2, 3, 6)
		layout, step = "15:04", func(n int) time.Time {
			return time.Date(day.Year(), day.Month(), day.Day(), n*by, 0, 0, 0, zone)
		}
	case hours <= 24*140:
		by := fit(24, 48, 7*24, 14*24) / 24
		if by%7 == 0 { // weeks begin on Monday
			day = day.AddDate(0, 0, -(int(day.Weekday())+6)%7)
		}
		step = func(n int) time.Time { return day.AddDate(0, 0, n*by) }
	default:
		by := max(1, int(math.Ceil(hours/(24*30*10))))
		layout, step = "Jan 2006", func(n int) time.Time { return time.Date(day.Year(), time.Month(1+n*by), 1, 0, 0, 0, 0, zone) }
	}
	var all []plot.Tick
	for n := 0; !step(n).After(to); n++ {
		t, label := step(n), step(n).Format(layout)
		if layout == "15:04" && t.Hour() == 0 {
			label = t.Format("2 Jan")
		}
		if !t.Before(from) {
			all = append(all, plot.Tick{Value: seconds(t), Label: label})
		}
	}
	return all
}
