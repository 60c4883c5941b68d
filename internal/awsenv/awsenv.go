// Package awsenv makes an aws.Config from the environment that Lambda gives a
// function. The SDK's own config package reads profiles, SSO and instance
// metadata as well, which a function never has: it is a sixth of the binary and
// a third of the start.
package awsenv

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Timeouts of one attempt of a call. A call that hangs must leave a tick time
// for everything else.
const (
	connectTimeout = 2 * time.Second
	answerTimeout  = 5 * time.Second
)

// Config reads AWS_REGION (or AWS_DEFAULT_REGION), AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_ENDPOINT_URL,
// AWS_ENDPOINT_URL_<SERVICE>, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS,
// AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT, with the meaning that
// the "AWS SDKs and Tools Reference Guide" gives them. Its error names every
// variable that is missing.
func Config() (aws.Config, error) {
	region := os.Getenv("AWS_REGION")
	if region == "" {
		region = os.Getenv("AWS_DEFAULT_REGION")
	}
	id, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	var problems []error
	if region == "" {
		problems = append(problems, errors.New("AWS_REGION is not set: Lambda sets it; elsewhere set it to the region of the tables and queues"))
	}
	if id == "" || secret == "" {
		problems = append(problems, errors.New("AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is not set: Lambda sets them from the function's role; elsewhere set both"))
	}
	if err := errors.Join(problems...); err != nil {
		return aws.Config{}, err
	}
	cfg := aws.Config{
		Region:        region,
		Credentials:   credentials.NewStaticCredentialsProvider(id, secret, os.Getenv("AWS_SESSION_TOKEN")),
		HTTPClient:    client(),
		ConfigSources: []any{environment{}},
	}
	if url := os.Getenv("AWS_ENDPOINT_URL"); url != "" && !isTrue("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
		cfg.BaseEndpoint = aws.String(url)
	}
	return cfg, nil
}

func client() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().
		WithTimeout(2 * answerTimeout).
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = connectTimeout }).
		WithTransportOptions(func(t *http.Transport) {
			t.TLSHandshakeTimeout = connectTimeout
			t.ResponseHeaderTimeout = answerTimeout
		})
}

// environment is asked by the service clients for what only they can look up.
type environment struct{}

// GetServiceBaseEndpoint is a service's own endpoint.
func (environment) GetServiceBaseEndpoint(_ context.Context, sdkID string) (string, bool, error) {
	url := os.Getenv("AWS_ENDPOINT_URL_" + strings.ToUpper(strings.ReplaceAll(sdkID, " ", "_")))
	return url, url != "", nil
}

// GetIgnoreConfiguredEndpoints reports whether configured endpoints are ignored.
func (environment) GetIgnoreConfiguredEndpoints(context.Context) (bool, bool, error) {
	ignore := isTrue("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
	return ignore, ignore, nil
}

// GetUseFIPSEndpoint reports whether to use FIPS endpoints.
func (environment) GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error) {
	if isTrue("AWS_USE_FIPS_ENDPOINT") {
		return aws.FIPSEndpointStateEnabled, true, nil
	}
	return aws.FIPSEndpointStateUnset, false, nil
}

// GetUseDualStackEndpoint reports whether to use dual-stack endpoints.
func (environment) GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error) {
	if isTrue("AWS_USE_DUALSTACK_ENDPOINT") {
		return aws.DualStackEndpointStateEnabled, true, nil
	}
	return aws.DualStackEndpointStateUnset, false, nil
}

func isTrue(name string) bool { return strings.EqualFold(os.Getenv(name), "true") }
