package dynamodb

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/idmapping/notifier/internal/notify"
)

// Ledgers reads what each destination has received of a job, which is named as in
// [notify.Key], strongly consistent. After 21 days it is forgotten.
func (s Deliveries) Ledgers(ctx context.Context, job string) ([]notify.Ledger, error) {
	var all []notify.Ledger
	pages := dynamodb.NewQueryPaginator(s.Client, &dynamodb.QueryInput{
		TableName: &s.Table, ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("job = :job"),
		ExpressionAttributeValues: attributes{":job": text(job)},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading what was delivered of %s: %w", job, err)
		}
		for _, item := range page.Items {
			all = append(all, ledgerOf(item))
		}
	}
	return all, nil
}

func ledgerOf(item attributes) notify.Ledger {
	l := notify.Ledger{Destination: str(item, "destination"), Receipts: make(map[string]notify.Receipt),
		Card: notify.MessageRef{Channel: str(item, "channel"), TS: str(item, "ts")}}
	delivered, _ := item["delivered"].(*types.AttributeValueMemberM)
	if delivered == nil {
		return l
	}
	for id, value := range delivered.Value {
		var entry attributes
		if m, ok := value.(*types.AttributeValueMemberM); ok {
			entry = m.Value
		}
		sent, _ := time.Parse(time.RFC3339, str(entry, "sentAt"))
		l.Receipts[id] = notify.Receipt{SentAt: sent, Attempts: int(num(entry, "attempts")), Delay: time.Duration(num(entry, "delaySeconds")) * time.Second}
	}
	return l
}
