package reliability

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
)

// Two ticks follow one job closely at the same time, and it ends meanwhile: every
// operation of the one × every fault there, and the same for the other.
func TestNoCrashWhileAJobIsFollowedLosesOrRepeatsItsEnd(t *testing.T) {
	t.Parallel()
	key := jobs.Key{Workflow: "crm", Job: "a"}
	// play returns how many operations each had, and how often an event came twice.
	play := func(first, second fault) (ops [2]int, repeats int) {
		synctest.Test(t, func(t *testing.T) {
			c := newOverlap(1)
			c.source.Order = nil
			c.source.Put(jobs.Job{Key: jobs.Key{Workflow: "crm"}})
			c.tick()
			time.Sleep(time.Minute)
			running := jobs.Job{Key: key, Type: "BATCH", Status: jobs.Running, StartTime: time.Now().UTC()}
			c.source.Put(running)
			c.tick()
			time.Sleep(50 * time.Second)
			time.AfterFunc(27*time.Second, func() {
				ended := running
				ended.Status, ended.EndTime = jobs.Failed, time.Now().UTC()
				c.source.Put(ended)
			})
			c.shown[key] = []jobs.Status{jobs.Running, jobs.Failed}
			done := make(chan *invocation, 2)
			for n, f := range []fault{first, second} {
				time.Sleep(time.Duration(n) * 12 * time.Second)
				s := &invocation{overlap: c, n: n, exact: &f}
				go func() {
					ctx, cancel := context.WithTimeout(context.Background(), 50*time.Second)
					defer cancel()
					p := pollerOn(sourceOf{s}, storeOf{s}, busOf{s})
					p.Fast = true
					_, _ = p.Sweep(ctx)
					done <- s
				}()
			}
			for range 2 {
				s := <-done
				ops[s.n] = s.ops
			}
			for range 3 {
				time.Sleep(time.Minute)
				c.tick()
			}
			taken := c.bus.Taken()
			if err := lost(taken, c.shown); err != nil {
				t.Fatalf("first: %v, second: %v: %v", first, second, err)
			}
			ids := make(map[string]bool)
			for _, entry := range taken {
				ids[entry.ID] = true
			}
			if len(ids) != 2 {
				t.Fatalf("first: %v, second: %v: %d events, want RUNNING and FAILED", first, second, len(ids))
			}
			repeats = len(taken) - len(ids)
		})
		return ops, repeats
	}
	ops, repeats := play(fault{}, fault{})
	if repeats > 0 || ops[0] < 20 || ops[1] < 20 {
		t.Fatalf("without a fault: %d operations, %d repeats", ops, repeats)
	}
	cases := 0
	for _, f := range faults(ops[0] + 2) {
		_, n := play(f, fault{})
		_, m := play(fault{}, f)
		cases, repeats = cases+2, repeats+n+m
		if f == (fault{}) && n+m > 0 {
			t.Error("an event was repeated without a fault")
		}
	}
	t.Logf("%d cases, no end lost; %d repeats on the bus, each under the same ID", cases, repeats)
}
