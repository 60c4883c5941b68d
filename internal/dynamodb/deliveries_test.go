package dynamodb_test

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/idmapping/notifier/internal/dynamodb"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/fakecloud/aws/awstest"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
)

func TestDeliveriesTableHoldsTheContract(t *testing.T) {
	client, name := table(t, "job", "destination")
	fake.DeliveriesContract(t, func(now func() time.Time) fake.DeliveriesStore {
		return dynamodb.Deliveries{Client: client, Table: name, Now: now}
	}, "contract")
}

// The items live longer than any message, so that none is sent again because
// its item has expired.
func TestDeliveriesItemHoldsOneEntryPerTransitionAndExpiresAfter21Days(t *testing.T) {
	client, name := table(t, "job", "destination")
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	store := dynamodb.Deliveries{Client: client, Table: name, Now: func() time.Time { return at }}
	k := notify.Key{Job: "arn:w/1", Destination: "slack:C1"}
	running := notify.Progress{Status: jobs.Running, Stage: jobs.Active, ObservedAt: at.Add(-time.Minute)}
	for _, o := range []notify.Outcome{
		{Transition: "queued", Progress: running, Attempts: 3, Delay: 95*time.Second + 999*time.Millisecond},
		{Transition: "running", Progress: running, Ref: notify.MessageRef{Channel: "C1", TS: "1.2"}, SentAt: at, Attempts: 1, Delay: 2 * time.Second},
	} {
		if _, err := store.Claim(t.Context(), k, o.Transition, "me", running, at.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if err := store.Record(t.Context(), k, "me", o); err != nil {
			t.Fatal(err)
		}
	}
	out, err := client.GetItem(t.Context(), &awsdynamodb.GetItemInput{TableName: &name, Key: map[string]types.AttributeValue{
		"job": &types.AttributeValueMemberS{Value: k.Job}, "destination": &types.AttributeValueMemberS{Value: k.Destination}}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"job": "arn:w/1", "destination": "slack:C1", "layout": "1", "expiresAt": "1797249600", // 2026-12-14T12:00:00Z
		"channel": "C1", "ts": "1.2",
		"progress": "RUNNING", "progressKey": "1 2026-11-23T11:59:00.000000000Z",
		"attempted": "RUNNING", "attemptedKey": "1 2026-11-23T11:59:00.000000000Z",
		"delivered.queued.attempts": "3", "delivered.queued.delaySeconds": "95",
		"delivered.running.attempts": "1", "delivered.running.delaySeconds": "2", "delivered.running.sentAt": "2026-11-23T12:00:00Z",
	}
	if got := flat("", out.Item); !maps.Equal(got, want) {
		t.Errorf("the item has\n     %v\nwant %v", got, want)
	}
}

// flat writes the texts and numbers of an item, those of maps with their path.
func flat(path string, item map[string]types.AttributeValue) map[string]string {
	all := make(map[string]string)
	for name, value := range item {
		switch v := value.(type) {
		case *types.AttributeValueMemberS:
			all[path+name] = v.Value
		case *types.AttributeValueMemberN:
			all[path+name] = v.Value
		case *types.AttributeValueMemberM:
			maps.Copy(all, flat(path+name+".", v.Value))
		}
	}
	return all
}

func TestLimitAndOutageItemsCarryTheLayout(t *testing.T) {
	client, name := table(t, "job", "destination")
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	store := dynamodb.Deliveries{Client: client, Table: name, Now: func() time.Time { return at.Add(999 * time.Microsecond) }}
	_, _, err1 := store.Reserve(t.Context(), "slack:C1", time.Second, at.Add(time.Minute))
	err2 := store.PauseUntil(t.Context(), "slack:C2", at)
	_, err3 := store.RecordOutage(t.Context(), "slack:C1")
	err4 := store.RecordAnnouncement(t.Context(), "slack:C1")
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	out, err := client.Scan(t.Context(), &awsdynamodb.ScanInput{TableName: &name})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, item := range out.Items {
		f := flat("", item)
		got = append(got, strings.Join([]string{f["job"], f["destination"], f["layout"], f["nextSlot"], f["expiresAt"]}, " "))
	}
	slices.Sort(got)
	want := []string{"#limit slack:C1 1 1795435201001 ", "#limit slack:C2 1 1795435200000 ", "#outage slack:C1 1  1797249600"}
	if !slices.Equal(got, want) {
		t.Errorf("items\n     %q\nwant %q", got, want)
	}
}

func TestDeliveriesErrorSaysWhatFailed(t *testing.T) {
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	defer down.Close()
	client := awsdynamodb.NewFromConfig(awstest.Moto(t).Config(), func(o *awsdynamodb.Options) {
		o.BaseEndpoint, o.Retryer = &down.URL, aws.NopRetryer{}
	})
	store := dynamodb.Deliveries{Client: client, Table: "t"}
	k := notify.Key{Job: "arn:w/1", Destination: "slack:C1"}
	ctx, now := t.Context(), time.Now()
	for want, call := range map[string]func() error{
		"claiming arn:w/1 for slack:C1": func() error {
			_, err := store.Claim(ctx, k, "x", "me", notify.Progress{}, now)
			if _, ok := errors.AsType[*notify.Claimed](err); ok {
				return nil
			}
			return err
		},
		"recording that slack:C1 received arn:w/1": func() error { return store.Record(ctx, k, "me", notify.Outcome{Transition: "x"}) },
		"releasing the claim of arn:w/1":           func() error { return store.Release(ctx, k, "me") },
		"reserving a slot to send to slack:C1": func() error {
			_, reserved, err := store.Reserve(ctx, "slack:C1", time.Second, now.Add(time.Hour))
			if reserved {
				return nil
			}
			return err
		},
		"setting the rate-limit pause of slack:C1": func() error { return store.PauseUntil(ctx, "slack:C1", now) },
		"recording the outage of slack:C1":         func() error { _, err := store.RecordOutage(ctx, "slack:C1"); return err },
		"recording the announcement":               func() error { return store.RecordAnnouncement(ctx, "slack:C1") },
	} {
		if err := call(); err == nil || errors.Is(err, jobs.ErrConflict) || !strings.Contains(err.Error(), "500") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestLedgersSayWhatEachDestinationReceived(t *testing.T) {
	client, name := table(t, "job", "destination")
	s := dynamodb.Deliveries{Client: client, Table: name, Now: func() time.Time { return at }}
	k := notify.Key{Job: "arn/j", Destination: "slack:C1"}
	o := notify.Outcome{Transition: "t1", Ref: notify.MessageRef{Channel: "C1", TS: "1.2"}, SentAt: at, Attempts: 2, Delay: 3 * time.Second}
	for _, destination := range []string{"email:a@example.com", "slack:C1"} {
		k.Destination = destination
		if _, err := s.Claim(t.Context(), k, "t1", "me", notify.Progress{Status: jobs.Failed, Stage: jobs.Terminal, ObservedAt: at}, at.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if err := s.Record(t.Context(), k, "me", o); err != nil {
			t.Fatal(err)
		}
		o.Ref, o.SentAt = notify.MessageRef{Channel: "C1", TS: "1.2"}, at
	}
	got, err := s.Ledgers(t.Context(), "arn/j")
	want := notify.Receipt{SentAt: at, Attempts: 2, Delay: 3 * time.Second}
	if err != nil || len(got) != 2 || got[1].Destination != "slack:C1" || got[1].Card.TS != "1.2" || got[1].Receipts["t1"] != want {
		t.Errorf("the ledgers are %+v, %v", got, err)
	}
	if got, err := s.Ledgers(t.Context(), "arn/other"); err != nil || len(got) != 0 {
		t.Errorf("of another job: %+v, %v", got, err)
	}
}
