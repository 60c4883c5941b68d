package poller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/idmapping/notifier/internal/jobs"
)

// request is what the function can be asked. Everything that is none of the
// below, `{}` and EventBridge Scheduler's payload included, asks for a
// sweep of everything watched.
type request struct {
	// "track this job", or without a job id "sweep this workflow"
	WorkflowName string `json:"workflowName"`
	JobID        string `json:"jobId"`
	// "send a canary": check, which nobody sees, or show
	Canary string `json:"canary"`
	// a CloudTrail event: "sweep that workflow now"
	Detail struct {
		EventName         string `json:"eventName"`
		RequestParameters struct {
			WorkflowName string `json:"workflowName"`
		} `json:"requestParameters"`
	} `json:"detail"`
}

// Handle is the Lambda function's handler. It returns an error where nothing
// could be looked at, and where a request is not understood.
func (p *Poller) Handle(ctx context.Context, payload json.RawMessage) (Report, error) {
	var in request
	if err := json.Unmarshal(payload, &in); err != nil {
		wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
		if ok && slices.Contains([]string{"workflowName", "jobId", "canary"}, wrong.Field) {
			return Report{}, fmt.Errorf("reading the request: %s is a %s, it must be text", wrong.Field, wrong.Value)
		}
		in = request{} // some other schedule's payload
	}
	report, err := p.dispatch(ctx, in)
	if p.Metrics != nil && err == nil && in.Canary == "" {
		p.Metrics(report.Values())
	}
	return report, err
}

func (p *Poller) dispatch(ctx context.Context, in request) (Report, error) {
	switch {
	case in.Canary == "check" || in.Canary == "show":
		return p.Canary(ctx, in.Canary == "show")
	case in.Canary != "":
		return Report{}, fmt.Errorf("sending a canary: %.100q is neither check, which nobody sees, nor show", in.Canary)
	case in.JobID != "" && in.WorkflowName == "":
		return Report{}, fmt.Errorf("tracking job %s: workflowName is missing from the payload", in.JobID)
	case in.JobID != "":
		return p.Track(ctx, jobs.Key{Workflow: in.WorkflowName, Job: in.JobID})
	case in.WorkflowName != "":
		return p.SweepWorkflow(ctx, in.WorkflowName)
	case in.Detail.EventName == "StartIdMappingJob" && in.Detail.RequestParameters.WorkflowName != "":
		return p.SweepWorkflow(ctx, in.Detail.RequestParameters.WorkflowName)
	default:
		return p.Sweep(ctx)
	}
}
