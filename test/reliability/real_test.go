package reliability

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/idmapping/notifier/internal/fakecloud"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/template"
)

// real is the deployed product: the real binaries and the real template, over
// HTTP, with faults between them.
type real struct {
	*fakecloud.Cloud
	t   *testing.T
	ctx context.Context
	log *journal
}

// journal is everything that the functions wrote.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(_, line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

// since are the lines from the n-th on.
func (j *journal) since(n int) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines[n:])
}

// count is how many lines there are, or since the n-th those with the text.
func (j *journal) count(n int, text string) int {
	found := 0
	for _, line := range j.since(n) {
		if strings.Contains(line, text) {
			found++
		}
	}
	return found
}

var recipients = []string{"a@example.com", "b@example.com"}

func deploy(t *testing.T) *real {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Minute)
	t.Cleanup(cancel)
	log := &journal{}
	c, err := fakecloud.Deploy(ctx, fakecloud.Options{
		Log: log.add,
		Parameters: map[string]string{"SlackChannel": fakecloud.SlackChannel, "SlackTokenParameter": fakecloud.TokenParameter,
			"EmailFrom": fakecloud.EmailFrom, "EmailTo": strings.Join(recipients, ",")},
		Env: map[string]map[string]string{"PollerFunction": {"ENTITY_RESOLUTION_RATE": "500"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &real{c, t, ctx, log}
}

// tick invokes the poller; an error is part of some faults.
func (r *real) tick() string {
	report, err := r.Tick(r.ctx)
	if err != nil {
		return err.Error()
	}
	return report
}

// watch makes workflows and lets the poller see them for the first time.
func (r *real) watch(names ...string) {
	r.t.Helper()
	for _, name := range names {
		r.EntityResolution.AddWorkflow(name)
	}
	r.tick()
	time.Sleep(1100 * time.Millisecond) // Date headers have whole seconds
}

// end puts a job that has ended into Entity Resolution.
func (r *real) end(workflow, id string, status jobs.Status, text string) jobs.Key {
	key := jobs.Key{Workflow: workflow, Job: id}
	now := time.Now()
	r.EntityResolution.Put(jobs.Job{Key: key, Type: "BATCH", Status: status, StartTime: now.Add(-time.Minute), EndTime: now, Error: text})
	return key
}

// told waits until the end is told on both channels.
func (r *real) told(key jobs.Key, status jobs.Status, within time.Duration) {
	r.t.Helper()
	r.await(within, fmt.Sprintf("%s %s is told", key, status), func() bool {
		tally := r.Tally(key, status)
		return tally.Cards > 0 && len(tally.Emails) == len(recipients)
	})
}

// mailed tells whether everybody has an email about the end.
func (r *real) mailed(key jobs.Key, status jobs.Status) bool {
	return len(r.Tally(key, status).Emails) == len(recipients)
}

// await waits until done, which in words is what.
func (r *real) await(within time.Duration, what string, done func() bool) {
	r.t.Helper()
	for until := time.Now().Add(within); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			r.t.Fatalf("within %s it is not so that %s", within, what)
		}
	}
}

// another is a second process of a function's real binary, invoked by hand,
// until the test ends.
func (r *real) another(of *fakecloud.Lambda, env map[string]string) *fakecloud.Lambda {
	merged := maps.Clone(of.Env)
	maps.Copy(merged, env)
	f := &fakecloud.Lambda{Name: "another", Dir: of.Dir, Env: merged, Timeout: time.Minute, Log: func(line string) { r.log.add("", line) }}
	r.t.Cleanup(f.Close)
	return f
}

// toldOnce waits until each end is told, and checks then that none was told
// twice.
func (r *real) toldOnce(keys []jobs.Key, status jobs.Status, within time.Duration) {
	r.t.Helper()
	for _, key := range keys {
		r.told(key, status, within)
	}
	for _, key := range keys {
		r.once(key, status)
	}
}

// once checks that the end was told exactly once on each channel.
func (r *real) once(key jobs.Key, status jobs.Status) {
	r.t.Helper()
	tally := r.Tally(key, status)
	if tally.Cards != 1 || tally.Replies != 0 {
		r.t.Errorf("%s %s: %d cards, %d replies in Slack, want one card", key, status, tally.Cards, tally.Replies)
	}
	for _, to := range recipients {
		if tally.Emails[to] != 1 {
			r.t.Errorf("%s %s: %d emails to %s, want 1", key, status, tally.Emails[to], to)
		}
	}
}

// dead is how many messages lie in the dead-letter queues.
func (r *real) dead() int {
	r.t.Helper()
	total := 0
	for _, queue := range []string{"SlackDeadLetterQueue", "EmailDeadLetterQueue"} {
		n, err := r.Waiting(r.ctx, queue)
		if err != nil {
			r.t.Fatal(err)
		}
		total += n
	}
	return total
}

func TestTheRealBinariesUnderFaults(t *testing.T) {
	t.Parallel() // it mostly waits, while the others compute
	r := deploy(t)
	sub := func(name string, f func(r *real)) {
		t.Run(name, func(t *testing.T) {
			inner := *r
			inner.t = t
			defer func() { r.Proxy.Clear(); r.Slack.Clear(); r.EntityResolution.Clear() }()
			f(&inner)
		})
	}
	sub("one denied workflow among ten delays no other", deniedAmongTen)
	sub("an error text of a megabyte full of markup is told, inert and cut", megabyteOfMarkup)
	sub("an event that the bus refuses in part is published again, and told once", partialPutEvents)
	sub("an event that was taken without an answer comes twice and is told once", answerLost)
	sub("a write that took effect without an answer loses nothing", writeAnswerLost)
	sub("throttled writes delay and lose nothing", throttledWrites)
	sub("a telling that cannot be recorded for seconds is not repeated", recordedLate)
	sub("two ticks at once tell once", twoTicks)
	sub("a poller killed at random times loses nothing", killedPoller)
	sub("a notifier killed at random times loses nothing", killedNotifier)
	sub("foreign messages go to the dead-letter queue at once", foreignMessages)
	sub("Slack's outage delays no email, and is made up for", slackOutage)
	sub("six hours of Slack down are made up for in a quarter of an hour", sixHours)
	sub("a poller that is frozen in mid-run and thawed tells once", frozenPoller)
	sub("functions that were frozen while their connections broke go on", frozenBetween)
	sub("a Slack that hangs or drips delays nobody for long", hangingSlack)
	sub("SSM is down at a cold start, SES throttles: both are made up for", secretsAndQuota)
	sub("every form of Retry-After is obeyed, an endless answer is cut", everyRetryAfter)
	sub("an upgrade and a rollback during a backlog lose nothing", upgrade)
	sub("a broken channel is told once by the other", brokenChannel)
	sub("a canary goes the whole way and nobody sees it", silentCanary)
	sub("a webhook's answers put no secret anywhere", webhookSecrets)
	sub("no secret is in a log, an environment or a dead letter", noSecrets)
	sub("every call that was made is one that the template allows", callsAllowed)
	sub("a canary sent by hand is seen everywhere, or says where not", canaryByHand)
}

func deniedAmongTen(r *real) {
	var names []string
	for i := range 10 {
		names = append(names, fmt.Sprintf("ten-%d", i))
	}
	r.watch(names...)
	r.EntityResolution.Inject(fakecloud.Fault{Workflow: "ten-3", Status: http.StatusForbidden, Code: "AccessDeniedException"})
	var keys []jobs.Key
	for _, name := range names {
		keys = append(keys, r.end(name, "j-"+name, jobs.Succeeded, ""))
	}
	if report := r.tick(); !strings.Contains(report, `"denied":1`) || !strings.Contains(report, `"published":9`) {
		r.t.Errorf("report %s", report)
	}
	r.EntityResolution.Clear()
	for i, key := range keys {
		if i != 3 {
			r.told(key, jobs.Succeeded, 30*time.Second)
			r.once(key, jobs.Succeeded)
		}
	}
	r.tick()
	r.told(keys[3], jobs.Succeeded, 10*time.Second)
	r.once(keys[3], jobs.Succeeded)
}

func megabyteOfMarkup(r *real) {
	r.watch("big")
	text := strings.Repeat("<!channel> <script>alert(1)</script> ```", 26_000)
	key := r.end("big", "big-1", jobs.Failed, text)
	r.tick()
	r.told(key, jobs.Failed, 10*time.Second)
	r.once(key, jobs.Failed)
	for _, m := range r.Slack.Messages() {
		for _, b := range m.Blocks {
			if b.Text != nil && strings.Contains(b.Text.Text, "<!channel>") {
				r.t.Errorf("a live mention in %q", b.Text.Text[:100])
			}
		}
	}
	for _, e := range r.Proxy.Emails() {
		if strings.Contains(e.HTML, "<script>") || len(e.HTML) > 40_000 {
			r.t.Errorf("an email of %d bytes with a script: %v", len(e.HTML), strings.Contains(e.HTML, "<script>"))
		}
	}
}

func partialPutEvents(r *real) {
	r.watch("part")
	r.Proxy.Inject(fakecloud.ProxyFault{Operation: "AWSEvents.PutEvents", Times: 1, Rewrite: func([]byte) []byte {
		return []byte(`{"FailedEntryCount":1,"Entries":[{"ErrorCode":"InternalFailure","ErrorMessage":"try again"}]}`)
	}})
	key := r.end("part", "part-1", jobs.Succeeded, "")
	if report := r.tick(); !strings.Contains(report, `"unpublished":1`) {
		r.t.Errorf("report %s", report)
	}
	r.tick()
	r.told(key, jobs.Succeeded, 10*time.Second)
	time.Sleep(2 * time.Second) // moto had taken it the first time too: the repeat must be dropped
	r.once(key, jobs.Succeeded)
}

func answerLost(r *real) {
	r.watch("lost")
	r.Proxy.Inject(fakecloud.ProxyFault{Operation: "AWSEvents.PutEvents", Times: 1, Applied: true})
	key := r.end("lost", "lost-1", jobs.Failed, "x")
	if _, err := r.Events(r.ctx); err != nil {
		r.t.Fatal(err)
	}
	r.tick()
	r.tick()
	r.told(key, jobs.Failed, 10*time.Second)
	time.Sleep(2 * time.Second)
	r.once(key, jobs.Failed)
	events, err := r.Events(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	ids := map[string]int{}
	for _, e := range events {
		if e.Detail.JobID == key.Job {
			ids[e.Detail.TransitionID]++
		}
	}
	if len(ids) != 1 {
		r.t.Errorf("ids %v, want one however often it was published", ids)
	}
}

func writeAnswerLost(r *real) {
	r.watch("cas")
	r.Proxy.Inject(fakecloud.ProxyFault{Operation: "DynamoDB.UpdateItem", Times: 1, Applied: true,
		Match: func(body []byte) bool { return bytes.Contains(body, []byte("cas-1")) }})
	key := r.end("cas", "cas-1", jobs.Succeeded, "")
	r.tick()
	r.tick()
	r.told(key, jobs.Succeeded, 10*time.Second)
	r.once(key, jobs.Succeeded)
}

func throttledWrites(r *real) {
	r.watch("slow")
	r.Proxy.Inject(fakecloud.ProxyFault{Operation: "DynamoDB.UpdateItem", Refuse: 400, Code: "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
		Match: func(body []byte) bool { return bytes.Contains(body, []byte("slow-1")) }})
	key := r.end("slow", "slow-1", jobs.Succeeded, "")
	r.tick()
	time.Sleep(time.Second)
	if tally := r.Tally(key, jobs.Succeeded); tally.Cards != 0 {
		r.t.Errorf("told before it was recorded: %+v", tally)
	}
	r.Proxy.Clear()
	r.tick()
	r.told(key, jobs.Succeeded, 10*time.Second)
	r.once(key, jobs.Succeeded)
}

// recordedLate has DynamoDB refuse for some seconds to record what Slack has
// received.
func recordedLate(r *real) {
	r.watch("late")
	var tries atomic.Int32
	r.Proxy.Inject(fakecloud.ProxyFault{Operation: "DynamoDB.UpdateItem", Refuse: 400, Code: "com.amazonaws.dynamodb.v20120810#ThrottlingException",
		Match: func(body []byte) bool {
			return bytes.Contains(body, []byte("SET delivered.#transition")) && bytes.Contains(body, []byte("late-1")) &&
				bytes.Contains(body, []byte(fakecloud.SlackChannel)) && tries.Add(1) < 5
		}})
	key := r.end("late", "late-1", jobs.Failed, "x")
	before := len(r.Slack.Log())
	r.tick()
	r.told(key, jobs.Failed, time.Minute) // the SDK waits up to 15 s between its attempts
	r.await(30*time.Second, "it is recorded at the fifth attempt", func() bool { return tries.Load() == 5 })
	time.Sleep(2 * time.Second)
	r.once(key, jobs.Failed)
	if n := len(r.Slack.Log()) - before; n != 1 {
		r.t.Errorf("%d messages to Slack, want 1", n)
	}
}

func twoTicks(r *real) {
	r.watch("both")
	second := r.another(r.Poller, nil)
	var keys []jobs.Key
	for i := range 6 {
		keys = append(keys, r.end("both", fmt.Sprintf("both-%d", i), jobs.Succeeded, ""))
	}
	var both sync.WaitGroup
	both.Go(func() { r.tick() })
	both.Go(func() { _, _ = second.Invoke(r.ctx, []byte(`{}`)) })
	both.Wait()
	r.tick()
	for _, key := range keys {
		r.told(key, jobs.Succeeded, 20*time.Second)
	}
	time.Sleep(time.Second)
	for _, key := range keys {
		r.once(key, jobs.Succeeded)
	}
}

func killedPoller(r *real) {
	r.watch("kill")
	var keys []jobs.Key
	for i := range 12 {
		keys = append(keys, r.end("kill", fmt.Sprintf("kill-%02d", i), jobs.Failed, "x"))
		done := make(chan struct{})
		go func() { defer close(done); r.tick() }()
		time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond)
		r.Poller.Kill()
		<-done
	}
	r.tick()
	r.tick()
	r.toldOnce(keys, jobs.Failed, 40*time.Second)
}

func killedNotifier(r *real) {
	r.watch("shot")
	var keys []jobs.Key
	for i := range 5 {
		keys = append(keys, r.end("shot", fmt.Sprintf("shot-%d", i), jobs.Failed, "x"))
	}
	// What a dead function held comes back only after the queue's visibility
	// timeout, six minutes, and its claims expire only at its deadline: the
	// test does not wait for that.
	r.visibility("15")
	defer r.visibility("360")
	timeout := r.Notifier.Timeout
	r.Notifier.Timeout = 12 * time.Second
	defer func() { r.Notifier.Timeout = timeout }()
	r.tick()
	for range 6 {
		time.Sleep(time.Duration(50+rand.IntN(400)) * time.Millisecond)
		r.Notifier.Kill()
	}
	for _, key := range keys {
		r.told(key, jobs.Failed, time.Minute)
	}
	if n := r.dead(); n != 0 {
		r.t.Errorf("%d dead letters", n)
	}
}

// visibility sets the queues' visibility timeout, in seconds.
func (r *real) visibility(seconds string) {
	r.t.Helper()
	for _, queue := range []string{"SlackQueue", "EmailQueue"} {
		url := r.Resources[queue]
		if _, err := sqs.NewFromConfig(r.Config()).SetQueueAttributes(r.ctx, &sqs.SetQueueAttributesInput{
			QueueUrl: &url, Attributes: map[string]string{"VisibilityTimeout": seconds}}); err != nil {
			r.t.Fatal(err)
		}
	}
}

func foreignMessages(r *real) {
	before := r.dead()
	client := sqs.NewFromConfig(r.Config())
	for _, queue := range []string{"SlackQueue", "EmailQueue"} {
		url := r.Resources[queue]
		for _, body := range []string{"{", `{"source":"aws.s3","detail-type":"Object Created","detail":{}}`} {
			if _, err := client.SendMessage(r.ctx, &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body}); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	r.await(10*time.Second, "all four are dead letters", func() bool { return r.dead() == before+4 })
	url := r.Resources["SlackDeadLetterQueue"]
	out, err := client.ReceiveMessage(r.ctx, &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 1, MessageAttributeNames: []string{"All"}})
	if err != nil || len(out.Messages) == 0 {
		r.t.Fatalf("reading the dead-letter queue: %v", err)
	}
	if reason := out.Messages[0].MessageAttributes["Reason"]; reason.StringValue == nil || !strings.Contains(*reason.StringValue, "not an event of the ID mapping notifier") {
		r.t.Errorf("reason %v", reason.StringValue)
	}
}

func slackOutage(r *real) {
	r.watch("out")
	dead := r.dead()
	var keys []jobs.Key
	for i := range 3 {
		keys = append(keys, r.end("out", fmt.Sprintf("out-%d", i), jobs.Failed, "x"))
	}
	r.Slack.Inject(fakecloud.Fault{Status: http.StatusServiceUnavailable, Body: "down"}, nil)
	r.tick()
	for _, key := range keys {
		r.await(10*time.Second, fmt.Sprintf("%s is mailed while Slack is down", key), func() bool { return r.mailed(key, jobs.Failed) })
	}
	time.Sleep(2 * time.Second)
	r.Slack.Clear()
	r.Slack.Inject(fakecloud.Fault{Status: http.StatusTooManyRequests, Times: 1, Body: "{}"}, http.Header{"Retry-After": {"2"}})
	r.toldOnce(keys, jobs.Failed, 90*time.Second)
	if n := r.dead() - dead; n != 0 {
		r.t.Errorf("%d dead letters", n)
	}
}

// callsAllowed compares what was really called, faults and all, with the IAM
// statements. The template's own tests compare them with the code.
func callsAllowed(r *real) {
	body, err := template.Translate(r.ctx, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	services := map[string]string{"DynamoDB": "dynamodb", "AWSEvents": "events", "AmazonSSM": "ssm", "SES": "ses", "AmazonSQS": "sqs"}
	actions := map[string]bool{}
	for call := range r.Proxy.Calls() {
		service, operation, _ := strings.Cut(call, ".")
		actions[services[service]+":"+operation] = true
	}
	for _, call := range r.EntityResolution.Calls() {
		actions["entityresolution:"+call.Operation] = true
	}
	if len(actions) < 9 {
		r.t.Errorf("only %v were called", actions)
	}
	for action := range actions {
		if !bytes.Contains(body, []byte(`"`+action+`"`)) {
			r.t.Errorf("%s was called, and the template does not allow it", action)
		}
	}
}
