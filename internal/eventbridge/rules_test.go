package eventbridge_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awseventbridge "github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/eventbridge"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/fakecloud/account"
	"github.com/idmapping/notifier/internal/fakecloud/aws/awstest"
	fakeentityresolution "github.com/idmapping/notifier/internal/fakecloud/entityresolution"
	"github.com/idmapping/notifier/internal/fakecloud/sam"
	"github.com/idmapping/notifier/internal/jobs"
)

// subscribe creates a rule on the bus with a queue as its target, and returns
// the queue's URL.
func subscribe(t *testing.T, cfg aws.Config, bus, name, pattern string) string {
	t.Helper()
	queue, err := sqs.NewFromConfig(cfg).CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name})
	if err != nil {
		t.Fatal(err)
	}
	client := awseventbridge.NewFromConfig(cfg)
	if _, err := client.PutRule(t.Context(), &awseventbridge.PutRuleInput{Name: &name, EventBusName: &bus, EventPattern: &pattern}); err != nil {
		t.Fatal(err)
	}
	arn := fmt.Sprintf("arn:aws:sqs:%s:%s:%s", account.Region, account.ID, name)
	_, err = client.PutTargets(t.Context(), &awseventbridge.PutTargetsInput{Rule: &name, EventBusName: &bus, Targets: []types.Target{{Id: &name, Arn: &arn}}})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(queue.QueueUrl)
}

// bodies reads the messages in a queue.
func bodies(t *testing.T, cfg aws.Config, url string) [][]byte {
	t.Helper()
	var all [][]byte
	for {
		out, err := sqs.NewFromConfig(cfg).ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			return all
		}
		for _, m := range out.Messages {
			all = append(all, []byte(aws.ToString(m.Body)))
		}
	}
}

// received reads and decodes the messages in a queue.
func received(t *testing.T, cfg aws.Config, url string) []event.Event {
	t.Helper()
	var all []event.Event
	for _, body := range bodies(t, cfg, url) {
		e, err := event.Decode(body)
		if err != nil {
			t.Fatalf("%v\n%s", err, body)
		}
		all = append(all, e)
	}
	return all
}

// newBus creates a bus for this test alone.
func newBus(t *testing.T, cfg aws.Config) string {
	t.Helper()
	name := fmt.Sprintf("%s-%d", t.Name(), time.Now().UnixNano())
	if _, err := awseventbridge.NewFromConfig(cfg).CreateEventBus(t.Context(), &awseventbridge.CreateEventBusInput{Name: &name}); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestPublisherHoldsTheContract(t *testing.T) {
	cfg := awstest.Moto(t).Config()
	bus := newBus(t, cfg)
	url := subscribe(t, cfg, bus, "contract", `{"source":["idmapping.notifier"]}`)
	fake.PublisherContract(t, eventbridge.New(cfg, bus, stack), func() (ids []string) {
		for _, body := range bodies(t, cfg, url) {
			var e struct{ Detail event.Detail }
			if err := json.Unmarshal(body, &e); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, e.Detail.TransitionID)
		}
		return ids
	})
}

