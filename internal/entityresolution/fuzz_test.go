package entityresolution_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/idmapping/notifier/internal/entityresolution"
	"github.com/idmapping/notifier/internal/jobs"
)

type answer string

func (a answer) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(string(a)))}, nil
}

// No response becomes a job without an ID or a status, and every error is one that
// the poller distinguishes.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{"", "{", "null", "{}", `{"jobId":"1","status":"FAILED","startTime":1e400}`, `{"jobId":"1","status":"RUNNING","metrics":{"inputRecords":99999999999}}`,
		`{"jobs":[{"jobId":"1","status":"QUEUED","startTime":-1},{}],"nextToken":""}`, `{"workflowSummaries":[{"workflowName":"w"}]}`, `{"jobs":7}`} {
		f.Add(body)
	}
	known := []error{jobs.ErrThrottled, jobs.ErrDenied, jobs.ErrNotFound, jobs.ErrRejected, jobs.ErrUnavailable}
	f.Fuzz(func(t *testing.T, body string) {
		s := entityresolution.New(aws.Config{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
			HTTPClient: &http.Client{Transport: answer(body)}, RetryMaxAttempts: 1}, 1e6)
		check := func(err error) {
			t.Helper()
			for _, k := range known {
				if err == nil || errors.Is(err, k) {
					return
				}
			}
			t.Errorf("%q: %v is no error that the poller knows", body, err)
		}
		job, err := s.Job(t.Context(), jobs.Key{Workflow: "w", Job: "1"})
		check(err)
		if err == nil && (job.Status == "" || job.Job == "") {
			t.Errorf("%q is taken for %+v", body, job)
		}
		page, err := s.Page(t.Context(), "w", "")
		check(err)
		for _, row := range page.Rows {
			if row.Status == "" || row.Job == "" {
				t.Errorf("%q has the row %+v", body, row)
			}
		}
		_, err = s.Workflows(t.Context())
		check(err)
	})
}
