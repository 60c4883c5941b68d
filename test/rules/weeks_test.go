package rules

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/poller"
	"github.com/idmapping/notifier/internal/sqs"
)

var weeks = flag.Int("weeks", 13, "how many weeks of runs to watch")

// TestWeeksOfRunsHaveExactlyTheEventsOfTheReference watches a daily, an hourly, a
// weekday and an irregular workflow through the real poller and notifier, in an
// account that runs one job at a time. Runs are left out, late and stuck; clocks
// change to and from summer time; ticks are missed, and a week is paused. Then
// rules.py says from what was observed at each tick which jobs were overdue and which
// runs were missing and resumed: each of these has one event at that tick, and one
// message, and nothing else has.
func TestWeeksOfRunsHaveExactlyTheEventsOfTheReference(t *testing.T) {
	t.Parallel()
	n := *weeks
	if testing.Short() {
		n = 5
	}
	base := *seed
	if base == 0 {
		base = rand.Int64N(1<<53-1) + 1
	}
	c := newCalendar(base)
	c.watch(t, n)
	want := strings.Split(strings.TrimSpace(string(script(t, &c.observed, "expected.py"))), "\n")
	slices.Sort(want)
	slices.Sort(c.published)
	if !slices.Equal(c.published, want) {
		missing := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return slices.Contains(c.published, s) })
		extra := slices.DeleteFunc(slices.Clone(c.published), func(s string) bool { return slices.Contains(want, s) })
		t.Errorf("seed %d: %d events, the reference has %d\nonly in the reference:\n%s\nonly published:\n%s",
			base, len(c.published), len(want), strings.Join(missing[:min(10, len(missing))], "\n"), strings.Join(extra[:min(10, len(extra))], "\n"))
	}
	kinds := make(map[string]int)
	for _, e := range c.published {
		kinds[strings.Fields(e)[1]]++
	}
	messages := make(map[string]int)
	for _, sent := range c.destination.Sent() {
		messages[sent.Delivery.Message.Word]++
	}
	if messages["OVERDUE"] != kinds["OVERDUE"] || messages["NO RUN YET"] != kinds["MISSING"] || messages["STARTED LATE"] != kinds["RESUMED"] {
		t.Errorf("seed %d: messages %v for %v", base, messages, kinds)
	}
	t.Logf("seed %d: %d weeks, %d runs, %d ticks: %v", base, n, c.count, c.ticks, kinds)
	if !testing.Short() && (kinds["OVERDUE"] == 0 || kinds["MISSING"] == 0 || kinds["RESUMED"] == 0) {
		t.Errorf("seed %d: a kind of event never came: this proves nothing", base)
	}
}

// calendar is the account and the product that watches it.
type calendar struct {
	r      *rand.Rand
	now    time.Time
	source *fake.Source
	store  *fake.Jobs
	bus    *fake.Bus
	poller *poller.Poller

	queue       *fake.Queue
	notifier    *notify.Notifier
	destination *fake.Destination

	due     map[time.Time][]func() // what happens when
	running jobs.Key
	waiting []jobs.Key
	run     map[jobs.Key]func() // of jobs that have not run yet
	changed map[jobs.Key]bool   // since the last tick
	last    time.Time           // when something changed

	count, ticks, relayed int
	deadlines             []time.Time // of the product, after the last tick
	observed              bytes.Buffer
	published             []string
}

// A local timetable moves with summer time.
var berlin = func() *time.Location {
	l, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return l
}()

func newCalendar(seed int64) *calendar {
	c := &calendar{r: rand.New(rand.NewPCG(uint64(seed), 3)), now: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), source: &fake.Source{}, bus: &fake.Bus{},
		queue: &fake.Queue{Name: "slack"}, destination: &fake.Destination{Name: "slack"}, due: make(map[time.Time][]func()), run: make(map[jobs.Key]func()), changed: make(map[jobs.Key]bool)}
	clock := func() time.Time { return c.now }
	c.source.Clock = clock
	c.store = &fake.Jobs{Retention: 90 * 24 * time.Hour, Now: clock}
	watched, _ := poller.NewFilter("*", "")
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	c.poller = &poller.Poller{Source: c.source, Store: c.store, Publisher: c.bus, Watched: watched, Log: quiet, Now: clock}
	c.notifier = &notify.Notifier{Deliveries: &fake.Deliveries{}, Queue: c.queue, Log: quiet, Channels: []notify.Channel{{Name: "slack", QueueURL: c.queue.URL(),
		DeadLetterQueueURL: c.queue.URL() + "-dead", Destinations: []notify.Destination{c.destination}, Filter: notify.ParseFilter("FAILED")}}}
	return c
}

