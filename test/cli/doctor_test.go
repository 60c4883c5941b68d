package cli

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/idmapping/notifier/internal/emf"
	"github.com/idmapping/notifier/internal/fakecloud"
	"github.com/idmapping/notifier/internal/fakecloud/account"
	fakeaws "github.com/idmapping/notifier/internal/fakecloud/aws"
	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
	fakeslack "github.com/idmapping/notifier/internal/fakecloud/slack"
)

// checks are the lines of doctor by the name of the check.
type checks struct {
	t     *testing.T
	code  int
	lines []checkLine
	all   string
}

type checkLine struct{ Check, Result, Text, Fix string }

// doctor runs idmapping doctor --json. It fails the test if a secret is in the output.
func doctor(t *testing.T, c *fakecloud.Cloud, arguments ...string) checks {
	t.Helper()
	r := idmapping(t, c, "", append([]string{"doctor", "--json"}, arguments...)...)
	for _, secret := range []string{fakecloud.SlackToken, fakeslack.WebhookPath, otherToken} {
		if strings.Contains(r.stdout+r.stderr, secret) {
			t.Errorf("the output has the secret %s:\n%s%s", secret, r.stdout, r.stderr)
		}
	}
	out := checks{t: t, code: r.code, all: r.stdout + r.stderr}
	r.decode(t, &out.lines)
	return out
}

// has fails the test unless a line has the result, and each text in its text or fix.
func (c checks) has(name, result string, texts ...string) {
	c.t.Helper()
	if !slices.ContainsFunc(c.lines, func(l checkLine) bool {
		return l.Check == name && l.Result == result && !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(l.Text+"\n"+l.Fix, text) })
	}) {
		c.t.Errorf("no line %s %s has %q:\n%s", result, name, texts, c.all)
	}
	for _, l := range c.lines {
		if l.Result == "FAILED" && l.Fix == "" {
			c.t.Errorf("%s FAILED without a fix: %s", l.Check, l.Text)
		}
	}
}

// exits fails the test unless the exit code is this one.
func (c checks) exits(code int) {
	c.t.Helper()
	if c.code != code {
		c.t.Errorf("exit code %d, want %d:\n%s", c.code, code, c.all)
	}
}

const otherToken = "xoxb-1111111111-other"

// healthyStack is the shared stack with what a user does after deploying it: confirmed
// alarms, and a complete sweep in the metrics.
func healthyStack(t *testing.T) *fakecloud.Cloud {
	t.Helper()
	c := stackForTest(t)
	c.EntityResolution.AddWorkflow("doctor-crm")
	topic := c.Resources["AlarmTopic"]
	_, err := sns.NewFromConfig(c.Config()).Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &topic, Protocol: aws.String("email"), Endpoint: aws.String("oncall@example.com")})
	if err != nil {
		t.Fatal(err)
	}
	putSweep(t, c, time.Now().Add(-time.Minute))
	return c
}

// putSweep puts the metric of a complete sweep.
func putSweep(t *testing.T, c *fakecloud.Cloud, at time.Time) {
	t.Helper()
	_, err := cloudwatch.NewFromConfig(c.Config()).PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String(emf.Namespace), MetricData: []cwtypes.MetricDatum{{
		MetricName: aws.String("SweepsCompleted"), Value: aws.Float64(1), Timestamp: &at, Dimensions: []cwtypes.Dimension{{Name: aws.String("Stack"), Value: aws.String(fakecloud.Stack)}}}}})
	if err != nil {
		t.Fatal(err)
	}
}

// deny refuses an operation as IAM does.
func deny(c *fakecloud.Cloud, operation, action string) {
	c.Proxy.Inject(fakeaws.Fault{Operation: operation, Refuse: http.StatusForbidden, Code: "AccessDeniedException",
		Message: "User: arn:aws:iam::123456789012:user/ana is not authorized to perform: " + action + " on resource: arn:aws:test:eu-west-1:123456789012:thing"})
}

