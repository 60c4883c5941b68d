package slack

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
	fakeslack "github.com/idmapping/notifier/internal/fakecloud/slack"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/notify"
)

func TestAWebhookTellsEachStepInAMessageOfItsOwn(t *testing.T) {
	s := &fakeslack.Server{}
	server := httptest.NewServer(s)
	defer server.Close()
	u := func(context.Context) (string, error) { return server.URL + fakeslack.WebhookPath, nil }
	w := NewWebhook(WebhookOptions{URL: u, Refresh: u, Mention: "<!here>"})
	save := func(context.Context, notify.MessageRef) error { return errors.New("a webhook has no card to save") }
	for _, m := range []message.Message{isRunning, isBad} {
		if err := w.Send(t.Context(), notify.Delivery{Message: m, Edit: true}, save); err != nil {
			t.Fatal(err)
		}
	}
	all := s.Messages()
	if len(all) != 2 {
		t.Fatalf("%d messages", len(all))
	}
	for i, want := range []struct {
		text    string
		mention bool
	}{{"RUNNING: crm", false}, {"FAILED: crm", true}} {
		if all[i].Text != want.text || len(all[i].Blocks) < 2 || mentions(t, all[i]) != want.mention {
			t.Errorf("message %d is %+v", i, all[i])
		}
	}
}

func TestAMessageThatAWebhookRefusesIsSaidOnceMoreInPlainText(t *testing.T) {
	for _, code := range []string{"invalid_payload", "invalid_blocks", "no_text"} {
		s := &fakeslack.Server{}
		server := httptest.NewServer(s)
		s.Inject(httpfault.Fault{Times: 1, Status: 400, Body: code})
		u := func(context.Context) (string, error) { return server.URL + fakeslack.WebhookPath, nil }
		if err := NewWebhook(WebhookOptions{URL: u, Refresh: u}).Send(t.Context(), notify.Delivery{Message: isBad}, nil); err != nil {
			t.Errorf("%s: %v", code, err)
		} else if got := s.Messages()[0]; len(got.Blocks) != 0 || !strings.HasPrefix(got.Text, "FAILED: crm\n") || !strings.Contains(got.Text, "no access") {
			t.Errorf("%s: the channel shows %+v", code, got)
		}
		server.Close()
	}
}

func TestAWebhookThatWasRotatedIsReadAnewAndTheMessageDelivered(t *testing.T) {
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
		w := NewWebhook(WebhookOptions{URL: old, Refresh: func(context.Context) (string, error) { refreshes++; return c.fresh, c.err }})
		err := w.Send(t.Context(), notify.Delivery{Message: isBad}, nil)
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

func TestAWebhookThatCannotBeReadSendsNothing(t *testing.T) {
	broken := errors.New("reading SSM parameter /p: no")
	u := func(context.Context) (string, error) { return "", broken }
	if err := NewWebhook(WebhookOptions{URL: u, Refresh: u}).Send(t.Context(), notify.Delivery{Message: isBad}, nil); reasonOf(t, err) != notify.Misconfigured || !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
}

func TestAWebhookGoesNowhereInTheClear(t *testing.T) {
	for address, good := range map[string]bool{
		"https://hooks.slack.com/services/T0/B0/S3cret":     true,
		"https://hooks.slack-gov.com/services/T0/B0/S3cret": true,
		"http://127.0.0.1:8080/services/S3cret":             true,
		"http://localhost/services/S3cret":                  true,
		"http://[::1]:8080/services/S3cret":                 true,
		"http://hooks.slack.com/services/T0/B0/S3cret":      false,
		"http://127.0.0.1.example.com/S3cret":               false,
		"http://localhost.example.com/S3cret":               false,
		"http://127.0.0.1@example.com/S3cret":               false,
		"http://10.0.0.1/S3cret":                            false,
		"ftp://hooks.slack.com/S3cret":                      false,
		"hooks.slack.com/services/S3cret":                   false,
		"//hooks.slack.com/services/S3cret":                 false,
		"https:///services/S3cret":                          false,
		"https:services/S3cret":                             false,
		"https://hooks.slack.com/S3cret\x7f":                false,
		"https://hooks.slack.com/S3cret%zz":                 false,
		"xoxb-S3cret":                                       false,
		"":                                                  false,
	} {
		err := checkWebhookURL(address)
		if (err == nil) != good {
			t.Errorf("%q: %v", address, err)
		}
		if err != nil && (strings.Contains(err.Error(), "S3cret") || !strings.Contains(err.Error(), "SlackWebhookParameter")) {
			t.Errorf("%q: the error holds the secret, or does not name the setting: %v", address, err)
		}
	}
	clear := func(context.Context) (string, error) { return "http://192.0.2.1/services/S3cret", nil }
	if err := NewWebhook(WebhookOptions{URL: clear, Refresh: clear}).Send(t.Context(), notify.Delivery{Message: isBad}, nil); reasonOf(t, err) != notify.Misconfigured {
		t.Errorf("error is %v", err)
	}
}
