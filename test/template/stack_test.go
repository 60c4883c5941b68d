package template

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
	"github.com/idmapping/notifier/internal/fakecloud/sam/samtest"
)

// A stack is the translated template with its parameters resolved: what
// CloudFormation would create.
type stack struct {
	document   map[string]any
	parameters map[string]string
}

// toSlackAndEmail are the parameters of a stack with both channels and an alarm
// recipient.
var toSlackAndEmail = map[string]string{
	"SlackChannel": "#data-jobs", "SlackTokenParameterName": "/idmapping/slack-token",
	"EmailFrom": "notifier@example.com", "EmailTo": "a@example.com,b@example.com",
	"AlarmEmail": "oncall@example.com",
}

// deploy translates the template for a region, once per region, and resolves the
// given parameters and the defaults of the rest.
func deploy(t *testing.T, region string, parameters map[string]string) stack {
	t.Helper()
	samtest.RequirePython(t)
	once, _ := translations.LoadOrStore(region, sync.OnceValues(func() ([]byte, error) {
		return sam.Translate(t.Context(), region, nil)
	}))
	body, err := once.(func() ([]byte, error))()
	if err != nil {
		t.Fatal(err)
	}
	s := stack{parameters: maps.Clone(pseudoParameters(region))}
	if err := json.Unmarshal(body, &s.document); err != nil {
		t.Fatal(err)
	}
	for name, p := range object(s.document["Parameters"]) {
		s.parameters[name] = text(object(p)["Default"])
	}
	for name, value := range parameters {
		if _, ok := s.parameters[name]; !ok {
			t.Fatalf("the template has no parameter %s", name)
		}
		s.parameters[name] = value
	}
	return s
}

var translations sync.Map // region → translation

func pseudoParameters(region string) map[string]string {
	partition, suffix := "aws", "amazonaws.com"
	switch {
	case strings.HasPrefix(region, "cn-"):
		partition, suffix = "aws-cn", "amazonaws.com.cn"
	case strings.HasPrefix(region, "us-gov-"):
		partition = "aws-us-gov"
	}
	return map[string]string{
		"AWS::AccountId": "111122223333", "AWS::Partition": partition, "AWS::Region": region,
		"AWS::StackName": "notifier", "AWS::URLSuffix": suffix,
	}
}

// resources returns the properties of every resource of a type that these
// parameters create, by logical ID.
func (s stack) resources(typ string) map[string]map[string]any {
	found := map[string]map[string]any{}
	for id, r := range object(s.document["Resources"]) {
		if object(r)["Type"] == typ && s.created(object(r)) {
			found[id] = object(s.resolve(object(r)["Properties"]))
		}
	}
	return found
}

// resource returns the properties of one resource of a type.
func (s stack) resource(t *testing.T, typ, id string) map[string]any {
	t.Helper()
	properties, ok := s.resources(typ)[id]
	if !ok {
		t.Fatalf("no %s %s with these parameters", typ, id)
	}
	return properties
}

func (s stack) created(resource map[string]any) bool {
	name, conditional := resource["Condition"].(string)
	return !conditional || s.condition(name)
}

func (s stack) condition(name string) bool {
	return s.resolve(object(s.document["Conditions"])[name]) == true
}

// resolve evaluates intrinsic functions. A reference to a resource becomes its
// logical ID, one to an attribute becomes ID.Attribute, and a rule's ARN an ARN.
func (s stack) resolve(v any) any {
	switch v := v.(type) {
	case []any:
		out := []any{}
		for _, item := range v {
			if item = s.resolve(item); item != nil {
				out = append(out, item)
			}
		}
		return out
	case map[string]any:
		if len(v) == 1 {
			for name, argument := range v {
				if f := functions[name]; f != nil {
					return f(s, argument)
				}
			}
		}
		out := map[string]any{}
		for key, item := range v {
			if item = s.resolve(item); item != nil {
				out[key] = item
			}
		}
		return out
	}
	return v
}

