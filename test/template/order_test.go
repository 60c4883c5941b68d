package template

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The sets of channels that a stack can have.
var channelSets = map[string]map[string]string{
	"bot":               {"SlackChannel": "#c", "SlackTokenParameterName": "t"},
	"webhook":           {"SlackWebhookParameterName": "w"},
	"email":             {"EmailFrom": "a@example.com", "EmailTo": "b@example.com"},
	"bot and email":     {"SlackChannel": "#c", "SlackTokenParameterName": "t", "EmailFrom": "a@example.com", "EmailTo": "b@example.com"},
	"webhook and email": {"SlackWebhookParameterName": "w", "EmailFrom": "a@example.com", "EmailTo": "b@example.com"},
}

// PutEvents succeeds without a matching rule, and EventBridge drops an event whose
// queue refuses it: both lose it. So CloudFormation must create, and after a change
// of EventBusName update, the rules and the queue policies before the poller.
func TestNothingRunsBeforeWhatItNeeds(t *testing.T) {
	for name, channels := range channelSets {
		for _, bus := range []string{"default", "central"} {
			for _, table := range []string{"", "left-behind"} {
				parameters := maps.Clone(channels)
				parameters["EventBusName"], parameters["ExistingJobsTable"] = bus, table
				if early := deploy(t, "us-east-1", parameters).early(t); len(early) > 0 {
					t.Errorf("%s on bus %s: %v", name, bus, early)
				}
			}
		}
	}
}

// Without the variable AFTER the order is not given, and early finds that.
func TestOrderComesFromTheVariableAfter(t *testing.T) {
	for name, channels := range channelSets {
		var want []string
		for _, schedule := range []string{"PollerFunctionCanary", "PollerFunctionTick"} {
			for _, channel := range []string{"Email", "Slack"} {
				if strings.Contains(name, "email") && channel == "Email" || name != "email" && channel == "Slack" {
					want = append(want, schedule+" before "+channel+"QueuePolicy", schedule+" before "+channel+"Rule")
				}
			}
		}
		for channel, policy := range map[string]string{"bot": "SlackTokenPolicy", "webhook": "SlackWebhookPolicy", "email": "EmailPolicy"} {
			if strings.Contains(name, channel) {
				want = append(want, "NotifierFunctionEmail before "+policy, "NotifierFunctionSlack before "+policy)
			}
		}
		slices.Sort(want)
		s := deploy(t, "us-east-1", channels)
		for _, function := range []string{"PollerFunction", "NotifierFunction"} {
			properties := object(object(object(s.document["Resources"])[function])["Properties"])
			delete(object(object(properties["Environment"])["Variables"]), "AFTER")
		}
		if early := s.early(t); !slices.Equal(early, want) {
			t.Errorf("%s\n is   %v\n want %v", name, early, want)
		}
	}
}

// early lists what can run before a resource that it needs.
func (s stack) early(t *testing.T) []string {
	t.Helper()
	var found []string
	require := func(runs string, needed []string) {
		before := s.dependencies(t, runs)
		for _, id := range needed {
			if !before[id] {
				found = append(found, runs+" before "+id)
			}
		}
	}
	delivery := slices.Collect(maps.Keys(s.resources("AWS::Events::Rule")))
	for id, policy := range s.resources("AWS::SQS::QueuePolicy") {
		if strings.Contains(text(policy), "events.amazonaws.com") {
			delivery = append(delivery, id)
		}
	}
	permissions := []string{"NotifierRole"}
	for id, policy := range s.resources("AWS::IAM::Policy") {
		if slices.Contains(texts(policy["Roles"]), "NotifierRole") {
			permissions = append(permissions, id)
		}
	}
	schedules, mappings := s.resources("AWS::Scheduler::Schedule"), s.resources("AWS::Lambda::EventSourceMapping")
	if len(schedules) != 2 || len(mappings) != 2 || len(delivery) == 0 || len(permissions) == 1 {
		t.Fatalf("schedules %v, mappings %v, rules and queue policies %v, permissions %v", schedules, mappings, delivery, permissions)
	}
	for id := range schedules {
		require(id, append(delivery, "PollerRole", "ScheduleRole"))
	}
	for id := range mappings {
		require(id, permissions)
	}
	slices.Sort(found)
	return found
}

