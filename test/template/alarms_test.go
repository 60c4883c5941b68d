package template

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/emf"
	"github.com/idmapping/notifier/internal/fakecloud/sam"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/poller"
)

// ourMetrics are the metrics that the code writes.
func ourMetrics() []string {
	names := slices.Collect(maps.Keys(poller.Report{}.Values()))
	return slices.Sorted(slices.Values(slices.AppendSeq(names, maps.Keys(notify.Report{}.Values()))))
}

func TestAlarmsHaveTheirConditions(t *testing.T) {
	// by logical ID: metric, statistic over period times evaluations, condition,
	// and treatment of missing data.
	want := map[string]string{
		"HeartbeatAlarm":         "IdMappingNotifier SweepsCompleted of notifier: Sum LessThanThreshold 1 in 2 of 2 × 300 s, breaching",
		"UnpublishedAlarm":       "IdMappingNotifier OldestUnpublishedSeconds of notifier: Maximum GreaterThanThreshold 300 in 1 of 1 × 300 s, notBreaching",
		"DeniedAlarm":            "IdMappingNotifier WorkflowsDenied of notifier: Sum GreaterThanOrEqualToThreshold 1 in 1 of 1 × 300 s, notBreaching",
		"QuarantinedAlarm":       "IdMappingNotifier EventsQuarantined of notifier: Sum GreaterThanOrEqualToThreshold 1 in 1 of 1 × 300 s, notBreaching",
		"DestinationBrokenAlarm": "IdMappingNotifier DestinationsMisconfigured of notifier: Sum GreaterThanOrEqualToThreshold 1 in 1 of 1 × 300 s, notBreaching",
		"PollerDeadLetterAlarm":  "AWS/SQS ApproximateNumberOfMessagesVisible of PollerDeadLetterQueue.QueueName: Maximum GreaterThanOrEqualToThreshold 1 in 1 of 1 × 300 s, ignore",
	}
	for _, f := range []string{"Poller", "Notifier"} {
		for _, metric := range []string{"Errors", "Throttles"} {
			want[f+metric+"Alarm"] = "AWS/Lambda " + metric + " of " + f + "Function: Sum GreaterThanOrEqualToThreshold 1 in 2 of 3 × 300 s, notBreaching"
		}
	}
	for _, c := range []string{"Slack", "Email"} {
		want[c+"DeadLetterAlarm"] = "AWS/SQS ApproximateNumberOfMessagesVisible of " + c + "DeadLetterQueue.QueueName: Maximum GreaterThanOrEqualToThreshold 1 in 1 of 1 × 300 s, ignore"
		want[c+"QueueAgeAlarm"] = "AWS/SQS ApproximateAgeOfOldestMessage of " + c + "Queue.QueueName: Maximum GreaterThanThreshold 1800 in 1 of 1 × 300 s, notBreaching"
		want[c+"CanaryAlarm"] = "AWS/SQS NumberOfMessagesDeleted of " + c + "Queue.QueueName: Sum LessThanThreshold 1 in 5 of 5 × 3600 s, breaching"
		want[c+"RetriesAlarm"] = "AWS/SQS ApproximateNumberOfMessagesNotVisible of " + c + "Queue.QueueName: Minimum GreaterThanOrEqualToThreshold 1 in 6 of 6 × 300 s, notBreaching"
	}
	alarms := deploy(t, "us-east-1", toSlackAndEmail).resources("AWS::CloudWatch::Alarm")
	for id, alarm := range alarms {
		if got := describe(alarm); got != want[id] {
			t.Errorf("%s\n is   %s\n want %s", id, got, want[id])
		}
	}
	for id := range want {
		if alarms[id] == nil {
			t.Errorf("no alarm %s", id)
		}
	}
}

func describe(alarm map[string]any) string {
	points := alarm["DatapointsToAlarm"]
	if points == nil {
		points = alarm["EvaluationPeriods"]
	}
	dimensions := list(alarm["Dimensions"])
	return fmt.Sprintf("%v %v of %v: %v %v %v in %v of %v × %v s, %v", alarm["Namespace"], alarm["MetricName"],
		object(dimensions[0])["Value"], alarm["Statistic"], alarm["ComparisonOperator"], alarm["Threshold"],
		points, alarm["EvaluationPeriods"], alarm["Period"], alarm["TreatMissingData"])
}

func TestAlarmsDescribeTheRemedyAndNotifyTheTopic(t *testing.T) {
	s := deploy(t, "us-east-1", toSlackAndEmail)
	for id, alarm := range s.resources("AWS::CloudWatch::Alarm") {
		if !slices.Equal(texts(alarm["AlarmActions"]), []string{"AlarmTopic"}) {
			t.Errorf("%s goes to %v", id, alarm["AlarmActions"])
		}
		// Two sentences: what it means, and what to look at.
		description := text(alarm["AlarmDescription"])
		if len(description) > 700 || strings.Count(description, ". ") < 1 || !strings.HasSuffix(description, ".") {
			t.Errorf("%s has not two sentences: %q", id, description)
		}
	}
}

