package deployment

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/poller"
)

// Sweep invokes the poller to check one workflow, given by its name or ARN, or
// without one as the schedule does.
func (s Stack) Sweep(ctx context.Context, workflow string) (poller.Report, error) {
	return s.poll(ctx, map[string]any{"workflowName": workflow, "once": true})
}

// Track invokes the poller to report a job and to follow it to its end.
func (s Stack) Track(ctx context.Context, key jobs.Key) (poller.Report, error) {
	return s.poll(ctx, map[string]any{"workflowName": key.Workflow, "jobId": key.Job})
}

func (s Stack) poll(ctx context.Context, request map[string]any) (report poller.Report, err error) {
	payload, err := json.Marshal(request)
	if err != nil {
		return report, err
	}
	return report, s.invoke(ctx, s.Poller, string(payload), &report)
}

// NotifierVersion invokes the notifier without a message.
func (s Stack) NotifierVersion(ctx context.Context) (string, error) {
	var report notify.Report
	err := s.invoke(ctx, s.Notifier, `{}`, &report)
	return report.Version, err
}

func (s Stack) invoke(ctx context.Context, function, payload string, response any) error {
	out, err := lambda.NewFromConfig(s.cfg).Invoke(ctx, &lambda.InvokeInput{FunctionName: &function, Payload: []byte(payload)})
	if err != nil {
		return fmt.Errorf("invoking %s: %w", function, err)
	}
	if out.FunctionError != nil {
		return fmt.Errorf("invoking %s: %s", function, functionError(out.Payload))
	}
	if err := json.Unmarshal(out.Payload, response); err != nil {
		return fmt.Errorf("invoking %s: the response is not a report: %w", function, err)
	}
	return nil
}

// functionError explains Lambda's response to an invocation that failed.
func functionError(payload []byte) string {
	var failure struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal(payload, &failure); err != nil || failure.ErrorMessage == "" {
		return string(payload)
	}
	switch failure.ErrorType {
	case "Runtime.InvalidEntrypoint": // no bootstrap, or one for another architecture
		return failure.ErrorMessage + ": the deployed code is no build of this function. Run make deploy, or sam build && sam deploy"
	case "Runtime.ExitError":
		return failure.ErrorMessage + ": the function cannot start. Its log has a line \"cannot start\" with every wrong setting"
	}
	return strings.TrimSpace(failure.ErrorMessage)
}
