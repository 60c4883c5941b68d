package deployment

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/entityresolution"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/idmapping/notifier/internal/poller"
	"github.com/idmapping/notifier/internal/tags"
)

// Caller returns who calls AWS, as an ARN. Nobody can be denied this call (STS API
// Reference, GetCallerIdentity).
func (s Stack) Caller(ctx context.Context) (string, error) {
	out, err := sts.NewFromConfig(s.cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", fmt.Errorf("asking AWS who calls: %w", err)
	}
	return aws.ToString(out.Arn), nil
}

// Workflows lists the ID mapping workflows of the account and region: their ARNs by
// name.
func (s Stack) Workflows(ctx context.Context) (map[string]string, error) {
	all := make(map[string]string)
	pages := entityresolution.NewListIdMappingWorkflowsPaginator(entityresolution.NewFromConfig(s.cfg), &entityresolution.ListIdMappingWorkflowsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing the workflows: %w", err)
		}
		for _, w := range page.WorkflowSummaries {
			all[aws.ToString(w.WorkflowName)] = aws.ToString(w.WorkflowArn)
		}
	}
	return all, nil
}

// Tags reads the tags of a workflow that are for the notifier. Their keys are
// without the prefix idmapping:, such as slack-channel.
func (s Stack) Tags(ctx context.Context, workflowARN string) (map[string]string, error) {
	out, err := entityresolution.NewFromConfig(s.cfg).ListTagsForResource(ctx, &entityresolution.ListTagsForResourceInput{ResourceArn: &workflowARN})
	if err != nil {
		return nil, fmt.Errorf("reading the tags of %s: %w", workflowARN, err)
	}
	return tags.Own(out.Tags), nil
}

// Filter is the filter of the workflows that the stack watches.
func (s Stack) Filter() (poller.Filter, error) {
	return poller.NewFilter(s.Parameters["WorkflowInclude"], s.Parameters["WorkflowExclude"])
}

// Others returns the other stacks of the notifier in the account and region that are
// not paused.
func (s Stack) Others(ctx context.Context) ([]Stack, error) {
	var others []Stack
	pages := cloudformation.NewDescribeStacksPaginator(cloudformation.NewFromConfig(s.cfg), &cloudformation.DescribeStacksInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing the stacks in %s: %w", s.Region(), err)
		}
		for _, described := range page.Stacks {
			if other := stackOf(s.cfg, described); other.isNotifier() && !other.Paused && other.Name != s.Name {
				others = append(others, other)
			}
		}
	}
	return others, nil
}
