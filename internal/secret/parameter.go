// Package secret reads secrets from SSM Parameter Store.
package secret

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
)

const (
	// keep is how long a value is used without looking whether it has changed.
	keep = 5 * time.Minute
	// calm is the least time between two reads, once there is a value to serve.
	calm = 10 * time.Second
	// prefetchTimeout bounds a prefetch, which nobody waits for.
	prefetchTimeout = 5 * time.Second
)

// Parameter is one SecureString parameter, cached in the process. It is safe
// for concurrent use; at most one read is under way.
type Parameter struct {
	client *ssm.Client
	name   string
	now    func() time.Time

	mu    sync.Mutex
	value string
	read  time.Time // when value was read
	tried time.Time // when a read was last tried
}

// New makes a Parameter; name is the parameter's name or ARN.
func New(cfg aws.Config, name string) *Parameter {
	return &Parameter{client: ssm.NewFromConfig(cfg), name: name, now: time.Now}
}

// Prefetch begins to read the value in the background, while Lambda's start
// still has a whole CPU. Whether that works shows when the value is asked for.
func (p *Parameter) Prefetch() {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), prefetchTimeout)
		defer cancel()
		_, _ = p.Value(ctx)
	}()
}

// Value is the secret, at most five minutes old. While the parameter cannot be
// read, the last value that was read serves on. The error names the parameter
// and the cure, never the value.
func (p *Parameter) Value(ctx context.Context) (string, error) { return p.get(ctx, keep) }

// Refresh is the secret as it stands now, for when the last one was refused. It
// reads at most once in ten seconds.
func (p *Parameter) Refresh(ctx context.Context) (string, error) { return p.get(ctx, calm) }

func (p *Parameter) get(ctx context.Context, age time.Duration) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if p.value != "" && (now.Sub(p.read) < age || now.Sub(p.tried) < calm) {
		return p.value, nil
	}
	p.tried = now
	value, err := p.fetch(ctx)
	if err != nil && p.value != "" {
		return p.value, nil
	}
	if err != nil {
		return "", err
	}
	p.value, p.read = value, now
	return value, nil
}

func (p *Parameter) fetch(ctx context.Context) (string, error) {
	out, err := p.client.GetParameter(ctx, &ssm.GetParameterInput{Name: &p.name, WithDecryption: aws.Bool(true)})
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok {
		err = errors.New("the answer cannot be understood") // the SDK's error can quote it
	}
	if err != nil {
		return "", fmt.Errorf("reading SSM parameter %s: %w%s", p.name, err, cure(err))
	}
	value := ""
	if out.Parameter != nil {
		value = strings.TrimSpace(aws.ToString(out.Parameter.Value)) // put from a file it ends with a newline
	}
	if value == "" {
		return "", fmt.Errorf("reading SSM parameter %s: it is empty", p.name)
	}
	return value, nil
}

// cure says what to do, where the error's code tells.
func cure(err error) string {
	if _, ok := errors.AsType[*types.ParameterNotFound](err); ok {
		return ": create it with `aws ssm put-parameter --type SecureString`, in the stack's region"
	}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return ""
	}
	switch api.ErrorCode() {
	case "AccessDeniedException":
		return ": the notifier's role may not read or decrypt it: redeploy with the parameter's name, and let the key policy of a customer managed key allow kms:Decrypt"
	case "InvalidKeyId":
		return ": its KMS key is disabled or gone: enable the key, or put the parameter again with another"
	case "ValidationException":
		return ": redeploy with the name of a parameter"
	}
	return ""
}
