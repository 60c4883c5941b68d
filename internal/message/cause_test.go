package message_test

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCauseBeginsWithItsSource(t *testing.T) {
	for text, want := range map[string]string{
		"User: " + session + ` is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::acme-crm-export/2026-11-23/part-00000.parquet" because …`: "Access denied: `CallerRole` may not `s3:GetObject` on `s3://acme-crm-export/2026-11-23/part-00000.parquet`",
		"User: " + otherRole + " is not authorized to perform: glue:GetTable on resource: arn:aws:glue:eu-west-1:1:catalog":                                    "Access denied: `other` may not `glue:GetTable` on `arn:aws:glue:eu-west-1:1:catalog`",
		"User: " + session + " is not authorized to perform: glue:GetTable":                                                                                    "Access denied: `CallerRole` may not `glue:GetTable`",
		"You are not authorized to perform: s3:ListBucket on resource: arn:aws:s3:::b":                                                                         "Access denied: no permission for `s3:ListBucket` on `s3://b`",
		"You are not authorized to perform: s3:ListBucket":                                                                                                     "Access denied: no permission for `s3:ListBucket`",
		"Unable to assume role " + otherRole:                                                                                                                   "Access denied: Entity Resolution cannot assume `other`",
		"User: x is not authorized to perform: sts:AssumeRole on resource: " + otherRole:                                                                       "Access denied: Entity Resolution cannot assume `other`",
		"Exception in assuming the passed role":                                                                                                                "Access denied: Exception in assuming the passed role",
		"Insufficient Lake Formation permission(s): Required Select on customers":                                                                              "Access denied: Lake Formation permission missing on `customers`",
		"Access Denied for " + session:                                                                                                                         "Access Denied for " + session,
		"Access Denied (Service: S3, Status Code: 403)":                                                                                                        "Access denied",
		"User: " + session + " is not authorized to perform: kms:Decrypt on resource: " + keyARN:                                                               "KMS: `CallerRole` may not `kms:Decrypt` on `" + keyARN + "`",
		"The ciphertext refers to a customer managed key that does not exist (Service: Kms; Status: 400)":                                                      "KMS: The ciphertext refers to a customer managed key that does not exist",
		"Error Category: X; Failed Line Number: 212; An error occurred while calling o118.getCatalogSource.\nEntity Not Found (Service: AWSGlue; Status Code: 400)\n\tat com.x.Y(Y.scala:89)": "Glue: table or database not found",
		"Glue table customers not found in database crm":           "Glue: table or database not found: `crm.customers`",
		"Glue has no partitions":                                   "Glue has no partitions",
		"The partition is empty":                                   "Glue: The partition is empty",
		"The specified bucket does not exist (Service: Amazon S3)": "S3: bucket not found",
		"NoSuchKey: s3://in/a.csv":                                 "S3: object not found: `s3://in/a.csv`",
		"Cannot write to the bucket":                               "S3: Cannot write to the bucket",
		"Column x is missing":                                      "Schema: Column x is missing",
		"Rate exceeded (ThrottlingException)":                      "Throttled: Rate exceeded (ThrottlingException)",
		"Workflow is currently running":                            "Quota reached: Workflow is currently running",
		"LiveRamp job FAILED":                                      "Provider: LiveRamp job FAILED",
		"Provider is away":                                         "Provider is away",
		"Internal error":                                           "Entity Resolution: Internal error",
		"Boom":                                                     "Boom",
		"":                                                         "Entity Resolution gave no error message.",
	} {
		if got := shown(failureOf(failed(text)).Lead[0]); got != want {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestLongCauseLeavesOutTheMiddleOfItsNames(t *testing.T) {
	denied := func(role, action, path string) string {
		cause := failureOf(failed("User: arn:aws:sts::1:assumed-role/" + role + "/s is not authorized to perform: s3:" + action + " on resource: arn:aws:s3:::" + path)).Lead[0]
		if n := utf8.RuneCountInString(cause.Plain(nil)); n > 150 {
			t.Errorf("%d characters: %s", n, cause.Plain(nil))
		}
		return shown(cause)
	}
	if got, want := denied("er", "GetObject", "bucket/"+strings.Repeat("x", 300)+"/part-00000.parquet"), "Access denied: `er` may not `s3:GetObject` on `s3://bucket/"+strings.Repeat("x", 42)+"…"+strings.Repeat("x", 34)+"/part-00000.parquet`"; got != want {
		t.Errorf("%s\n%s", got, want)
	}
	x := strings.Repeat("x", 64)
	if got := denied(x, x, x+x); !strings.HasPrefix(got, "Access denied: `x") || strings.Count(got, "…") != 3 {
		t.Error(got)
	}
	fits := 150 - len("Access denied: er may not s3:GetObject on s3://")
	if got := denied("er", "GetObject", strings.Repeat("é", fits)); strings.Contains(got, "…") {
		t.Error(got)
	}
}
