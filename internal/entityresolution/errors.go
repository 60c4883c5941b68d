package entityresolution

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/smithy-go"

	"github.com/idmapping/notifier/internal/jobs"
)

// kinds says what each error code means to a caller: the five exceptions that
// GetIdMappingJob documents, and what the layers before it answer.
var kinds = []struct {
	kind  error
	codes []string
}{
	{jobs.ErrThrottled, []string{"ThrottlingException", "TooManyRequestsException", "ThrottledException", "RequestLimitExceeded"}},
	{jobs.ErrDenied, []string{"AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "ExpiredTokenException",
		"InvalidSignatureException", "IncompleteSignatureException", "MissingAuthenticationTokenException", "OptInRequired", "InvalidClientTokenId"}},
	{jobs.ErrNotFound, []string{"ResourceNotFoundException"}},
	{jobs.ErrRejected, []string{"ValidationException"}},
	{jobs.ErrUnavailable, []string{"InternalServerException"}},
}

// classify wraps err with what it means. Whatever is not one of the codes,
// timeouts, broken connections and answers that cannot be read included, is
// jobs.ErrUnavailable: trying again later is right for it.
func classify(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w: %w", jobs.ErrUnavailable, err)
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		for _, k := range kinds {
			if slices.Contains(k.codes, api.ErrorCode()) {
				return fmt.Errorf("%w: %w", k.kind, err)
			}
		}
	}
	return fmt.Errorf("%w: %w", jobs.ErrUnavailable, err)
}
