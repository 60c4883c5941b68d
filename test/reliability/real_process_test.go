package reliability

import (
	"encoding/json"
	"maps"
	"net/http"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	fakeentityresolution "github.com/idmapping/notifier/internal/fakecloud/entityresolution"
	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
	"github.com/idmapping/notifier/internal/fakecloud/sam"
	"github.com/idmapping/notifier/internal/jobs"
)

// must fails the test for an error that no fault explains.
func (r *real) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func frozenDuringTick(r *real) {
	r.addWorkflows("ice")
	second := r.anotherProcess(r.Poller, nil)
	r.EntityResolution.Inject(httpfault.Fault{Operation: "GetIdMappingJob", Workflow: "ice", Times: 1, Delay: 3 * time.Second, Reset: true})
	key := r.finish("ice", "ice-1", jobs.Failed, "x")
	before := len(r.EntityResolution.Calls())
	done := make(chan string)
	go func() { done <- r.tick() }()
	r.await("the tick requests the job", func() bool {
		return slices.ContainsFunc(r.EntityResolution.Calls()[before:], func(c fakeentityresolution.Call) bool {
			return c.Operation == "GetIdMappingJob" && c.Workflow == "ice"
		})
	})
	r.must(r.Poller.Freeze())
	_, err := second.Invoke(r.ctx, []byte(`{}`))
	r.must(err)
	time.Sleep(3 * time.Second)
	r.CloseConnections()
	r.must(r.Poller.Thaw())
	if report := <-done; strings.Contains(report, "errorMessage") {
		r.t.Errorf("after the thaw it reports %s", report)
	}
	r.cleanTick()
	r.delivered(key, jobs.Failed)
	r.deliveredOnce(key, jobs.Failed)
}

func frozenBetweenTicks(r *real) {
	r.addWorkflows("thaw")
	first := r.finish("thaw", "thaw-1", jobs.Succeeded, "")
	r.cleanTick()
	r.delivered(first, jobs.Succeeded)
	r.must(r.Poller.Freeze())
	r.must(r.Notifier.Freeze())
	if r.CloseConnections() == 0 {
		r.t.Error("no connection was open: this test proves nothing")
	}
	time.Sleep(500 * time.Millisecond)
	r.must(r.Poller.Thaw())
	r.must(r.Notifier.Thaw())
	second := r.finish("thaw", "thaw-2", jobs.Failed, "x")
	r.cleanTick() // a broken connection may cost a tick; the outbox keeps the event for the next
	r.delivered(second, jobs.Failed)
	r.deliveredOnce(second, jobs.Failed)
}

func hangingSlack(r *real) {
	r.addWorkflows("hang")
	r.Slack.Inject(httpfault.Fault{Times: 1, Delay: time.Minute, Status: http.StatusOK, Body: "{}"})
	r.Slack.Inject(httpfault.Fault{Times: 1, Drip: time.Second, Status: http.StatusOK, Body: `{"ok":true,"channel":"C","ts":"1.1"}`})
	keys := []jobs.Key{r.finish("hang", "hang-1", jobs.Failed, "x"), r.finish("hang", "hang-2", jobs.Failed, "x")}
	r.cleanTick()
	r.await("both are emailed while Slack hangs", func() bool {
		return r.emailed(keys[0], jobs.Failed) && r.emailed(keys[1], jobs.Failed)
	})
	r.allDeliveredOnce(keys, jobs.Failed)
}

