package entityresolution_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/entityresolution"
	fakeentityresolution "github.com/idmapping/notifier/internal/fakecloud/entityresolution"
	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
	"github.com/idmapping/notifier/internal/jobs"
)

// sentinels are all that a caller distinguishes errors by.
var sentinels = []error{jobs.ErrThrottled, jobs.ErrDenied, jobs.ErrNotFound, jobs.ErrRejected, jobs.ErrUnavailable, jobs.ErrLate, jobs.ErrUnpublishable, jobs.ErrConflict}

// operations are the three that a Source calls.
var operations = map[string]func(context.Context, *entityresolution.Source) error{
	"ListIdMappingWorkflows": func(ctx context.Context, s *entityresolution.Source) error {
		_, err := s.Workflows(ctx)
		return err
	},
	"ListIdMappingJobs": func(ctx context.Context, s *entityresolution.Source) error {
		_, err := s.Page(ctx, "crm", "")
		return err
	},
	"GetIdMappingJob": func(ctx context.Context, s *entityresolution.Source) error {
		_, err := s.Job(ctx, jobs.Key{Workflow: "crm", Job: "1"})
		return err
	},
}

func TestFaultsAreClassified(t *testing.T) {
	for _, c := range []struct {
		name     string
		fault    httpfault.Fault
		want     error
		attempts int
	}{
		{"429", httpfault.Fault{Status: 429, Code: "ThrottlingException"}, jobs.ErrThrottled, 3},
		{"429 of the gateway", httpfault.Fault{Status: 429, Code: "TooManyRequestsException"}, jobs.ErrThrottled, 3},
		{"429 without a code", httpfault.Fault{Status: 429, Body: `{"message":"Too Many Requests"}`}, jobs.ErrThrottled, 1},
		{"400 throttled", httpfault.Fault{Status: 400, Code: "ThrottlingException"}, jobs.ErrThrottled, 3},
		{"403", httpfault.Fault{Status: 403, Code: "AccessDeniedException"}, jobs.ErrDenied, 1},
		{"403 for the token", httpfault.Fault{Status: 403, Code: "UnrecognizedClientException"}, jobs.ErrDenied, 1},
		{"403 for an old token", httpfault.Fault{Status: 403, Code: "ExpiredTokenException"}, jobs.ErrDenied, 1},
		{"403 for the signature", httpfault.Fault{Status: 403, Code: "InvalidSignatureException"}, jobs.ErrDenied, 1},
		{"403 without a code", httpfault.Fault{Status: 403, Body: `{"message":"Forbidden"}`}, jobs.ErrDenied, 1},
		{"401 without a code", httpfault.Fault{Status: 401, Body: "who are you?"}, jobs.ErrDenied, 1},
		{"404", httpfault.Fault{Status: 404, Code: "ResourceNotFoundException"}, jobs.ErrNotFound, 1},
		{"404 of something else", httpfault.Fault{Status: 404, Body: "no such page"}, jobs.ErrUnavailable, 1},
		{"400", httpfault.Fault{Status: 400, Code: "ValidationException"}, jobs.ErrRejected, 1},
		{"400 with a new code", httpfault.Fault{Status: 400, Code: "LaterException"}, jobs.ErrUnavailable, 1},
		{"500", httpfault.Fault{Status: 500, Code: "InternalServerException"}, jobs.ErrUnavailable, 3},
		{"502", httpfault.Fault{Status: 502, Body: "<html>bad gateway</html>"}, jobs.ErrUnavailable, 3},
		{"503", httpfault.Fault{Status: 503, Code: "ServiceUnavailableException"}, jobs.ErrUnavailable, 3},
		{"200 truncated", httpfault.Fault{Status: 200, Body: `{"jobs":[{"jobId":"1","sta`}, jobs.ErrUnavailable, 1},
		{"200 not JSON", httpfault.Fault{Status: 200, Body: "<html>hello</html>"}, jobs.ErrUnavailable, 1},
		{"200 of another shape", httpfault.Fault{Status: 200, Body: `{"jobs":"none","jobId":7,"workflowSummaries":3}`}, jobs.ErrUnavailable, 1},
		{"hang", httpfault.Fault{Status: 200, Delay: time.Minute}, jobs.ErrUnavailable, 3},
		{"reset", httpfault.Fault{Reset: true}, jobs.ErrUnavailable, 3},
	} {
		for operation, call := range operations {
			service := &fakeentityresolution.Server{}
			service.Put(jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "1"}, Status: jobs.Running})
			service.Inject(c.fault)
			synctest.Test(t, func(t *testing.T) { // the retries pause
				err := call(t.Context(), source(service, fast))
				for _, sentinel := range sentinels {
					if got, want := errors.Is(err, sentinel), sentinel == c.want; got != want {
						t.Errorf("%s, %s: is %q: %t, want %t; error %v", c.name, operation, sentinel, got, want, err)
					}
				}
				if err != nil && !strings.HasPrefix(err.Error(), "calling "+operation) {
					t.Errorf("%s, %s: the error does not begin with what was done: %v", c.name, operation, err)
				}
				if n := len(service.Calls()); n != c.attempts {
					t.Errorf("%s, %s: %d attempts, want %d", c.name, operation, n, c.attempts)
				}
			})
		}
	}
}

func TestDeadlineIsNoFaultOfTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &fakeentityresolution.Server{}
		service.Inject(httpfault.Fault{Status: 200, Delay: time.Minute})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := source(service, fast).Page(ctx, "crm", ""); !errors.Is(err, jobs.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the deadline's error is %v", err)
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if _, err := source(service, fast).Page(ctx, "crm", ""); !errors.Is(err, jobs.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("the cancellation's error is %v", err)
		}
	})
}

func TestTransientFaultIsRetried(t *testing.T) {
	for _, fault := range []httpfault.Fault{
		{Times: 1, Status: 500, Code: "InternalServerException"}, {Times: 1, Status: 429, Code: "ThrottlingException"},
		{Times: 1, Reset: true}, {Times: 1, Status: http.StatusOK, Delay: time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			service := &fakeentityresolution.Server{}
			service.Put(jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "1"}, Status: jobs.Running})
			service.Inject(fault)
			if page, err := source(service, fast).Page(t.Context(), "crm", ""); err != nil || len(page.Rows) != 1 {
				t.Errorf("after %+v: %+v (%v)", fault, page, err)
			}
		})
	}
}
