package cli

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/idmapping/notifier/internal/fakecloud"
	fakeaws "github.com/idmapping/notifier/internal/fakecloud/aws"
	fakeentityresolution "github.com/idmapping/notifier/internal/fakecloud/entityresolution"
	fakeslack "github.com/idmapping/notifier/internal/fakecloud/slack"
	"github.com/idmapping/notifier/internal/jobs"
)

// forget makes a destination one that has missed a job.
func forget(t *testing.T, c *fakecloud.Cloud, workflow, job, destination string) {
	t.Helper()
	table := c.Resources["DeliveriesTable"]
	text := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
	if _, err := dynamodb.NewFromConfig(c.Config()).DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &table,
		Key: map[string]types.AttributeValue{"job": text(fakeentityresolution.WorkflowARN(workflow) + "/" + job), "destination": text(destination)}}); err != nil {
		t.Fatal(err)
	}
}

// past is a run of the past. Without a timeline it finished before its workflow was
// watched.
func past(workflow, job string, ended time.Time) jobs.Record {
	return jobs.Record{ARN: fakeentityresolution.WorkflowARN(workflow), Job: jobs.Job{Key: jobs.Key{Workflow: workflow, Job: job}, Type: "BATCH",
		Status: jobs.Succeeded, StartTime: ended.Add(-time.Hour), EndTime: ended}}
}

// sentTo are the recipients of the emails about a workflow.
func sentTo(c *fakecloud.Cloud, workflow string) (to []string) {
	for _, e := range emails(c, workflow) {
		to = append(to, e.To...)
	}
	return to
}

// topCards are the cards, without replies.
func topCards(c *fakecloud.Cloud, workflow string) []fakeslack.Message {
	return slices.DeleteFunc(cards(c, workflow), func(m fakeslack.Message) bool { return m.ThreadTS != "" })
}

func TestReplayReachesWhoMissedAJobOnceAndNobodyTwice(t *testing.T) {
	c := stackForTest(t)
	const workflow = "replay-crm"
	watch(t, c, workflow, nil)
	run(t, c, workflow, "replay-failure", jobs.Failed)
	settle(t, c)
	if n := len(sentTo(c, workflow)); n != len(recipients) {
		t.Fatalf("%d emails", n)
	}
	if _, err := c.Events(t.Context()); err != nil {
		t.Fatal(err)
	}
	forget(t, c, workflow, "replay-failure", "email:"+recipients[1])
	idmapping(t, c, "", "replay", "replay-failure", "--dry-run").has(t, 0, "would be sent", "email:"+recipients[1], "missed it", "already sent", "slack:"+fakecloud.SlackChannel)
	if n := len(sentTo(c, workflow)); n != len(recipients) {
		t.Errorf("a dry run sent: %d emails", n)
	}
	for range 2 {
		idmapping(t, c, "", "replay", "replay-failure").has(t, 0, "email:"+recipients[1])
		settle(t, c)
	}
	if got := sentTo(c, workflow); len(got) != len(recipients)+1 || got[len(got)-1] != recipients[1] {
		t.Errorf("emails to %v", got)
	}
	last := emails(c, workflow)[len(recipients)]
	if !strings.Contains(last.Text, "Sent again by hand") || !strings.Contains(last.Subject, "FAILED") {
		t.Errorf("the email says %s\n%s", last.Subject, last.Text)
	}
	if n := len(topCards(c, workflow)); n != 1 {
		t.Errorf("%d cards, want 1", n)
	}

	idmapping(t, c, "", "replay", "replay-failure", "--again", "--to", "slack:"+fakecloud.SlackChannel).has(t, 0, "--again", "sent again")
	settle(t, c)
	got := topCards(c, workflow)
	if len(got) != 2 || !strings.Contains(blocks(t, got[1]), "Sent again by hand") || len(sentTo(c, workflow)) != len(recipients)+1 {
		t.Errorf("after --again to Slack: %d cards, emails to %v", len(got), sentTo(c, workflow))
	}
	if events, err := c.Events(t.Context()); err != nil || len(events) != 0 {
		t.Errorf("%d events on the bus (%v)", len(events), err)
	}
}

