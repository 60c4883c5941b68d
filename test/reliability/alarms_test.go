package reliability

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/emf"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/poller"
	"github.com/idmapping/notifier/internal/sqs"
)

// The product runs for hours of virtual time with one permanent fault, and its
// metrics are evaluated with the template's alarms: the right one is raised in time
// and stays raised, and a fault that passes by itself raises none.
func TestEachPermanentFaultRaisesAnAlarm(t *testing.T) {
	const soon = 11 * time.Minute // ten minutes after the first tick with the fault
	alarms := templateAlarms(t)
	unused := maps.Clone(alarms)
	for _, c := range []struct {
		name   string
		broken func(*watchedProduct)
		within time.Duration
		want   []string
	}{
		{"nothing", func(*watchedProduct) {}, 12 * time.Hour, nil},
		{"Entity Resolution throttles for nine minutes", func(p *watchedProduct) {
			begin := time.Now()
			p.source.Fault = func(string) error {
				if time.Since(begin) < 9*time.Minute {
					return jobs.ErrThrottled
				}
				return nil
			}
		}, time.Hour, nil},
		{"Slack is down for twenty minutes", func(p *watchedProduct) {
			p.refuse(notify.Unavailable)
			time.AfterFunc(20*time.Minute, func() { p.refuse("") })
		}, 2 * time.Hour, nil},
		{"one workflow is denied", func(p *watchedProduct) {
			p.source.Fault = func(op string) error { return on(op, "Page crm", jobs.ErrDenied) }
		}, soon, []string{"DeniedAlarm"}},
		{"Entity Resolution is down", func(p *watchedProduct) {
			p.source.Fault = func(string) error { return jobs.ErrUnavailable }
		}, soon, []string{"HeartbeatAlarm"}},
		{"Entity Resolution throttles permanently", func(p *watchedProduct) {
			p.source.Fault = func(string) error { return jobs.ErrThrottled }
		}, soon, []string{"HeartbeatAlarm"}},
		{"the jobs table is gone", func(p *watchedProduct) {
			p.store.Fault = func(string) error { return errFault }
		}, 15 * time.Minute, []string{"HeartbeatAlarm", "PollerErrorsAlarm"}},
		{"an item of the jobs table cannot be read", func(p *watchedProduct) {
			p.store.Unreadable = map[string]error{"crm": errFault}
		}, soon, []string{"HeartbeatAlarm"}},
		{"the schedule has stopped", func(p *watchedProduct) { p.noTicks = true }, soon, []string{"HeartbeatAlarm"}},
		{"the bus accepts nothing", func(p *watchedProduct) {
			p.bus.Fault = func(string, jobs.Entry) error { return errFault }
		}, soon, []string{"UnpublishedAlarm"}},
		{"the bus refuses an event permanently", func(p *watchedProduct) {
			p.bus.Fault = func(string, jobs.Entry) error { return jobs.ErrUnpublishable }
		}, soon, []string{"QuarantinedAlarm"}},
		{"a channel is gone", func(p *watchedProduct) { p.refuse(notify.Misconfigured) }, soon, []string{"DestinationBrokenAlarm"}},
		{"Slack is down", func(p *watchedProduct) { p.refuse(notify.Unavailable) }, 40 * time.Minute, []string{"SlackRetriesAlarm"}},
		{"the deliveries table is gone", func(p *watchedProduct) {
			p.ledger.Fault = func(string) error { return errFault }
		}, 40 * time.Minute, []string{"SlackRetriesAlarm"}},
		{"a message is refused permanently", func(p *watchedProduct) { p.refuse(notify.Refused) }, soon, []string{"SlackDeadLetterAlarm"}},
		{"the notifier dies every time", func(p *watchedProduct) { p.dies = true }, 20 * time.Minute, []string{"NotifierErrorsAlarm"}},
		{"no event source mapping receives messages", func(p *watchedProduct) { p.noMapping = true }, 40 * time.Minute, []string{"SlackQueueAgeAlarm"}},
		{"the queue refuses the rule's events", func(p *watchedProduct) { p.refused = true }, soon, []string{"SlackRuleAlarm", "SlackDeadLetterAlarm"}},
		{"the dead-letter queue refuses them too", func(p *watchedProduct) { p.refused, p.lost = true, true }, soon, []string{"SlackRuleAlarm", "SlackEventsLostAlarm"}},
		// Two canaries are missed.
		{"the rule is gone", func(p *watchedProduct) { p.noRule = true }, 5 * time.Hour, []string{"SlackCanaryAlarm"}},
		{"the canary's schedule has stopped", func(p *watchedProduct) { p.noCanary = true }, 5 * time.Hour, []string{"SlackCanaryAlarm"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newWatchedProduct()
				// Until just after a canary: the next one is two hours away.
				p.run(6*time.Hour + time.Minute)
				for _, more := range evaluationRanges {
					if raised := p.raised(alarms, p.begin, more); len(raised) > 0 {
						t.Fatalf("raised without a fault: %v", raised)
					}
				}
				c.broken(p)
				begin := time.Now()
				p.event()
				p.run(c.within)
				for _, more := range evaluationRanges {
					raised := p.raised(alarms, begin, more)
					for _, name := range c.want {
						delete(unused, name)
						if _, ok := raised[name]; !ok {
							t.Errorf("with %d points more, %s is not raised within %s, but %v", more, name, c.within, raised)
						}
					}
					if len(c.want) == 0 && len(raised) > 0 {
						t.Errorf("raised without a permanent fault: %v", raised)
					}
				}
			})
		})
	}
	for name := range unused {
		switch {
		case strings.HasPrefix(name, "Email"): // as those of Slack
		case name == "PollerDeadLetterAlarm": // EventBridge Scheduler writes to that queue
		default:
			t.Errorf("no fault raises %s", name)
		}
	}
}

