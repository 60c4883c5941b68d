package slack

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
	fakeslack "github.com/idmapping/notifier/internal/fakecloud/slack"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/notify"
)

func TestWebhookPostsOneMessagePerDelivery(t *testing.T) {
	s := &fakeslack.Server{}
	server := httptest.NewServer(s)
	defer server.Close()
	u := func(context.Context) (string, error) { return server.URL + fakeslack.WebhookPath, nil }
	limiter := &fake.Limiter{}
	w := NewWebhook(WebhookOptions{URL: u, Refresh: u, Mention: "<!here>", AllowLoopback: true, Limiter: limiter})
	for _, m := range []message.Message{isRunning, isBad} {
		if ref, err := w.Send(t.Context(), notify.Delivery{Message: m, Edit: true}); err != nil || ref != (notify.MessageRef{}) {
			t.Fatalf("reference %+v, error %v", ref, err)
		}
	}
	if limiter.Waits != 2 {
		t.Errorf("%d waits for 2 messages", limiter.Waits)
	}
	all := s.Messages()
	if len(all) != 2 {
		t.Fatalf("%d messages", len(all))
	}
	for i, want := range []struct {
		text    string
		mention bool
	}{{"RUNNING: crm\nIt runs.", false}, {"FAILED: crm\nAccess denied\nNext step: Grant it.", true}} {
		if all[i].Text != want.text || len(all[i].Blocks.BlockSet) < 2 || mentions(t, all[i]) != want.mention {
			t.Errorf("message %d is %+v", i, all[i])
		}
	}
}

func TestMessageThatAWebhookRefusesIsSentAgainAsPlainText(t *testing.T) {
	for _, code := range []string{"invalid_payload", "invalid_blocks", "no_text"} {
		s := &fakeslack.Server{}
		server := httptest.NewServer(s)
		s.Inject(httpfault.Fault{Times: 2, Status: 400, Body: code})
		u := func(context.Context) (string, error) { return server.URL + fakeslack.WebhookPath, nil }
		if _, err := NewWebhook(WebhookOptions{URL: u, Refresh: u, AllowLoopback: true}).Send(t.Context(), notify.Delivery{Message: isBad}); err != nil {
			t.Errorf("%s: %v", code, err)
		} else if got := s.Messages()[0]; len(got.Blocks.BlockSet) != 0 || !strings.HasPrefix(got.Text, "FAILED: crm\n") || !strings.Contains(got.Text, "Grant it.") {
			t.Errorf("%s: the channel shows %+v", code, got)
		}
		server.Close()
	}
}

func TestPlainMessageOfAWebhookHasNoBlocks(t *testing.T) {
	var bodies []map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		if bodies = append(bodies, body); len(bodies) <= 2 {
			http.Error(w, "invalid_blocks", http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, "ok")
	}))
	defer server.Close()
	u := func(context.Context) (string, error) { return server.URL, nil }
	if _, err := NewWebhook(WebhookOptions{URL: u, Refresh: u, AllowLoopback: true}).Send(t.Context(), notify.Delivery{Message: isBad}); err != nil || len(bodies) != 3 {
		t.Fatalf("%d messages (%v)", len(bodies), err)
	}
	for i, want := range []bool{true, true, false} {
		if _, got := bodies[i]["blocks"]; got != want {
			t.Errorf("message %d has blocks: %v, want %v", i, got, want)
		}
	}
}

func TestRotatedWebhookIsReadAgainAndTheMessageDelivered(t *testing.T) {
	s := &fakeslack.Server{}
	server := httptest.NewServer(s)
	defer server.Close()
	refreshes := 0
	old := func(context.Context) (string, error) { return server.URL + "/services/T0/B0/OLD", nil }
	for _, c := range []struct {
		name  string
		fresh string
		err   error
		want  notify.Reason
	}{
		{"to a good one", server.URL + fakeslack.WebhookPath, nil, ""},
		{"not at all", server.URL + "/services/T0/B0/OLD", nil, notify.Misconfigured},
		{"to a wrong one", server.URL + "/services/T0/B0/NEW", nil, notify.Misconfigured},
		{"to none", "", errors.New("reading SSM parameter /p: no"), notify.Misconfigured},
		{"to something else", "xoxb-S3cret", nil, notify.Misconfigured},
	} {
		refreshes = 0
		w := NewWebhook(WebhookOptions{URL: old, AllowLoopback: true, Refresh: func(context.Context) (string, error) { refreshes++; return c.fresh, c.err }})
		_, err := w.Send(t.Context(), notify.Delivery{Message: isBad})
		if reason := reasonOf(t, err); reason != c.want || refreshes != 1 {
			t.Errorf("%s: %q after %d refreshes: %v", c.name, reason, refreshes, err)
		}
		if err != nil && (strings.Contains(err.Error(), "S3cret") || strings.Contains(err.Error(), "OLD") || strings.Contains(err.Error(), "NEW")) {
			t.Errorf("%s: the error holds the secret: %v", c.name, err)
		}
	}
	if n := len(s.Messages()); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}

func TestNothingIsSentWithoutAWebhookURL(t *testing.T) {
	broken := errors.New("reading SSM parameter /p: no")
	u := func(context.Context) (string, error) { return "", broken }
	if _, err := NewWebhook(WebhookOptions{URL: u, Refresh: u, AllowLoopback: true}).Send(t.Context(), notify.Delivery{Message: isBad}); reasonOf(t, err) != notify.Misconfigured || !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
}
