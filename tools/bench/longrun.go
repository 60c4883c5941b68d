package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
)

// stuckJob counts the calls to Entity Resolution of an idle tick beside a job
// that never ends and 90 days of hourly runs, in virtual time.
func stuckJob(ctx context.Context) ([]row, error) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	source := &fake.Source{Clock: clock}
	watched, err := poller.NewFilter("*", "")
	if err != nil {
		return nil, err
	}
	p := &poller.Poller{Source: source, Store: &fake.Jobs{}, Publisher: &fake.Bus{}, Watched: watched,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: clock}
	tick := func() error {
		now = now.Add(time.Minute)
		_, err := p.Sweep(ctx)
		return err
	}
	idle := func() (int, error) { // calls of one tick
		before := len(source.Calls())
		err := tick()
		return len(source.Calls()) - before, err
	}
	source.Put(jobs.Job{Key: jobs.Key{Workflow: "crm"}})
	if err := tick(); err != nil {
		return nil, err
	}
	least, err := idle()
	if err != nil {
		return nil, err
	}
	source.Put(jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "stuck"}, Type: "BATCH", Status: jobs.Running, StartTime: now})
	for hour := range 90 * 24 {
		if err := tick(); err != nil { // finds the run of the hour before, or nothing
			return nil, err
		}
		now = now.Add(58 * time.Minute)
		source.Put(jobs.Job{Key: jobs.Key{Workflow: "crm", Job: strconv.Itoa(hour)}, Type: "BATCH", Status: jobs.Succeeded,
			StartTime: now.Add(-30 * time.Minute), EndTime: now})
		if err := tick(); err != nil {
			return nil, err
		}
	}
	calls, err := idle()
	if err != nil {
		return nil, err
	}
	return []row{atMost("one job that never ends, one run per hour: extra calls of an idle tick on day 90", float64(calls-least), 1, "%.0f")}, nil
}

var listFigure = regexp.MustCompile(`figure: lists (.+): terminal status of an open job (\d+), job never observed (\d+)`)

// longLists runs the test that follows ten lists of 1,000 jobs in virtual time,
// which needs testing/synctest, and reads its figures.
func longLists(ctx context.Context, root string) ([]row, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "./test/reliability", "-run", "^TestListsOfThousandsInAnyOrderDelayNothing$", "-count=1", "-v")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	var rows []row
	for _, m := range listFigure.FindAllStringSubmatch(string(out), -1) {
		open, _ := strconv.ParseFloat(m[2], 64)
		unseen, _ := strconv.ParseFloat(m[3], 64)
		rows = append(rows,
			atMost("lists of 10 × 1,000 jobs, "+m[1]+": ticks to the terminal status of an open job", open, 1, "%.0f"),
			atMost("lists of 10 × 1,000 jobs, "+m[1]+": ticks to a job never seen before", unseen, 3, "%.0f"))
	}
	if len(rows) != 6 {
		rows = append(rows, row{what: "lists of 10 × 1,000 jobs in any order", measured: fmt.Sprintf("%d of 6 figures (%v)", len(rows), err), hold: "a figure for each order"})
	}
	return rows, nil
}
