package event_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"pgregory.net/rapid"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/tags"
)

var crmMute = jobs.Mute{Since: noon.Add(-6 * time.Hour), Until: noon, Reason: "moving the export"}

// ended is a record of a job of the workflow crm whose status was observed at a time.
func ended(t testing.TB, job string, status jobs.Status, observed time.Time) jobs.Record {
	t.Helper()
	j := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: job}, Status: status, StartTime: observed.Add(-time.Hour)}
	if j.Terminal() {
		j.EndTime = observed.Add(-time.Minute)
	}
	entry, err := event.Encode(crmARN, jobs.Transition{Job: j}, observed)
	switch status {
	case jobs.Vanished:
		j.Status = jobs.Running
		entry, err = event.EncodeVanished(crmARN, j, observed)
	case jobs.Overdue:
		j.Status = jobs.Running
		entry, err = event.EncodeOverdue(crmARN, j, jobs.Assessment{}, observed, nil, observed)
	}
	if err != nil {
		t.Fatal(err)
	}
	return jobs.Record{Job: j, ARN: crmARN, Version: 1, Vanished: status == jobs.Vanished}.Append(entry, status)
}

func muteEnded(t testing.TB, state jobs.WorkflowState, records ...jobs.Record) jobs.Entry {
	t.Helper()
	state.Workflow, state.ARN = "crm", crmARN
	entry, err := event.EncodeMuteEnded(state, crmMute, records, jobs.History{}, noon.Add(20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

func TestEndOfAMuteListsWhatWasMutedAndWhatLasts(t *testing.T) {
	within := noon.Add(-time.Hour)
	missing := &jobs.Timetable{Missing: &jobs.MissingRun{ExpectedStart: jobs.ExpectedStart{At: noon.Add(-2 * time.Hour), By: noon.Add(-30 * time.Minute)}}}
	silent := &jobs.Timetable{Missing: &jobs.MissingRun{Silent: true}}
	for _, c := range []struct {
		name    string
		state   jobs.WorkflowState
		records []jobs.Record
		want    map[jobs.Status]int
	}{
		{"nothing", jobs.WorkflowState{}, nil, nil},
		{"terminal statuses", jobs.WorkflowState{}, []jobs.Record{ended(t, "a", jobs.Failed, within), ended(t, "b", jobs.Succeeded, within)}, map[jobs.Status]int{jobs.Failed: 1, jobs.Succeeded: 1}},
		{"open jobs", jobs.WorkflowState{}, []jobs.Record{ended(t, "a", jobs.Running, within), ended(t, "b", jobs.Queued, within)}, nil},
		{"a job that vanished", jobs.WorkflowState{}, []jobs.Record{ended(t, "a", jobs.Vanished, within)}, map[jobs.Status]int{jobs.Vanished: 1}},
		{"an overdue job", jobs.WorkflowState{}, []jobs.Record{ended(t, "a", jobs.Overdue, within)}, map[jobs.Status]int{jobs.Overdue: 1}},
		{"a job overdue since before", jobs.WorkflowState{}, []jobs.Record{ended(t, "a", jobs.Overdue, noon.Add(-9*time.Hour))}, map[jobs.Status]int{jobs.Overdue: 1}},
		{"an unknown status", jobs.WorkflowState{}, []jobs.Record{ended(t, "a", "STOPPED", within)}, nil},
		{"an unknown status that has ended", jobs.WorkflowState{}, []jobs.Record{stopped(t, within)}, map[jobs.Status]int{"STOPPED": 1}},
		{"before, at the begin, at the end", jobs.WorkflowState{}, []jobs.Record{ended(t, "a", jobs.Failed, crmMute.Since.Add(-time.Nanosecond)), ended(t, "b", jobs.Failed, crmMute.Since), ended(t, "c", jobs.Failed, crmMute.Until)}, map[jobs.Status]int{jobs.Failed: 1}},
		{"the same run twice", jobs.WorkflowState{}, []jobs.Record{ended(t, "a", jobs.Failed, within), ended(t, "a", jobs.Failed, within)}, map[jobs.Status]int{jobs.Failed: 1}},
		{"a record without a timeline", jobs.WorkflowState{}, []jobs.Record{{Job: jobs.Job{Key: crmKey, Status: jobs.Failed}}}, nil},
		{"a missing run", jobs.WorkflowState{Timetable: missing}, nil, map[jobs.Status]int{jobs.RunMissing: 1}},
		{"a run that was missing before the watch", jobs.WorkflowState{Timetable: silent}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			entry := muteEnded(t, c.state, c.records...)
			d := detailOf(t, entry)
			if !maps.Equal(d.Statuses, c.want) {
				t.Errorf("statuses %v, want %v", d.Statuses, c.want)
			}
			body := eventtest.Envelope(event.AddTags(entry, map[string]string{"owner": "CRM"}), "idmapping")
			validate(t, schema(t), body)
			e, err := event.Decode(body)
			if err != nil || e.Detail.Mute.Reason != crmMute.Reason || !e.Detail.Mute.Until.Equal(noon) || e.Detail.Tags["owner"] != "CRM" {
				t.Errorf("decoded to %+v (%v)", e.Detail, err)
			}
		})
	}
}

// stopped is a record of a job that finished within an unknown status.
func stopped(t testing.TB, observed time.Time) jobs.Record {
	t.Helper()
	r := ended(t, "a", "STOPPED", observed.Add(-time.Hour))
	r.Job.EndTime = observed
	entry, err := event.Encode(crmARN, jobs.Transition{Job: r.Job, Previous: "STOPPED"}, observed)
	if err != nil {
		t.Fatal(err)
	}
	return r.Append(entry, "STOPPED")
}

func TestMuteThatIsEndedEarlySaysWhen(t *testing.T) {
	entry, err := event.EncodeMuteEnded(jobs.WorkflowState{Workflow: "crm", ARN: crmARN}, crmMute, nil, jobs.History{}, noon.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if d := detailOf(t, entry); !d.Mute.Until.Equal(noon.Add(-time.Hour)) {
		t.Errorf("%+v", d.Mute)
	}
	if _, err := event.EncodeMuteEnded(jobs.WorkflowState{Workflow: "ads", ARN: crmARN}, crmMute, nil, jobs.History{}, noon); err == nil {
		t.Error("an event of another workflow's ARN was encoded")
	}
}

// printf 'aws\n123456789012\neu-west-1\ncrm\n2026-11-23T06:00:00Z\nUNMUTED' | sha256sum
func TestIDOfTheEndOfAMuteNeverChanges(t *testing.T) {
	const want = "0222c91939d95253857ef59860c12d94931552234dc270cd39e3813962f7970c"
	got := muteEnded(t, jobs.WorkflowState{}, ended(t, "a", jobs.Failed, noon.Add(-time.Hour))).ID
	if other := muteEnded(t, jobs.WorkflowState{}).ID; got != other {
		t.Errorf("the ID depends on what is listed: %s and %s", got, other)
	}
	workflow, _ := arn.Parse(crmARN)
	if hash := event.TransitionID(workflow, jobs.Key{Workflow: "crm", Job: "2026-11-23T06:00:00Z"}, "UNMUTED"); got != hash || got != want {
		t.Errorf("ID %s, want %s, the hash %s", got, want, hash)
	}
}

func TestForgedEndOfAMuteIsRefused(t *testing.T) {
	body := string(eventtest.Envelope(muteEnded(t, jobs.WorkflowState{}, ended(t, "a", jobs.Failed, noon.Add(-time.Hour))), "idmapping"))
	if _, err := event.Decode([]byte(body)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"another begin":       {`"since":"2026-11-23T06:00:00Z"`, `"since":"2026-11-23T07:00:00Z"`},
		"another job":         {`"jobId":"a"`, `"jobId":"b"`},
		"another status":      {`"status":"FAILED"`, `"status":"SUCCEEDED"`},
		"another account":     {`"account":"123456789012"`, `"account":"123456789013"`},
		"another region":      {`"region":"eu-west-1"`, `"region":"us-east-1"`},
		"another workflow":    {`"workflowName":"crm"`, `"workflowName":"ads"`},
		"no mute":             {`"mute":{`, `"muted":{`},
		"another detail type": {event.MuteEnded, event.StateChange},
		"another source":      {`"source":"` + event.Source + `"`, `"source":"x"`},
		"no version":          {`"version":"1"`, `"version":"2"`},
	} {
		forged := strings.Replace(body, change[0], change[1], 1)
		if forged == body {
			t.Fatalf("%s: nothing to change in %s", name, body)
		}
		if _, err := event.Decode([]byte(forged)); !errors.Is(err, event.ErrForeign) {
			t.Errorf("%s: %v", name, err)
		}
	}
	entry := encode(t, jobs.Transition{Job: jobs.Job{Status: jobs.Failed}})
	entry.Detail = strings.Replace(entry.Detail, `"version"`, `"mute":{"since":"2026-11-23T06:00:00Z","until":"2026-11-23T07:00:00Z"},"version"`, 1)
	if _, err := event.Decode(eventtest.Envelope(entry, "idmapping")); !errors.Is(err, event.ErrForeign) {
		t.Errorf("a mute in another event: %v", err)
	}
}

func TestLargestEndOfAMuteFitsAnEntry(t *testing.T) {
	var records []jobs.Record
	var history jobs.History
	for n := range 2000 {
		r := ended(t, fmt.Sprintf("%0100d", n), jobs.Failed, noon.Add(-time.Hour))
		r.Job.Error = strings.Repeat("<", 5000)
		records, history = append(records, r), history.Add(r.Job)
	}
	mute := crmMute
	mute.Reason = strings.Repeat("<", 256)
	entry, err := event.EncodeMuteEnded(jobs.WorkflowState{Workflow: "crm", ARN: crmARN}, mute, records, history, noon)
	if err != nil {
		t.Fatal(err)
	}
	own := make(map[string]string)
	for n := range 20 {
		own[fmt.Sprintf("%s%02d", strings.Repeat("é", 126), n)] = strings.Repeat("é", 256)
	}
	entry = event.AddTags(entry, own)
	body := eventtest.Envelope(entry, "idmapping")
	if len(entry.Detail) > 250_000 {
		t.Errorf("detail of %d bytes", len(entry.Detail))
	}
	e, err := event.Decode(body)
	if err != nil || e.Detail.Statuses[jobs.Failed] != 2000 || len(e.Detail.Jobs) < 400 || e.Detail.Error == nil {
		t.Errorf("%d of %d jobs (%v)", len(e.Detail.Jobs), e.Detail.Statuses[jobs.Failed], err)
	}
	validate(t, schema(t), body)
}

func TestTaggedEventIsTheSameTransitionAndHoldsTheSchema(t *testing.T) {
	s := schema(t)
	rapid.Check(t, func(t *rapid.T) {
		all := make(map[string]string)
		for key, value := range rapid.MapOf(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"owner", "mute-until"})), rapid.OneOf(rapid.String(), rapid.Just(strings.Repeat("\x00", 300)))).Draw(t, "tags") {
			all[tags.Prefix+key] = value
		}
		own := tags.Own(all)
		plain, err := event.Encode(crmARN, jobs.Transition{Job: jobs.Job{Key: crmKey, Status: jobs.Failed, EndTime: noon}}, noon)
		if err != nil {
			t.Fatal(err)
		}
		entry := event.AddTags(plain, own)
		body := eventtest.Envelope(entry, "idmapping")
		validate(t, s, body)
		e, err := event.Decode(body)
		if err != nil || !maps.Equal(e.Detail.Tags, own) || e.Detail.TransitionID != plain.ID {
			t.Fatalf("decoded to %+v (%v)", e.Detail, err)
		}
		if event.Muted(entry) != tags.Parse(own, noon).Muted(noon) {
			t.Fatalf("muted: %v", event.Muted(entry))
		}
	})
}