func TestDoctorWarnsBeforeTheFirstSweep(t *testing.T) {
	c := stackForTest(t)
	c.EntityResolution.AddWorkflow("doctor-crm")
	d := doctor(t, c)
	d.exits(1)
	d.has("last sweep", "warn", "no complete sweep yet", "aws logs tail /aws/lambda/"+fakecloud.Stack+"-poller")
	d.has("alarms", "FAILED", "go to nobody", "aws sns subscribe --topic-arn arn:aws:sns:")
}

func TestDoctorPassesAHealthyStack(t *testing.T) {
	c := healthyStack(t)
	d := doctor(t, c, "--canary")
	d.exits(0)
	d.has("credentials", "ok", "arn:aws:")
	d.has("region", "ok", account.Region)
	d.has("workflows", "ok", "workflows match the filter")
	d.has("stack", "ok", fakecloud.Stack+" in "+account.Region)
	d.has("poller", "ok", "version ", "swept ")
	d.has("notifier", "ok", "version ")
	d.has("schedules", "ok", "2 enabled")
	d.has("mappings", "ok", "EmailQueue and SlackQueue")
	d.has("dead letters", "ok", "none")
	d.has("last sweep", "ok", "ago")
	d.has("alarms", "ok", "oncall@example.com")
	d.has("other stacks", "ok")
	d.has("tags", "ok", "0 of ")
	d.has("secret", "ok", fakecloud.TokenParameter+" is a SecureString")
	d.has("slack", "ok", "bot id-mapping in workspace Example", "chat:write")
	d.has("channel", "ok", "the bot is in "+fakecloud.SlackChannel)
	d.has("sender", "ok", fakecloud.EmailFrom)
	d.has("ses", "ok", "production access")
	d.has("canary", "ok", "slack:"+fakecloud.SlackChannel+" after ", "email:"+recipients[1]+" after ")
	idmapping(t, c, "", "doctor").has(t, 0, "ok      stack          "+fakecloud.Stack+" in "+account.Region+" (CREATE_COMPLETE)\n")
}

func TestDoctorBeforeADeployment(t *testing.T) {
	c := stackForTest(t)
	c.EntityResolution.AddWorkflow("doctor-crm")
	t.Run("without flags it says what to do", func(t *testing.T) {
		d := doctor(t, c, "--stack", "nothing-here")
		d.exits(1)
		d.has("credentials", "ok")
		d.has("workflows", "ok", "match the filter")
		d.has("stack", "FAILED", "there is no stack nothing-here in "+account.Region, "make deploy", "--stack NAME", "--slack-token-parameter NAME")
	})
	t.Run("no stack is named", func(t *testing.T) {
		r := idmappingWith(t, c, []string{"STACK="}, "", "doctor")
		r.has(t, 1, "FAILED  stack", "no stack is named", "make deploy")
	})
	t.Run("flags are checked", func(t *testing.T) {
		d := doctor(t, c, "--stack", "nothing-here", "--slack-token-parameter", fakecloud.TokenParameter, "--slack-channel", fakecloud.SlackChannel,
			"--email-from", fakecloud.EmailFrom, "--email-to", "a@example.org")
		d.exits(0)
		d.has("stack", "warn", "not deployed yet", "make deploy")
		d.has("secret", "ok")
		d.has("channel", "ok")
		d.has("sender", "ok")
		d.has("other stacks", "warn", fakecloud.Stack)
	})
	t.Run("a webhook", func(t *testing.T) {
		d := doctor(t, c, "--stack", "nothing-here", "--slack-webhook-parameter", fakecloud.URLParameter)
		d.exits(0)
		d.has("slack", "ok", fakecloud.URLParameter+" holds a webhook URL")
		d = doctor(t, c, "--stack", "nothing-here", "--slack-webhook-parameter", fakecloud.TokenParameter)
		d.exits(1)
		d.has("slack", "FAILED", "no webhook URL", "Incoming Webhooks")
	})
	t.Run("no secret", func(t *testing.T) {
		d := doctor(t, c, "--stack", "nothing-here", "--slack-token-parameter", "/none", "--slack-channel", "C0DATAJOBS")
		d.exits(1)
		d.has("secret", "FAILED", "there is no SSM parameter /none", "aws ssm put-parameter --name /none --type SecureString")
	})
}

