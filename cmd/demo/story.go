package main

import (
	"fmt"
	"time"

	"github.com/idmapping/notifier/internal/event"
	fakeentityresolution "github.com/idmapping/notifier/internal/fakecloud/entityresolution"
	"github.com/idmapping/notifier/internal/jobs"
)

// scene is what changes in Entity Resolution between two ticks.
type scene struct {
	caption string
	later   time.Duration // than the one before
	jobs    []jobs.Job
	signals []string // detail types of the events that are not about a change of these jobs
}

const role = "arn:aws:iam::123456789012:role/EntityResolutionRole"

func output(workflow string) []jobs.Output {
	return []jobs.Output{{S3Path: "s3://acme-id-mapping/" + workflow + "/", RoleArn: role,
		KMSArn: "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"}}
}

// denied is why crm-households fails.
const denied = "User: arn:aws:sts::123456789012:assumed-role/EntityResolutionRole/entityresolution is not authorized to perform: s3:GetObject on resource: \"arn:aws:s3:::acme-crm-export/households/part-00000.parquet\" because no identity-based policy allows the s3:GetObject action (Service: S3, Status Code: 403, Request ID: 7K2JQW4ZC0H3V5XE)"

// finishedBefore returns runs that finished before the installation. They cause no
// notification; the notifier compares later runs with them.
func finishedBefore(now time.Time) []jobs.Job {
	var all []jobs.Job
	for n := range 7 {
		spread := int64(n*3%7) - 3
		all = append(all,
			earlier("customers-to-liveramp", n, now, jobs.Metrics{jobs.InputRecords: 12_391_004 + 31_000*spread,
				jobs.TotalRecordsProcessed: 12_382_500 + 31_000*spread, jobs.RecordsNotProcessed: 8_504, jobs.TotalMappedRecords: 9_721_080 + 41_000*spread}),
			earlier("nightly-loyalty", n, now, jobs.Metrics{jobs.InputRecords: 481_310 + 900*spread,
				jobs.TotalRecordsProcessed: 481_310 + 900*spread, jobs.TotalMappedRecords: 412_770 + 1_100*spread}))
		households := earlier("crm-households", n, now, jobs.Metrics{jobs.InputRecords: 3_918_204 + 5_000*spread,
			jobs.TotalRecordsProcessed: 3_917_000 + 5_000*spread, jobs.TotalMappedRecords: 3_376_100 + 4_300*spread})
		if n < 2 { // the newest
			households.Status, households.Error, households.Metrics = jobs.Failed, denied, nil
		}
		all = append(all, households)
	}
	for n := range 30 { // every day at the same time, the next one in an hour
		orders := earlier("orders-to-ids", n, now.Add(2*time.Hour), jobs.Metrics{jobs.InputRecords: 96_400, jobs.TotalRecordsProcessed: 96_400, jobs.TotalMappedRecords: 80_212})
		orders.EndTime = orders.StartTime.Add(4 * time.Minute)
		all = append(all, orders)
	}
	return all
}

// earlier is a successful run that started n+1 days before now. The story's clock
// lets a run take some minutes.
func earlier(workflow string, n int, now time.Time, metrics jobs.Metrics) jobs.Job {
	start := now.Add(-time.Duration(n+1)*24*time.Hour - time.Hour)
	return jobs.Job{Key: jobs.Key{Workflow: workflow, Job: fmt.Sprintf("0b6c%04d-5a6f-4e8d-8c2b-0a1b2c3d4e5f", n)}, Type: "BATCH", Status: jobs.Succeeded,
		StartTime: start, EndTime: start.Add(time.Duration(3+n) * time.Minute), Metrics: metrics}
}