// While a fault lasts, its alarm sends one message, and one more after the fix.
func TestAlarmStaysRaisedAsLongAsItsFault(t *testing.T) {
	alarms := templateAlarms(t)
	for _, c := range []struct {
		name  string
		set   func(p *watchedProduct, broken bool)
		alarm string
	}{
		{"a channel is gone", func(p *watchedProduct, broken bool) {
			p.refuse(map[bool]notify.Reason{true: notify.Misconfigured}[broken])
		}, "DestinationBrokenAlarm"},
		{"Slack is down", func(p *watchedProduct, broken bool) {
			p.refuse(map[bool]notify.Reason{true: notify.Unavailable}[broken])
		}, "SlackRetriesAlarm"},
		{"the schedule has stopped", func(p *watchedProduct, broken bool) { p.noTicks = broken }, "HeartbeatAlarm"},
		{"the rule is gone", func(p *watchedProduct, broken bool) { p.noRule = broken }, "SlackCanaryAlarm"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newWatchedProduct()
				p.run(6*time.Hour + time.Minute)
				c.set(p, true)
				p.event()
				p.run(15 * time.Hour)
				c.set(p, false)
				p.run(3 * time.Hour)
				for _, more := range evaluationRanges {
					var states []string
					for _, change := range p.history(alarms[c.alarm], more) {
						states = append(states, change.state)
					}
					if !slices.Equal(states, []string{stateAlarm, stateOK}) {
						t.Errorf("with %d points more, %s becomes %v", more, c.alarm, states)
					}
				}
			})
		})
	}
}

func on(op, prefix string, err error) error {
	if strings.HasPrefix(op, prefix) {
		return err
	}
	return nil
}

// watchedProduct is the product with Slack alone, and its metrics as CloudWatch
// receives them.
type watchedProduct struct {
	source *fake.Source
	store  *fake.Jobs
	bus    *fake.Bus
	ledger *fake.Deliveries
	queue  *fake.Queue
	place  *fake.Destination

	noTicks, noCanary, noMapping, noRule, dies bool
	refused, lost                              bool // by the queue, and by its dead-letter queue

	begin   time.Time
	relayed int
	started int
	dead    int                          // events that the rule sent to the dead-letter queue
	points  map[string]map[int][]float64 // metric → minute → values
}

func newWatchedProduct() *watchedProduct {
	p := &watchedProduct{source: &fake.Source{}, store: &fake.Jobs{}, bus: &fake.Bus{}, ledger: &fake.Deliveries{},
		queue: &fake.Queue{Name: "slack", MaxReceive: 600}, place: &fake.Destination{Name: "slack:C1"},
		begin: time.Now(), points: make(map[string]map[int][]float64)}
	p.source.Clock = func() time.Time { return time.Now().UTC() }
	for _, name := range []string{"crm", "web"} {
		p.source.Put(jobs.Job{Key: jobs.Key{Workflow: name}})
	}
	return p
}

// refuse makes Slack refuse everything for the reason, or accept everything for an
// empty one.
func (p *watchedProduct) refuse(reason notify.Reason) {
	p.place.Fault = func(string, notify.Delivery) error {
		if reason == "" {
			return nil
		}
		return &notify.Failure{Reason: reason, Err: errors.New("no")}
	}
}

// event adds a job that fails now.
func (p *watchedProduct) event() {
	p.started++
	p.source.Put(jobs.Job{Key: jobs.Key{Workflow: "web", Job: fmt.Sprint(p.started)}, Status: jobs.Failed,
		StartTime: time.Now().UTC().Add(time.Second), EndTime: time.Now().UTC().Add(time.Second)})
}

// run advances the schedules and the event source mapping minute by minute.
func (p *watchedProduct) run(long time.Duration) {
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(time.Minute) {
		minute := int(time.Since(p.begin) / time.Minute)
		if !p.noTicks {
			p.invoke(`{}`)
			if minute%120 == 0 && !p.noCanary {
				p.invoke(`{"canary":"check"}`)
			}
		}
		taken := p.bus.Taken()
		for _, entry := range taken[p.relayed:] {
			p.relay(entry)
		}
		p.relayed = len(taken)
		p.deliver()
		p.measureQueue()
	}
}

