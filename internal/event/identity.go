package event

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/idmapping/notifier/internal/jobs"
)

// endedSuffix follows the status in the hash of a job that finished within an
// unknown status: the status was published when it began, so its end is a
// transition of its own.
const endedSuffix = " ENDED"

// workflowResource begins the resource of a workflow's ARN.
const workflowResource = "idmappingworkflow/"

// TransitionID is the hex SHA-256 of partition, account, region, workflow name,
// job ID and word, joined by newlines. The same transition always has the same
// ID. word is the new status; see transitionWord for the exceptions.
func TransitionID(workflow arn.ARN, job jobs.Key, word string) string {
	return hash(workflow.Partition, workflow.AccountID, workflow.Region, job.Workflow, job.Job, word)
}

// transitionWord is the last part of a transition's hash, a function of what the
// event itself contains, so that a subscriber can verify it.
func transitionWord(detailType string, d Detail) string {
	switch detailType {
	case Vanished:
		return string(jobs.Vanished)
	case Overdue:
		return string(jobs.Overdue)
	case RunMissing:
		return string(jobs.RunMissing)
	case RunResumed:
		return string(jobs.RunResumed)
	case MuteEnded:
		return string(jobs.MuteEnded)
	}
	if d.PreviousStatus == d.Status {
		return string(d.Status) + endedSuffix
	}
	return string(d.Status)
}

// canaryID is the transition ID of a canary.
func canaryID(sentAt time.Time) string {
	return hash(Canary, sentAt.UTC().Format(time.RFC3339Nano))
}

func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:])
}

// parseWorkflow parses the ARN of the ID mapping workflow called name
// (IdMappingWorkflowArn, Entity Resolution API Reference).
func parseWorkflow(text, name string) (arn.ARN, error) {
	workflow, err := arn.Parse(text)
	if err != nil {
		return arn.ARN{}, fmt.Errorf("workflow ARN %.200q: %w", text, err)
	}
	if workflow.Service != "entityresolution" || workflow.Resource != workflowResource+name || name == "" {
		return arn.ARN{}, fmt.Errorf("workflow ARN %.200q is not the ARN of ID mapping workflow %.200q", text, name)
	}
	if !isRegion(workflow.Region) {
		return arn.ARN{}, fmt.Errorf("workflow ARN %.200q has no region", text)
	}
	return workflow, nil
}

// isRegion reports whether s can be a region. Links use it as part of a host
// name, so nothing else may pass.
func isRegion(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	})
}
