package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/idmapping/notifier/internal/deployment"
	"github.com/idmapping/notifier/internal/fakecloud"
	"github.com/idmapping/notifier/internal/fakecloud/account"
	fakeaws "github.com/idmapping/notifier/internal/fakecloud/aws"
	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
)

// TestSmokeChecksADeployedStack runs against the real template and binaries.
func TestSmokeChecksADeployedStack(t *testing.T) {
	if testing.Short() {
		t.Skip("This test runs the real binaries: omit -short.")
	}
	refused := make(chan bool, 1)
	c, err := fakecloud.Deploy(t.Context(), fakecloud.Options{
		Parameters: map[string]string{"SlackChannel": fakecloud.SlackChannel, "SlackTokenParameterName": fakecloud.TokenParameter,
			"EmailFrom": fakecloud.EmailFrom, "EmailTo": "a@example.com"},
		Version: "v1.2.3",
		Log: func(name, line string) {
			t.Logf("%s: %s", name, line)
			if strings.Contains(line, `"notification failed"`) {
				select {
				case refused <- true:
				default:
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.EntityResolution.AddWorkflow("crm")
	c.EntityResolution.AddWorkflow("loyalty")
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": c.ProxyURL, "AWS_REGION": account.Region,
		"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_PROFILE": "", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull} {
		t.Setenv(name, value)
	}
	samconfig := filepath.Join(t.TempDir(), "samconfig.toml")
	if err := os.WriteFile(samconfig, []byte("[default.deploy.parameters]\nstack_name = \""+fakecloud.Stack+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// smoke checks that each line is in the output, and what the verdict is.
	smoke := func(t *testing.T, target deployment.Target, passes bool, lines ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // it ends a test that would not end
		defer cancel()
		var out strings.Builder
		if got := run(ctx, target, samconfig, &out); got != passes {
			t.Errorf("it passes: %v, want %v", got, passes)
		}
		for _, line := range lines {
			if !strings.Contains(out.String(), line) {
				t.Errorf("the output lacks %q", line)
			}
		}
		t.Logf("\n%s", out.String())
	}
	var saved deployment.Target

	t.Run("no such stack", func(t *testing.T) {
		smoke(t, deployment.Target{Stack: "another"}, false, "FAILED  stack      there is no stack another in "+account.Region)
	})
	t.Run("alarms go to nobody", func(t *testing.T) {
		smoke(t, saved, false,
			"ok      stack      "+fakecloud.Stack+" in "+account.Region,
			"ok      version    v1.2.3",
			"ok      workflows  the poller watches 2",
			"ok      channels   a test message arrived at ", "slack:"+fakecloud.SlackChannel, "a@example.com",
			"FAILED  alarms     go to nobody: deploy with AlarmEmail, or run aws sns subscribe --topic-arn arn:aws:sns:")
	})
	topic := c.Resources["AlarmTopic"]
	if _, err := sns.NewFromConfig(c.Config()).Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &topic, Protocol: aws.String("email"), Endpoint: aws.String("oncall@example.com")}); err != nil {
		t.Fatal(err)
	}
	t.Run("everything works", func(t *testing.T) {
		smoke(t, saved, true, "ok      alarms     go to email oncall@example.com")
	})
	t.Run("IAM refuses the workflows", func(t *testing.T) {
		c.EntityResolution.Inject(httpfault.Fault{Operation: "ListIdMappingWorkflows", Status: http.StatusForbidden, Code: "AccessDeniedException"})
		defer c.EntityResolution.Clear()
		smoke(t, saved, false, "FAILED  workflows  the poller watches 0 workflows and has problems: ", "access denied", "service control policy", "ok      channels")
	})
	t.Run("the bus accepts nothing", func(t *testing.T) {
		c.Proxy.Inject(fakeaws.Fault{Operation: "AWSEvents.PutEvents", Refuse: http.StatusForbidden, Code: "AccessDeniedException", Message: "no"})
		defer c.Proxy.Clear()
		smoke(t, saved, false, "ok      workflows", "FAILED  channels   the poller cannot send a test message")
	})
	t.Run("Slack refuses the bot", func(t *testing.T) {
		c.Slack.Inject(httpfault.Fault{Status: http.StatusOK, Body: `{"ok":false,"error":"not_in_channel"}`})
		defer c.Slack.Clear()
		target := saved
		cfg, err := target.Config(t.Context(), samconfig)
		if err != nil {
			t.Fatal(err)
		}
		stack, err := deployment.Find(t.Context(), cfg, target.Stack)
		if err != nil {
			t.Fatal(err)
		}
		id, err := stack.SendCanary(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		<-refused
		ended, end := context.WithCancel(t.Context())
		end()
		err = stack.AwaitCanary(ended, id, func(string) {})
		if err == nil || !strings.Contains(err.Error(), "not received after ") || !strings.Contains(err.Error(), ": slack:"+fakecloud.SlackChannel) {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("the notifier is an older version", func(t *testing.T) {
		next := t.TempDir()
		if err := fakecloud.Build(t.Context(), "NotifierFunction", next, "v1.2.2"); err != nil {
			t.Fatal(err)
		}
		c.Notifier.Deploy(next)
		smoke(t, saved, false, "FAILED  version    the poller is version v1.2.3, the notifier is version v1.2.2: deploy both again")
	})
	t.Run("the poller has no bootstrap", func(t *testing.T) {
		c.Poller.Deploy(t.TempDir())
		smoke(t, saved, false, "FAILED  workflows  the poller cannot read the workflows", "FAILED  channels")
	})
}
