package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// stack is what a deployed template is billed for, whether anything happens or not.
type stack struct {
	ticks, canaries   float64 // per month
	pollerGB          float64 // memory
	notifierGB        float64
	requestsPerSecond float64 // to Entity Resolution
	retentionDays     float64
	channels          []string // with a queue that is polled: Slack, Email
	idlePollers       int      // of all queues
	encryptedTables   int      // with a key in KMS
	alarmMetrics      int
	dashboards        int
	keys              int
}

// Lambda polls an idle queue with as few as two pollers, and with five when the
// mapping has a maximum concurrency (Lambda Developer Guide, Configuring scaling
// behavior for SQS event source mappings).
const (
	fewestPollers = 2
	mostPollers   = 5
)

// channelParameters deploy each channel.
var channelParameters = map[string]map[string]string{
	slackChannel: {"SlackChannel": "C0DATAJOBS", "SlackTokenParameterName": "/idmapping/slack-token"},
	emailChannel: {"EmailFrom": "notifier@example.com", "EmailTo": "a@example.com"},
}

// The channels, as the template's logical IDs begin.
const (
	slackChannel = "Slack"
	emailChannel = "Email"
)

// readStack reads a template that the SAM translator has translated, as it is
// deployed with the channels and otherwise the default parameters.
func readStack(translated []byte, dashboard bool, channels ...string) (stack, error) {
	var document template
	if err := json.Unmarshal(translated, &document); err != nil {
		return stack{}, fmt.Errorf("reading the template: %w", err)
	}
	document.values = map[string]any{"AWS::NoValue": nil}
	for name, p := range document.Parameters {
		document.values[name] = p.Default
	}
	document.values["Dashboard"] = strconv.FormatBool(dashboard)
	for _, channel := range channels {
		for name, value := range channelParameters[channel] {
			document.values[name] = value
		}
	}
	s := stack{requestsPerSecond: document.number("RequestsPerSecond"), retentionDays: document.number("RetentionDays")}
	for id, r := range document.Resources {
		if r.Condition != "" && !document.condition(r.Condition) {
			continue
		}
		if err := s.add(&document, id, r); err != nil {
			return stack{}, fmt.Errorf("reading resource %s: %w", id, err)
		}
	}
	slices.Sort(s.channels)
	return s, document.err
}

func (s *stack) add(document *template, id string, r resource) error {
	property := func(name string) any { return document.value(r.Properties[name]) }
	switch r.Type {
	case "AWS::Lambda::Function":
		memory, ok := property("MemorySize").(float64)
		if !ok {
			return fmt.Errorf("it has no MemorySize")
		}
		if id == "PollerFunction" {
			s.pollerGB = memory / 1024
		} else {
			s.notifierGB = memory / 1024
		}
	case "AWS::Scheduler::Schedule":
		rate, err := perMonth(fmt.Sprint(property("ScheduleExpression")))
		if err != nil {
			return err
		}
		if target, _ := r.Properties["Target"].(map[string]any); strings.Contains(fmt.Sprint(target["Input"]), "canary") {
			s.canaries += rate
		} else {
			s.ticks += rate
		}
	case "AWS::Lambda::EventSourceMapping":
		if property("Enabled") != true {
			return nil
		}
		s.channels = append(s.channels, strings.TrimPrefix(id, "NotifierFunction"))
		if r.Properties["ScalingConfig"] != nil {
			s.idlePollers += mostPollers
		} else {
			s.idlePollers += fewestPollers
		}
	case "AWS::DynamoDB::Table":
		if encryption, _ := r.Properties["SSESpecification"].(map[string]any); encryption["SSEEnabled"] == true {
			s.encryptedTables++
		}
	case "AWS::CloudWatch::Alarm":
		if r.Properties["MetricName"] != nil {
			s.alarmMetrics++
		}
		queries, _ := r.Properties["Metrics"].([]any)
		for _, q := range queries {
			if query, _ := q.(map[string]any); query["MetricStat"] != nil {
				s.alarmMetrics++
			}
		}
	case "AWS::CloudWatch::CompositeAlarm", "AWS::CloudWatch::AnomalyDetector":
		return fmt.Errorf("the price of %s is not known here", r.Type)
	case "AWS::CloudWatch::Dashboard":
		s.dashboards++
	case "AWS::KMS::Key":
		s.keys++
	}
	return nil
}

// perMonth is how often a schedule such as rate(5 minutes) runs in a month.
func perMonth(expression string) (float64, error) {
	var n float64
	var unit string
	if _, err := fmt.Sscanf(expression, "rate(%f %s", &n, &unit); err != nil || n <= 0 {
		return 0, fmt.Errorf("%s is no rate", expression)
	}
	switch strings.TrimRight(unit, "s)") {
	case "minute":
		return hoursPerMonth * 60 / n, nil
	case "hour":
		return hoursPerMonth / n, nil
	}
	return 0, fmt.Errorf("%s has an unknown unit", expression)
}

// template is a CloudFormation template with the values of its parameters.
type template struct {
	Parameters map[string]struct{ Default any }
	Conditions map[string]any
	Resources  map[string]resource

	values map[string]any
	err    error
}

type resource struct {
	Type       string
	Condition  string
	Properties map[string]any
}

func (t *template) number(parameter string) float64 {
	n, err := strconv.ParseFloat(fmt.Sprint(t.values[parameter]), 64)
	if err != nil {
		t.err = fmt.Errorf("reading parameter %s: %w", parameter, err)
	}
	return n
}

func (t *template) condition(name string) bool { return t.value(t.Conditions[name]) == true }

// value evaluates the intrinsic functions that decide what is created. Others are
// returned as they are.
func (t *template) value(v any) any {
	call, ok := v.(map[string]any)
	if !ok || len(call) != 1 {
		return v
	}
	for function, argument := range call {
		list, _ := argument.([]any)
		switch function {
		case "Ref":
			if value, ok := t.values[fmt.Sprint(argument)]; ok {
				return value
			}
		case "Condition":
			return t.condition(fmt.Sprint(argument))
		case "Fn::If":
			if t.condition(fmt.Sprint(list[0])) {
				return t.value(list[1])
			}
			return t.value(list[2])
		case "Fn::Equals":
			return fmt.Sprint(t.value(list[0])) == fmt.Sprint(t.value(list[1]))
		case "Fn::Not":
			return t.value(list[0]) != true
		case "Fn::And", "Fn::Or":
			decisive := function == "Fn::Or"
			return slices.ContainsFunc(list, func(each any) bool { return t.value(each) == decisive }) == decisive
		}
	}
	return v
}
