package template

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
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
	// by logical ID: metric or expression, statistic over period times evaluations,
	// condition, and treatment of missing data.
	want := map[string]string{
		"HeartbeatAlarm":         "FILL(IdMappingNotifier SweepsCompleted of notifier, 0): Sum LessThanThreshold 1 in 2 of 2 × 300 s, breaching",
		"UnpublishedAlarm":       "IdMappingNotifier OldestUnpublishedSeconds of notifier: Maximum GreaterThanThreshold 300 in 1 of 1 × 300 s, notBreaching",
		"DeniedAlarm":            "IdMappingNotifier WorkflowsDenied of notifier: Sum GreaterThanOrEqualToThreshold 1 in 1 of 1 × 300 s, notBreaching",
		"QuarantinedAlarm":       "IdMappingNotifier EventsQuarantined of notifier: Sum GreaterThanOrEqualToThreshold 1 in 1 of 288 × 300 s, notBreaching",
		"DestinationBrokenAlarm": "IdMappingNotifier DestinationsMisconfigured of notifier: Sum GreaterThanOrEqualToThreshold 1 in 1 of 3 × 300 s, notBreaching",
		"PollerErrorsAlarm":      "AWS/Lambda Errors of PollerFunction: Sum GreaterThanOrEqualToThreshold 1 in 2 of 3 × 300 s, notBreaching",
		"NotifierErrorsAlarm":    "AWS/Lambda Errors of NotifierFunction: Sum GreaterThanOrEqualToThreshold 1 in 2 of 3 × 300 s, notBreaching",
		"PollerDeadLetterAlarm":  "AWS/SQS ApproximateNumberOfMessagesVisible of PollerDeadLetterQueue.QueueName: Maximum GreaterThanOrEqualToThreshold 1 in 1 of 1 × 300 s, ignore",
	}
	for _, c := range []string{"Slack", "Email"} {
		want[c+"DeadLetterAlarm"] = "AWS/SQS ApproximateNumberOfMessagesVisible of " + c + "DeadLetterQueue.QueueName: Maximum GreaterThanOrEqualToThreshold 1 in 1 of 1 × 300 s, ignore"
		want[c+"QueueAgeAlarm"] = "AWS/SQS ApproximateAgeOfOldestMessage of " + c + "Queue.QueueName: Maximum GreaterThanThreshold 1800 in 1 of 1 × 300 s, notBreaching"
		want[c+"CanaryAlarm"] = "FILL(AWS/SQS NumberOfMessagesDeleted of " + c + "Queue.QueueName, 0): Sum LessThanThreshold 1 in 18 of 18 × 900 s, breaching"
		want[c+"RetriesAlarm"] = "AWS/SQS ApproximateNumberOfMessagesNotVisible of " + c + "Queue.QueueName: Minimum GreaterThanOrEqualToThreshold 1 in 6 of 6 × 300 s, notBreaching"
		want[c+"RuleAlarm"] = "AWS/Events FailedInvocations of notifier-" + c + "Rule-1ABC: Sum GreaterThanOrEqualToThreshold 1 in 1 of 1 × 300 s, notBreaching"
		want[c+"EventsLostAlarm"] = "AWS/Events InvocationsFailedToBeSentToDlq of notifier-" + c + "Rule-1ABC: Sum GreaterThanOrEqualToThreshold 1 in 1 of 288 × 300 s, notBreaching"
	}
	alarms := deploy(t, "us-east-1", toSlackAndEmail).resources("AWS::CloudWatch::Alarm")
	for id, alarm := range alarms {
		if got := describe(t, alarm); got != want[id] {
			t.Errorf("%s\n is   %s\n want %s", id, got, want[id])
		}
	}
	for id := range want {
		if alarms[id] == nil {
			t.Errorf("no alarm %s", id)
		}
	}
}

// watched returns the namespace, name and dimensions of the metric that an alarm
// evaluates, with the statistic, its period and the expression, if any.
func watched(t *testing.T, alarm map[string]any) (metric map[string]any, statistic, period, expression any) {
	t.Helper()
	queries := list(alarm["Metrics"])
	if len(queries) == 0 {
		return alarm, alarm["Statistic"], alarm["Period"], nil
	}
	input, result := object(queries[0]), object(queries[1])
	if len(queries) != 2 || input["ReturnData"] != false || result["ReturnData"] == false {
		t.Fatalf("the alarm evaluates %v", queries)
	}
	if want := "FILL(" + text(input["Id"]) + ", 0)"; result["Expression"] != want {
		t.Errorf("the expression is %v, want %s", result["Expression"], want)
	}
	stat := object(input["MetricStat"])
	return object(stat["Metric"]), stat["Stat"], stat["Period"], result["Expression"]
}

func describe(t *testing.T, alarm map[string]any) string {
	t.Helper()
	points := alarm["DatapointsToAlarm"]
	if points == nil {
		points = alarm["EvaluationPeriods"]
	}
	metric, statistic, period, expression := watched(t, alarm)
	dimensions := list(metric["Dimensions"])
	of := fmt.Sprintf("%v %v of %v", metric["Namespace"], metric["MetricName"], object(dimensions[len(dimensions)-1])["Value"])
	if expression != nil {
		of = "FILL(" + of + ", 0)"
	}
	return fmt.Sprintf("%s: %v %v %v in %v of %v × %v s, %v", of, statistic, alarm["ComparisonOperator"], alarm["Threshold"],
		points, alarm["EvaluationPeriods"], period, alarm["TreatMissingData"])
}

