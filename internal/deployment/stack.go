package deployment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go"

	"github.com/idmapping/notifier/internal/dynamodb"
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
	CreatedAt       time.Time
	Parameters      map[string]string // of template.yaml

	outputs map[string]string
	cfg     aws.Config
}

// Planned is a stack before its deployment: the account and region of cfg, and the
// parameters that it would have.
func Planned(cfg aws.Config, name string) Stack {
	return Stack{Name: name, Parameters: make(map[string]string), cfg: cfg}
}

// NotFoundError is Find's error about a stack that does not exist.
type NotFoundError struct{ Name, Region string }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("there is no stack %s in %s: name the deployed stack with --stack NAME and its region with --region NAME", e.Name, e.Region)
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

// Find looks the stack up in CloudFormation. Its error is a *NotFoundError where
// there is none of that name.
func Find(ctx context.Context, cfg aws.Config, name string) (Stack, error) {
	out, err := cloudformation.NewFromConfig(cfg).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	if missing, ok := errors.AsType[smithy.APIError](err); ok && missing.ErrorCode() == "ValidationError" {
		return Stack{}, &NotFoundError{name, cfg.Region}
	}
	if err != nil {
		return Stack{}, fmt.Errorf("looking up stack %s in %s: %w", name, cfg.Region, err)
	}
	s := stackOf(cfg, out.Stacks[0])
	if !s.isNotifier() || s.DeliveriesTable == "" {
		return s, fmt.Errorf("stack %s is not a stack of the notifier, or its deployment failed (%s): it lacks outputs such as PollerFunction", name, s.Status)
	}
	s.Destinations, err = s.destinations()
	if err != nil {
		return s, fmt.Errorf("reading the parameters of stack %s: %w", name, err)
	}
	return s, nil
}

// stackOf reads what CloudFormation says about a stack, whatever is deployed in it.
func stackOf(cfg aws.Config, described types.Stack) Stack {
	parameters, outputs := map[string]string{}, map[string]string{}
	for _, p := range described.Parameters {
		parameters[aws.ToString(p.ParameterKey)] = aws.ToString(p.ParameterValue)
	}
	for _, o := range described.Outputs {
		outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	return Stack{Name: aws.ToString(described.StackName), Status: string(described.StackStatus), Poller: outputs["PollerFunction"], Notifier: outputs["NotifierFunction"],
		JobsTable: outputs["JobsTable"], DeliveriesTable: outputs["DeliveriesTable"], AlarmTopic: outputs["AlarmTopic"], Paused: parameters["Paused"] == "true",
		CreatedAt: aws.ToTime(described.CreationTime), Parameters: parameters, outputs: outputs, cfg: cfg}
}

// isNotifier reports whether the outputs are those of template.yaml.
func (s Stack) isNotifier() bool { return s.Poller != "" && s.Notifier != "" && s.AlarmTopic != "" }

// Deployed returns an error unless the stack's last deployment succeeded.
func (s Stack) Deployed() error {
	if !strings.HasSuffix(s.Status, "_COMPLETE") || strings.Contains(s.Status, "ROLLBACK") || strings.HasPrefix(s.Status, "DELETE") {
		return fmt.Errorf("the last deployment did not succeed (%s): look at the stack's events in CloudFormation, and deploy again", s.Status)
	}
	return nil
}