var functions map[string]func(stack, any) any

func init() { // not a literal: the functions refer to it through resolve
	functions = map[string]func(stack, any) any{
		"Ref": func(s stack, a any) any {
			if a == "AWS::NoValue" {
				return nil
			}
			return s.ref(a.(string))
		},
		"Condition": func(s stack, a any) any { return s.condition(a.(string)) },
		"Fn::GetAtt": func(s stack, a any) any {
			name := join(s.resolve(a), ".")
			s.ref(name)
			if id, ok := strings.CutSuffix(name, "Rule.Arn"); ok {
				return s.ruleARN(id + "Rule")
			}
			return name
		},
		"Fn::Join": func(s stack, a any) any { return join(s.resolve(list(a)[1]), text(list(a)[0])) },
		"Fn::Split": func(s stack, a any) any {
			parts := []any{}
			for part := range strings.SplitSeq(text(s.resolve(list(a)[1])), text(list(a)[0])) {
				parts = append(parts, part)
			}
			return parts
		},
		"Fn::If": func(s stack, a any) any {
			if s.condition(text(list(a)[0])) {
				return s.resolve(list(a)[1])
			}
			return s.resolve(list(a)[2])
		},
		"Fn::Select": func(s stack, a any) any {
			of := list(s.resolve(a))
			i, err := strconv.Atoi(text(of[0]))
			if err != nil || i >= len(list(of[1])) {
				panic("the template selects " + text(of[0]) + " of " + text(of[1]))
			}
			return list(of[1])[i]
		},
		"Fn::Equals": func(s stack, a any) any { return text(s.resolve(list(a)[0])) == text(s.resolve(list(a)[1])) },
		"Fn::Not":    func(s stack, a any) any { return s.resolve(list(a)[0]) != true },
		"Fn::And":    func(s stack, a any) any { return !slices.Contains(list(s.resolve(a)), any(false)) },
		"Fn::Or":     func(s stack, a any) any { return slices.Contains(list(s.resolve(a)), any(true)) },
		"Fn::Sub":    sub,
	}
}

// ruleARN is what CloudFormation returns for an EventBridge rule: a rule on another
// bus than the default one has the bus in its ARN.
func (s stack) ruleARN(id string) string {
	bus := ""
	if name := s.parameters["EventBusName"]; name != "default" {
		bus = name + "/"
	}
	return "arn:aws:events:" + s.parameters["AWS::Region"] + ":111122223333:rule/" + bus + s.parameters["AWS::StackName"] + "-" + id + "-1ABC"
}

var placeholder = regexp.MustCompile(`\$\{[^!}][^}]*\}`)

func sub(s stack, argument any) any {
	variables := map[string]any{}
	if pair, ok := argument.([]any); ok {
		argument, variables = pair[0], object(s.resolve(pair[1]))
	}
	return placeholder.ReplaceAllStringFunc(text(argument), func(match string) string {
		name := match[2 : len(match)-1]
		if value, ok := variables[name]; ok {
			return text(value)
		}
		return s.ref(name)
	})
}

func (s stack) ref(name string) string {
	if value, ok := s.parameters[name]; ok {
		return value
	}
	id, _, _ := strings.Cut(name, ".")
	resource, ok := object(s.document["Resources"])[id]
	if !ok {
		panic("the template refers to " + name + ", which is nowhere")
	}
	if !s.created(object(resource)) {
		panic("the template refers to " + name + ", which these parameters do not create")
	}
	return name
}

func object(v any) map[string]any { m, _ := v.(map[string]any); return m }
func list(v any) []any            { l, _ := v.([]any); return l }

// text returns a string unchanged and any other value as JSON.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// texts returns a string, or a list of them, as a list.
func texts(v any) []string {
	if l, ok := v.([]any); ok {
		out := make([]string, len(l))
		for i := range l {
			out[i] = text(l[i])
		}
		return out
	}
	return []string{text(v)}
}

func join(v any, separator string) string { return strings.Join(texts(v), separator) }
