package reliability

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/fakecloud/sam"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/poller"
	"github.com/idmapping/notifier/internal/sqs"
)

// TestEachPermanentFaultRaisesAnAlarm runs the product for hours of virtual time
// with one thing broken for good, and compares its metrics with
// the template's alarms: the right one goes off in time, and none for what
// passes by itself.
func TestEachPermanentFaultRaisesAnAlarm(t *testing.T) {
	const soon = 11 * time.Minute // the fault's next tick, and ten minutes
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
		{"Entity Resolution throttles for ever", func(p *watchedProduct) {
			p.source.Fault = func(string) error { return jobs.ErrThrottled }
		}, soon, []string{"HeartbeatAlarm"}},
		{"the jobs table is gone", func(p *watchedProduct) {
			p.store.Fault = func(string) error { return errFault }
		}, 15 * time.Minute, []string{"HeartbeatAlarm", "PollerErrorsAlarm"}},
		{"an item of the jobs table cannot be read", func(p *watchedProduct) {
			p.store.Unreadable = map[string]error{"crm": errFault}
		}, soon, []string{"HeartbeatAlarm"}},
		{"the schedule has stopped", func(p *watchedProduct) { p.noTicks = true }, soon, []string{"HeartbeatAlarm"}},
		{"the bus takes nothing", func(p *watchedProduct) {
			p.bus.Fault = func(string, jobs.Entry) error { return errFault }
		}, soon, []string{"UnpublishedAlarm"}},
		{"the bus refuses an event for good", func(p *watchedProduct) {
			p.bus.Fault = func(string, jobs.Entry) error { return jobs.ErrUnpublishable }
		}, soon, []string{"QuarantinedAlarm"}},
		{"a channel is gone", func(p *watchedProduct) { p.refuse(notify.Misconfigured) }, soon, []string{"DestinationBrokenAlarm"}},
		{"Slack is down", func(p *watchedProduct) { p.refuse(notify.Unavailable) }, 40 * time.Minute, []string{"SlackRetriesAlarm"}},
		{"the deliveries table is gone", func(p *watchedProduct) {
			p.ledger.Fault = func(string) error { return errFault }
		}, 40 * time.Minute, []string{"SlackRetriesAlarm"}},
		{"a message is refused for good", func(p *watchedProduct) { p.refuse(notify.Refused) }, soon, []string{"SlackDeadLetterAlarm"}},
		{"the notifier dies every time", func(p *watchedProduct) { p.dies = true }, 20 * time.Minute, []string{"NotifierErrorsAlarm"}},
		{"no event source mapping receives messages", func(p *watchedProduct) { p.noMapping = true }, 40 * time.Minute, []string{"SlackQueueAgeAlarm"}},
		{"the rule is gone", func(p *watchedProduct) { p.noRule = true }, 7 * time.Hour, []string{"SlackCanaryAlarm"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newWatchedProduct()
				p.run(6 * time.Hour) // a past in which all was well
				if raised := p.raised(alarms); len(raised) > 0 {
					t.Fatalf("raised while all is well: %v", raised)
				}
				c.broken(p)
				begin := time.Now()
				p.event()
				p.run(c.within)
				raised := p.raised(alarms)
				for _, name := range c.want {
					delete(unused, name)
					if at, ok := raised[name]; !ok || !at.After(begin) {
						t.Errorf("%s is not raised within %s, but %v", name, c.within, raised)
					}
				}
				if len(c.want) == 0 && len(raised) > 0 {
					t.Errorf("raised without a fault: %v", raised)
				}
			})
		})
	}
	for name := range unused {
		switch {
		case strings.HasPrefix(name, "Email"): // as those of Slack
		case strings.HasSuffix(name, "ThrottlesAlarm"), name == "PollerDeadLetterAlarm": // of the platform
		default:
			t.Errorf("no fault raises %s", name)
		}
	}
}

func on(op, prefix string, err error) error {
	if strings.HasPrefix(op, prefix) {
		return err
	}
	return nil
}

// alarm is what the template says of one.
type alarm struct {
	Namespace, MetricName, Statistic, ComparisonOperator, TreatMissingData string

	Period, EvaluationPeriods, DatapointsToAlarm int
	Threshold                                    float64
	Dimensions                                   []struct{ Value any }
}

func templateAlarms(t *testing.T) map[string]alarm {
	t.Helper()
	body, err := sam.Translate(t.Context(), "us-east-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Resources map[string]struct {
			Type       string
			Properties json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &document); err != nil {
		t.Fatal(err)
	}
	all := make(map[string]alarm)
	for name, r := range document.Resources {
		if r.Type != "AWS::CloudWatch::Alarm" {
			continue
		}
		var a alarm
		if err := json.Unmarshal(r.Properties, &a); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if a.DatapointsToAlarm == 0 {
			a.DatapointsToAlarm = a.EvaluationPeriods
		}
		all[name] = a
	}
	return all
}

// metric names what the alarm watches: "IdMappingNotifier/Delivered", or with
// the logical id of a queue or function "AWS/SQS/SlackQueue/…".
func (a alarm) metric() string {
	if a.Namespace == "IdMappingNotifier" {
		return a.Namespace + "/" + a.MetricName
	}
	of, _ := json.Marshal(a.Dimensions[0].Value) // {"Fn::GetAtt":["SlackQueue","QueueName"]} or {"Ref":…}
	return a.Namespace + "/" + strings.Trim(resource.FindString(string(of)), `"`) + "/" + a.MetricName
}

