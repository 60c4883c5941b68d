package deployment

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// AlarmReceivers returns who receives the alarms, and who would after confirming
// the subscription.
func (s Stack) AlarmReceivers(ctx context.Context) (confirmed, pending []string, err error) {
	pages := sns.NewListSubscriptionsByTopicPaginator(sns.NewFromConfig(s.cfg), &sns.ListSubscriptionsByTopicInput{TopicArn: &s.AlarmTopic})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("listing the subscriptions of %s: %w", s.AlarmTopic, err)
		}
		for _, subscription := range page.Subscriptions {
			receiver := aws.ToString(subscription.Protocol) + " " + aws.ToString(subscription.Endpoint)
			// SNS API Reference, Subscribe: until it is confirmed, a subscription
			// has a word such as PendingConfirmation instead of an ARN.
			switch subscriptionARN := aws.ToString(subscription.SubscriptionArn); {
			case strings.HasPrefix(subscriptionARN, "arn:"):
				confirmed = append(confirmed, receiver)
			case subscriptionARN != "Deleted":
				pending = append(pending, receiver)
			}
		}
	}
	return confirmed, pending, nil
}