// story returns the scenes of a few workflows in one account, where one ID mapping
// job runs at a time ("Quotas for AWS Entity Resolution").
func story() []scene {
	full := jobs.Job{Key: jobs.Key{Workflow: "customers-to-liveramp", Job: "8c5e1d2f-6b7a-4f0e-9d3c-1a2b3c4d5e6f"}, Type: "BATCH", Outputs: output("customers-to-liveramp")}
	broken := jobs.Job{Key: jobs.Key{Workflow: "crm-households", Job: "3d9f0c44-20ae-4d0b-8a56-7e1f2b3c4d5e"}, Type: "BATCH", Outputs: output("crm-households")}
	waiting := jobs.Job{Key: jobs.Key{Workflow: "nightly-loyalty", Job: "c1a2b3c4-d5e6-47f8-89a0-b1c2d3e4f506"}, Type: "BATCH", Outputs: output("nightly-loyalty")}
	rerun := jobs.Job{Key: jobs.Key{Workflow: "crm-households", Job: "f7e6d5c4-b3a2-4910-8f7e-6d5c4b3a2910"}, Type: "BATCH", Outputs: output("crm-households")}

	done := full
	done.Metrics = jobs.Metrics{
		jobs.InputRecords: 12_480_331, jobs.TotalRecordsProcessed: 12_471_902, jobs.RecordsNotProcessed: 8_429, jobs.DeleteRecordsProcessed: 0,
		jobs.TotalMappedRecords: 9_803_117, jobs.TotalMappedSourceRecords: 9_803_117, jobs.TotalMappedTargetRecords: 8_954_220,
		jobs.UniqueRecordsLoaded: 12_322_410, jobs.NewMappedRecords: 214_902, jobs.NewMappedSourceRecords: 214_902, jobs.NewMappedTargetRecords: 190_018,
		jobs.NewUniqueRecordsLoaded: 301_776, jobs.MappedRecordsRemoved: 1_204, jobs.MappedSourceRecordsRemoved: 1_204, jobs.MappedTargetRecordsRemoved: 988,
	}
	failed := broken
	failed.Error = denied
	small := waiting
	small.Metrics = jobs.Metrics{jobs.InputRecords: 482_100, jobs.TotalRecordsProcessed: 482_100, jobs.RecordsNotProcessed: 0,
		jobs.TotalMappedRecords: 198_630, jobs.NewMappedRecords: 1_902}
	fixed := rerun
	fixed.Metrics = jobs.Metrics{jobs.InputRecords: 3_920_114, jobs.TotalRecordsProcessed: 3_918_770, jobs.RecordsNotProcessed: 1_344,
		jobs.TotalMappedRecords: 3_377_981, jobs.NewMappedRecords: 52_310}

	stuck := jobs.Job{Key: jobs.Key{Workflow: "nightly-loyalty", Job: "9a8b7c6d-5e4f-4a3b-8c2d-1e0f9a8b7c6d"}, Type: "BATCH", Outputs: output("nightly-loyalty")}
	stuck.Metrics = jobs.Metrics{jobs.InputRecords: 481_980, jobs.TotalRecordsProcessed: 481_980, jobs.RecordsNotProcessed: 0, jobs.TotalMappedRecords: 413_300}
	orders := jobs.Job{Key: jobs.Key{Workflow: "orders-to-ids", Job: "5c4d3e2f-1a0b-4c9d-8e7f-6a5b4c3d2e1f"}, Type: "BATCH", Outputs: output("orders-to-ids")}
	ordered := orders
	ordered.Metrics = jobs.Metrics{jobs.InputRecords: 96_812, jobs.TotalRecordsProcessed: 96_812, jobs.RecordsNotProcessed: 0, jobs.TotalMappedRecords: 80_551}

	return []scene{
		{caption: "a run starts, and a second one waits: one ID mapping job runs at a time", jobs: []jobs.Job{at(full, jobs.Running), at(broken, jobs.Queued)}},
		{caption: "the first succeeds as usual, the second starts, a third waits", jobs: []jobs.Job{at(done, jobs.Succeeded), at(broken, jobs.Running), at(waiting, jobs.Queued)}},
		{caption: "the second fails, for the third time in a row: its role is not allowed to read the input", jobs: []jobs.Job{at(failed, jobs.Failed), at(waiting, jobs.Running)}},
		{caption: "the third succeeds, but maps far fewer records than usual; the fixed workflow runs again", jobs: []jobs.Job{at(small, jobs.Succeeded), at(rerun, jobs.Running)}},
		{caption: "the second workflow recovers", jobs: []jobs.Job{at(fixed, jobs.Succeeded)}},
		{caption: "the third runs again", jobs: []jobs.Job{at(stuck, jobs.Running)}},
		{caption: "an hour and a half later it has not ended, though it usually takes minutes", later: 90 * time.Minute, signals: []string{event.Overdue}},
		{caption: "two hours later orders-to-ids has not started, though it does every day", later: 2 * time.Hour, signals: []string{event.RunMissing}},
		{caption: "the overdue run ends, and orders-to-ids starts after all", jobs: []jobs.Job{at(stuck, jobs.Succeeded), at(orders, jobs.Running)}, signals: []string{event.RunResumed}},
		{caption: "orders-to-ids succeeds as usual", jobs: []jobs.Job{at(ordered, jobs.Succeeded)}},
	}
}

func at(j jobs.Job, status jobs.Status) jobs.Job {
	j.Status = status
	return j
}

// apply puts the scene's jobs into Entity Resolution, with its current time.
func apply(er *fakeentityresolution.Server, sc scene, started map[jobs.Key]time.Time, now time.Time) {
	for _, j := range sc.jobs {
		if j.Status == jobs.Running {
			started[j.Key] = now
		}
		j.StartTime = started[j.Key]
		if j.Status.Terminal() {
			j.EndTime = now
		}
		er.Put(j)
	}
}
