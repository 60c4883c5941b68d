package message_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/tags"
)

// tagged is an example with other tags.
func tagged(t *testing.T, name string, own map[string]string) message.Message {
	t.Helper()
	e, err := event.Decode(eventtest.Examples()[name])
	if err != nil {
		t.Fatal(err)
	}
	e.Detail.Tags = own
	return message.Compose(e, e.Detail.ObservedAt, settings)
}

func TestRunbookOfTheTagsTakesThePlaceOfTheStacks(t *testing.T) {
	own := map[string]string{"runbook": "https://wiki.example.com/crm"}
	for name, want := range map[string]bool{"failure-iam": true, "check-mapped-low": true, "vanished": true, "overdue": true, "run-missing": true, "mute-ended": true,
		"success-batch": false, "running": false, "queued": false, "summary": false} {
		var got []string
		for _, l := range tagged(t, name, own).Links {
			if l.Label == "Runbook" {
				got = append(got, l.URL)
			}
		}
		if want != slices.Equal(got, []string{"https://wiki.example.com/crm"}) || !want && len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
	if m := tagged(t, "failure-iam", map[string]string{"runbook": "http://x"}); !slices.Contains(m.Links, message.Link{Label: "Runbook", URL: settings.RunbookURL}) || !strings.Contains(plain(m.Notes), "idmapping:runbook") {
		t.Errorf("links %v, notes %s", m.Links, plain(m.Notes))
	}
}

func TestOwnerComesFirstInTheSmallPrint(t *testing.T) {
	for _, name := range []string{"failure-iam", "success-batch", "running", "run-missing", "mute-ended"} {
		if m := tagged(t, name, map[string]string{"owner": " CRM\nteam "}); plain(m.Facts[:1]) != "Owner: CRM team" {
			t.Errorf("%s: %s", name, plain(m.Facts))
		}
	}
	if m := tagged(t, "failure-iam", map[string]string{"owner": strings.Repeat("x", 256)}); len([]rune(plain(m.Facts[:1]))) > 80 {
		t.Errorf("a long owner: %s", plain(m.Facts))
	}
	if m := tagged(t, "failure-iam", map[string]string{"owner": " \u200B "}); strings.Contains(plain(m.Facts), "Owner") {
		t.Errorf("no owner: %s", plain(m.Facts))
	}
}

func TestTagsThatCannotBeUsedAreNamed(t *testing.T) {
	m := tagged(t, "failure-iam", map[string]string{"overdue-after": "4 hours", "mention": "U0123456789 all"})
	want := "The tag idmapping:mention is ignored: “all” is not the ID of a user or user group, such as U0123456789 or S0123456789.\n" +
		"The tag idmapping:overdue-after is ignored: “4 hours” is not a duration of a minute or more, such as 90m or 4h, or off."
	if got := plain(m.Notes); got != want || !slices.Equal(m.Mentions, []string{"U0123456789"}) {
		t.Errorf("notes %s", got)
	}
	m = tagged(t, "failure-iam", map[string]string{"mention": strings.Repeat("a ", 100)})
	if got := plain(m.Notes); len(m.Notes) != 4 || !strings.HasSuffix(got, "97 more words of the tags are ignored.") {
		t.Errorf("notes %s", got)
	}
}

// A mute more than 30 days ahead, which does not mute, is named by the message itself.
func TestMuteThatIsTooLongIsNamed(t *testing.T) {
	e, err := event.Decode(eventtest.Examples()["failure-iam"])
	if err != nil {
		t.Fatal(err)
	}
	e.Detail.Tags = map[string]string{"mute-until": e.Detail.ObservedAt.Add(tags.MaxMute + time.Hour).Format(time.RFC3339)}
	if m := message.Compose(e, now, settings); !strings.Contains(plain(m.Notes), "is more than 30 days ahead") {
		t.Errorf("notes %s", plain(m.Notes))
	}
}

func TestEndOfAMuteIsAsLoudAsWhatStillLasts(t *testing.T) {
	end := event.Mute{Since: now.Add(-time.Hour), Until: now, Reason: "<!channel>\nmoving"}
	for _, c := range []struct {
		name     string
		statuses map[jobs.Status]int
		streak   int
		severity message.Severity
		loud     bool
		text     string
	}{
		{"nothing", nil, 0, message.Neutral, false, "No job finished while it was muted"},
		{"a success", map[jobs.Status]int{jobs.Succeeded: 1}, 0, message.Neutral, false, "While it was muted: 1 SUCCEEDED"},
		{"a failure that was followed by a success", map[jobs.Status]int{jobs.Failed: 2, jobs.Succeeded: 1}, 0, message.Neutral, false, "While it was muted: 2 FAILED, 1 SUCCEEDED"},
		{"a failure", map[jobs.Status]int{jobs.Failed: 1}, 1, message.Bad, true, "The last run failed"},
		{"failures", map[jobs.Status]int{jobs.Failed: 3}, 3, message.Bad, true, "The last 3 runs failed, since "},
		{"failures before the mute", nil, 3, message.Bad, true, "The last 3 runs failed, since "},
		{"an overdue job", map[jobs.Status]int{jobs.Overdue: 1}, 0, message.Check, true, "A job still takes far longer than usual"},
		{"a missing run", map[jobs.Status]int{jobs.RunMissing: 1}, 0, message.Check, true, "A run that should have started is still missing"},
	} {
		d := event.Detail{WorkflowName: "crm", WorkflowARN: eventtest.WorkflowARN("crm"), ObservedAt: now, Mute: &end, Statuses: c.statuses}
		for status, n := range c.statuses {
			for i := range n {
				d.Jobs = append(d.Jobs, event.ListedJob{WorkflowName: "crm", JobID: fmt.Sprint(i), Status: status, EndTime: now})
			}
		}
		if c.streak > 0 {
			d.Streak = &event.Streak{Failures: c.streak, Since: now}
		}
		m := message.Compose(event.Event{DetailType: event.MuteEnded, Detail: d}, now, settings)
		if m.Severity != c.severity || m.Loud != c.loud || !strings.Contains(plain(append(m.Lead, m.Trend...)), c.text) || m.Word != "MUTE ENDED" || m.WorkflowName != "crm" {
			t.Errorf("%s: severity %v, loud %v: %s", c.name, m.Severity, m.Loud, plain(append(m.Lead, m.Trend...)))
		}
		if !strings.Contains(plain(m.Trend), "<!channel> moving") {
			t.Errorf("%s: %s", c.name, plain(m.Trend))
		}
	}
}
