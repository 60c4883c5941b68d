package template

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
)

// A statement of an IAM policy, with its actions sorted.
type statement struct {
	Actions   []string
	Resources []string
	Condition map[string]any
}

// permissions returns what a role may do, by Sid.
func (s stack) permissions(t *testing.T, role string) map[string]statement {
	t.Helper()
	policies := list(s.resource(t, "AWS::IAM::Role", role)["Policies"])
	for _, p := range s.resources("AWS::IAM::Policy") {
		if slices.Contains(texts(p["Roles"]), role) {
			policies = append(policies, p)
		}
	}
	found := map[string]statement{}
	for _, p := range policies {
		for _, st := range list(object(object(p)["PolicyDocument"])["Statement"]) {
			st := object(st)
			if st["Effect"] != "Allow" || found[text(st["Sid"])].Actions != nil {
				t.Errorf("%s: statement %v has another effect than Allow or a Sid used before", role, st)
			}
			actions := texts(st["Action"])
			slices.Sort(actions)
			found[text(st["Sid"])] = statement{actions, texts(st["Resource"]), object(st["Condition"])}
		}
	}
	return found
}

func TestRolesHaveExactlyTheirPermissionsInEveryRegion(t *testing.T) {
	for _, region := range regions {
		arn := func(service, resource string) string {
			return "arn:" + pseudoParameters(region)["AWS::Partition"] + ":" + service + ":" + region + ":111122223333:" + resource
		}
		bySSM := func(parameter string) map[string]any {
			return map[string]any{"StringEquals": map[string]any{
				"kms:ViaService": "ssm." + region + ".amazonaws.com", "kms:EncryptionContext:PARAMETER_ARN": arn("ssm", parameter),
			}}
		}
		s := deploy(t, region, toSlackAndEmail)
		poller := map[string]statement{
			"ReadJobs":      {[]string{"entityresolution:GetIdMappingJob", "entityresolution:ListIdMappingJobs"}, []string{arn("entityresolution", "idmappingworkflow/*")}, nil},
			"ListWorkflows": {[]string{"entityresolution:ListIdMappingWorkflows", "entityresolution:ListTagsForResource"}, []string{"*"}, nil},
			"KeepJobs":      {[]string{"dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Query"}, []string{"JobsTable.Arn"}, nil},
			"PublishEvents": {[]string{"events:PutEvents"}, []string{arn("events", "event-bus/default")},
				map[string]any{"StringEquals": map[string]any{"events:source": []any{"idmapping.notifier", "idmapping.notifier.canary"}}}},
			"WriteLogs": {[]string{"logs:CreateLogStream", "logs:PutLogEvents"}, []string{"PollerLogGroup.Arn"}, nil},
		}
		notifier := map[string]statement{
			"TakeMessages": {[]string{"sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"},
				[]string{"SlackQueue.Arn", "EmailQueue.Arn"}, nil},
			"BuryMessages":      {[]string{"sqs:SendMessage"}, []string{"SlackDeadLetterQueue.Arn", "EmailDeadLetterQueue.Arn"}, nil},
			"KeepDeliveries":    {[]string{"dynamodb:UpdateItem"}, []string{"DeliveriesTable.Arn"}, nil},
			"WriteLogs":         {[]string{"logs:CreateLogStream", "logs:PutLogEvents"}, []string{"NotifierLogGroup.Arn"}, nil},
			"ReadSlackToken":    {[]string{"ssm:GetParameter"}, []string{arn("ssm", "parameter/idmapping/slack-token")}, nil},
			"DecryptSlackToken": {[]string{"kms:Decrypt"}, []string{arn("kms", "key/*")}, bySSM("parameter/idmapping/slack-token")},
			"SendEmail": {[]string{"ses:SendEmail"}, []string{arn("ses", "identity/*"), arn("ses", "configuration-set/*")},
				map[string]any{"StringEquals": map[string]any{"ses:FromAddress": "notifier@example.com"}}},
		}
		schedule := map[string]statement{
			"InvokePoller":    {[]string{"lambda:InvokeFunction"}, []string{"PollerFunction.Arn"}, nil},
			"KeepFailedTicks": {[]string{"sqs:SendMessage"}, []string{"PollerDeadLetterQueue.Arn"}, nil},
		}
		for role, want := range map[string]map[string]statement{"PollerRole": poller, "NotifierRole": notifier, "ScheduleRole": schedule} {
			got := s.permissions(t, role)
			for sid := range want {
				if !reflect.DeepEqual(got[sid], want[sid]) {
					t.Errorf("%s %s %s\n is   %v\n want %v", region, role, sid, got[sid], want[sid])
				}
			}
			for sid := range got {
				if _, ok := want[sid]; !ok {
					t.Errorf("%s %s: %s was not expected: %v", region, role, sid, got[sid])
				}
			}
		}
	}
}

func TestNotifierMayReadOnlyTheConfiguredSecret(t *testing.T) {
	for _, c := range []struct{ parameter, name, want string }{
		{"SlackTokenParameterName", "token", "parameter/token"},
		{"SlackTokenParameterName", "/team/token", "parameter/team/token"},
		{"SlackWebhookParameterName", "webhook", "parameter/webhook"},
		{"SlackWebhookParameterName", "/team/slack/webhook", "parameter/team/slack/webhook"},
	} {
		s := deploy(t, "us-east-1", map[string]string{c.parameter: c.name})
		var read []string
		for sid, st := range s.permissions(t, "NotifierRole") {
			if strings.HasPrefix(sid, "Read") {
				read = append(read, st.Resources...)
			}
			if sid == "SendEmail" {
				t.Error("email may be sent although none is configured")
			}
		}
		if want := []string{"arn:aws:ssm:us-east-1:111122223333:" + c.want}; !slices.Equal(read, want) {
			t.Errorf("%s=%s: may read %v, want %v", c.parameter, c.name, read, want)
		}
	}
}