// at does something at a time, in whole seconds.
func (c *calendar) at(t time.Time, do func()) {
	t = t.UTC().Truncate(time.Second)
	c.due[t] = append(c.due[t], do)
}

// chance is true in so many percent of the cases.
func (c *calendar) chance(percent float64) bool { return c.r.Float64()*100 < percent }

func (c *calendar) between(low, high time.Duration) time.Duration {
	return low + time.Duration(c.r.Int64N(int64(high-low)))
}

// plan lets the workflows run until the given time.
func (c *calendar) plan(until time.Time) {
	for day := c.now.In(berlin); day.Before(until); day = day.AddDate(0, 0, 1) {
		midnight := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, berlin)
		c.schedule("daily", midnight.Add(2*time.Hour), 2*time.Minute, 50*time.Minute, 60*time.Minute)
		if w := day.Weekday(); w != time.Saturday && w != time.Sunday {
			c.schedule("weekdays", time.Date(day.Year(), day.Month(), day.Day(), 6, 30, 0, 0, time.UTC), 5*time.Minute, 20*time.Minute, 25*time.Minute)
		}
		outage := time.Duration(-1)
		if c.chance(4) {
			outage = time.Duration(c.r.IntN(18)) * time.Hour
		}
		for hour := range 24 {
			begin := time.Duration(hour) * time.Hour
			if outage >= 0 && begin >= outage && begin < outage+6*time.Hour {
				continue
			}
			c.start("hourly", "INCREMENTAL", midnight.Add(begin+15*time.Minute+c.between(0, time.Minute)), c.between(6*time.Minute, 9*time.Minute))
		}
	}
	for at := c.now; at.Before(until); at = at.Add(time.Duration(c.r.ExpFloat64() * float64(30*time.Hour))) {
		c.start("irregular", []string{"BATCH", "INCREMENTAL"}[c.r.IntN(2)], at.Add(time.Minute), c.between(5*time.Minute, time.Hour))
	}
}

// schedule plans a run that is sometimes left out and sometimes late.
func (c *calendar) schedule(workflow string, at time.Time, jitter, low, high time.Duration) {
	switch {
	case c.chance(3):
		return
	case c.chance(3):
		at = at.Add(c.between(time.Hour, 8*time.Hour))
	}
	c.start(workflow, "BATCH", at.Add(c.between(0, jitter)), c.between(low, high))
}

func (c *calendar) start(workflow, jobType string, at time.Time, took time.Duration) {
	if at.Before(c.now) {
		return
	}
	if c.chance(1) {
		took *= time.Duration(3 + c.r.IntN(6)) // it hangs
	}
	status := jobs.Succeeded
	if c.chance(8) {
		status, took = jobs.Failed, took/time.Duration(1+c.r.IntN(10))
	}
	c.count++
	key := jobs.Key{Workflow: workflow, Job: fmt.Sprintf("%08d", c.count)}
	j := jobs.Job{Key: key, Type: jobType}
	c.at(at, func() {
		j.StartTime = c.now
		c.put(j, jobs.Queued)
		c.waiting = append(c.waiting, key)
		c.next()
	})
	c.run[key] = func() {
		c.put(j, jobs.Running)
		c.at(c.now.Add(max(took, time.Second)), func() {
			j.EndTime = c.now
			c.put(j, status)
			c.running = jobs.Key{}
			c.next()
		})
	}
}

// next lets the job that has waited longest run, if none does: the quota is one.
func (c *calendar) next() {
	if c.running == (jobs.Key{}) && len(c.waiting) > 0 {
		c.running, c.waiting = c.waiting[0], c.waiting[1:]
		c.run[c.running]()
		delete(c.run, c.running)
	}
}

func (c *calendar) put(j jobs.Job, status jobs.Status) {
	j.Status = status
	c.source.Put(j)
	c.changed[j.Key], c.last = true, c.now
}

