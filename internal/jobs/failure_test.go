package jobs

import "testing"

func TestCategorizeByTheMessagesWords(t *testing.T) {
	for message, want := range map[string]Category{
		// Texts of Entity Resolution's API.
		"AccessDeniedException: Exception in assuming the passed role arn:aws:iam::123456789012:role/er":                       IAM,
		"Exception in assuming the passed role":                                                                                IAM,
		"The service does not have access to read your data in Glue/S3":                                                        IAM,
		"Check that it follows the pattern: arn:(aws|aws-us-gov|aws-cn):entityresolution:...:matchingworkflow/{resource_name}": Schema,
		"Workflow is currently running":                                                                                        Quota,
		"ExceedsLimitException: quotaName, quotaValue":                                                                         Quota,
		"Rate exceeded (ThrottlingException)":                                                                                  Quota,
		"An internal server error occurred. Try again.":                                                                        Internal,
		"AWS Clean Rooms couldn't find the policy for the service role":                                                        IAM,

		// IAM.
		deniedRead: IAM,
		"AccessDeniedException: Unable to assume role arn:aws:iam::123456789012:role/er":                                     IAM,
		"Access Denied (Service: Amazon S3; Status Code: 403; Error Code: AccessDenied)":                                     IAM,
		"Insufficient Lake Formation permission(s): Required Select on customers (Service: AWSGlue; Status Code: 400)":       IAM,
		"User: u is not authorized to perform: glue:GetTable on resource: arn:aws:glue:eu-west-1:1:table/kms/liveramp":       IAM,
		"User: u is not authorized to perform: s3:GetObject on resource: arn:aws:s3:::liveramp/kms-export/throttled.parquet": IAM,
		"Access denied for arn:aws:iam::1:role/kms-reader on s3://kms/liveramp":                                              IAM,
		"The security token included in the request is invalid":                                                              IAM,

		// KMS.
		"The ciphertext refers to a customer managed key that does not exist (Service: Kms; AccessDeniedException)": KMS,
		"User: u is not authorized to perform: kms:Decrypt on the resource associated with this ciphertext":         KMS,
		"arn:aws:kms:eu-west-1:1:key/7f is disabled. (Service: AWSKMS; Error Code: DisabledException)":              KMS,
		"You have exceeded the rate at which you may call KMS. (Service: AWSKMS; Error Code: ThrottlingException)":  Quota,

		// Provider services.
		"LiveRamp job failed: invalid credentials":                                                                         Provider,
		"Provider service returned FAILED: subscription expired":                                                           Provider,
		"The request to TransUnion returned 429 Too Many Requests":                                                         Provider,
		"User: u is not authorized to perform: dataexchange:SendApiAsset on resource: arn:aws:dataexchange:us-east-1::x":   Provider,
		"User: u is not authorized to perform: secretsmanager:GetSecretValue":                                              Provider,
		"The AWS Data Exchange asset was not found":                                                                        Provider,
		"Workflow customers-to-liveramp failed: the specified bucket does not exist":                                       S3,
		"You have reached the limit of concurrent provider matching jobs":                                                  Quota,
		"Unable to load credentials from any of the providers in the chain com.amazonaws.auth.AWSCredentialsProviderChain": Other,

		// Glue, S3, Schema.
		"Glue table customers not found in database crm (EntityNotFoundException)": Glue,
		"Table clicks not found.":                                  Glue,
		"Entity Not Found":                                         Glue,
		"An unstable result is acceptable":                         Other,
		"The specified bucket does not exist":                      S3,
		"The specified key does not exist.":                        S3,
		"Path does not exist: s3://acme-kms/schema/columns":        S3,
		"Schema mapping crm_schema has no field of type UNIQUE_ID": Schema,
		"Naming conflicts: MatchID":                                Schema,
		"Boom\n\tat com.amazonaws.services.glue.DynamicFrame.<init>(D.scala:89)\n\tat java.util.concurrent.F.run(F.java:2)": Other,
		"Boom\n  at least one column is empty": Schema,

		"You have reached the limit: service quota 'Concurrent ID mapping jobs'":      Quota,
		"Please reduce your request rate. (Service: Amazon S3; Error Code: SlowDown)": Quota,
		"something nobody has seen before":                                            Other,
		"":                                                                            Other,
	} {
		if got := Categorize(message); got != want {
			t.Errorf("Categorize(%q) = %s, want %s", message, got, want)
		}
	}
}

func TestRatesAreAbsentWhereTheyAreUndefined(t *testing.T) {
	for _, test := range []struct {
		m         Metrics
		mapped    float64
		hasMapped bool
	}{
		{Metrics{TotalMappedRecords: 9, TotalRecordsProcessed: 10}, 0.9, true},
		{Metrics{TotalMappedRecords: 0, TotalRecordsProcessed: 10}, 0, true},
		{Metrics{TotalMappedRecords: 9, TotalRecordsProcessed: 0}, 0, false},
		{Metrics{TotalMappedRecords: 9}, 0, false},
		{Metrics{TotalRecordsProcessed: 9}, 0, false},
		{Metrics{TotalMappedRecords: -1, TotalRecordsProcessed: 9}, 0, false},
		{nil, 0, false},
	} {
		if got, ok := test.m.MappedRate(); got != test.mapped || ok != test.hasMapped {
			t.Errorf("%v: %v, %v", test.m, got, ok)
		}
	}
}

func TestCountersListEachCounterOfTheAPIOnce(t *testing.T) {
	seen := map[Counter]bool{}
	for _, c := range Counters {
		seen[c] = true
	}
	if len(seen) != 15 || len(Counters) != 15 {
		t.Errorf("%d counters, %d different; IdMappingJobMetrics has 15", len(Counters), len(seen))
	}
}
