package deployment

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
)

// minJobID is the least part of a job ID that finds a job: what a Slack card shows.
const minJobID = 8

// FindRecord finds what the jobs table keeps of a job: in the live partition, or in
// the archive. job is its ID, or at least the first eight characters; workflow may be
// empty, then it reads the archives of all workflows. It calls progress with the
// number of records read so far, now and then.
func (s Stack) FindRecord(ctx context.Context, workflow, job string, progress func(read int)) (jobs.Record, error) {
	table := s.Jobs()
	live, err := table.Live(ctx)
	if err != nil {
		return jobs.Record{}, fmt.Errorf("reading the live partition of %s: %w", s.JobsTable, err)
	}
	matches := func(k jobs.Key) bool {
		return (workflow == "" || k.Workflow == workflow) && (k.Job == job || len(job) >= minJobID && strings.HasPrefix(k.Job, job))
	}
	workflows := make(map[string]bool)
	for name := range live.Workflows {
		workflows[name] = workflow == "" || name == workflow
	}
	if workflow != "" {
		workflows[workflow] = true
	}
	for key, r := range live.Records {
		if matches(key) && !r.Archived {
			return r, nil
		}
		if workflow == "" {
			workflows[key.Workflow] = true
		}
	}
	read := 0
	for _, name := range slices.Sorted(maps.Keys(workflows)) {
		if !workflows[name] {
			continue
		}
		for r, err := range table.Archived(ctx, name, time.Time{}) {
			if err != nil {
				return jobs.Record{}, err
			}
			if read++; read%1000 == 0 && progress != nil {
				progress(read)
			}
			if matches(r.Job.Key) {
				return r, nil
			}
		}
	}
	return jobs.Record{}, fmt.Errorf("the jobs table has no job %s: give the whole ID, or at least its first %d characters. A job is kept for RetentionDays (%s) after its end; "+
		"one that finished before its workflow was watched is kept only if it was among the latest 50", job, minJobID, s.Parameters["RetentionDays"])
}
