package cli

import (
	"net/http"
	"testing"

	"github.com/idmapping/notifier/internal/fakecloud"
	"github.com/idmapping/notifier/internal/fakecloud/account"
	fakeaws "github.com/idmapping/notifier/internal/fakecloud/aws"
	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
	"github.com/idmapping/notifier/internal/jobs"
)

func TestUnknownCommandIsAUsageError(t *testing.T) {
	idmapping(t, nil, "", "polish").has(t, 2, "polish", "--help")
}

func TestNoCredentialsNoStackAndNoRegionAreSaidPlainly(t *testing.T) {
	idmapping(t, nil, "", "sweep", "--stack", "idmapping").has(t, 1, "there are no AWS credentials", "--profile")
	idmapping(t, nil, "", "sweep").has(t, 1, "no stack is named", "--stack")
	idmappingWith(t, nil, []string{"AWS_REGION="}, "", "sweep", "--stack", "idmapping").has(t, 1, "no region is set", "--region")
}

func TestMissingStackIsNamed(t *testing.T) {
	c := stackForTest(t)
	idmapping(t, c, "", "sweep", "--stack", "nothing-here").has(t, 1, "there is no stack nothing-here in "+account.Region, "--stack")
}

func TestDeniedCallShowsTheStatementThatIsMissing(t *testing.T) {
	c := stackForTest(t)
	defer c.Proxy.Clear()
	c.Proxy.Inject(fakeaws.Fault{Operation: "DescribeStacks", Refuse: 403, Code: "AccessDenied",
		Message: "User: arn:aws:iam::123456789012:user/ana is not authorized to perform: cloudformation:DescribeStacks on resource: arn:aws:cloudformation:eu-west-1:123456789012:stack/idmapping/*"})
	idmapping(t, c, "", "sweep").has(t, 1, "access denied", `"Action":"cloudformation:DescribeStacks"`, `"Effect":"Allow"`)
}

func TestSweepAndTrackInvokeThePoller(t *testing.T) {
	c := stackForTest(t)
	c.EntityResolution.AddWorkflow("sweep-me")
	idmapping(t, c, "", "sweep").has(t, 0, "workflows checked")
	c.EntityResolution.Put(jobs.Job{Key: jobs.Key{Workflow: "sweep-me", Job: "j1"}, Status: jobs.Queued})
	var report struct{ Transitions int }
	idmapping(t, c, "", "sweep", "sweep-me", "--json").decode(t, &report)
	if report.Transitions != 1 {
		t.Errorf("the sweep of the workflow recorded %d transitions, want 1", report.Transitions)
	}
	idmapping(t, c, "", "track", "sweep-me", "nothing").has(t, 1, "nothing")
	idmapping(t, c, "", "track", "sweep-me", "j1").has(t, 0)
}

func TestCanaryNamesEveryDestination(t *testing.T) {
	c := stackForTest(t)
	idmapping(t, c, "", "canary", "--timeout", "5m").has(t, 0, "slack:"+fakecloud.SlackChannel+" received it", "email:"+recipients[0]+" received it", "email:"+recipients[1]+" received it")
}

func TestCanaryThatIsNotReceivedNamesTheDestination(t *testing.T) {
	c := stackForTest(t)
	c.Slack.Inject(httpfault.Fault{Status: http.StatusOK, Body: `{"ok":false,"error":"not_in_channel"}`})
	defer c.Slack.Clear()
	idmapping(t, c, "", "canary", "--timeout", "3s").has(t, 1, "not received after ", "slack:"+fakecloud.SlackChannel, "aws logs tail /aws/lambda/"+fakecloud.Stack+"-notifier")
}