// The metrics of a rule on a custom bus have the bus as a dimension too.
func TestRuleAlarmsFollowTheirRuleToAnyBus(t *testing.T) {
	for bus, want := range map[string][]any{
		"default": {map[string]any{"Name": "RuleName", "Value": "notifier-SlackRule-1ABC"}},
		"central": {map[string]any{"Name": "EventBusName", "Value": "central"}, map[string]any{"Name": "RuleName", "Value": "notifier-SlackRule-1ABC"}},
	} {
		alarms := deploy(t, "us-east-1", with(toSlackAndEmail, "EventBusName", bus)).resources("AWS::CloudWatch::Alarm")
		for _, id := range []string{"SlackRuleAlarm", "SlackEventsLostAlarm"} {
			if got := alarms[id]["Dimensions"]; !reflect.DeepEqual(got, want) {
				t.Errorf("bus %s: %s watches %v", bus, id, got)
			}
		}
	}
}

func TestAlarmsDescribeTheRemedyAndNotifyTheTopic(t *testing.T) {
	s := deploy(t, "us-east-1", toSlackAndEmail)
	for id, alarm := range s.resources("AWS::CloudWatch::Alarm") {
		if !slices.Equal(texts(alarm["AlarmActions"]), []string{"AlarmTopic"}) {
			t.Errorf("%s goes to %v", id, alarm["AlarmActions"])
		}
		if !slices.Equal(texts(alarm["OKActions"]), []string{"AlarmTopic"}) {
			t.Errorf("%s clears without a message: %v", id, alarm["OKActions"])
		}
		// Two sentences: what it means, and what to look at.
		description := text(alarm["AlarmDescription"])
		if len(description) > 700 || strings.Count(description, ". ") < 1 || !strings.HasSuffix(description, ".") {
			t.Errorf("%s has not two sentences: %q", id, description)
		}
	}
}

func TestAlarmsOfThisAccountCanPublishToTheTopic(t *testing.T) {
	s := deploy(t, "us-east-1", toSlackAndEmail)
	// CloudWatch cannot publish under alias/aws/sns, and a customer managed key has
	// its price.
	if key, ok := s.resource(t, "AWS::SNS::Topic", "AlarmTopic")["KmsMasterKeyId"]; ok {
		t.Errorf("the topic's key is %v", key)
	}
	want := map[string]any{
		"Sid": "AlarmsOfThisAccount", "Effect": "Allow", "Action": "sns:Publish", "Resource": "AlarmTopic",
		"Principal": map[string]any{"Service": "cloudwatch.amazonaws.com"},
		"Condition": map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": "111122223333"}},
	}
	document := object(s.resource(t, "AWS::SNS::TopicPolicy", "AlarmTopicPolicy")["PolicyDocument"])
	if got := list(document["Statement"])[0]; !reflect.DeepEqual(got, want) {
		t.Errorf("the topic allows %v", got)
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
		metric, _, _, _ := watched(t, alarm)
		if metric["Namespace"] != emf.Namespace {
			continue
		}
		if name := text(metric["MetricName"]); !slices.Contains(ourMetrics(), name) {
			t.Errorf("%s watches %s, which nothing writes", id, name)
		}
		dimension := object(list(metric["Dimensions"])[0])
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
	source := text(s.resource(t, "AWS::CloudWatch::Dashboard", "OperationsDashboard")["DashboardBody"])
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
		for _, id := range regexp.MustCompile(`\w+Alarm\b`).FindAllString(cells[0], -1) {
			said[id] = cells[1:]
		}
	}
	alarms := deploy(t, "us-east-1", toSlackAndEmail).resources("AWS::CloudWatch::Alarm")
	for id := range said {
		if alarms[id] == nil {
			t.Errorf("docs/operations.md explains %s, which does not exist", id)
		}
	}
	for id := range alarms {
		// Meaning, where to look, remedy, command.
		if cells := said[id]; len(cells) != 4 || slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) == "" }) || !regexp.MustCompile("`(aws|idmapping) ").MatchString(cells[3]) {
			t.Errorf("docs/operations.md is incomplete for %s: %q", id, cells)
		}
	}
}

func TestDashboardShowsEveryAlarm(t *testing.T) {
	prefix := regexp.MustCompile(`^arn:aws:cloudwatch:[a-z0-9-]+:111122223333:alarm:`)
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

func TestDashboardIsOptional(t *testing.T) {
	s := deploy(t, "us-east-1", with(toSlackAndEmail, "Dashboard", "false"))
	if n := len(s.resources("AWS::CloudWatch::Dashboard")); n != 0 {
		t.Errorf("%d dashboards", n)
	}
	if s.created(object(object(s.document["Outputs"])["DashboardUrl"])) {
		t.Error("an output links to it")
	}
}
