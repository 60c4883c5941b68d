package fakecloud

import (
	"strings"

	"github.com/idmapping/notifier/internal/jobs"
)

// Tally is how often a job's status was told.
type Tally struct {
	Cards   int            // cards that showed it; how often one was edited nobody sees
	Replies int            // in the card's thread
	Emails  map[string]int // by recipient
}

// Tally counts how often a job's status was told on each channel.
func (c *Cloud) Tally(key jobs.Key, status jobs.Status) Tally {
	t := Tally{Emails: make(map[string]int)}
	headline := string(status) + ": " + key.Workflow
	cards := make(map[string]bool) // the job's cards by ts
	showed := make(map[string]bool)
	log := c.Slack.Log()
	for _, m := range log {
		if m.ThreadTS == "" && m.mentionsJob(key.Job) {
			cards[m.TS] = true
		}
	}
	for _, m := range log {
		switch {
		case !strings.HasPrefix(m.Text, headline):
		case m.ThreadTS != "" && cards[m.ThreadTS]:
			t.Replies++
		case m.ThreadTS == "" && cards[m.TS]:
			showed[m.TS] = true
		}
	}
	t.Cards = len(showed)
	for _, e := range c.Proxy.Emails() {
		if strings.HasPrefix(e.Subject, "["+string(status)+"] "+key.Workflow) && strings.Contains(e.Text, "job "+key.Job) {
			for _, to := range e.To {
				t.Emails[to]++
			}
		}
	}
	return t
}

// mentionsJob tells whether the message's small print names the job.
func (m SlackMessage) mentionsJob(id string) bool {
	for _, b := range m.Blocks {
		for _, e := range b.Elements {
			if strings.Contains(e.Text, "job "+id) {
				return true
			}
		}
	}
	return false
}
