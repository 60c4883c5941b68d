package entityresolution

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
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

// statuses say the same of an answer without a code that is known, such as a
// proxy's. A 404 is not among them: it must not pass for a job that is gone.
var statuses = map[int]error{
	http.StatusTooManyRequests: jobs.ErrThrottled,
	http.StatusUnauthorized:    jobs.ErrDenied,
	http.StatusForbidden:       jobs.ErrDenied,
}

// classify wraps err with what it means. Whatever is neither of the two,
// timeouts, broken connections and answers that cannot be read included, is
// jobs.ErrUnavailable: trying again later is right for it.
func classify(err error) error {
	if late, ok := errors.AsType[*lateError](err); ok {
		return fmt.Errorf("%w: %w", jobs.ErrLate, late)
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		for _, k := range kinds {
			if slices.Contains(k.codes, api.ErrorCode()) {
				return fmt.Errorf("%w: %w", k.kind, err)
			}
		}
	}
	if answer, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		if kind, ok := statuses[answer.HTTPStatusCode()]; ok {
			return fmt.Errorf("%w: %w", kind, err)
		}
	}
	return fmt.Errorf("%w: %w", jobs.ErrUnavailable, err)
}
