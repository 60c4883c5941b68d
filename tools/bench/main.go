// Bench measures what the design promises of size, memory, speed and calls,
// prints it row by row, and exits 1 naming each figure that does not hold.
// Figures that depend on the machine are ratios, measured side by side.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
)

func main() {
	n := flag.Int("n", 40, "how many starts to measure")
	baseline := flag.String("baseline", "", "folder with PollerFunction/bootstrap and NotifierFunction/bootstrap of another commit, "+
		"as `make build GOARCH="+runtime.GOARCH+"` leaves them in .build, to measure in the same run")
	only := flag.String("only", "", "measure only what has this in its name, such as \"starts\" or \"Slack\"")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *n, *baseline, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// row is one line of the result.
type row struct {
	what, measured string
	hold           string // empty: nothing to hold
	ok             bool
}

func run(ctx context.Context, n int, baseline, only string) error {
	root, err := sam.Root()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binaries, err := build(ctx, root, dir, baseline)
	if err != nil {
		return err
	}
	const line = "%-86s  %-52s  %-24s  %s\n"
	fmt.Printf(line, "what", "measured", "hold", "")
	var failed []string
	for _, m := range []struct {
		name    string
		measure func() ([]row, error)
	}{
		{"starts and memory", func() ([]row, error) { return starts(binaries, n) }},
		{"zips", func() ([]row, error) { return zips(filepath.Join(dir, "arm64")) }},
		{"idle ticks", func() ([]row, error) { return idleTicks(ctx, binaries) }},
		{"a job that never ends", func() ([]row, error) { return stuckJob(ctx) }},
		{"long lists", func() ([]row, error) { return longLists(ctx, root) }},
		{"calls of a notification", func() ([]row, error) { return notificationCalls(ctx, binaries) }},
		{"event → Slack", func() ([]row, error) { return wire(ctx, binaries) }},
		{"latency", func() ([]row, error) { return latency(ctx, root) }},
		{"history page", historyPage},
	} {
		if !strings.Contains(m.name, only) {
			continue
		}
		rows, err := m.measure()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil { // one that cannot be measured hides no other
			rows = append(rows, row{what: m.name, measured: "error: " + err.Error(), hold: "no error"})
		}
		for _, r := range rows {
			verdict := ""
			switch {
			case r.hold != "" && r.ok:
				verdict = "ok"
			case r.hold != "":
				verdict = "FAIL"
				failed = append(failed, r.what)
			}
			fmt.Printf(line, r.what, r.measured, r.hold, verdict)
		}
	}
	if len(failed) > 0 {
		return errors.New("these figures do not hold:\n  " + strings.Join(failed, "\n  "))
	}
	return nil
}

// atMost is a row whose value has an upper limit.
func atMost(what string, value, limit float64, format string) row {
	return row{what, fmt.Sprintf(format, value), "≤ " + fmt.Sprintf(format, limit), value <= limit}
}

func median(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}
