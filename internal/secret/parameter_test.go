package secret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/idmapping/notifier/internal/fakecloud/account"
	fakeaws "github.com/idmapping/notifier/internal/fakecloud/aws"
)

const value = "xoxb-the-secret-value"

// store stands for Parameter Store. A read's answer is the value, or the error
// code while there is one.
type store struct {
	Value, Code string
	Delay       time.Duration

	mu    sync.Mutex
	reads int
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name           string
		WithDecryption bool
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	time.Sleep(s.Delay)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	switch {
	case r.Header.Get("X-Amz-Target") != "AmazonSSM.GetParameter" || !in.WithDecryption:
		http.Error(w, `{"__type":"NotADecryptedGetParameter"}`, http.StatusBadRequest)
	case s.Code != "":
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": s.Code, "message": "no"})
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"Parameter": map[string]string{"Name": in.Name, "Value": s.Value}})
	}
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

// clock is a clock that a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time          { return c.at }
func (c *clock) forward(d time.Duration) { c.at = c.at.Add(d) }

func parameter(t *testing.T, s *store) (*Parameter, *clock) {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	p := New(aws.Config{
		Region: account.Region, BaseEndpoint: &server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
	}, "/idmapping/slack-token")
	c := &clock{time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	p.now = c.now
	return p, c
}

// want asks and checks the value and how many reads there have been by then.
func want(t *testing.T, ask func(context.Context) (string, error), value string, s *store, reads int) {
	t.Helper()
	got, err := ask(t.Context())
	if err != nil || got != value {
		t.Errorf("value is %q (%v), want %q", got, err, value)
	}
	if n := s.count(); n != reads {
		t.Errorf("%d reads, want %d", n, reads)
	}
}

func TestAValueIsKeptForFiveMinutes(t *testing.T) {
	s := &store{Value: value}
	p, clock := parameter(t, s)
	want(t, p.Value, value, s, 1)
	s.set("changed", "")
	clock.forward(5*time.Minute - time.Second)
	want(t, p.Value, value, s, 1)
	clock.forward(time.Second)
	want(t, p.Value, "changed", s, 2)
	want(t, p.Value, "changed", s, 2)
}

func TestTheNewlineOfAFileIsNoPartOfTheValue(t *testing.T) {
	s := &store{Value: value + "\n"}
	p, _ := parameter(t, s)
	want(t, p.Value, value, s, 1)
}

func TestARefreshReadsAtMostOnceInTenSeconds(t *testing.T) {
	s := &store{Value: value}
	p, clock := parameter(t, s)
	want(t, p.Value, value, s, 1)
	s.set("changed", "")
	clock.forward(9 * time.Second)
	want(t, p.Refresh, value, s, 1)
	clock.forward(time.Second)
	want(t, p.Refresh, "changed", s, 2)
	want(t, p.Refresh, "changed", s, 2)
	want(t, p.Value, "changed", s, 2)
}

func TestTheLastValueServesOnWhileItCannotBeRead(t *testing.T) {
	for _, code := range []string{"InternalServerError", "ThrottlingException", "AccessDeniedException", "ParameterNotFound"} {
		s := &store{Value: value}
		p, clock := parameter(t, s)
		want(t, p.Value, value, s, 1)
		s.set("changed", code)
		clock.forward(time.Hour)
		want(t, p.Value, value, s, 2)
		want(t, p.Refresh, value, s, 2)
		s.set("changed", "")
		clock.forward(5 * time.Minute)
		want(t, p.Value, "changed", s, 3)
	}
}

func TestAnUnreadableParameterIsNotAskedForByEveryMessage(t *testing.T) {
	s := &store{Value: value}
	p, clock := parameter(t, s)
	want(t, p.Value, value, s, 1)
	s.set("", "InternalServerError")
	clock.forward(time.Hour)
	for range 20 {
		want(t, p.Value, value, s, 2)
	}
	clock.forward(calm)
	want(t, p.Value, value, s, 3)
}

func TestErrorsNameTheParameterAndTheCure(t *testing.T) {
	for _, c := range []struct {
		code, value string
		cure        string
	}{
		{"ParameterNotFound", "", "create it with `aws ssm put-parameter --type SecureString`"},
		{"AccessDeniedException", "", "kms:Decrypt"},
		{"InvalidKeyId", "", "enable the key"},
		{"ValidationException", "", "redeploy with the name"},
		{"InternalServerError", "", "InternalServerError"},
		{"", "", "empty"},
		{"", " \n", "empty"},
	} {
		p, _ := parameter(t, &store{Code: c.code, Value: c.value})
		got, err := p.Value(t.Context())
		if err == nil || got != "" {
			t.Errorf("%s: value is %q, error %v", c.code, got, err)
			continue
		}
		if !strings.Contains(err.Error(), "/idmapping/slack-token") || !strings.Contains(err.Error(), c.cure) {
			t.Errorf("%s: the error does not name the parameter or the cure: %v", c.code, err)
		}
	}
}

func TestNoErrorHoldsTheValue(t *testing.T) {
	for _, body := range []string{
		`{"Parameter":{"Value":"` + value + `"`, // cut off
		`{"Parameter":{"Value":["` + value + `"]}}`, `{"Parameter":"` + value + `"}`, `"` + value + `"`, value,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
		p := New(aws.Config{Region: account.Region, BaseEndpoint: &server.URL,
			Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
			Retryer:     func() aws.Retryer { return aws.NopRetryer{} }}, "/p")
		_, err := p.Value(t.Context())
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, err), value) {
			t.Errorf("answered %s: error %v", body, err)
		}
		server.Close()
	}
}

