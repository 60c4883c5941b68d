package message_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
)

const (
	session   = "arn:aws:sts::123456789012:assumed-role/CallerRole/entityresolution"
	otherRole = "arn:aws:iam::123456789012:role/service-role/other"
	keyARN    = "arn:aws:kms:eu-west-1:123456789012:key/1f2e3d4c"
	runAgain  = "aws entityresolution start-id-mapping-job --workflow-name crm --region eu-west-1"
)

// failed is a failed job whose output names a role, a key and a path.
func failed(text string) event.Detail {
	named := jobs.NamedIn(text)
	return event.Detail{
		WorkflowName: "crm", WorkflowARN: eventtest.WorkflowARN("crm"), JobID: "4f2a", Status: jobs.Failed,
		Outputs: []jobs.Output{{S3Path: "s3://out/a/", RoleArn: "arn:aws:iam::1:role/OutputRole", KMSArn: "arn:aws:kms:r:1:key/out"}},
		Error:   &event.Error{Message: text, Category: jobs.Categorize(text), Role: named.Role, Action: named.Action, Resource: named.Resource},
	}
}

func failureOf(d event.Detail) message.Message {
	return message.Compose(event.Event{Detail: d}, now, settings)
}

// Whether running the workflow again can help.
const (
	fails   = "Running it again will fail until this is fixed."
	may     = "Usually goes away: run it again."
	unknown = ""
)

// shown writes code between backticks.
func shown(l message.Line) string {
	var b strings.Builder
	for _, span := range l {
		if span.Code {
			b.WriteString("`" + span.Text + "`")
		} else {
			b.WriteString(span.Text)
		}
	}
	return b.String()
}

