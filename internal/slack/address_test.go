package slack

import (
	"context"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/notify"
)

// The values: accepted in production, accepted with ALLOW_LOOPBACK=true.
func TestWebhookURLIsSlacksOrLoopbackIfAllowed(t *testing.T) {
	for address, want := range map[string][2]bool{
		"https://hooks.slack.com/services/T0/B0/S3cret":        {true, true},
		"https://hooks.slack.com:443/services/T0/B0/S3cret":    {true, true},
		"https://HOOKS.slack.com/services/T0/B0/S3cret":        {true, true},
		"https://hooks.slack-gov.com/services/T0/B0/S3cret":    {true, true},
		"http://127.0.0.1:8080/services/S3cret":                {false, true},
		"http://localhost/services/S3cret":                     {false, true},
		"http://[::1]:8080/services/S3cret":                    {false, true},
		"HTTP://LOCALHOST/services/S3cret":                     {false, true},
		"https://hooks.slack.com:8443/services/T0/B0/S3cret":   {},
		"https://hooks.slack.com:/services/T0/B0/S3cret":       {},
		"https://user:S3cret@hooks.slack.com/services/T0/B0/x": {},
		"https://S3cret@hooks.slack.com/services/T0/B0/x":      {},
		"http://S3cret@127.0.0.1/x":                            {},
		"https://slack.com/services/S3cret":                    {},
		"https://hooks.slack.com/triggers/T0/1/S3cret":         {}, // Workflow Builder's, the next two too
		"https://hooks.slack.com/workflows/T0/A0/1/S3cret":     {},
		"https://hooks.slack-gov.com/triggers/T0/1/S3cret":     {},
		"https://hooks.slack.com/S3cret/services/":             {},
		"https://hooks.slack.com/services":                     {},
		"https://a.hooks.slack.com/services/S3cret":            {},
		"https://hooks.slack.com.example.com/services/S3cret":  {},
		"https://hooks.slack.com./services/S3cret":             {},
		"https://evilhooks.slack.com/services/S3cret":          {},
		"https://example.com/services/S3cret":                  {},
		"https://127.0.0.1/services/S3cret":                    {},
		"https://10.0.0.1/services/S3cret":                     {},
		"http://hooks.slack.com/services/T0/B0/S3cret":         {},
		"http://127.0.0.1.example.com/S3cret":                  {},
		"http://localhost.example.com/S3cret":                  {},
		"http://127.0.0.1@example.com/S3cret":                  {},
		"http://10.0.0.1/S3cret":                               {},
		"ftp://hooks.slack.com/services/S3cret":                {},
		"hooks.slack.com/services/S3cret":                      {},
		"//hooks.slack.com/services/S3cret":                    {},
		"https:///services/S3cret":                             {},
		"https:services/S3cret":                                {},
		"https://hooks.slack.com/services/S3cret\x7f":          {},
		"https://hooks.slack.com/services/S3cret%zz":           {},
		"xoxb-S3cret": {},
		"":            {},
	} {
		for i, allowLoopback := range []bool{false, true} {
			err := CheckWebhookURL(address, allowLoopback)
			if (err == nil) != want[i] {
				t.Errorf("%q, loopback %v: %v", address, allowLoopback, err)
			}
			if err != nil && strings.Contains(err.Error(), "S3cret") {
				t.Errorf("%q: the error holds the secret: %v", address, err)
			}
		}
	}
}

func TestWebhookWithAWrongURLIsMisconfiguredAndSendsNothing(t *testing.T) {
	for _, address := range []string{"http://192.0.2.1/services/S3cret", "http://127.0.0.1:1/services/S3cret", "https://example.com/services/S3cret"} {
		u := func(context.Context) (string, error) { return address, nil }
		_, err := NewWebhook(WebhookOptions{URL: u, Refresh: u}).Send(t.Context(), notify.Delivery{Message: isBad})
		if reasonOf(t, err) != notify.Misconfigured || !strings.Contains(err.Error(), "SlackWebhookParameterName") || strings.Contains(err.Error(), "S3cret") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAPIURLIsSlacksOrLoopbackIfAllowed(t *testing.T) {
	for address, want := range map[string][2]bool{
		"":                               {true, true},
		"https://slack.com/api/":         {true, true},
		"https://slack.com/api":          {true, true},
		"https://slack.com:443/api/":     {true, true},
		"https://slack-gov.com/api/":     {true, true},
		"https://team.slack.com/api/":    {true, true},
		"http://127.0.0.1:8080/api/":     {false, true},
		"http://localhost:8080/api/":     {false, true},
		"http://[::1]:8080/api/":         {false, true},
		"http://slack.com/api/":          {},
		"https://slack.com:8443/api/":    {},
		"https://user@slack.com/api/":    {},
		"https://evilslack.com/api/":     {},
		"https://slack.com.example/api/": {},
		"https://127.0.0.1/api/":         {},
		"http://10.0.0.1/api/":           {},
		"slack.com/api/":                 {},
		"https:slack.com":                {},
	} {
		for i, allowLoopback := range []bool{false, true} {
			err := CheckAPIURL(address, allowLoopback)
			if (err == nil) != want[i] {
				t.Errorf("%q, loopback %v: %v", address, allowLoopback, err)
			}
			if err != nil && !strings.Contains(err.Error(), "SLACK_API_URL") {
				t.Errorf("%q: the error does not name the setting: %v", address, err)
			}
		}
	}
}