func TestDoctorWithoutCredentials(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the real binaries")
	}
	d := doctor(t, nil, "--stack", "idmapping")
	d.exits(1)
	d.has("credentials", "FAILED", "there are no AWS credentials", "--profile NAME")
	idmappingWith(t, nil, []string{"AWS_REGION="}, "", "doctor").has(t, 1, "FAILED  region", "--region NAME")
}

func TestDoctorChecksSlack(t *testing.T) {
	c := healthyStack(t)
	put := func(name, value string, kind ssmtypes.ParameterType) {
		t.Helper()
		if _, err := ssm.NewFromConfig(c.Config()).PutParameter(t.Context(), &ssm.PutParameterInput{Name: &name, Value: &value, Type: kind, Overwrite: aws.Bool(true)}); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("the secret is no SecureString", func(t *testing.T) {
		put("/doctor/plain", fakecloud.SlackToken, ssmtypes.ParameterTypeString)
		d := doctor(t, c, "--slack-token-parameter", "/doctor/plain")
		d.exits(1)
		d.has("secret", "FAILED", "not a SecureString", "aws ssm delete-parameter --name /doctor/plain", "--type SecureString")
	})
	t.Run("the token is refused", func(t *testing.T) {
		put("/doctor/old", otherToken, ssmtypes.ParameterTypeSecureString)
		d := doctor(t, c, "--slack-token-parameter", "/doctor/old")
		d.exits(1)
		d.has("slack", "FAILED", "Slack refuses the token in /doctor/old: invalid_auth", "OAuth & Permissions")
	})
	t.Run("the bot cannot post", func(t *testing.T) {
		c.Slack.Grant("channels:read")
		defer c.Slack.Grant()
		d := doctor(t, c)
		d.exits(1)
		d.has("slack", "FAILED", "chat:write is missing", "reinstall the app")
	})
	t.Run("the bot cannot see channels", func(t *testing.T) {
		c.Slack.Grant("chat:write")
		defer c.Slack.Grant()
		d := doctor(t, c)
		d.exits(0)
		d.has("channel", "warn", "membership cannot be checked", "idmapping canary")
	})
	t.Run("the bot is in no channel of a tag", func(t *testing.T) {
		c.Slack.Invite("C0TAGGED")
		c.Slack.Kick("C0TAGGED")
		defer c.Slack.Invite("C0TAGGED")
		c.EntityResolution.Tag("doctor-crm", map[string]string{"idmapping:slack-channel": "C0TAGGED C0NOWHERE", "team": "crm"})
		defer c.EntityResolution.Untag("doctor-crm", "idmapping:slack-channel")
		d := doctor(t, c)
		d.exits(1)
		d.has("tags", "ok", "1 of ")
		d.has("channel", "ok", fakecloud.SlackChannel)
		d.has("channel", "FAILED", "the bot is not in C0TAGGED", "/invite @id-mapping", "idmapping:slack-channel")
		d.has("channel", "FAILED", "C0NOWHERE does not exist, or it is private")
		c.Slack.Grant("chat:write", "chat:write.public", "channels:read")
		defer c.Slack.Grant()
		doctor(t, c).has("channel", "ok", "C0TAGGED is public")
	})
	t.Run("a channel by name", func(t *testing.T) {
		doctor(t, c, "--slack-channel", "#data-jobs").has("channel", "warn", "#data-jobs is a name", "idmapping canary")
	})
	t.Run("an outage", func(t *testing.T) {
		c.Slack.Inject(httpfault.Fault{Operation: "auth.test", Status: http.StatusServiceUnavailable})
		defer c.Slack.Clear()
		d := doctor(t, c)
		d.exits(1)
		d.has("slack", "FAILED", "503", "status.slack.com")
	})
}

func TestDoctorChecksSES(t *testing.T) {
	c := healthyStack(t)
	d := doctor(t, c, "--email-from", "me@example.net")
	d.exits(1)
	d.has("sender", "FAILED", "neither me@example.net nor its domain", "aws sesv2 create-email-identity --email-identity me@example.net")
	c.Proxy.SetSandbox(true)
	defer c.Proxy.SetSandbox(false)
	d = doctor(t, c)
	d.exits(0)
	d.has("ses", "warn", "sandbox")
	d.has("recipients", "ok", "all verified")
	if _, err := sesv2.NewFromConfig(c.Config()).CreateEmailIdentity(t.Context(), &sesv2.CreateEmailIdentityInput{EmailIdentity: aws.String("b@example.org")}); err != nil {
		t.Fatal(err)
	}
	c.EntityResolution.Tag("doctor-crm", map[string]string{"idmapping:email": "c@example.org"})
	defer c.EntityResolution.Untag("doctor-crm", "idmapping:email")
	d = doctor(t, c, "--email-to", "b@example.org")
	d.exits(1)
	d.has("recipients", "FAILED", "demands: c@example.org", "aws sesv2 create-email-identity --email-identity c@example.org")
}

func TestDoctorChecksTheDeployedStack(t *testing.T) {
	c := healthyStack(t)
	rewrite := func(t *testing.T, operation, from, to string) {
		t.Helper()
		c.Proxy.Inject(fakeaws.Fault{Operation: operation, Rewrite: func(body []byte) []byte { return []byte(strings.ReplaceAll(string(body), from, to)) }})
		t.Cleanup(c.Proxy.Clear)
	}
	t.Run("the alarm subscription is not confirmed", func(t *testing.T) {
		topic := c.Resources["AlarmTopic"]
		rewrite(t, "ListSubscriptionsByTopic", "<SubscriptionArn>"+topic, "<SubscriptionArn>PendingConfirmation")
		d := doctor(t, c)
		d.exits(1)
		d.has("alarms", "FAILED", "not confirmed", "email oncall@example.com must open the link")
	})
	t.Run("a mapping is disabled", func(t *testing.T) {
		all, err := lambda.NewFromConfig(c.Config()).ListEventSourceMappings(t.Context(), &lambda.ListEventSourceMappingsInput{})
		if err != nil {
			t.Fatal(err)
		}
		uuid := aws.ToString(all.EventSourceMappings[0].UUID)
		c.Proxy.ShowMapping(uuid, "Disabled")
		defer c.Proxy.ShowMapping(uuid, "Enabled")
		d := doctor(t, c)
		d.exits(1)
		d.has("mappings", "FAILED", "is Disabled", "aws lambda update-event-source-mapping --enabled --uuid "+uuid)
	})
	t.Run("a schedule is disabled", func(t *testing.T) {
		name := c.Resources["PollerFunctionTick"]
		rewrite(t, "GET /schedules/"+name, `"ENABLED"`, `"DISABLED"`)
		d := doctor(t, c)
		d.exits(1)
		d.has("schedules", "FAILED", "disabled: "+name, "choose Enable", "schedules/default/"+name)
	})
	t.Run("dead letters", func(t *testing.T) {
		queues, url := sqs.NewFromConfig(c.Config()), c.Resources["SlackDeadLetterQueue"]
		if _, err := queues.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("{}")}); err != nil {
			t.Fatal(err)
		}
		defer func() { _, _ = queues.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: &url}) }()
		d := doctor(t, c)
		d.exits(0)
		d.has("dead letters", "warn", "1 in SlackDeadLetterQueue", "idmapping redrive slack --dry-run")
	})
	t.Run("no sweep for ten minutes", func(t *testing.T) {
		c.Proxy.Inject(fakeaws.Fault{Operation: "GetMetricStatistics", Rewrite: func(body []byte) []byte {
			return regexp.MustCompile(`<Timestamp>[^<]*`).ReplaceAll(body, []byte("<Timestamp>"+time.Now().UTC().Add(-time.Hour).Format(time.RFC3339)))
		}})
		defer c.Proxy.Clear()
		d := doctor(t, c)
		d.exits(1)
		d.has("last sweep", "FAILED", "60 minutes ago", "aws logs tail /aws/lambda/"+fakecloud.Stack+"-poller --since 15m")
	})
	t.Run("Entity Resolution refuses the poller", func(t *testing.T) {
		c.EntityResolution.Inject(httpfault.Fault{Operation: "ListIdMappingWorkflows", Status: http.StatusForbidden, Code: "AccessDeniedException"})
		defer c.EntityResolution.Clear()
		d := doctor(t, c)
		d.exits(1)
		d.has("poller", "FAILED", "has problems", "service control policy")
		d.has("workflows", "FAILED", `"Action":"entityresolution:ListIdMappingWorkflows"`)
		d.has("channel", "ok")
	})
	t.Run("the notifier is another version", func(t *testing.T) {
		rewrite(t, "POST /2015-03-31/functions/"+c.Notifier.Name+"/invocations", `"version":"`, `"version":"old-`)
		d := doctor(t, c)
		d.exits(1)
		d.has("notifier", "FAILED", "the notifier is version old-", "make deploy")
	})
	t.Run("the event bus accepts nothing", func(t *testing.T) {
		deny(c, "AWSEvents.PutEvents", "events:PutEvents")
		defer c.Proxy.Clear()
		d := doctor(t, c, "--canary")
		d.exits(1)
		d.has("canary", "FAILED", "events:PutEvents")
	})
}