func TestAdviceSaysWhatToCheckInOrder(t *testing.T) {
	const (
		account = "If the role's policy has the condition `s3:ResourceAccount`, check that it names the account that owns the bucket."
		denied  = "Check that no bucket policy, permissions boundary or service control policy denies it."
		other   = "Check that no permissions boundary or service control policy denies it."
		thenRun = "Then run it again: `" + runAgain + "`"
		run     = "Run it again: `" + runAgain + "`"
	)
	for text, want := range map[string]struct {
		category jobs.Category
		retry    string
		steps    []string
	}{
		"User: " + session + ` is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::in/a.parquet" because no identity-based policy allows the s3:GetObject action`: {jobs.IAM, fails, []string{
			"Allow `s3:GetObject` on `arn:aws:s3:::in/a.parquet` for `CallerRole`.", account, denied, thenRun}},
		"User: " + otherRole + " is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::in/a with an explicit deny in a resource-based policy": {jobs.IAM, fails, []string{
			"Find the policy that denies `s3:PutObject` to `" + otherRole + "`: an explicit deny overrides every allow.", account, denied, thenRun}},
		"User: " + session + " is not authorized to perform: glue:GetTable on resource: arn:aws:glue:eu-west-1:1:catalog": {jobs.IAM, fails, []string{
			"Allow `glue:GetTable` on `arn:aws:glue:eu-west-1:1:catalog` for `CallerRole`.",
			"Glue checks the catalog, the database and the table: allow the action on all three.",
			"If Lake Formation manages the table, grant `CallerRole` Select and Describe on it.", thenRun}},
		"You are not authorized to perform: glue:GetPartitions": {jobs.IAM, fails, []string{
			"Allow `glue:GetPartitions` for `arn:aws:iam::1:role/OutputRole`.",
			"Glue checks the catalog, the database and the table: allow the action on all three.",
			"If Lake Formation manages the table, grant `arn:aws:iam::1:role/OutputRole` Select and Describe on it.", thenRun}},
		"Insufficient Lake Formation permission(s): Required Select on customers": {jobs.IAM, fails, []string{
			"In Lake Formation, grant `arn:aws:iam::1:role/OutputRole` Select and Describe on `customers`.", other, thenRun}},
		"User: " + session + " is not authorized to perform: lakeformation:GetDataAccess": {jobs.IAM, fails, []string{
			"In Lake Formation, grant `CallerRole` Select and Describe on the workflow's Glue table.", other, thenRun}},
		"Exception in assuming the passed role": {jobs.IAM, unknown, []string{
			"Let `entityresolution.amazonaws.com` assume `arn:aws:iam::1:role/OutputRole`: allow `sts:AssumeRole` in its trust policy.",
			"Check that the workflow names the right role and that the role still exists.",
			"If the role was created or changed just now, wait a minute.", run}},
		"User: " + session + " is not authorized to perform: sts:AssumeRole on resource: " + otherRole: {jobs.IAM, unknown, []string{
			"Let `entityresolution.amazonaws.com` assume `" + otherRole + "`: allow `sts:AssumeRole` in its trust policy.",
			"Check that the workflow names the right role and that the role still exists.",
			"If the role was created or changed just now, wait a minute.", run}},
		"The service does not have access to read your data in Glue/S3": {jobs.IAM, fails, []string{
			"Find the denied action in the error and allow it for `arn:aws:iam::1:role/OutputRole`.", account, denied, thenRun}},

		"The ciphertext refers to a customer managed key that does not exist": {jobs.KMS, fails, []string{
			"Check that `arn:aws:kms:r:1:key/out` exists, is enabled and is not pending deletion.",
			"Let `arn:aws:iam::1:role/OutputRole` use it, in the key policy and in the role's policy: `kms:Decrypt`, `kms:GenerateDataKey` and `kms:Encrypt`.",
			"Check the input bucket's key as well: the role needs `kms:Decrypt` on it.", thenRun}},
		"User: " + session + " is not authorized to perform: kms:GenerateDataKey on resource: " + keyARN + " because …": {jobs.KMS, fails, []string{
			"Check that `" + keyARN + "` exists, is enabled and is not pending deletion.",
			"Allow `kms:GenerateDataKey` for `CallerRole`, in the key policy and in the role's policy.",
			"Check the input bucket's key as well: the role needs `kms:Decrypt` on it.", thenRun}},

		"Path does not exist: s3://in/2026/a.csv;": {jobs.S3, fails, []string{
			"Check that `s3://in/2026/a.csv` exists.",
			"Check that `arn:aws:iam::1:role/OutputRole` may write to `s3://out/a/`: `s3:PutObject`, `s3:ListBucket`, `s3:GetBucketLocation`.",
			account, "Check that no bucket policy blocks the role.", thenRun}},
		"The specified bucket does not exist": {jobs.S3, fails, []string{
			"Check that the bucket and the input files exist.",
			"Check that `arn:aws:iam::1:role/OutputRole` may write to `s3://out/a/`: `s3:PutObject`, `s3:ListBucket`, `s3:GetBucketLocation`.",
			account, "Check that no bucket policy blocks the role.", thenRun}},

		"Glue table customers not found in database crm": {jobs.Glue, fails, []string{
			"Check that `crm.customers` exists in the Glue Data Catalog.",
			"Check that the table's S3 location exists and has data.",
			"If the data changed recently, run the table's crawler or update its schema.",
			"If Lake Formation manages the table, grant `arn:aws:iam::1:role/OutputRole` Select and Describe on it.", thenRun}},
		"Entity Not Found (Service: AWSGlue)": {jobs.Glue, fails, []string{
			"Check that the workflow's Glue database and table exist.",
			"Check that the table's S3 location exists and has data.",
			"If the data changed recently, run the table's crawler or update its schema.",
			"If Lake Formation manages the table, grant `arn:aws:iam::1:role/OutputRole` Select and Describe on it.", thenRun}},

		"Schema mapping crm has no field of type UNIQUE_ID": {jobs.Schema, fails, []string{
			"Compare the schema mapping with the input's columns and types. A mapping in use cannot change: create a new one.",
			"Check the unique IDs: never empty, never repeated, at most 38 characters.",
			"Rename reserved columns: EmailAddress, InputSourceARN, MatchRule, MatchID, HashingProtocol, ConfidenceLevel, Source.",
			"Look for rejected records in the `error/` folder under `s3://out/a/`.", thenRun}},

		"You have reached the limit: service quota 'Concurrent ID mapping jobs'": {jobs.Quota, may, []string{
			"Wait until other runs finish: only one ID mapping job runs at a time per account and Region. This quota is fixed.",
			"If the error names another quota, look it up in Service Quotas and request an increase.", run}},
		"Rate exceeded (ThrottlingException)": {jobs.Quota, may, []string{
			"Requests were throttled: wait a few minutes, and start fewer jobs at the same time.",
			"If it keeps happening, look up the rate in Service Quotas and request an increase.", run}},

		"LiveRamp job FAILED: bad credentials": {jobs.Provider, unknown, []string{
			"Check in AWS Data Exchange that the subscription to the provider is active.",
			"Check the workflow's provider configuration: the ARNs of the client ID and the client secret, and their values.",
			"Check that `arn:aws:iam::1:role/OutputRole` may use `dataexchange:SendApiAsset` on the provider's asset.",
			"If the provider failed or throttled the job, wait, then ask its support with job ID `4f2a`.", run}},
		"User: " + session + " is not authorized to perform: dataexchange:SendApiAsset on resource: arn:aws:dataexchange:us-east-1::data-sets/a": {jobs.Provider, fails, []string{
			"Allow `dataexchange:SendApiAsset` on `arn:aws:dataexchange:us-east-1::data-sets/a` for `CallerRole`.",
			"Check in AWS Data Exchange that the subscription to the provider is active.",
			"Check the workflow's provider configuration: the ARNs of the client ID and the client secret, and their values.", thenRun}},

		"An internal server error occurred": {jobs.Internal, may, []string{
			"The fault is inside Entity Resolution: a new run may succeed. If it fails too, open an AWS Support case with job ID `4f2a` and the time.", run}},
		"Boom": {jobs.Other, unknown, []string{
			"Open the workflow in the console: its job history and configuration may show the cause.",
			"If that does not help, open an AWS Support case with job ID `4f2a` and the time.", run}},
	} {
		f := failureOf(failed(text))
		var got []string
		for _, step := range f.Steps {
			got = append(got, shown(step))
		}
		if f.Error.Category != want.category || f.Retry.Plain(nil) != want.retry || !slices.Equal(got, want.steps) {
			t.Errorf("%s:\n got %s, %s\n  %s\nwant %s, %s\n  %s", text, f.Error.Category, f.Retry.Plain(nil), strings.Join(got, "\n  "), want.category, want.retry, strings.Join(want.steps, "\n  "))
		}
	}
}

