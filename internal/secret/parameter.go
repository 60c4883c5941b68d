// Package secret reads secrets from SSM Parameter Store.
package secret

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
)

const (
	// ttl is how long a value is used before it is read again.
	ttl = 5 * time.Minute
	// minRefreshInterval is the minimum time between two reads while a cached
	// value exists.
	minRefreshInterval = 10 * time.Second
	// prefetchTimeout bounds a prefetch, which no caller waits for.
	prefetchTimeout = 5 * time.Second
)

// Parameter is one SecureString parameter, cached in the process. It is safe
// for concurrent use; at most one read runs at a time.
type Parameter struct {
	client *ssm.Client
	name   string

	mu          sync.Mutex
	value       string
	readAt      time.Time // of value
	attemptedAt time.Time // of the last read, successful or not
}

// New returns a Parameter. name is the parameter's name or ARN.
func New(cfg aws.Config, name string) *Parameter {
	return &Parameter{client: ssm.NewFromConfig(cfg), name: name}
}

// Prefetch starts to read the value in the background, while Lambda's init phase
// still has a whole CPU. A failure shows at the first call of Value.
func (p *Parameter) Prefetch() {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), prefetchTimeout)
		defer cancel()
		_, _ = p.Value(ctx)
	}()
}

// Value returns the secret, at most five minutes old. While the parameter cannot
// be read, it returns the last value that was read. The error names the parameter
// and the remediation, never the value.
func (p *Parameter) Value(ctx context.Context) (string, error) { return p.get(ctx, ttl) }

// Refresh reads the secret again after the last value was refused, at most once
// every ten seconds.
func (p *Parameter) Refresh(ctx context.Context) (string, error) {
	return p.get(ctx, minRefreshInterval)
}

func (p *Parameter) get(ctx context.Context, maxAge time.Duration) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.value != "" && (now.Sub(p.readAt) < maxAge || now.Sub(p.attemptedAt) < minRefreshInterval) {
		return p.value, nil
	}
	p.attemptedAt = now
	value, err := p.fetch(ctx)
	if err != nil && p.value != "" {
		return p.value, nil
	}
	if err != nil {
		return "", err
	}
	p.value, p.readAt = value, now
	return value, nil
}

func (p *Parameter) fetch(ctx context.Context) (string, error) {
	value, encrypted, err := p.Inspect(ctx)
	if err != nil {
		return "", fmt.Errorf("%w%s", err, remediation(err))
	}
	if !encrypted {
		slog.Warn("secret stored unencrypted: the SSM parameter is not a SecureString", "parameter", p.name)
	}
	return value, nil
}

// Inspect reads the secret once, past the cache, and reports whether it is stored
// encrypted, as a SecureString. The error names the parameter, never the value.
func (p *Parameter) Inspect(ctx context.Context) (value string, encrypted bool, err error) {
	out, err := p.client.GetParameter(ctx, &ssm.GetParameterInput{Name: &p.name, WithDecryption: aws.Bool(true)})
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok {
		err = errors.New("the response cannot be decoded") // the SDK's error can quote it
	}
	if err != nil {
		return "", false, fmt.Errorf("reading SSM parameter %s: %w", p.name, err)
	}
	var parameter types.Parameter
	if out.Parameter != nil {
		parameter = *out.Parameter
	}
	value = strings.TrimSpace(aws.ToString(parameter.Value)) // a value put from a file ends with a newline
	if value == "" {
		return "", false, fmt.Errorf("reading SSM parameter %s: it is empty", p.name)
	}
	return value, parameter.Type == types.ParameterTypeSecureString, nil
}

// remediation returns how to fix an error, if its code determines that.
func remediation(err error) string {
	if _, ok := errors.AsType[*types.ParameterNotFound](err); ok {
		return ": create it with `aws ssm put-parameter --type SecureString`, in the stack's region"
	}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return ""
	}
	switch api.ErrorCode() {
	case "AccessDeniedException":
		return ": the notifier's role is not allowed to read or decrypt it: redeploy with the parameter's name, and let the key policy of a customer managed key allow kms:Decrypt"
	case "InvalidKeyId":
		return ": its KMS key is disabled or deleted: enable the key, or put the parameter again with another key"
	case "ValidationException":
		return ": redeploy with the name of a parameter"
	}
	return ""
}
