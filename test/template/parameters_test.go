package template

import (
	"bytes"
	"encoding/json"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/fakecloud/sam/samtest"
)

func TestParametersHaveDescriptionLabelAndOneGroup(t *testing.T) {
	document := deploy(t, "us-east-1", nil).document
	form := object(object(document["Metadata"])["AWS::CloudFormation::Interface"])
	var grouped []string
	for _, group := range list(form["ParameterGroups"]) {
		grouped = append(grouped, texts(object(group)["Parameters"])...)
	}
	slices.Sort(grouped)
	parameters := object(document["Parameters"])
	if names := slices.Sorted(maps.Keys(parameters)); !slices.Equal(grouped, names) {
		t.Errorf("groups hold %v, want %v", grouped, names)
	}
	labels := object(form["ParameterLabels"])
	for name, p := range parameters {
		description := text(object(p)["Description"])
		if !strings.Contains(description, " ") || !strings.HasSuffix(description, ".") && !strings.HasSuffix(description, ").") {
			t.Errorf("%s is not explained in a sentence: %q", name, description)
		}
		if text(object(labels[name])["default"]) == "null" {
			t.Errorf("%s has no label", name)
		}
		if object(p)["AllowedPattern"] != nil && object(p)["ConstraintDescription"] == nil {
			t.Errorf("%s rejects values without describing valid ones", name)
		}
	}
	if len(labels) != len(parameters) {
		t.Errorf("%d labels for %d parameters", len(labels), len(parameters))
	}
}

func TestPatternsAcceptValidAndRejectMispastedValues(t *testing.T) {
	cases := map[string]struct{ taken, refused []string }{
		"WorkflowInclude": {[]string{"*", "prod-*", "prod-*, customer_360", "team-[ab]", "job?"}, []string{"", "prod customers", "a,,b", "arn:aws:x"}},
		"WorkflowExclude": {[]string{"", "test-*", "a,b"}, []string{",", "a;b"}},
		"PollRate":        {[]string{"rate(1 minute)", "rate(2 minutes)", "rate(5 minutes)"}, []string{"rate(1 minutes)", "rate(10 minutes)", "rate(1 hour)", "1 minute", "cron(* * * * ? *)"}},
		"EventBusName":    {[]string{"default", "central-bus", "a.b_c"}, []string{"", "arn:aws:events:us-east-1:111122223333:event-bus/b"}},
		"SlackChannel":    {[]string{"", "#data-jobs", "data-jobs", "C0123456789", "#données"}, []string{"#a,#b", "data jobs", "#"}},
		"SlackTokenParameterName": {[]string{"", "token", "/idmapping/slack-token", "team/slack.token"},
			[]string{"xoxb-123-456-abc", "/", "a//b", "/a/", "arn:aws:ssm:us-east-1:111122223333:parameter/a"}},
		"SlackWebhookParameterName": {[]string{"", "hook", "/a/hook"}, []string{"https://hooks.slack.com/services/T0/B0/x", "a b"}},
		"SlackStatuses": {[]string{"", "FAILED", "SUCCEEDED,FAILED", "SUCCEEDED, FAILED", "QUEUED,RUNNING", "+PAUSED", "FAILED, +ON_HOLD"},
			[]string{"failed", "FAILED;SUCCEEDED", "FAILED,", "SUCEEDED", "PAUSED", "FAILED,FAILD", "+paused", "+", "++PAUSED"}},
		"SlackMention": {[]string{"", "here", "@here", "U0123456789", "S0123456789,U0123456789", "<!subteam^S0123456789>"}, []string{"two words", "a,,b", "\nhere"}},
		"EmailFrom":    {[]string{"", "notifier@example.com"}, []string{"Notifier <notifier@example.com>", "example.com", "a@b, c@d"}},
		"EmailTo": {[]string{"", "a@example.com", "a@example.com,b@example.com", "a@example.com, b@example.com", strings.Repeat("a@b,", 49) + "a@b"},
			[]string{"a@example.com;b@example.com", "a@example.com,", "A <a@example.com>", strings.Repeat("a@b,", 50) + "a@b"}},
		"EmailStatuses":     {[]string{"", "FAILED,SUCCEEDED", "+PAUSED"}, []string{"Failed", "SUCEEDED"}},
		"AlarmEmail":        {[]string{"", "oncall@example.com"}, []string{"a@example.com,b@example.com", "oncall"}},
		"OverdueAfter":      {[]string{"", "off", "90m", "4h", "1h30m"}, []string{"4", "4 h", "on", "90s", "-4h"}},
		"RunbookUrl":        {[]string{"", "https://wiki.example.com/id-mapping?x=1#y"}, []string{"http://wiki.example.com", "wiki", "https://a b", "https://a|b"}},
		"TimeZone":          {[]string{"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+1"}, []string{"", "berlin", "Europe Berlin", "../etc"}},
		"Environment":       {[]string{"", "prod", "eu-west.staging_2"}, []string{"prod eu", "<prod>", strings.Repeat("a", 33)}},
		"ExistingJobsTable": {[]string{"", "idmapping-notifier-JobsTable-1ABC"}, []string{"ab", "arn:aws:dynamodb:us-east-1:111122223333:table/jobs"}},
	}
	type probe struct {
		Parameter, Pattern, Value string
		Taken                     bool
	}
	var probes []probe
	for name, p := range object(deploy(t, "us-east-1", nil).document["Parameters"]) {
		pattern := text(object(p)["AllowedPattern"])
		if pattern == "null" {
			continue
		}
		c, ok := cases[name]
		if !ok {
			t.Errorf("no case for the pattern of %s", name)
		}
		for _, value := range c.taken {
			probes = append(probes, probe{name, pattern, value, true})
		}
		for _, value := range c.refused {
			probes = append(probes, probe{name, pattern, value, false})
		}
	}
	// CloudFormation evaluates patterns in Java. Python's syntax is close to that;
	// Go's lacks look-ahead.
	const script = `import json, re, sys; print(json.dumps([bool(re.fullmatch(p["Pattern"], p["Value"])) for p in json.load(sys.stdin)]))`
	var taken []bool
	runPython(t, script, probes, &taken)
	for i, p := range probes {
		if taken[i] != p.Taken {
			t.Errorf("%s %q: accepted is %v, want %v", p.Parameter, p.Value, taken[i], p.Taken)
		}
	}
}

