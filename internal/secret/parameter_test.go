package secret

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/idmapping/notifier/internal/fakecloud/account"
	"github.com/idmapping/notifier/internal/fakecloud/aws/awstest"
)

const (
	value = "xoxb-the-secret-value"
	name  = "/idmapping/slack-token"
)

// store is a fake of Parameter Store below the SDK. A read returns the value, or
// the error code while there is one.
type store struct {
	Value, Code string
	Type        string // SecureString if empty
	Delay       time.Duration
	Before      func() // runs before each response; may be nil

	mu    sync.Mutex
	reads int
}

// Do implements aws.HTTPClient.
func (s *store) Do(r *http.Request) (*http.Response, error) {
	var in struct {
		Name           string
		WithDecryption bool
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	s.mu.Lock()
	s.reads++
	s.mu.Unlock()
	if s.Before != nil {
		s.Before()
	}
	select {
	case <-time.After(s.Delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Header.Get("X-Amz-Target") != "AmazonSSM.GetParameter" || !in.WithDecryption:
		return response(http.StatusBadRequest, `{"__type":"NotADecryptedGetParameter"}`), nil
	case s.Code != "":
		return response(http.StatusBadRequest, fmt.Sprintf(`{"__type":%q,"message":"no"}`, s.Code)), nil
	}
	kind := s.Type
	if kind == "" {
		kind = "SecureString"
	}
	body, err := json.Marshal(map[string]any{"Parameter": map[string]string{"Name": in.Name, "Value": s.Value, "Type": kind}})
	return response(http.StatusOK, string(body)), err
}

func response(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, Body: io.NopCloser(strings.NewReader(body))}
}

func (s *store) set(value, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Value, s.Code = value, code
}

func (s *store) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

type clientFunc func(*http.Request) (*http.Response, error)

func (f clientFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

func newParameter(client aws.HTTPClient) *Parameter {
	return New(aws.Config{
		Region: account.Region, HTTPClient: client,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
	}, name)
}

// want calls get and checks the value and the number of reads so far.
func want(t *testing.T, get func(context.Context) (string, error), value string, s *store, reads int) {
	t.Helper()
	got, err := get(t.Context())
	if err != nil || got != value {
		t.Errorf("value is %q (%v), want %q", got, err, value)
	}
	if n := s.count(); n != reads {
		t.Errorf("%d reads, want %d", n, reads)
	}
}

func TestValueIsCachedForFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Value: value}
		p := newParameter(s)
		want(t, p.Value, value, s, 1)
		s.set("changed", "")
		time.Sleep(5*time.Minute - time.Nanosecond)
		want(t, p.Value, value, s, 1)
		time.Sleep(time.Nanosecond)
		want(t, p.Value, "changed", s, 2)
		want(t, p.Value, "changed", s, 2)
	})
}

func TestTrailingNewlineIsNotPartOfTheValue(t *testing.T) {
	s := &store{Value: value + "\n"}
	want(t, newParameter(s).Value, value, s, 1)
}

func TestRefreshReadsAtMostOnceEveryTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Value: value}
		p := newParameter(s)
		want(t, p.Value, value, s, 1)
		s.set("changed", "")
		time.Sleep(10*time.Second - time.Nanosecond)
		want(t, p.Refresh, value, s, 1)
		time.Sleep(time.Nanosecond)
		want(t, p.Refresh, "changed", s, 2)
		want(t, p.Refresh, "changed", s, 2)
		want(t, p.Value, "changed", s, 2)
	})
}

func TestLastValueIsUsedWhileReadsFail(t *testing.T) {
	for _, code := range []string{"InternalServerError", "ThrottlingException", "AccessDeniedException", "ParameterNotFound"} {
		t.Run(code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &store{Value: value}
				p := newParameter(s)
				want(t, p.Value, value, s, 1)
				s.set("changed", code)
				time.Sleep(time.Hour)
				want(t, p.Value, value, s, 2)
				want(t, p.Refresh, value, s, 2)
				s.set("changed", "")
				time.Sleep(5 * time.Minute)
				want(t, p.Value, "changed", s, 3)
			})
		})
	}
}

func TestUnreadableParameterIsNotReadForEveryMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Value: value}
		p := newParameter(s)
		want(t, p.Value, value, s, 1)
		s.set("", "InternalServerError")
		time.Sleep(time.Hour)
		for range 20 {
			want(t, p.Value, value, s, 2)
		}
		time.Sleep(minRefreshInterval)
		want(t, p.Value, value, s, 3)
	})
}

func TestErrorNamesTheParameterAndTheRemediation(t *testing.T) {
	for _, c := range []struct {
		code, value string
		remediation string
	}{
		{"ParameterNotFound", "", "create it with `aws ssm put-parameter --type SecureString`"},
		{"AccessDeniedException", "", "kms:Decrypt"},
		{"InvalidKeyId", "", "enable the key"},
		{"ValidationException", "", "redeploy with the name"},
		{"InternalServerError", "", "InternalServerError"},
		{"", "", "empty"},
		{"", " \n", "empty"},
	} {
		got, err := newParameter(&store{Code: c.code, Value: c.value}).Value(t.Context())
		if err == nil || got != "" {
			t.Errorf("%s: value is %q, error %v", c.code, got, err)
			continue
		}
		if !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), c.remediation) {
			t.Errorf("%s: the error does not name the parameter or the remediation: %v", c.code, err)
		}
	}
}

