package entityresolution_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/idmapping/notifier/internal/entityresolution"
	"github.com/idmapping/notifier/internal/jobs"
)

// recorder is an HTTP client that notes when each request is sent. It answers in
// no time, so that a test of the rate runs in virtual time.
type recorder struct {
	answer func(n int) (status int, body string) // to the n-th request, from 1

	mu   sync.Mutex
	sent []time.Time
}

func (c *recorder) Do(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, time.Now())
	status, body := http.StatusOK, `{}`
	if c.answer != nil {
		status, body = c.answer(len(c.sent))
	}
	header := http.Header{}
	if status == http.StatusTooManyRequests {
		header.Set("X-Amzn-Errortype", "ThrottlingException")
	}
	if status == http.StatusInternalServerError {
		header.Set("X-Amzn-Errortype", "InternalServerException")
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (c *recorder) source(requestsPerSecond float64) *entityresolution.Source {
	return entityresolution.New(aws.Config{Region: "eu-west-1", HTTPClient: c,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}, requestsPerSecond)
}

func TestRequestsStayWithinTheRateRetriesIncluded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &recorder{answer: func(n int) (int, string) {
			if n%4 == 0 {
				return http.StatusInternalServerError, `{}`
			}
			return http.StatusOK, `{}`
		}}
		s := c.source(entityresolution.DefaultRate)
		time.Sleep(time.Hour) // a pause earns no burst
		var running sync.WaitGroup
		for range 30 {
			running.Go(func() { _, _ = s.Page(t.Context(), "crm", "") })
		}
		running.Wait()
		if len(c.sent) <= 30 {
			t.Fatalf("%d requests, want 30 and retries", len(c.sent))
		}
		for i := 1; i < len(c.sent); i++ {
			if gap := c.sent[i].Sub(c.sent[i-1]); gap < time.Second/entityresolution.DefaultRate-time.Microsecond { // it computes in floating point
				t.Fatalf("request %d was sent %v after the one before", i+1, gap)
			}
		}
	})
}

// interval is the time between two requests of a source that is busy.
func interval(t *testing.T, s *entityresolution.Source) time.Duration {
	t.Helper()
	begin := time.Now()
	for range 3 {
		if _, err := s.Page(t.Context(), "crm", ""); err != nil {
			t.Fatal(err)
		}
		if time.Since(begin) == 0 {
			begin = time.Now()
		}
	}
	last := time.Now()
	if _, err := s.Page(t.Context(), "crm", ""); err != nil {
		t.Fatal(err)
	}
	return time.Since(last).Round(time.Millisecond)
}

func TestThrottlingHalvesTheRateWhichRisesByATenthPerMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttled := 0
		c := &recorder{answer: func(int) (int, string) {
			if throttled > 0 {
				throttled--
				return http.StatusTooManyRequests, `{}`
			}
			return http.StatusOK, `{}`
		}}
		s := c.source(10)
		if got := interval(t, s); got != 100*time.Millisecond {
			t.Fatalf("%v between two requests, want 100ms", got)
		}
		throttled = 1
		if _, err := s.Page(t.Context(), "crm", ""); err != nil { // by its second attempt
			t.Fatal(err)
		}
		start := c.sent[len(c.sent)-2] // when it was throttled: the retry comes at random
		for _, step := range []struct {
			after time.Duration
			want  time.Duration
		}{
			{0, 200 * time.Millisecond},                           // 5 a second
			{59 * time.Second, 200 * time.Millisecond},            // not yet
			{61 * time.Second, 167 * time.Millisecond},            // 6
			{4*time.Minute + time.Second, 111 * time.Millisecond}, // 9
			{time.Hour, 100 * time.Millisecond},                   // never more than 10
		} {
			time.Sleep(step.after - time.Since(start) - time.Second)
			if got := interval(t, s); got != step.want {
				t.Errorf("%v after the throttle: %v between two requests, want %v", step.after, got, step.want)
			}
		}
		throttled = 1000
		for range 30 { // 90 attempts
			if _, err := s.Page(t.Context(), "crm", ""); !errors.Is(err, jobs.ErrThrottled) {
				t.Fatalf("error %v", err)
			}
		}
		throttled = 0
		if got := interval(t, s); got > 1600*time.Millisecond {
			t.Errorf("%v between two requests: the rate has fallen below a sixteenth", got)
		}
	})
}

func TestRequestWhoseTurnComesAfterTheDeadlineIsLateAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &recorder{}
		s := c.source(0.1)
		if _, err := s.Page(t.Context(), "crm", ""); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()
		start := time.Now()
		_, err := s.Page(ctx, "crm", "")
		if !errors.Is(err, jobs.ErrLate) || errors.Is(err, jobs.ErrUnavailable) {
			t.Errorf("error %v, want late and nothing else", err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("returned after %v", took)
		}
		if len(c.sent) != 1 {
			t.Errorf("%d requests were sent, want only the first", len(c.sent))
		}
	})
}
