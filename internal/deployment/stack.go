package deployment

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go"

	"github.com/idmapping/notifier/internal/dynamodb"
	"github.com/idmapping/notifier/internal/email"
	"github.com/idmapping/notifier/internal/slack"
)

// Stack is a deployed stack of the notifier.
type Stack struct {
	Name            string
	Status          string // CloudFormation's
	Poller          string // function name
	Notifier        string // function name
	JobsTable       string
	DeliveriesTable string
	AlarmTopic      string // ARN
	Paused          bool
	Destinations    []string // as the deliveries table names them

	cfg aws.Config
}

// Jobs is the stack's jobs table, to read from.
func (s Stack) Jobs() dynamodb.Jobs {
	return dynamodb.Jobs{Client: awsdynamodb.NewFromConfig(s.cfg), Table: s.JobsTable}
}

// Deliveries is the stack's deliveries table, to read from.
func (s Stack) Deliveries() dynamodb.Deliveries {
	return dynamodb.Deliveries{Client: awsdynamodb.NewFromConfig(s.cfg), Table: s.DeliveriesTable}
}

// Region is where the stack is.
func (s Stack) Region() string { return s.cfg.Region }

// Find looks the stack up in CloudFormation.
func Find(ctx context.Context, cfg aws.Config, name string) (Stack, error) {
	out, err := cloudformation.NewFromConfig(cfg).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	if missing, ok := errors.AsType[smithy.APIError](err); ok && missing.ErrorCode() == "ValidationError" {
		return Stack{}, fmt.Errorf("there is no stack %s in %s: name the deployed stack with --stack NAME and its region with --region NAME", name, cfg.Region)
	}
	if err != nil {
		return Stack{}, fmt.Errorf("looking up stack %s in %s: %w", name, cfg.Region, err)
	}
	parameters, outputs := map[string]string{}, map[string]string{}
	for _, p := range out.Stacks[0].Parameters {
		parameters[aws.ToString(p.ParameterKey)] = aws.ToString(p.ParameterValue)
	}
	for _, o := range out.Stacks[0].Outputs {
		outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	s := Stack{Name: name, Status: string(out.Stacks[0].StackStatus), Poller: outputs["PollerFunction"], Notifier: outputs["NotifierFunction"],
		JobsTable: outputs["JobsTable"], DeliveriesTable: outputs["DeliveriesTable"], AlarmTopic: outputs["AlarmTopic"], Paused: parameters["Paused"] == "true", cfg: cfg}
	if s.Poller == "" || s.Notifier == "" || s.DeliveriesTable == "" || s.AlarmTopic == "" {
		return s, fmt.Errorf("stack %s is not a stack of the notifier, or its deployment failed (%s): it lacks outputs such as PollerFunction", name, s.Status)
	}
	s.Destinations, err = destinations(parameters)
	if err != nil {
		return s, fmt.Errorf("reading the parameters of stack %s: %w", name, err)
	}
	return s, nil
}

// Deployed returns an error unless the stack's last deployment succeeded.
func (s Stack) Deployed() error {
	if !strings.HasSuffix(s.Status, "_COMPLETE") || strings.Contains(s.Status, "ROLLBACK") || strings.HasPrefix(s.Status, "DELETE") {
		return fmt.Errorf("the last deployment did not succeed (%s): look at the stack's events in CloudFormation, and deploy again", s.Status)
	}
	return nil
}

// destinations returns the destinations that the parameters of template.yaml set.
func destinations(parameters map[string]string) (all []string, err error) {
	switch {
	case parameters["SlackTokenParameterName"] != "":
		all = append(all, slack.NewBot(slack.BotOptions{Channel: parameters["SlackChannel"]}).ID())
	case parameters["SlackWebhookParameterName"] != "":
		all = append(all, slack.NewWebhook(slack.WebhookOptions{}).ID())
	}
	from, recipients, err := email.ParseAddresses(parameters["EmailFrom"], parameters["EmailTo"])
	if err != nil {
		return nil, err
	}
	for _, to := range recipients {
		all = append(all, email.New(aws.Config{}, from, to, email.Options{}).ID())
	}
	return all, nil
}
