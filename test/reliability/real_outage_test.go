package reliability

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/fakecloud"
	fakeaws "github.com/idmapping/notifier/internal/fakecloud/aws"
	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/slack"
	"github.com/idmapping/notifier/internal/sqs"
)

var outageEvents = flag.Int("outage-events", 20, "how many events arrive during the Slack outage; the rate limit of their delivery takes real time")

// slackBacklog runs the real notifier through a Slack outage of six hours. The
// queue's clock is the test's: it advances from one receive to the next by the
// visibility timeouts that the notifier sets.
func slackBacklog(r *real) {
	const outage = 6 * time.Hour
	begin := time.Now()
	now := begin
	queue := &fake.Queue{Name: path.Base(r.Resources["SlackQueue"]), MaxReceive: 600, Now: func() time.Time { return now }}
	r.Proxy.Inject(fakeaws.Fault{Operation: "AmazonSQS.ChangeMessageVisibility", Refuse: http.StatusOK, Match: func(body []byte) bool {
		handle, wait := visibilityChange(body)
		return strings.HasPrefix(handle, queue.Name) && queue.ChangeVisibility(r.ctx, "", handle, wait) == nil
	}})
	f := r.anotherProcess(r.Notifier, nil)
	invocations := 0
	deliver := func() {
		if invocations > 100*(*outageEvents) {
			r.t.Fatalf("%d invocations, %s in, %d messages left", invocations, now.Sub(begin), queue.Len())
		}
		batch := queue.Receive(10)
		payload, err := json.Marshal(batch)
		r.must(err)
		sent := len(r.Slack.Log())
		body, err := f.Invoke(r.ctx, payload)
		r.must(err)
		now = now.Add(time.Duration(len(r.Slack.Log())-sent) * slack.MinInterval) // what the rate limit costs on an idle machine
		var response sqs.Response
		r.must(json.Unmarshal(body, &response))
		invocations++
		queue.Delete(batch, response.BatchItemFailures)
	}
	r.Slack.Inject(httpfault.Fault{Status: http.StatusServiceUnavailable, Body: "down"})
	n := *outageEvents
	var keys []jobs.Key
	for now.Sub(begin) < outage {
		arrival := begin.Add(time.Duration(len(keys)) * outage / time.Duration(n))
		if !now.Before(arrival) && len(keys) < n {
			key := jobs.Key{Workflow: "six", Job: fmt.Sprintf("six-%03d", len(keys))}
			queue.Put(r.failedEvent(key))
			keys = append(keys, key)
			continue
		}
		if next, some := queue.Next(); some && next.Before(arrival) {
			now = later(now, next)
			r.resetRateLimit("slack:" + fakecloud.SlackChannel) // more than a second has passed
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
	var first, last time.Time
	for _, m := range r.Slack.Log()[before:] {
		if !strings.HasPrefix(m.Text, "FAILED: six") {
			continue
		}
		if first.IsZero() {
			first = m.At
		}
		last = m.At
	}
	// Between two arrivals there may be less than between two sends, so only all of
	// them together show the rate limit.
	if took := last.Sub(first); took < time.Duration(n-1)*slack.MinInterval/2 {
		r.t.Errorf("%d messages arrived within %v", n, took)
	}
	for _, key := range keys {
		if cards := r.Tally(key, jobs.Failed).Cards; cards != 1 {
			r.t.Errorf("%s has %d cards", key, cards)
		}
	}
	if len(keys) != n || len(queue.Dead()) != 0 {
		r.t.Errorf("%d of %d events arrived, %d are dead letters", len(keys), n, len(queue.Dead()))
	}
	if after := now.Sub(begin.Add(outage)); after > 15*time.Minute {
		r.t.Errorf("the last is delivered %v after Slack is back", after)
	} else {
		r.t.Logf("%d events, %d invocations, the last delivered %v after Slack is back", n, invocations, after.Round(time.Second))
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
