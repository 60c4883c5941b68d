package dynamodb_test

import (
	"context"
	"errors"
	"maps"
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
	"github.com/idmapping/notifier/internal/fakecloud"
	"github.com/idmapping/notifier/internal/jobs"
)

// table makes a table with the two keys and gives a client and its name.
func table(t *testing.T, hash, sort string) (*awsdynamodb.Client, string) {
	t.Helper()
	client := awsdynamodb.NewFromConfig(fakecloud.MotoForTest(t).Config())
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
	fake.JobsContract(t, dynamodb.Jobs{Client: client, Table: name, Retention: time.Hour}, "contract")
}

func TestTheExpiryIsRetentionAndADayAfterTheEnd(t *testing.T) {
	client, name := table(t, "workflow", "job")
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for id, c := range map[string]struct {
		retention time.Duration
		record    jobs.Record
		now       func() time.Time
		want      string // epoch seconds
	}{
		"ended":          {90 * 24 * time.Hour, jobs.Record{Job: jobs.Job{Status: jobs.Failed, EndTime: at}}, nil, "1803297600"},                      // 2027-02-22T12:00:00Z
		"without an end": {time.Hour, jobs.Record{Job: jobs.Job{Status: jobs.Running}, Vanished: true}, func() time.Time { return at }, "1795525200"}, // 2026-11-24T13:00:00Z, counted from now
	} {
		store := dynamodb.Jobs{Client: client, Table: name, Retention: c.retention, Now: c.now}
		c.record.Job.Key = jobs.Key{Workflow: "crm", Job: id}
		if err := store.Save(t.Context(), c.record, nil); err != nil {
			t.Fatal(err)
		}
		r, err := store.Record(t.Context(), c.record.Job.Key)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Settle(t.Context(), r, nil, nil); err != nil {
			t.Fatal(err)
		}
		if got, ok := item(t, client, name, "crm", id)["expiresAt"].(*types.AttributeValueMemberN); !ok || got.Value != c.want {
			t.Errorf("%s: expiresAt = %+v, want %s", id, got, c.want)
		}
	}
}

// put puts an item as another version, or somebody's hand, may have left it.
func put(t *testing.T, client *awsdynamodb.Client, table, workflow, job string, more map[string]types.AttributeValue) {
	t.Helper()
	item := map[string]types.AttributeValue{
		"workflow": &types.AttributeValueMemberS{Value: workflow}, "job": &types.AttributeValueMemberS{Value: job},
		"version": &types.AttributeValueMemberN{Value: "3"},
	}
	maps.Copy(item, more)
	if _, err := client.PutItem(t.Context(), &awsdynamodb.PutItemInput{TableName: &table, Item: item}); err != nil {
		t.Fatal(err)
	}
}

// item is an item as it is stored.
func item(t *testing.T, client *awsdynamodb.Client, table, workflow, job string) map[string]types.AttributeValue {
	t.Helper()
	out, err := client.GetItem(t.Context(), &awsdynamodb.GetItemInput{TableName: &table, Key: map[string]types.AttributeValue{
		"workflow": &types.AttributeValueMemberS{Value: workflow}, "job": &types.AttributeValueMemberS{Value: job}}})
	if err != nil {
		t.Fatal(err)
	}
	return out.Item
}

