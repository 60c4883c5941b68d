package template

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
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
			// With a maximum concurrency, Lambda polls an idle queue with more
			// pollers, and each request has its price.
			"ScalingConfig": nil,
		}
		for key := range want {
			if !reflect.DeepEqual(mapping[key], want[key]) {
				t.Errorf("%s: %s is %v, want %v", channel, key, mapping[key], want[key])
			}
		}
	}
}

func TestRulesRouteOwnEventsToTheirQueueAndLoseNone(t *testing.T) {
	s := deploy(t, "us-east-1", with(toSlackAndEmail, "EventBusName", "central"))
	for _, channel := range []string{"Slack", "Email"} {
		rule := s.resource(t, "AWS::Events::Rule", channel+"Rule")
		pattern := map[string]any{"source": []any{event.Source, event.CanarySource}, "detail-type": []any{event.StateChange, event.Vanished, event.Overdue, event.RunMissing, event.RunResumed, event.MuteEnded, event.Summary, event.Canary},
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
	for _, bus := range []string{"default", "central"} {
		s := deploy(t, "us-east-1", with(toSlackAndEmail, "EventBusName", bus))
		policies := s.resources("AWS::SQS::QueuePolicy")
		for _, channel := range []string{"Slack", "Email"} {
			policy := policies[channel+"QueuePolicy"]
			if !slices.Equal(texts(policy["Queues"]), []string{channel + "Queue", channel + "DeadLetterQueue"}) {
				t.Errorf("%s: the policy is on %v", channel, policy["Queues"])
			}
			rule := "arn:aws:events:us-east-1:111122223333:rule/"
			want := map[string]any{
				"Sid": channel + "RuleOnly", "Effect": "Allow", "Action": "sqs:SendMessage",
				"Principal": map[string]any{"Service": "events.amazonaws.com"},
				"Resource":  []any{channel + "Queue.Arn", channel + "DeadLetterQueue.Arn"},
				"Condition": map[string]any{"ArnLike": map[string]any{"aws:SourceArn": []any{
					s.ruleARN(channel + "Rule"), rule + "notifier-" + channel + "Rule-*", rule + "*/notifier-" + channel + "Rule-*",
				}}},
			}
			if got := list(object(policy["PolicyDocument"])["Statement"])[0]; !reflect.DeepEqual(got, want) {
				t.Errorf("%s: policy %v", channel, got)
			}
		}
	}
}

// A change of EventBusName replaces the rules. The old ones deliver until the poller
// publishes on the new bus.
func TestQueuesAcceptTheRulesOfTheFormerBus(t *testing.T) {
	buses := []string{"default", "central", "other"}
	for _, current := range buses {
		s := deploy(t, "us-east-1", with(toSlackAndEmail, "EventBusName", current))
		for _, channel := range []string{"Slack", "Email"} {
			statement := object(list(object(s.resources("AWS::SQS::QueuePolicy")[channel+"QueuePolicy"]["PolicyDocument"])["Statement"])[0])
			accepted := func(arn string) bool {
				return slices.ContainsFunc(texts(object(object(statement["Condition"])["ArnLike"])["aws:SourceArn"]), func(pattern string) bool {
					expression := "^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$"
					return regexp.MustCompile(expression).MatchString(arn)
				})
			}
			for _, former := range buses {
				if arn := deploy(t, "us-east-1", map[string]string{"EventBusName": former}).ruleARN(channel + "Rule"); !accepted(arn) {
					t.Errorf("from %s to %s: the queue refuses %s", former, current, arn)
				}
			}
			if foreign := "arn:aws:events:us-east-1:111122223333:rule/other-" + channel + "Rule-1ABC"; accepted(foreign) {
				t.Errorf("the queue accepts %s", foreign)
			}
		}
	}
}

func TestQueuesAndTopicAcceptOnlyTLS(t *testing.T) {
	s := deploy(t, "us-east-1", toSlackAndEmail)
	protected := map[string]bool{}
	for _, typ := range []string{"AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"} {
		for _, policy := range s.resources(typ) {
			for _, st := range list(object(policy["PolicyDocument"])["Statement"]) {
				st := object(st)
				if st["Effect"] == "Deny" && st["Principal"] == "*" && reflect.DeepEqual(st["Condition"], map[string]any{"Bool": map[string]any{"aws:SecureTransport": false}}) {
					for _, of := range texts(st["Resource"]) {
						protected[strings.TrimSuffix(of, ".Arn")] = true
					}
				}
			}
		}
	}
	for _, typ := range []string{"AWS::SQS::Queue", "AWS::SNS::Topic"} {
		for id := range s.resources(typ) {
			// The queues of channels that are not configured receive nothing.
			if !protected[id] {
				t.Errorf("%s accepts requests without TLS", id)
			}
		}
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
		if id == "JobsTable" {
			want["DeletionProtectionEnabled"] = true
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
		// CloudFormation cannot delete a protected table, so RetainExceptOnCreate
		// would make a failed creation's rollback fail.
		kept := deletion == "Retain" && replaced == "Retain"
		gone := (deletion == nil || deletion == "Delete") && (replaced == nil || replaced == "Delete")
		if id == "JobsTable" && !kept || id != "JobsTable" && !gone {
			t.Errorf("%s: DeletionPolicy %v, UpdateReplacePolicy %v", id, deletion, replaced)
		}
	}
}

func TestExistingJobsTableReplacesTheStacksOwn(t *testing.T) {
	s := deploy(t, "us-east-1", with(toSlackAndEmail, "ExistingJobsTable", "left-behind"))
	if _, ok := s.resources("AWS::DynamoDB::Table")["JobsTable"]; ok {
		t.Error("the stack creates a jobs table too")
	}
	variables := object(object(s.resource(t, "AWS::Lambda::Function", "PollerFunction")["Environment"])["Variables"])
	output := text(s.resolve(object(object(s.document["Outputs"])["JobsTable"])["Value"]))
	if variables["JOBS_TABLE"] != "left-behind" || output != "left-behind" {
		t.Errorf("the poller uses %v, the output is %s", variables["JOBS_TABLE"], output)
	}
	want := []string{"arn:aws:dynamodb:us-east-1:111122223333:table/left-behind"}
	if got := s.permissions(t, "PollerRole")["KeepJobs"].Resources; !slices.Equal(got, want) {
		t.Errorf("the poller may use %v, want %v", got, want)
	}
}
