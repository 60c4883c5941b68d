package fake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
)

// SourceContract is what every source has to hold; it shows nothing but what is
// put there.
func SourceContract(t *testing.T, source poller.Source, put func(jobs.Job)) {
	ctx := context.Background()
	start := at.Truncate(time.Second)
	want := make(map[string]jobs.Job)
	for i := range 60 {
		j := sample("crm").Job
		j.Job = fmt.Sprintf("%02d", i)
		j.StartTime, j.EndTime = start.Add(time.Duration(i)*time.Minute), start.Add(time.Duration(i+1)*time.Minute)
		want[j.Job] = j
		put(j)
	}
	put(jobs.Job{Key: jobs.Key{Workflow: "web", Job: "a"}, Type: "BATCH", Status: jobs.Queued})
	t.Run("every workflow is shown with its ARN", func(t *testing.T) {
		all, err := source.Workflows(ctx)
		must(t, err)
		for _, name := range []string{"crm", "web"} {
			w := all.Workflows[name]
			if w.Name != name || !strings.HasSuffix(w.ARN, ":idmappingworkflow/"+name) || w.CreatedAt.IsZero() {
				t.Errorf("%s is %+v", name, w)
			}
		}
		equal(t, "workflows", len(all.Workflows), 2)
		equal(t, "listed at a time", all.At.IsZero(), false)
	})
	t.Run("a list is read page by page, newest first, with what a list shows", func(t *testing.T) {
		var rows []jobs.Job
		for token, pages := "", 0; ; pages++ {
			page, err := source.Page(ctx, "crm", token)
			must(t, err)
			if page.At.IsZero() || len(page.Rows) > 25 || pages > 3 {
				t.Fatalf("page %d of %v has %d rows", pages, page.At, len(page.Rows))
			}
			rows = append(rows, page.Rows...)
			if token = page.Next; token == "" {
				break
			}
		}
		equal(t, "rows", len(rows), 60)
		for i, row := range rows {
			j := want[fmt.Sprintf("%02d", 59-i)]
			equal(t, "row", row, jobs.Job{Key: j.Key, Status: j.Status, StartTime: j.StartTime, EndTime: j.EndTime})
		}
	})
	t.Run("a job is read whole", func(t *testing.T) {
		j, err := source.Job(ctx, want["07"].Key)
		must(t, err)
		equal(t, "job", j, want["07"])
	})
	t.Run("what is not there is not found, and a token that is none is rejected", func(t *testing.T) {
		_, err := source.Job(ctx, jobs.Key{Workflow: "crm", Job: "gone"})
		fails(t, err, jobs.ErrNotFound)
		_, err = source.Page(ctx, "gone", "")
		fails(t, err, jobs.ErrNotFound)
		_, err = source.Page(ctx, "crm", "no token")
		fails(t, err, jobs.ErrRejected)
	})
}

// PublisherContract is what every event bus has to hold; taken are the ids of
// what has arrived there.
func PublisherContract(t *testing.T, publisher poller.Publisher, taken func() []string) {
	var entries []jobs.Entry
	var ids []string
	for i := range 25 {
		e := entry(fmt.Sprintf("%064d", i))
		e.Detail = fmt.Sprintf(`{"version":"1","transitionId":%q,"workflowName":"w","jobId":"j","status":"FAILED"}`, e.ID)
		entries, ids = append(entries, e), append(ids, e.ID)
	}
	for _, err := range publisher.Publish(context.Background(), entries) {
		must(t, err)
	}
	got := taken()
	slices.Sort(got)
	equal(t, "taken", got, ids)
	equal(t, "outcomes of nothing", len(publisher.Publish(context.Background(), nil)), 0)
}

func fails(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}
