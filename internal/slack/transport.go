package slack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	callTimeout  = 5 * time.Second
	maxBody      = 64 << 10 // of an answer, bytes
	defaultRetry = 30 * time.Second
	maxRetry     = 15 * time.Minute
)

// newHTTPClient is the client that slack-go is given. It mends what slack-go
// does not do by itself: it follows no redirect (the path is the secret), gives
// up after five seconds, reads no more than 64 KB, and turns every form of
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

// answerError is an answer other than 200, with the body that slack-go's
// webhook call would drop. It never holds the URL.
type answerError struct {
	status int
	body   string // the first line at most, such as "invalid_payload"
	after  time.Duration
}

func (e *answerError) Error() string {
	if e.body == "" {
		return fmt.Sprintf("Slack answered %d %s", e.status, http.StatusText(e.status))
	}
	return fmt.Sprintf("Slack answered %d %s: %s", e.status, http.StatusText(e.status), e.body)
}

func (m mender) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := m.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	if len(body) > maxBody {
		return nil, &answerError{status: resp.StatusCode, body: "an answer of more than 64 KB"}
	}
	if resp.StatusCode != http.StatusOK {
		return nil, &answerError{status: resp.StatusCode, body: firstLine(body), after: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	}
	if m.webhook && strings.TrimSpace(string(body)) != "ok" {
		return nil, &answerError{status: resp.StatusCode, body: codeIn(body)}
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

// codeIn is the error that a webhook's answer names: in JSON as the Web API's
// answers are, or as plain text.
func codeIn(body []byte) string {
	var answer struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &answer) == nil && answer.Error != "" {
		return firstLine([]byte(answer.Error))
	}
	return firstLine(body)
}

// firstLine is what of a body goes into an error: Slack's bodies are a word.
func firstLine(body []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, short(strings.ToValidUTF8(line, "\uFFFD"), 120))
}

// withoutURL takes the URL, which can be a secret, out of net/http's errors.
func withoutURL(err error) error {
	if answer, ok := errors.AsType[*answerError](err); ok {
		return answer
	}
	if timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); ok && timeout.Timeout() {
		return errors.New("calling Slack: no answer in time")
	}
	return errors.New("calling Slack: the connection failed")
}
