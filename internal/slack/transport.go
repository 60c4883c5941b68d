package slack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// callTimeout bounds a call including its whole response.
var callTimeout = 5 * time.Second

const (
	// Of a response, in bytes. The Web API's repeats the message: 13,000
	// characters, as JSON at most twelve bytes each.
	maxResponse        = 256 << 10
	maxWebhookResponse = 64 << 10

	defaultRetryAfter = 30 * time.Second
	maxRetryAfter     = 15 * time.Minute
)

// newHTTPClient is the client for slack-go. It does what slack-go does not: it
// follows no redirect (the path is the secret), gives up after five seconds,
// reads no endless response, and turns every form of Retry-After into seconds.
//
// A webhook's response succeeds only when it is "ok": slack-go accepts any 200.
func newHTTPClient(next http.RoundTripper, webhook bool) *http.Client {
	if next == nil {
		next = http.DefaultTransport
	}
	return &http.Client{
		Timeout:       callTimeout,
		Transport:     normalizingTransport{next, webhook},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type normalizingTransport struct {
	next    http.RoundTripper
	webhook bool
}

// answerError is a response that reports an error, with the code that slack-go's
// webhook call would drop. It never holds the URL.
type answerError struct {
	status int
	code   string // such as "invalid_payload"; may be empty
	after  time.Duration
}

func (e *answerError) Error() string {
	if e.code == "" {
		return fmt.Sprintf("Slack answered %d %s and named no error", e.status, http.StatusText(e.status))
	}
	return fmt.Sprintf("Slack answered %d %s: %s", e.status, http.StatusText(e.status), e.code)
}

func (t normalizingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	limit := maxResponse
	if t.webhook {
		limit = maxWebhookResponse
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	if len(body) > limit {
		return nil, &answerError{status: resp.StatusCode, code: "response_too_long"}
	}
	if resp.StatusCode != http.StatusOK {
		return nil, &answerError{status: resp.StatusCode, code: codeIn(body), after: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	}
	if t.webhook && strings.TrimSpace(string(body)) != "ok" {
		return nil, &answerError{status: resp.StatusCode, code: codeIn(body)}
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// retryAfter reads the header's two forms (RFC 9110, Retry-After). A
// missing or invalid header counts as 30 s; no wait is longer than 15 minutes.
func retryAfter(header string, now time.Time) time.Duration {
	wait := defaultRetryAfter
	if seconds, err := strconv.ParseInt(strings.TrimSpace(header), 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		wait = at.Sub(now)
	}
	if wait <= 0 {
		wait = defaultRetryAfter
	}
	return min(wait, maxRetryAfter)
}

// codeIn is the error code in a response: in JSON as in the Web API's, or in
// plain text as in a webhook's. It passes on nothing else of a body: a proxy's
// page can quote the URL.
func codeIn(body []byte) string {
	var answer struct {
		Error string `json:"error"`
	}
	code := strings.TrimSpace(string(body))
	if json.Unmarshal(body, &answer) == nil && answer.Error != "" {
		code = answer.Error
	}
	if !isErrorCode(code) {
		return ""
	}
	return code
}

// isErrorCode reports whether s has the form of Slack's error codes, such as
// channel_not_found.
func isErrorCode(s string) bool {
	return len(s) >= 2 && len(s) <= 61 && s[0] >= 'a' && s[0] <= 'z' && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_'
	})
}
