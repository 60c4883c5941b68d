// Package entityresolution reads ID mapping workflows and their jobs from AWS
// Entity Resolution.
package entityresolution

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/entityresolution"
	"github.com/aws/aws-sdk-go-v2/service/entityresolution/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/tags"
)

// DefaultRate is how many requests per second are sent by default. The quota of
// these calls is not published; their siblings' is 5 requests per second for all
// callers of an account and region ("Quotas for AWS Entity Resolution").
const DefaultRate = 5

const (
	attempts   = 3
	maxBackoff = 2 * time.Second // the SDK's 20 s would take half of the tick
	pageSize   = 25              // ListIdMappingJobs, maxResults
)

// Source is Entity Resolution in one account and region.
type Source struct{ client *entityresolution.Client }

// New makes a Source that sends at most requestsPerSecond requests per second,
// retries included, however many lists are read at once.
func New(cfg aws.Config, requestsPerSecond float64) *Source {
	limiter := newLimiter(requestsPerSecond)
	return &Source{entityresolution.NewFromConfig(cfg, func(o *entityresolution.Options) {
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
			r.MaxAttempts = attempts
			r.MaxBackoff = maxBackoff
		})
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Finalize.Insert(limiter, "Retry", middleware.After)
		})
	})}
}

// Workflows lists the ID mapping workflows of the account and region.
func (s *Source) Workflows(ctx context.Context) (jobs.WorkflowList, error) {
	list := jobs.WorkflowList{Workflows: make(map[string]jobs.Workflow)}
	pages := entityresolution.NewListIdMappingWorkflowsPaginator(s.client, &entityresolution.ListIdMappingWorkflowsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return jobs.WorkflowList{}, fmt.Errorf("calling ListIdMappingWorkflows: %w", classify(err))
		}
		if at, ok := awsmiddleware.GetServerTime(page.ResultMetadata); ok && list.At.IsZero() {
			list.At = at.UTC()
		}
		for _, w := range page.WorkflowSummaries {
			if name, arn := aws.ToString(w.WorkflowName), aws.ToString(w.WorkflowArn); name != "" && arn != "" {
				list.Workflows[name] = jobs.Workflow{Name: name, ARN: arn, CreatedAt: utc(w.CreatedAt)}
			}
		}
	}
	return list, nil
}

// Page reads one page of a workflow's job list; token is empty for the first.
func (s *Source) Page(ctx context.Context, workflow, token string) (jobs.Page, error) {
	in := &entityresolution.ListIdMappingJobsInput{WorkflowName: &workflow, MaxResults: aws.Int32(pageSize)}
	if token != "" {
		in.NextToken = &token
	}
	out, err := s.client.ListIdMappingJobs(ctx, in)
	if err != nil {
		return jobs.Page{}, fmt.Errorf("calling ListIdMappingJobs for %s: %w", workflow, classify(err))
	}
	page := jobs.Page{Next: aws.ToString(out.NextToken)}
	if at, ok := awsmiddleware.GetServerTime(out.ResultMetadata); ok {
		page.At = at.UTC()
	}
	for _, row := range out.Jobs {
		if aws.ToString(row.JobId) == "" || row.Status == "" {
			page.Unreadable++
			continue
		}
		page.Rows = append(page.Rows, jobs.Job{
			Key:       jobs.Key{Workflow: workflow, Job: *row.JobId},
			Status:    jobs.Status(row.Status),
			StartTime: utc(row.StartTime),
			EndTime:   utc(row.EndTime),
		})
	}
	return page, nil
}

// Job reads one job with all its details.
func (s *Source) Job(ctx context.Context, key jobs.Key) (jobs.Job, error) {
	out, err := s.client.GetIdMappingJob(ctx, &entityresolution.GetIdMappingJobInput{WorkflowName: &key.Workflow, JobId: &key.Job})
	if err != nil {
		return jobs.Job{}, fmt.Errorf("calling GetIdMappingJob for %s: %w", key, classify(err))
	}
	if out.Status == "" {
		return jobs.Job{}, fmt.Errorf("calling GetIdMappingJob for %s: %w: the answer has no status", key, jobs.ErrUnavailable)
	}
	job := jobs.Job{
		Key:       key,
		Type:      string(out.JobType),
		Status:    jobs.Status(out.Status),
		StartTime: utc(out.StartTime),
		EndTime:   utc(out.EndTime),
		Metrics:   metrics(out.Metrics),
	}
	if out.ErrorDetails != nil {
		job.Error = aws.ToString(out.ErrorDetails.ErrorMessage)
	}
	for _, o := range out.OutputSourceConfig {
		job.Outputs = append(job.Outputs, jobs.Output{
			S3Path: aws.ToString(o.OutputS3Path), KMSArn: aws.ToString(o.KMSArn), RoleArn: aws.ToString(o.RoleArn),
		})
	}
	return job, nil
}

// Tags reads a workflow's own tags, as [tags.Own] returns them.
func (s *Source) Tags(ctx context.Context, workflowARN string) (map[string]string, error) {
	out, err := s.client.ListTagsForResource(ctx, &entityresolution.ListTagsForResourceInput{ResourceArn: &workflowARN})
	if err != nil {
		return nil, fmt.Errorf("calling ListTagsForResource for %s: %w", workflowARN, classify(err))
	}
	return tags.Own(out.Tags), nil
}

func metrics(m *types.IdMappingJobMetrics) jobs.Metrics {
	if m == nil {
		return nil
	}
	all := make(jobs.Metrics)
	for counter, value := range map[jobs.Counter]*int32{
		jobs.InputRecords:               m.InputRecords,
		jobs.TotalRecordsProcessed:      m.TotalRecordsProcessed,
		jobs.RecordsNotProcessed:        m.RecordsNotProcessed,
		jobs.DeleteRecordsProcessed:     m.DeleteRecordsProcessed,
		jobs.TotalMappedRecords:         m.TotalMappedRecords,
		jobs.TotalMappedSourceRecords:   m.TotalMappedSourceRecords,
		jobs.TotalMappedTargetRecords:   m.TotalMappedTargetRecords,
		jobs.UniqueRecordsLoaded:        m.UniqueRecordsLoaded,
		jobs.NewMappedRecords:           m.NewMappedRecords,
		jobs.NewMappedSourceRecords:     m.NewMappedSourceRecords,
		jobs.NewMappedTargetRecords:     m.NewMappedTargetRecords,
		jobs.NewUniqueRecordsLoaded:     m.NewUniqueRecordsLoaded,
		jobs.MappedRecordsRemoved:       m.MappedRecordsRemoved,
		jobs.MappedSourceRecordsRemoved: m.MappedSourceRecordsRemoved,
		jobs.MappedTargetRecordsRemoved: m.MappedTargetRecordsRemoved,
	} {
		if value != nil {
			all[counter] = int64(*value)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
