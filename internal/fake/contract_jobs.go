package fake

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
)

func sample(workflow string) jobs.Record {
	return jobs.Record{ARN: ARN(workflow), Job: jobs.Job{
		Key: jobs.Key{Workflow: workflow, Job: "4f2a"}, Type: "BATCH", Status: jobs.Succeeded,
		StartTime: at.Add(-time.Hour), EndTime: at,
		Metrics: jobs.Metrics{jobs.InputRecords: 7, jobs.NewMappedRecords: 0},
		Error:   "an error", Outputs: []jobs.Output{{S3Path: "s3://b/p", RoleArn: "arn:aws:iam::1:role/r"}},
	}}
}

func entry(id string) jobs.Entry {
	return jobs.Entry{ID: id, DetailType: "ID Mapping Job State Change", Time: at,
		Resource: "arn:w", Detail: `{"a":"` + id + `"}`, ObservedAt: at}
}

// archivedRuns are a workflow's archived runs, in the order of their end.
func archivedRuns(t *testing.T, table poller.Store, workflow string) []jobs.Record {
	t.Helper()
	var all []jobs.Record
	for r, err := range table.Archived(context.Background(), workflow, time.Time{}) {
		must(t, err)
		all = append(all, r)
	}
	return all
}

func histories(t *testing.T, table poller.Store, workflow string) jobs.Histories {
	t.Helper()
	h, err := table.Histories(context.Background(), workflow)
	must(t, err)
	return h
}