func TestAdviceWithoutNamesIsStillASentence(t *testing.T) {
	for text, want := range map[string]string{
		"s3 bucket":     "Check that the workflow's role may write to the output location: `s3:PutObject`, `s3:ListBucket`, `s3:GetBucketLocation`.",
		"kms":           "Let the workflow's role use it, in the key policy and in the role's policy: `kms:Decrypt`, `kms:GenerateDataKey` and `kms:Encrypt`.",
		"access denied": "Check that no permissions boundary or service control policy denies it.",
		// Neither can be shown byte for byte on a line of its own.
		"User: u is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::" + strings.Repeat("x", 200): "If the role's policy has the condition `s3:ResourceAccount`, check that it names the account that owns the bucket.",
	} {
		d := failed(text)
		d.Outputs = nil
		if got := shown(failureOf(d).Steps[1]); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
	d := failed("User: u is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::" + strings.Repeat("x", 200))
	d.Outputs[0].RoleArn = "two\nlines"
	if got := shown(failureOf(d).Steps[0]); got != "Allow `s3:GetObject` for the workflow's role." {
		t.Error(got)
	}
	silent := failed("")
	silent.Error = nil
	if f := failureOf(silent); f.Error.Category != jobs.Other || shown(f.Lead[0]) != "Entity Resolution gave no error message." || f.Retry != nil || len(f.Steps) != 3 {
		t.Errorf("%+v", f)
	}
}

func TestLastStepRunsTheWorkflowAgain(t *testing.T) {
	const start = "aws entityresolution start-id-mapping-job --workflow-name "
	for _, c := range []struct{ name, arn, jobType, want string }{
		{"crm_2-a", eventtest.WorkflowARN("crm_2-a"), "BATCH", "Run it again: `" + start + "crm_2-a --region eu-west-1`"},
		{"crm", eventtest.WorkflowARN("crm"), "DELETE_ONLY", "Run it again: `" + start + "crm --job-type DELETE_ONLY --region eu-west-1`"},
		{"crm", "", "", "Run it again: `" + start + "crm`"},
		{"it's $HOME", "", "", "Run it again: `" + start + `'it'\''s $HOME'` + "`"},
		{"crm", "arn:aws:entityresolution:`id`:1:x", "", "Run it again: `" + start + "crm`"},
		{"-x", "", "", "Run it again."},
		{"file://etc", "", "", "Run it again."},
		{"a\nb", "", "", "Run it again."},
		{"", "", "", "Run it again."},
	} {
		d := failed("Boom")
		d.WorkflowName, d.WorkflowARN, d.JobType = c.name, c.arn, c.jobType
		all := failureOf(d).Steps
		if got := shown(all[len(all)-1]); got != c.want {
			t.Errorf("%q: %s, want %s", c.name, got, c.want)
		}
	}
}
