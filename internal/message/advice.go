package message

import (
	"slices"
	"strings"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

// The pages that the advice comes from.
//
//	UG   https://docs.aws.amazon.com/entityresolution/latest/userguide/
//	IAM  https://docs.aws.amazon.com/IAM/latest/UserGuide/
//	KMS  https://docs.aws.amazon.com/kms/latest/developerguide/
//	S3   https://docs.aws.amazon.com/AmazonS3/latest/
//	Glue https://docs.aws.amazon.com/glue/latest/dg/
//	LF   https://docs.aws.amazon.com/lake-formation/latest/dg/
//	CLI  https://docs.aws.amazon.com/cli/latest/reference/entityresolution/

// failureSteps returns what to do about an error, in order, at most five steps; the
// last one is the command that runs the workflow again; and whether that can help.
// A role, action or resource is the one that the error names; the output's role
// stands in only where the error names none.
func failureSteps(d event.Detail, region string) ([]Line, Line) {
	category := jobs.Other
	if d.Error != nil {
		category = d.Error.Category
	}
	a := newAdvice(d)
	steps, retry := a.steps(category)
	if retry == retryNo && a.action == "" && isTransient(a.text) {
		retry = retryMay
	}
	again := "Run it again: %s"
	if retry == retryNo {
		again = "Then run it again: %s"
	}
	return append(steps, runAgain(again, d, region)), retry.line()
}

// runAgain is a step that ends in the command that starts the workflow, or without
// it where the name cannot be written in one.
func runAgain(text string, d event.Detail, region string) Line {
	if command := startCommand(d, region); command != "" {
		return line(text, Span{Text: command, Code: true})
	}
	return line(strings.TrimSuffix(text, ": %s") + ".")
}

// retry tells whether running the workflow again can help.
type retry int

const (
	retryUnknown retry = iota
	retryNo            // it fails again until the cause is fixed
	retryMay           // such causes usually go away
)

// isTransient reports whether an error, in lower case, tells of a call that failed on
// its way or in the service, whatever it was made for.
func isTransient(text string) bool {
	return slices.ContainsFunc([]string{"timed out", "timeout", "connection reset", "connection refused", "try again", "internal server error", "service unavailable", "internal error"},
		func(part string) bool { return strings.Contains(text, part) })
}

// line is the sentence that people read, or nil when nothing is known.
func (r retry) line() Line {
	switch r {
	case retryNo:
		return Plain("Running it again will fail until this is fixed.")
	case retryMay:
		return Plain("Usually goes away: run it again.")
	default:
		return nil
	}
}

// advice holds what the steps can name.
type advice struct {
	text           string // the error in lower case
	action         string
	role           Span
	resource, path Span // of the error; where the output is written
	key, job       Span
	inS3, inGlue   bool // where the resource is
}

func newAdvice(d event.Detail) advice {
	var named jobs.Named
	if d.Error != nil {
		named = jobs.Named{Role: d.Error.Role, Action: d.Error.Action, Resource: d.Error.Resource}
	}
	var output jobs.Output
	if len(d.Outputs) > 0 {
		output = d.Outputs[0]
	}
	a := advice{
		action:   named.Action,
		role:     literal(output.RoleArn, "the workflow's role"),
		resource: literal(named.Resource, "the resource in the error"),
		path:     literal(output.S3Path, "the output location"),
		key:      literal(output.KMSArn, "the KMS key"),
		job:      literal(d.JobID, "the job ID"),
		inS3:     isS3(named.Resource),
		inGlue:   named.Resource != "" && !strings.Contains(named.Resource, ":"),
	}
	if d.Error != nil {
		a.text = strings.ToLower(d.Error.Message)
	}
	if named.Role != "" {
		a.role = literal(named.Role, "the role in the error")
	}
	if strings.HasPrefix(named.Resource, "arn:") && strings.Contains(named.Resource, ":kms:") {
		a.key = a.resource
	}
	return a
}

func (a advice) steps(category jobs.Category) ([]Line, retry) {
	switch category {
	case jobs.IAM:
		return a.iam()
	case jobs.KMS:
		return a.kms(), retryNo
	case jobs.S3:
		return a.s3(), retryNo
	case jobs.Glue:
		return a.glue(), retryNo
	case jobs.Schema:
		return a.schema(), retryNo
	case jobs.Quota:
		return a.quota(), retryMay
	case jobs.Provider:
		return a.provider()
	case jobs.Internal:
		return []Line{
			// https://docs.aws.amazon.com/awssupport/latest/user/case-management.html
			line("The fault is inside Entity Resolution: a new run may succeed. If it fails too, open an AWS Support case with job ID %s and the time.", a.job),
		}, retryMay
	default:
		return []Line{
			// UG run-id-mapping-workflow.html
			line("Open the workflow in the console: its job history and configuration may show the cause."),
			// https://docs.aws.amazon.com/awssupport/latest/user/case-management.html
			line("If that does not help, open an AWS Support case with job ID %s and the time.", a.job),
		}, retryUnknown
	}
}

func (a advice) iam() ([]Line, retry) {
	if a.cannotAssume() {
		return []Line{
			// UG create-workflow-job-role.html
			line("Let %s assume %s: allow %s in its trust policy.", Span{Text: "entityresolution.amazonaws.com", Code: true}, a.role, Span{Text: "sts:AssumeRole", Code: true}),
			// UG create-workflow-job-role.html
			line("Check that the workflow names the right role and that the role still exists."),
			// IAM troubleshoot.html, "Changes that I make are not always immediately visible"
			line("If the role was created or changed just now, wait a minute."),
		}, retryUnknown
	}
	var all []Line
	switch {
	case strings.Contains(a.text, "lake formation") || strings.HasPrefix(a.action, "lakeformation:"):
		// LF granting-table-permissions.html
		all = append(all, line("In Lake Formation, grant %s Select and Describe on %s.", a.role, a.table()))
	case strings.Contains(a.text, "explicit deny"):
		// IAM troubleshoot_access-denied.html
		all = append(all, line("Find the policy that denies %s to %s: an explicit deny overrides every allow.", a.deniedAction(), a.role))
	case a.action == "":
		// IAM troubleshoot_access-denied.html
		all = append(all, line("Find the denied action in the error and allow it for %s.", a.role))
	case a.resource.Code:
		// IAM troubleshoot_access-denied.html
		all = append(all, line("Allow %s on %s for %s.", a.deniedAction(), a.resource, a.role))
	default:
		// IAM troubleshoot_access-denied.html
		all = append(all, line("Allow %s for %s.", a.deniedAction(), a.role))
	}
	switch service, _, _ := strings.Cut(a.action, ":"); {
	case service == "s3" || a.inS3 || service == "" && strings.Contains(a.text, "s3"):
		// UG create-workflow-job-role.html
		all = append(all, a.account())
		// IAM reference_policies_evaluation-logic.html
		all = append(all, line("Check that no bucket policy, permissions boundary or service control policy denies it."))
	case service == "glue":
		// UG create-workflow-job-role.html
		all = append(all, line("Glue checks the catalog, the database and the table: allow the action on all three."))
		// LF granting-table-permissions.html
		all = append(all, line("If Lake Formation manages the table, grant %s Select and Describe on it.", a.role))
	default:
		// IAM reference_policies_evaluation-logic.html
		all = append(all, line("Check that no permissions boundary or service control policy denies it."))
	}
	return all, retryNo
}

// cannotAssume reports whether Entity Resolution could not assume the role.
func (a advice) cannotAssume() bool {
	if a.action != "" {
		return strings.EqualFold(a.action, "sts:AssumeRole")
	}
	return isAssumption(a.text)
}

func (a advice) deniedAction() Span { return literal(a.action, "the action") }

func (a advice) table() Span {
	if a.inGlue {
		return a.resource
	}
	return Span{Text: "the workflow's Glue table"}
}

// account is about the condition of the documented role policy, UG
// create-workflow-job-role.html.
func (a advice) account() Line {
	return line("If the role's policy has the condition %s, check that it names the account that owns the bucket.", Span{Text: "s3:ResourceAccount", Code: true})
}

func (a advice) kms() []Line {
	use := line("Let %s use it, in the key policy and in the role's policy: %s, %s and %s.", a.role,
		Span{Text: "kms:Decrypt", Code: true}, Span{Text: "kms:GenerateDataKey", Code: true}, Span{Text: "kms:Encrypt", Code: true})
	if a.action != "" {
		use = line("Allow %s for %s, in the key policy and in the role's policy.", a.deniedAction(), a.role)
	}
	return []Line{
		// KMS key-state.html
		line("Check that %s exists, is enabled and is not pending deletion.", a.key),
		// UG create-workflow-job-role.html; KMS policy-evaluation.html
		use,
		// UG create-workflow-job-role.html
		line("Check the input bucket's key as well: the role needs %s on it.", Span{Text: "kms:Decrypt", Code: true}),
	}
}

func (a advice) s3() []Line {
	input := line("Check that the bucket and the input files exist.")
	if a.inS3 && a.resource.Code {
		input = line("Check that %s exists.", a.resource)
	}
	return []Line{
		// S3 API/ErrorResponses.html: NoSuchBucket, NoSuchKey
		input,
		// UG create-workflow-job-role.html
		line("Check that %s may write to %s: %s, %s, %s.", a.role, a.path,
			Span{Text: "s3:PutObject", Code: true}, Span{Text: "s3:ListBucket", Code: true}, Span{Text: "s3:GetBucketLocation", Code: true}),
		// UG create-workflow-job-role.html
		a.account(),
		// IAM reference_policies_evaluation-logic.html
		line("Check that no bucket policy blocks the role."),
	}
}

func (a advice) glue() []Line {
	exists := line("Check that the workflow's Glue database and table exist.")
	if a.resource.Code {
		exists = line("Check that %s exists in the Glue Data Catalog.", a.resource)
	}
	return []Line{
		// UG create-id-mapping-workflow.html: the input is a Glue table
		exists,
		// Glue tables-described.html
		line("Check that the table's S3 location exists and has data."),
		// Glue add-crawler.html
		line("If the data changed recently, run the table's crawler or update its schema."),
		// LF granting-table-permissions.html
		line("If Lake Formation manages the table, grant %s Select and Describe on it.", a.role),
	}
}

func (a advice) schema() []Line {
	return []Line{
		// UG create-schema-mapping.html; troubleshooting.html: one in use cannot be changed
		line("Compare the schema mapping with the input's columns and types. A mapping in use cannot change: create a new one."),
		// UG troubleshooting.html
		line("Check the unique IDs: never empty, never repeated, at most 38 characters."),
		// UG troubleshooting.html
		line("Rename reserved columns: EmailAddress, InputSourceARN, MatchRule, MatchID, HashingProtocol, ConfidenceLevel, Source."),
		// UG troubleshooting.html
		line("Look for rejected records in the %s folder under %s.", Span{Text: "error/", Code: true}, a.path),
	}
}

func (a advice) quota() []Line {
	if isThrottling(a.text) {
		return []Line{
			// https://docs.aws.amazon.com/general/latest/gr/api-retries.html
			line("Requests were throttled: wait a few minutes, and start fewer jobs at the same time."),
			// https://docs.aws.amazon.com/servicequotas/latest/userguide/request-quota-increase.html
			line("If it keeps happening, look up the rate in Service Quotas and request an increase."),
		}
	}
	return []Line{
		// UG quotas.html
		line("Wait until other runs finish: only one ID mapping job runs at a time per account and Region. This quota is fixed."),
		// https://docs.aws.amazon.com/servicequotas/latest/userguide/request-quota-increase.html
		line("If the error names another quota, look it up in Service Quotas and request an increase."),
	}
}

func (a advice) provider() ([]Line, retry) {
	// UG create-workflow-job-role.html
	allow := line("Check that %s may use %s on the provider's asset.", a.role, Span{Text: "dataexchange:SendApiAsset", Code: true})
	retry := retryUnknown
	if a.action != "" {
		allow, retry = line("Allow %s for %s.", a.deniedAction(), a.role), retryNo
		if a.resource.Code {
			allow = line("Allow %s on %s for %s.", a.deniedAction(), a.resource, a.role)
		}
	}
	subscription := []Line{
		// UG create-id-mapping-workflow-provider-services.html
		line("Check in AWS Data Exchange that the subscription to the provider is active."),
		// UG create-id-mapping-workflow-provider-services.html
		line("Check the workflow's provider configuration: the ARNs of the client ID and the client secret, and their values."),
	}
	// UG entity-resolution-open-api.html: the provider's job has a status of its own
	fault := line("If the provider failed or throttled the job, wait, then ask its support with job ID %s.", a.job)
	if retry == retryNo {
		return append([]Line{allow}, subscription...), retry
	}
	return append(subscription, allow, fault), retry
}

func isS3(resource string) bool {
	return strings.HasPrefix(resource, "s3") && strings.Contains(resource, "://") ||
		strings.HasPrefix(resource, "arn:") && strings.Contains(resource, ":s3:")
}