func TestAlarmsCanPublishToTheEncryptedTopic(t *testing.T) {
	s := deploy(t, "us-east-1", toSlackAndEmail)
	if key := s.resource(t, "AWS::SNS::Topic", "AlarmTopic")["KmsMasterKeyId"]; key != "AlarmTopicKey" {
		t.Fatalf("the topic's key is %v", key)
	}
	var allowed []string
	for _, st := range list(object(s.resource(t, "AWS::KMS::Key", "AlarmTopicKey")["KeyPolicy"])["Statement"]) {
		if object(object(st)["Principal"])["Service"] == "cloudwatch.amazonaws.com" {
			allowed = append(allowed, texts(object(st)["Action"])...)
		}
	}
	slices.Sort(allowed)
	if !slices.Equal(allowed, []string{"kms:Decrypt", "kms:GenerateDataKey*"}) {
		t.Errorf("CloudWatch may use the key for %v", allowed)
	}
	subscription := s.resource(t, "AWS::SNS::Subscription", "AlarmSubscription")
	if subscription["Endpoint"] != "oncall@example.com" || subscription["TopicArn"] != "AlarmTopic" || subscription["Protocol"] != "email" {
		t.Errorf("the subscription is %v", subscription)
	}
	if n := len(deploy(t, "us-east-1", nil).resources("AWS::SNS::Subscription")); n != 0 {
		t.Errorf("%d subscriptions without AlarmEmail", n)
	}
}

func TestAlarmsAndDashboardUseOnlyMetricsThatTheCodeWrites(t *testing.T) {
	s := deploy(t, "us-east-1", toSlackAndEmail)
	for id, alarm := range s.resources("AWS::CloudWatch::Alarm") {
		if alarm["Namespace"] != emf.Namespace {
			continue
		}
		if metric := text(alarm["MetricName"]); !slices.Contains(ourMetrics(), metric) {
			t.Errorf("%s watches %s, which nothing writes", id, metric)
		}
		dimension := object(list(alarm["Dimensions"])[0])
		if dimension["Name"] != "Stack" || dimension["Value"] != "notifier" {
			t.Errorf("%s watches %v", id, dimension)
		}
	}
	var shown []string
	for _, m := range dashboardMetrics(t, s) {
		if m[0] == emf.Namespace {
			if m[2] != "Stack" || m[3] != "notifier" {
				t.Errorf("the dashboard shows %v", m)
			}
			shown = append(shown, m[1])
		}
	}
	slices.Sort(shown)
	if want := ourMetrics(); !slices.Equal(shown, want) {
		t.Errorf("the dashboard shows %v, the code writes %v", shown, want)
	}
}

// dashboardMetrics returns namespace, metric, dimension and dimension value of each
// graphed metric, with CloudWatch's "." (the value of the line before) resolved.
func dashboardMetrics(t *testing.T, s stack) [][]string {
	t.Helper()
	var found [][]string
	for _, widget := range dashboard(t, s).Widgets {
		var before []string
		for _, metric := range list(widget.Properties["metrics"]) {
			line := texts(metric)[:4]
			for i := range line {
				if line[i] == "." {
					line[i] = before[i]
				}
			}
			found, before = append(found, line), line
		}
	}
	return found
}

type dashboardBody struct {
	Widgets []struct {
		Type                string
		X, Y, Width, Height int
		Properties          map[string]any
	}
}

func dashboard(t *testing.T, s stack) dashboardBody {
	t.Helper()
	var body dashboardBody
	source := text(s.resource(t, "AWS::CloudWatch::Dashboard", "Dashboard")["DashboardBody"])
	if err := json.Unmarshal([]byte(source), &body); err != nil {
		t.Fatalf("the dashboard is not JSON: %v\n%s", err, source)
	}
	return body
}

func TestRunbookExplainsEveryAlarm(t *testing.T) {
	root, err := sam.Root()
	if err != nil {
		t.Fatal(err)
	}
	runbook, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	said := map[string][]string{}
	for line := range strings.Lines(string(runbook)) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for _, id := range regexp.MustCompile(`\w+Alarm`).FindAllString(cells[0], -1) {
			said[id] = cells[1:]
		}
	}
	for id := range deploy(t, "us-east-1", toSlackAndEmail).resources("AWS::CloudWatch::Alarm") {
		// Meaning, where to look, remedy, command.
		if cells := said[id]; len(cells) != 4 || slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) == "" }) || !strings.Contains(cells[3], "`aws ") {
			t.Errorf("docs/operations.md is incomplete for %s: %q", id, cells)
		}
	}
}

func TestDashboardShowsEveryAlarm(t *testing.T) {
	prefix := regexp.MustCompile(`^arn:aws[a-z-]*:cloudwatch:[a-z0-9-]+:111122223333:alarm:`)
	for _, region := range regions {
		for _, parameters := range []map[string]string{
			toSlackAndEmail,
			{"SlackWebhookParameterName": "hook"},
			{"EmailFrom": "a@example.com", "EmailTo": "b@example.com"},
		} {
			s := deploy(t, region, parameters)
			body := dashboard(t, s)
			var shown, there []string
			for _, arn := range texts(body.Widgets[0].Properties["alarms"]) {
				if !prefix.MatchString(arn) {
					t.Errorf("%s is no alarm's ARN", arn)
				}
				shown = append(shown, prefix.ReplaceAllString(arn, ""))
			}
			for id := range s.resources("AWS::CloudWatch::Alarm") {
				there = append(there, id)
			}
			slices.Sort(shown)
			slices.Sort(there)
			if !slices.Equal(shown, there) {
				t.Errorf("%v: shows %v, there are %v", parameters, shown, there)
			}
		}
	}
}
