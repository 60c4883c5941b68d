package jobs

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestNamesAreReadFromTheServicesOwnTexts(t *testing.T) {
	const (
		session = "arn:aws:sts::123456789012:assumed-role/EntityResolutionRole/entityresolution"
		role    = "arn:aws:iam::123456789012:role/service-role/er"
		key     = "arn:aws:kms:eu-west-1:123456789012:key/1f2e3d4c-0000-4000-8000-5b6a79881122"
	)
	for message, want := range map[string]Named{
		// IAM User Guide, "Troubleshoot access denied error messages".
		"User: " + session + ` is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::acme-crm-export/2026-11-23/part-00000.parquet" because no identity-based policy allows the s3:GetObject action (Service: S3, Status Code: 403)`: {"EntityResolutionRole", "s3:GetObject", "arn:aws:s3:::acme-crm-export/2026-11-23/part-00000.parquet"},
		"User: " + session + " is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::out/a with an explicit deny in a resource-based policy":                                                                                          {"EntityResolutionRole", "s3:PutObject", "arn:aws:s3:::out/a"},
		"User: " + role + " is not authorized to perform: glue:GetTable on resource: arn:aws:glue:eu-west-1:123456789012:catalog.":                                                                                                                   {role, "glue:GetTable", "arn:aws:glue:eu-west-1:123456789012:catalog"},
		"User: " + session + " is not authorized to perform: dataexchange:SendApiAsset":                                                                                                                                                              {"EntityResolutionRole", "dataexchange:SendApiAsset", ""},
		"user: " + session + " is not authorized to perform glue:GetDatabase on the resource arn:aws:glue:a:1:b":                                                                                                                                     {"EntityResolutionRole", "glue:GetDatabase", "arn:aws:glue:a:1:b"},
		"You are not authorized to perform: lakeformation:GetDataAccess.":                                                                                                                                                                            {"", "lakeformation:GetDataAccess", ""},
		"User: arn:aws-us-gov:iam::1:user/bob is not authorized to perform: s3:ListBucket on resource: 'b'":                                                                                                                                          {"", "s3:ListBucket", "b"},
		`User: u is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::b/a file (1).csv"`:                                                                                                                                            {"", "s3:GetObject", "arn:aws:s3:::b/a file (1).csv"},
		`…because no identity-based policy allows the s3:ListBucket action`:                                                                                                                                                                          {"", "s3:ListBucket", ""},
		"User: u is not authorized to perform: s3:GetObject on resource: \"arn:aws:s3:::b/x\ny\"":                                                                                                                                                    {"", "s3:GetObject", "arn:aws:s3:::b/x"},

		// No action.
		"User: u is not authorized to perform: <!channel>:x":                  {},
		"User: u is not authorized to perform: s3:`x`":                        {},
		"User: u is not authorized to perform: s3:" + strings.Repeat("x", 65): {},
		"User: u is not authorized to perform: s3:":                           {},
		"User: u is not authorized to access this resource":                   {},

		// A role that cannot be assumed.
		"User: entityresolution.amazonaws.com is not authorized to perform: sts:AssumeRole on resource: " + role: {role, "sts:AssumeRole", role},
		"User: " + session + " is not authorized to perform: sts:AssumeRole on resource: " + role:                {role, "sts:AssumeRole", role},
		"AccessDeniedException: Unable to assume role " + role + ".":                                             {role, "", ""},
		"Exception in assuming the passed role (" + role + ")":                                                   {role, "", ""},
		"Exception in assuming the passed role":                                                                  {},
		"role arn:aws:iam::123456789012:role/a`b":                                                                {"arn:aws:iam::123456789012:role/a", "", ""},
		"role arn:aws:iam::x:role/a":                                                                             {},

		// KMS.
		"User: " + session + " is not authorized to perform: kms:GenerateDataKey on resource: " + key + " because no resource-based policy allows the kms:GenerateDataKey action": {"EntityResolutionRole", "kms:GenerateDataKey", key},
		"User: " + session + " is not authorized to perform: kms:Decrypt on this resource because the resource does not exist in this Region":                                     {"EntityResolutionRole", "kms:Decrypt", ""},
		"User: " + session + " is not authorized to perform: kms:Decrypt on the resource associated with this ciphertext because …":                                               {"EntityResolutionRole", "kms:Decrypt", ""},
		key + " is disabled. (Service: AWSKMS)":                               {"", "", key},
		"Key '" + key + "' does not exist":                                    {"", "", key},
		"The ciphertext refers to a customer managed key that does not exist": {},

		// S3.
		"Path does not exist: s3://acme/in/2026/;":      {"", "", "s3://acme/in/2026/"},
		"NoSuchKey: 's3a://acme/in/a b.csv' is missing": {"", "", "s3a://acme/in/a b.csv"},
		"NoSuchBucket (s3://acme).":                     {"", "", "s3://acme"},
		"<BucketArn>arn:aws:s3:::acme</BucketArn>":      {"", "", "arn:aws:s3:::acme"},
		"write s3:// failed":                            {},
		"The specified bucket does not exist":           {},

		// Glue, Spark and Lake Formation.
		"Entity Not Found (Service: AWSGlue; Status Code: 400)":                   {},
		"Entity Not Found: Table customers (Service: AWSGlue)":                    {"", "", "customers"},
		"EntityNotFoundException: Database crm not found.":                        {"", "", "crm"},
		"Glue table customers not found in database crm":                          {"", "", "crm.customers"},
		"Table 'crm.customers' does not exist in database 'crm'":                  {"", "", "crm.customers"},
		"Table or view not found: `crm`.`customers`; line 1 pos 14":               {"", "", "crm.customers"},
		"The table is not partitioned":                                            {},
		"Insufficient Lake Formation permission(s): Required Select on customers": {"", "", "customers"},
		"Insufficient Lake Formation permission(s) on moj (Database name: moj)":   {"", "", "moj"},

		// The workflow says only whose error it is.
		"Workflow arn:aws:entityresolution:eu-west-1:1:idmappingworkflow/w cannot read s3://in/a": {"", "", "s3://in/a"},
		"": {},
	} {
		if got := NamedIn(message); got != want {
			t.Errorf("%q:\n got %+v\nwant %+v", message, got, want)
		}
	}
}

