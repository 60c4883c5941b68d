package eventtest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

// Account and Region are those of the example events.
const (
	Account = "123456789012"
	Region  = "eu-west-1"
)

// Publisher is the stack that publishes the example events.
const Publisher = "idmapping"

// WorkflowARN returns the ARN of a workflow in Account and Region.
func WorkflowARN(workflow string) string {
	return "arn:aws:entityresolution:" + Region + ":" + Account + ":idmappingworkflow/" + workflow
}

// Envelope returns an entry as EventBridge delivers it to a target. Account and
// region are those of the entry's resource; a canary has none and gets Account
// and Region.
func Envelope(entry jobs.Entry, publisher string) []byte {
	account, region, resources := Account, Region, []string{}
	if entry.Resource != "" {
		resources = append(resources, entry.Resource)
	}
	if workflow, err := arn.Parse(entry.Resource); err == nil {
		account, region = workflow.AccountID, workflow.Region
	}
	body, err := json.Marshal(envelope{
		Version: "0", ID: "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
		DetailType: entry.DetailType, Source: event.SourceOf(entry.DetailType),
		Account: account, Time: entry.Time.Format(time.RFC3339), Region: region,
		Resources: resources,
		Detail:    json.RawMessage(event.AddPublisher(entry.Detail, event.Publisher{Stack: publisher})),
	})
	if err != nil {
		panic(err)
	}
	return body
}

// envelope has the keys in the order in which AWS documents them (EventBridge
// User Guide, "AWS service event metadata").
type envelope struct {
	Version    string          `json:"version"`
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       string          `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
}

// Examples returns the example events by name, as EventBridge delivers them. The
// tests of package event hold them to the files that the documentation shows.
func Examples() map[string][]byte {
	all := make(map[string][]byte)
	for name, entry := range exampleEntries() {
		all[name] = Envelope(entry, Publisher)
	}
	return all
}

const role = "arn:aws:iam::" + Account + ":role/EntityResolutionRole"

// exampleEntries returns at least one entry of each kind, by name.
func exampleEntries() map[string]jobs.Entry {
	key := jobs.Key{Workflow: "customers-to-liveramp", Job: "8c5e1d2f6b7a4f0e9d3c1a2b3c4d5e6f"}
	start := time.Date(2026, 11, 23, 2, 0, 12, 0, time.UTC)
	outputs := func(workflow string) []jobs.Output {
		return []jobs.Output{{S3Path: "s3://acme-id-mapping/" + workflow + "/", RoleArn: role,
			KMSArn: "arn:aws:kms:" + Region + ":" + Account + ":key/1234abcd-12ab-34cd-56ef-1234567890ab"}}
	}
	job := func(status jobs.Status, minutes int) jobs.Job {
		j := jobs.Job{Key: key, Type: "BATCH", Status: status, Outputs: outputs(key.Workflow)}
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
		observed := j.EndTime.Add(41 * time.Second)
		if j.EndTime.IsZero() {
			observed = start.Add(33 * time.Second)
		}
		entry, err := event.Encode(WorkflowARN(j.Workflow), jobs.Transition{Job: j, Previous: previous, Skipped: skipped}, observed)
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

	incremental := job(jobs.Succeeded, 3)
	incremental.Type, incremental.Key = "INCREMENTAL", jobs.Key{Workflow: "nightly-incremental", Job: "c1a2b3c4d5e647f889a0b1c2d3e4f506"}
	incremental.Outputs = outputs(incremental.Workflow)
	incremental.Metrics = jobs.Metrics{jobs.InputRecords: 48_210, jobs.TotalRecordsProcessed: 48_210, jobs.RecordsNotProcessed: 0, jobs.TotalMappedRecords: 41_377, jobs.NewMappedRecords: 1_902}
	add("success-incremental", incremental, jobs.Queued, jobs.Running)

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
	add("unknown-status-ended", job("STOPPED", 9), "STOPPED")

	hostile := failed("<!channel> <@U0123456> <https://evil.example|aws.amazon.com> & \"quotes\" 'single' ```fence``` `tick` *bold* _it_ ~no~\x00\x07\n" +
		"<script>alert(1)</script><img src=x onerror=alert(1)>\n\u202Egnp.exe\u2066 \r\nBcc: victim@example.com\n" + strings.Repeat("<&>`é", 1500))
	hostile.Type = "<b>*BATCH*</b>"
	hostile.Outputs = []jobs.Output{{S3Path: "javascript:alert(1)", RoleArn: "<!here>`role`"}, {S3Path: "s3://bucket/<script>|a b&c"}}
	add("hostile", hostile, "<!everyone>")

	add("bare", jobs.Job{Key: jobs.Key{Workflow: "w", Job: "1"}, Status: jobs.Succeeded}, "")

	vanished, err := event.EncodeVanished(WorkflowARN(key.Workflow), job(jobs.Running, 0), start.Add(25*time.Minute))
	if err != nil {
		panic(err)
	}
	all["vanished"] = vanished
	all["late"], all["summary"] = backlogEntries()
	return all
}

// backlogEntries returns what the poller publishes after a pause of a day, in
// which a run began every hour and failed every third time: the first job's
// event, and the summary.
func backlogEntries() (late, summary jobs.Entry) {
	resumed := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	var details []event.Detail
	for hour := range 24 {
		start := resumed.Add(time.Duration(hour-25) * time.Hour)
		job := jobs.Job{Key: jobs.Key{Workflow: "nightly-incremental", Job: fmt.Sprintf("%032x", 0xc1a2b3c4d5e6000+hour)},
			Type: "INCREMENTAL", Status: jobs.Succeeded, StartTime: start, EndTime: start.Add(7 * time.Minute)}
		if hour%3 == 0 {
			job.Key.Workflow, job.Status, job.Error = "customers-to-liveramp", jobs.Failed, "Access Denied (Service: S3, Status Code: 403)"
		}
		entry, err := event.Encode(WorkflowARN(job.Workflow), jobs.Transition{Job: job}, resumed)
		if err != nil {
			panic(err)
		}
		d, isLate := event.Late(entry)
		if !isLate {
			panic("the job's end is not late")
		}
		if details = append(details, d); hour == 0 {
			late = entry
		}
	}
	summary, backlog, err := event.EncodeSummary(details, resumed)
	if err != nil {
		panic(err)
	}
	late.Detail = event.AddBacklog(late.Detail, backlog)
	return late, summary
}
