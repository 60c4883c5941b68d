package template

import (
	"reflect"
	"strings"
	"testing"
)

func TestStartRuleInvokesThePollerForCloudTrailsRecords(t *testing.T) {
	if n := len(deploy(t, "us-east-1", toSlackAndEmail).resources("AWS::Events::Rule")); n != 2 {
		t.Errorf("by default there are %d rules, want those of the channels", n)
	}
	s := deploy(t, "us-east-1", with(toSlackAndEmail, "TrackOnStart", "true"))
	rule := s.resource(t, "AWS::Events::Rule", "StartRule")
	pattern := map[string]any{
		"source":      []any{"aws.entityresolution", "aws.cleanrooms"},
		"detail-type": []any{"AWS API Call via CloudTrail"},
		"detail": map[string]any{
			"eventSource": []any{"entityresolution.amazonaws.com", "cleanrooms.amazonaws.com"},
			"eventName":   []any{"StartIdMappingJob", "PopulateIdMappingTable"},
		},
	}
	if rule["EventBusName"] != nil || rule["State"] != "ENABLED" || !reflect.DeepEqual(rule["EventPattern"], pattern) {
		t.Errorf("rule %v", rule)
	}
	target := object(rule["Targets"].([]any)[0])
	if text(target["Arn"]) != "PollerFunction.Arn" || text(object(target["DeadLetterConfig"])["Arn"]) != "PollerDeadLetterQueue.Arn" || target["RetryPolicy"] == nil {
		t.Errorf("target %v", target)
	}
	permission := s.resource(t, "AWS::Lambda::Permission", "StartRulePermission")
	if text(permission["FunctionName"]) != "PollerFunction" || permission["Principal"] != "events.amazonaws.com" || !strings.Contains(text(permission["SourceArn"]), "StartRule") {
		t.Errorf("permission %v", permission)
	}
	if policy := text(s.resource(t, "AWS::SQS::QueuePolicy", "PollerDeadLetterQueuePolicy")); !strings.Contains(policy, "StartRule") || !strings.Contains(policy, "TLSOnly") {
		t.Errorf("queue policy %s", policy)
	}
	paused := deploy(t, "us-east-1", with(with(toSlackAndEmail, "TrackOnStart", "true"), "Paused", "true"))
	if state := paused.resource(t, "AWS::Events::Rule", "StartRule")["State"]; state != "DISABLED" {
		t.Errorf("paused it is %v", state)
	}
}

func TestLikelyEndsAreFollowedOnlyWithATickAMinute(t *testing.T) {
	for _, c := range []struct{ rate, fast, want string }{
		{"rate(1 minute)", "true", "true"},
		{"rate(1 minute)", "false", "false"},
		{"rate(2 minutes)", "true", "false"},
	} {
		s := deploy(t, "us-east-1", with(with(toSlackAndEmail, "PollRate", c.rate), "FastPoll", c.fast))
		environment := object(object(s.resource(t, "AWS::Lambda::Function", "PollerFunction")["Environment"])["Variables"])
		if environment["FAST_POLL"] != c.want {
			t.Errorf("%s with FastPoll %s: %v", c.rate, c.fast, environment["FAST_POLL"])
		}
	}
}
