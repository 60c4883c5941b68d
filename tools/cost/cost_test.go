package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
	"github.com/idmapping/notifier/internal/fakecloud/sam/samtest"
)

var translation struct {
	once sync.Once
	text []byte
	err  error
}

// translated is the real template as CloudFormation receives it.
func translated(t *testing.T) []byte {
	t.Helper()
	samtest.RequirePython(t)
	translation.once.Do(func() { translation.text, translation.err = sam.Translate(t.Context(), "us-east-1", nil) })
	if translation.err != nil {
		t.Fatal(translation.err)
	}
	return translation.text
}

func TestReadmeHasTheGeneratedTable(t *testing.T) {
	text, err := tables(translated(t))
	if err != nil {
		t.Fatal(err)
	}
	root, err := sam.Root()
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if updated, err := replaceBlock(string(readme), text); err != nil || updated != string(readme) {
		t.Errorf("the cost table in README.md differs (%v), run make cost WRITE=1; it is now\n%s", err, text)
	}
}

// The limits are the design's: $5 without the dashboard, of which $0.60 for what
// runs.
func TestIdleMonthWithTwoChannelsKeepsTheLimits(t *testing.T) {
	prices, err := readPrices()
	if err != nil {
		t.Fatal(err)
	}
	s, err := readStack(translated(t), false, slackChannel, emailChannel)
	if err != nil {
		t.Fatal(err)
	}
	idle := month(s, prices, 0)
	if all := sum(item.list, idle.runs, idle.watches, idle.dashboard); all > 5 {
		t.Errorf("an idle month costs $%.3f", all)
	}
	if runs := sum(item.list, idle.runs); runs > 0.60 {
		t.Errorf("what runs costs $%.3f in an idle month", runs)
	}
}

func TestEveryPriceNamesItsPageAndDate(t *testing.T) {
	prices, err := readPrices()
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range prices {
		if p.Dollars <= 0 || p.Per <= 0 || p.Name == "" || p.Unit == "" || p.Checked == "" || !strings.HasPrefix(p.Page, "https://aws.amazon.com/") {
			t.Errorf("%s is incomplete: %+v", name, p)
		}
		if _, err := time.Parse(time.DateOnly, p.Date); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := month(stack{requestsPerSecond: 5}, prices, 1)
	used := 0
	for _, items := range [][]item{b.runs, b.watches, b.dashboard} {
		for _, i := range items {
			if used++; i.Name == "" {
				t.Error("an item of the bill has no price in prices.json")
			}
		}
	}
	if used != len(prices) {
		t.Errorf("%d prices for %d items of the bill", len(prices), used)
	}
}

func TestStackHasWhatTheTemplateCreates(t *testing.T) {
	parameters := `"Parameters": {"SlackChannel": {"Default": ""}, "EmailTo": {"Default": ""}, "Dashboard": {"Default": "true"}, "PollRate": {"Default": "rate(2 minutes)"},
		"RequestsPerSecond": {"Default": 5}, "RetentionDays": {"Default": 90}},
		"Conditions": {"HasSlack": {"Fn::Not": [{"Fn::Equals": [{"Ref": "SlackChannel"}, ""]}]}, "HasEmail": {"Fn::Not": [{"Fn::Equals": [{"Ref": "EmailTo"}, ""]}]},
			"HasBoth": {"Fn::And": [{"Condition": "HasSlack"}, {"Condition": "HasEmail"}]}, "HasAny": {"Fn::Or": [{"Condition": "HasSlack"}, {"Condition": "HasEmail"}]},
			"HasDashboard": {"Fn::Equals": [{"Ref": "Dashboard"}, "true"]}},`
	resources := `"Resources": {
		"PollerFunction": {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": 128}},
		"NotifierFunction": {"Type": "AWS::Lambda::Function", "Properties": {"MemorySize": 256}},
		"Tick": {"Type": "AWS::Scheduler::Schedule", "Properties": {"ScheduleExpression": {"Ref": "PollRate"}, "Target": {}}},
		"Canary": {"Type": "AWS::Scheduler::Schedule", "Properties": {"ScheduleExpression": "rate(1 hour)", "Target": {"Input": "{\"canary\": \"check\"}"}}},
		"NotifierFunctionSlack": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"Enabled": {"Fn::If": ["HasSlack", true, false]}, "ScalingConfig": {"MaximumConcurrency": 2}}},
		"NotifierFunctionEmail": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": {"Enabled": {"Fn::If": ["HasEmail", true, false]}}},
		"Table": {"Type": "AWS::DynamoDB::Table", "Properties": {"SSESpecification": {"SSEEnabled": true}}},
		"Plain": {"Type": "AWS::CloudWatch::Alarm", "Condition": "HasAny", "Properties": {"MetricName": "A"}},
		"Math": {"Type": "AWS::CloudWatch::Alarm", "Condition": "HasBoth", "Properties": {"Metrics": [{"MetricStat": {}}, {"MetricStat": {}}, {"Expression": "a + b"}]}},
		"Board": {"Type": "AWS::CloudWatch::Dashboard", "Condition": "HasDashboard"},
		"Key": {"Type": "AWS::KMS::Key", "Condition": "HasEmail"}}`
	one := stack{ticks: 21900, canaries: 730, pollerGB: 0.125, notifierGB: 0.25, requestsPerSecond: 5, retentionDays: 90,
		channels: []string{slackChannel}, idlePollers: 5, encryptedTables: 1, alarmMetrics: 1, dashboards: 1}
	two := one
	two.channels, two.idlePollers, two.alarmMetrics, two.keys, two.dashboards = []string{emailChannel, slackChannel}, 7, 3, 1, 0
	for _, c := range []struct {
		dashboard bool
		channels  []string
		want      stack
	}{
		{true, []string{slackChannel}, one},
		{false, []string{slackChannel, emailChannel}, two},
	} {
		got, err := readStack([]byte("{"+parameters+resources+"}"), c.dashboard, c.channels...)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v:\n%+v (%v), want\n%+v", c.channels, got, err, c.want)
		}
	}
	unpriced := strings.Replace(resources, "AWS::KMS::Key", "AWS::CloudWatch::CompositeAlarm", 1)
	if !json.Valid([]byte("{" + parameters + unpriced + "}")) {
		t.Fatal("the template of the test is no JSON")
	}
	if _, err := readStack([]byte("{"+parameters+unpriced+"}"), true, emailChannel); err == nil {
		t.Error("a resource without a known price is left out")
	}
}
