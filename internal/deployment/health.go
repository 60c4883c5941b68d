package deployment

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/idmapping/notifier/internal/emf"
)

// Schedule is one of the poller's schedules.
type Schedule struct {
	Name    string
	Enabled bool
}

// Schedules reads the poller's schedules.
func (s Stack) Schedules(ctx context.Context) ([]Schedule, error) {
	names, err := s.resources(ctx, "AWS::Scheduler::Schedule")
	if err != nil {
		return nil, err
	}
	var all []Schedule
	client := scheduler.NewFromConfig(s.cfg)
	for _, name := range slices.Sorted(maps.Values(names)) {
		out, err := client.GetSchedule(ctx, &scheduler.GetScheduleInput{Name: &name})
		if err != nil {
			return nil, fmt.Errorf("reading schedule %s: %w", name, err)
		}
		all = append(all, Schedule{name, out.State == "ENABLED"})
	}
	return all, nil
}

// Mapping is an event source mapping, from a queue to the notifier.
type Mapping struct {
	UUID  string
	State string // Lambda's, such as Enabled; empty where there is no mapping
}

// Enabled reports whether Lambda reads the queue, or is about to (Lambda API
// Reference, CreateEventSourceMapping, State).
func (m Mapping) Enabled() bool {
	return m.State == "Creating" || m.State == "Enabling" || m.State == "Enabled" || m.State == "Updating"
}

// Mappings reads the event source mappings of the queues that the stack uses, by the
// queue's output in the template.
func (s Stack) Mappings(ctx context.Context) (map[string]Mapping, error) {
	all := make(map[string]Mapping)
	for _, queue := range s.queues() {
		all[queue] = Mapping{}
	}
	pages := lambda.NewListEventSourceMappingsPaginator(lambda.NewFromConfig(s.cfg), &lambda.ListEventSourceMappingsInput{FunctionName: &s.Notifier})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing the event source mappings of %s: %w", s.Notifier, err)
		}
		for _, m := range page.EventSourceMappings {
			for queue := range all {
				if strings.HasSuffix(aws.ToString(m.EventSourceArn), ":"+s.outputs[queue]) {
					all[queue] = Mapping{aws.ToString(m.UUID), aws.ToString(m.State)}
				}
			}
		}
	}
	return all, nil
}

// queues names the queues of the channels that the parameters set.
func (s Stack) queues() (all []string) {
	if s.Parameters["SlackTokenParameterName"] != "" || s.Parameters["SlackWebhookParameterName"] != "" {
		all = append(all, "SlackQueue")
	}
	if s.Parameters["EmailTo"] != "" {
		all = append(all, "EmailQueue")
	}
	return all
}

// DeadLetters counts the messages in each dead-letter queue, by its logical ID in
// the template.
func (s Stack) DeadLetters(ctx context.Context) (map[string]int, error) {
	queues, err := s.resources(ctx, "AWS::SQS::Queue")
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int)
	client := sqs.NewFromConfig(s.cfg)
	for id, url := range queues {
		if !strings.HasSuffix(id, "DeadLetterQueue") {
			continue
		}
		visible := sqstypes.QueueAttributeNameApproximateNumberOfMessages
		out, err := client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{visible}})
		if err != nil {
			return nil, fmt.Errorf("counting the messages in %s: %w", id, err)
		}
		if counts[id], err = strconv.Atoi(out.Attributes[string(visible)]); err != nil {
			return nil, fmt.Errorf("counting the messages in %s: %w", id, err)
		}
	}
	return counts, nil
}

// resources returns the physical IDs of the stack's resources of a type, by logical
// ID.
func (s Stack) resources(ctx context.Context, resourceType string) (map[string]string, error) {
	all := make(map[string]string)
	pages := cloudformation.NewListStackResourcesPaginator(cloudformation.NewFromConfig(s.cfg), &cloudformation.ListStackResourcesInput{StackName: &s.Name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing the resources of stack %s: %w", s.Name, err)
		}
		for _, r := range page.StackResourceSummaries {
			if aws.ToString(r.ResourceType) == resourceType {
				all[aws.ToString(r.LogicalResourceId)] = aws.ToString(r.PhysicalResourceId)
			}
		}
	}
	return all, nil
}

// LastSweep returns the minute of the last complete sweep, by the metric that
// HeartbeatAlarm watches. It is zero where there was none for a day: one call returns
// at most 1,440 data points (CloudWatch API Reference, GetMetricStatistics).
func (s Stack) LastSweep(ctx context.Context) (last time.Time, err error) {
	now := time.Now()
	out, err := cloudwatch.NewFromConfig(s.cfg).GetMetricStatistics(ctx, &cloudwatch.GetMetricStatisticsInput{
		Namespace: aws.String(emf.Namespace), MetricName: aws.String("SweepsCompleted"),
		Dimensions: []cwtypes.Dimension{{Name: aws.String("Stack"), Value: &s.Name}},
		StartTime:  aws.Time(now.Add(-24 * time.Hour)), EndTime: &now,
		Period: aws.Int32(60), Statistics: []cwtypes.Statistic{cwtypes.StatisticSum},
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the metric SweepsCompleted: %w", err)
	}
	for _, point := range out.Datapoints {
		if at := aws.ToTime(point.Timestamp); aws.ToFloat64(point.Sum) > 0 && at.After(last) {
			last = at
		}
	}
	return last, nil
}
