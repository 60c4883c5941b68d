package event

import (
	"encoding/json"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/idmapping/notifier/internal/jobs"
)

// Envelope returns an entry as EventBridge delivers it to a target, with the given
// event ID. Account and region are those of the entry's resource, and without one
// those given.
func Envelope(entry jobs.Entry, id, account, region string) ([]byte, error) {
	resources := []string{}
	if entry.Resource != "" {
		resources = append(resources, entry.Resource)
	}
	if workflow, err := arn.Parse(entry.Resource); err == nil {
		account, region = workflow.AccountID, workflow.Region
	}
	return json.Marshal(struct {
		// In the order in which AWS documents them (EventBridge User Guide, "AWS service
		// event metadata").
		Version    string          `json:"version"`
		ID         string          `json:"id"`
		DetailType string          `json:"detail-type"`
		Source     string          `json:"source"`
		Account    string          `json:"account"`
		Time       string          `json:"time"`
		Region     string          `json:"region"`
		Resources  []string        `json:"resources"`
		Detail     json.RawMessage `json:"detail"`
	}{"0", id, entry.DetailType, SourceOf(entry.DetailType), account, entry.Time.UTC().Format(time.RFC3339), region, resources, json.RawMessage(entry.Detail)})
}
