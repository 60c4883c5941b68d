package slack

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/notify"
)

// shortenTimeout makes a call's timeout short enough for a test of a response that never
// ends.
func shortenTimeout(t *testing.T) {
	t.Helper()
	whole := callTimeout
	callTimeout = 1500 * time.Millisecond // the request must arrive within it, on a busy machine too
	t.Cleanup(func() { callTimeout = whole })
}

// say answers with a status, a body and headers, in pairs of name and value.
func say(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// hang never answers.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that the client has gone
	<-r.Context().Done()
}

// hangUp breaks the connection instead of answering.
func hangUp(w http.ResponseWriter, _ *http.Request) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// drip responds forever, one byte at a time.
func drip(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	for r.Context().Err() == nil {
		_, _ = io.WriteString(w, "o")
		w.(http.Flusher).Flush()
		time.Sleep(20 * time.Millisecond)
	}
}

// flood responds with 100 MB, or as much of it as the client reads.
func flood(w http.ResponseWriter, _ *http.Request) {
	chunk := strings.Repeat("x", 1<<20)
	for range 100 {
		if _, err := io.WriteString(w, chunk); err != nil {
			return
		}
	}
}

// The responses are those of Slack's "Sending messages using incoming webhooks",
// handling errors, and what proxies and outages add to them.
func TestEachWebhookResponseHasItsReason(t *testing.T) {
	elsewhere := new(atomic.Int32)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		_, _ = io.WriteString(w, "ok")
	}))
	defer other.Close()
	date := func(d time.Duration) string { return time.Now().UTC().Add(d).Format(http.TimeFormat) }
	half := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "2")
		_, _ = io.WriteString(w, "o")
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   notify.Reason // empty: sent
		calls  int32
		after  time.Duration
	}{
		{"200 ok", say(200, "ok"), "", 1, 0},
		{"200 ok and a newline", say(200, "ok\n"), "", 1, 0},
		{"200 another word", say(200, "hello"), notify.Unavailable, 1, 0},
		{"200 a page", say(200, "<html>sign in</html>"), notify.Unavailable, 1, 0},
		{"200 nothing", say(200, ""), notify.Unavailable, 1, 0},
		{"200 JSON, not ok", say(200, `{"ok":false}`), notify.Unavailable, 1, 0},
		{"200 JSON, an unknown error", say(200, `{"ok":false,"error":"something_new"}`), notify.Unavailable, 1, 0},
		{"200 JSON, invalid_blocks", say(200, `{"ok":false,"error":"invalid_blocks"}`), notify.Refused, 3, 0},
		{"200 JSON, channel_not_found", say(200, `{"ok":false,"error":"channel_not_found"}`), notify.Misconfigured, 1, 0},
		{"200 JSON, rate_limited", say(200, `{"ok":false,"error":"rate_limited"}`), notify.RateLimited, 1, 30 * time.Second},
		{"200 no_text", say(200, "no_text"), notify.Refused, 3, 0},
		{"200 ok and 64 KiB of nothing", say(200, "ok"+strings.Repeat(" ", 64<<10-2)), "", 1, 0},
		{"200 ok and more of it", say(200, "ok"+strings.Repeat(" ", 64<<10-1)), notify.Unavailable, 1, 0},
		{"200 and 100 MB", flood, notify.Unavailable, 1, 0},
		{"400 invalid_payload", say(400, "invalid_payload"), notify.Refused, 3, 0},
		{"400 invalid_blocks", say(400, "invalid_blocks"), notify.Refused, 3, 0},
		{"400 no_text", say(400, "no_text"), notify.Refused, 3, 0},
		{"400 another word", say(400, "hello"), notify.Refused, 3, 0},
		{"400 user_not_found", say(400, "user_not_found"), notify.Misconfigured, 1, 0},
		{"401", say(401, ""), notify.Misconfigured, 1, 0},
		{"403 action_prohibited", say(403, "action_prohibited"), notify.Misconfigured, 1, 0},
		{"403 invalid_token", say(403, "invalid_token"), notify.Misconfigured, 1, 0},
		{"404 channel_not_found", say(404, "channel_not_found"), notify.Misconfigured, 1, 0},
		{"404 no_service", say(404, "no_service"), notify.Misconfigured, 1, 0},
		{"404 no_team", say(404, "no_team"), notify.Misconfigured, 1, 0},
		{"404 a page", say(404, "<html>"), notify.Misconfigured, 1, 0},
		{"405", say(405, ""), notify.Misconfigured, 1, 0},
		{"408", say(408, ""), notify.Unavailable, 1, 0},
		{"410 channel_is_archived", say(410, "channel_is_archived"), notify.Misconfigured, 1, 0},
		{"413", say(413, ""), notify.Refused, 3, 0},
		{"429 in seconds", say(429, "rate_limited", "Retry-After", "3"), notify.RateLimited, 1, 3 * time.Second},
		{"429 with a date", say(429, "", "Retry-After", date(2*time.Minute)), notify.RateLimited, 1, 2 * time.Minute},
		{"429 with a past date", say(429, "", "Retry-After", date(-time.Hour)), notify.RateLimited, 1, 30 * time.Second},
		{"429 with a date next month", say(429, "", "Retry-After", date(30*24*time.Hour)), notify.RateLimited, 1, 15 * time.Minute},
		{"429 without a header", say(429, "rate_limited"), notify.RateLimited, 1, 30 * time.Second},
		{"429 with garbage", say(429, "", "Retry-After", "soon"), notify.RateLimited, 1, 30 * time.Second},
		{"429 with zero", say(429, "", "Retry-After", "0"), notify.RateLimited, 1, 30 * time.Second},
		{"429 with a negative number", say(429, "", "Retry-After", "-5"), notify.RateLimited, 1, 30 * time.Second},
		{"429 with a day", say(429, "", "Retry-After", "86400"), notify.RateLimited, 1, 15 * time.Minute},
		{"429 with more than a number holds", say(429, "", "Retry-After", "99999999999999999999"), notify.RateLimited, 1, 30 * time.Second},
		{"429 naming another error", say(429, "invalid_payload", "Retry-After", "3"), notify.RateLimited, 1, 3 * time.Second},
		{"500 rollup_error", say(500, "rollup_error"), notify.Unavailable, 1, 0},
		{"500 a page", say(500, "<html>"), notify.Unavailable, 1, 0},
		{"502", say(502, ""), notify.Unavailable, 1, 0},
		{"503", say(503, "", "Retry-After", "3"), notify.Unavailable, 1, 0},
		{"504", say(504, ""), notify.Unavailable, 1, 0},
		{"301", say(301, "", "Location", other.URL), notify.Misconfigured, 1, 0},
		{"302", say(302, "", "Location", other.URL), notify.Misconfigured, 1, 0},
		{"303", say(303, "", "Location", other.URL), notify.Misconfigured, 1, 0},
		{"307", say(307, "", "Location", other.URL), notify.Misconfigured, 1, 0},
		{"308", say(308, "", "Location", other.URL), notify.Misconfigured, 1, 0},
		{"endless: a hang", hang, notify.Unavailable, 1, 0},
		{"endless: a dripped response", drip, notify.Unavailable, 1, 0},
		{"half an answer", half, notify.Unavailable, 1, 0},
		{"a reset", hangUp, notify.Unavailable, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.HasPrefix(c.name, "endless: ") {
				shortenTimeout(t)
			}
			calls := new(atomic.Int32)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				c.answer(w, r)
			}))
			defer server.Close()
			same := func(context.Context) (string, error) { return server.URL + "/services/T0/B0/S3cret", nil }
			_, err := NewWebhook(WebhookOptions{URL: same, Refresh: same, AllowLoopback: true}).Send(t.Context(), notify.Delivery{Message: isBad})
			if reason := reasonOf(t, err); reason != c.want || calls.Load() != c.calls {
				t.Errorf("%q after %d calls, want %q after %d: %v", reason, calls.Load(), c.want, c.calls, err)
			}
			if err == nil {
				return
			}
			// A date has whole seconds, and some of them have passed.
			if after := notify.FailureOf(err).After; after > c.after || after < c.after-3*time.Second {
				t.Errorf("wait %s, want %s", after, c.after)
			}
			if strings.Contains(err.Error(), "S3cret") || strings.Contains(err.Error(), server.URL) {
				t.Errorf("the error holds the URL: %v", err)
			}
		})
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("redirects were followed %d times", n)
	}
}

