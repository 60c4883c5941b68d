package reliability

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
)

var (
	quiet    = slog.New(slog.NewTextHandler(io.Discard, nil))
	errDead  = errors.New("this process is dead")
	errFault = errors.New("injected fault")
)

// fault is one thing that goes wrong with one invocation.
type fault struct {
	at   int    // at its how-manieth operation, counted from 1; 0 is never
	kind string // "crash": nothing it does from there on has an effect; "error": this one operation fails
}

func (f fault) String() string { return fmt.Sprintf("%s at %d", f.kind, f.at) }

// process is one invocation: it counts its operations, and can be stopped, made
// to fail, or killed at any of them. Operations named ".../done" come after an
// effect: to be killed there is to die with the answer on its way.
type process struct {
	fault fault
	pause int    // before which operation to stop and run meanwhile; 0 is never
	while func() // what happens meanwhile

	ops  int
	dead bool
	log  []string
}

func (p *process) step(op string) error {
	if p.dead {
		return errDead
	}
	p.ops++
	p.log = append(p.log, op)
	if p.ops == p.pause {
		p.while()
	}
	if p.ops != p.fault.at {
		return nil
	}
	if p.fault.kind == "crash" {
		p.dead = true
		return errDead
	}
	return errFault
}

// cloud is everything that outlives an invocation.
type cloud struct {
	now    time.Time
	source *fake.Source
	store  *fake.Jobs
	bus    *fake.Bus
	// expectNoRuns leaves out what a tick does for missing runs, so that every case
	// of the rest can be played.
	expectNoRuns bool
}

func newCloud() *cloud {
	c := &cloud{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		source: &fake.Source{}, store: &fake.Jobs{}, bus: &fake.Bus{}}
	c.source.Clock = func() time.Time { return c.now }
	return c
}

// set makes the job's state the truth.
func (c *cloud) set(workflow, id string, status jobs.Status) {
	j, ok := c.source.Get(jobs.Key{Workflow: workflow, Job: id})
	if !ok {
		j = jobs.Job{Key: jobs.Key{Workflow: workflow, Job: id}, Type: "BATCH"}
	}
	j.Status = status
	if status != jobs.Queued && j.StartTime.IsZero() {
		j.StartTime = c.now
	}
	if status.Terminal() {
		j.EndTime = c.now
	}
	c.source.Put(j)
}

// tick runs a poller's invocation as process p. Only one process runs at a
// time; a paused one waits inside its step.
func (c *cloud) tick(p *process) poller.Report {
	hook := func(op string) error { return p.step(op) }
	outer := [3]any{c.source.Fault, c.store.Fault, c.bus.Fault}
	install := func() {
		c.source.Fault, c.store.Fault = hook, hook
		c.bus.Fault = func(op string, _ jobs.Entry) error { return p.step(op) }
	}
	install()
	if inner := p.while; inner != nil {
		p.while = func() { inner(); install() }
	}
	watched, _ := poller.NewFilter("*", "")
	report, _ := (&poller.Poller{Source: c.source, Store: c.store, Publisher: c.bus, Watched: watched,
		ExpectNoRuns: c.expectNoRuns, Log: quiet, Now: func() time.Time { return c.now }}).Sweep(context.Background())
	c.source.Fault, _ = outer[0].(func(string) error)
	c.store.Fault, _ = outer[1].(func(string) error)
	c.bus.Fault, _ = outer[2].(func(string, jobs.Entry) error)
	return report
}

// envelope is an entry as EventBridge delivers it.
func envelope(entry jobs.Entry) string {
	body, err := json.Marshal(map[string]any{"id": "1", "source": event.SourceOf(entry.DetailType), "detail-type": entry.DetailType,
		"account": "123456789012", "region": "eu-west-1", "time": entry.Time, "detail": json.RawMessage(entry.Detail)})
	if err != nil {
		panic(err)
	}
	return string(body)
}

func detailOf(entry jobs.Entry) event.Detail {
	var d event.Detail
	if err := json.Unmarshal([]byte(entry.Detail), &d); err != nil {
		panic(err)
	}
	return d
}

// alternate checks that a workflow's runs are missing and resumed in turn, and
// returns how many were missing.
func alternate(taken []jobs.Entry) (int, error) {
	missing := make(map[string]bool)
	n := 0
	for _, entry := range taken {
		switch d := detailOf(entry); entry.DetailType {
		case event.RunMissing:
			n++
			if missing[d.WorkflowName] {
				return n, fmt.Errorf("I2: a run of %s is missing again, expected at %s, before one was resumed", d.WorkflowName, d.ExpectedStart.At)
			}
			missing[d.WorkflowName] = true
		case event.RunResumed:
			if !missing[d.WorkflowName] {
				return n, fmt.Errorf("I4: %s has resumed, and no run was missing", d.WorkflowName)
			}
			missing[d.WorkflowName] = false
		}
	}
	return n, nil
}

// lost checks what is on the bus against the statuses that were shown: I1 no terminal status is
// lost, I3 the order of a job's statuses, I4 nothing that never was. It returns
// what is wrong.
func lost(taken []jobs.Entry, shown map[jobs.Key][]jobs.Status) error {
	published := map[jobs.Key][]jobs.Status{}
	content := map[string]jobs.Status{}
	for _, entry := range taken {
		d := detailOf(entry)
		if entry.DetailType == event.Summary || entry.DetailType == event.MuteEnded {
			for _, j := range d.Jobs {
				key := jobs.Key{Workflow: j.WorkflowName, Job: j.JobID}
				if observed := !slices.Contains([]jobs.Status{jobs.Vanished, jobs.Overdue, jobs.RunMissing}, j.Status); observed && !slices.Contains(shown[key], j.Status) {
					return fmt.Errorf("I4: a summary lists %s as %s, which it never was", key, j.Status)
				}
			}
			continue
		}
		if d.ExpectedStart != nil {
			continue // about no job: see alternate
		}
		key := jobs.Key{Workflow: d.WorkflowName, Job: d.JobID}
		if !slices.Contains(shown[key], d.Status) {
			return fmt.Errorf("I4: %s was published as %s and never was", key, d.Status)
		}
		if status, again := content[entry.ID]; again && status != d.Status {
			return fmt.Errorf("I4: id %s stands for %s and %s", entry.ID, status, d.Status)
		} else if !again {
			published[key] = append(published[key], d.Status)
		}
		content[entry.ID] = d.Status
	}
	for key, statuses := range shown {
		last := -1
		for _, status := range published[key] {
			at := slices.Index(statuses, status)
			if at < last {
				return fmt.Errorf("I3: %s was published in the order %v, it was %v", key, published[key], statuses)
			}
			last = at
		}
		if end := statuses[len(statuses)-1]; end.Terminal() && !slices.Contains(published[key], end) {
			return fmt.Errorf("I1: the terminal status %s of %s was never published, only %v", end, key, published[key])
		}
	}
	return nil
}
