package fakecloud

import (
	"slices"
	"strings"

	"github.com/idmapping/notifier/internal/jobs"
)

// Tally is how often one status of a job was delivered.
type Tally struct {
	Cards   int            // cards that shown it, however often each was edited
	Replies int            // in the card's thread
	Emails  map[string]int // by recipient
}

// words are how messages name a status.
func words(status jobs.Status) []string {
	if status == jobs.Succeeded {
		return []string{"SUCCEEDED", "SUCCEEDED, BUT CHECK", "RECOVERED"}
	}
	return []string{string(status)}
}

// Tally counts how often a status of a job was delivered on each channel.
func (c *Cloud) Tally(key jobs.Key, status jobs.Status) Tally {
	t := Tally{Emails: make(map[string]int)}
	says := func(text string) bool {
		return slices.ContainsFunc(words(status), func(word string) bool { return strings.HasPrefix(text, word+": "+key.Workflow) })
	}
	cards := make(map[string]bool) // the job's cards by ts
	shown := make(map[string]bool)
	log := c.Slack.Log()
	for _, m := range log {
		if m.ThreadTS == "" && m.MentionsJob(key.Job) {
			cards[m.TS] = true
		}
	}
	for _, m := range log {
		switch {
		case !says(m.Text):
		case m.ThreadTS != "" && cards[m.ThreadTS] && m.MentionsJob(key.Job): // a later run's does not name it
			t.Replies++
		case m.ThreadTS == "" && cards[m.TS]:
			shown[m.TS] = true
		}
	}
	t.Cards = len(shown)
	for _, e := range c.Proxy.Emails() {
		if says(e.Text) && strings.Contains(e.Text, "job "+key.Job+"\n") {
			for _, to := range e.To {
				t.Emails[to]++
			}
		}
	}
	return t
}
