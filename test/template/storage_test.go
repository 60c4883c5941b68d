package template

import (
	"reflect"
	"slices"
	"testing"

	"github.com/idmapping/notifier/internal/event"
)

const fortnight = 14 * 24 * 3600.0 // seconds

func TestQueuesAreEncryptedAndHaveADeadLetterQueue(t *testing.T) {
	s := deploy(t, "us-east-1", toSlackAndEmail)
	queues := s.resources("AWS::SQS::Queue")
	for id, queue := range queues {
		if queue["SqsManagedSseEnabled"] != true {
			t.Errorf("%s is not encrypted", id)
		}
	}
	notifier := s.resource(t, "AWS::Lambda::Function", "NotifierFunction")
	for _, channel := range []string{"Slack", "Email"} {
		queue, dead := queues[channel+"Queue"], queues[channel+"DeadLetterQueue"]
		redrive := map[string]any{"deadLetterTargetArn": channel + "DeadLetterQueue.Arn", "maxReceiveCount": 600.0}
		if !reflect.DeepEqual(queue["RedrivePolicy"], redrive) {
			t.Errorf("%s: redrive %v", channel, queue["RedrivePolicy"])
		}
		if queue["MessageRetentionPeriod"] != fortnight || dead["MessageRetentionPeriod"] != fortnight {
			t.Errorf("%s: kept for %v and then %v seconds", channel, queue["MessageRetentionPeriod"], dead["MessageRetentionPeriod"])
		}
		if queue["VisibilityTimeout"] != 600.0 || queue["VisibilityTimeout"].(float64) < 6*notifier["Timeout"].(float64) {
			t.Errorf("%s: visibility %v s for a timeout of %v s", channel, queue["VisibilityTimeout"], notifier["Timeout"])
		}
	}
}

func TestNotifierReceivesSmallBatches(t *testing.T) {
	s := deploy(t, "us-east-1", toSlackAndEmail)
	for _, channel := range []string{"Slack", "Email"} {
		mapping := s.resource(t, "AWS::Lambda::EventSourceMapping", "NotifierFunction"+channel)
		want := map[string]any{
			"EventSourceArn": channel + "Queue.Arn", "FunctionName": "NotifierFunction", "Enabled": true, "BatchSize": 10.0,
			"FunctionResponseTypes": []any{"ReportBatchItemFailures"},
			"ScalingConfig":         map[string]any{"MaximumConcurrency": 2.0},
		}
		for key := range want {
			if !reflect.DeepEqual(mapping[key], want[key]) {
				t.Errorf("%s: %s is %v, want %v", channel, key, mapping[key], want[key])
			}
		}
	}
}

func TestRulesRouteOwnEventsToTheirQueueAndLoseNone(t *testing.T) {
	parameters := map[string]string{"EventBusName": "central"}
	for name, value := range toSlackAndEmail {
		parameters[name] = value
	}
	s := deploy(t, "us-east-1", parameters)
	for _, channel := range []string{"Slack", "Email"} {
		rule := s.resource(t, "AWS::Events::Rule", channel+"Rule")
		pattern := map[string]any{"source": []any{event.Source, event.CanarySource}, "detail-type": []any{event.StateChange, event.Vanished, event.Summary, event.Canary},
			"detail": map[string]any{"publisher": []any{"notifier"}}}
		if rule["EventBusName"] != "central" || !reflect.DeepEqual(rule["EventPattern"], pattern) {
			t.Errorf("%s: %v on bus %v", channel, rule["EventPattern"], rule["EventBusName"])
		}
		targets := []any{map[string]any{
			"Id": channel + "Queue", "Arn": channel + "Queue.Arn",
			"RetryPolicy":      map[string]any{"MaximumEventAgeInSeconds": 86400.0, "MaximumRetryAttempts": 185.0},
			"DeadLetterConfig": map[string]any{"Arn": channel + "DeadLetterQueue.Arn"},
		}}
		if !reflect.DeepEqual(rule["Targets"], targets) {
			t.Errorf("%s: targets %v", channel, rule["Targets"])
		}
	}
}

func TestQueuesAcceptMessagesOnlyFromTheirRule(t *testing.T) {
	s := deploy(t, "us-east-1", toSlackAndEmail)
	policies := s.resources("AWS::SQS::QueuePolicy")
	for _, channel := range []string{"Slack", "Email"} {
		policy := policies[channel+"QueuePolicy"]
		if !slices.Equal(texts(policy["Queues"]), []string{channel + "Queue", channel + "DeadLetterQueue"}) {
			t.Errorf("%s: the policy is on %v", channel, policy["Queues"])
		}
		want := []any{map[string]any{
			"Sid": channel + "RuleOnly", "Effect": "Allow", "Action": "sqs:SendMessage",
			"Principal": map[string]any{"Service": "events.amazonaws.com"},
			"Resource":  []any{channel + "Queue.Arn", channel + "DeadLetterQueue.Arn"},
			"Condition": map[string]any{"ArnEquals": map[string]any{"aws:SourceArn": channel + "Rule.Arn"}},
		}}
		if got := object(policy["PolicyDocument"])["Statement"]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: policy %v", channel, got)
		}
	}
	if len(policies) != 2 {
		t.Errorf("%d queue policies, want 2", len(policies))
	}
}

func TestTablesAreEncryptedBackedUpAndHaveATTL(t *testing.T) {
	s := deploy(t, "us-east-1", toSlackAndEmail)
	keys := map[string][2]string{"JobsTable": {"partition", "sort"}, "DeliveriesTable": {"job", "destination"}}
	tables := s.resources("AWS::DynamoDB::Table")
	for id, table := range tables {
		attribute := func(name, kind string) any { return map[string]any{"AttributeName": name, kind: "S"} }
		key := func(name, kind string) any { return map[string]any{"AttributeName": name, "KeyType": kind} }
		want := map[string]any{
			"BillingMode":                      "PAY_PER_REQUEST",
			"AttributeDefinitions":             []any{attribute(keys[id][0], "AttributeType"), attribute(keys[id][1], "AttributeType")},
			"KeySchema":                        []any{key(keys[id][0], "HASH"), key(keys[id][1], "RANGE")},
			"TimeToLiveSpecification":          map[string]any{"AttributeName": "expiresAt", "Enabled": true},
			"SSESpecification":                 map[string]any{"SSEEnabled": true},
			"PointInTimeRecoverySpecification": map[string]any{"PointInTimeRecoveryEnabled": true},
		}
		if !reflect.DeepEqual(table, want) {
			t.Errorf("%s\n is   %v\n want %v", id, table, want)
		}
	}
	if len(tables) != len(keys) {
		t.Errorf("%d tables, want %d", len(tables), len(keys))
	}
}

func TestJobsTableAloneOutlivesTheStack(t *testing.T) {
	s := deploy(t, "us-east-1", toSlackAndEmail)
	for id, r := range object(s.document["Resources"]) {
		deletion, replaced := object(r)["DeletionPolicy"], object(r)["UpdateReplacePolicy"]
		kept := deletion == "RetainExceptOnCreate" && replaced == "Retain"
		gone := (deletion == nil || deletion == "Delete") && (replaced == nil || replaced == "Delete")
		if id == "JobsTable" && !kept || id != "JobsTable" && !gone {
			t.Errorf("%s: DeletionPolicy %v, UpdateReplacePolicy %v", id, deletion, replaced)
		}
	}
}
