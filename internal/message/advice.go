package message

import (
	"fmt"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

func failure(d event.Detail) *Failure {
	if d.Error == nil {
		if d.Status != jobs.Failed {
			return nil
		}
		return &Failure{
			Text:     "Entity Resolution gave no error message.",
			Category: jobs.Other,
			Advice:   advice(jobs.Other, d),
		}
	}
	return &Failure{Text: block(d.Error.Message), Category: d.Error.Category, Advice: advice(d.Error.Category, d)}
}

// advice is what to do about an error, by its category.
func advice(category jobs.Category, d event.Detail) []string {
	role, key, path := "the workflow's role", "the KMS key", "the output location"
	if len(d.Outputs) > 0 {
		o := d.Outputs[0]
		role, key, path = or(o.RoleArn, role), or(o.KMSArn, key), or(o.S3Path, path)
	}
	switch category {
	case jobs.IAM:
		allow := fmt.Sprintf("Look in the error for the action that is refused, and allow that action for %s.", role)
		if action := refusedAction(line(d.Error.Message)); action != "" {
			allow = fmt.Sprintf("Allow %s for %s, or find the policy that denies it.", action, role)
		}
		return []string{
			allow,
			"If that role is newly made or changed, check that its trust policy lets entityresolution.amazonaws.com assume it.",
			"Then run the workflow again.",
		}
	case jobs.KMS:
		return []string{
			fmt.Sprintf("Check that %s is enabled and that its key policy lets %s use it (kms:Decrypt, kms:GenerateDataKey).", key, role),
			"The key of the input bucket counts too, not only the output's.",
		}
	case jobs.S3:
		return []string{
			fmt.Sprintf("Check that the input exists and that %s can be written by %s.", path, role),
			"A bucket policy or a wrong region can refuse what the role allows.",
		}
	case jobs.Glue:
		return []string{
			"Check that the workflow's Glue database and table exist and point at data that is there.",
			"If the table changed lately, run its crawler or update its schema, then run the workflow again.",
		}
	case jobs.Schema:
		return []string{
			"Compare the workflow's schema mapping with the columns of the input: each mapped field must exist with a fitting type, and the UNIQUE_ID field must be filled.",
			"Then run the workflow again.",
		}
	case jobs.Quota:
		return []string{
			"Wait for other runs to end: one ID mapping job runs at a time in an account and region.",
			"Look up the limit named in the error in Service Quotas.",
		}
	case jobs.Internal:
		return []string{
			"Run the workflow again: this is a fault within Entity Resolution.",
			"If it comes back, give AWS Support the job id and the time.",
		}
	default:
		return []string{
			"Open the job to see its details and the workflow's configuration.",
			"If the error says nothing to you, give AWS Support the job id and the time.",
		}
	}
}

// or is the outside text on one line, or the words that stand in for it.
func or(text, otherwise string) string {
	if text = short(line(text), 200); text != "" {
		return text
	}
	return otherwise
}
