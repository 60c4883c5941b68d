package reliability

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/fakecloud"
	fakeaws "github.com/idmapping/notifier/internal/fakecloud/aws"
	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
	fakelambda "github.com/idmapping/notifier/internal/fakecloud/lambda"
	fakeslack "github.com/idmapping/notifier/internal/fakecloud/slack"
	"github.com/idmapping/notifier/internal/jobs"
)

// webhookNotifier is a process of the real notifier with a webhook instead of the
// bot, which only the test invokes.
func (r *real) webhookNotifier() *fakelambda.Function {
	return r.anotherProcess(r.Notifier, map[string]string{"SLACK_TOKEN_PARAMETER": "", "SLACK_CHANNEL": "", "SLACK_WEBHOOK_PARAMETER": fakecloud.URLParameter})
}

// resetRateLimit removes when a destination was last sent to, as if time had
// passed.
func (r *real) resetRateLimit(destination string) {
	r.t.Helper()
	_, err := awsdynamodb.NewFromConfig(r.Config()).DeleteItem(r.ctx, &awsdynamodb.DeleteItemInput{TableName: aws.String(r.Resources["DeliveriesTable"]),
		Key: map[string]types.AttributeValue{"job": &types.AttributeValueMemberS{Value: "#limit"}, "destination": &types.AttributeValueMemberS{Value: destination}}})
	r.must(err)
}

// notifyWebhook passes the function a failed job of its own.
func (r *real) notifyWebhook(f *fakelambda.Function, id string) {
	r.t.Helper()
	r.resetRateLimit("slack-webhook") // of an earlier Retry-After
	body, err := json.Marshal(r.failedEvent(jobs.Key{Workflow: "hook", Job: id}))
	r.must(err)
	_, err = f.Invoke(r.ctx, fmt.Appendf(nil, `{"Records":[{"messageId":"%s","receiptHandle":"%s","body":%s,"attributes":{"ApproximateReceiveCount":"1"},"eventSourceARN":"%s"}]}`,
		id, id, body, r.arnOf("SlackQueue")))
	r.must(err)
}

// failedEvent is a job's FAILED event as EventBridge delivers it.
func (r *real) failedEvent(key jobs.Key) string {
	r.t.Helper()
	entry, err := event.Encode(fake.ARN(key.Workflow), jobs.Transition{Job: jobs.Job{Key: key, Status: jobs.Failed}}, time.Now())
	r.must(err)
	return envelope(entry)
}

// webhookLeaksNothing makes the webhook respond in every way, with the secret in the response.
func webhookLeaksNothing(r *real) {
	f := r.webhookNotifier()
	for i, fault := range []httpfault.Fault{
		{Status: http.StatusFound, Body: fakeslack.WebhookPath}, {Status: http.StatusNotFound, Body: "no_service"},
		{Status: http.StatusOK, Body: "<html>" + fakeslack.WebhookPath}, {Status: http.StatusInternalServerError, Body: fakeslack.WebhookPath}, {Reset: true},
	} {
		r.Slack.Clear()
		fault.Header = http.Header{"Location": {fakeslack.WebhookPath}}
		r.Slack.Inject(fault)
		before := len(r.log.since(0))
		r.notifyWebhook(f, fmt.Sprint("hook-", i))
		if r.log.count(before, `"reason":`) == 0 && r.log.count(before, "dead-letter") == 0 {
			r.t.Errorf("%+v: the log has no line about it", fault)
		}
	}
}

// visibilityChange parses a call of ChangeMessageVisibility.
func visibilityChange(body []byte) (receiptHandle string, wait time.Duration) {
	var in struct {
		ReceiptHandle     string
		VisibilityTimeout int
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return "", -1
	}
	return in.ReceiptHandle, time.Duration(in.VisibilityTimeout) * time.Second
}

func everyRetryAfter(r *real) {
	f := r.webhookNotifier()
	var waits sync.Map // by receipt handle: the deployed notifier hides messages too
	r.Proxy.Inject(fakeaws.Fault{Operation: "AmazonSQS.ChangeMessageVisibility", Match: func(body []byte) bool {
		waits.Store(visibilityChange(body))
		return false
	}})
	const minWait, maxWait = 30 * time.Second, 15 * time.Minute
	for i, c := range []struct {
		header string
		want   time.Duration // and a second more at most
	}{
		{"7", 7 * time.Second}, {"", minWait}, {time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), maxWait}, {time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), minWait},
		{"86400", maxWait}, {"-5", minWait}, {"0", minWait}, {"soon", minWait},
	} {
		headers := http.Header{}
		if c.header != "" {
			headers.Set("Retry-After", c.header)
		}
		r.Slack.Clear()
		r.Slack.Inject(httpfault.Fault{Status: http.StatusTooManyRequests, Body: "rate_limited", Header: headers})
		id := fmt.Sprint("after-", i)
		r.notifyWebhook(f, id)
		hidden, _ := waits.Load(id)
		wait, ok := hidden.(time.Duration)
		if !ok || wait < c.want || wait > c.want+time.Second {
			r.t.Errorf("Retry-After %q: visibility timeout %v, want %v", c.header, hidden, c.want)
		}
	}
	r.Slack.Clear()
	r.Slack.Inject(httpfault.Fault{Status: http.StatusOK, Body: strings.Repeat("ok ", 30<<20)})
	r.notifyWebhook(f, "endless")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.PID()))
	if err != nil {
		return // only Linux reports the peak memory
	}
	peak := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if kB, _ := strconv.Atoi(string(peak[1])); kB > 100<<10 {
		r.t.Errorf("a response of 90 MB took %d kB", kB)
	}
}

func secretsAndThrottling(r *real) {
	r.addWorkflows("cold")
	r.Proxy.Inject(fakeaws.Fault{Operation: "AmazonSSM.GetParameter", Refuse: http.StatusInternalServerError, Code: "InternalServerError"})
	r.Proxy.Inject(fakeaws.Fault{Operation: "SES.SendEmail", Times: 4, Refuse: http.StatusTooManyRequests, Code: "TooManyRequestsException", Message: "Maximum sending rate exceeded."})
	r.Notifier.Deploy(r.Notifier.Dir) // a cold start
	key := r.finish("cold", "cold-1", jobs.Failed, "x")
	before := len(r.log.since(0))
	r.cleanTick()
	r.await("a notification fails while SSM is down", func() bool { return r.log.count(before, `"reason":"unavailable"`) > 0 })
	if n := r.log.count(before, `"DestinationsMisconfigured":1`); n != 0 {
		r.t.Error("an outage counts as a wrong setting")
	}
	r.Proxy.Clear()
	r.delivered(key, jobs.Failed)
	r.deliveredOnce(key, jobs.Failed)
}
