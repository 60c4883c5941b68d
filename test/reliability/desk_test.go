package reliability

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/slack"
	"github.com/idmapping/notifier/internal/sqs"
)

// Every operation of an invocation × every fault there × every operation at
// which a second delivery of the same messages overtakes it × every crash of
// that one.
func TestNotificationIsNeverLostNorRepeatedOnceRecorded(t *testing.T) {
	if testing.Short() {
		t.Skip("This test plays every case, which takes seconds: omit -short.")
	}
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
		received := map[jobs.Status]int{}
		last := -1
		order := []jobs.Status{jobs.Queued, jobs.Running, jobs.Failed}
		for _, sent := range d.destination.Sent() {
			status := sent.Delivery.Message.Status
			if received[status]++; received[status] == 1 {
				at := slices.Index(order, status)
				if at < last {
					return fmt.Errorf("I3: %s after %s", status, order[last])
				}
				last = at
			}
		}
		if received[jobs.Failed] == 0 {
			return fmt.Errorf("I1: the terminal status is lost: %v", received)
		}
		// A repeat needs a process that was cut off between sending and
		// recording.
		allowed := cutOffAfterSending(main) + cutOffAfterSending(other)
		extra := 0
		for _, n := range received {
			extra += n - 1
		}
		if extra > allowed {
			return fmt.Errorf("I2: %d repeats, %d allowed: %v", extra, allowed, received)
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

// cutOffAfterSending counts notifications that the process sent and could not
// record: it was killed, or its write failed.
func cutOffAfterSending(p *process) int {
	if p == nil || p.fault.at == 0 || p.fault.at > len(p.log) {
		return 0
	}
	switch p.log[p.fault.at-1] {
	case "Send/done", "Record":
		return 1
	}
	return 0
}

// desk is a notifier's side of the cloud.
type desk struct {
	queue       *fake.Queue
	deliveries  *fake.Deliveries
	destination *fake.Destination
}

func newDesk() *desk {
	d := &desk{queue: &fake.Queue{Name: "slack"}, deliveries: &fake.Deliveries{}}
	d.destination = &fake.Destination{Name: "slack:C1", Limiter: &notify.Limiter{Limits: d.deliveries, Destination: "slack:C1", MinInterval: slack.MinInterval}}
	return d
}

// deliver runs a notifier's invocation as process p, on the next n visible
// messages, for a minute at most.
func (d *desk) deliver(p *process, n int) {
	hook := func(op string) error { return p.step(op) }
	outerDeliveries, outerQueue, outerDestination := d.deliveries.Fault, d.queue.Fault, d.destination.Fault
	install := func() {
		d.deliveries.Fault, d.queue.Fault = hook, hook
		d.destination.Fault = func(op string, _ notify.Delivery) error { return p.step(op) }
	}
	install()
	if inner := p.while; inner != nil {
		p.while = func() { inner(); install() }
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	batch := d.queue.Receive(n)
	response, err := sqs.Handler(&notify.Notifier{Deliveries: d.deliveries, Queue: d.queue, Log: quiet,
		Channels: []notify.Channel{{Name: "slack", QueueURL: d.queue.URL(), DeadLetterQueueURL: d.queue.URL() + "-dead",
			Destinations: []notify.Destination{d.destination}, Filter: notify.Filter{All: true}}}})(ctx, batch)
	d.deliveries.Fault, d.queue.Fault, d.destination.Fault = outerDeliveries, outerQueue, outerDestination
	if err == nil && !p.dead {
		d.queue.Delete(batch, response.BatchItemFailures)
	}
}

// drain delivers without faults until the queue is empty.
func (d *desk) drain() error {
	for range 1000 {
		next, some := d.queue.Next()
		if !some {
			return nil
		}
		time.Sleep(max(0, time.Until(next)))
		d.deliver(&process{}, 10)
	}
	return errors.New("I5: the queue does not drain")
}
