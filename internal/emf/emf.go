// Package emf writes CloudWatch metrics as log lines ("Specification: Embedded
// metric format" in the CloudWatch Logs user guide): no call, no permission.
package emf

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Namespace is the CloudWatch namespace of all our metrics.
const Namespace = "IdMappingNotifier"

// Writer writes metrics with the stack's name as their only dimension. It is
// safe for concurrent use as far as Out is.
type Writer struct {
	Out   io.Writer // the function's standard output
	Stack string
}

// Put writes the values that are not zero as one line, or none when all are zero:
// CloudWatch bills a custom metric for each hour in which it receives a value, and
// the alarms treat a missing value as zero. A metric whose name ends in Seconds
// is in seconds, every other one counts.
func (w Writer) Put(values map[string]float64) {
	type metric struct{ Name, Unit string }
	var metrics []metric
	line := map[string]any{"Stack": w.Stack}
	for name, value := range values {
		if value == 0 {
			continue
		}
		unit := "Count"
		if strings.HasSuffix(name, "Seconds") {
			unit = "Seconds"
		}
		metrics = append(metrics, metric{name, unit})
		line[name] = value
	}
	if len(metrics) == 0 {
		return
	}
	line["_aws"] = map[string]any{
		"Timestamp": time.Now().UnixMilli(),
		"CloudWatchMetrics": []map[string]any{{
			"Namespace":  Namespace,
			"Dimensions": [][]string{{"Stack"}},
			"Metrics":    metrics,
		}},
	}
	body, _ := json.Marshal(line) // strings and numbers only: cannot fail
	_, _ = fmt.Fprintf(w.Out, "%s\n", body)
}
