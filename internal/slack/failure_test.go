package slack

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/smithy-go"
	slackgo "github.com/slack-go/slack"

	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
	"github.com/idmapping/notifier/internal/notify"
)

func TestWebAPIErrorNamesItsCodeAndNothingElse(t *testing.T) {
	for answer, want := range map[string]string{
		`{"ok":false,"error":"channel_not_found"}`:     "misconfigured: refused by Slack: channel_not_found",
		`{"ok":false,"error":"` + token + ` <b>no\n"}`: "unavailable: refused by Slack",
		`{"ok":true}`: "unavailable: calling Slack: unexpected response",
	} {
		w := newWorkspace(t, nil)
		w.Inject(httpfault.Fault{Status: 200, Body: answer})
		if err := w.send(t, isBad, true); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", answer, err, want)
		}
	}
}

func TestEachWebAPIResponseHasItsReason(t *testing.T) {
	code := func(code string) string { return `{"ok":false,"error":"` + code + `"}` }
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   notify.Reason
		calls  int32
		after  time.Duration
	}{
		{"channel_not_found", say(200, code("channel_not_found")), notify.Misconfigured, 1, 0},
		{"not_in_channel", say(200, code("not_in_channel")), notify.Misconfigured, 1, 0},
		{"is_archived", say(200, code("is_archived")), notify.Misconfigured, 1, 0},
		{"missing_scope", say(200, code("missing_scope")), notify.Misconfigured, 1, 0},
		{"restricted_action", say(200, code("restricted_action")), notify.Misconfigured, 1, 0},
		{"invalid_blocks, three times", say(200, code("invalid_blocks")), notify.Refused, 3, 0},
		{"msg_too_long, three times", say(200, code("msg_too_long")), notify.Refused, 3, 0},
		{"ratelimited with 200", say(200, code("ratelimited")), notify.RateLimited, 1, 30 * time.Second},
		{"429", say(429, code("ratelimited"), "Retry-After", "7"), notify.RateLimited, 1, 7 * time.Second},
		{"429 without a header", say(429, code("ratelimited")), notify.RateLimited, 1, 30 * time.Second},
		{"internal_error", say(200, code("internal_error")), notify.Unavailable, 1, 0},
		{"fatal_error with 500", say(500, code("fatal_error")), notify.Unavailable, 1, 0},
		{"an unknown error", say(200, code("something_new")), notify.Unavailable, 1, 0},
		{"invalid_auth with 401", say(401, code("invalid_auth")), notify.Misconfigured, 1, 0},
		{"503", say(503, "<html>"), notify.Unavailable, 1, 0},
		{"200 and no JSON", say(200, "<html>"), notify.Unavailable, 1, 0},
		{"200 and nothing", say(200, ""), notify.Unavailable, 1, 0},
		{"200 and half of it", say(200, `{"ok":tr`), notify.Unavailable, 1, 0},
		{"200 and no message", say(200, `{"ok":true}`), notify.Unavailable, 1, 0},
		{"200, not ok, no error", say(200, `{"ok":false}`), notify.Unavailable, 1, 0},
		{"200 and an empty object", say(200, `{}`), notify.Unavailable, 1, 0},
		{"200 and null", say(200, `null`), notify.Unavailable, 1, 0},
		{"200 and 100 MB", flood, notify.Unavailable, 1, 0},
		{"a redirect", say(302, "", "Location", "/elsewhere"), notify.Misconfigured, 1, 0},
		{"endless: a hang", hang, notify.Unavailable, 1, 0},
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
			w := newWorkspace(t, func(o *BotOptions) { o.APIURL = server.URL + "/api/" })
			err := w.send(t, isBad, true)
			if reason := reasonOf(t, err); reason != c.want || calls.Load() != c.calls || w.posts != 0 {
				t.Errorf("%q after %d calls and %d posts, want %q after %d: %v", reason, calls.Load(), w.posts, c.want, c.calls, err)
			}
			if after := notify.FailureOf(err).After; after != c.after {
				t.Errorf("wait %s, want %s", after, c.after)
			}
		})
	}
}

func TestLongestPossibleResponseIsRead(t *testing.T) {
	long := strings.Repeat(`\ud83d\ude00`, maxTotal) + strings.Repeat("x", maxSection) // blocks, and the text beside them
	server := httptest.NewServer(say(200, `{"ok":true,"channel":"C1","ts":"1.2","message":{"text":"`+long+`"}}`))
	defer server.Close()
	w := newWorkspace(t, func(o *BotOptions) { o.APIURL = server.URL + "/api/" })
	if err := w.send(t, isBad, true); err != nil || w.card != (notify.MessageRef{Channel: "C1", TS: "1.2"}) {
		t.Errorf("returned %+v (%v)", w.card, err)
	}
}