// watch lets the runs of six weeks pass, installs the product, and watches for some
// weeks. It leaves out ticks only where nothing has changed and no deadline is near.
func (c *calendar) watch(t *testing.T, weeks int) {
	t.Helper()
	installed := c.now.AddDate(0, 0, 42).Add(13*time.Hour + 40*time.Minute)
	end := installed.AddDate(0, 0, 7*weeks)
	c.plan(end)
	paused := installed.AddDate(0, 0, 7*(weeks/2))
	missed := time.Time{} // no tick until then
	for ; c.now.Before(end); c.now = c.now.Add(time.Second) {
		for _, do := range c.due[c.now] {
			do()
		}
		if c.now.Before(installed) || c.now.Second() != 0 || c.now.After(paused) && c.now.Before(paused.AddDate(0, 0, 7)) {
			continue
		}
		if c.chance(0.05) {
			missed = c.now.Add(c.between(time.Minute, 20*time.Minute))
		}
		near := func(d time.Time) bool {
			return d.After(c.now.Add(-3*time.Minute)) && d.Before(c.now.Add(2*time.Minute))
		}
		if c.now.After(missed) && (c.now.Sub(c.last) < 4*time.Minute || c.now.Minute()%30 == 0 || c.now.Sub(installed) < 15*time.Minute || slices.ContainsFunc(c.deadlines, near)) {
			c.tick(t)
		}
	}
}

func (c *calendar) tick(t *testing.T) {
	t.Helper()
	c.record()
	if report, err := c.poller.Sweep(context.Background()); err != nil || !report.Complete() || report.Unpublished > 0 {
		t.Fatalf("%s: %+v (%v)", c.now, report, err)
	}
	c.ticks++
	for _, entry := range c.bus.TakenAfter(c.relayed) {
		c.relayed++
		c.queue.Put(envelope(entry))
		if line := c.line(entry); line != "" {
			c.published = append(c.published, line)
		}
	}
	for c.queue.Len() > 0 {
		batch := c.queue.Receive(10)
		response, err := sqs.Handler(c.notifier)(context.Background(), batch)
		if err != nil || len(response.BatchItemFailures) > 0 {
			t.Fatalf("%s: %+v (%v)", c.now, response, err)
		}
		c.queue.Delete(batch, nil)
	}
	live, err := c.store.Live(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c.deadlines = nil
	for _, r := range live.Records {
		if r.Open() {
			c.deadlines = append(c.deadlines, r.OverdueAt)
		}
	}
	for _, w := range live.Workflows {
		if w.Timetable != nil && w.Timetable.Expected != nil {
			c.deadlines = append(c.deadlines, w.Timetable.Expected.By)
		}
	}
	c.store.Expire(c.now)
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

// record writes down what this tick observes.
func (c *calendar) record() {
	type observation struct {
		Workflow  string      `json:"workflow"`
		JobID     string      `json:"jobId"`
		JobType   string      `json:"jobType"`
		Status    jobs.Status `json:"status"`
		StartTime int64       `json:"startTime"`
		EndTime   int64       `json:"endTime,omitempty"`
	}
	all := []observation{}
	for _, key := range slices.SortedFunc(maps.Keys(c.changed), func(a, b jobs.Key) int { return cmp.Compare(a.String(), b.String()) }) {
		j, _ := c.source.Get(key)
		o := observation{j.Workflow, j.Job, j.Type, j.Status, j.StartTime.Unix(), 0}
		if !j.EndTime.IsZero() {
			o.EndTime = j.EndTime.Unix()
		}
		all = append(all, o)
	}
	clear(c.changed)
	line, err := json.Marshal(map[string]any{"now": c.now.Unix(), "jobs": all})
	if err != nil {
		panic(err)
	}
	c.observed.Write(append(line, '\n'))
}

// line is an event as expected.py prints it, or "" for another kind.
func (c *calendar) line(entry jobs.Entry) string {
	var d event.Detail
	if err := json.Unmarshal([]byte(entry.Detail), &d); err != nil {
		panic(err)
	}
	switch entry.DetailType {
	case event.Overdue:
		return fmt.Sprintf("%d OVERDUE %s %s %d", c.now.Unix(), d.WorkflowName, d.JobID, d.Since.Unix())
	case event.RunMissing:
		return fmt.Sprintf("%d MISSING %s %d %d %d %d %d", c.now.Unix(), d.WorkflowName, d.ExpectedStart.At.Unix(), d.ExpectedStart.By.Unix(),
			d.LastRun.StartTime.Unix(), d.ExpectedStart.Kept, d.ExpectedStart.Of)
	case event.RunResumed:
		return fmt.Sprintf("%d RESUMED %s %d %d %d", c.now.Unix(), d.WorkflowName, d.ExpectedStart.At.Unix(), d.ExpectedStart.By.Unix(), d.StartTime.Unix())
	}
	return ""
}
