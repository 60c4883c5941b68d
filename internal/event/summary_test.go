package event_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/jobs"
)

// lateDetail is the detail of a job of a workflow that finished some minutes
// before noon, when it was observed.
func lateDetail(t testing.TB, workflow, job string, status jobs.Status, minutes int) event.Detail {
	t.Helper()
	end := noon.Add(-time.Duration(minutes) * time.Minute)
	j := jobs.Job{Key: jobs.Key{Workflow: workflow, Job: job}, Status: status, StartTime: end.Add(-time.Minute), EndTime: end}
	entry, err := event.Encode(eventtest.WorkflowARN(workflow), jobs.Transition{Job: j}, noon)
	if err != nil {
		t.Fatal(err)
	}
	d, late := event.Late(entry)
	if !late {
		t.Fatalf("%s is not late", entry.Detail)
	}
	return d
}

func summary(t testing.TB, late ...event.Detail) (jobs.Entry, event.Backlog) {
	t.Helper()
	entry, backlog, err := event.EncodeSummary(late, noon)
	if err != nil {
		t.Fatal(err)
	}
	return entry, backlog
}

func TestOnlyTerminalStatusesObservedLateAreLate(t *testing.T) {
	ended := func(status jobs.Status, ago time.Duration) jobs.Entry {
		return encode(t, jobs.Transition{Job: jobs.Job{Status: status, EndTime: noon.Add(-ago)}})
	}
	vanished, err := event.EncodeVanished(crmARN, jobs.Job{Key: crmKey, Status: jobs.Failed, EndTime: noon.Add(-time.Hour)}, noon)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		entry jobs.Entry
		want  bool
	}{
		"ten minutes":           {ended(jobs.Failed, event.LateAfter), false},
		"a second more":         {ended(jobs.Failed, event.LateAfter+time.Second), true},
		"an unknown status":     {ended("STOPPED", time.Hour), true},
		"a status of 64 bytes":  {ended(jobs.Status(strings.Repeat("S", 64)), time.Hour), true},
		"a status of 65 bytes":  {ended(jobs.Status(strings.Repeat("S", 65)), time.Hour), false},
		"no end time":           {encode(t, jobs.Transition{Job: jobs.Job{Status: jobs.Failed}}), false},
		"a running job":         {ended(jobs.Running, time.Hour), false},
		"a vanished job":        {vanished, false},
		"a detail that is none": {jobs.Entry{DetailType: event.StateChange, Detail: "["}, false},
	} {
		if _, late := event.Late(test.entry); late != test.want {
			t.Errorf("%s: late %t", name, late)
		}
	}
}

func TestSummaryIDIsTheDocumentedHash(t *testing.T) {
	a, b := lateDetail(t, "crm", "a", jobs.Succeeded, 60), lateDetail(t, "ads", "b", jobs.Failed, 120)
	ids := []string{a.TransitionID, b.TransitionID}
	slices.Sort(ids)
	sum := sha256.Sum256([]byte(strings.Join(append([]string{"aws", eventtest.Account, eventtest.Region, "SUMMARY", "FAILED 1", "SUCCEEDED 1"}, ids...), "\n")))
	entry, backlog := summary(t, a, b)
	other, _ := summary(t, b, a)
	if want := hex.EncodeToString(sum[:]); entry.ID != want || other.ID != want || backlog.SummaryID != want {
		t.Errorf("IDs %s, %s and %s, want %s", entry.ID, other.ID, backlog.SummaryID, want)
	}
}

func TestSummaryListsFailuresFirstThenTheNewest(t *testing.T) {
	entry, backlog := summary(t, lateDetail(t, "crm", "old", jobs.Failed, 600), lateDetail(t, "crm", "new", jobs.Succeeded, 60),
		lateDetail(t, "ads", "newer", jobs.Failed, 50), lateDetail(t, "ads", "older", jobs.Succeeded, 900), lateDetail(t, "ads", "stopped", "STOPPED", 700))
	var got []string
	for _, j := range detailOf(t, entry).Jobs {
		got = append(got, j.JobID)
	}
	if want := []string{"newer", "old", "stopped", "new", "older"}; !slices.Equal(got, want) {
		t.Errorf("the order is %q, want %q", got, want)
	}
	if want := map[jobs.Status]int{jobs.Failed: 2, jobs.Succeeded: 2, "STOPPED": 1}; !maps.Equal(backlog.Statuses, want) {
		t.Errorf("statuses %v", backlog.Statuses)
	}
}