func TestDoctorNamesStacksThatWatchTheSameWorkflows(t *testing.T) {
	c := healthyStack(t)
	stacks := cloudformation.NewFromConfig(c.Config())
	const template = `{"Parameters":{"WorkflowInclude":{"Type":"String"}},"Resources":{"T":{"Type":"AWS::SNS::Topic"}},
		"Outputs":{"PollerFunction":{"Value":"p"},"NotifierFunction":{"Value":"n"},"AlarmTopic":{"Value":"a"}}}`
	for name, include := range map[string]string{"second": "doctor-*", "third": "other-*"} {
		if _, err := stacks.CreateStack(t.Context(), &cloudformation.CreateStackInput{StackName: &name, TemplateBody: aws.String(template),
			Parameters: []cfntypes.Parameter{{ParameterKey: aws.String("WorkflowInclude"), ParameterValue: &include}}}); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_, _ = stacks.DeleteStack(t.Context(), &cloudformation.DeleteStackInput{StackName: &name})
		}()
	}
	d := doctor(t, c)
	d.exits(0)
	d.has("other stacks", "warn", "second (doctor-crm)", "WorkflowExclude")
	if strings.Contains(d.all, "third") {
		t.Errorf("a stack with a disjoint filter is named:\n%s", d.all)
	}
}

