package cli

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/idmapping/notifier/internal/dynamodb"
	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/fakecloud"
	"github.com/idmapping/notifier/internal/fakecloud/account"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
)

// failure is the event of a job that has failed, as EventBridge delivers it.
func failure(t *testing.T, workflow, job string) (event.Event, string) {
	t.Helper()
	now := time.Now().UTC()
	entry, err := event.Encode("arn:aws:entityresolution:"+account.Region+":"+account.ID+":idmappingworkflow/"+workflow, jobs.Transition{
		Job: jobs.Job{Key: jobs.Key{Workflow: workflow, Job: job}, Type: "BATCH", Status: jobs.Failed, StartTime: now.Add(-time.Hour), EndTime: now, Error: "Access Denied"}}, now)
	if err != nil {
		t.Fatal(err)
	}
	body := eventtest.Envelope(entry, fakecloud.Stack)
	e, err := event.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	return e, string(body)
}

// kill puts a message into a dead-letter queue, with attributes as name, value, and
// returns its ID.
func kill(t *testing.T, c *fakecloud.Cloud, queue, body string, attributes ...string) string {
	t.Helper()
	url, with := c.Resources[queue], make(map[string]types.MessageAttributeValue)
	for pair := range slices.Chunk(attributes, 2) {
		with[pair[0]] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &pair[1]}
	}
	out, err := sqs.NewFromConfig(c.Config()).SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body, MessageAttributes: with})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.MessageId)
}

// emptyDeadLetters empties the dead-letter queues, before and after the test.
func emptyDeadLetters(t *testing.T, c *fakecloud.Cloud) {
	t.Helper()
	empty := func() {
		for _, queue := range []string{"SlackDeadLetterQueue", "EmailDeadLetterQueue"} {
			url := c.Resources[queue]
			if _, err := sqs.NewFromConfig(c.Config()).PurgeQueue(context.Background(), &sqs.PurgeQueueInput{QueueUrl: &url}); err != nil {
				t.Error(err)
			}
		}
	}
	empty()
	t.Cleanup(empty)
}

// visible fails the test unless so many messages of a queue can be received, and none
// is hidden.
func visible(t *testing.T, c *fakecloud.Cloud, queue string, want int) {
	t.Helper()
	url := c.Resources[queue]
	out, err := sqs.NewFromConfig(c.Config()).GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameApproximateNumberOfMessages}})
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.QueueLength(t.Context(), queue)
	if got := out.Attributes["ApproximateNumberOfMessages"]; err != nil || all != want || got != strconv.Itoa(want) {
		t.Errorf("%s has %d messages, %s of them visible, want %d (%v)", queue, all, got, want, err)
	}
}

// letter is a message as --json shows it.
type letter struct {
	Queue, MessageID, Workflow, Job, Status, Why, Outcome string
	Destinations                                          []string
}

func TestRedriveMovesWhatIsValidAndNotifiesNobodyTwice(t *testing.T) {
	c := stackForTest(t)
	emptyDeadLetters(t, c)
	const workflow = "redrive-crm"
	_, body := failure(t, workflow, "redrive-1")
	valid := kill(t, c, "SlackDeadLetterQueue", body, "Reason", "slack: <!channel>\u202einvalid_blocks", "OriginalMessageId", "id-1")
	forged := kill(t, c, "SlackDeadLetterQueue", strings.Replace(body, account.ID, "210987654321", 1), "Reason", "forged")

	r := idmapping(t, c, "", "redrive", "slack", "--dry-run")
	r.has(t, 1, valid, forged, "FAILED of "+workflow+", job redrive-1", "invalid_blocks", "would notify: slack:"+fakecloud.SlackChannel, "stays: not an event of the ID mapping notifier", "account")
	if strings.Contains(r.stdout, "\u202e") {
		t.Errorf("a control character is printed: %q", r.stdout)
	}
	visible(t, c, "SlackDeadLetterQueue", 2)

	idmapping(t, c, "n\n", "redrive").has(t, 1, "Move 1 message to the Slack queue? [y/N]", "Nothing was moved.")
	visible(t, c, "SlackDeadLetterQueue", 2)
	idmapping(t, c, "", "redrive").has(t, 2, "nobody answered", "--yes")
	visible(t, c, "SlackDeadLetterQueue", 2)
	idmapping(t, c, "y\n", "redrive", "--message", "nothing").has(t, 1, "no message", "nothing")
	idmapping(t, c, "", "redrive", "pager").has(t, 2, "pager", "neither slack nor email")
	if n := len(cards(c, workflow)); n != 0 {
		t.Fatalf("%d messages before anything is moved", n)
	}

	idmapping(t, c, "y\n", "redrive", "slack").has(t, 1, "Moved 1 message to the Slack queue.")
	settle(t, c)
	visible(t, c, "SlackDeadLetterQueue", 1)
	sent := len(cards(c, workflow)) // the card, and in its thread the whole error
	if sent == 0 || !strings.Contains(cards(c, workflow)[0].Text, "FAILED") {
		t.Fatalf("the messages are %+v", cards(c, workflow))
	}

	again := kill(t, c, "SlackDeadLetterQueue", body)
	var all []letter
	r = idmapping(t, c, "", "redrive", "slack", "--yes", "--message", again, "--json")
	r.has(t, 0)
	r.decode(t, &all)
	if len(all) != 1 || all[0].MessageID != again || all[0].Outcome != "moved" || all[0].Why != "received 600 times" || len(all[0].Destinations) != 0 {
		t.Errorf("the copy is %+v", all)
	}
	settle(t, c)
	if n := len(cards(c, workflow)); n != sent {
		t.Errorf("after the copy %d messages, want %d", n, sent)
	}
	visible(t, c, "SlackDeadLetterQueue", 1)
}

