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

	slackgo "github.com/slack-go/slack"

	"github.com/idmapping/notifier/internal/fakecloud"
	fakeaws "github.com/idmapping/notifier/internal/fakecloud/aws"
	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
	fakelambda "github.com/idmapping/notifier/internal/fakecloud/lambda"
	"github.com/idmapping/notifier/internal/fakecloud/sam"
	"github.com/idmapping/notifier/internal/fakecloud/sam/samtest"
	"github.com/idmapping/notifier/internal/jobs"
)

// real is the deployed product: the real binaries and template, connected over
// HTTP, with faults in between.
type real struct {
	*fakecloud.Cloud
	t   *testing.T
	ctx context.Context
	log *journal
}

// journal is the functions' output.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(_, line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

// since returns the lines from the n-th on.
func (j *journal) since(n int) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines[n:])
}

// count returns how many lines from the n-th on contain the text.
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
		Log: log.add, AnySlackPace: true,
		Parameters: map[string]string{"SlackChannel": fakecloud.SlackChannel, "SlackTokenParameterName": fakecloud.TokenParameter,
			"EmailFrom": fakecloud.EmailFrom, "EmailTo": strings.Join(recipients, ",")},
		Env: map[string]map[string]string{"PollerFunction": {"ENTITY_RESOLUTION_RATE": "500", "REQUESTS_PER_SECOND": "500"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &real{c, t, ctx, log}
}

// tick invokes the poller and returns its report or its error: some faults cause
// one.
func (r *real) tick() string {
	report, err := r.Tick(r.ctx)
	if err != nil {
		return err.Error()
	}
	return report
}

// tickUntil ticks until a report holds the text, as the schedule does: on a busy
// machine calls time out, and the next tick makes up for them.
func (r *real) tickUntil(text string) {
	r.t.Helper()
	r.await("a report holds "+text, func() bool { return strings.Contains(r.tick(), text) })
}

// cleanTick ticks until a tick has no problem.
func (r *real) cleanTick() {
	r.t.Helper()
	report := ""
	defer func() {
		if r.t.Failed() {
			r.t.Logf("the last tick: %s", report)
		}
	}()
	r.await("a tick has no problem", func() bool {
		report = r.tick()
		return strings.Contains(report, `"failed":0`) && strings.Contains(report, `"unpublished":0`) && !strings.Contains(report, "problems")
	})
}

// addWorkflows creates workflows and lets the poller observe them for the first
// time.
func (r *real) addWorkflows(names ...string) {
	r.t.Helper()
	for _, name := range names {
		r.EntityResolution.AddWorkflow(name)
	}
	r.cleanTick()
	time.Sleep(1100 * time.Millisecond) // Date headers have whole seconds
}

// finish puts a finished job into Entity Resolution.
func (r *real) finish(workflow, id string, status jobs.Status, text string) jobs.Key {
	key := jobs.Key{Workflow: workflow, Job: id}
	now := time.Now()
	r.EntityResolution.Put(jobs.Job{Key: key, Type: "BATCH", Status: status, StartTime: now.Add(-time.Minute), EndTime: now, Error: text})
	return key
}

// delivered waits until the terminal status is delivered on both channels.
func (r *real) delivered(key jobs.Key, status jobs.Status) {
	r.t.Helper()
	r.await(fmt.Sprintf("%s %s is delivered", key, status), func() bool {
		tally := r.Tally(key, status)
		return tally.Cards > 0 && len(tally.Emails) == len(recipients)
	})
}

// emailed reports whether every recipient has an email with the status.
func (r *real) emailed(key jobs.Key, status jobs.Status) bool {
	return len(r.Tally(key, status).Emails) == len(recipients)
}

// patience is how long a test waits for what must become true. It promises
// nothing: it only ends a test that would not end, on however busy a machine.
const patience = 10 * time.Minute

// await waits until done returns true; what describes that.
func (r *real) await(what string, done func() bool) {
	r.t.Helper()
	for until := time.Now().Add(patience); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			r.t.Fatalf("after %s it does not hold that %s", patience, what)
		}
	}
}

// anotherProcess is a second process of a function's real binary, which only the
// test invokes.
func (r *real) anotherProcess(of *fakelambda.Function, env map[string]string) *fakelambda.Function {
	merged := maps.Clone(of.Env)
	maps.Copy(merged, env)
	f := &fakelambda.Function{Name: "second", Dir: of.Dir, Env: merged, Timeout: time.Minute, Log: func(line string) { r.log.add("", line) }}
	r.t.Cleanup(f.Close)
	return f
}

// allDeliveredOnce waits until each status is delivered, and then checks that none
// was delivered twice.
func (r *real) allDeliveredOnce(keys []jobs.Key, status jobs.Status) {
	r.t.Helper()
	for _, key := range keys {
		r.delivered(key, status)
	}
	for _, key := range keys {
		r.deliveredOnce(key, status)
	}
}

