package reliability

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
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

// Every step × every operation at which a tick can be overtaken by a second
// one × every fault of the second × every fault of the first, one of each.
func TestNoCrashNoFaultAndNoOverlapLosesAnEvent(t *testing.T) {
	t.Parallel()
	cases, repeats := 0, 0
	for step := range lives {
		clean := &process{}
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
	}
	if cases < 10_000 {
		t.Errorf("only %d cases: the crash points are not reached", cases)
	}
	t.Logf("%d cases, no event lost, none out of order; %d repeats on the bus, all under the same id", cases, repeats)
}

// Every operation of an invocation × every fault there × every operation at
// which a second delivery of the same messages overtakes it × every crash of
// that one.
func TestNoCrashAndNoOverlapLosesATellingOrRepeatsOneThatWasRecorded(t *testing.T) {
	t.Parallel()
	cases, repeated := 0, 0
	run := func(main, other *process) error {
		d := newDesk()
		c := newCloud()
		for _, status := range []jobs.Status{jobs.Queued, jobs.Running, jobs.Failed} {
			c.now = c.now.Add(time.Minute)
			c.set("crm", "a", status)
			c.tick(&process{})
		}
		for _, entry := range c.bus.Taken() {
			d.queue.Put(envelope(entry))
			d.queue.Put(envelope(entry)) // EventBridge may deliver twice
		}
		if other != nil {
			main.while = func() { d.deliver(other, 4) }
		}
		d.deliver(main, 4)
		if err := d.drain(); err != nil {
			return err
		}
		told := map[jobs.Status]int{}
		last := -1
		order := []jobs.Status{jobs.Queued, jobs.Running, jobs.Failed}
		for _, telling := range d.place.Told() {
			status := telling.Step.Message.Status
			if told[status]++; told[status] == 1 {
				at := slices.Index(order, status)
				if at < last {
					return fmt.Errorf("I3: %s after %s", status, order[last])
				}
				last = at
			}
		}
		if told[jobs.Failed] == 0 {
			return fmt.Errorf("I1: the end was never told: %v", told)
		}
		// A repeat needs a process that was cut off between the sending and
		// the recording.
		allowed := cutOffAfterSending(main) + cutOffAfterSending(other)
		extra := 0
		for _, n := range told {
			extra += n - 1
		}
		if extra > allowed {
			return fmt.Errorf("I2: %d repeats, %d allowed: %v", extra, allowed, told)
		}
		repeated += extra
		if dead := d.queue.Dead(); len(dead) > 0 {
			return fmt.Errorf("I8: in the dead-letter queue: %v", dead)
		}
		return nil
	}
	synctest.Test(t, func(t *testing.T) {
		clean := &process{}
		if err := run(clean, nil); err != nil {
			t.Fatal(err)
		}
		for pause := range clean.ops + 1 {
			others := []fault{{}}
			if pause > 0 {
				inside := &process{}
				if err := run(&process{pause: pause}, inside); err != nil {
					t.Fatal(err)
				}
				others = faults(inside.ops)
			}
			for _, otherFault := range others {
				for _, mainFault := range faults(clean.ops + 4) {
					main, other := &process{fault: mainFault, pause: pause}, &process{fault: otherFault}
					cases++
					if err := run(main, other); err != nil {
						t.Fatalf("overtaken at %d, second: %v, first: %v: %v\nfirst:  %q\nsecond: %q",
							pause, otherFault, mainFault, err, main.log, other.log)
					}
				}
			}
		}
	})
	if cases < 1000 {
		t.Errorf("only %d cases", cases)
	}
	t.Logf("%d cases, none lost; %d repeats, each of a process cut off between sending and recording", cases, repeated)
}

// cutOffAfterSending counts sendings that the process could not record: it was
// killed, or its recording failed, after the message was out.
func cutOffAfterSending(p *process) int {
	if p == nil || p.fault.at == 0 || p.fault.at > len(p.log) {
		return 0
	}
	switch p.log[p.fault.at-1] {
	case "Send/done", "SaveCard", "SaveCard/done", "Finish":
		return 1
	}
	return 0
}