func TestRolesTrustOnlyTheirServiceAndHaveNoManagedPolicy(t *testing.T) {
	services := map[string]string{
		"PollerRole": "lambda.amazonaws.com", "NotifierRole": "lambda.amazonaws.com",
		"ScheduleRole": "scheduler.amazonaws.com",
	}
	roles := deploy(t, "us-east-1", toSlackAndEmail).resources("AWS::IAM::Role")
	for id, role := range roles {
		if role["ManagedPolicyArns"] != nil {
			t.Errorf("%s has managed policies, which reach further than it needs: %v", id, role["ManagedPolicyArns"])
		}
		for _, st := range list(object(role["AssumeRolePolicyDocument"])["Statement"]) {
			if got := texts(object(object(st)["Principal"])["Service"]); !slices.Equal(got, []string{services[id]}) {
				t.Errorf("%s is assumed by %v, want %q", id, got, services[id])
			}
			// A schedule of another account may name this role (EventBridge Scheduler
			// User Guide, Confused deputy prevention).
			condition := map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": "111122223333"}}
			if id == "ScheduleRole" && !reflect.DeepEqual(object(st)["Condition"], condition) {
				t.Errorf("%s is assumed under the condition %v", id, object(st)["Condition"])
			}
		}
	}
	if len(roles) != len(services) {
		t.Errorf("%d roles, want %d", len(roles), len(services))
	}
}

// The actions that the platform, not the code, needs in a function's role.
var platformActions = []string{
	"kms:Decrypt", "logs:CreateLogStream", "logs:PutLogEvents",
	"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage",
}

// person stands for the credentials of the person who runs a command.
const person = "the credentials of the person who runs a command"

// The role of the code that calls AWS, by the beginning of its path.
var callers = map[string]string{
	"functions/poller/": "PollerRole", "internal/poller/": "PollerRole",
	"internal/dynamodb/jobs.go": "PollerRole", "internal/dynamodb/archive.go": "PollerRole", "internal/entityresolution/": "PollerRole", "internal/eventbridge/": "PollerRole",
	"functions/notifier/": "NotifierRole", "internal/notify/": "NotifierRole",
	"internal/dynamodb/deliveries.go": "NotifierRole", "internal/dynamodb/limits.go": "NotifierRole", "internal/dynamodb/outages.go": "NotifierRole", "internal/sqs/": "NotifierRole",
	"internal/secret/": "NotifierRole", "internal/slack/": "NotifierRole", "internal/email/": "NotifierRole",
	"internal/deployment/": person, "internal/dynamodb/ledger.go": person,
}

func TestRolesAllowExactlyTheCallsOfTheirCode(t *testing.T) {
	s := deploy(t, "us-east-1", toSlackAndEmail)
	called := callsInCode(t)
	for _, role := range []string{"PollerRole", "NotifierRole"} {
		var allowed []string
		for _, st := range s.permissions(t, role) {
			allowed = append(allowed, st.Actions...)
		}
		for _, action := range called[role] {
			if !slices.Contains(allowed, action) {
				t.Errorf("the code calls %s, which %s does not allow", action, role)
			}
		}
		for _, action := range allowed {
			if !slices.Contains(called[role], action) && !slices.Contains(platformActions, action) {
				t.Errorf("%s allows %s, which its code does not call", role, action)
			}
		}
	}
}

var callInput = regexp.MustCompile(`\b(dynamodb|entityresolution|eventbridge|sesv2|sqs|ssm)\.(\w+)Input\{`)

// transactionItem is an item of a transaction (TransactWriteItems).
var transactionItem = regexp.MustCompile(`\btypes\.(Put|Update|Delete)\{`)

// callsInCode returns the IAM action of each AWS call that the functions'
// packages prepare, by the role that makes it.
func callsInCode(t *testing.T) map[string][]string {
	t.Helper()
	prefixes := map[string]string{"eventbridge": "events", "sesv2": "ses"}
	found := map[string][]string{}
	for path, source := range sources(t) {
		for _, match := range callInput.FindAllStringSubmatch(source, -1) {
			role := ""
			for beginning, caller := range callers {
				if strings.HasPrefix(path, beginning) {
					role = caller
				}
			}
			if role == "" {
				t.Errorf("%s calls AWS: add its role to callers", path)
			}
			if match[2] == "TransactWriteItems" { // authorized by its items' actions
				for _, item := range transactionItem.FindAllStringSubmatch(source, -1) {
					found[role] = append(found[role], "dynamodb:"+item[1]+"Item")
				}
				continue
			}
			prefix, ok := prefixes[match[1]]
			if !ok {
				prefix = match[1]
			}
			action := prefix + ":" + match[2]
			if action == "dynamodb:TransactWriteItems" {
				// A transaction is authorized by the actions of its items
				// (DynamoDB Developer Guide, "IAM with transactions"): ours put.
				action = "dynamodb:PutItem"
			}
			found[role] = append(found[role], action)
		}
	}
	return found
}

// sources returns the text of each Go file that the Lambda functions may be
// built from, by its path from the module's root.
func sources(t *testing.T) map[string]string {
	t.Helper()
	root, err := sam.Root()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, top := range []string{"functions", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() && slices.Contains([]string{"fake", "fakecloud"}, entry.Name()) {
				return fs.SkipDir
			}
			if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				body, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				found[strings.TrimPrefix(path, root+"/")] = string(body)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}
