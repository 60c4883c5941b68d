package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

var latencyFigure = regexp.MustCompile(`figure: latency (.+): mean ([\d.]+) s, p95 ([\d.]+) s, followed for (\d+) s and at most (\d+) ticks per run`)

// latency runs the test that measures in virtual time, over the real poller and
// notifier, how long after a job's end Slack is called, which needs testing/synctest,
// and reads its figures. What the wire adds is a row of its own.
func latency(ctx context.Context, root string) ([]row, error) {
	perSecond, err := pollerPrice(root)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "./test/reliability", "-run", "^TestEndsAreReportedWithinSeconds$", "-count=1", "-v")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	figures := latencyFigure.FindAllStringSubmatch(string(out), -1)
	if len(figures) != 5 {
		return nil, fmt.Errorf("measuring a job's end → Slack: %d of 5 figures (%v)\n%s", len(figures), err, out)
	}
	var rows []row
	for _, m := range figures {
		mean, _ := strconv.ParseFloat(m[2], 64)
		followed, _ := strconv.ParseFloat(m[4], 64)
		what := "job's end → Slack, 500 ends in virtual time, " + m[1]
		hold := 8.0
		if followed == 0 || m[1] == "failures at other times" {
			hold = 35
		}
		r := atMost(what, mean, hold, "%.1f s")
		r.measured = "mean " + r.measured + ", p95 " + m[3] + " s, at most " + m[5] + " ticks followed"
		rows = append(rows, r)
		switch m[1] {
		case "runs of 58 to 70 minutes":
			rows = append(rows, atMost("FastPoll, a daily run of 58 to 70 minutes: list price per month", followed*perSecond*daysPerMonth, 0.04, "$%.3f"))
		case "runs of 20 to 24 minutes":
			rows = append(rows, row{what: "FastPoll, an hourly run of 20 to 24 minutes: list price per month", measured: fmt.Sprintf("$%.2f", followed*perSecond*daysPerMonth*24)})
		}
	}
	return rows, nil
}

const daysPerMonth = 730.0 / 24

var memorySize = regexp.MustCompile(`(?m)^ +MemorySize: (\d+)$`)

// pollerPrice is the list price of a second of the poller, in dollars.
func pollerPrice(root string) (float64, error) {
	var prices map[string]struct{ Dollars float64 } // per GB-second
	body, err := os.ReadFile(filepath.Join(root, "tools", "cost", "prices.json"))
	if err == nil {
		err = json.Unmarshal(body, &prices)
	}
	if err != nil {
		return 0, fmt.Errorf("reading list prices: %w", err)
	}
	template, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return 0, err
	}
	sizes := memorySize.FindAllSubmatch(template, -1)
	if len(sizes) != 1 {
		return 0, fmt.Errorf("reading the functions' memory: template.yaml sets %d sizes, want one for both", len(sizes))
	}
	mb, _ := strconv.ParseFloat(string(sizes[0][1]), 64)
	return mb / 1024 * prices["lambdaDuration"].Dollars, nil
}
