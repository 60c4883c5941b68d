package message

import (
	"fmt"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

func composeFailure(d event.Detail) *Failure {
	if d.Error == nil {
		if d.Status != jobs.Failed {
			return nil
		}
		return &Failure{
			Text:     "Entity Resolution gave no error message.",
			Category: jobs.Other,
			Advice:   adviceFor(jobs.Other, d),
		}
	}
	return &Failure{Text: multiLine(d.Error.Message), Category: d.Error.Category, Advice: adviceFor(d.Error.Category, d)}
}

// adviceFor returns the next steps for an error, by its category.
func adviceFor(category jobs.Category, d event.Detail) []string {
	role, key, path := "the workflow's role", "the KMS key", "the output location"
	if len(d.Outputs) > 0 {
		o := d.Outputs[0]
		role, key, path = textOrDefault(o.RoleArn, role), textOrDefault(o.KMSArn, key), textOrDefault(o.S3Path, path)
	}
	switch category {
	case jobs.IAM:
		allow := fmt.Sprintf("Find the denied action in the error and allow it for %s.", role)
		if action := deniedAction(oneLine(d.Error.Message)); action != "" {
			allow = fmt.Sprintf("Allow %s for %s, or find the policy that denies it.", action, role)
		}
		return []string{
			allow,
			"If the role is new or was changed, check that its trust policy allows entityresolution.amazonaws.com to assume it.",
			"Then run the workflow again.",
		}
	case jobs.KMS:
		return []string{
			fmt.Sprintf("Check that %s is enabled and that its key policy lets %s use it (kms:Decrypt, kms:GenerateDataKey).", key, role),
			"Check the input bucket's key as well as the output's.",
		}
	case jobs.S3:
		return []string{
			fmt.Sprintf("Check that the input exists and that %s can be written by %s.", path, role),
			"A bucket policy or a bucket in another region can still deny access.",
		}
	case jobs.Glue:
		return []string{
			"Check that the workflow's Glue database and table exist and point to existing data.",
			"If the table changed recently, run its crawler or update its schema, then run the workflow again.",
		}
	case jobs.Schema:
		return []string{
			"Compare the workflow's schema mapping with the columns of the input: each mapped field must exist with a matching type, and the UNIQUE_ID field must not be empty.",
			"Then run the workflow again.",
		}
	case jobs.Quota:
		return []string{
			"Wait until other runs finish: one ID mapping job runs at a time per account and region.",
			"Look up the limit named in the error in Service Quotas.",
		}
	case jobs.Internal:
		return []string{
			"Run the workflow again: the fault is inside Entity Resolution.",
			"If it happens again, open an AWS Support case with the job ID and the time.",
		}
	default:
		return []string{
			"Open the job to see its details and the workflow's configuration.",
			"If the error does not help, open an AWS Support case with the job ID and the time.",
		}
	}
}

// textOrDefault returns the outside text on one line, or otherwise if it is empty.
func textOrDefault(text, otherwise string) string {
	if text = truncate(oneLine(text), 200); text != "" {
		return text
	}
	return otherwise
}