// relay is the rule. EventBridge reports its metrics only when they are not zero.
func (p *watchedProduct) relay(entry jobs.Entry) {
	switch {
	case p.noRule:
	case p.refused && p.lost:
		p.put("AWS/Events/SlackRule/FailedInvocations", 1)
		p.put("AWS/Events/SlackRule/InvocationsFailedToBeSentToDlq", 1)
	case p.refused:
		p.put("AWS/Events/SlackRule/FailedInvocations", 1)
		p.dead++
	default:
		p.queue.Put(envelope(entry))
	}
}

func (p *watchedProduct) invoke(payload string) {
	watched, _ := poller.NewFilter("*", "")
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Second)
	defer cancel()
	_, err := (&poller.Poller{Source: p.source, Store: p.store, Publisher: p.bus, Watched: watched,
		Log: quiet, Metrics: p.ours}).Handle(ctx, json.RawMessage(payload))
	p.invoked("PollerFunction", err)
}

// deliver is the event source mapping, with the notifier that it invokes.
func (p *watchedProduct) deliver() {
	if p.noMapping {
		return
	}
	batch := p.queue.Receive(10)
	if len(batch.Records) == 0 {
		return
	}
	if p.dies {
		p.invoked("NotifierFunction", errDead)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	response, err := sqs.Handler(&notify.Notifier{Deliveries: p.ledger, Queue: p.queue, Log: quiet, Metrics: p.ours,
		Channels: []notify.Channel{{Name: "slack", QueueURL: p.queue.URL(), DeadLetterQueueURL: p.queue.URL() + "-dead",
			Destinations: []notify.Destination{p.place}, Filter: notify.Filter{All: true}}}})(ctx, batch)
	p.invoked("NotifierFunction", err)
	if err == nil {
		p.queue.Delete(batch, response.BatchItemFailures)
		p.put("AWS/SQS/SlackQueue/NumberOfMessagesDeleted", float64(len(batch.Records)-len(response.BatchItemFailures)))
	}
}

// ours are the metrics that the functions write to their logs.
func (p *watchedProduct) ours(values map[string]float64) {
	var out bytes.Buffer
	emf.Writer{Out: &out, Stack: "notifier"}.Put(values)
	for line := range bytes.Lines(out.Bytes()) {
		var written map[string]any
		if err := json.Unmarshal(line, &written); err != nil {
			panic(err)
		}
		for name, value := range written {
			if number, ok := value.(float64); ok {
				p.put("IdMappingNotifier/"+name, number)
			}
		}
	}
}

func (p *watchedProduct) invoked(function string, err error) {
	failed := 0.0
	if err != nil {
		failed = 1
	}
	p.put("AWS/Lambda/"+function+"/Errors", failed)
}

// measureQueue reports what SQS reports each minute. The age excludes messages
// received three times or more (SQS Developer Guide, Available CloudWatch
// metrics).
func (p *watchedProduct) measureQueue() {
	visible, hidden, oldest := p.queue.Measure()
	p.put("AWS/SQS/SlackQueue/ApproximateNumberOfMessagesVisible", float64(visible))
	p.put("AWS/SQS/SlackQueue/ApproximateNumberOfMessagesNotVisible", float64(hidden))
	p.put("AWS/SQS/SlackQueue/ApproximateAgeOfOldestMessage", oldest.Seconds())
	p.put("AWS/SQS/SlackDeadLetterQueue/ApproximateNumberOfMessagesVisible", float64(len(p.queue.Dead())+p.dead))
}

func (p *watchedProduct) put(metric string, value float64) {
	minute := int(time.Since(p.begin) / time.Minute)
	if p.points[metric] == nil {
		p.points[metric] = make(map[int][]float64)
	}
	p.points[metric][minute] = append(p.points[metric][minute], value)
}

// raised returns the alarms that were in ALARM since a time, with when they first
// were.
func (p *watchedProduct) raised(alarms map[string]alarm, since time.Time, more int) map[string]time.Time {
	all := make(map[string]time.Time)
	for name, a := range alarms {
		for _, c := range p.history(a, more) {
			if _, already := all[name]; c.state == stateAlarm && !already && !c.at.Before(since) {
				all[name] = c.at
			}
		}
	}
	return all
}

// How many points CloudWatch retrieves beyond the evaluation periods.
var evaluationRanges = []int{1, 2, 3}

func (p *watchedProduct) history(a alarm, more int) []change {
	of := a.metric()
	if strings.HasPrefix(of, "AWS/") && p.points[of] == nil {
		return nil // of a channel or of a part of the platform that is not here
	}
	return a.history(p.points[of], p.begin, int(time.Since(p.begin)/time.Minute), more)
}