func TestCallTimesOutAfterFiveSeconds(t *testing.T) {
	if callTimeout != 5*time.Second || newHTTPClient(nil, true).Timeout != callTimeout || newHTTPClient(nil, false).Timeout != callTimeout {
		t.Errorf("a call has %s", callTimeout)
	}
}

func TestWebhookErrorNamesSlacksCode(t *testing.T) {
	for body, want := range map[string]string{
		"channel_is_archived":                         "Slack answered 410 Gone: channel_is_archived",
		`{"ok":false,"error":"channel_is_archived"}`:  "Slack answered 410 Gone: channel_is_archived",
		"<html>https://hooks.slack.com/services/T/B/": "Slack answered 410 Gone and named no error",
		"": "Slack answered 410 Gone and named no error",
	} {
		server := httptest.NewServer(say(410, body))
		u := func(context.Context) (string, error) { return server.URL, nil }
		_, err := NewWebhook(WebhookOptions{URL: u, Refresh: u, AllowLoopback: true}).Send(t.Context(), notify.Delivery{Message: isBad})
		if err == nil || err.Error() != "misconfigured: "+want {
			t.Errorf("%s: error is %q, want %q", body, err, want)
		}
		server.Close()
	}
}

// answer is what the server of the fuzz test answers with.
type answer struct {
	status                     int
	body, location, retryAfter string
	broken                     bool
}

