package reliability

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
	"github.com/idmapping/notifier/internal/fakecloud/sam/samtest"
)

// The state of an alarm.
const (
	stateOK    = "OK"
	stateAlarm = "ALARM"
)

// evaluate is how CloudWatch sets an alarm's state (CloudWatch User Guide, How alarm
// state is evaluated when data is missing). The points are those of the evaluation
// range, the newest last: X breaching, 0 not breaching, - missing. It implements the
// treatments of missing data that the template uses.
func evaluate(points string, datapointsToAlarm, evaluationPeriods int, missing, current string) string {
	existing := strings.ReplaceAll(points, "-", "")
	if len(existing) > evaluationPeriods {
		existing = existing[len(existing)-evaluationPeriods:]
	}
	breaching, filled := strings.Count(existing, "X"), evaluationPeriods-len(existing)
	if missing == "breaching" {
		breaching += filled
	}
	switch {
	case breaching >= datapointsToAlarm:
		return stateAlarm
	case missing == "ignore" && filled > 0 && !strings.Contains(existing, "0"):
		return current
	}
	return stateOK
}

// The tables of the guide's section, without the column for the treatment
// "missing". A row's evaluation range has five points.
func TestAlarmModelAgreesWithCloudWatchsTables(t *testing.T) {
	const retain = "retained"
	for _, c := range []struct {
		datapointsToAlarm               int // of three evaluation periods
		points                          string
		ignore, breaching, notBreaching string
	}{
		{3, "0 - X - X", stateOK, stateOK, stateOK},
		{3, "0 - - - -", stateOK, stateOK, stateOK},
		{3, "- - - - -", retain, stateAlarm, stateOK},
		{3, "0 X X - X", stateAlarm, stateAlarm, stateAlarm},
		{3, "- - - - X", retain, stateAlarm, stateOK},
		{3, "X - - - -", retain, stateAlarm, stateOK},
		{2, "0 - X - X", stateAlarm, stateAlarm, stateAlarm},
		{2, "0 0 X 0 X", stateAlarm, stateAlarm, stateAlarm},
		{2, "0 - X - -", stateOK, stateAlarm, stateOK},
		{2, "- - - - 0", stateOK, stateAlarm, stateOK},
		{2, "- - - - X", retain, stateAlarm, stateOK},
	} {
		for missing, want := range map[string]string{"ignore": c.ignore, "breaching": c.breaching, "notBreaching": c.notBreaching} {
			if got := evaluate(strings.ReplaceAll(c.points, " ", ""), c.datapointsToAlarm, 3, missing, retain); got != want {
				t.Errorf("%d of 3, %s, missing is %s: %s, want %s", c.datapointsToAlarm, c.points, missing, got, want)
			}
		}
	}
}

// An alarm is one of the template.
type alarm struct {
	metricStat
	Statistic, ComparisonOperator, TreatMissingData string

	Period, EvaluationPeriods, DatapointsToAlarm int
	Threshold                                    float64

	Metrics []struct {
		Expression string
		MetricStat *struct {
			Metric metricStat
			Stat   string
			Period int
		}
	}

	fill bool // FILL(metric, 0)
}

type metricStat struct {
	Namespace, MetricName string
	Dimensions            []json.RawMessage
}

func templateAlarms(t *testing.T) map[string]alarm {
	t.Helper()
	samtest.RequirePython(t)
	body, err := sam.Translate(t.Context(), "us-east-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Resources map[string]struct {
			Type       string
			Properties json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &document); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]alarm)
	for name, r := range document.Resources {
		if r.Type != "AWS::CloudWatch::Alarm" {
			continue
		}
		var a alarm
		if err := json.Unmarshal(r.Properties, &a); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if a.DatapointsToAlarm == 0 {
			a.DatapointsToAlarm = a.EvaluationPeriods
		}
		for _, query := range a.Metrics {
			if stat := query.MetricStat; stat != nil {
				a.metricStat, a.Statistic, a.Period = stat.Metric, stat.Stat, stat.Period
			} else if !regexp.MustCompile(`^FILL\(\w+, 0\)$`).MatchString(query.Expression) {
				t.Fatalf("%s: the model does not know the expression %q", name, query.Expression)
			} else {
				a.fill = true
			}
		}
		all[name] = a
	}
	return all
}

