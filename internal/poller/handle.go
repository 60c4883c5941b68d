package poller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/idmapping/notifier/internal/jobs"
)

// request is what the function can be invoked with. Any other payload sweeps
// everything watched: `{}`, EventBridge Scheduler's payload.
type request struct {
	// Both: track this job. Without a job ID: sweep this workflow. The name may
	// be an ARN.
	WorkflowName string `json:"workflowName"`
	JobID        string `json:"jobId"`
	// Sweep once, without following likely ends: a person waits for it.
	Once bool `json:"once"`
	// Send a canary: check, which nobody sees, or show.
	Canary string `json:"canary"`
	// A CloudTrail record that EventBridge delivers. One of StartIdMappingJob tracks
	// the job that it has started, and without one sweeps its workflow; every other
	// one, such as of Clean Rooms' PopulateIdMappingTable, sweeps everything.
	Detail struct {
		EventName         string `json:"eventName"`
		RequestParameters struct {
			WorkflowName string `json:"workflowName"`
		} `json:"requestParameters"`
		ResponseElements struct {
			JobID string `json:"jobId"`
		} `json:"responseElements"` // null for a call that was refused
	} `json:"detail"`
	// A CloudWatch Logs subscription's payload: sweep everything.
	Logs json.RawMessage `json:"awslogs"`
}

// Handle is the Lambda function's handler. It returns an error where nothing
// could be checked, and where a request is not understood.
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
	report.Version = p.Version
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
		return p.Track(ctx, jobs.Key{Workflow: workflowName(in.WorkflowName), Job: in.JobID})
	case in.WorkflowName != "":
		return p.SweepWorkflow(ctx, workflowName(in.WorkflowName))
	case in.Detail.EventName == "StartIdMappingJob" && in.Detail.RequestParameters.WorkflowName != "":
		return p.started(ctx, jobs.Key{Workflow: workflowName(in.Detail.RequestParameters.WorkflowName), Job: in.Detail.ResponseElements.JobID})
	case in.Once || in.Detail.EventName != "" || in.Logs != nil:
		once := *p
		once.Fast = false // the scheduled tick follows likely ends
		return once.Sweep(ctx)
	default:
		return p.Sweep(ctx)
	}
}

// started reports a job that CloudTrail says has started, if its workflow is watched.
// GetIdMappingJob may not find it yet: then, and without a job ID, it sweeps the
// workflow, and the schedule does the rest.
func (p *Poller) started(ctx context.Context, key jobs.Key) (Report, error) {
	if key.Job == "" || !p.Watched.Has(key.Workflow) {
		return p.SweepWorkflow(ctx, key.Workflow)
	}
	report, err := p.Track(ctx, key)
	if errors.Is(err, jobs.ErrNotFound) {
		return p.SweepWorkflow(ctx, key.Workflow)
	}
	return report, err
}

// workflowName is the name in a name or an ARN, plain or URL-encoded:
// StartIdMappingJob accepts both (EntityNameOrIdMappingWorkflowArn in its service
// model), and CloudTrail records what it was called with.
func workflowName(nameOrARN string) string {
	if plain, err := url.PathUnescape(nameOrARN); err == nil {
		nameOrARN = plain
	}
	if parsed, err := arn.Parse(nameOrARN); err == nil {
		return strings.TrimPrefix(parsed.Resource, "idmappingworkflow/")
	}
	return nameOrARN
}
