package emf_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/emf"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/poller"
)

func TestOneLineDeclaresEveryMetricThatItHolds(t *testing.T) {
	values := poller.Report{Published: 3, OldestUnpublished: 42, Throttled: true}.Values()
	var out bytes.Buffer
	emf.Writer{Out: &out, Stack: "mine"}.Put(values)
	if n := bytes.Count(out.Bytes(), []byte("\n")); n != 1 {
		t.Fatalf("%d lines", n)
	}
	var line struct {
		Stack string
		AWS   struct {
			Timestamp         int64
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name, Unit string }
			}
		} `json:"_aws"`
	}
	var all map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	directive := line.AWS.CloudWatchMetrics[0]
	if line.Stack != "mine" || directive.Namespace != emf.Namespace || directive.Dimensions[0][0] != "Stack" {
		t.Errorf("%s", out.Bytes())
	}
	if age := time.Since(time.UnixMilli(line.AWS.Timestamp)); age < -time.Second || age > time.Hour {
		t.Errorf("timestamp %v old", age)
	}
	var names []string
	for _, m := range directive.Metrics {
		names = append(names, m.Name)
		if got, ok := all[m.Name].(float64); !ok || got != values[m.Name] {
			t.Errorf("%s = %v, want %v", m.Name, all[m.Name], values[m.Name])
		}
		if want := map[bool]string{true: "Seconds", false: "Count"}[m.Name == poller.OldestUnpublishedSeconds]; m.Unit != want {
			t.Errorf("%s is in %s", m.Name, m.Unit)
		}
	}
	slices.Sort(names)
	want := []string{poller.OldestUnpublishedSeconds, poller.Throttled, poller.TransitionsPublished}
	if !slices.Equal(names, want) || len(all) != len(want)+2 {
		t.Errorf("declared %v in %s, want %v", names, out.Bytes(), want)
	}
}

// CloudWatch bills a custom metric for each hour in which it has a value.
func TestZerosAreNotWritten(t *testing.T) {
	var out bytes.Buffer
	w := emf.Writer{Out: &out, Stack: "mine"}
	w.Put(notify.Report{}.Values())
	if out.Len() != 0 {
		t.Errorf("a batch without a delivery writes %s", out.Bytes())
	}
	w.Put(map[string]float64{"Zero": 0, "One": 1})
	if strings.Contains(out.String(), "Zero") || !strings.Contains(out.String(), `"One":1`) {
		t.Errorf("written is %s", out.Bytes())
	}
}

// Each custom metric has its price: ten is what the design allows, besides TagsUnread,
// which costs nothing while tags can be read.
func TestThereAreElevenMetricsInAll(t *testing.T) {
	if n := len(poller.Report{}.Values()) + len(notify.Report{}.Values()); n != 11 {
		t.Errorf("%d metrics", n)
	}
}
