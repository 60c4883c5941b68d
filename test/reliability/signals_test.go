package reliability

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

// signals is the story of a workflow that has run every day: today's run does not
// start, starts late, hangs and ends. Each step is a while after the time at which the
// run is expected.
var signals = []struct {
	after  time.Duration
	status jobs.Status // of today's run, from then on
	event  string      // that the tick publishes
}{
	{89 * time.Minute, "", ""},
	{91 * time.Minute, "", event.RunMissing},
	{3 * time.Hour, jobs.Running, event.RunResumed},
	{6 * time.Hour, jobs.Running, event.Overdue},
	{7 * time.Hour, jobs.Succeeded, ""},
}

// playSignals goes through the story with one tick a step, and two more a minute
// later each. At step special the first tick is the given process, with other running
// inside it where it pauses. It returns the detail types of the events, without
// repeats, and the statuses that were shown.
func playSignals(special int, main, other *process) (*cloud, map[string]string) {
	c := newCloud()
	expected := c.now.Add(2 * time.Hour)
	for n := range 30 {
		start := expected.Add(-time.Duration(n+1) * 24 * time.Hour)
		c.source.Put(jobs.Job{Key: jobs.Key{Workflow: "crm", Job: fmt.Sprintf("old%02d", n)}, Type: "BATCH", Status: jobs.Succeeded, StartTime: start, EndTime: start.Add(time.Hour)})
	}
	for range 3 {
		c.now = c.now.Add(time.Minute)
		c.tick(&process{})
	}
	for i, step := range signals {
		c.now = expected.Add(step.after)
		if step.status != "" {
			c.set("crm", "today", step.status)
		}
		p := &process{}
		if i == special {
			if p = main; other != nil {
				p.while = func() { c.tick(other) }
			}
		}
		c.tick(p)
		for range 2 {
			c.now = c.now.Add(time.Minute)
			c.tick(&process{})
		}
	}
	ids := make(map[string]string)
	for _, entry := range c.bus.Taken() {
		ids[entry.ID] = entry.DetailType
	}
	return c, ids
}

// Every step × every operation of its tick × every fault there × every operation at
// which a second tick overtakes it.
func TestNoCrashAndNoOverlapLosesASignal(t *testing.T) {
	if testing.Short() {
		t.Skip("This test plays every case, which takes seconds: omit -short.")
	}
	t.Parallel()
	want := []string{event.StateChange, event.StateChange} // RUNNING, SUCCEEDED
	for _, step := range signals {
		if step.event != "" {
			want = append(want, step.event)
		}
	}
	slices.Sort(want)
	cases, repeats := 0, 0
	for step := range signals {
		clean := &process{}
		playSignals(step, clean, nil)
		for pause := range clean.ops + 1 { // 0: no second tick
			for _, f := range faults(clean.ops + 4) {
				main := &process{fault: f, pause: pause}
				var other *process
				if pause > 0 {
					other = &process{}
				}
				c, ids := playSignals(step, main, other)
				cases++
				got := slices.Sorted(maps.Values(ids))
				if !slices.Equal(got, want) {
					t.Fatalf("step %d, overtaken at %d, %v: events\n%s\nwant\n%s\n%q", step, pause, f, strings.Join(got, "\n"), strings.Join(want, "\n"), main.log)
				}
				repeats += len(c.bus.Taken()) - len(ids)
				if f == (fault{}) && pause == 0 && len(c.bus.Taken()) != len(ids) {
					t.Fatalf("step %d: repeats without any fault", step)
				}
			}
		}
	}
	if cases < 1000 {
		t.Errorf("only %d cases", cases)
	}
	t.Logf("%d cases, no signal lost; %d repeats on the bus, all under the same ID", cases, repeats)
}