func TestEventArrivesAsItWasEncoded(t *testing.T) {
	cfg := awstest.Moto(t).Config()
	bus := newBus(t, cfg)
	url := subscribe(t, cfg, bus, "all", `{"source":["idmapping.notifier"]}`)
	job := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "4f2a"}, Type: "BATCH", Status: jobs.Failed, StartTime: noon, EndTime: noon.Add(time.Hour),
		Metrics: jobs.Metrics{jobs.InputRecords: 7}, Error: "Accès refusé: <b> & \"x\"", Outputs: []jobs.Output{{S3Path: "s3://out/a b/"}}}
	entry, err := event.Encode(fakeentityresolution.WorkflowARN("crm"), jobs.Transition{Job: job, Previous: jobs.Running}, noon.Add(2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if errs := eventbridge.New(cfg, bus, stack).Publish(t.Context(), []jobs.Entry{entry}); errors.Join(errs...) != nil {
		t.Fatal(errs)
	}
	got := received(t, cfg, url)
	if len(got) != 1 {
		t.Fatalf("%d events arrived, want 1", len(got))
	}
	e, d := got[0], got[0].Detail
	if e.DetailType != event.StateChange || e.Account != account.ID || e.Region != account.Region || d.Publisher != stack.Stack || !e.Time.Equal(noon.Add(time.Hour)) || e.ID == "" {
		t.Errorf("the envelope is %+v", e)
	}
	if d.TransitionID != entry.ID || d.Status != jobs.Failed || d.PreviousStatus != jobs.Running || *d.Duration != 3600 ||
		d.Error.Message != job.Error || !reflect.DeepEqual(d.Metrics, job.Metrics) || !reflect.DeepEqual(d.Outputs, job.Outputs) || !d.ObservedAt.Equal(noon.Add(2*time.Hour)) {
		t.Errorf("the detail is %+v", d)
	}
}

// kinds returns events of every kind, by their name in this test.
func kinds(t *testing.T) map[string]jobs.Entry {
	t.Helper()
	all := make(map[string]jobs.Entry)
	encode := func(name, workflow string, status jobs.Status, metrics jobs.Metrics, a jobs.Assessment) {
		job := jobs.Job{Key: jobs.Key{Workflow: workflow, Job: name}, Status: status, StartTime: noon, Metrics: metrics}
		if job.Terminal() {
			job.EndTime = noon.Add(time.Hour)
		}
		entry, err := event.Encode(fakeentityresolution.WorkflowARN(workflow), jobs.Transition{Job: job, Assessment: a}, noon)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = entry
	}
	add := func(name, workflow string, status jobs.Status, metrics jobs.Metrics) {
		encode(name, workflow, status, metrics, jobs.Assessment{})
	}
	assess := func(name, workflow string, status jobs.Status, a jobs.Assessment) {
		encode(name, workflow, status, nil, a)
	}
	mapped := func(n int64) jobs.Metrics {
		return jobs.Metrics{jobs.TotalMappedRecords: n, jobs.TotalRecordsProcessed: 100}
	}
	for _, workflow := range []string{"crm-eu", "ads", "my-crm-eu", "crm"} {
		add(workflow+" queued", workflow, jobs.Queued, nil)
		add(workflow+" running", workflow, jobs.Running, nil)
		add(workflow+" failed", workflow, jobs.Failed, nil)
		add(workflow+" paused", workflow, "PAUSED", nil)
		add(workflow+" failed, of the CRM team", workflow, jobs.Failed, nil)
		all[workflow+" failed, of the CRM team"] = event.AddTags(all[workflow+" failed, of the CRM team"], map[string]string{"owner": "CRM team"})
		add(workflow+" succeeded", workflow, jobs.Succeeded, nil)
		add(workflow+" succeeded 0%", workflow, jobs.Succeeded, mapped(0))
		add(workflow+" succeeded 49%", workflow, jobs.Succeeded, mapped(49))
		add(workflow+" succeeded 50%", workflow, jobs.Succeeded, mapped(50))
		add(workflow+" succeeded 98%", workflow, jobs.Succeeded, mapped(98))
		add(workflow+" failed 0%", workflow, jobs.Failed, mapped(0))
		for n := 1; n <= 4; n++ {
			assess(fmt.Sprintf("%s failed %d in a row", workflow, n), workflow, jobs.Failed, jobs.Assessment{Streak: &jobs.Streak{Failures: n, FirstJobID: "1", Repeated: n == 4}})
		}
		assess(workflow+" succeeded after failures", workflow, jobs.Succeeded, jobs.Assessment{Recovery: &jobs.Recovery{Failures: 2, FirstJobID: "1", LastJobID: "2"}})
		assess(workflow+" succeeded with two findings", workflow, jobs.Succeeded, jobs.Assessment{Findings: []jobs.Finding{
			{Code: jobs.InputLow, Measure: jobs.MeasureInput, Again: true}, {Code: jobs.MappedLow, Measure: jobs.MeasureMappedRate}}})
		assess(workflow+" succeeded with a finding again", workflow, jobs.Succeeded, jobs.Assessment{Findings: []jobs.Finding{{Code: jobs.InputLow, Measure: jobs.MeasureInput, Again: true}}})
		stuck := jobs.Job{Key: jobs.Key{Workflow: workflow, Job: workflow + " overdue"}, Status: jobs.Running, StartTime: noon}
		entry, err := event.EncodeOverdue(fakeentityresolution.WorkflowARN(workflow), stuck, jobs.Assessment{}, noon, nil, noon)
		if err != nil {
			t.Fatal(err)
		}
		all[stuck.Job] = entry
		m := jobs.MissingRun{ExpectedStart: jobs.ExpectedStart{At: noon, By: noon}}
		if entry, err = event.EncodeMissing(fakeentityresolution.WorkflowARN(workflow), workflow, m, noon); err != nil {
			t.Fatal(err)
		}
		all[workflow+" missing"] = entry
		if entry, err = event.EncodeResumed(fakeentityresolution.WorkflowARN(workflow), stuck.Key, noon, m, noon); err != nil {
			t.Fatal(err)
		}
		all[workflow+" resumed"] = entry
		for _, status := range []jobs.Status{jobs.Running, jobs.Failed} {
			name := fmt.Sprintf("%s vanished while %s", workflow, status)
			entry, err := event.EncodeVanished(fakeentityresolution.WorkflowARN(workflow), jobs.Job{Key: jobs.Key{Workflow: workflow, Job: name}, Status: status}, noon)
			if err != nil {
				t.Fatal(err)
			}
			all[name] = entry
		}
	}
	return all
}

// matched reports, per rule in docs/rules, which events of kinds it must match.
var matched = map[string]func(name string) bool{
	"failures.json": func(name string) bool { return strings.Contains(name, " failed") },
	"overdue.json":  func(name string) bool { return strings.HasSuffix(name, " overdue") },
	"missing-runs.json": func(name string) bool {
		return strings.HasSuffix(name, " missing") || strings.HasSuffix(name, " resumed")
	},
	"findings.json":      func(name string) bool { return strings.Contains(name, " finding") },
	"third-failure.json": func(name string) bool { return strings.HasSuffix(name, " failed 3 in a row") },
	"recovered.json":     func(name string) bool { return strings.HasSuffix(name, " after failures") },
	"wake-someone.json": func(name string) bool {
		return strings.Contains(name, " failed") && !strings.HasSuffix(name, " failed 4 in a row") || strings.HasSuffix(name, " two findings") || strings.Contains(name, " vanished") || strings.HasSuffix(name, " overdue") || strings.HasSuffix(name, " missing")
	},
	"by-tag.json": func(name string) bool { return strings.HasSuffix(name, " of the CRM team") },
	"low-mapped-rate.json": func(name string) bool {
		return strings.HasSuffix(name, "succeeded 0%") || strings.HasSuffix(name, "succeeded 49%")
	},
	"terminal-of-one-team.json": func(name string) bool {
		return strings.HasPrefix(name, "crm-") && (strings.Contains(name, " succeeded") || strings.Contains(name, " failed"))
	},
}

func TestExampleRulesMatchExactlyTheirEvents(t *testing.T) {
	files, err := filepath.Glob("../../docs/rules/*.json")
	if err != nil || len(files) != len(matched) {
		t.Fatalf("%d example rules, want %d (%v)", len(files), len(matched), err)
	}
	cfg := awstest.Moto(t).Config()
	bus := newBus(t, cfg)
	queues := make(map[string]string)
	for _, file := range files {
		pattern, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		queues[name] = subscribe(t, cfg, bus, strings.TrimSuffix(name, ".json"), string(pattern))
	}
	all := kinds(t)
	var batch []jobs.Entry
	names := make(map[string]string)
	for name, entry := range all {
		batch = append(batch, entry)
		names[entry.ID] = name
	}
	// Events of another source are on the bus too.
	foreign := awseventbridge.NewFromConfig(cfg)
	if _, err := foreign.PutEvents(t.Context(), &awseventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{
		EventBusName: &bus, Source: aws.String("another.source"), DetailType: aws.String(event.StateChange), Detail: aws.String(all["crm-eu failed 0%"].Detail),
	}}}); err != nil {
		t.Fatal(err)
	}
	if errs := eventbridge.New(cfg, bus, stack).Publish(t.Context(), batch); errors.Join(errs...) != nil {
		t.Fatal(errs)
	}
	for rule, url := range queues {
		t.Run(rule, func(t *testing.T) {
			var got, want []string
			for _, e := range received(t, cfg, url) {
				got = append(got, names[e.Detail.TransitionID])
			}
			for name := range all {
				if matched[rule](name) {
					want = append(want, name)
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("arrived:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// channelPatterns returns the event patterns of the channel rules that
// template.yaml creates in a stack, by logical ID.
func channelPatterns(t *testing.T, stack string) map[string]string {
	t.Helper()
	body, err := sam.Translate(t.Context(), account.Region, nil)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Resources map[string]struct {
			Type       string
			Properties struct{ EventPattern json.RawMessage }
		}
	}
	if err := json.Unmarshal(body, &document); err != nil {
		t.Fatal(err)
	}
	stackName := regexp.MustCompile(`\{\s*"Ref":\s*"AWS::StackName"\s*\}`)
	patterns := make(map[string]string)
	for id, resource := range document.Resources {
		if resource.Type == "AWS::Events::Rule" && id != "StartRule" { // which is about CloudTrail's events
			patterns[id] = stackName.ReplaceAllString(string(resource.Properties.EventPattern), `"`+stack+`"`)
		}
	}
	return patterns
}

func TestStacksOnOneBusReceiveOnlyTheirOwnEventsAndCanaries(t *testing.T) {
	cfg := awstest.Moto(t).Config()
	bus := newBus(t, cfg)
	stacks := []string{"team-a", "team-a-2"}
	queues := make(map[string][]string) // by stack
	for _, stack := range stacks {
		for id, pattern := range channelPatterns(t, stack) {
			queues[stack] = append(queues[stack], subscribe(t, cfg, bus, stack+"-"+id, pattern))
		}
		if len(queues[stack]) != 2 {
			t.Fatalf("%d rules of stack %s, want those of Slack and email", len(queues[stack]), stack)
		}
	}
	// Both stacks watch the same workflow: their events differ in nothing but
	// the publisher.
	job := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "4f2a"}, Status: jobs.Running}
	change, err1 := event.Encode(fakeentityresolution.WorkflowARN("crm"), jobs.Transition{Job: job}, noon)
	vanished, err2 := event.EncodeVanished(fakeentityresolution.WorkflowARN("crm"), job, noon)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for _, stack := range stacks {
		entries := []jobs.Entry{change, vanished, event.EncodeCanary(false, noon)}
		if errs := eventbridge.New(cfg, bus, event.Publisher{Stack: stack}).Publish(t.Context(), entries); errors.Join(errs...) != nil {
			t.Fatal(errs)
		}
	}
	for stack, urls := range queues {
		for _, url := range urls {
			var got []string
			for _, e := range received(t, cfg, url) {
				got = append(got, e.Detail.Publisher+": "+e.DetailType)
			}
			slices.Sort(got)
			want := []string{stack + ": " + event.Canary, stack + ": " + event.StateChange, stack + ": " + event.Vanished}
			if !slices.Equal(got, want) {
				t.Errorf("queue %s of stack %s received %q, want %q", url, stack, got, want)
			}
		}
	}
}
