package rules

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
)

// vector is one line that vectors.py prints, which explains the keys.
type vector struct {
	Seed int64

	Runs   []packedRun
	Judged []judgment
	Open   []openJob

	Starts  []int64
	Rhythm  []int64
	Asked   []asked
	Resumed [][2]*int64
	Every   []every
}

// isStarts reports whether the line is one of starts.
func (v vector) isStarts() bool { return v.Asked != nil }

type judgment struct {
	Run        int
	Usual      map[string][4]int64
	Comparison []tuple
	Findings   []tuple
}

type openJob struct {
	Job struct {
		JobID        string `json:"jobId"`
		Status       jobs.Status
		JobType      string
		StartTime    int64
		RunningSince int64
	}
	OverdueAt   int64
	ExpectedEnd []int64
}

// tuple is a list of values of several types, as it prints.
type tuple string

func (t *tuple) UnmarshalJSON(data []byte) error {
	*t = tuple(data)
	return nil
}

// tupleOf is the tuple of the values.
func tupleOf(values ...any) tuple {
	data, err := json.Marshal(values)
	if err != nil {
		panic(err)
	}
	return tuple(data)
}

// packedRun is seconds after the previous start, job ID, status, job type,
// seconds to the end, seconds to running, and the counters.
type packedRun struct {
	gap          int64
	id           string
	status       jobs.Status
	jobType      string
	end, running *int64
	metrics      jobs.Metrics
}

var (
	statuses = map[string]jobs.Status{"SU": jobs.Succeeded, "FA": jobs.Failed, "ST": "STOPPED"}
	jobTypes = map[string]string{"B": "BATCH", "I": "INCREMENTAL", "D": "DELETE_ONLY", "": ""}
	counters = []jobs.Counter{jobs.InputRecords, jobs.TotalRecordsProcessed, jobs.RecordsNotProcessed, jobs.TotalMappedRecords, jobs.MappedRecordsRemoved, jobs.DeleteRecordsProcessed}
)

func (p *packedRun) UnmarshalJSON(data []byte) error {
	var fields []json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	var status, jobType string
	numbers := make([]*int64, len(counters))
	into := []any{&p.gap, &p.id, &status, &jobType, &p.end, &p.running}
	for i := range numbers {
		into = append(into, &numbers[i])
	}
	for i, field := range fields {
		if err := json.Unmarshal(field, into[i]); err != nil {
			return err
		}
	}
	p.status, p.jobType = statuses[status], jobTypes[jobType]
	for i, n := range numbers {
		if n != nil {
			if p.metrics == nil {
				p.metrics = make(jobs.Metrics)
			}
			p.metrics[counters[i]] = *n
		}
	}
	return nil
}

// records are the runs as the poller records them.
func records(packed []packedRun) []jobs.Record {
	all := make([]jobs.Record, len(packed))
	var start int64
	for i, p := range packed {
		start += p.gap
		job := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: p.id}, Type: p.jobType, Status: p.status, StartTime: at(start), Metrics: p.metrics}
		if p.end != nil {
			job.EndTime = at(start + *p.end)
		}
		all[i].Job = job
		if p.running != nil {
			all[i].Timeline = []jobs.Milestone{
				{Status: jobs.Queued, ObservedAt: at(start)},
				{Status: jobs.Running, ObservedAt: at(start + *p.running)},
				{Status: p.status, ObservedAt: at(start + *p.running + 60)},
			}
		}
	}
	return all
}

type asked struct {
	now           int64
	next, missing []int64
}

func (a *asked) UnmarshalJSON(data []byte) error {
	return unmarshalList(data, &a.now, &a.next, &a.missing)
}

type every struct {
	last, every, now int64
	missing          []int64
}

func (e *every) UnmarshalJSON(data []byte) error {
	return unmarshalList(data, &e.last, &e.every, &e.now, &e.missing)
}

func unmarshalList(data []byte, into ...any) error {
	n := len(into)
	err := json.Unmarshal(data, &into)
	if err == nil && len(into) != n {
		err = fmt.Errorf("%d values instead of %d: %s", len(into), n, data)
	}
	return err
}

// at is a time by its epoch seconds, as Entity Resolution gives it.
func at(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }
