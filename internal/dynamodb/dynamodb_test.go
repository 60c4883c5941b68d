package dynamodb_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/idmapping/notifier/internal/dynamodb"
	"github.com/idmapping/notifier/internal/fake"
	fakeaws "github.com/idmapping/notifier/internal/fakecloud/aws"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
)

// table makes a table with the two keys and gives a client and its name.
func table(t *testing.T, hash, sort string) (*awsdynamodb.Client, string) {
	t.Helper()
	client := awsdynamodb.NewFromConfig(fakeaws.MotoForTest(t).Config())
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

func TestTheDeliveriesTableHoldsTheContract(t *testing.T) {
	client, name := table(t, "job", "destination")
	fake.DeliveriesContract(t, func(now func() time.Time) notify.Deliveries {
		return dynamodb.Deliveries{Client: client, Table: name, Retention: time.Hour, Now: now}
	}, "contract")
}

// An error that went unseen would let a message pass for claimed, recorded or
// published.
func TestACallThatFailsIsAnErrorThatSaysSo(t *testing.T) {
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	defer down.Close()
	client := awsdynamodb.NewFromConfig(fakeaws.MotoForTest(t).Config(), func(o *awsdynamodb.Options) {
		o.BaseEndpoint, o.Retryer = &down.URL, aws.NopRetryer{}
	})
	ledger := dynamodb.Deliveries{Client: client, Table: "t"}
	k := notify.Key{Job: "arn:w/1", Destination: "slack:C1"}
	ctx, now := t.Context(), time.Now()
	for name, call := range map[string]func() error{
		"Claim": func() error {
			_, err := ledger.Claim(ctx, k, "x", "me", notify.Progress{}, now)
			if _, ok := errors.AsType[*notify.Claimed](err); ok {
				return nil
			}
			return err
		},
		"SaveCard": func() error { return ledger.SaveCard(ctx, k, notify.MessageRef{}) },
		"Finish":   func() error { return ledger.Finish(ctx, k, "me", "x", notify.Progress{}) },
		"Release":  func() error { return ledger.Release(ctx, k, "me") },
		"Slot": func() error {
			_, ok, err := ledger.Slot(ctx, "slack:C1", time.Second, now)
			if ok {
				return nil
			}
			return err
		},
		"Hold":   func() error { return ledger.Hold(ctx, "slack:C1", now) },
		"Broken": func() error { _, err := ledger.Broken(ctx, "slack:C1"); return err },
		"Warned": func() error { return ledger.Warned(ctx, "slack:C1") },
	} {
		if err := call(); err == nil || errors.Is(err, jobs.ErrConflict) || !strings.Contains(err.Error(), "500") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
