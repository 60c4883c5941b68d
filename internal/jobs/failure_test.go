package jobs

import "testing"

func TestCategorizeByTheMessagesWords(t *testing.T) {
	for message, want := range map[string]Category{
		"User: arn:aws:sts::123456789012:assumed-role/er/x is not authorized to perform: s3:GetObject":              IAM,
		"AccessDeniedException: Unable to assume role arn:aws:iam::123456789012:role/er":                            IAM,
		"The ciphertext refers to a customer managed key that does not exist (Service: Kms; AccessDeniedException)": KMS,
		"Glue table customers not found in database crm (EntityNotFoundException)":                                  Glue,
		"The specified bucket does not exist":                                                                       S3,
		"Schema mapping crm_schema has no field of type UNIQUE_ID":                                                  Schema,
		"Rate exceeded (ThrottlingException)":                                                                       Quota,
		"You have reached the limit: service quota 'Concurrent ID mapping jobs'":                                    Quota,
		"An internal server error occurred. Try again.":                                                             Internal,
		"something nobody has seen before":                                                                          Other,
		"":                                                                                                          Other,
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
