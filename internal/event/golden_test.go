package event

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/golden"
	"github.com/idmapping/notifier/internal/jobs"
)

const role = "arn:aws:iam::123456789012:role/EntityResolutionRole"

// examples are one event of each kind, as subscribers receive them. The other
// packages' golden files are made from them, and the docs show them.
func examples() map[string]jobs.Entry {
	key := jobs.Key{Workflow: "customers-to-liveramp", Job: "8c5e1d2f6b7a4f0e9d3c1a2b3c4d5e6f"}
	start := time.Date(2026, 11, 23, 2, 0, 12, 0, time.UTC)
	out := func(workflow string) []jobs.Output {
		return []jobs.Output{{S3Path: "s3://acme-id-mapping/" + workflow + "/", RoleArn: role,
			KMSArn: "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"}}
	}
	job := func(status jobs.Status, minutes int) jobs.Job {
		j := jobs.Job{Key: key, Type: "BATCH", Status: status, Outputs: out(key.Workflow)}
		if status != jobs.Queued {
			j.StartTime = start
		}
		if minutes > 0 {
			j.EndTime = start.Add(time.Duration(minutes)*time.Minute + 7*time.Second)
		}
		return j
	}
	all := make(map[string]jobs.Entry)
	add := func(name string, j jobs.Job, previous jobs.Status, skipped ...jobs.Status) {
		seen := j.EndTime.Add(41 * time.Second)
		if j.EndTime.IsZero() {
			seen = start.Add(33 * time.Second)
		}
		arn := "arn:aws:entityresolution:eu-west-1:123456789012:idmappingworkflow/" + j.Workflow
		entry, err := Encode(arn, jobs.Transition{Job: j, Previous: previous, Skipped: skipped}, seen)
		if err != nil {
			panic(err)
		}
		all[name] = entry
	}
	failed := func(text string) jobs.Job {
		j := job(jobs.Failed, 14)
		j.Error = text
		return j
	}

	success := job(jobs.Succeeded, 64)
	success.Metrics = jobs.Metrics{
		jobs.InputRecords: 12_480_331, jobs.TotalRecordsProcessed: 12_471_902, jobs.RecordsNotProcessed: 8_429, jobs.DeleteRecordsProcessed: 0,
		jobs.TotalMappedRecords: 9_803_117, jobs.TotalMappedSourceRecords: 9_803_117, jobs.TotalMappedTargetRecords: 8_954_220,
		jobs.UniqueRecordsLoaded: 12_322_410, jobs.NewMappedRecords: 214_902, jobs.NewMappedSourceRecords: 214_902, jobs.NewMappedTargetRecords: 190_018,
		jobs.NewUniqueRecordsLoaded: 301_776, jobs.MappedRecordsRemoved: 1_204, jobs.MappedSourceRecordsRemoved: 1_204, jobs.MappedTargetRecordsRemoved: 988,
	}
	add("success-batch", success, jobs.Running)

	small := job(jobs.Succeeded, 3)
	small.Type, small.Key = "INCREMENTAL", jobs.Key{Workflow: "nightly-incremental", Job: "c1a2b3c4d5e647f889a0b1c2d3e4f506"}
	small.Outputs = out(small.Workflow)
	small.Metrics = jobs.Metrics{jobs.InputRecords: 48_210, jobs.TotalRecordsProcessed: 48_210, jobs.RecordsNotProcessed: 0, jobs.TotalMappedRecords: 41_377, jobs.NewMappedRecords: 1_902}
	add("success-incremental", small, jobs.Queued, jobs.Running)

	deletions := job(jobs.Succeeded, 2)
	deletions.Type, deletions.Outputs = "DELETE_ONLY", nil
	deletions.Metrics = jobs.Metrics{jobs.DeleteRecordsProcessed: 312, jobs.MappedRecordsRemoved: 298}
	add("success-delete-only", deletions, jobs.Running)

	add("failure-iam", failed(`User: arn:aws:sts::123456789012:assumed-role/EntityResolutionRole/entityresolution is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::acme-crm-export/2026-11-23/part-00000.parquet" because no identity-based policy allows the s3:GetObject action (Service: S3, Status Code: 403, Request ID: 7K2JQW4ZC0H3V5XE)`), jobs.Running)
	add("failure-kms", failed("The ciphertext refers to a customer managed key that does not exist, does not exist in this region, or you are not allowed to access. (Service: Kms, Status Code: 400, Error Code: AccessDeniedException)"), jobs.Running)
	add("failure-glue", failed("Error Category: RESOURCE_NOT_FOUND_ERROR; Failed Line Number: 212; An error occurred while calling o118.getCatalogSource.\nEntity Not Found (Service: AWSGlue; Status Code: 400; Error Code: EntityNotFoundException; Request ID: 2f0c3a9e)\n\tat com.amazonaws.services.glue.DynamicFrame.<init>(DynamicFrame.scala:89)"), jobs.Running)
	add("failure-silent", failed(""), jobs.Running)
	add("queued", job(jobs.Queued, 0), "")
	add("running", job(jobs.Running, 0), jobs.Queued)
	add("unknown-status", job("PAUSED", 0), jobs.Running)

	hostile := failed("<!channel> <@U0123456> <https://evil.example|aws.amazon.com> & \"quotes\" 'single' ```fence``` `tick` *bold* _it_ ~no~\x00\x07\n" +
		"<script>alert(1)</script><img src=x onerror=alert(1)>\n\u202Egnp.exe\u2066 \r\nBcc: victim@example.com\n" + strings.Repeat("<&>`é", 1500))
	hostile.Type = "<b>*BATCH*</b>"
	hostile.Outputs = []jobs.Output{{S3Path: "javascript:alert(1)", RoleArn: "<!here>`role`"}, {S3Path: "s3://bucket/<script>|a b&c"}}
	add("hostile", hostile, "<!everyone>")

	add("bare", jobs.Job{Key: jobs.Key{Workflow: "w", Job: "1"}, Status: jobs.Succeeded}, "")

	gone, err := EncodeVanished("arn:aws:entityresolution:eu-west-1:123456789012:idmappingworkflow/"+key.Workflow, job(jobs.Running, 0), start.Add(25*time.Minute))
	if err != nil {
		panic(err)
	}
	all["vanished"] = gone
	return all
}

func TestTheExamplesAreWhatIsSentAndHoldTheSchema(t *testing.T) {
	s := schema(t)
	for name, entry := range examples() {
		t.Run(name, func(t *testing.T) {
			body := envelope(entry)
			validate(t, s, body)
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, body, "", "  "); err != nil {
				t.Fatal(err)
			}
			pretty.WriteByte('\n')
			golden.Check(t, name+".json", pretty.Bytes())
		})
	}
}
