package fake

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
)

var at = time.Date(2026, 11, 23, 12, 0, 0, 123_000_000, time.UTC)

func sample(workflow string) jobs.Record {
	return jobs.Record{Job: jobs.Job{
		Key: jobs.Key{Workflow: workflow, Job: "4f2a"}, Type: "BATCH", Status: jobs.Succeeded,
		StartTime: at.Add(-time.Hour), EndTime: at,
		Metrics: jobs.Metrics{jobs.InputRecords: 7, jobs.NewMappedRecords: 0},
		Error:   "an error", Outputs: []jobs.Output{{S3Path: "s3://b/p", RoleArn: "arn:aws:iam::1:role/r"}},
	}}
}

func entry(id string, seq int64) *jobs.Entry {
	return &jobs.Entry{ID: id, Seq: seq, DetailType: "ID Mapping Job State Change", Time: at,
		Resource: "arn:w", Detail: `{"a":"` + id + `"}`, ObservedAt: at}
}

// JobsContract is what every jobs store has to hold. Each call of open gives a
// store; workflow is a name that no other test uses.
func JobsContract(t *testing.T, store poller.Store, workflow string) {
	ctx := context.Background()
	load := func(t *testing.T) jobs.Record {
		t.Helper()
		all, err := store.Records(ctx, workflow)
		must(t, err)
		one, err := store.Record(ctx, jobs.Key{Workflow: workflow, Job: "4f2a"})
		must(t, err)
		equal(t, "Record beside Records", one, all["4f2a"])
		return one
	}
	t.Run("an unknown job has version 0", func(t *testing.T) {
		one, err := store.Record(ctx, jobs.Key{Workflow: workflow, Job: "4f2a"})
		must(t, err)
		equal(t, "record", one, jobs.Record{Job: jobs.Job{Key: jobs.Key{Workflow: workflow, Job: "4f2a"}}})
	})
	t.Run("what is saved is read back, with its entry in the outbox", func(t *testing.T) {
		must(t, store.Save(ctx, sample(workflow), entry("one", 1)))
		want := sample(workflow)
		want.Version, want.Pending = 1, []jobs.Entry{*entry("one", 1)}
		equal(t, "record", load(t), want)
	})
	t.Run("of two that read the same version one saves", func(t *testing.T) {
		r := load(t)
		must(t, store.Save(ctx, r, entry("two", 2)))
		conflicts(t, store.Save(ctx, r, entry("three", 2)))
		conflicts(t, store.Save(ctx, sample(workflow), nil))
		equal(t, "outbox", load(t).Pending, []jobs.Entry{*entry("one", 1), *entry("two", 2)})
	})
	t.Run("settling removes exactly what it names, keeps the version and does not expire a full outbox", func(t *testing.T) {
		must(t, store.Settle(ctx, load(t), []string{"one", "never there"}, nil))
		r := load(t)
		equal(t, "outbox", r.Pending, []jobs.Entry{*entry("two", 2)})
		equal(t, "version", r.Version, int64(2))
		equal(t, "expiring", r.Expiring, false)
	})
	t.Run("an entry that came after the read stays, and the item does not expire", func(t *testing.T) {
		old := load(t)
		must(t, store.Save(ctx, old, entry("three", 3)))
		must(t, store.Settle(ctx, old, []string{"two"}, nil))
		r := load(t)
		equal(t, "outbox", r.Pending, []jobs.Entry{*entry("three", 3)})
		equal(t, "expiring", r.Expiring, false)
	})
	t.Run("a refused entry leaves the outbox, and an empty outbox of an ended job expires", func(t *testing.T) {
		must(t, store.Settle(ctx, load(t), nil, map[string]string{"three": "MalformedDetail"}))
		r := load(t)
		equal(t, "outbox", len(r.Pending), 0)
		equal(t, "expiring", r.Expiring, true)
	})
	t.Run("a job that changes again no longer expires", func(t *testing.T) {
		must(t, store.Save(ctx, load(t), entry("four", 4)))
		equal(t, "expiring", load(t).Expiring, false)
		must(t, store.Settle(ctx, load(t), []string{"four"}, nil))
	})
	t.Run("missing and vanished are kept, and a vanished job expires", func(t *testing.T) {
		r := load(t)
		r.Job.Status, r.Job.EndTime = jobs.Running, time.Time{}
		r.Missing, r.Vanished = jobs.Missing{Count: 2, Since: at}, true
		must(t, store.Save(ctx, r, nil))
		must(t, store.Settle(ctx, load(t), nil, nil))
		got := load(t)
		equal(t, "missing", got.Missing, r.Missing)
		equal(t, "vanished, expiring", []bool{got.Vanished, got.Expiring}, []bool{true, true})
	})
	t.Run("a job that is not over does not expire", func(t *testing.T) {
		k := jobs.Key{Workflow: workflow, Job: "open"}
		must(t, store.Save(ctx, jobs.Record{Job: jobs.Job{Key: k, Status: jobs.Running}}, entry("five", 1)))
		r, err := store.Record(ctx, k)
		must(t, err)
		must(t, store.Settle(ctx, r, []string{"five"}, nil))
		r, err = store.Record(ctx, k)
		must(t, err)
		equal(t, "outbox", len(r.Pending), 0)
		equal(t, "expiring", r.Expiring, false)
	})
	t.Run("settling what has expired meanwhile is no error and brings nothing back", func(t *testing.T) {
		gone := jobs.Record{Job: jobs.Job{Key: jobs.Key{Workflow: workflow, Job: "gone"}, Status: jobs.Running}, Version: 3, Pending: []jobs.Entry{*entry("six", 3)}}
		must(t, store.Settle(ctx, gone, []string{"six"}, nil))
		gone.Job.Status, gone.Job.EndTime = jobs.Failed, at
		must(t, store.Settle(ctx, gone, []string{"six"}, nil))
		all, err := store.Records(ctx, workflow)
		must(t, err)
		if _, there := all["gone"]; there {
			t.Fatal("it is there again")
		}
	})
	t.Run("watches are versioned and forgotten", func(t *testing.T) {
		w := jobs.Watch{Workflow: workflow, ARN: "arn:w", Since: at, SweptThrough: at.Add(time.Minute),
			Resume: jobs.Resume{Token: "next", Newest: at, Left: true}, Jobs: []string{"a", "b"}}
		must(t, store.SaveWatch(ctx, w))
		conflicts(t, store.SaveWatch(ctx, w))
		w.Version = 1
		equal(t, "watch", find(t, store, workflow), []jobs.Watch{w})
		must(t, store.SaveWatch(ctx, w))
		conflicts(t, store.Forget(ctx, w))
		w.Version = 2
		must(t, store.Forget(ctx, w))
		equal(t, "watch", len(find(t, store, workflow)), 0)
	})
}

func find(t *testing.T, store poller.Store, workflow string) []jobs.Watch {
	t.Helper()
	all, err := store.Watches(context.Background())
	must(t, err)
	return slices.DeleteFunc(all, func(w jobs.Watch) bool { return w.Workflow != workflow })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func conflicts(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, jobs.ErrConflict) {
		t.Fatalf("error = %v, want jobs.ErrConflict", err)
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}