// runPython passes JSON to a script and parses the JSON that it prints.
func runPython(t *testing.T, script string, in, out any) {
	t.Helper()
	python := samtest.RequirePython(t)
	input, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", script)
	cmd.Stdin = bytes.NewReader(input)
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(output, out); err != nil {
		t.Fatal(err)
	}
}

func TestRulesRejectContradictionsWithASentence(t *testing.T) {
	const (
		nowhere  = "Set at least one destination: SlackChannel and SlackTokenParameterName, or SlackWebhookParameterName, or EmailFrom and EmailTo."
		both     = "Set SlackTokenParameterName or SlackWebhookParameterName, not both."
		noPlace  = "SlackTokenParameterName needs SlackChannel, the channel that the bot posts to."
		noBot    = "SlackChannel needs SlackTokenParameterName; a webhook posts only to its own channel."
		noSlack  = "SlackStatuses and SlackMention need SlackTokenParameterName or SlackWebhookParameterName."
		noSender = "EmailTo needs EmailFrom, the verified address that sends the email."
		noReader = "EmailFrom needs EmailTo, the recipients' addresses."
		noEmail  = "EmailStatuses needs EmailTo, the recipients' addresses."
	)
	type set = map[string]string
	for _, c := range []struct {
		set  set
		want []string
	}{
		{toSlackAndEmail, nil},
		{set{"SlackChannel": "#c", "SlackTokenParameterName": "t", "SlackStatuses": "FAILED", "SlackMention": "here"}, nil},
		{set{"SlackWebhookParameterName": "w", "SlackStatuses": "FAILED", "SlackMention": "here"}, nil},
		{set{"EmailFrom": "a@x", "EmailTo": "b@x", "EmailStatuses": "FAILED"}, nil},
		{set{}, []string{nowhere}},
		{set{"AlarmEmail": "a@x"}, []string{nowhere}},
		{set{"SlackChannel": "#c"}, []string{nowhere, noBot}},
		{set{"SlackMention": "here", "EmailFrom": "a@x", "EmailTo": "b@x"}, []string{noSlack}},
		{set{"SlackStatuses": "FAILED", "EmailFrom": "a@x", "EmailTo": "b@x"}, []string{noSlack}},
		{set{"SlackTokenParameterName": "t"}, []string{noPlace}},
		{set{"SlackTokenParameterName": "t", "SlackChannel": "#c", "SlackWebhookParameterName": "w"}, []string{both}},
		{set{"SlackTokenParameterName": "t", "SlackWebhookParameterName": "w"}, []string{both, noPlace}},
		{set{"SlackWebhookParameterName": "w", "SlackChannel": "#c"}, []string{noBot}},
		{set{"EmailTo": "b@x"}, []string{noSender}},
		{set{"SlackWebhookParameterName": "w", "EmailFrom": "a@x"}, []string{noReader}},
		{set{"EmailFrom": "a@x"}, []string{nowhere, noReader}},
		{set{"SlackWebhookParameterName": "w", "EmailStatuses": "FAILED"}, []string{noEmail}},
	} {
		got := deploy(t, "us-east-1", c.set).refusals()
		slices.Sort(got)
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("%v\n is refused for %q\n want          %q", c.set, got, c.want)
		}
	}
}

func TestOtherPartitionsAreRefusedWithASentence(t *testing.T) {
	for region, want := range map[string]int{"us-east-1": 0, "ap-northeast-1": 0, "cn-north-1": 1, "us-gov-west-1": 1} {
		refusals := deploy(t, region, toSlackAndEmail).refusals()
		if len(refusals) != want || want > 0 && !strings.Contains(refusals[0], "only in the partition aws.") {
			t.Errorf("%s is refused for %q", region, refusals)
		}
	}
}

