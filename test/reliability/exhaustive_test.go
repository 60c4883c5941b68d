package reliability

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
)

// lives is what happens in Entity Resolution, a step for each tick: a job that
// goes all the way, one that is done between two ticks, and one that waits.
var lives = []map[string]jobs.Status{
	{"a": jobs.Queued},
	{"a": jobs.Running, "b": jobs.Queued},
	{"a": jobs.Succeeded, "b": jobs.Queued},
	{"a": jobs.Succeeded, "b": jobs.Failed, "c": jobs.Running},
	{"a": jobs.Succeeded, "b": jobs.Failed, "c": jobs.Succeeded},
}

// play goes through the lives with one tick a step. At step special the tick is
// the given process, with other running inside it where it pauses.
func play(special int, main, other *process) (*cloud, map[jobs.Key][]jobs.Status) {
	c := newCloud()
	c.expectNoRuns = true            // see TestNoCrashAndNoOverlapLosesASignal
	c.set("crm", "old", jobs.Failed) // ended before anybody watched
	c.now = c.now.Add(time.Minute)
	shown := map[jobs.Key][]jobs.Status{}
	for i, step := range lives {
		c.now = c.now.Add(time.Minute)
		for _, id := range slices.Sorted(maps.Keys(step)) {
			key := jobs.Key{Workflow: "crm", Job: id}
			if j, ok := c.source.Get(key); ok && j.Status == step[id] {
				continue
			}
			c.set("crm", id, step[id])
			shown[key] = append(shown[key], step[id])
		}
		if i != special {
			c.tick(&process{})
			continue
		}
		if other != nil {
			main.while = func() { c.tick(other) }
		}
		c.tick(main)
	}
	for range 3 { // recovery
		c.now = c.now.Add(time.Minute)
		c.tick(&process{})
	}
	return c, shown
}

func faults(ops int) []fault {
	all := []fault{{}}
	for at := 1; at <= ops; at++ {
		all = append(all, fault{at, "crash"}, fault{at, "error"})
	}
	return all
}

var every = flag.Int("every", 5, "play only each so many case of the exhaustive test; 1 plays all")

// Every step × every operation at which a tick can be overtaken by a second
// one × every fault of the second × every fault of the first, one of each; without
// -every 1 a fifth of these cases, evenly spread.
func TestNoCrashNoFaultAndNoOverlapLosesAnEvent(t *testing.T) {
	if testing.Short() {
		t.Skip("This test plays tens of thousands of cases: omit -short.")
	}
	t.Parallel()
	var cases, repeats atomic.Int64
	t.Run("steps", func(t *testing.T) {
		for step := range lives {
			t.Run(fmt.Sprint(step), func(t *testing.T) {
				t.Parallel()
				n, m := playStep(t, step)
				cases.Add(int64(n))
				repeats.Add(int64(m))
			})
		}
	})
	if n := cases.Load(); n < 10_000 && !t.Failed() {
		t.Errorf("only %d cases: the crash points are not reached", n)
	}
	t.Logf("%d cases, no event lost, none out of order; %d repeats on the bus, all under the same ID", cases.Load(), repeats.Load())
}

func playStep(t *testing.T, step int) (cases, repeats int) {
	clean, met := &process{}, 0
	play(step, clean, nil)
	for pause := range clean.ops + 1 { // 0: no second tick
		var others []fault
		if pause == 0 {
			others = []fault{{}}
		} else {
			inside := &process{}
			play(step, &process{pause: pause}, inside)
			others = faults(inside.ops)
		}
		for _, otherFault := range others {
			for _, mainFault := range faults(clean.ops + 4) { // an overtaken tick can have a few more operations
				if met++; (met-1)%*every != 0 {
					continue
				}
				other := &process{fault: otherFault}
				main := &process{fault: mainFault, pause: pause}
				c, shown := play(step, main, other)
				cases++
				taken := c.bus.Taken()
				if err := lost(taken, shown); err != nil {
					t.Fatalf("step %d, overtaken at %d, second: %v, first: %v: %v\nfirst:  %q\nsecond: %q",
						step, pause, otherFault, mainFault, err, main.log, other.log)
				}
				ids := map[string]bool{}
				for _, entry := range taken {
					ids[entry.ID] = true
				}
				repeats += len(taken) - len(ids)
				if mainFault == (fault{}) && otherFault == (fault{}) && pause == 0 && len(taken) != len(ids) {
					t.Fatalf("step %d: %d repeats without any fault", step, len(taken)-len(ids))
				}
			}
		}
	}
	return cases, repeats
}