func TestErrorNeverContainsTheValue(t *testing.T) {
	for _, body := range []string{
		`{"Parameter":{"Value":"` + value + `"`, // cut off
		`{"Parameter":{"Value":["` + value + `"]}}`, `{"Parameter":"` + value + `"}`, `"` + value + `"`, value,
	} {
		p := newParameter(clientFunc(func(*http.Request) (*http.Response, error) { return response(http.StatusOK, body), nil }))
		_, err := p.Value(t.Context())
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, err), value) {
			t.Errorf("response %s: error %v", body, err)
		}
	}
}

func TestResponseWithoutAParameterIsAnError(t *testing.T) {
	p := newParameter(clientFunc(func(*http.Request) (*http.Response, error) { return response(http.StatusOK, `{}`), nil }))
	if got, err := p.Value(t.Context()); err == nil || got != "" {
		t.Errorf("value is %q (%v)", got, err)
	}
}

func TestPlainStringParameterIsUsedWithAWarning(t *testing.T) {
	for kind, warned := range map[string]bool{"SecureString": false, "String": true, "StringList": true} {
		var log bytes.Buffer
		before := slog.Default()
		slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
		got, err := newParameter(&store{Value: value, Type: kind}).Value(t.Context())
		slog.SetDefault(before)
		if err != nil || got != value {
			t.Errorf("%s: value is %q (%v)", kind, got, err)
		}
		if (log.Len() > 0) != warned || warned && !strings.Contains(log.String(), name) || strings.Contains(log.String(), value) {
			t.Errorf("%s: log %s", kind, &log)
		}
	}
}

// The clock of synctest stands still while a goroutine waits for a mutex, so that
// the value cannot age however slow the machine is. The first read responds only
// when every caller runs.
func TestConcurrentCallersShareOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var started, callers sync.WaitGroup
		s := &store{Value: value, Before: started.Wait}
		p := newParameter(s)
		started.Add(50)
		p.Prefetch()
		for i := range 50 {
			get := p.Value
			if i%2 == 1 {
				get = p.Refresh
			}
			callers.Go(func() {
				started.Done()
				if got, err := get(t.Context()); err != nil || got != value {
					t.Errorf("value is %q (%v)", got, err)
				}
			})
		}
		callers.Wait()
		if n := s.count(); n != 1 {
			t.Errorf("%d reads, want 1", n)
		}
	})
}

func TestPrefetchReadsTheFirstValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Value: value}
		p := newParameter(s)
		p.Prefetch()
		synctest.Wait()
		want(t, p.Value, value, s, 1)
	})
}

func TestFailedPrefetchIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Code: "InternalServerError"}
		p := newParameter(s)
		p.Prefetch()
		synctest.Wait()
		s.set(value, "")
		want(t, p.Value, value, s, 2)
	})
}

func TestPrefetchEndsAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Value: value, Delay: 6 * time.Second}
		p := newParameter(s)
		p.Prefetch()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		s.Delay = 0
		want(t, p.Value, value, s, 2)
	})
}

func TestReadEndsAtTheCallersDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{Value: value, Delay: time.Minute}
		p := newParameter(s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if _, err := p.Value(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("error is %v after %s", err, time.Since(begin))
		}
		want(t, p.Value, value, s, 2)
	})
}

func TestSecureStringIsDecryptedAndReadAgainAfterARotation(t *testing.T) {
	cfg := awstest.Moto(t).Config()
	name := "/idmapping/" + t.Name()
	put := func(value string) {
		t.Helper()
		_, err := ssm.NewFromConfig(cfg).PutParameter(t.Context(), &ssm.PutParameterInput{
			Name: &name, Value: &value, Type: types.ParameterTypeSecureString, Overwrite: aws.Bool(true)})
		if err != nil {
			t.Fatal(err)
		}
	}
	p := New(cfg, name)
	if _, err := p.Value(t.Context()); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "put-parameter") {
		t.Errorf("before it exists: %v", err)
	}
	put(value)
	if got, err := p.Value(t.Context()); err != nil || got != value {
		t.Errorf("value is %q (%v)", got, err)
	}
	put("rotated")
	p.readAt, p.attemptedAt = time.Time{}, time.Time{} // as if the interval had passed
	if got, err := p.Refresh(t.Context()); err != nil || got != "rotated" {
		t.Errorf("after the rotation: %q (%v)", got, err)
	}
	arn := fmt.Sprintf("arn:aws:ssm:%s:%s:parameter%s", account.Region, account.ID, name)
	if got, err := New(cfg, arn).Value(t.Context()); err != nil || got != "rotated" {
		t.Errorf("by its ARN: %q (%v)", got, err)
	}
}
