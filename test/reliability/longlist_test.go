package reliability

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/idmapping/notifier/internal/entityresolution"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/fakecloud/account"
	fakeentityresolution "github.com/idmapping/notifier/internal/fakecloud/entityresolution"
	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
)

// service is Entity Resolution behind the adapter that runs in production, with
// its rate limit.
type service struct {
	fakeentityresolution.Server
	source *entityresolution.Source
}

func newService(requestsPerSecond float64) *service {
	s := &service{}
	s.Now = func() time.Time { return time.Now().UTC() }
	s.source = entityresolution.New(aws.Config{Region: account.Region, HTTPClient: &http.Client{Transport: httpfault.InProcess{Handler: &s.Server, Latency: 25 * time.Millisecond}},
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}, requestsPerSecond)
	return s
}

// run puts a job into Entity Resolution: started now, and ended now if terminal.
func (s *service) run(workflow, id string, status jobs.Status) {
	j := jobs.Job{Key: jobs.Key{Workflow: workflow, Job: id}, Type: "BATCH", Status: status, StartTime: time.Now().UTC()}
	if status.Terminal() {
		j.EndTime = time.Now().UTC()
	}
	s.Put(j)
}

// minute is one tick of a schedule that ticks once a minute: a minute of virtual
// time passes.
func minute(t *testing.T, p *poller.Poller) poller.Report {
	t.Helper()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	report, err := p.Sweep(ctx)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute - time.Since(begin))
	return report
}

func statusesOf(bus *fake.Bus, key jobs.Key) []jobs.Status {
	var all []jobs.Status
	for _, entry := range bus.Taken() {
		if d := detailOf(entry); d.WorkflowName == key.Workflow && d.JobID == key.Job {
			all = append(all, d.Status)
		}
	}
	return all
}

// TestListsOfThousandsInAnyOrderDelayNothing runs ten workflows with a thousand
// jobs each through the adapter and its rate limit. A terminal status of an open
// job is published in the next tick, a job that was never observed within three,
// and a list that takes several ticks is no failure. The tools print its figures.
func TestListsOfThousandsInAnyOrderDelayNothing(t *testing.T) {
	orders := []struct {
		name  string
		order func([]jobs.Job) []jobs.Job
	}{
		{"newest first", nil},
		{"oldest first", func(rows []jobs.Job) []jobs.Job { slices.Reverse(rows); return rows }},
		{"shuffled", inNoOrder},
	}
	for _, c := range orders {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, bus := newService(entityresolution.DefaultRate), &fake.Bus{}
				s.Order = c.order
				start := time.Now().UTC().Add(-1000 * time.Hour)
				for n := range 10 {
					for i := range 1000 {
						at := start.Add(time.Duration(i) * time.Hour)
						s.Put(jobs.Job{Key: jobs.Key{Workflow: fmt.Sprintf("wf%d", n), Job: fmt.Sprintf("old-%04d", i)}, Type: "BATCH",
							Status: jobs.Succeeded, StartTime: at, EndTime: at.Add(30 * time.Minute)})
					}
				}
				watched, _ := poller.NewFilter("*", "")
				p := &poller.Poller{Source: s.source, Store: &fake.Jobs{}, Publisher: bus, Watched: watched, Log: quiet}
				for range 40 { // the lists and the history of all workflows
					if report := minute(t, p); report.Failed > 0 || report.Late {
						t.Fatalf("report %+v", report)
					}
				}
				published := func(key jobs.Key, status jobs.Status) int {
					for n := 1; n <= 10; n++ {
						minute(t, p)
						if slices.Contains(statusesOf(bus, key), status) {
							return n
						}
					}
					t.Fatalf("%s %s is not published after ten ticks", key, status)
					return 0
				}
				open, unseen := 0, 0
				for i := range 8 { // in different phases of reading the lists
					key := jobs.Key{Workflow: fmt.Sprintf("wf%d", i), Job: fmt.Sprintf("m-%d", i)}
					s.run(key.Workflow, key.Job, jobs.Running)
					published(key, jobs.Running)
					j := jobs.Job{Key: key, Type: "BATCH", Status: jobs.Failed, StartTime: time.Now().UTC(), EndTime: time.Now().UTC()}
					s.Put(j)
					open = max(open, published(key, jobs.Failed))
					short := jobs.Key{Workflow: fmt.Sprintf("wf%d", 9-i), Job: fmt.Sprintf("a-%d", i)}
					s.run(short.Workflow, short.Job, jobs.Failed)
					unseen = max(unseen, published(short, jobs.Failed))
				}
				if open > 1 {
					t.Errorf("the terminal status of an open job took %d ticks", open)
				}
				if unseen > 3 {
					t.Errorf("a job that was never observed took %d ticks", unseen)
				}
				t.Logf("figure: lists %s: terminal status of an open job %d, job never observed %d", c.name, open, unseen)
			})
		})
	}
}
