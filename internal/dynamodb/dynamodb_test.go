package dynamodb_test

import (
	"context"
	"testing"
	"time"

	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/idmapping/notifier/internal/dynamodb"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notifier"
	"github.com/idmapping/notifier/internal/standin"
	"github.com/idmapping/notifier/internal/storetest"
)

// table makes a table with the two keys and gives a client and its name.
func table(t *testing.T, hash, sort string) (*awsdynamodb.Client, string) {
	t.Helper()
	client := awsdynamodb.NewFromConfig(standin.MotoForTest(t).Config())
	name := hash + "-" + sort + "-" + time.Now().Format("150405.000000000")
	_, err := client.CreateTable(context.Background(), &awsdynamodb.CreateTableInput{
		TableName:   &name,
		BillingMode: types.BillingModePayPerRequest,
		KeySchema: []types.KeySchemaElement{
			{AttributeName: &hash, KeyType: types.KeyTypeHash}, {AttributeName: &sort, KeyType: types.KeyTypeRange}},
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: &hash, AttributeType: types.ScalarAttributeTypeS}, {AttributeName: &sort, AttributeType: types.ScalarAttributeTypeS}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return client, name
}

func TestTheJobsTableHoldsTheContract(t *testing.T) {
	client, name := table(t, "workflow", "job")
	storetest.JobsContract(t, dynamodb.Jobs{Client: client, Table: name, Retention: time.Hour}, "contract")
}

func TestTheDeliveriesTableHoldsTheContract(t *testing.T) {
	client, name := table(t, "job", "destination")
	storetest.DeliveriesContract(t, func(now func() time.Time) notifier.Deliveries {
		return dynamodb.Deliveries{Client: client, Table: name, Retention: time.Hour, Now: now}
	}, "contract")
}

func TestTheExpiryIsRetentionAndADayAfterTheEnd(t *testing.T) {
	client, name := table(t, "workflow", "job")
	store := dynamodb.Jobs{Client: client, Table: name, Retention: 90 * 24 * time.Hour}
	end := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	key := jobs.Key{Workflow: "crm", Job: "1"}
	if err := store.Save(t.Context(), jobs.Record{Job: jobs.Job{Key: key, Status: jobs.Failed, EndTime: end}}, nil); err != nil {
		t.Fatal(err)
	}
	r, err := store.Record(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Settle(t.Context(), r, nil, nil); err != nil {
		t.Fatal(err)
	}
	out, err := client.GetItem(t.Context(), &awsdynamodb.GetItemInput{TableName: &name, Key: map[string]types.AttributeValue{
		"workflow": &types.AttributeValueMemberS{Value: "crm"}, "job": &types.AttributeValueMemberS{Value: "1"}}})
	if err != nil {
		t.Fatal(err)
	}
	want := "1803297600" // 2027-02-22T12:00:00Z
	if got, ok := out.Item["expiresAt"].(*types.AttributeValueMemberN); !ok || got.Value != want {
		t.Errorf("expiresAt = %v, want %s", out.Item["expiresAt"], want)
	}
}

func TestItemsOfAnOlderVersionAreRead(t *testing.T) {
	client, name := table(t, "workflow", "job")
	_, err := client.PutItem(t.Context(), &awsdynamodb.PutItemInput{TableName: &name, Item: map[string]types.AttributeValue{
		"workflow": &types.AttributeValueMemberS{Value: "crm"}, "job": &types.AttributeValueMemberS{Value: "1"},
		"status": &types.AttributeValueMemberS{Value: "RUNNING"}, "version": &types.AttributeValueMemberN{Value: "3"},
		"addedLater": &types.AttributeValueMemberS{Value: "of a newer version"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	store := dynamodb.Jobs{Client: client, Table: name, Retention: time.Hour}
	all, err := store.Records(t.Context(), "crm")
	if err != nil {
		t.Fatal(err)
	}
	if r := all["1"]; r.Job.Status != jobs.Running || r.Version != 3 || !r.Open() || len(r.Pending) != 0 {
		t.Errorf("read as %+v", r)
	}
}

func TestAMissingTableIsAnErrorThatNamesIt(t *testing.T) {
	client := awsdynamodb.NewFromConfig(standin.MotoForTest(t).Config())
	store := dynamodb.Jobs{Client: client, Table: "not-there", Retention: time.Hour}
	if _, err := store.Watches(t.Context()); err == nil {
		t.Error("no error")
	}
}
