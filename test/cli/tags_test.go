package cli

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/fakecloud"
	fakeaws "github.com/idmapping/notifier/internal/fakecloud/aws"
	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
	fakeslack "github.com/idmapping/notifier/internal/fakecloud/slack"
	"github.com/idmapping/notifier/internal/jobs"
)

// tagged are the tags of a workflow with the notifier's prefix.
func tagged(pairs ...string) map[string]string {
	all := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		all["idmapping:"+pairs[i]] = pairs[i+1]
	}
	return all
}

// run puts a job into Entity Resolution that has just finished, or is open, and sweeps
// its workflow.
func run(t *testing.T, c *fakecloud.Cloud, workflow, id string, status jobs.Status) {
	t.Helper()
	job := jobs.Job{Key: jobs.Key{Workflow: workflow, Job: id}, Type: "BATCH", Status: status, StartTime: time.Now().Add(-time.Minute)}
	if status.Terminal() {
		job.EndTime = time.Now()
	}
	if status == jobs.Failed {
		job.Error = "Access Denied (Service: S3, Status Code: 403)"
	}
	c.EntityResolution.Put(job)
	sweep(t, c, workflow)
}

// sweep lets the poller check one workflow: a tick would check those of all tests.
func sweep(t *testing.T, c *fakecloud.Cloud, workflow string) {
	t.Helper()
	if _, err := c.Poll(t.Context(), `{"workflowName":"`+workflow+`"}`); err != nil {
		t.Fatal(err)
	}
}

func tick(t *testing.T, c *fakecloud.Cloud) {
	t.Helper()
	if _, err := c.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// watch adds a workflow with tags, and lets the poller watch it.
func watch(t *testing.T, c *fakecloud.Cloud, workflow string, tags map[string]string) {
	t.Helper()
	c.EntityResolution.Tag(workflow, tags)
	sweep(t, c, workflow)
}

// settle waits until the queues are empty.
func settle(t *testing.T, c *fakecloud.Cloud) {
	t.Helper()
	for {
		slack, err := c.QueueLength(t.Context(), "SlackQueue")
		email, err2 := c.QueueLength(t.Context(), "EmailQueue")
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		if slack+email == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond) // the notifier is another process
	}
}

// cards are the Slack messages whose text names the workflow.
func cards(c *fakecloud.Cloud, workflow string) []fakeslack.Message {
	return slices.DeleteFunc(c.Slack.Messages(), func(m fakeslack.Message) bool { return !strings.Contains(m.Text, workflow) })
}

func emails(c *fakecloud.Cloud, workflow string) []fakeaws.Email {
	return slices.DeleteFunc(c.Proxy.Emails(), func(e fakeaws.Email) bool { return !strings.Contains(e.Subject, workflow) })
}

