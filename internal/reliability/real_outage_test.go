package reliability

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notifier"
	"github.com/idmapping/notifier/internal/standin"
	"github.com/idmapping/notifier/internal/storetest"
)

var outageEvents = flag.Int("outage-events", 20, "how many events come while Slack is down; the pace of telling them is real")

// sixHours runs the real notifier through six hours in which Slack is down. The
// queue's clock is the test's: it leaps from one receipt to the next, by the
// waits that the notifier asks SQS for.
func sixHours(r *real) {
	const outage = 6 * time.Hour
	begin := time.Now()
	now := begin
	queue := &storetest.Queue{Name: r.Resources["SlackQueue"][strings.LastIndexByte(r.Resources["SlackQueue"], '/')+1:], MaxReceive: 600,
		Now: func() time.Time { return now }}
	r.Proxy.Inject(standin.ProxyFault{Operation: "AmazonSQS.ChangeMessageVisibility", Refuse: http.StatusOK, Match: func(body []byte) bool {
		var in struct {
			ReceiptHandle     string
			VisibilityTimeout int
		}
		if json.Unmarshal(body, &in) != nil || !strings.HasPrefix(in.ReceiptHandle, queue.Name) {
			return false
		}
		return queue.ChangeVisibility(context.Background(), "", in.ReceiptHandle, time.Duration(in.VisibilityTimeout)*time.Second) == nil
	}})
	f := &standin.Lambda{Name: "outage", Dir: r.Notifier.Dir, Env: r.Notifier.Env, Timeout: time.Minute, Log: func(line string) { r.log.add("", line) }}
	defer f.Close()
	invocations := 0
	deliver := func() {
		if invocations > 100*(*outageEvents) {
			r.t.Fatalf("%d invocations, %s in, %d messages left", invocations, now.Sub(begin), queue.Len())
		}
		batch := queue.Receive(10)
		for i := range batch.Records {
			batch.Records[i].EventSourceARN = r.arnOf("SlackQueue")
		}
		payload, err := json.Marshal(batch)
		r.must(err)
		started := time.Now()
		answer, err := f.Invoke(r.ctx, payload)
		r.must(err)
		now = now.Add(time.Since(started))
		var response notifier.Response
		r.must(json.Unmarshal(answer, &response))
		invocations++
		queue.Delete(batch, response.BatchItemFailures)
	}
	r.Slack.Inject(standin.Fault{Status: http.StatusServiceUnavailable, Body: "down"}, nil)
	n, put := *outageEvents, 0
	keys := make(map[string]bool)
	for now.Sub(begin) < outage {
		if due := int(int64(n) * int64(now.Sub(begin)) / int64(outage)); put <= due && put < n {
			key := jobs.Key{Workflow: "six", Job: fmt.Sprintf("six-%03d", put)}
			entry, err := event.Encode(storetest.ARN("six"), jobs.Transition{Job: jobs.Job{Key: key, Status: jobs.Failed}}, time.Now())
			r.must(err)
			queue.Put(envelope(entry))
			keys[key.Job] = true
			put++
			continue
		}
		arrival := begin.Add(time.Duration(put) * outage / time.Duration(n))
		if next, some := queue.Next(); some && next.Before(arrival) {
			now = later(now, next)
			r.rest("slack:" + standin.SlackChannel) // the leap was longer than a second
			deliver()
		} else {
			now = later(now, arrival)
		}
	}
	r.Slack.Clear()
	before := len(r.Slack.Log())
	now = later(now, begin.Add(outage))
	for {
		next, some := queue.Next()
		if !some {
			break
		}
		now = later(now, next)
		deliver()
	}
	var last time.Time
	told := 0
	for _, m := range r.Slack.Log()[before:] {
		if !strings.HasPrefix(m.Text, "FAILED: six") {
			continue
		}
		if gap := m.At.Sub(last); gap < 900*time.Millisecond {
			r.t.Errorf("two messages within %v", gap)
		}
		last = m.At
		told++
	}
	if told != n || len(keys) != n || len(queue.Dead()) != 0 {
		r.t.Errorf("%d of %d are told, %d dead", told, n, len(queue.Dead()))
	}
	if after := now.Sub(begin.Add(outage)); after > 15*time.Minute {
		r.t.Errorf("the last is told %v after Slack is back", after)
	} else {
		r.t.Logf("%d events, %d invocations, the last told %v after Slack is back", n, invocations, after.Round(time.Second))
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
