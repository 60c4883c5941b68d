package awsenv_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/entityresolution"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/idmapping/notifier/internal/awsenv"
)

// variables are all that Config reads, besides those of single services.
var variables = []string{
	"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
	"AWS_ENDPOINT_URL", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT",
}

// services are the ones that the functions call, by the suffix of their own
// endpoint's variable ("AWS SDKs and Tools Reference Guide", service-specific
// endpoints), each with a call and the host it goes to.
var services = []struct {
	suffix, host string
	call         func(context.Context, aws.Config) error
}{
	{"ENTITYRESOLUTION", "entityresolution.eu-west-1.amazonaws.com", func(ctx context.Context, cfg aws.Config) error {
		_, err := entityresolution.NewFromConfig(cfg).ListIdMappingWorkflows(ctx, nil)
		return err
	}},
	{"DYNAMODB", "dynamodb.eu-west-1.amazonaws.com", func(ctx context.Context, cfg aws.Config) error {
		_, err := dynamodb.NewFromConfig(cfg).ListTables(ctx, nil)
		return err
	}},
	{"EVENTBRIDGE", "events.eu-west-1.amazonaws.com", func(ctx context.Context, cfg aws.Config) error {
		_, err := eventbridge.NewFromConfig(cfg).ListEventBuses(ctx, nil)
		return err
	}},
	{"SQS", "sqs.eu-west-1.amazonaws.com", func(ctx context.Context, cfg aws.Config) error {
		_, err := sqs.NewFromConfig(cfg).ListQueues(ctx, nil)
		return err
	}},
	{"SSM", "ssm.eu-west-1.amazonaws.com", func(ctx context.Context, cfg aws.Config) error {
		_, err := ssm.NewFromConfig(cfg).GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("/p")})
		return err
	}},
	{"SESV2", "email.eu-west-1.amazonaws.com", func(ctx context.Context, cfg aws.Config) error {
		_, err := sesv2.NewFromConfig(cfg).GetAccount(ctx, nil)
		return err
	}},
}

// setenv sets exactly these variables, in pairs of name and value.
func setenv(t *testing.T, pairs ...string) {
	t.Helper()
	for _, name := range variables {
		t.Setenv(name, "")
	}
	for _, s := range services {
		t.Setenv("AWS_ENDPOINT_URL_"+s.suffix, "")
	}
	for pair := range slices.Chunk(pairs, 2) {
		t.Setenv(pair[0], pair[1])
	}
}

// inLambda is the environment that Lambda gives, with more.
func inLambda(t *testing.T, pairs ...string) aws.Config {
	t.Helper()
	setenv(t, append([]string{"AWS_REGION", "eu-west-1", "AWS_ACCESS_KEY_ID", "AKIDEXAMPLE",
		"AWS_SECRET_ACCESS_KEY", "secret-key", "AWS_SESSION_TOKEN", "session-token"}, pairs...)...)
	cfg, err := awsenv.Config()
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// server answers {} to everything and counts.
func server(t *testing.T) (url string, calls *atomic.Int32) {
	t.Helper()
	calls = new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		_, _ = w.Write([]byte("{}"))
	}))
	t.Cleanup(s.Close)
	return s.URL, calls
}

// wire notes the hosts that requests were meant for, and sends nothing.
type wire struct {
	hosts   []string
	headers http.Header
}

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	w.hosts, w.headers = append(w.hosts, r.URL.Host), r.Header
	answer := httptest.NewRecorder()
	_, _ = answer.WriteString("{}")
	return answer.Result(), nil
}

func TestEndpointForAllServicesIsUsed(t *testing.T) {
	url, calls := server(t)
	for _, s := range services {
		calls.Store(0)
		cfg := inLambda(t, "AWS_ENDPOINT_URL", url)
		if err := s.call(t.Context(), cfg); err != nil || calls.Load() != 1 {
			t.Errorf("%s: %d calls, error %v", s.suffix, calls.Load(), err)
		}
	}
}

func TestServiceEndpointWinsAndLeavesOthersAlone(t *testing.T) {
	all, callsAll := server(t)
	own, callsOwn := server(t)
	for i, s := range services {
		callsAll.Store(0)
		callsOwn.Store(0)
		cfg := inLambda(t, "AWS_ENDPOINT_URL", all, "AWS_ENDPOINT_URL_"+s.suffix, own)
		other := services[(i+1)%len(services)]
		if err := errors.Join(s.call(t.Context(), cfg), other.call(t.Context(), cfg)); err != nil {
			t.Fatal(err)
		}
		if callsOwn.Load() != 1 || callsAll.Load() != 1 {
			t.Errorf("%s: %d calls at its own endpoint and %d of %s at the one for all, want 1 each", s.suffix, callsOwn.Load(), callsAll.Load(), other.suffix)
		}
	}
}

func TestServiceEndpointNeedsNoneForAll(t *testing.T) {
	own, calls := server(t)
	for _, s := range services {
		calls.Store(0)
		if err := s.call(t.Context(), inLambda(t, "AWS_ENDPOINT_URL_"+s.suffix, own)); err != nil || calls.Load() != 1 {
			t.Errorf("%s: %d calls, error %v", s.suffix, calls.Load(), err)
		}
	}
}