func TestUnmutedEventLacksOnlyWhatMutesIt(t *testing.T) {
	until := noon.Add(time.Hour).Format(time.RFC3339)
	plain := encode(t, jobs.Transition{Job: jobs.Job{Status: jobs.Failed, EndTime: noon}})
	for name, own := range map[string]map[string]string{
		"alone":       {"mute-until": until},
		"with others": {"mute-until": until, "mute-reason": "<&>\x00é\u2028", "owner": `","tags":{}`},
	} {
		entry := event.AddTags(plain, own)
		left := maps.Clone(own)
		delete(left, "mute-until")
		unmuted := event.Unmute(entry)
		if !event.Muted(entry) || event.Muted(unmuted) || unmuted != event.AddTags(plain, left) {
			t.Errorf("%s: %s\nof %s", name, unmuted.Detail, entry.Detail)
		}
		if !bytes.Equal([]byte(event.Unmute(unmuted).Detail), []byte(unmuted.Detail)) || !json.Valid([]byte(unmuted.Detail)) {
			t.Errorf("%s: %s", name, unmuted.Detail)
		}
	}
	if event.Unmute(plain) != plain || event.Muted(plain) {
		t.Error("an event without tags is changed")
	}
	if end := event.AddTags(muteEnded(t, jobs.WorkflowState{}), map[string]string{"mute-until": until}); event.Muted(end) {
		t.Error("the end of a mute is muted")
	}
}
