package notify_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/tags"
)

// router has a destination for each channel that tags name.
type router map[string]*fake.Destination

func (r router) Route(s tags.Settings) []notify.Destination {
	var all []notify.Destination
	for _, channel := range s.SlackChannels {
		if d := r[channel]; d != nil {
			all = append(all, d)
		}
	}
	return all
}

// tagged is an event of a job of the workflow crm, observed some minutes after noon.
func tagged(t *testing.T, own map[string]string, job jobs.Job, minute int) string {
	t.Helper()
	job.Key = jobs.Key{Workflow: "crm", Job: "a"}
	job.StartTime = noon
	at := noon.Add(time.Duration(minute) * time.Minute)
	if job.Status.Terminal() {
		job.EndTime = at
	}
	entry, err := event.Encode(fake.ARN("crm"), jobs.Transition{Job: job}, at)
	if err != nil {
		t.Fatal(err)
	}
	return wrap(event.AddTags(entry, own))
}

func routed(names ...string) (*world, router) {
	w := newWorld(0, "default")
	r := make(router)
	for _, name := range names {
		r[name] = &fake.Destination{Name: name}
	}
	w.Channels[0].Router = r
	return w, r
}

func TestMessageGoesToTheDestinationsThatTheTagsName(t *testing.T) {
	for _, c := range []struct {
		name string
		own  map[string]string
		want []string
	}{
		{"none", nil, []string{"default"}},
		{"others", map[string]string{"owner": "CRM team"}, []string{"default"}},
		{"one", map[string]string{"slack-channel": "C0AAA"}, []string{"C0AAA"}},
		{"two", map[string]string{"slack-channel": "C0BBB C0AAA C0BBB"}, []string{"C0AAA", "C0BBB"}},
		{"one that cannot be used", map[string]string{"slack-channel": "#crm"}, []string{"default"}},
		{"one that the router refuses", map[string]string{"slack-channel": "C0REFUSED"}, []string{"default"}},
		{"one of two", map[string]string{"slack-channel": "C0REFUSED C0AAA #crm"}, []string{"C0AAA"}},
	} {
		w, r := routed("C0AAA", "C0BBB")
		w.queue.Put(tagged(t, c.own, jobs.Job{Status: jobs.Failed}, 0))
		w.deliver(t)
		var got []string
		for _, d := range append([]*fake.Destination{r["C0AAA"], r["C0BBB"]}, w.destinations...) {
			for range d.Sent() {
				got = append(got, d.Name)
			}
		}
		if !slices.Equal(got, c.want) || w.queue.Len() != 0 {
			t.Errorf("%s: sent to %q, want %q", c.name, got, c.want)
		}
	}
}

// The event is fixed, and so are its tags: what is sent again goes to those who miss it.
func TestMessageIsRetriedAtTheTaggedDestinationThatMissedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := routed("C0AAA", "C0BBB")
		down := time.Now().Add(time.Hour)
		r["C0BBB"].Fault = func(string, notify.Delivery) error {
			if time.Now().Before(down) {
				return &notify.Failure{Reason: notify.Unavailable}
			}
			return nil
		}
		w.queue.Put(tagged(t, map[string]string{"slack-channel": "C0AAA C0BBB"}, jobs.Job{Status: jobs.Failed}, 0))
		w.drain(t)
		if a, b, d := len(r["C0AAA"].Sent()), len(r["C0BBB"].Sent()), len(w.destinations[0].Sent()); a != 1 || b != 1 || d != 0 {
			t.Errorf("sent %d, %d and %d times", a, b, d)
		}
	})
}