func TestDoctorShowsEachMissingStatementAndContinues(t *testing.T) {
	c := healthyStack(t)
	for name, denial := range map[string]struct{ operation, action string }{
		"secret":       {"AmazonSSM.GetParameter", "ssm:GetParameter"},
		"mappings":     {"GET /2015-03-31/event-source-mappings", "lambda:ListEventSourceMappings"},
		"schedules":    {"GET /schedules/" + c.Resources["PollerFunctionTick"], "scheduler:GetSchedule"},
		"dead letters": {"AmazonSQS.GetQueueAttributes", "sqs:GetQueueAttributes"},
		"ses":          {"GET /v2/email/account", "ses:GetAccount"},
		"alarms":       {"ListSubscriptionsByTopic", "sns:ListSubscriptionsByTopic"},
	} {
		t.Run(name, func(t *testing.T) {
			deny(c, denial.operation, denial.action)
			defer c.Proxy.Clear()
			d := doctor(t, c)
			d.exits(1)
			d.has(name, "FAILED", "access denied", `"Effect":"Allow","Action":"`+denial.action+`"`)
			failed := map[string]bool{}
			for _, l := range d.lines {
				failed[l.Check] = failed[l.Check] || l.Result == "FAILED"
			}
			delete(failed, name)
			for other := range maps.Keys(failed) {
				if failed[other] {
					t.Errorf("%s failed too:\n%s", other, d.all)
				}
			}
		})
	}
}