func TestReplayOfAWorkflowChoosesTheRunsOfATime(t *testing.T) {
	c := stackForTest(t)
	const workflow = "replay-time"
	watch(t, c, workflow, nil)
	run(t, c, workflow, "replay-1", jobs.Succeeded)
	run(t, c, workflow, "replay-2", jobs.Failed)
	settle(t, c)
	archive(t, c, workflow, past(workflow, "before-the-watch", time.Now().Add(-time.Hour)))
	forget(t, c, workflow, "replay-1", "email:"+recipients[0])
	before := len(sentTo(c, workflow))
	idmapping(t, c, "", "replay", workflow, "--since", "24h", "--until", "1s").has(t, 0, "replay-1", "replay-2")
	settle(t, c)
	if got := sentTo(c, workflow); len(got) != before+1 || got[before] != recipients[0] {
		t.Errorf("emails to %v", got[before:])
	}
	if r := idmapping(t, c, "", "replay", workflow, "--since", "24h", "--dry-run"); strings.Contains(r.stdout, "before-the-watch") {
		t.Errorf("a run from before the watch is replayed: %s", r.stdout)
	}
	idmapping(t, c, "", "replay", "before-the-watch", "--to", "email:"+recipients[0]).has(t, 0, "missed it", "sent again")
	settle(t, c)
	if got := sentTo(c, workflow); len(got) != before+2 {
		t.Errorf("emails to %v", got)
	}
	idmapping(t, c, "", "replay", workflow, "--since", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)).has(t, 1, "no run of "+workflow)
}

func TestReplayRefusesWhatItCannotKnowOrReach(t *testing.T) {
	c := stackForTest(t)
	const workflow = "replay-old"
	watch(t, c, workflow, nil)
	archive(t, c, workflow, past(workflow, "long-ago", time.Now().Add(-30*24*time.Hour)))
	idmapping(t, c, "", "replay", "long-ago").has(t, 1, "more than 21 days ago", "--again")
	idmapping(t, c, "", "replay", "long-ago", "--again", "--dry-run").has(t, 0, "would be sent")
	idmapping(t, c, "", "replay", "long-ago", "--again", "--to", "email:spy@evil.example").has(t, 1, "cannot send to email:spy@evil.example", "email:"+recipients[0])
	idmapping(t, c, "", "replay", "long-ago", "--to", "pager:me").has(t, 2, "is not a destination")
	idmapping(t, c, "", "replay", "long-ago", "--until", "1h").has(t, 2, "--until needs --since")
	idmapping(t, c, "", "replay", workflow, "--since", "yesterday").has(t, 2, "--since")
	idmapping(t, c, "", "replay", "no-such-job").has(t, 1, "no-such-job")
	run(t, c, workflow, "still-open", jobs.Running)
	idmapping(t, c, "", "replay", "still-open").has(t, 1, "still open")
	run(t, c, workflow, "still-open", jobs.Succeeded)
	settle(t, c)
	defer c.Proxy.Clear()
	forget(t, c, workflow, "still-open", "email:"+recipients[0])
	c.Proxy.Inject(fakeaws.Fault{Operation: "AmazonSQS.SendMessage", Refuse: 400, Code: "AccessDenied",
		Message: "User: arn:aws:iam::123456789012:user/ana is not authorized to perform: sqs:sendmessage on resource: arn:aws:sqs:eu-west-1:123456789012:idmapping-EmailQueue"})
	idmapping(t, c, "", "replay", "still-open").has(t, 1, "access denied", `"Effect":"Allow"`)
}

func TestReplayIgnoresAMute(t *testing.T) {
	c := stackForTest(t)
	const workflow = "replay-muted"
	watch(t, c, workflow, tagged("mute-until", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
	run(t, c, workflow, "muted-run", jobs.Succeeded)
	settle(t, c)
	if n := len(cards(c, workflow)); n != 0 {
		t.Fatalf("%d messages while muted", n)
	}
	idmapping(t, c, "", "replay", "muted-run").has(t, 0, "sent again")
	settle(t, c)
	if n := len(topCards(c, workflow)); n != 1 || len(sentTo(c, workflow)) != len(recipients) {
		t.Errorf("%d cards, emails to %v", n, sentTo(c, workflow))
	}
}
