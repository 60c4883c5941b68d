package slack

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/event/drawn"
)

func FuzzCard(f *testing.F)   { drawn.Fuzz(f, outsideInert) }
func FuzzLimits(f *testing.F) { drawn.Fuzz(f, withinLimits) }

func FuzzRetryAfter(f *testing.F) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, header := range []string{"", "30", "-1", "86400", "1e3", "99999999999999999999", "soon", at.Add(time.Minute).Format(http.TimeFormat), at.Add(-time.Hour).Format(http.TimeFormat)} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if wait := retryAfter(header, at); wait <= 0 || wait > maxRetryAfter {
			t.Errorf("%q: %v", header, wait)
		}
	})
}

func FuzzMention(f *testing.F) {
	for _, setting := range []string{"", "here", "@here, U0123456789", "<!subteam^S0123456789>", "<@U01>,,channel", "data-team", "<!here|x>", "<https://a|b>"} {
		f.Add(setting)
	}
	one := regexp.MustCompile(`<(!here|!channel|!everyone|@[UW][A-Z0-9]+|!subteam\^S[A-Z0-9]+)>`)
	f.Fuzz(func(t *testing.T, setting string) {
		mention, err := ParseMention(setting)
		if err != nil && (!strings.HasPrefix(err.Error(), "SlackMention: ") || mention != "") {
			t.Errorf("%q: %q, %v", setting, mention, err)
		}
		if rest := one.ReplaceAllString(mention, ""); strings.TrimSpace(rest) != "" {
			t.Errorf("%q mentions %q", setting, mention)
		}
	})
}

func FuzzWebhookURL(f *testing.F) {
	for _, address := range []string{"", "https://hooks.slack.com/services/T0/B0/x", "https://hooks.slack.com:443/x", "https://a:b@hooks.slack.com/x", "http://hooks.slack.com/services/T0/B0/x", "http://127.0.0.1:1/x", "http://localhost/x", "http://[::1]:80/", "//x", "https:", "http://127.0.0.1.example.com/", "HTTP://LOCALHOST/"} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		if CheckWebhookURL(address, false) == nil && CheckWebhookURL(address, true) != nil {
			t.Errorf("%q is accepted only if loopback is not allowed", address)
		}
		production := CheckWebhookURL(address, false) == nil
		if err := CheckWebhookURL(address, true); err != nil {
			if same := CheckWebhookURL("http://example.com/", true); err.Error() != same.Error() {
				t.Errorf("the error depends on the URL: %v", err)
			}
			return
		}
		u, parseErr := url.Parse(address)
		if parseErr != nil || u.User != nil {
			t.Fatalf("%q is accepted", address)
		}
		host := strings.ToLower(u.Hostname())
		slacks := u.Scheme == "https" && (host == "hooks.slack.com" || host == "hooks.slack-gov.com")
		loopback := u.Scheme == "http" && (host == "localhost" || strings.HasPrefix(host, "127.") || strings.Contains(host, ":"))
		if !slacks && !loopback || production && !slacks {
			t.Errorf("%q is accepted, in production: %v", address, production)
		}
	})
}
