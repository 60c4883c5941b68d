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
	for key, r := range live.Records {
		if matches(key) && !r.Archived {
			return r, nil
		}
	}
	names, since := archives(live, workflow, matches)
	read := 0
	for _, name := range names {
		for r, err := range table.Archived(ctx, name, since) {
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

// archives are the workflows whose archives can hold a job, and since when: a job that
// finished within the last hours has left a stub, which says where it is.
func archives(live jobs.Live, workflow string, matches func(jobs.Key) bool) (names []string, since time.Time) {
	for key, r := range live.Records {
		if !matches(key) {
			continue
		}
		if end := r.FinishedAt(); !r.Vanished && !end.IsZero() {
			since = end.Add(-time.Minute)
		}
		return []string{key.Workflow}, since
	}
	if workflow != "" {
		return []string{workflow}, since
	}
	return slices.Sorted(maps.Keys(live.Workflows)), since
}