func TestRequestsGoWhereTheEnvironmentSays(t *testing.T) {
	const elsewhere = "http://127.0.0.1:1"
	for _, c := range []struct {
		name string
		env  []string
		want string // host that DynamoDB is called at
	}{
		{"nothing set", nil, "dynamodb.eu-west-1.amazonaws.com"},
		{"configured endpoints ignored", []string{"AWS_ENDPOINT_URL", elsewhere, "AWS_ENDPOINT_URL_DYNAMODB", elsewhere, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"}, "dynamodb.eu-west-1.amazonaws.com"},
		{"configured endpoints ignored, in capitals", []string{"AWS_ENDPOINT_URL", elsewhere, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "TRUE"}, "dynamodb.eu-west-1.amazonaws.com"},
		{"configured endpoints not ignored", []string{"AWS_ENDPOINT_URL", elsewhere, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "false"}, "127.0.0.1:1"},
		{"FIPS", []string{"AWS_USE_FIPS_ENDPOINT", "true"}, "dynamodb-fips.eu-west-1.amazonaws.com"},
		{"no FIPS", []string{"AWS_USE_FIPS_ENDPOINT", "false"}, "dynamodb.eu-west-1.amazonaws.com"},
		{"dual stack", []string{"AWS_USE_DUALSTACK_ENDPOINT", "true"}, "dynamodb.eu-west-1.api.aws"},
		{"no dual stack", []string{"AWS_USE_DUALSTACK_ENDPOINT", "false"}, "dynamodb.eu-west-1.amazonaws.com"},
		{"FIPS and dual stack", []string{"AWS_USE_FIPS_ENDPOINT", "true", "AWS_USE_DUALSTACK_ENDPOINT", "true"}, "dynamodb-fips.eu-west-1.api.aws"},
		{"only the default region", []string{"AWS_REGION", "", "AWS_DEFAULT_REGION", "ap-south-1"}, "dynamodb.ap-south-1.amazonaws.com"},
		{"two regions", []string{"AWS_DEFAULT_REGION", "ap-south-1"}, "dynamodb.eu-west-1.amazonaws.com"},
		{"China", []string{"AWS_REGION", "cn-north-1"}, "dynamodb.cn-north-1.amazonaws.com.cn"},
		{"GovCloud", []string{"AWS_REGION", "us-gov-west-1"}, "dynamodb.us-gov-west-1.amazonaws.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, seen := inLambda(t, c.env...), &wire{}
			cfg.HTTPClient = seen
			if _, err := dynamodb.NewFromConfig(cfg).ListTables(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(seen.hosts, []string{c.want}) {
				t.Errorf("called at %s, want %s", seen.hosts, c.want)
			}
		})
	}
}

func TestPublicEndpointIsTheDefault(t *testing.T) {
	for _, s := range services {
		cfg, seen := inLambda(t), &wire{}
		cfg.HTTPClient = seen
		if err := s.call(t.Context(), cfg); err != nil || !slices.Equal(seen.hosts, []string{s.host}) {
			t.Errorf("%s: called at %s, want %s, error %v", s.suffix, seen.hosts, s.host, err)
		}
	}
}

func TestRequestsAreSignedForTheRoleOfTheFunction(t *testing.T) {
	cfg, seen := inLambda(t), &wire{}
	cfg.HTTPClient = seen
	if _, err := dynamodb.NewFromConfig(cfg).ListTables(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := seen.headers.Get("Authorization"); !strings.Contains(got, "Credential=AKIDEXAMPLE/") || !strings.Contains(got, "/eu-west-1/dynamodb/") {
		t.Errorf("Authorization is %q", got)
	}
	if got := seen.headers.Get("X-Amz-Security-Token"); got != "session-token" {
		t.Errorf("X-Amz-Security-Token is %q", got)
	}
}

func TestOneErrorNamesEveryMissingVariable(t *testing.T) {
	const region, id, secret = "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
	for _, c := range []struct {
		name  string
		env   []string
		names []string
		not   []string
	}{
		{"nothing set", nil, []string{region, id, secret}, nil},
		{"no region", []string{id, "AKIDEXAMPLE", secret, "hidden-key"}, []string{region}, []string{id, secret}},
		{"no credentials", []string{region, "eu-west-1"}, []string{id, secret}, []string{region}},
		{"no id", []string{region, "eu-west-1", secret, "hidden-key"}, []string{id}, []string{region}},
		{"no key", []string{region, "eu-west-1", id, "AKIDEXAMPLE"}, []string{secret}, []string{region}},
	} {
		t.Run(c.name, func(t *testing.T) {
			setenv(t, c.env...)
			_, err := awsenv.Config()
			if err == nil {
				t.Fatal("no error")
			}
			for _, name := range c.names {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("the error does not name %s: %v", name, err)
				}
			}
			for _, name := range append(c.not, "hidden-key", "AKIDEXAMPLE") {
				if strings.Contains(err.Error(), name) {
					t.Errorf("the error names %s: %v", name, err)
				}
			}
		})
	}
}

func TestHangingCallEndsWithinEightSeconds(t *testing.T) {
	cfg := inLambda(t, "AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	cfg.RetryMaxAttempts = 1
	synctest.Test(t, func(t *testing.T) {
		var servers []net.Conn
		cfg.HTTPClient = cfg.HTTPClient.(*awshttp.BuildableClient).WithTransportOptions(func(transport *http.Transport) {
			transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
				client, server := net.Pipe() // a socket's clock is the real one
				servers = append(servers, server)
				go func() { _, _ = io.Copy(io.Discard, server) }()
				return client, nil
			}
		})
		start := time.Now()
		_, err := dynamodb.NewFromConfig(cfg).ListTables(t.Context(), nil)
		if took := time.Since(start); err == nil || len(servers) != 1 || took > 8*time.Second {
			t.Errorf("ended after %s and %d connections with error %v", took, len(servers), err)
		}
		for _, server := range servers {
			_ = server.Close()
		}
	})
}