func TestRedriveReachesOnlyTheRecipientThatMissedIt(t *testing.T) {
	c := stackForTest(t)
	emptyDeadLetters(t, c)
	const workflow = "redrive-email"
	e, body := failure(t, workflow, "redrive-2")
	deliveries := dynamodb.Deliveries{Client: awsdynamodb.NewFromConfig(c.Config()), Table: c.Resources["DeliveriesTable"]}
	key := notify.KeyOf(e, "email:"+recipients[0])
	if _, err := deliveries.Claim(t.Context(), key, e.Detail.TransitionID, "test", notify.ProgressOf(e), time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := deliveries.Record(t.Context(), key, "test", notify.Outcome{Transition: e.Detail.TransitionID, Progress: notify.ProgressOf(e), SentAt: time.Now(), Attempts: 1}); err != nil {
		t.Fatal(err)
	}
	kill(t, c, "EmailDeadLetterQueue", body, "ERROR_CODE", "NO_PERMISSIONS", "ERROR_MESSAGE", "the queue's policy", "RULE_ARN", "arn")
	var all []letter
	r := idmapping(t, c, "yes\n", "redrive", "email", "--json")
	r.has(t, 0, "Move 1 message to the email queue?", "would notify: email:"+recipients[1])
	r.decode(t, &all)
	if len(all) != 1 || all[0].Queue != "email" || all[0].Workflow != workflow || all[0].Job != "redrive-2" || all[0].Status != "FAILED" || all[0].Outcome != "moved" ||
		!slices.Equal(all[0].Destinations, []string{"email:" + recipients[1]}) || all[0].Why != "EventBridge could not deliver it: NO_PERMISSIONS: the queue's policy" {
		t.Errorf("the result is %+v", all)
	}
	settle(t, c)
	var to []string
	for _, email := range emails(c, workflow) {
		to = append(to, email.To...)
	}
	if !slices.Equal(to, recipients[1:]) {
		t.Errorf("emails to %v", to)
	}
	visible(t, c, "EmailDeadLetterQueue", 0)
}

func TestRedriveOfEmptyQueuesDoesNothing(t *testing.T) {
	c := stackForTest(t)
	emptyDeadLetters(t, c)
	idmapping(t, c, "", "redrive").has(t, 0, "Nothing is in the dead-letter queues.")
	r := idmapping(t, c, "", "redrive", "--json")
	if r.has(t, 0); strings.TrimSpace(r.stdout) != "[]" {
		t.Errorf("stdout is %q", r.stdout)
	}
}

func TestRedriveThatFailsKeepsTheMessages(t *testing.T) {
	c := stackForTest(t)
	emptyDeadLetters(t, c)
	const workflow = "redrive-denied"
	_, body := failure(t, workflow, "redrive-3")
	kill(t, c, "SlackDeadLetterQueue", body)
	defer c.Proxy.Clear()
	for _, action := range []string{"ReceiveMessage", "SendMessage"} {
		deny(c, "AmazonSQS."+action, "sqs:"+action)
		idmapping(t, c, "", "redrive", "--yes").has(t, 1, "access denied", `"Action":"sqs:`+action+`"`)
		c.Proxy.Clear()
		visible(t, c, "SlackDeadLetterQueue", 1)
	}
	deny(c, "AmazonSQS.DeleteMessage", "sqs:DeleteMessage")
	idmapping(t, c, "", "redrive", "--yes").has(t, 1, "Moved, but also still in the dead-letter queue: 1", `"Action":"sqs:DeleteMessage"`)
	c.Proxy.Clear()
	visible(t, c, "SlackDeadLetterQueue", 1)
	settle(t, c)
	sent := len(cards(c, workflow))
	idmapping(t, c, "", "redrive", "--yes").has(t, 0, "would notify nobody: everyone has received it", "Moved 1 message to the Slack queue.")
	settle(t, c)
	if n := len(cards(c, workflow)); n != sent || n == 0 {
		t.Errorf("%d messages, then %d", sent, n)
	}
	kill(t, c, "SlackDeadLetterQueue", body)
	deny(c, "AmazonSQS.ChangeMessageVisibilityBatch", "sqs:ChangeMessageVisibility")
	idmapping(t, c, "", "redrive", "--dry-run").has(t, 1, "hidden for up to ten minutes", `"Action":"sqs:ChangeMessageVisibility"`)
}

func TestInterruptedRedriveReleasesTheMessages(t *testing.T) {
	c := stackForTest(t)
	emptyDeadLetters(t, c)
	_, body := failure(t, "redrive-interrupted", "redrive-4")
	kill(t, c, "SlackDeadLetterQueue", body)
	idmapping(t, nil, "", "--version") // builds the tool
	cmd := exec.CommandContext(t.Context(), tool.path, "redrive")
	cmd.Dir = t.TempDir()
	cmd.Env = append(c.ClientEnv(), "STACK="+fakecloud.Stack, "HOME="+cmd.Dir, "AWS_EC2_METADATA_DISABLED=true")
	stdin, err := cmd.StdinPipe() // stays open: nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if prompt, err := bufio.NewReader(stderr).ReadString(']'); err != nil || !strings.Contains(prompt, "Move 1 message") {
		t.Errorf("asked %q, %v", prompt, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("it ended with %v", err)
	}
	visible(t, c, "SlackDeadLetterQueue", 1)
}