var resource = regexp.MustCompile(`"\w+(Queue|Function)"`)

// watchedProduct is the product with Slack alone and with CloudWatch's eyes on
// it.
type watchedProduct struct {
	source *fake.Source
	store  *fake.Jobs
	bus    *fake.Bus
	ledger *fake.Deliveries
	queue  *fake.Queue
	place  *fake.Destination

	noTicks, noMapping, noRule, dies bool

	begin   time.Time
	relayed int
	started int
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

// refuse lets Slack refuse everything for the reason, or for an empty one take
// everything.
func (p *watchedProduct) refuse(reason notify.Reason) {
	p.place.Fault = func(string, notify.Delivery) error {
		if reason == "" {
			return nil
		}
		return &notify.Failure{Reason: reason, Err: errors.New("no")}
	}
}

// event lets a job end now.
func (p *watchedProduct) event() {
	p.started++
	p.source.Put(jobs.Job{Key: jobs.Key{Workflow: "web", Job: fmt.Sprint(p.started)}, Status: jobs.Failed,
		StartTime: time.Now().UTC().Add(time.Second), EndTime: time.Now().UTC().Add(time.Second)})
}

// run lets the schedules and the event source mapping work for so long, a
// minute at a time.
func (p *watchedProduct) run(long time.Duration) {
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(time.Minute) {
		minute := int(time.Since(p.begin) / time.Minute)
		if !p.noTicks {
			p.invoke(`{}`)
			if minute%120 == 0 {
				p.invoke(`{"canary":"check"}`)
			}
		}
		taken := p.bus.Taken()
		for _, entry := range taken[p.relayed:] {
			if !p.noRule {
				p.queue.Put(envelope(entry))
			}
		}
		p.relayed = len(taken)
		p.deliver()
		p.measureQueue()
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

func (p *watchedProduct) ours(values map[string]float64) {
	for name, value := range values {
		p.put("IdMappingNotifier/"+name, value)
	}
}

func (p *watchedProduct) invoked(function string, err error) {
	failed := 0.0
	if err != nil {
		failed = 1
	}
	p.put("AWS/Lambda/"+function+"/Errors", failed)
}

// measureQueue reports what SQS reports each minute. Messages received three
// times or more count for no age (SQS Developer Guide, "Available CloudWatch
// metrics").
func (p *watchedProduct) measureQueue() {
	visible, hidden, oldest := p.queue.Measure()
	p.put("AWS/SQS/SlackQueue/ApproximateNumberOfMessagesVisible", float64(visible))
	p.put("AWS/SQS/SlackQueue/ApproximateNumberOfMessagesNotVisible", float64(hidden))
	p.put("AWS/SQS/SlackQueue/ApproximateAgeOfOldestMessage", oldest.Seconds())
	p.put("AWS/SQS/SlackQueue/NumberOfMessagesDeleted", 0)
	p.put("AWS/SQS/SlackDeadLetterQueue/ApproximateNumberOfMessagesVisible", float64(len(p.queue.Dead())))
}

func (p *watchedProduct) put(metric string, value float64) {
	minute := int(time.Since(p.begin) / time.Minute)
	if p.points[metric] == nil {
		p.points[metric] = make(map[int][]float64)
	}
	p.points[metric][minute] = append(p.points[metric][minute], value)
}

// raised are the alarms that went off, with when they did.
func (p *watchedProduct) raised(alarms map[string]alarm) map[string]time.Time {
	all := make(map[string]time.Time)
	now := int(time.Since(p.begin) / time.Minute)
	for name, a := range alarms {
		if of := a.metric(); strings.HasPrefix(of, "AWS/") && p.points[of] == nil {
			continue // of a channel or of a part of the platform that is not here
		}
		period := a.Period / 60
		// From the first whole evaluation on: before it there was no product.
		for end := period * a.EvaluationPeriods; end <= now; end++ {
			breaching := 0
			for n := range a.EvaluationPeriods {
				if a.breaches(p.points[a.metric()], end-(n+1)*period, end-n*period) {
					breaching++
				}
			}
			if _, already := all[name]; breaching >= a.DatapointsToAlarm && !already {
				all[name] = p.begin.Add(time.Duration(end) * time.Minute)
			}
		}
	}
	return all
}

// breaches tells whether the period between two minutes breaches.
func (a alarm) breaches(points map[int][]float64, from, to int) bool {
	var values []float64
	for minute := from; minute < to; minute++ {
		values = append(values, points[minute]...)
	}
	if len(values) == 0 {
		return a.TreatMissingData == "breaching"
	}
	value := 0.0
	switch a.Statistic {
	case "Sum":
		for _, v := range values {
			value += v
		}
	case "Maximum":
		value = slices.Max(values)
	case "Minimum":
		value = slices.Min(values)
	}
	switch a.ComparisonOperator {
	case "GreaterThanThreshold":
		return value > a.Threshold
	case "GreaterThanOrEqualToThreshold":
		return value >= a.Threshold
	default:
		return value < a.Threshold
	}
}