func TestManyWhoAskAtOnceMakeOneRead(t *testing.T) {
	s := &store{Value: value, Delay: 50 * time.Millisecond}
	p, _ := parameter(t, s)
	p.Prefetch()
	var asking sync.WaitGroup
	for i := range 50 {
		ask := p.Value
		if i%2 == 1 {
			ask = p.Refresh
		}
		asking.Go(func() {
			if got, err := ask(t.Context()); err != nil || got != value {
				t.Errorf("value is %q (%v)", got, err)
			}
		})
	}
	asking.Wait()
	if n := s.count(); n != 1 {
		t.Errorf("%d reads, want 1", n)
	}
}

func TestAPrefetchMakesTheFirstValueReady(t *testing.T) {
	s := &store{Value: value}
	p, _ := parameter(t, s)
	p.Prefetch()
	for deadline := time.Now().Add(5 * time.Second); s.count() == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	want(t, p.Value, value, s, 1)
}

func TestAPrefetchThatFailsIsForgotten(t *testing.T) {
	s := &store{Code: "InternalServerError"}
	p, _ := parameter(t, s)
	p.Prefetch()
	for deadline := time.Now().Add(5 * time.Second); s.count() == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	s.set(value, "")
	want(t, p.Value, value, s, 2)
}

func TestTheDeadlineOfOneWhoAsksIsKept(t *testing.T) {
	s := &store{Value: value, Delay: 500 * time.Millisecond}
	p, _ := parameter(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Value(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	want(t, p.Value, value, s, 2)
}

func TestASecureStringIsReadDecryptedAndReadAnewAfterItsRotation(t *testing.T) {
	cfg := fakeaws.MotoForTest(t).Config()
	name := "/idmapping/" + t.Name()
	write := func(value string) {
		t.Helper()
		_, err := ssm.NewFromConfig(cfg).PutParameter(t.Context(), &ssm.PutParameterInput{
			Name: &name, Value: &value, Type: types.ParameterTypeSecureString, Overwrite: aws.Bool(true)})
		if err != nil {
			t.Fatal(err)
		}
	}
	p := New(cfg, name)
	c := &clock{time.Now()}
	p.now = c.now
	if _, err := p.Value(t.Context()); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "put-parameter") {
		t.Errorf("before it is there: %v", err)
	}
	write(value)
	if got, err := p.Value(t.Context()); err != nil || got != value {
		t.Errorf("value is %q (%v)", got, err)
	}
	write("rotated")
	c.forward(calm)
	if got, err := p.Refresh(t.Context()); err != nil || got != "rotated" {
		t.Errorf("after the rotation: %q (%v)", got, err)
	}
	arn := fmt.Sprintf("arn:aws:ssm:%s:%s:parameter%s", account.Region, account.ID, name)
	if got, err := New(cfg, arn).Value(t.Context()); err != nil || got != "rotated" {
		t.Errorf("by its ARN: %q (%v)", got, err)
	}
}