// deliveredOnce checks that the status was delivered exactly once on each channel.
func (r *real) deliveredOnce(key jobs.Key, status jobs.Status) {
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

// deadLetters returns the number of messages in the dead-letter queues.
func (r *real) deadLetters() int {
	r.t.Helper()
	total := 0
	for _, queue := range []string{"SlackDeadLetterQueue", "EmailDeadLetterQueue"} {
		n, err := r.QueueLength(r.ctx, queue)
		if err != nil {
			r.t.Fatal(err)
		}
		total += n
	}
	return total
}

// TestRealBinariesSurviveFaults runs three deployments beside each other, because
// they mostly wait.
func TestRealBinariesSurviveFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("This test runs for minutes: omit -short.")
	}
	samtest.RequirePython(t)
	t.Parallel()
	var all sync.WaitGroup
	defer all.Wait()
	for name, faults := range map[string]func(sub func(string, func(*real))){
		"poller": faultsOfThePoller, "notifier": faultsOfTheNotifier, "Slack": faultsOfSlack,
	} {
		all.Go(func() {
			t.Run(name, func(t *testing.T) {
				r := deploy(t)
				faults(func(name string, f func(*real)) {
					t.Run(name, func(t *testing.T) {
						inner := *r
						inner.t = t
						defer func() { r.Proxy.Clear(); r.Slack.Clear(); r.EntityResolution.Clear() }()
						f(&inner)
					})
				})
			})
		})
	}
}

func faultsOfThePoller(sub func(string, func(*real))) {
	sub("one denied workflow among ten delays no other", deniedAmongTen)
	sub("an error text of a megabyte of markup is delivered inert and truncated", megabyteOfMarkup)
	sub("an event that PutEvents rejects is published again and delivered once", rejectedEntry)
	sub("an event whose PutEvents response is lost is delivered once", lostPublishResponse)
	sub("a write whose response is lost loses nothing", lostWriteResponse)
	sub("throttled writes delay events and lose none", throttledWrites)
	sub("two concurrent ticks deliver once", concurrentTicks)
	sub("a poller killed at random times loses nothing", killedPoller)
	sub("a poller frozen during a tick and thawed delivers once", frozenDuringTick)
	sub("functions frozen while their connections broke recover", frozenBetweenTicks)
	sub("SSM down at a cold start and SES throttling lose nothing", secretsAndThrottling)
	sub("no secret is in a log, an environment or a dead letter", noSecrets)
	sub("every call that was made is allowed by the template", callsAllowed)
}

func faultsOfTheNotifier(sub func(string, func(*real))) {
	sub("a notification that cannot be recorded for seconds is not repeated", lateRecord)
	sub("a notifier killed at random times loses nothing", killedNotifier)
	sub("foreign messages go to the dead-letter queue at once", foreignMessages)
	sub("a failing channel is reported once on the other", failingChannel)
	sub("a canary reaches every destination and nobody sees it", silentCanary)
	sub("a Slack outage delays no email and loses nothing", slackOutage)
	sub("an upgrade and a rollback during a backlog lose nothing", upgrade)
	sub("a webhook's responses leak no secret", webhookLeaksNothing)
	sub("no secret is in a log, an environment or a dead letter", noSecrets)
	sub("every call that was made is allowed by the template", callsAllowed)
	sub("a canary sent by hand arrives everywhere or names where it does not", manualCanary) // it also calls CloudFormation
}

func faultsOfSlack(sub func(string, func(*real))) {
	sub("a backlog of six hours of Slack outage is delivered within 15 minutes", slackBacklog)
	sub("a Slack that hangs or drips delays other notifications only briefly", hangingSlack)
	sub("every form of Retry-After is honored and an endless response is cut off", everyRetryAfter)
	sub("no secret is in a log, an environment or a dead letter", noSecrets)
}

func deniedAmongTen(r *real) {
	var names []string
	for i := range 10 {
		names = append(names, fmt.Sprintf("ten-%d", i))
	}
	r.addWorkflows(names...)
	r.EntityResolution.Inject(httpfault.Fault{Workflow: "ten-3", Status: http.StatusForbidden, Code: "AccessDeniedException"})
	var keys []jobs.Key
	for _, name := range names {
		keys = append(keys, r.finish(name, "j-"+name, jobs.Succeeded, ""))
	}
	r.tickUntil(`"denied":1`)
	for i, key := range keys { // while the tenth is still denied
		if i != 3 {
			r.delivered(key, jobs.Succeeded)
			r.deliveredOnce(key, jobs.Succeeded)
		}
	}
	r.EntityResolution.Clear()
	r.cleanTick()
	r.delivered(keys[3], jobs.Succeeded)
	r.deliveredOnce(keys[3], jobs.Succeeded)
}