// metric names the metric that the alarm evaluates: "IdMappingNotifier/Delivered",
// or with the logical ID of the resource "AWS/SQS/SlackQueue/…".
func (a alarm) metric() string {
	if a.Namespace == "IdMappingNotifier" {
		return a.Namespace + "/" + a.MetricName
	}
	of := a.Dimensions[len(a.Dimensions)-1] // {"Fn::GetAtt":["SlackQueue","QueueName"]} or {"Ref":…}
	return a.Namespace + "/" + strings.Trim(string(resource.Find(of)), `"`) + "/" + a.MetricName
}

var resource = regexp.MustCompile(`"\w+(Queue|Function|Rule)"`)

// A change is a new state of an alarm and when it began.
type change struct {
	at    time.Time
	state string
}

// history returns the changes of an alarm's state from OK on, evaluated each minute.
// CloudWatch retrieves more points than the evaluation periods; how many more is
// documented only for one example (two for three periods of five minutes), so that
// callers try several numbers.
func (a alarm) history(points map[int][]float64, begin time.Time, minutes, more int) []change {
	var changes []change
	period, state := a.Period/60, stateOK
	for end := period; end <= minutes; end++ { // from the first complete period on
		var evaluated strings.Builder
		for n := a.EvaluationPeriods + more; n > 0; n-- {
			evaluated.WriteString(a.point(points, end-n*period, end-(n-1)*period))
		}
		if next := evaluate(evaluated.String(), a.DatapointsToAlarm, a.EvaluationPeriods, a.TreatMissingData, state); next != state {
			state = next
			changes = append(changes, change{begin.Add(time.Duration(end) * time.Minute), state})
		}
	}
	return changes
}

// point classifies the period between two minutes: X, 0 or -.
func (a alarm) point(points map[int][]float64, from, to int) string {
	var values []float64
	for minute := from; minute < to; minute++ {
		values = append(values, points[minute]...)
	}
	value := 0.0
	switch {
	case len(values) == 0:
		if !a.fill {
			return "-"
		}
	case a.Statistic == "Sum":
		for _, v := range values {
			value += v
		}
	case a.Statistic == "Maximum":
		value = slices.Max(values)
	case a.Statistic == "Minimum":
		value = slices.Min(values)
	default:
		panic("the model does not know the statistic " + a.Statistic)
	}
	breaching := false
	switch a.ComparisonOperator {
	case "GreaterThanThreshold":
		breaching = value > a.Threshold
	case "GreaterThanOrEqualToThreshold":
		breaching = value >= a.Threshold
	case "LessThanThreshold":
		breaching = value < a.Threshold
	default:
		panic("the model does not know the operator " + a.ComparisonOperator)
	}
	if breaching {
		return "X"
	}
	return "0"
}

// Without FILL, CloudWatch evaluates old points again as long as they are in the
// range.
func TestFillFindsAMissingMetricAfterTheEvaluationPeriods(t *testing.T) {
	points := map[int][]float64{}
	for minute := range 60 {
		points[minute] = []float64{1}
	}
	begin := time.Time{}
	a := alarm{Statistic: "Sum", ComparisonOperator: "LessThanThreshold", TreatMissingData: "breaching",
		Period: 300, EvaluationPeriods: 2, DatapointsToAlarm: 2, Threshold: 1}
	for _, c := range []struct {
		fill bool
		want time.Duration
	}{{true, 10 * time.Minute}, {false, 20 * time.Minute}} {
		a.fill = c.fill
		history := a.history(points, begin, 120, 2)
		if len(history) != 1 || history[0].state != stateAlarm || history[0].at.Sub(begin)-time.Hour > c.want || c.fill == (history[0].at.Sub(begin)-time.Hour > 10*time.Minute) {
			t.Errorf("with FILL: %v: %v", c.fill, history)
		}
	}
}
