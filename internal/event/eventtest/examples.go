// Package eventtest has example events, for tests, pictures and previews.
package eventtest

import (
	"fmt"
	"maps"
	"strings"
	"time"

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
	entry.Detail = event.AddPublisher(entry.Detail, event.Publisher{Stack: publisher})
	body, err := event.Envelope(entry, "6a7e8feb-b491-4cf7-a9f1-bf3703467718", Account, Region)
	if err != nil {
		panic(err)
	}
	return body
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

// denied is an error as Spark reports one of S3's.
const denied = `User: arn:aws:sts::123456789012:assumed-role/EntityResolutionRole/entityresolution is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::acme-crm-export/2026-11-23/part-00000.parquet" because no identity-based policy allows the s3:GetObject action (Service: S3, Status Code: 403, Request ID: 7K2JQW4ZC0H3V5XE)`

// start is when the example run starts.
var start = time.Date(2026, 11, 23, 2, 0, 12, 0, time.UTC)

// earlierJob is the ID of the n-th run before the example run.
func earlierJob(n int) string { return fmt.Sprintf("7b4d0c1e5a6f4e8d8c2b0a1b2c3d4e%02x", n) }

// checks change the counters of a success so that it has a finding.
var checks = map[string]func(jobs.Metrics){
	"check-zero-input": func(m jobs.Metrics) {
		clear(m)
		m[jobs.InputRecords], m[jobs.TotalRecordsProcessed], m[jobs.TotalMappedRecords] = 0, 0, 0
	},
	"check-zero-processed": func(m jobs.Metrics) {
		n := m[jobs.InputRecords]
		clear(m)
		m[jobs.InputRecords], m[jobs.RecordsNotProcessed], m[jobs.TotalRecordsProcessed], m[jobs.TotalMappedRecords] = n, n, 0, 0
	},
	"check-input-low": func(m jobs.Metrics) {
		clear(m)
		m[jobs.InputRecords], m[jobs.TotalRecordsProcessed], m[jobs.RecordsNotProcessed] = 3_104_882, 3_102_640, 2_242
		m[jobs.TotalMappedRecords], m[jobs.NewMappedRecords], m[jobs.MappedRecordsRemoved] = 2_438_675, 41_220, 310
	},
	"check-zero-mapped": func(m jobs.Metrics) {
		for _, counter := range []jobs.Counter{jobs.TotalMappedRecords, jobs.TotalMappedSourceRecords, jobs.TotalMappedTargetRecords,
			jobs.NewMappedRecords, jobs.NewMappedSourceRecords, jobs.NewMappedTargetRecords, jobs.MappedRecordsRemoved, jobs.MappedSourceRecordsRemoved, jobs.MappedTargetRecordsRemoved} {
			m[counter] = 0
		}
	},
	"check-mapped-low": func(m jobs.Metrics) {
		m[jobs.TotalMappedRecords], m[jobs.TotalMappedSourceRecords], m[jobs.TotalMappedTargetRecords] = 5_138_424, 5_138_424, 4_691_030
		m[jobs.NewMappedRecords], m[jobs.NewMappedSourceRecords], m[jobs.NewMappedTargetRecords] = 12_007, 12_007, 10_998
	},
	"check-not-processed-high": func(m jobs.Metrics) {
		m[jobs.RecordsNotProcessed], m[jobs.TotalRecordsProcessed] = 886_104, 11_594_227
		m[jobs.TotalMappedRecords], m[jobs.TotalMappedSourceRecords], m[jobs.TotalMappedTargetRecords] = 9_113_062, 9_113_062, 8_320_114
	},
	"check-removed-high": func(m jobs.Metrics) {
		m[jobs.MappedRecordsRemoved], m[jobs.MappedSourceRecordsRemoved], m[jobs.MappedTargetRecordsRemoved] = 4_241_380, 4_241_380, 3_874_002
	},
}

// history are fifty earlier runs of the example workflow, as usual.
func history() jobs.Histories {
	h := jobs.Histories{}
	for n := 1; n <= 51; n++ {
		spread := int64(n*7919%51) - 25 // -25 to 25, in no order
		begin := start.AddDate(0, 0, -n)
		input, mapped := 12_391_004+spread*11_000, 7851+spread*5
		processed := input - input*(7+spread/5)/10_000
		h.Add(jobs.Record{Job: jobs.Job{Key: jobs.Key{Workflow: "customers-to-liveramp", Job: earlierJob(n)}, Type: "BATCH", Status: jobs.Succeeded,
			StartTime: begin, EndTime: begin.Add(time.Duration(3840+spread*14) * time.Second),
			Metrics: jobs.Metrics{jobs.InputRecords: input, jobs.TotalRecordsProcessed: processed, jobs.RecordsNotProcessed: input - processed,
				jobs.TotalMappedRecords: processed * mapped / 10_000, jobs.MappedRecordsRemoved: 1_000 + spread*20}}})
	}
	return h
}

// compared is how a success of the example workflow compares with its history.
func compared(j jobs.Job) jobs.Assessment {
	return history().Assess(jobs.Record{Job: j}, true, j.EndTime)
}

// exampleEntries returns at least one entry of each kind, by name.
func exampleEntries() map[string]jobs.Entry {
	key := jobs.Key{Workflow: "customers-to-liveramp", Job: "8c5e1d2f6b7a4f0e9d3c1a2b3c4d5e6f"}
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
	assessed := func(name string, j jobs.Job, previous jobs.Status, a jobs.Assessment, skipped ...jobs.Status) {
		observed := j.EndTime.Add(41 * time.Second)
		if j.EndTime.IsZero() {
			observed = start.Add(33 * time.Second)
		}
		entry, err := event.Encode(WorkflowARN(j.Workflow), jobs.Transition{Job: j, Previous: previous, Skipped: skipped, Assessment: a}, observed)
		if err != nil {
			panic(err)
		}
		all[name] = entry
	}
	add := func(name string, j jobs.Job, previous jobs.Status, skipped ...jobs.Status) {
		assessed(name, j, previous, jobs.Assessment{}, skipped...)
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
	assessed("success-batch", success, jobs.Running, compared(success))
	few := 2
	assessed("success-without-history", success, jobs.Running, jobs.Assessment{EarlierRuns: &few})
	slow := success
	slow.EndTime = start.Add(2*time.Hour + 41*time.Minute + 20*time.Second)
	assessed("success-slow", slow, jobs.Running, compared(slow))
	recovered := compared(success)
	recovered.Recovery = &jobs.Recovery{Failures: 3, Since: start.Add(-72 * time.Hour).Add(14 * time.Minute),
		FirstJobID: earlierJob(3), LastJobID: earlierJob(1)}
	assessed("recovered", success, jobs.Running, recovered)
	for name, change := range checks {
		j := success
		j.Metrics = maps.Clone(success.Metrics)
		change(j.Metrics)
		if name == "check-input-low" || name == "check-zero-input" {
			j.EndTime = start.Add(18*time.Minute + 7*time.Second)
		}
		assessed(name, j, jobs.Running, compared(j))
	}

	incremental := job(jobs.Succeeded, 3)
	incremental.Type, incremental.Key = "INCREMENTAL", jobs.Key{Workflow: "nightly-incremental", Job: "c1a2b3c4d5e647f889a0b1c2d3e4f506"}
	incremental.Outputs = outputs(incremental.Workflow)
	incremental.Metrics = jobs.Metrics{jobs.InputRecords: 48_210, jobs.TotalRecordsProcessed: 48_210, jobs.RecordsNotProcessed: 0, jobs.TotalMappedRecords: 41_377, jobs.NewMappedRecords: 1_902}
	add("success-incremental", incremental, jobs.Queued, jobs.Running)

	deletions := job(jobs.Succeeded, 2)
	deletions.Type, deletions.Outputs = "DELETE_ONLY", nil
	deletions.Metrics = jobs.Metrics{jobs.DeleteRecordsProcessed: 312, jobs.MappedRecordsRemoved: 298}
	add("success-delete-only", deletions, jobs.Running)

	first := jobs.Assessment{Usual: compared(failed(denied)).Usual, LastSuccess: &jobs.FinishedRun{RunRef: jobs.RunRef{Job: earlierJob(1), Start: start.Add(-24 * time.Hour)}, End: start.Add(-23 * time.Hour).Add(3 * time.Minute)},
		Streak: &jobs.Streak{Failures: 1, SameCategory: true, Since: start.Add(14*time.Minute + 7*time.Second), FirstJobID: key.Job}}
	failure := func(name, text string) { assessed(name, failed(text), jobs.Running, first) }
	again := first
	again.LastSuccess = &jobs.FinishedRun{RunRef: jobs.RunRef{Job: earlierJob(3), Start: start.Add(-72 * time.Hour)}, End: start.Add(-71 * time.Hour).Add(3 * time.Minute)}
	again.Streak = &jobs.Streak{Failures: 3, SameCategory: true, Since: start.Add(-48 * time.Hour).Add(14 * time.Minute), FirstJobID: earlierJob(2)}
	assessed("failure-third", failed(denied), jobs.Running, again)
	again.Streak = &jobs.Streak{Failures: 2, SameCategory: true, Since: start.Add(-2 * time.Hour), FirstJobID: earlierJob(1), Repeated: true}
	again.LastSuccess = &jobs.FinishedRun{RunRef: jobs.RunRef{Job: earlierJob(2), Start: start.Add(-24 * time.Hour)}, End: start.Add(-23 * time.Hour).Add(3 * time.Minute)}
	assessed("failure-repeated", failed(denied), jobs.Running, again)
	failure("failure-iam", denied)
	failure("failure-s3", "The specified bucket does not exist: acme-crm-exports (Service: Amazon S3; Status Code: 404; Error Code: NoSuchBucket; Request ID: 7K2JQW4ZC0H3V5XE)")
	failure("failure-schema", "The column customer_email of the schema mapping does not exist in the table crm.customers")
	failure("failure-quota", "Rate exceeded (Service: AWSGlue; Status Code: 400; Error Code: ThrottlingException)")
	failure("failure-provider", "LiveRamp job failed with statusCode 403: the subscription to the data set is not active")
	failure("failure-internal", "Internal service exception. Please try again.")
	failure("failure-other", "The workflow stopped before it could write its results")
	failure("failure-kms", "The ciphertext refers to a customer managed key that does not exist, does not exist in this region, or you are not allowed to access. (Service: Kms, Status Code: 400, Error Code: AccessDeniedException)")
	failure("failure-glue", "Error Category: RESOURCE_NOT_FOUND_ERROR; Failed Line Number: 212; An error occurred while calling o118.getCatalogSource.\nEntity Not Found (Service: AWSGlue; Status Code: 400; Error Code: EntityNotFoundException; Request ID: 2f0c3a9e)\n\tat com.amazonaws.services.glue.DynamicFrame.<init>(DynamicFrame.scala:89)")
	failure("failure-silent", "")
	add("queued", job(jobs.Queued, 0), "")
	assessed("queued-behind", job(jobs.Queued, 0), "", jobs.Assessment{WaitsFor: &jobs.Key{Workflow: "nightly-incremental", Job: "c1a2b3c4d5e647f889a0b1c2d3e4f506"}})
	assessed("running", job(jobs.Running, 0), "", jobs.Assessment{EarlierRuns: &few})
	assessed("running-expected", job(jobs.Running, 0), "", compared(job(jobs.Running, 0)))
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
	stuck := job(jobs.Running, 0)
	all["overdue"], err = event.EncodeOverdue(WorkflowARN(key.Workflow), stuck, history().AssessOpen(jobs.Record{Job: stuck}, start), start.Add(2*time.Hour+55*time.Minute),
		[]jobs.Key{{Workflow: "orders-to-ids", Job: "1"}, {Workflow: "nightly-incremental", Job: "2"}}, start.Add(2*time.Hour+55*time.Minute+33*time.Second))
	if err != nil {
		panic(err)
	}
	all["run-missing"], all["run-resumed"] = runEntries()
	ended := success
	ended.EndTime = start.Add(4*time.Hour + 12*time.Minute)
	late := compared(ended)
	late.OverdueSince = start.Add(2*time.Hour + 55*time.Minute)
	assessed("success-overdue", ended, jobs.Running, late)
	all["late"], all["summary"] = backlogEntries()
	all["failure-tagged"] = event.AddTags(all["failure-iam"], map[string]string{"owner": "CRM team", "slack-channel": "C0CRMALERTS", "mention": "S0CRMTEAM",
		"runbook": "https://wiki.example.com/crm-id-mapping", "overdue-after": "4 hours"})
	all["mute-ended"] = muteEntry()
	return all
}

// runEntries returns what the poller publishes when the nightly run of the example
// workflow does not start, and starts after all.
func runEntries() (missing, resumed jobs.Entry) {
	workflow := "customers-to-liveramp"
	var starts []int64
	for n := 40; n > 0; n-- {
		starts = jobs.AddStart(starts, start.AddDate(0, 0, -n))
	}
	last := jobs.StartedRun{Job: earlierJob(1), Status: jobs.Succeeded, Start: start.AddDate(0, 0, -1)}
	expected := jobs.Timetable{}.With(last, 0, starts)
	m := expected.Miss(expected.Expected.By)
	missing, err := event.EncodeMissing(WorkflowARN(workflow), workflow, *m, m.By.Add(33*time.Second))
	if err != nil {
		panic(err)
	}
	run := jobs.Key{Workflow: workflow, Job: "8c5e1d2f6b7a4f0e9d3c1a2b3c4d5e6f"}
	begun := start.Add(3*time.Hour + 10*time.Minute)
	if resumed, err = event.EncodeResumed(WorkflowARN(workflow), run, begun, *m, begun.Add(33*time.Second)); err != nil {
		panic(err)
	}
	return missing, resumed
}

// muteEntry returns what the poller publishes when the mute of the example workflow
// ends and its last two runs have failed.
func muteEntry() jobs.Entry {
	workflow := "customers-to-liveramp"
	state := jobs.WorkflowState{Workflow: workflow, ARN: WorkflowARN(workflow)}
	mute := jobs.Mute{Since: start.Add(21 * time.Minute), Until: start.Add(16 * time.Hour), Reason: "moving the CRM export"}
	var records []jobs.Record
	var history jobs.History
	for n, status := range []jobs.Status{jobs.Succeeded, jobs.Failed, jobs.Failed} {
		began := start.Add(time.Duration(n) * 4 * time.Hour)
		job := jobs.Job{Key: jobs.Key{Workflow: workflow, Job: fmt.Sprintf("%032x", 0xd1a2b3c4d5e6000+n)}, Type: "BATCH", Status: status,
			StartTime: began, EndTime: began.Add(21 * time.Minute)}
		if status == jobs.Failed {
			job.Error = denied
		}
		entry, err := event.Encode(state.ARN, jobs.Transition{Job: job}, job.EndTime.Add(20*time.Second))
		if err != nil {
			panic(err)
		}
		records = append(records, jobs.Record{Job: job}.Append(entry, status))
		history = history.Add(job)
	}
	entry, err := event.EncodeMuteEnded(state, mute, records, history, mute.Until.Add(20*time.Second))
	if err != nil {
		panic(err)
	}
	return event.AddTags(entry, map[string]string{"owner": "CRM team"})
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
