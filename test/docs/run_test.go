package docs

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/fakecloud"
	"github.com/idmapping/notifier/internal/fakecloud/account"
	"github.com/idmapping/notifier/internal/fakecloud/sam/samtest"
	"github.com/idmapping/notifier/internal/jobs"
)

// runs are the blocks that run against the fake cloud, in this order, each named
// by words that only it contains. The others need what the fake cloud lacks: moto
// has no message move tasks, no SES account and suppression list and no log tail,
// its CloudFormation creates no alarm and no subscription, and the fake cloud has
// no second version to deploy.
var runs = []struct {
	file, block string
	before      string // commands before the block
	then        string // commands after the block
	want        string // pattern that the output matches
}{
	{"docs/operations.md", "# who received what", "", "", `4f2a`},
	{"docs/operations.md", "--no-scan-index-forward", "", "", `workflow#crm`},
	{"docs/operations.md", "resource()", "", "poller '{}'", `"workflows":1`},
	{"docs/operations.md", "resource()", "", `poller '{"workflowName":"crm"}'`, `"swept":1`},
	{"docs/operations.md", "--visibility-timeout 0", "", "queue_arn SlackDeadLetterQueue; output AlarmTopic", `^arn:aws:sqs:\S+\narn:aws:sns:\S+\n$`},
	{"docs/operations.md", "--no-enabled", "", "", `(?s)"State": "Disabled".*"State": "Disabled"`},
	{"docs/operations.md", "purge-queue", "", "", ""},
	{"docs/operations.md", "put-function-concurrency", "", "", `"ReservedConcurrentExecutions": 0`},
	{"docs/operations.md", "restore-table-to-point-in-time", "set_parameter() { :; }", // moto keeps no previous values of defaults
		"aws dynamodb describe-table --table-name idmapping-jobs-restored --query Table.DeletionProtectionEnabled", `true\s*$`},
	{"docs/operations.md", "ssm put-parameter", "",
		"aws ssm get-parameter --with-decryption --name /idmapping/slack-token --query Parameter.Value --output text", `pasted-secret\n$`},
	{"docs/operations.md", "sns subscribe", "", "", `"SubscriptionArn"`},
	{"docs/operations.md", "list-subscriptions-by-topic", "", "", `email\ton-call@example\.com\tarn:`},
	{"docs/operations.md", "set-alarm-state", `resource() { echo "$1"; }
aws cloudwatch put-metric-alarm --alarm-name HeartbeatAlarm --comparison-operator LessThanThreshold --evaluation-periods 1 --threshold 1`,
		`aws cloudwatch describe-alarms --state-value ALARM --query 'MetricAlarms[].AlarmName' --output text`, `HeartbeatAlarm\n$`},
	{"docs/operations.md", "budgets create-budget", "", "aws budgets describe-budgets --account-id 123456789012 --query 'Budgets[].BudgetName' --output text", `idmapping\n$`},
	{"docs/operations.md", "for queue in", "set_parameter() { :; }", "", `(?s)ApproximateNumberOfMessages.*ApproximateNumberOfMessagesNotVisible`},
	{"README.md", "ssm put-parameter", "aws ssm delete-parameter --name /idmapping/slack-token", "", `"Version": 1`},
	{"README.md", "create-email-identity", "", "", `EMAIL_ADDRESS`},
	{"README.md", `"canary":"show"`, "", "", `(?s)"workflows":1.*"canary":"[0-9a-f]{64}"`},
	{"README.md", "events put-rule", "", "aws events list-targets-by-rule --rule id-mapping-failures --query 'Targets[].Arn' --output text", `my-queue\n$`},
	{"docs/operations.md", "ssm delete-parameter", "", "", ""},
	{"docs/operations.md", "dynamodb delete-table", "TABLE=$(output JobsTable)", "", `"TableStatus"`},
}

func TestCommandsRunOnTheFakeCloud(t *testing.T) {
	if testing.Short() {
		t.Skip("It builds and deploys the product.")
	}
	python := samtest.RequirePython(t)
	cloud, err := fakecloud.Deploy(t.Context(), fakecloud.Options{Parameters: map[string]string{
		"EmailFrom": fakecloud.EmailFrom, "EmailTo": "data-team@example.com",
		"SlackChannel": fakecloud.SlackChannel, "SlackTokenParameterName": fakecloud.TokenParameter,
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer cloud.Close()
	cloud.EntityResolution.Put(jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "4f2a"}, Status: jobs.Running})
	if _, err := cloud.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := install(t, fmt.Sprintf("#!/bin/sh\nexec '%s' '%s' run \"$@\"\n", python, filepath.Join(root(t), "test", "docs", "aws.py")), "aws")
	env := []string{"AWS_ENDPOINT_URL=" + cloud.ProxyURL, "AWS_DEFAULT_REGION=" + account.Region, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test"}
	functions := find(t, "docs/operations.md", "resource()")
	for _, r := range runs {
		t.Run(r.file+" "+r.block, func(t *testing.T) {
			block := find(t, r.file, r.block)
			block.text = strings.ReplaceAll(block.text, "idmapping-notifier", fakecloud.Stack)
			all := []snippet{functions, {"test:1", "STACK=" + fakecloud.Stack + " AWS_REGION=" + account.Region + "\n" + r.before + "\n"}}
			if block.place != functions.place {
				all = append(all, block)
			}
			out, err := shell(t, path, env, append(all, snippet{"test:2", r.then + "\n"}))
			if err != nil {
				t.Fatal(err)
			}
			if !regexp.MustCompile(r.want).MatchString(out) {
				t.Errorf("%s printed %q, want %s", block.place, out, r.want)
			}
		})
	}
}

// find returns the one block of a file that contains the words.
func find(t *testing.T, file, words string) snippet {
	t.Helper()
	blocks, _ := snippets(t, file)
	var found []snippet
	for _, b := range blocks {
		if strings.Contains(b.text, words) {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d blocks of %s contain %q, want 1", len(found), file, words)
	}
	return found[0]
}