// JobsContract is what every jobs table has to hold. workflow is a name that no
// other test uses; the table archives runs for at least a day.
func JobsContract(t *testing.T, table poller.Store, workflow string) {
	ctx := context.Background()
	key := jobs.Key{Workflow: workflow, Job: "4f2a"}
	load := func(t *testing.T, key jobs.Key) jobs.Record {
		t.Helper()
		all, err := table.Live(ctx)
		must(t, err)
		return all.Records[key]
	}
	t.Run("an unknown job is not live", func(t *testing.T) {
		equal(t, "record", load(t, key), jobs.Record{})
	})
	t.Run("a saved record is read back as the next version", func(t *testing.T) {
		want := sample(workflow).Append(entry("one"), jobs.Succeeded)
		want.Missing, want.Tracked = jobs.Missing{Count: 2, Since: at}, true
		want.Refused = []jobs.RefusedEntry{{Entry: entry("zero"), Reason: "MalformedDetail"}}
		must(t, table.Save(ctx, want))
		want.Version = 1
		equal(t, "record", load(t, key), want)
	})
	t.Run("of two that read the same version one saves", func(t *testing.T) {
		r := load(t, key)
		must(t, table.Save(ctx, r.Append(entry("two"), jobs.Failed)))
		conflicts(t, table.Save(ctx, r.Append(entry("three"), jobs.Failed)))
		conflicts(t, table.Save(ctx, sample(workflow)))
		conflicts(t, table.Archive(ctx, r))
		conflicts(t, table.Delete(ctx, r))
		equal(t, "outbox", load(t, key).Outbox, []jobs.Entry{entry("one"), entry("two")})
		equal(t, "archived", len(archivedRuns(t, table, workflow)), 0)
	})
	t.Run("archiving moves the run to the archive and its histories and leaves a stub", func(t *testing.T) {
		r := load(t, key).Published(at).Published(at.Add(time.Second))
		must(t, table.Archive(ctx, r))
		stub := r.Stub()
		stub.Version = r.Version + 1
		equal(t, "stub", load(t, key), stub)
		archived := archivedRuns(t, table, workflow)
		equal(t, "archived runs", len(archived), 1)
		equal(t, "archived outbox", len(archived[0].Outbox), 0)
		r.Version, r.Outbox, archived[0].Outbox = archived[0].Version, nil, nil
		equal(t, "archived run", archived[0], r)
		h := histories(t, table, workflow)
		equal(t, "starts", h.Runs.Starts, []int64{at.Add(-time.Hour).Unix()})
		equal(t, "last success", h.Runs.LastSuccess.Job, "4f2a")
		equal(t, "successes", len(h.Successes["BATCH"].Runs), 1)
		equal(t, "measures", h.Successes["BATCH"].Runs[0].Metrics, jobs.Metrics{jobs.InputRecords: 7})
	})
	t.Run("archiving again after a lost answer changes nothing", func(t *testing.T) {
		stub := load(t, key)
		again := sample(workflow)
		again.Version = stub.Version - 1
		must(t, table.Archive(ctx, again))
		equal(t, "stub", load(t, key), stub)
		equal(t, "successes", len(histories(t, table, workflow).Successes["BATCH"].Runs), 1)
	})
	t.Run("a stub is saved as a record again and deleted", func(t *testing.T) {
		r := load(t, key)
		r.Archived = false
		must(t, table.Save(ctx, r.Append(entry("four"), jobs.Failed)))
		stale := r
		r = load(t, key)
		equal(t, "outbox", r.Outbox, []jobs.Entry{entry("four")})
		conflicts(t, table.Delete(ctx, stale))
		must(t, table.Delete(ctx, r))
		equal(t, "record", load(t, key), jobs.Record{})
		conflicts(t, table.Delete(ctx, r))
	})
	t.Run("many runs of one workflow share its histories", func(t *testing.T) {
		for i := range 3 {
			r := sample(workflow)
			r.Job.Job, r.Job.Type = fmt.Sprint("many-", i), "INCREMENTAL"
			r.Job.StartTime, r.Job.EndTime = at.Add(time.Duration(i)*time.Minute), at.Add(time.Duration(i+1)*time.Minute)
			must(t, table.Save(ctx, r))
			must(t, table.Archive(ctx, load(t, r.Job.Key)))
		}
		h := histories(t, table, workflow)
		equal(t, "starts", len(h.Runs.Starts), 4)
		equal(t, "successes", len(h.Successes["INCREMENTAL"].Runs), 3)
		equal(t, "successes of another type", len(h.Successes["BATCH"].Runs), 1)
		equal(t, "archived runs", len(archivedRuns(t, table, workflow)), 4)
		for r, err := range table.Archived(ctx, workflow, at.Add(2*time.Minute)) {
			must(t, err)
			equal(t, "runs that finished in time are in order", r.Job.Job, "many-1")
			break
		}
	})
	t.Run("backfilled runs and start times are added once and replace nothing", func(t *testing.T) {
		old := sample(workflow)
		old.Job.Job, old.Job.Status = "old", jobs.Failed
		old.Job.StartTime, old.Job.EndTime = at.Add(time.Hour), at.Add(2*time.Hour)
		watched := sample(workflow) // archived above, with a timeline
		for range 2 {
			must(t, table.Backfill(ctx, workflow, []jobs.Record{old, watched}))
			must(t, table.AddStarts(ctx, workflow, []time.Time{at.Add(-24 * time.Hour), {}}))
		}
		archived := archivedRuns(t, table, workflow)
		equal(t, "archived runs", len(archived), 5)
		for _, r := range archived {
			if r.Job.Job == "4f2a" {
				equal(t, "milestones of a watched run", len(r.Timeline), 2)
			}
		}
		h := histories(t, table, workflow)
		equal(t, "starts", len(h.Runs.Starts), 6)
		equal(t, "failures since the last success", len(h.Runs.Failures), 1)
	})
	t.Run("workflow states are versioned, and deleted with their histories", func(t *testing.T) {
		w := jobs.WorkflowState{Workflow: workflow, ARN: "arn:w", Baseline: at, Watermark: at.Add(time.Minute),
			Cursor:   jobs.Cursor{Token: "next", Newest: at, Incomplete: true, BeganAt: at},
			Backfill: []jobs.RunRef{{Job: "a", Start: at}, {Job: "b"}},
			Tags:     map[string]string{"owner": "crm"}, Mute: jobs.Mute{Since: at, Until: at.Add(time.Hour), Reason: "migration"}}
		state := func(t *testing.T) jobs.WorkflowState {
			t.Helper()
			all, err := table.Live(ctx)
			must(t, err)
			return all.Workflows[workflow]
		}
		must(t, table.SaveWorkflow(ctx, w))
		conflicts(t, table.SaveWorkflow(ctx, w))
		w.Version = 1
		equal(t, "state", state(t), w)
		must(t, table.SaveWorkflow(ctx, w))
		conflicts(t, table.DeleteWorkflow(ctx, w))
		w.Version = 2
		must(t, table.DeleteWorkflow(ctx, w))
		equal(t, "state", state(t), jobs.WorkflowState{})
		equal(t, "starts", len(histories(t, table, workflow).Runs.Starts), 0)
	})
	t.Run("the filter is versioned", func(t *testing.T) {
		f := jobs.FilterState{Include: "a-*", Exclude: "b", Since: at}
		must(t, table.SaveFilter(ctx, f))
		conflicts(t, table.SaveFilter(ctx, f))
		all, err := table.Live(ctx)
		must(t, err)
		f.Version = 1
		equal(t, "filter", all.Filter, f)
	})
}
