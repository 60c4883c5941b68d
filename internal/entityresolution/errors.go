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
// GetIdMappingJob documents, and those of the layers in front of it.
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

// statuses do the same for a response without a known code, such as a proxy's. A
// 404 is not among them: it must not count as a job that was not found.
var statuses = map[int]error{
	http.StatusTooManyRequests: jobs.ErrThrottled,
	http.StatusUnauthorized:    jobs.ErrDenied,
	http.StatusForbidden:       jobs.ErrDenied,
}

// classify wraps err with what it means to a caller. An error in neither table, such
// as a timeout, a broken connection or an unreadable response, is
// jobs.ErrUnavailable: a retry can succeed.
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