func TestStatusesTagChoosesTheStatusesAndNeverASignal(t *testing.T) {
	zero := jobs.Assessment{Findings: []jobs.Finding{{Code: jobs.ZeroMapped}}}
	recovery := jobs.Assessment{Recovery: &jobs.Recovery{Failures: 2, Since: noon}}
	job := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: "a"}, Status: jobs.Running, StartTime: noon}
	state := func(status jobs.Status, a jobs.Assessment) jobs.Entry {
		j := job
		j.Status = status
		if status.Terminal() {
			j.EndTime = noon
		}
		entry, _ := event.Encode(fake.ARN("crm"), jobs.Transition{Job: j, Assessment: a}, noon)
		return entry
	}
	overdue, _ := event.EncodeOverdue(fake.ARN("crm"), job, jobs.Assessment{}, noon, nil, noon)
	vanished, _ := event.EncodeVanished(fake.ARN("crm"), job, noon)
	missing, _ := event.EncodeMissing(fake.ARN("crm"), "crm", jobs.MissingRun{ExpectedStart: jobs.ExpectedStart{At: noon, By: noon}}, noon)
	resumed, _ := event.EncodeResumed(fake.ARN("crm"), job.Key, noon, jobs.MissingRun{ExpectedStart: jobs.ExpectedStart{At: noon, By: noon}}, noon)
	end, _ := event.EncodeMuteEnded(jobs.WorkflowState{Workflow: "crm", ARN: fake.ARN("crm")}, jobs.Mute{Since: noon, Until: noon}, nil, jobs.History{}, noon)
	entries := []struct {
		name  string
		entry jobs.Entry
	}{
		{"running", state(jobs.Running, jobs.Assessment{})}, {"succeeded", state(jobs.Succeeded, jobs.Assessment{})}, {"failed", state(jobs.Failed, jobs.Assessment{})},
		{"finding", state(jobs.Succeeded, zero)}, {"recovery", state(jobs.Succeeded, recovery)}, {"overdue", overdue}, {"vanished", vanished}, {"missing", missing}, {"resumed", resumed}, {"end", end},
	}
	signals := []string{"finding", "recovery", "overdue", "vanished", "missing", "resumed", "end"}
	for _, c := range []struct {
		tag    string
		filter notify.Filter
		want   []string
	}{
		{"", notify.Filter{All: true}, append([]string{"running", "succeeded", "failed"}, signals...)},
		{"", notify.Filter{Only: map[string]bool{"FAILED": true}, NoSignals: true}, []string{"failed", "vanished", "end"}},
		{"FAILED", notify.Filter{All: true}, append([]string{"failed"}, signals...)},
		{"FAILED", notify.Filter{NoSignals: true}, append([]string{"failed"}, signals...)},
		{"running succeeded", notify.ParseFilter("FAILED"), append([]string{"running", "succeeded"}, signals...)},
		{"DONE", notify.ParseFilter("FAILED"), append([]string{"failed"}, signals...)},
		{"+PAUSED", notify.ParseFilter("FAILED"), signals},
	} {
		var got []string
		for _, e := range entries {
			w := newWorld(0, "a")
			w.Channels[0].Filter = c.filter
			entry := e.entry
			if c.tag != "" {
				entry = event.AddTags(entry, map[string]string{"statuses": c.tag})
			}
			w.queue.Put(wrap(entry))
			w.deliver(t)
			if len(w.destinations[0].Sent()) > 0 {
				got = append(got, e.name)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("tag %q with %+v: sent %q, want %q", c.tag, c.filter, got, c.want)
		}
	}
}

func TestMutedMessageIsNotSentAndItsEndIs(t *testing.T) {
	own := map[string]string{"mute-until": noon.Add(time.Hour).Format(time.RFC3339), "slack-channel": "C0AAA"}
	w, r := routed("C0AAA")
	for minute, status := range []jobs.Status{jobs.Queued, jobs.Running, jobs.Failed} {
		w.queue.Put(tagged(t, own, jobs.Job{Status: status}, minute))
	}
	lines := logged(t, w.Notifier, func() {
		if response := w.deliver(t); response.Muted != 3 || response.Sent != 0 || response.Duplicates != 0 {
			t.Errorf("response %+v", response)
		}
	})
	if len(lines) != 3 || w.queue.Len() != 0 || len(w.queue.Dead()) != 0 {
		t.Errorf("log %q, %d left", lines, w.queue.Len())
	}
	w.queue.Put(tagged(t, own, jobs.Job{Status: jobs.Succeeded}, 60)) // when it has ended
	end, err := event.EncodeMuteEnded(jobs.WorkflowState{Workflow: "crm", ARN: fake.ARN("crm")}, jobs.Mute{Since: noon, Until: noon.Add(time.Hour)}, nil, jobs.History{}, noon)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.queue.Put(wrap(event.AddTags(end, own))) // the workflow was deleted: its tags still mute it
	}
	if response := w.deliver(t); response.Muted != 0 || response.Sent != 2 || response.Duplicates != 1 {
		t.Errorf("response %+v", response)
	}
	if sent := r["C0AAA"].Sent(); len(sent) != 2 || len(w.destinations[0].Sent()) != 0 || sent[0].Delivery.Message.Word != "MUTE ENDED" {
		t.Errorf("%d sent", len(sent))
	}
}