func TestNoResourceDependsOnItself(t *testing.T) {
	for name, channels := range channelSets {
		s := deploy(t, "us-east-1", channels)
		for id, r := range object(s.document["Resources"]) {
			if s.created(object(r)) && s.dependencies(t, id)[id] {
				t.Errorf("%s: %s depends on itself", name, id)
			}
		}
	}
}

// dependencies returns the resources that CloudFormation creates before another one.
func (s stack) dependencies(t *testing.T, id string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	waiting := s.referred(t, id)
	for len(waiting) > 0 {
		next := waiting[0]
		waiting = waiting[1:]
		if !found[next] {
			found[next] = true
			waiting = append(waiting, s.referred(t, next)...)
		}
	}
	return found
}

// referred returns the resources that one names in Ref, Fn::GetAtt, Fn::Sub and
// DependsOn, with the branches of Fn::If that the parameters choose.
func (s stack) referred(t *testing.T, id string) []string {
	t.Helper()
	resources := object(s.document["Resources"])
	var found []string
	add := func(name string) {
		name, _, _ = strings.Cut(name, ".")
		if r := object(resources[name]); r != nil {
			if !s.created(r) {
				t.Errorf("%s refers to %s, which these parameters do not create", id, name)
			}
			found = append(found, name)
		}
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				walk(item)
			}
		case map[string]any:
			for key, value := range v {
				switch key {
				case "Ref":
					add(text(value))
				case "Fn::GetAtt":
					add(texts(value)[0])
				case "Fn::If":
					branch := 2
					if s.condition(text(list(value)[0])) {
						branch = 1
					}
					walk(list(value)[branch])
				case "Fn::Sub":
					source, own := value, map[string]any{}
					if pair := list(value); pair != nil {
						source, own = pair[0], object(pair[1])
						walk(pair[1])
					}
					for _, match := range placeholder.FindAllString(text(source), -1) {
						if name := match[2 : len(match)-1]; own[name] == nil {
							add(name)
						}
					}
				default:
					walk(value)
				}
			}
		}
	}
	r := object(resources[id])
	walk(r["Properties"])
	if on := r["DependsOn"]; on != nil {
		for _, name := range texts(on) {
			add(name)
		}
	}
	return found
}

// The walk must see every kind of reference: a small template with one of each.
func TestDependenciesFollowEveryKindOfReference(t *testing.T) {
	ref := func(kind string, value any) any { return map[string]any{kind: value} }
	s := stack{parameters: map[string]string{"P": "yes"}, document: map[string]any{
		"Conditions": map[string]any{"Yes": ref("Fn::Equals", []any{ref("Ref", "P"), "yes"})},
		"Resources": map[string]any{
			"Top": map[string]any{"DependsOn": "A", "Properties": map[string]any{
				"b": []any{ref("Ref", "B"), ref("Ref", "P")}, "c": ref("Fn::GetAtt", []any{"C", "Arn"}),
				"d": ref("Fn::Sub", "x ${D.Name} ${P}"), "e": ref("Fn::Sub", []any{"${own} ${E}", map[string]any{"own": ref("Ref", "F")}}),
				"g": ref("Fn::If", []any{"Yes", ref("Ref", "G"), ref("Ref", "Not")}),
			}},
			"A": map[string]any{"DependsOn": []any{"H"}}, "B": map[string]any{}, "C": map[string]any{}, "D": map[string]any{},
			"E": map[string]any{}, "F": map[string]any{}, "G": map[string]any{}, "H": map[string]any{}, "Not": map[string]any{},
		},
	}}
	got := slices.Sorted(maps.Keys(s.dependencies(t, "Top")))
	if want := []string{"A", "B", "C", "D", "E", "F", "G", "H"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%s depends on %v, want %v", "Top", got, want)
	}
}