// refusals returns the messages of the Rules section's failed assertions.
func (s stack) refusals() []string {
	var found []string
	for _, rule := range object(s.document["Rules"]) {
		if condition, ok := object(rule)["RuleCondition"]; ok && s.resolve(condition) != true {
			continue
		}
		for _, assertion := range list(object(rule)["Assertions"]) {
			if s.resolve(object(assertion)["Assert"]) != true {
				found = append(found, text(object(assertion)["AssertDescription"]))
			}
		}
	}
	return found
}

var settingName = regexp.MustCompile(`\b(?:Text|Required|Int|Float|Bool|Getenv|LookupEnv)\("([A-Z][A-Z0-9_]+)"`)

func TestTemplateSetsExactlyTheSettingsThatFunctionsRead(t *testing.T) {
	// The first two configure the Go runtime and AFTER orders the deployment; users
	// may set the rest by hand.
	fromOutside := []string{"GOGC", "GOMEMLIMIT", "AFTER", "SLACK_API_URL", "ALLOW_LOOPBACK"}
	s := deploy(t, "us-east-1", toSlackAndEmail)
	for id, folder := range map[string]string{"PollerFunction": "functions/poller/", "NotifierFunction": "functions/notifier/"} {
		var read []string
		for path, source := range sources(t) {
			if strings.HasPrefix(path, folder) {
				for _, match := range settingName.FindAllStringSubmatch(source, -1) {
					read = append(read, match[1])
				}
			}
		}
		set := object(object(s.resource(t, "AWS::Lambda::Function", id)["Environment"])["Variables"])
		for _, name := range read {
			if set[name] == nil && !slices.Contains(fromOutside, name) && !strings.HasPrefix(name, "AWS_") {
				t.Errorf("%s reads %s, which the template does not set", id, name)
			}
		}
		for name := range set {
			if !slices.Contains(read, name) && !slices.Contains(fromOutside, name) {
				t.Errorf("the template sets %s for %s, which does not read it", name, id)
			}
		}
	}
}

func TestSettingsHoldTheirParameters(t *testing.T) {
	parameters := map[string]string{
		"WorkflowInclude": "a*", "WorkflowExclude": "ab*", "EventBusName": "central", "RetentionDays": "10", "RequestsPerSecond": "0.5", "OverdueAfter": "4h", "ExpectRuns": "off",
		"SlackStatuses": "FAILED", "SlackMention": "here", "SlackEdit": "false", "SlackThread": "false", "SlackBroadcast": "false",
		"EmailStatuses": "SUCCEEDED", "Environment": "prod", "Signals": "false", "RunbookUrl": "https://wiki.example.com/x", "TimeZone": "Europe/Berlin",
	}
	maps.Copy(parameters, toSlackAndEmail)
	s := deploy(t, "us-east-1", parameters)
	for id, want := range map[string]map[string]any{
		"PollerFunction": {
			"JOBS_TABLE": "JobsTable", "EVENT_BUS_NAME": "central", "WORKFLOW_INCLUDE": "a*", "WORKFLOW_EXCLUDE": "ab*",
			"RETENTION_DAYS": "10", "REQUESTS_PER_SECOND": "0.5", "ENVIRONMENT": "prod", "OVERDUE_AFTER": "4h", "EXPECT_RUNS": "off", "FAST_POLL": "true",
			"AFTER": "SlackRule SlackQueuePolicy EmailRule EmailQueuePolicy",
		},
		"NotifierFunction": {
			"AFTER": "SlackTokenPolicy  EmailPolicy", "DELIVERIES_TABLE": "DeliveriesTable",
			"SLACK_QUEUE_URL": "SlackQueue", "SLACK_DEAD_LETTER_QUEUE_URL": "SlackDeadLetterQueue",
			"EMAIL_QUEUE_URL": "EmailQueue", "EMAIL_DEAD_LETTER_QUEUE_URL": "EmailDeadLetterQueue",
			"SLACK_CHANNEL": "#data-jobs", "SLACK_TOKEN_PARAMETER": "/idmapping/slack-token", "SLACK_WEBHOOK_PARAMETER": "",
			"SLACK_STATUSES": "FAILED", "SLACK_MENTION": "here", "SLACK_EDIT": "false", "SLACK_THREAD": "false", "SLACK_BROADCAST": "false",
			"EMAIL_FROM": "notifier@example.com", "EMAIL_TO": "a@example.com,b@example.com", "EMAIL_STATUSES": "SUCCEEDED",
			"SIGNALS": "false", "RUNBOOK_URL": "https://wiki.example.com/x", "TIME_ZONE": "Europe/Berlin",
		},
	} {
		maps.Copy(want, map[string]any{"STACK_NAME": "notifier", "GOGC": "400", "GOMEMLIMIT": "96MiB"})
		got := object(object(s.resource(t, "AWS::Lambda::Function", id)["Environment"])["Variables"])
		if !maps.Equal(got, want) {
			t.Errorf("%s\n has  %v\n want %v", id, got, want)
		}
	}
}