func TestSummaryOfTaggedWorkflowsGoesWhereItsEventsGo(t *testing.T) {
	for _, c := range []struct {
		name              string
		own               map[string]string
		failed, succeeded int
		summary           string
		individual        int
	}{
		{"to the channel", map[string]string{"slack-channel": "C0AAA"}, 10, 20, "10 FAILED, 20 SUCCEEDED", 0},
		{"of some statuses", map[string]string{"slack-channel": "C0AAA", "statuses": "FAILED"}, 25, 5, "25 FAILED", 0},
		{"of too few of these", map[string]string{"slack-channel": "C0AAA", "statuses": "FAILED"}, 20, 10, "", 20},
	} {
		w, r := routed("C0AAA")
		for _, b := range backlog(t, c.failed, c.succeeded) {
			w.queue.Put(strings.Replace(b, `"detail":{`, `"detail":{"tags":`+asJSON(t, c.own)+`,`, 1))
		}
		w.drain(t)
		individual, summaries := 0, []string{}
		for _, sent := range r["C0AAA"].Sent() {
			if m := sent.Delivery.Message; m.Jobs != nil {
				summaries = append(summaries, m.Lead[0].Plain(nil))
			} else {
				individual++
			}
		}
		if individual != c.individual || (c.summary == "") != (len(summaries) == 0) || len(summaries) > 1 || len(summaries) == 1 && summaries[0] != c.summary || len(w.destinations[0].Sent()) != 0 {
			t.Errorf("%s: %d messages, summaries %q, %d to the default", c.name, individual, summaries, len(w.destinations[0].Sent()))
		}
	}
}

func asJSON(t *testing.T, own map[string]string) string {
	t.Helper()
	value, err := json.Marshal(own)
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

// A person who reads only the channel of the stack learns that a workflow's tag names a
// channel that does not exist.
func TestTaggedDestinationThatIsMisconfiguredIsAnnouncedInItsOwnChannelToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slack, email := twoChannels([]string{"slack:#data-jobs"}, []string{"email:a@example.com"})
		wrong := &fake.Destination{Name: "slack:C0WRONG", Fault: misconfigured("Slack: channel_not_found")}
		for i := range slack.Channels {
			if slack.Channels[i].Name == "slack" {
				slack.Channels[i].Router = router{"C0WRONG": wrong}
			}
		}
		slack.queue.Put(tagged(t, map[string]string{"slack-channel": "C0WRONG"}, jobs.Job{Status: jobs.Failed}, 0))
		for range 20 {
			slack.deliver(t)
			time.Sleep(15 * time.Minute)
		}
		for _, d := range append(slack.destinations, email.destinations...) {
			if got := notices(d, "C0WRONG", "Slack: channel_not_found"); got != "[1 1] of 1" {
				t.Errorf("%s has notices: %s", d.Name, got)
			}
		}
		if slack.queue.Len() != 1 || len(wrong.Sent()) != 0 {
			t.Errorf("%d messages wait", slack.queue.Len())
		}
	})
}

func TestEachTaggedChannelHasALimiterOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(time.Second, "default")
		r := make(router)
		for _, name := range []string{"C0AAA", "C0BBB"} {
			r[name] = &fake.Destination{Name: name, Limiter: &notify.Limiter{Limits: w.deliveries, Destination: name, MinInterval: time.Second}}
		}
		w.Channels[0].Router = r
		for n := range 10 {
			own := map[string]string{"slack-channel": []string{"C0AAA", "C0BBB"}[n%2]}
			entry, _ := event.Encode(fake.ARN("crm"), jobs.Transition{Job: jobs.Job{Key: jobs.Key{Workflow: "crm", Job: fmt.Sprint(n)}, Status: jobs.Failed, EndTime: noon}}, noon)
			w.queue.Put(wrap(event.AddTags(entry, own)))
		}
		begin := time.Now()
		w.drain(t)
		for name, d := range r {
			sent := d.Sent()
			for i := range sent[1:] {
				if gap := sent[i+1].At.Sub(sent[i].At); gap < time.Second {
					t.Errorf("%s: two messages within %s", name, gap)
				}
			}
			if len(sent) != 5 {
				t.Errorf("%s: %d sent", name, len(sent))
			}
		}
		if took := time.Since(begin); took > 6*time.Second {
			t.Errorf("10 messages to two channels took %s", took)
		}
	})
}