// FuzzNoSecretInAnError lets a server answer anything, the secret included:
// SECRET in its texts stands for the webhook's URL, KEY for its secret part
// and TOKEN for the bot's token.
func FuzzNoSecretInAnError(f *testing.F) {
	for i, body := range []string{
		"ok", "no_text", "invalid_payload", "SECRET", "KEY", "TOKEN", "<html>KEY</html>", "Access to SECRET is denied\nTOKEN",
		`{"ok":false,"error":"SECRET"}`, `{"ok":false,"error":"TOKEN","response_metadata":{"messages":["KEY"]}}`,
		`{"ok":false,"error":"invalid_auth","needed":"TOKEN"}`, `{"ok":"TOKEN"}`, `{"ok":true,"channel":"TOKEN","ts":""}`, `{"KEY`, "", "\x00\xff",
	} {
		for _, status := range []int{200, 302, 400, 403, 404, 429, 500} {
			f.Add(status, body, "SECRET", "TOKEN", i%5 == 4 && status == 200)
		}
	}
	const key = "S3cretS3cretS3cretS3cret"
	var now atomic.Pointer[answer]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := now.Load()
		if a.broken {
			w.Header().Set("Content-Length", strconv.Itoa(len(a.body)+1))
		}
		say(a.status, a.body, "Location", a.location, "Retry-After", a.retryAfter)(w, r)
	}))
	f.Cleanup(server.Close)
	address := server.URL + "/services/T00000000/B00000000/" + key
	fill := strings.NewReplacer("SECRET", address, "KEY", key, "TOKEN", token)
	secret := func(value string) Secret { return func(context.Context) (string, error) { return value, nil } }
	f.Fuzz(func(t *testing.T, status int, body, location, retryAfter string, broken bool) {
		now.Store(&answer{200 + int(uint(status-200)%400), fill.Replace(body), fill.Replace(location), fill.Replace(retryAfter), broken})
		webhook := NewWebhook(WebhookOptions{URL: secret(address), Refresh: secret(address), AllowLoopback: true})
		bot := NewBot(BotOptions{Token: secret(token), Refresh: secret(token), APIURL: address + "/", Channel: channel, Edit: true, Thread: true})
		card := notify.MessageRef{Channel: channel, TS: "1"}
		_, webhookErr := webhook.Send(t.Context(), notify.Delivery{Message: isBad})
		_, cardErr := bot.Send(t.Context(), notify.Delivery{Message: isBad})
		_, editErr := bot.Send(t.Context(), notify.Delivery{Message: isBad, Edit: true, Card: card})
		for name, err := range map[string]error{"webhook": webhookErr, "card": cardErr, "edit": editErr} {
			if err == nil {
				continue
			}
			reasonOf(t, err)
			text := fmt.Sprintf("%v %+v %#v %s", err, err, notify.FailureOf(err).Err, notify.FailureOf(err).Summary)
			if strings.Contains(text, key) || strings.Contains(text, token) || strings.Contains(text, "/services/") {
				t.Errorf("%s: the error holds a secret: %s", name, text)
			}
		}
	})
}
