package reliability

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/idmapping/notifier/internal/fakecloud"
	"github.com/idmapping/notifier/internal/jobs"
)

// hooked is a notifier of the real binary that has a webhook instead of the bot
// and is invoked by hand.
func (r *real) hooked() *fakecloud.Lambda {
	return r.another(r.Notifier, map[string]string{"SLACK_TOKEN_PARAMETER": "", "SLACK_CHANNEL": "", "SLACK_WEBHOOK_PARAMETER": fakecloud.URLParameter})
}

// rest forgets when a destination was sent to, as if time had passed.
func (r *real) rest(destination string) {
	r.t.Helper()
	_, err := awsdynamodb.NewFromConfig(r.Config()).DeleteItem(r.ctx, &awsdynamodb.DeleteItemInput{TableName: aws.String(r.Resources["DeliveriesTable"]),
		Key: map[string]types.AttributeValue{"job": &types.AttributeValueMemberS{Value: "#limit"}, "destination": &types.AttributeValueMemberS{Value: destination}}})
	r.must(err)
}

// tell hands the function a message about a failure of its own.
func (r *real) tell(f *fakecloud.Lambda, id string) {
	r.t.Helper()
	r.rest("slack-webhook") // from what an earlier answer asked for
	body, _ := json.Marshal(`{"source":"idmapping.notifier","detail-type":"ID Mapping Job State Change","detail":{"version":"1","transitionId":"` + id +
		`","workflowName":"hook","jobId":"` + id + `","status":"FAILED"}}`)
	_, err := f.Invoke(r.ctx, fmt.Appendf(nil, `{"Records":[{"messageId":"%s","receiptHandle":"%s","body":%s,"attributes":{"ApproximateReceiveCount":"1"},"eventSourceARN":"%s"}]}`,
		id, id, body, r.arnOf("SlackQueue")))
	r.must(err)
}

// webhookSecrets has a webhook answer everything that it can, for the log.
func webhookSecrets(r *real) {
	f := r.hooked()
	for i, fault := range []fakecloud.Fault{
		{Status: http.StatusFound, Body: fakecloud.WebhookPath}, {Status: http.StatusNotFound, Body: "no_service"},
		{Status: http.StatusOK, Body: "<html>" + fakecloud.WebhookPath}, {Status: http.StatusInternalServerError, Body: fakecloud.WebhookPath}, {Reset: true},
	} {
		r.Slack.Clear()
		r.Slack.Inject(fault, http.Header{"Location": {fakecloud.WebhookPath}})
		before := len(r.log.since(0))
		r.tell(f, fmt.Sprint("hook-", i))
		if r.log.count(before, "notification failed") == 0 && r.log.count(before, "dead-letter") == 0 {
			r.t.Errorf("%+v: nothing is in the log of it", fault)
		}
	}
}

// hiding reads a call of ChangeMessageVisibility.
func hiding(body []byte) (receiptHandle string, wait time.Duration) {
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
	f := r.hooked()
	hidden := -1 * time.Second // for how long the last message was
	r.Proxy.Inject(fakecloud.ProxyFault{Operation: "AmazonSQS.ChangeMessageVisibility", Match: func(body []byte) bool {
		_, hidden = hiding(body)
		return false
	}})
	const none, most = 30 * time.Second, 15 * time.Minute
	for i, c := range []struct {
		header string
		want   time.Duration // and a second more at most
	}{
		{"7", 7 * time.Second}, {"", none}, {time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), most}, {time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), none},
		{"86400", most}, {"-5", none}, {"0", none}, {"soon", none},
	} {
		headers := http.Header{}
		if c.header != "" {
			headers.Set("Retry-After", c.header)
		}
		r.Slack.Clear()
		r.Slack.Inject(fakecloud.Fault{Status: http.StatusTooManyRequests, Body: "rate_limited"}, headers)
		hidden = -1
		r.tell(f, fmt.Sprint("after-", i))
		if hidden < c.want || hidden > c.want+time.Second {
			r.t.Errorf("Retry-After %q: hidden for %v, want %v", c.header, hidden, c.want)
		}
	}
	r.Slack.Clear()
	r.Slack.Inject(fakecloud.Fault{Status: http.StatusOK, Body: strings.Repeat("ok ", 30<<20)}, nil)
	begin := time.Now()
	r.tell(f, "endless")
	if took := time.Since(begin); took > 6*time.Second {
		r.t.Errorf("an answer of 90 MB took %v", took)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.PID()))
	if err != nil {
		return // Linux alone says how much memory it took
	}
	peak := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if kB, _ := strconv.Atoi(string(peak[1])); kB > 100<<10 {
		r.t.Errorf("an answer of 90 MB took %d kB", kB)
	}
}

func secretsAndQuota(r *real) {
	r.watch("cold")
	r.Proxy.Inject(fakecloud.ProxyFault{Operation: "AmazonSSM.GetParameter", Refuse: http.StatusInternalServerError, Code: "InternalServerError"})
	r.Proxy.Inject(fakecloud.ProxyFault{Operation: "SES.SendEmail", Times: 4, Refuse: http.StatusTooManyRequests, Code: "TooManyRequestsException", Message: "Maximum sending rate exceeded."})
	r.Notifier.Deploy(r.Notifier.Dir) // a cold start
	key := r.end("cold", "cold-1", jobs.Failed, "x")
	before := len(r.log.since(0))
	r.tick()
	r.await(30*time.Second, "a telling fails while SSM is down", func() bool { return r.log.count(before, `"reason":"unavailable"`) > 0 })
	if n := r.log.count(before, `"DestinationsMisconfigured":1`); n != 0 {
		r.t.Error("an outage is called a wrong setting")
	}
	r.Proxy.Clear()
	r.told(key, jobs.Failed, 60*time.Second)
	r.once(key, jobs.Failed)
}
