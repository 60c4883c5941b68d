package template

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var regions = []string{"us-east-1", "eu-west-1"}

func TestFunctionsArePollerAndNotifier(t *testing.T) {
	for _, region := range regions {
		functions := deploy(t, region, toSlackAndEmail).resources("AWS::Lambda::Function")
		if got := slices.Sorted(maps.Keys(functions)); !slices.Equal(got, []string{"NotifierFunction", "PollerFunction"}) {
			t.Errorf("%s: functions %v", region, got)
		}
		timeouts := map[string]float64{"PollerFunction": 50, "NotifierFunction": 60}
		for id, f := range functions {
			got := []any{f["Runtime"], f["Handler"], f["Architectures"], f["MemorySize"], f["Timeout"]}
			want := []any{"provided.al2023", "bootstrap", []any{"arm64"}, 128.0, timeouts[id]}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %s is %v, want %v", region, id, got, want)
			}
		}
	}
}

func TestSchedulesHaveNoFixedNameAndNoLateRetries(t *testing.T) {
	s := deploy(t, "us-east-1", toSlackAndEmail)
	want := map[any]struct {
		input any
		age   float64 // maximum delay in seconds
	}{
		"rate(1 minute)": {nil, 60},
		"rate(2 hours)":  {`{"canary": "check"}`, 1800},
	}
	schedules := s.resources("AWS::Scheduler::Schedule")
	if len(schedules) != len(want) {
		t.Fatalf("%d schedules", len(schedules))
	}
	for id, schedule := range schedules {
		if name, ok := schedule["Name"]; ok {
			t.Errorf("%s is named %v: a second stack could not be created", id, name)
		}
		target := object(schedule["Target"])
		w, known := want[schedule["ScheduleExpression"]]
		if !known || target["Arn"] != "PollerFunction.Arn" || target["Input"] != w.input {
			t.Errorf("%s runs %v with %v at %v", id, target["Arn"], target["Input"], schedule["ScheduleExpression"])
		}
		if age := object(target["RetryPolicy"])["MaximumEventAgeInSeconds"]; age != w.age {
			t.Errorf("%s may come %v seconds late", id, age)
		}
		if schedule["State"] != "ENABLED" || target["RoleArn"] != "ScheduleRole.Arn" {
			t.Errorf("%s is %v with role %v", id, schedule["State"], target["RoleArn"])
		}
		if queue := object(target["DeadLetterConfig"])["Arn"]; queue != "PollerDeadLetterQueue.Arn" {
			t.Errorf("%s: dead letters go to %v", id, queue)
		}
	}
	invoke := s.resource(t, "AWS::Lambda::EventInvokeConfig", "PollerFunctionEventInvokeConfig")
	if invoke["MaximumRetryAttempts"] != 0.0 || invoke["MaximumEventAgeInSeconds"] != 60.0 {
		t.Errorf("Lambda retries ticks: %v", invoke)
	}
}

func TestNamesDifferBetweenStacks(t *testing.T) {
	s := deploy(t, "us-east-1", toSlackAndEmail)
	for _, r := range object(s.document["Resources"]) {
		typ := text(object(r)["Type"])
		if typ == "AWS::IAM::Policy" { // its name is unique within its role
			continue
		}
		_, kind, _ := strings.Cut(typ, "::")
		_, kind, _ = strings.Cut(kind, "::")
		for _, property := range []string{"Name", kind + "Name"} {
			name, ok := object(object(r)["Properties"])[property]
			if ok && !strings.Contains(text(s.resolve(name)), s.parameters["AWS::StackName"]) {
				t.Errorf("%s has the fixed name %v", typ, name)
			}
		}
	}
}

func TestFunctionsLogToTheirOwnGroupWithTheSetRetention(t *testing.T) {
	s := deploy(t, "us-east-1", map[string]string{"LogRetentionDays": "7", "SlackWebhookParameterName": "hook"})
	groups := s.resources("AWS::Logs::LogGroup")
	for id, f := range s.resources("AWS::Lambda::Function") {
		logging := object(f["LoggingConfig"])
		group := groups[text(logging["LogGroup"])]
		if logging["LogFormat"] != "JSON" || text(group["RetentionInDays"]) != "7" {
			t.Errorf("%s logs %v, kept %v days", id, logging, group["RetentionInDays"])
		}
	}
}