func megabyteOfMarkup(r *real) {
	r.addWorkflows("big")
	text := strings.Repeat("<!channel> <script>alert(1)</script> ```", 26_000)
	key := r.finish("big", "big-1", jobs.Failed, text)
	r.cleanTick()
	r.delivered(key, jobs.Failed)
	r.deliveredOnce(key, jobs.Failed)
	for _, m := range r.Slack.Messages() {
		for _, b := range m.Blocks.BlockSet {
			if section, ok := b.(*slackgo.SectionBlock); ok && strings.Contains(section.Text.Text, "<!channel>") {
				r.t.Errorf("a live mention in %q", section.Text.Text[:100])
			}
		}
	}
	for _, e := range r.Proxy.Emails() {
		if strings.Contains(e.HTML, "<script>") || len(e.HTML) > 40_000 {
			r.t.Errorf("an email of %d bytes with a script: %v", len(e.HTML), strings.Contains(e.HTML, "<script>"))
		}
	}
}

func rejectedEntry(r *real) {
	r.addWorkflows("part")
	r.Proxy.Inject(fakeaws.Fault{Operation: "AWSEvents.PutEvents", Times: 1, Rewrite: func([]byte) []byte {
		return []byte(`{"FailedEntryCount":1,"Entries":[{"ErrorCode":"InternalFailure","ErrorMessage":"try again"}]}`)
	}})
	key := r.finish("part", "part-1", jobs.Succeeded, "")
	r.tickUntil(`"unpublished":1`)
	r.cleanTick()
	r.delivered(key, jobs.Succeeded)
	time.Sleep(2 * time.Second) // moto accepted the first one too: the repetition must be dropped
	r.deliveredOnce(key, jobs.Succeeded)
}

func lostPublishResponse(r *real) {
	r.addWorkflows("lost")
	r.Proxy.Inject(fakeaws.Fault{Operation: "AWSEvents.PutEvents", Times: 1, Applied: true})
	key := r.finish("lost", "lost-1", jobs.Failed, "x")
	if _, err := r.Events(r.ctx); err != nil {
		r.t.Fatal(err)
	}
	r.tick()
	r.cleanTick()
	r.delivered(key, jobs.Failed)
	time.Sleep(2 * time.Second)
	r.deliveredOnce(key, jobs.Failed)
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
		r.t.Errorf("IDs %v, want one however often the event was published", ids)
	}
}

// jobsTableCall matches the calls to the jobs table that name the job.
func (r *real) jobsTableCall(job string) func(body []byte) bool {
	table := []byte(r.Resources["JobsTable"])
	return func(body []byte) bool { return bytes.Contains(body, table) && bytes.Contains(body, []byte(job)) }
}

func lostWriteResponse(r *real) {
	r.addWorkflows("cas")
	r.Proxy.Inject(fakeaws.Fault{Times: 1, Applied: true, Match: r.jobsTableCall("cas-1")})
	key := r.finish("cas", "cas-1", jobs.Succeeded, "")
	r.tick()
	r.cleanTick()
	r.delivered(key, jobs.Succeeded)
	r.deliveredOnce(key, jobs.Succeeded)
}

func throttledWrites(r *real) {
	r.addWorkflows("slow")
	r.Proxy.Inject(fakeaws.Fault{Refuse: 400, Code: "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException", Match: r.jobsTableCall("slow-1")})
	key := r.finish("slow", "slow-1", jobs.Succeeded, "")
	r.tick()
	time.Sleep(time.Second)
	if tally := r.Tally(key, jobs.Succeeded); tally.Cards != 0 {
		r.t.Errorf("delivered before it was recorded: %+v", tally)
	}
	r.Proxy.Clear()
	r.cleanTick()
	r.delivered(key, jobs.Succeeded)
	r.deliveredOnce(key, jobs.Succeeded)
}

// lateRecord makes DynamoDB refuse for some seconds to record what Slack has
// received.
func lateRecord(r *real) {
	r.addWorkflows("late")
	before := len(r.Slack.Log())
	var tries atomic.Int32
	r.Proxy.Inject(fakeaws.Fault{Operation: "DynamoDB.UpdateItem", Refuse: 400, Code: "com.amazonaws.dynamodb.v20120810#ThrottlingException",
		Match: func(body []byte) bool {
			return bytes.Contains(body, []byte("SET delivered.#transition")) && bytes.Contains(body, []byte("late-1")) &&
				bytes.Contains(body, []byte(fakecloud.SlackChannel)) && tries.Add(1) < 5
		}})
	key := r.finish("late", "late-1", jobs.Failed, "x")
	r.cleanTick()
	r.delivered(key, jobs.Failed) // the SDK waits up to 15 s between its attempts
	r.await("it is recorded at the fifth attempt", func() bool { return tries.Load() == 5 })
	time.Sleep(2 * time.Second)
	r.deliveredOnce(key, jobs.Failed)
	if n := len(r.Slack.Log()) - before; n != 1 {
		r.t.Errorf("%d messages to Slack, want 1", n)
	}
}

