package fakecloud

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/scheduler/types"

	"github.com/idmapping/notifier/internal/fakecloud/account"
)

// createSchedules creates the template's schedules, which moto's CloudFormation
// leaves out. Their targets are not invoked: a test ticks by itself.
func (c *Cloud) createSchedules(ctx context.Context, template []byte, paused bool) error {
	var body struct {
		Resources map[string]struct{ Type string }
	}
	if err := json.Unmarshal(template, &body); err != nil {
		return fmt.Errorf("reading the template: %w", err)
	}
	state := types.ScheduleStateEnabled
	if paused {
		state = types.ScheduleStateDisabled
	}
	client := scheduler.NewFromConfig(c.config)
	for id, resource := range body.Resources {
		if resource.Type != scheduleType {
			continue
		}
		name := Stack + "-" + id
		if _, err := client.CreateSchedule(ctx, &scheduler.CreateScheduleInput{Name: &name, ScheduleExpression: aws.String("rate(1 minute)"), State: state,
			FlexibleTimeWindow: &types.FlexibleTimeWindow{Mode: types.FlexibleTimeWindowModeOff},
			Target:             &types.Target{Arn: aws.String("arn:aws:lambda:" + account.Region + ":" + account.ID + ":function:poller"), RoleArn: aws.String("arn:aws:iam::" + account.ID + ":role/schedule")}}); err != nil {
			return fmt.Errorf("creating schedule %s: %w", name, err)
		}
		c.Resources[id] = name
		c.Proxy.AddResource(id, name, scheduleType)
	}
	return nil
}

const scheduleType = "AWS::Scheduler::Schedule"
