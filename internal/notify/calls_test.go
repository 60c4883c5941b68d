package notify_test

import (
	"context"
	"encoding/json"
	"hash/crc32"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/idmapping/notifier/internal/dynamodb"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/fakecloud/account"
	fakeslack "github.com/idmapping/notifier/internal/fakecloud/slack"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/slack"
	"github.com/idmapping/notifier/internal/sqs"
)

// calls counts the calls that the real adapters make, in order and by kind.
type calls struct {
	mu   sync.Mutex
	made []string
}

func (c *calls) add(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made = append(c.made, kind)
}

func (c *calls) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	made := strings.Join(c.made, ", ")
	c.made = nil
	return made
}

// deliveriesTable is a DynamoDB that answers UpdateItem by what the update sets,
// and a claim with the attributes that the last record set.
func deliveriesTable(c *calls) http.HandlerFunc {
	items := make(map[string]map[string]any)
	return func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Key                       map[string]map[string]string
			UpdateExpression          string
			ExpressionAttributeValues map[string]any
		}
		_ = json.NewDecoder(r.Body).Decode(&in)
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		answer, key := "{}", in.Key["job"]["S"]
		switch set := in.UpdateExpression; {
		case operation != "UpdateItem":
			c.add(operation)
		case strings.Contains(set, "claim = :claimant"):
			c.add("claim")
			b, _ := json.Marshal(map[string]any{"Attributes": items[key]})
			answer = string(b)
		case strings.Contains(set, "nextSlot = :next"):
			c.add("reserve")
		case strings.Contains(set, "delivered.#transition = :entry"):
			c.add("record")
			if items[key] == nil {
				items[key] = make(map[string]any)
			}
			for name, value := range map[string]string{"channel": ":channel", "ts": ":ts", "progress": ":progress", "progressKey": ":key"} {
				if v := in.ExpressionAttributeValues[value]; v != nil {
					items[key][name] = v
				}
			}
		default:
			c.add(set)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(answer))), 10))
		_, _ = io.WriteString(w, answer)
	}
}

// The binding figures: 3 DynamoDB + 1 Slack for a job's first message, at most
// 4 + 2 for a terminal status on a card with a thread. The wire is real, the
// servers count.
func TestCallsPerMessage(t *testing.T) {
	c := &calls{}
	table := httptest.NewServer(deliveriesTable(c))
	defer table.Close()
	workspace := &fakeslack.Server{Token: "xoxb-1", Channels: []string{"C0DATAJOBS"}}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.add(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
		workspace.ServeHTTP(w, r)
	}))
	defer api.Close()
	store := dynamodb.Deliveries{Table: "deliveries", Client: awsdynamodb.NewFromConfig(aws.Config{Region: account.Region,
		BaseEndpoint: &table.URL, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})}
	token := func(context.Context) (string, error) { return "xoxb-1", nil }
	bot := slack.NewBot(slack.BotOptions{Token: token, Refresh: token, APIURL: api.URL + "/api/", Channel: "C0DATAJOBS", Edit: true, Thread: true, Broadcast: true})
	bot.Limiter = &notify.Limiter{Limits: store, Destination: bot.ID(), MinInterval: slack.MinInterval}
	queue := &fake.Queue{Name: "slack"}
	n := &notify.Notifier{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Deliveries: store, Queue: queue, Channels: []notify.Channel{{Name: "slack", QueueURL: queue.URL(),
		Destinations: []notify.Destination{bot}, Filter: notify.Filter{All: true}}}}
	for _, step := range []struct {
		name, body, want string
	}{
		{"first message of a job", body("1", jobs.Running, 0), "claim, reserve, chat.postMessage, record"},
		{"terminal status on a card with a thread", body("1", jobs.Failed, 1), "claim, reserve, chat.update, chat.postMessage, record"},
		{"late status", body("1", jobs.Queued, 0), "claim, reserve, record"},
		{"canary", canary(false), "claim, chat.postMessage, record"},
		{"poison", "{", ""},
	} {
		queue.Put(step.body)
		batch := queue.Receive(1)
		response, err := sqs.Handler(n)(t.Context(), batch)
		if err != nil || len(response.BatchItemFailures) != 0 {
			t.Fatalf("%s: %+v, %v", step.name, response, err)
		}
		queue.Delete(batch, nil)
		// The slot is reserved while the claim is made, in either order.
		if made := strings.Replace(c.take(), "reserve, claim", "claim, reserve", 1); made != step.want {
			t.Errorf("%s: calls %s\nwant %s", step.name, made, step.want)
		}
	}
	shown := workspace.Messages()
	if len(shown) != 2 || shown[0].Edits != 1 || shown[1].ThreadTS != shown[0].TS {
		t.Errorf("the channel shows %+v", shown)
	}
}
