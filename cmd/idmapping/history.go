package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // --time-zone names any zone, also where the machine has none

	"github.com/idmapping/notifier/internal/deployment"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/runs"
)

type historyCommand struct {
	Workflow string `arg:"" help:"Name or ARN of the workflow."`
	HTML     string `name:"html" type:"path" placeholder:"FILE" help:"Write a page with plots to this file instead; it needs no network."`
	Since    string `placeholder:"30d" help:"Only runs that finished in this time, such as 30d or 12h, or since a time such as 2026-11-01T00:00:00Z."`
	Last     int    `default:"20" help:"How many of the newest runs the table lists."`
	TimeZone string `placeholder:"ZONE" help:"Time zone such as Europe/Berlin; without it, the stack's TimeZone."`
}

// Help is the end of the command's help.
func (historyCommand) Help() string {
	return `Example:
  idmapping history crm-to-loyalty --since 30d --html crm.html

The table lists the newest runs; the plots and the summary count all of them since then. The page shows each run beside the range that was usual at the time: of the 50 successes of its job type before it. A run is kept for RetentionDays after its end.`
}

// Validate refuses what the options would not mean.
func (c historyCommand) Validate() error {
	if c.Last < 1 {
		return fmt.Errorf("--last is %d: give at least 1", c.Last)
	}
	if _, err := zoneNamed(c.TimeZone); err != nil {
		return err
	}
	_, err := c.from(time.Now())
	return err
}

func zoneNamed(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fmt.Errorf("%.60q is not a time zone: give an IANA name such as Europe/Berlin, or UTC", name)
	}
	return zone, nil
}

// from is where --since begins; zero is everything.
func (c historyCommand) from(now time.Time) (time.Time, error) {
	return moment("--since", c.Since, now)
}

// moment reads the value of a flag: a time, or how long before now. Empty is zero.
func moment(flag, value string, now time.Time) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, value); err == nil {
		return at, nil
	}
	if digits, ok := strings.CutSuffix(value, "d"); ok {
		if days, err := strconv.Atoi(digits); err == nil && days > 0 && days <= 36500 {
			return now.AddDate(0, 0, -days), nil
		}
	}
	if d, err := time.ParseDuration(value); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%s %.60q is neither a time such as 2026-11-01T00:00:00Z nor as long as 30d or 12h", flag, value)
}

// historyResult is the command's JSON.
type historyResult struct {
	Workflow   string       `json:"workflow"`
	Summary    runs.Summary `json:"summary"`
	Unreadable int          `json:"unreadable,omitempty"` // records
	Runs       []runs.Run   `json:"runs"`                 // the newest, the oldest of them first
	Page       string       `json:"page,omitempty"`       // the file of --html
}

// Run prints the runs, or writes the page.
func (c historyCommand) Run(ctx context.Context, a *app) error {
	now := time.Now().UTC()
	since, err := c.from(now)
	if err != nil {
		return err
	}
	stack, err := a.stack(ctx)
	if err != nil {
		return err
	}
	zone, err := zoneNamed(c.TimeZone)
	if c.TimeZone == "" {
		zone, err = zoneNamed(stack.Parameters["TimeZone"])
	}
	if err != nil {
		return err
	}
	workflow, records, unreadable, err := a.runsOf(ctx, stack, c.Workflow)
	if err != nil {
		return err
	}
	// The whole archive is read whatever --since says: the ranges of the first runs
	// are those of the runs before them.
	histories, err := stack.Jobs().Histories(ctx, workflow)
	if err != nil {
		return err
	}
	all := runs.Since(runs.Of(records, histories.Successes), since)
	result := historyResult{Workflow: workflow, Summary: runs.Summarize(all), Unreadable: unreadable, Runs: append([]runs.Run{}, all[max(0, len(all)-c.Last):]...)}
	if c.HTML != "" && len(all) > 0 {
		var page bytes.Buffer
		about := runs.About{Workflow: workflow, Stack: stack.Name, Region: stack.Region(), Now: now, Zone: zone}
		if err := runs.Page(&page, all, about); err != nil {
			return err
		}
		if err := os.WriteFile(c.HTML, page.Bytes(), 0o644); err != nil { //nolint:gosec // a page to share
			return err
		}
		result.Page = c.HTML
	}
	return a.print(result, func(w io.Writer) {
		switch {
		case len(all) == 0 && len(records) > 0:
			fmt.Fprintf(w, "No run of %s finished since %s; there are older ones.\n", workflow, since.In(zone).Format(time.RFC3339))
		case len(all) == 0:
			fmt.Fprintf(w, "No run of %s is kept yet: the next one that finishes will be.\n", workflow)
		case result.Page == "":
			runs.Table(w, result.Runs, now, zone)
			runs.Plot(w, all)
			fmt.Fprintf(w, "\n%s\n", result.Summary)
			runs.LastFailure(w, all)
		default:
			fmt.Fprintf(w, "%s\nThe page is in %s.\n", result.Summary, result.Page)
		}
		if unreadable > 0 {
			fmt.Fprintf(w, "%d records cannot be read and are left out.\n", unreadable)
		}
	})
}

// runsOf reads the runs of a workflow by its name or ARN: the archived ones, and those
// that are open or wait to be archived.
func (a *app) runsOf(ctx context.Context, stack deployment.Stack, nameOrARN string) (workflow string, records []jobs.Record, unreadable int, err error) {
	table := stack.Jobs()
	live, err := table.Live(ctx)
	if err != nil {
		return "", nil, 0, fmt.Errorf("reading the live partition of %s: %w", stack.JobsTable, err)
	}
	known := make(map[string]bool)
	workflow = nameOrARN
	for name, state := range live.Workflows {
		if known[name] = true; state.ARN == nameOrARN {
			workflow = name
		}
	}
	byJob := make(map[string]jobs.Record) // a run that is archived meanwhile is in both
	for key, r := range live.Records {
		if key.Workflow == workflow && !r.Archived && r.Unreadable == nil {
			byJob[key.Job] = r
		}
	}
	began, read := time.Now(), 0
	for r, err := range table.Archived(ctx, workflow, time.Time{}) {
		if err != nil {
			return "", nil, 0, err
		}
		if read++; read%1000 == 0 && time.Since(began) > 2*time.Second {
			a.progress("read %s runs…", message.Grouped(int64(read)))
		}
		if r.Unreadable != nil {
			unreadable++
			continue
		}
		byJob[r.Job.Job] = r
	}
	if len(byJob)+unreadable == 0 && !known[workflow] {
		return "", nil, 0, fmt.Errorf("the stack has no workflow %s; it has: %s", message.OneLine(nameOrARN), strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	return workflow, slices.Collect(maps.Values(byJob)), unreadable, nil
}
