package slack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// callTimeout is the most time for a call and its whole answer.
var callTimeout = 5 * time.Second

const (
	// Of an answer, bytes. The Web API's holds the message again: 13,000
	// characters, as JSON of twelve bytes each at most.
	maxAnswer        = 256 << 10
	maxWebhookAnswer = 64 << 10

	defaultRetry = 30 * time.Second
	maxRetry     = 15 * time.Minute
)

// newHTTPClient is the client that slack-go is given. It mends what slack-go
// does not do by itself: it follows no redirect (the path is the secret), gives
// up after five seconds, reads no endless answer, and turns every form of
// Retry-After into seconds.
//
// For a webhook an answer counts only when it is "ok": slack-go takes any 200.
func newHTTPClient(next http.RoundTripper, webhook bool) *http.Client {
	if next == nil {
		next = http.DefaultTransport
	}
	return &http.Client{
		Timeout:       callTimeout,
		Transport:     mender{next, webhook},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type mender struct {
	next    http.RoundTripper
	webhook bool
}

// answerError is an answer other than a good one, with the error code that
// slack-go's webhook call would drop. It never holds the URL.
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

func (m mender) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := m.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	limit := maxAnswer
	if m.webhook {
		limit = maxWebhookAnswer
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	if len(body) > limit {
		return nil, &answerError{status: resp.StatusCode, code: fmt.Sprintf("more than %d bytes", limit)}
	}
	if resp.StatusCode != http.StatusOK {
		return nil, &answerError{status: resp.StatusCode, code: codeIn(body), after: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	}
	if m.webhook && strings.TrimSpace(string(body)) != "ok" {
		return nil, &answerError{status: resp.StatusCode, code: codeIn(body)}
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// retryAfter reads the header's two forms (RFC 9110, Retry-After). What is
// missing or senseless counts as 30 s, and nothing as more than 15 minutes.
func retryAfter(header string, now time.Time) time.Duration {
	wait := defaultRetry
	if seconds, err := strconv.ParseInt(strings.TrimSpace(header), 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		wait = at.Sub(now)
	}
	if wait <= 0 {
		wait = defaultRetry
	}
	return min(wait, maxRetry)
}

var errorCode = regexp.MustCompile(`^[a-z][a-z0-9_]{1,60}$`)

// codeIn is the error that an answer names: in JSON as the Web API's answers
// do, or as plain text as a webhook's do. Whatever else a body holds is not
// passed on: a proxy's page can quote the URL.
func codeIn(body []byte) string {
	var answer struct {
		Error string `json:"error"`
	}
	code := strings.TrimSpace(string(body))
	if json.Unmarshal(body, &answer) == nil && answer.Error != "" {
		code = answer.Error
	}
	if !errorCode.MatchString(code) {
		return ""
	}
	return code
}