func concurrentTicks(r *real) {
	r.addWorkflows("both")
	second := r.anotherProcess(r.Poller, nil)
	var keys []jobs.Key
	for i := range 6 {
		keys = append(keys, r.finish("both", fmt.Sprintf("both-%d", i), jobs.Succeeded, ""))
	}
	var both sync.WaitGroup
	both.Go(func() { r.tick() })
	both.Go(func() { _, _ = second.Invoke(r.ctx, []byte(`{}`)) })
	both.Wait()
	r.cleanTick()
	for _, key := range keys {
		r.delivered(key, jobs.Succeeded)
	}
	time.Sleep(time.Second)
	for _, key := range keys {
		r.deliveredOnce(key, jobs.Succeeded)
	}
}

func killedPoller(r *real) {
	r.addWorkflows("kill")
	var keys []jobs.Key
	for i := range 12 {
		keys = append(keys, r.finish("kill", fmt.Sprintf("kill-%02d", i), jobs.Failed, "x"))
		done := make(chan struct{})
		go func() { defer close(done); r.tick() }()
		time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond)
		r.Poller.Kill()
		<-done
	}
	r.cleanTick()
	r.allDeliveredOnce(keys, jobs.Failed)
}

func killedNotifier(r *real) {
	r.addWorkflows("shot")
	var keys []jobs.Key
	for i := range 5 {
		keys = append(keys, r.finish("shot", fmt.Sprintf("shot-%d", i), jobs.Failed, "x"))
	}
	// A dead function's messages return only after the queue's visibility timeout
	// of ten minutes, and its claims expire only at its deadline: shorter times
	// keep the test short.
	r.visibility("15")
	defer r.visibility("600")
	timeout := r.Notifier.Timeout
	r.Notifier.Timeout = 12 * time.Second
	defer func() { r.Notifier.Timeout = timeout }()
	r.cleanTick()
	for range 6 {
		time.Sleep(time.Duration(50+rand.IntN(400)) * time.Millisecond)
		r.Notifier.Kill()
	}
	for _, key := range keys {
		r.delivered(key, jobs.Failed)
	}
	if n := r.deadLetters(); n != 0 {
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
	before := r.deadLetters()
	client := sqs.NewFromConfig(r.Config())
	for _, queue := range []string{"SlackQueue", "EmailQueue"} {
		url := r.Resources[queue]
		for _, body := range []string{"{", `{"source":"aws.s3","detail-type":"Object Created","detail":{}}`} {
			if _, err := client.SendMessage(r.ctx, &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body}); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	r.await("all four messages are dead letters", func() bool { return r.deadLetters() == before+4 })
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
	r.addWorkflows("out")
	dead := r.deadLetters()
	var keys []jobs.Key
	for i := range 3 {
		keys = append(keys, r.finish("out", fmt.Sprintf("out-%d", i), jobs.Failed, "x"))
	}
	r.Slack.Inject(httpfault.Fault{Status: http.StatusServiceUnavailable, Body: "down"})
	r.cleanTick()
	for _, key := range keys {
		r.await(fmt.Sprintf("%s is emailed while Slack is down", key), func() bool { return r.emailed(key, jobs.Failed) })
	}
	time.Sleep(2 * time.Second)
	r.Slack.Clear()
	r.Slack.Inject(httpfault.Fault{Status: http.StatusTooManyRequests, Times: 1, Body: "{}", Header: http.Header{"Retry-After": {"2"}}})
	r.allDeliveredOnce(keys, jobs.Failed)
	if n := r.deadLetters() - dead; n != 0 {
		r.t.Errorf("%d dead letters", n)
	}
}

// callsAllowed compares the calls that were made with the IAM statements. The
// template's own tests compare those with the code.
func callsAllowed(r *real) {
	body, err := sam.Translate(r.ctx, "us-east-1", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	services := map[string]string{"DynamoDB": "dynamodb", "AWSEvents": "events", "AmazonSSM": "ssm", "SES": "ses", "AmazonSQS": "sqs"}
	actions := map[string]bool{}
	for call := range r.Proxy.Calls() {
		service, operation, _ := strings.Cut(call, ".")
		if operation == "TransactWriteItems" {
			// A transaction is authorized by the actions of its items (DynamoDB
			// Developer Guide, "IAM with transactions"): ours put.
			operation = "PutItem"
		}
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
			r.t.Errorf("%s was called and the template does not allow it", action)
		}
	}
}