func TestNamesOverTheLimitAreLeftOut(t *testing.T) {
	for n, kept := range map[int]bool{2048: true, 2049: false} {
		path := "s3://" + strings.Repeat("x", n-len("s3://"))
		if got := NamedIn("not found: " + path).Resource; (got == path) != kept || !kept && got != "" {
			t.Errorf("%d bytes: kept %d", n, len(got))
		}
	}
}

// The test takes long only if the time of a hostile text is not bounded.
func TestHostileTextOfAMegabyteNamesNothingHarmful(t *testing.T) {
	for _, part := range []string{"arn:aws:s3:", `"arn:aws:s3:::x `, "User: ", "not authorized to perform: ", "s3://", "table ", "table a ", "entity not found ", `"`, ").", "](", "lake formation permission(s): a", "\x00", "é", "1.", "a1-"} {
		checkNamed(t, strings.Repeat(part, 1<<20/len(part)))
	}
}

func FuzzNamedIn(f *testing.F) {
	f.Add(deniedRead)
	f.Add("Table or view not found: `a`.`b`")
	f.Add("arn:aws:iam::1:role/a\u2028b 's3://a b'\r\n")
	f.Add("User: arn:aws:sts::1:assumed-role/a/b is not authorized to perform: kms:Decrypt on resource: \"\xff\n\"")
	f.Fuzz(func(t *testing.T, text string) { checkNamed(t, text) })
}

func checkNamed(t *testing.T, text string) {
	t.Helper()
	n := NamedIn(text)
	for _, name := range []string{n.Role, n.Action, n.Resource} {
		if len(name) > 2048 || !utf8.ValidString(name) || name != strings.TrimSpace(name) ||
			strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }) {
			t.Fatalf("%q names %q", text, name)
		}
	}
	if c := causeOf(text); len(c.Resource) > maxCause || len(c.Message) > maxCause || c.Category == "" {
		t.Fatalf("%q has the cause %+v", text, c)
	}
}