func blocks(t *testing.T, m fakeslack.Message) string {
	t.Helper()
	body, err := json.Marshal(m.Blocks)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestTagsDecideWhoIsNotifiedAndWhatTheMessageSays(t *testing.T) {
	c := stackForTest(t)
	const workflow = "tagged-crm"
	c.Slack.Invite("C0CRMALERTS")
	watch(t, c, workflow, tagged("slack-channel", "C0CRMALERTS", "email", "crm@example.com spy@evil.example", "mention", "S0CRMTEAM nobody",
		"statuses", "FAILED", "runbook", "https://wiki.example.com/crm", "owner", "CRM <!channel> team", "overdue-after", "4 hours"))
	run(t, c, workflow, "tagged-success", jobs.Succeeded)
	run(t, c, workflow, "tagged-failure", jobs.Failed)
	settle(t, c)
	got := cards(c, workflow)
	if len(got) != 1 || got[0].Channel != "C0CRMALERTS" || !strings.Contains(got[0].Text, "FAILED") {
		t.Fatalf("the messages are %+v", got)
	}
	body := blocks(t, got[0])
	for _, want := range []string{"subteam^S0CRMTEAM", "https://wiki.example.com/crm", "CRM", "overdue-after", "4 hours", "idmapping:mention", "nobody"} {
		if !strings.Contains(body, want) {
			t.Errorf("the card lacks %q: %s", want, body)
		}
	}
	if strings.Contains(body, `<!channel>`) || strings.Contains(body, `\u003c!channel`) {
		t.Errorf("the owner mentions the channel: %s", body)
	}
	var to []string
	for _, e := range emails(c, workflow) {
		to = append(to, e.To...)
		if !strings.Contains(e.Text, "the tag idmapping:email") || !strings.Contains(e.Text, "Owner: CRM") {
			t.Errorf("the email says %s", e.Text)
		}
	}
	if !slices.Equal(to, []string{"crm@example.com"}) {
		t.Errorf("emails to %v", to)
	}

	r := idmapping(t, c, "", "route", workflow)
	r.has(t, 0, "slack:C0CRMALERTS", "email:crm@example.com", "the tag idmapping:slack-channel", "the tag idmapping:statuses does not choose SUCCEEDED", "FINDING", "MISSING",
		"spy@evil.example", "4 hours", "S0CRMTEAM", "Owner: CRM")
	var choices []struct{ On, Channel, Verdict string }
	idmapping(t, c, "", "route", workflow, "succeeded", "--json").decode(t, &choices)
	if len(choices) != 2 || choices[0].Verdict != "not chosen" {
		t.Errorf("a success goes to %+v", choices)
	}
	idmapping(t, c, "", "route", workflow, "PAUSED").has(t, 2, "PAUSED")
	idmapping(t, c, "", "route", "nothing-here").has(t, 1, "there is no ID mapping workflow nothing-here", workflow)

	r = idmapping(t, c, "", "explain", "tagged-failure")
	r.has(t, 0, "FAILED: job tagged-failure of "+workflow, "observed", "published", "slack:C0CRMALERTS", "sent ", "email:crm@example.com", "the tag idmapping:email", "https://slack.com/archives/C0CRMALERTS/p")
	idmapping(t, c, "", "explain", workflow+"/tagged-success").has(t, 0, "the tag idmapping:statuses does not choose SUCCEEDED")
	idmapping(t, c, "", "explain", "nosuchjob").has(t, 1, "has no job nosuchjob", "RetentionDays")
}

func TestTagsThatCannotBeReadAreThoseLastRead(t *testing.T) {
	c := stackForTest(t)
	const workflow = "tagged-denied"
	c.Slack.Invite("C0DENIED")
	watch(t, c, workflow, tagged("slack-channel", "C0DENIED"))
	run(t, c, workflow, "denied-1", jobs.Failed)
	defer c.EntityResolution.Clear()
	c.EntityResolution.Inject(httpfault.Fault{Operation: "ListTagsForResource", Workflow: workflow, Status: http.StatusForbidden,
		Body: `{"__type":"AccessDeniedException","message":"not authorized to perform: entityresolution:ListTagsForResource"}`})
	run(t, c, workflow, "denied-2", jobs.Failed)
	settle(t, c)
	got := slices.DeleteFunc(cards(c, workflow), func(m fakeslack.Message) bool { return m.ThreadTS != "" })
	if len(got) != 2 || got[0].Channel != "C0DENIED" || got[1].Channel != "C0DENIED" {
		t.Errorf("the messages are %+v", got)
	}
}

func TestMuteEndsWithOneSummaryOfWhatIsStillFailing(t *testing.T) {
	c := stackForTest(t)
	const workflow = "muted-crm"
	watch(t, c, workflow, nil)
	idmapping(t, c, "", "mute", workflow, "--for", "4h", "--reason", "moving the export").has(t, 0, "is muted until", "one summary when the mute ends", "idmapping unmute "+workflow)
	run(t, c, workflow, "muted-success", jobs.Succeeded)
	run(t, c, workflow, "muted-failure", jobs.Failed)
	settle(t, c)
	if got := cards(c, workflow); len(got) != 0 || len(emails(c, workflow)) != 0 {
		t.Fatalf("while muted %d messages, %d emails", len(got), len(emails(c, workflow)))
	}
	idmapping(t, c, "", "route", workflow, "FAILED").has(t, 0, "muted by its tags until", "moving the export", "nobody")
	idmapping(t, c, "", "explain", "muted-failure").has(t, 0, "muted by its tags until")
	idmapping(t, c, "", "unmute", workflow).has(t, 0, "is not muted any more", "A summary")
	settle(t, c)
	got := cards(c, workflow)
	if len(got) != 1 || !strings.Contains(got[0].Text, "MUTE ENDED") {
		t.Fatalf("after the mute the messages are %+v", got)
	}
	body := blocks(t, got[0])
	for _, want := range []string{"1 FAILED, 1 SUCCEEDED", "The last run failed", "moving the export"} {
		if !strings.Contains(body, want) {
			t.Errorf("the summary lacks %q: %s", want, body)
		}
	}
	if n := len(emails(c, workflow)); n != len(recipients) {
		t.Errorf("%d emails about the end of the mute, want %d", n, len(recipients))
	}
	tick(t, c)
	settle(t, c)
	idmapping(t, c, "", "unmute", workflow).has(t, 0)
	settle(t, c)
	if n := len(cards(c, workflow)); n != 1 {
		t.Errorf("%d summaries, want 1", n)
	}
	idmapping(t, c, "", "mute", workflow, "--for", "800h").has(t, 2, "720h")
	idmapping(t, c, "", "mute", workflow, "--for", "1h", "--reason", "a#b").has(t, 2, "letters, digits")
}

func TestMuteThatExpiresIsSummarizedByTheNextTick(t *testing.T) {
	c := stackForTest(t)
	const workflow = "expiring-crm"
	watch(t, c, workflow, nil)
	until := time.Now().Add(8 * time.Second)
	c.EntityResolution.Tag(workflow, tagged("mute-until", until.UTC().Format(time.RFC3339Nano), "mute-reason", "soon over"))
	run(t, c, workflow, "expiring-failure", jobs.Failed)
	settle(t, c)
	muted := len(cards(c, workflow)) == 0
	time.Sleep(time.Until(until) + time.Second) // the poller's clock is the real one
	tick(t, c)
	settle(t, c)
	got := cards(c, workflow)
	if muted && (len(got) != 1 || !strings.Contains(got[0].Text, "MUTE ENDED")) {
		t.Errorf("the messages are %+v", got)
	}
	if !muted { // a slow machine took longer than the mute
		t.Logf("the mute was over before the job was observed: %d messages", len(got))
	}
}

func TestExpectEveryAndOverdueAfterReplaceWhatIsLearned(t *testing.T) {
	c := stackForTest(t)
	has := func(workflow, word string) bool {
		return slices.ContainsFunc(cards(c, workflow), func(m fakeslack.Message) bool { return strings.Contains(m.Text, word) })
	}
	watch(t, c, "tagged-overdue", tagged("overdue-after", "1m"))
	watch(t, c, "tagged-every", tagged("expect-every", "1h"))
	defer c.EntityResolution.Remove(jobs.Key{Workflow: "tagged-overdue", Job: "long"}) // one job runs at a time
	c.EntityResolution.Put(jobs.Job{Key: jobs.Key{Workflow: "tagged-overdue", Job: "long"}, Type: "BATCH", Status: jobs.Running, StartTime: time.Now().Add(-5 * time.Minute)})
	c.EntityResolution.Put(jobs.Job{Key: jobs.Key{Workflow: "tagged-every", Job: "old"}, Type: "BATCH", Status: jobs.Succeeded,
		StartTime: time.Now().Add(-3 * time.Hour), EndTime: time.Now().Add(time.Second)})
	tick(t, c)
	tick(t, c)
	settle(t, c)
	if !has("tagged-overdue", "OVERDUE") {
		t.Errorf("the job is not overdue after a minute: %+v", cards(c, "tagged-overdue"))
	}
	if !has("tagged-every", "NO RUN YET") {
		t.Errorf("no run is missing three hours after the last start: %+v", cards(c, "tagged-every"))
	}
}