// upgrade deploys another notifier while messages of an older and of a newer
// version wait, and adds to the stored items an attribute of a newer version.
func upgrade(r *real) {
	r.addWorkflows("up")
	started := jobs.Job{Key: jobs.Key{Workflow: "up", Job: "up-0"}, Status: jobs.Running, StartTime: time.Now()}
	r.EntityResolution.Put(started)
	r.cleanTick()
	r.await("the start is delivered", func() bool { return r.Tally(started.Key, jobs.Running).Cards > 0 })
	r.extend("JobsTable", "up-0") // it does no harm, and a rollback may drop it
	extended := r.extend("DeliveriesTable", "up-0")
	old := r.Notifier.Dir
	defer r.Notifier.Deploy(old) // the other binary is removed with the test
	r.Slack.Inject(httpfault.Fault{Status: http.StatusServiceUnavailable, Body: "down"})
	keys := []jobs.Key{r.finish("up", "up-0", jobs.Failed, "x"), r.finish("up", "up-1", jobs.Failed, "x")}
	r.cleanTick()
	r.await("a terminal status is emailed while Slack is down", func() bool { return r.emailed(keys[1], jobs.Failed) })
	newer := r.changed(r.failedEvent(jobs.Key{Workflow: "up", Job: "up-newer"}), func(envelope, detail map[string]any) {
		envelope["addedLater"], detail["addedLater"] = 1, map[string]any{"a": []int{1}}
		detail["metrics"] = map[string]any{"addedLater": 7}
	})
	older := r.changed(r.failedEvent(jobs.Key{Workflow: "up", Job: "up-older"}), func(envelope, detail map[string]any) {
		required := []string{"version", "transitionId", "workflowName", "workflowArn", "jobId", "status"}
		maps.DeleteFunc(detail, func(key string, _ any) bool { return !slices.Contains(required, key) })
	})
	for _, queue := range []string{"SlackQueue", "EmailQueue"} {
		for _, body := range []string{newer, older} {
			url := r.Resources[queue]
			_, err := sqs.NewFromConfig(r.Config()).SendMessage(r.ctx, &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body})
			r.must(err)
		}
	}
	root, err := sam.Root()
	r.must(err)
	next := r.t.TempDir()
	build := exec.Command("make", "-s", "build-NotifierFunction", "ARTIFACTS_DIR="+next, "GOARCH="+runtime.GOARCH, "VERSION=next")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		r.t.Fatalf("building the next version: %v: %s", err, out)
	}
	r.Notifier.Deploy(next)
	r.Slack.Clear()
	keys = append(keys, jobs.Key{Workflow: "up", Job: "up-newer"}, jobs.Key{Workflow: "up", Job: "up-older"})
	for _, key := range keys {
		r.delivered(key, jobs.Failed)
	}
	for _, key := range keys[1:] {
		r.deliveredOnce(key, jobs.Failed)
	}
	kept := 0
	for _, item := range r.items("DeliveriesTable", "up-0") {
		if item["addedLater"] != nil {
			kept++
		}
	}
	if kept != extended {
		r.t.Errorf("the newer version's attribute is missing in %d of %d deliveries", extended-kept, extended)
	}
}

// changed is an event after a change of its envelope and detail.
func (r *real) changed(body string, change func(envelope, detail map[string]any)) string {
	r.t.Helper()
	var envelope map[string]any
	r.must(json.Unmarshal([]byte(body), &envelope))
	change(envelope, envelope["detail"].(map[string]any))
	out, err := json.Marshal(envelope)
	r.must(err)
	return string(out)
}

// items are those of a table that are about a job; there is one at least.
func (r *real) items(table, job string) (all []map[string]types.AttributeValue) {
	r.t.Helper()
	out, err := awsdynamodb.NewFromConfig(r.Config()).Scan(r.ctx, &awsdynamodb.ScanInput{TableName: aws.String(r.Resources[table])})
	r.must(err)
	for _, item := range out.Items {
		if s, ok := item["job"].(*types.AttributeValueMemberS); ok && strings.HasSuffix(s.Value, job) {
			all = append(all, item)
		}
	}
	if len(all) == 0 {
		r.t.Fatalf("%s holds nothing of %s", table, job)
	}
	return all
}

// extend adds an attribute to a job's items that this version does not know,
// and returns how many there are.
func (r *real) extend(table, job string) int {
	all := r.items(table, job)
	for _, item := range all {
		item["addedLater"] = &types.AttributeValueMemberS{Value: "x"}
		_, err := awsdynamodb.NewFromConfig(r.Config()).PutItem(r.ctx, &awsdynamodb.PutItemInput{TableName: aws.String(r.Resources[table]), Item: item})
		r.must(err)
	}
	return len(all)
}