func TestEachErrorCodeHasOneKind(t *testing.T) {
	seen := make(map[string]kind)
	for k, names := range codes {
		for _, name := range names {
			if other, ok := seen[name]; ok {
				t.Errorf("%s is of the kinds %d and %d", name, k, other)
			}
			seen[name] = k
			if !isErrorCode(name) {
				t.Errorf("%q would not be read as an error code", name)
			}
		}
	}
}

func TestUnreadableSecretIsMisconfiguredOnlyIfSSMSaysSo(t *testing.T) {
	call := func(cause error) error {
		return fmt.Errorf("reading SSM parameter x: %w", &smithy.OperationError{ServiceID: "SSM", OperationName: "GetParameter", Err: cause})
	}
	for name, test := range map[string]struct {
		err     error
		want    notify.Reason
		summary string
	}{
		"no such parameter": {call(&smithy.GenericAPIError{Code: "ParameterNotFound"}), notify.Misconfigured, "SSM: ParameterNotFound"},
		"not allowed":       {call(&smithy.GenericAPIError{Code: "AccessDeniedException"}), notify.Misconfigured, "SSM: AccessDeniedException"},
		"no such version":   {call(&smithy.GenericAPIError{Code: "ParameterVersionNotFound"}), notify.Misconfigured, "SSM: ParameterVersionNotFound"},
		"no such key":       {call(&smithy.GenericAPIError{Code: "InvalidKeyId"}), notify.Misconfigured, "SSM: InvalidKeyId"},
		"not a name":        {call(&smithy.GenericAPIError{Code: "ValidationException"}), notify.Misconfigured, "SSM: ValidationException"},
		"empty":             {errors.New("reading SSM parameter x: it is empty"), notify.Misconfigured, "SSM: unusable parameter"},
		"SSM fails":         {call(&smithy.GenericAPIError{Code: "InternalServerError"}), notify.Unavailable, "SSM: no answer"},
		"throttled":         {call(&smithy.GenericAPIError{Code: "ThrottlingException"}), notify.Unavailable, "SSM: no answer"},
		"no connection":     {call(errors.New("dial tcp: connection refused")), notify.Unavailable, "SSM: no answer"},
	} {
		if got := secretFailure(test.err); got.Reason != test.want || got.Summary != test.summary {
			t.Errorf("%s is %s, %q, want %s, %q", name, got.Reason, got.Summary, test.want, test.summary)
		}
	}
}

func TestRateLimitOfSlackPausesTheLimiterForAsLongAsSlackAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limited := &answerError{status: 429, after: 90 * time.Second}
		for _, c := range []struct {
			err    error
			pauses []time.Time
			reason notify.Reason
		}{
			{limited, []time.Time{time.Now().Add(90 * time.Second)}, notify.RateLimited},
			{&answerError{status: 503}, nil, notify.Unavailable},
			{&notify.Failure{Reason: notify.RateLimited, After: time.Minute}, nil, notify.RateLimited}, // the limiter's own
			{nil, nil, ""},
		} {
			l := &fake.Limiter{}
			if reason := reasonOf(t, toFailure(t.Context(), l, c.err)); reason != c.reason || !slices.Equal(l.Pauses, c.pauses) {
				t.Errorf("%v: %q, pauses %v, want %q, %v", c.err, reason, l.Pauses, c.reason, c.pauses)
			}
		}
		if reason := reasonOf(t, toFailure(t.Context(), nil, limited)); reason != notify.RateLimited {
			t.Errorf("without a limiter: %q", reason)
		}
		broken := &fake.Limiter{PauseErr: errors.New("throttled")}
		err := toFailure(t.Context(), broken, limited)
		if reasonOf(t, err) != notify.RateLimited || !errors.Is(err, broken.PauseErr) || !strings.Contains(err.Error(), "setting rate-limit pause failed: throttled") {
			t.Errorf("a pause that fails: %v", err)
		}
	})
}

func TestSummaryOfAFailureNamesACodeAndNothingElse(t *testing.T) {
	for want, err := range map[string]error{
		"Slack: channel_not_found": slackgo.SlackErrorResponse{Err: "channel_not_found"},
		"Slack: no_service":        &answerError{status: 404, code: "no_service"},
		"Slack: HTTP status 404":   &answerError{status: 404},
		"Slack: no answer":         slackgo.SlackErrorResponse{Err: token + " <b>no"},
	} {
		if got := failureOf(err).Summary; got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