func TestUnconfiguredChannelsHaveNoResources(t *testing.T) {
	for _, c := range []struct {
		parameters   map[string]string
		slack, email bool
	}{
		{toSlackAndEmail, true, true},
		{map[string]string{"SlackWebhookParameterName": "hook"}, true, false},
		{map[string]string{"EmailFrom": "a@example.com", "EmailTo": "b@example.com"}, false, true},
	} {
		s := deploy(t, "us-east-1", c.parameters)
		for channel, want := range map[string]bool{"Slack": c.slack, "Email": c.email} {
			if _, got := s.resources("AWS::Events::Rule")[channel+"Rule"]; got != want {
				t.Errorf("%v: rule of %s: %v", c.parameters, channel, got)
			}
			if _, got := s.resources("AWS::SQS::QueuePolicy")[channel+"QueuePolicy"]; got != want {
				t.Errorf("%v: queue policy of %s: %v", c.parameters, channel, got)
			}
			if _, got := s.resources("AWS::CloudWatch::Alarm")[channel+"DeadLetterAlarm"]; got != want {
				t.Errorf("%v: alarm of %s: %v", c.parameters, channel, got)
			}
			mapping := s.resource(t, "AWS::Lambda::EventSourceMapping", "NotifierFunction"+channel)
			if mapping["Enabled"] != want {
				t.Errorf("%v: the notifier reads the queue of %s: %v", c.parameters, channel, mapping["Enabled"])
			}
		}
	}
}

func TestOutputsNameTheResourcesThatOthersUse(t *testing.T) {
	for _, region := range regions {
		s := deploy(t, region, toSlackAndEmail)
		outputs := object(s.document["Outputs"])
		for name, output := range outputs {
			if object(output)["Description"] == nil || text(s.resolve(object(output)["Value"])) == "" {
				t.Errorf("output %s is empty or lacks a description: %v", name, output)
			}
		}
		for _, name := range []string{"EventBus", "EventPattern", "JobsTable", "DeliveriesTable", "SlackQueue", "SlackDeadLetterQueue",
			"EmailQueue", "EmailDeadLetterQueue", "PollerFunction", "NotifierFunction", "AlarmTopic", "AlarmRecipients", "TestAlarms", "DashboardUrl"} {
			if outputs[name] == nil {
				t.Errorf("no output %s", name)
			}
		}
		if pattern := text(object(outputs["EventPattern"])["Value"]); !json.Valid([]byte(pattern)) {
			t.Errorf("the example pattern is not JSON: %s", pattern)
		}
	}
}

func TestPausedStackHasNoSchedulesAndNoAlarmActions(t *testing.T) {
	for paused, want := range map[string]struct {
		state   string
		enabled bool
	}{"false": {"ENABLED", true}, "true": {"DISABLED", false}} {
		s := deploy(t, "us-east-1", with(toSlackAndEmail, "Paused", paused))
		for id, schedule := range s.resources("AWS::Scheduler::Schedule") {
			if schedule["State"] != want.state {
				t.Errorf("Paused=%s: %s is %v", paused, id, schedule["State"])
			}
		}
		for id, alarm := range s.resources("AWS::CloudWatch::Alarm") {
			if alarm["ActionsEnabled"] != want.enabled {
				t.Errorf("Paused=%s: the actions of %s are enabled: %v", paused, id, alarm["ActionsEnabled"])
			}
		}
	}
}

func TestAlarmRecipientsOutputNamesThemOrNobody(t *testing.T) {
	for address, want := range map[string]string{"oncall@example.com": "oncall@example.com, once", "": "nobody: "} {
		s := deploy(t, "us-east-1", with(toSlackAndEmail, "AlarmEmail", address))
		got := text(s.resolve(object(object(s.document["Outputs"])["AlarmRecipients"])["Value"]))
		if !strings.HasPrefix(got, want) {
			t.Errorf("AlarmEmail=%s: the output is %q", address, got)
		}
	}
}

// with returns the parameters with another one set.
func with(parameters map[string]string, name, value string) map[string]string {
	changed := maps.Clone(parameters)
	changed[name] = value
	return changed
}