func TestSummaryCountsJobsThatItDoesNotList(t *testing.T) {
	for _, test := range []struct{ nameLength, jobs, most, least int }{{3, 500, 500, 500}, {3, 501, 500, 500}, {255, 600, 499, 300}} {
		name := strings.Repeat("w", test.nameLength)
		var late []event.Detail
		for i := range test.jobs {
			late = append(late, lateDetail(t, name, fmt.Sprintf("%032d", i), []jobs.Status{jobs.Failed, jobs.Succeeded}[i%2], 60+i))
		}
		entry, backlog := summary(t, late...)
		body := eventtest.Envelope(entry, "stack")
		validate(t, schema(t), body)
		e, err := event.Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(e.Detail.Jobs); n > test.most || n < test.least || len(body) > 250_000 {
			t.Errorf("%d jobs of a name of %d bytes: %d are listed in %d bytes", test.jobs, test.nameLength, n, len(body))
		}
		if total := backlog.Statuses[jobs.Failed] + backlog.Statuses[jobs.Succeeded]; total != test.jobs {
			t.Errorf("%d jobs are counted, want %d", total, test.jobs)
		}
		if e.Detail.Jobs[249].Status != jobs.Failed {
			t.Errorf("a failure gave way to a success")
		}
	}
}

func TestSummaryOfTwoAccountsOrOfNothingIsRefused(t *testing.T) {
	foreign := lateDetail(t, "crm", "a", jobs.Failed, 60)
	foreign.WorkflowARN = strings.Replace(foreign.WorkflowARN, eventtest.Account, "999999999999", 1)
	forged := lateDetail(t, "crm", "b", jobs.Failed, 90)
	forged.TransitionID = foreign.TransitionID
	for name, late := range map[string][]event.Detail{
		"nothing":                  nil,
		"two accounts":             {foreign, lateDetail(t, "crm", "b", jobs.Failed, 90)},
		"a hash that is not one's": {forged},
	} {
		if _, _, err := event.EncodeSummary(late, noon); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDecodeRefusesForgedSummaries(t *testing.T) {
	ended := lateDetail(t, "crm", "c", "STOPPED", 90)
	ended.TransitionID = detailOf(t, encode(t, jobs.Transition{Job: jobs.Job{Status: "STOPPED", EndTime: noon}, Previous: "STOPPED"})).TransitionID
	ended.JobID = crmKey.Job // an end by itself, whose hash ends in STOPPED ENDED
	entry, _ := summary(t, lateDetail(t, "crm", "a", jobs.Failed, 60), lateDetail(t, "ads", "b", jobs.Succeeded, 90), ended)
	if e, err := event.Decode(eventtest.Envelope(entry, "stack")); err != nil || len(e.Detail.Jobs) != 3 {
		t.Fatalf("the summary is refused: %v", err)
	}
	for name, test := range map[string]struct {
		edit func(envelope, detail, first map[string]any)
		want string
	}{
		"another account":  {func(m, _, _ map[string]any) { m["account"] = "999999999999" }, "account is"},
		"another region":   {func(m, _, _ map[string]any) { m["region"] = "us-east-1" }, "region is"},
		"no jobs":          {func(_, d, _ map[string]any) { d["jobs"] = []any{} }, "detail.jobs is missing"},
		"a job less":       {func(_, d, _ map[string]any) { d["jobs"] = d["jobs"].([]any)[:2] }, "not the hash"},
		"another count":    {func(_, d, _ map[string]any) { d["statuses"].(map[string]any)["FAILED"] = 22 }, "not the hash"},
		"another status":   {func(_, _, j map[string]any) { j["status"] = "SUCCEEDED" }, "not the hash"},
		"another job":      {func(_, _, j map[string]any) { j["jobId"] = "z" }, "not the hash"},
		"no job ID":        {func(_, _, j map[string]any) { j["jobId"] = "" }, "detail.jobId is missing"},
		"another workflow": {func(_, _, j map[string]any) { j["workflowName"] = "z" }, "is not the ARN of ID mapping workflow"},
		"another ARN": {func(_, d, _ map[string]any) {
			d["workflowArn"] = strings.Replace(crmARN, eventtest.Account, "999999999999", 1)
		}, "not the hash"},
		"another hash": {func(_, d, _ map[string]any) { d["transitionId"] = strings.Repeat("0", 64) }, "not the hash"},
	} {
		body := change(t, entry, func(m, d map[string]any) { test.edit(m, d, d["jobs"].([]any)[0].(map[string]any)) })
		if _, err := event.Decode([]byte(body)); !errors.Is(err, event.ErrForeign) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
}

func TestMarkedEventIsTheSameTransition(t *testing.T) {
	entry := encode(t, jobs.Transition{Job: jobs.Job{Status: jobs.Failed, EndTime: noon.Add(-time.Hour)}})
	d, _ := event.Late(entry)
	_, backlog := summary(t, d)
	entry.Detail = event.AddBacklog(entry.Detail, backlog)
	body := eventtest.Envelope(entry, "stack")
	validate(t, schema(t), body)
	e, err := event.Decode(body)
	if err != nil || e.Detail.TransitionID != entry.ID || e.Detail.Backlog == nil || e.Detail.Backlog.SummaryID != backlog.SummaryID || e.Detail.Backlog.Statuses[jobs.Failed] != 1 {
		t.Errorf("decoded %+v, %v", e.Detail.Backlog, err)
	}
}
