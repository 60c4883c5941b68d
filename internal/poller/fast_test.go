package poller_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
)

// fastWorld is a world in virtual time whose workflow crm usually takes an hour, or as
// given, and whose ticks follow likely ends.
func fastWorld(t *testing.T, durations ...time.Duration) *world {
	w := newWorld(t)
	w.Now, w.Fast = nil, true
	w.source.Clock = func() time.Time { return time.Now().UTC() }
	for n := range 10 {
		took := time.Hour
		if len(durations) > 0 {
			took = durations[n%len(durations)]
		}
		start := time.Now().UTC().Add(-time.Duration(n+1) * 24 * time.Hour)
		w.source.Put(jobs.Job{Key: jobs.Key{Workflow: "crm", Job: fmt.Sprint("old", n)}, Type: "BATCH", Status: jobs.Succeeded, StartTime: start, EndTime: start.Add(took)})
	}
	w.minute(t)
	w.minute(t)
	return w
}

// minute sweeps, and lets a minute pass.
func (w *world) minute(t *testing.T) (worked time.Duration) {
	t.Helper()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	if report, err := w.Sweep(ctx); err != nil || !report.Complete() {
		t.Fatalf("report %+v (%v)", report, err)
	}
	worked = time.Since(begin)
	time.Sleep(time.Minute - worked)
	return worked
}

// start makes a job begin now, as it would be listed.
func (w *world) start(id string, status jobs.Status) time.Time {
	now := time.Now().UTC()
	w.source.Put(jobs.Job{Key: jobs.Key{Workflow: "crm", Job: id}, Type: "BATCH", Status: status, StartTime: now})
	return now
}

// end makes a job fail after a while.
func (w *world) end(id string, after time.Duration) {
	go func() {
		time.Sleep(after)
		j, _ := w.source.Get(jobs.Key{Workflow: "crm", Job: id})
		j.Status, j.EndTime = jobs.Failed, time.Now().UTC()
		w.source.Put(j)
	}()
}

func TestLikelyEndIsPublishedWithinSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fastWorld(t)
		for n, after := range []time.Duration{12 * time.Second, 3*time.Minute + 33*time.Second, 61*time.Minute + 4*time.Second} {
			id := fmt.Sprint(n)
			start := w.start(id, jobs.Running)
			w.end(id, after)
			for time.Since(start) < after+time.Minute {
				w.minute(t)
			}
			for _, entry := range w.bus.Taken() {
				if strings.HasSuffix(line(t, entry), id+" FAILED") {
					if late := entry.ObservedAt.Sub(start.Add(after)); late < 0 || late > 5*time.Second {
						t.Errorf("an end after %s was observed %s later", after, late)
					}
				}
			}
		}
		if got := w.published(t); len(got) != 6 {
			t.Errorf("published %q", got)
		}
	})
}

func TestTicksFollowOnlyLikelyEnds(t *testing.T) {
	for _, c := range []struct {
		name      string
		durations []time.Duration
		fast      bool
		status    jobs.Status
		want      []int // minutes since the start in which the job is followed closely
	}{
		{"a usual hour", nil, true, jobs.Running, []int{0, 1, 2, 3, 4, 59, 60, 61, 83}},
		{"a usual half hour to two hours", []time.Duration{30 * time.Minute, 2 * time.Hour}, true, jobs.Running, []int{0, 1, 2, 3, 4, 29, 30, 53}},
		{"durations that vary too much", []time.Duration{10 * time.Minute, time.Hour}, true, jobs.Running, nil},
		{"five minutes", []time.Duration{5 * time.Minute}, true, jobs.Running, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{"seconds", []time.Duration{20 * time.Second}, true, jobs.Running, []int{0, 1, 2, 3, 4}},
		{"turned off", nil, false, jobs.Running, nil},
		{"queued", nil, true, jobs.Queued, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := fastWorld(t, c.durations...)
				w.Fast = c.fast
				w.start("new", c.status)
				var got []int
				for minute := range 240 {
					calls := len(w.source.Calls())
					worked := w.minute(t)
					made := w.source.Calls()[calls:]
					if worked > 0 {
						got = append(got, minute)
						if n := len(slices.DeleteFunc(made, func(c string) bool { return c != "Job crm/new" })); worked != 40*time.Second || n != 9 {
							t.Errorf("minute %d: %s, %d reads", minute, worked, n)
						}
					}
				}
				if len(got) > 30 {
					t.Errorf("%d ticks", len(got))
				}
				for _, minute := range c.want {
					if !slices.Contains(got, minute) {
						t.Errorf("minute %d is not followed, only %v", minute, got)
					}
				}
				if len(c.want) == 0 && len(got) > 0 || len(c.want) == 5 && len(got) != 5 || len(c.want) == 10 && len(got) != 10 {
					t.Errorf("followed in %v", got)
				}
			})
		})
	}
}

func TestWhatGoesWrongWhileAJobIsFollowedIsLeftToTheNextTick(t *testing.T) {
	for _, fault := range []error{jobs.ErrThrottled, jobs.ErrUnavailable, jobs.ErrDenied, errors.New("panic")} {
		synctest.Test(t, func(t *testing.T) {
			w := fastWorld(t)
			w.start("new", jobs.Running)
			w.minute(t)
			begin := time.Now()
			w.source.Fault = func(call string) error {
				if time.Since(begin) < time.Second || time.Since(begin) > 50*time.Second {
					return nil
				}
				if fault.Error() == "panic" {
					panic(fault)
				}
				return fault
			}
			w.end("new", 10*time.Second)
			if worked := w.minute(t); worked != 5*time.Second { // it reports a complete sweep
				t.Errorf("%v: worked for %s", fault, worked)
			}
			w.minute(t)
			expect(t, w.published(t), "crm/new RUNNING", "crm/new FAILED")
		})
	}
}

func TestDeadlineEndsTheFollowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := fastWorld(t)
		w.start("new", jobs.Running)
		ctx, cancel := context.WithTimeout(t.Context(), 22*time.Second)
		defer cancel()
		begin := time.Now()
		if report, err := w.Sweep(ctx); err != nil || !report.Complete() || time.Since(begin) > 17*time.Second {
			t.Errorf("after %s: %+v (%v)", time.Since(begin), report, err)
		}
	})
}