// An error that went unseen would let a message pass for claimed, recorded or
// published.
func TestACallThatFailsIsAnErrorThatSaysSo(t *testing.T) {
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	defer down.Close()
	client := awsdynamodb.NewFromConfig(fakecloud.MotoForTest(t).Config(), func(o *awsdynamodb.Options) {
		o.BaseEndpoint, o.Retryer = &down.URL, aws.NopRetryer{}
	})
	store := dynamodb.Jobs{Client: client, Table: "t"}
	job := jobs.Record{Job: jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "1"}, Status: jobs.Failed}, Version: 1, Pending: []jobs.Entry{{ID: "x"}}}
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"Watches":   func() error { _, err := store.Watches(ctx); return err },
		"SaveWatch": func() error { return store.SaveWatch(ctx, jobs.Watch{Workflow: "crm"}) },
		"Forget":    func() error { return store.Forget(ctx, jobs.Watch{Workflow: "crm", Version: 1}) },
		"Records":   func() error { _, err := store.Records(ctx, "crm"); return err },
		"Record":    func() error { _, err := store.Record(ctx, job.Job.Key); return err },
		"Save":      func() error { return store.Save(ctx, job, &jobs.Entry{ID: "y"}) },
		"Settle":    func() error { return store.Settle(ctx, job, []string{"x"}, nil) },
	} {
		if err := call(); err == nil || errors.Is(err, jobs.ErrConflict) || !strings.Contains(err.Error(), "500") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestItemsOfAnOlderVersionAreReadAndGoOn(t *testing.T) {
	client, name := table(t, "workflow", "job")
	put(t, client, name, "crm", "1", map[string]types.AttributeValue{
		"status":     &types.AttributeValueMemberS{Value: "RUNNING"},
		"addedLater": &types.AttributeValueMemberS{Value: "of a newer version"},
	})
	store := dynamodb.Jobs{Client: client, Table: name, Retention: time.Hour}
	all, err := store.Records(t.Context(), "crm")
	if err != nil {
		t.Fatal(err)
	}
	if r := all["1"]; r.Job.Status != jobs.Running || r.Version != 3 || !r.Open() || len(r.Pending) != 0 {
		t.Errorf("read as %+v", r)
	}
	r := all["1"]
	r.Job.Status = jobs.Failed
	if err := store.Save(t.Context(), r, &jobs.Entry{ID: "x", Seq: 4}); err != nil {
		t.Fatal(err)
	}
	if r, err = store.Record(t.Context(), r.Job.Key); err != nil || r.Version != 4 || len(r.Pending) != 1 {
		t.Errorf("saved as %+v, %v", r, err)
	}
}

func TestAnOutboxWithoutItsPlaceForRefusedEntriesIsEmptied(t *testing.T) {
	client, name := table(t, "workflow", "job")
	entry := types.AttributeValueMemberM{Value: map[string]types.AttributeValue{"x": &types.AttributeValueMemberS{Value: `{"id":"x","seq":3}`}}}
	put(t, client, name, "crm", "1", map[string]types.AttributeValue{"status": &types.AttributeValueMemberS{Value: "FAILED"}, "pending": &entry})
	store := dynamodb.Jobs{Client: client, Table: name, Retention: time.Hour}
	key := jobs.Key{Workflow: "crm", Job: "1"}
	r, err := store.Record(t.Context(), key)
	if err != nil || len(r.Pending) != 1 {
		t.Fatalf("read as %+v, %v", r, err)
	}
	if err := store.Settle(t.Context(), r, nil, map[string]string{"x": "MalformedDetail"}); err != nil {
		t.Fatal(err)
	}
	if r, err = store.Record(t.Context(), key); err != nil || len(r.Pending) != 0 || !r.Expiring {
		t.Errorf("settled as %+v, %v", r, err)
	}
	refused, ok := item(t, client, name, "crm", "1")["refused"].(*types.AttributeValueMemberM)
	if !ok || len(refused.Value) != 1 {
		t.Fatalf("refused is %+v", refused)
	}
	if kept, ok := refused.Value["x"].(*types.AttributeValueMemberS); !ok || !strings.Contains(kept.Value, `"id":"x","seq":3`) || !strings.Contains(kept.Value, `"reason":"MalformedDetail"`) {
		t.Errorf("kept aside: %+v", refused.Value["x"])
	}
}

func TestAnItemThatCannotBeReadSaysSoAndStopsNoOther(t *testing.T) {
	client, name := table(t, "workflow", "job")
	no := &types.AttributeValueMemberS{Value: `{"status":["RUNNING"]}`}
	put(t, client, name, "crm", "1", map[string]types.AttributeValue{"observed": no})
	put(t, client, name, "#watches", "crm", map[string]types.AttributeValue{"watch": &types.AttributeValueMemberS{Value: "{"}})
	store := dynamodb.Jobs{Client: client, Table: name, Retention: time.Hour}
	key := jobs.Key{Workflow: "crm", Job: "2"}
	if err := errors.Join(store.Save(t.Context(), jobs.Record{Job: jobs.Job{Key: key, Status: jobs.Running}}, nil),
		store.SaveWatch(t.Context(), jobs.Watch{Workflow: "web"})); err != nil {
		t.Fatal(err)
	}
	all, err := store.Records(t.Context(), "crm")
	if err != nil || len(all) != 2 || all["1"].Unreadable == nil || all["1"].Job.Workflow != "crm" || all["2"].Unreadable != nil {
		t.Errorf("records %+v, %v", all, err)
	}
	if _, err := store.Record(t.Context(), jobs.Key{Workflow: "crm", Job: "1"}); err == nil || !strings.Contains(err.Error(), "reading the item of job crm/1: attribute observed") {
		t.Errorf("the one record: %v", err)
	}
	watches, err := store.Watches(t.Context())
	if err != nil || len(watches) != 2 {
		t.Fatalf("watches %+v, %v", watches, err)
	}
	for _, w := range watches {
		if (w.Unreadable != nil) != (w.Workflow == "crm") {
			t.Errorf("watch %+v", w)
		}
	}
}

func TestAMissingTableIsAnErrorThatNamesIt(t *testing.T) {
	client := awsdynamodb.NewFromConfig(fakecloud.MotoForTest(t).Config())
	store := dynamodb.Jobs{Client: client, Table: "not-there", Retention: time.Hour}
	if _, err := store.Watches(t.Context()); err == nil {
		t.Error("no error")
	}
}
