package main

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/fakecloud/inbox"
	fakeslack "github.com/idmapping/notifier/internal/fakecloud/slack"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/message/messagetest"
	"github.com/idmapping/notifier/internal/preview"
	"github.com/idmapping/notifier/internal/runs"
	"github.com/idmapping/notifier/internal/slack"
)

const mention = "<!subteam^S0DATATEAM>"

// settings are those of the stack in the pictures.
var settings = message.Settings{RunbookURL: "https://wiki.example.com/id-mapping"}

// notDrawn are examples that show nothing more than another one.
var notDrawn = []string{"bare", "hostile", "late", "success-incremental", "notice-hostile", "notice-broken"}

// messages are all kinds of messages by name.
func messages() (map[string]message.Message, error) {
	all := make(map[string]message.Message)
	for name, body := range eventtest.Examples() {
		e, err := event.Decode(body)
		if err != nil {
			return nil, err
		}
		e.Detail.Environment = "prod"
		all[name] = message.Compose(e, e.Detail.ObservedAt, settings)
	}
	maps.Copy(all, messagetest.Notices())
	failed := all["failure-iam"]
	at := time.Date(2026, 11, 23, 6, 10, 0, 0, time.UTC)
	all["failure-counted"] = failed.With(message.FollowUp{Failures: 3, Latest: at})
	all["failure-fixed"] = failed.With(message.FollowUp{Failures: 3, Fixed: at})
	for _, name := range notDrawn {
		delete(all, name)
	}
	return all, nil
}

// pictures are all pictures, in the order of their names.
func pictures() ([]picture, error) {
	all, err := messages()
	if err != nil {
		return nil, err
	}
	var drawn []picture
	for _, name := range slices.Sorted(maps.Keys(all)) {
		card, err := preview.Slack(all[name], mention, morning)
		if err != nil {
			return nil, fmt.Errorf("drawing %s: %w", name, err)
		}
		drawn = append(drawn, picture{"slack-" + name, preview.SlackWidth, card})
		if !strings.HasPrefix(name, "failure-counted") && name != "failure-fixed" { // cards only
			drawn = append(drawn, picture{"email-" + name, preview.EmailWidth, preview.Email(all[name])})
		}
	}
	channel, err := channel(all)
	if err != nil {
		return nil, err
	}
	history, err := history()
	return append(drawn, picture{"channel", 2*preview.Desktop + 40, channel}, picture{"history", 1200, history}), err
}

// history is the page of idmapping history, with the first rows of its table. Of 90
// daily runs three failed, one was slow and one mapped little.
func history() (string, error) {
	random := rand.New(rand.NewPCG(7, 7)) //nolint:gosec // the same picture each time
	begin := time.Date(2026, 8, 26, 2, 0, 0, 0, time.UTC)
	var records []jobs.Record
	for n := range 90 {
		start := begin.AddDate(0, 0, n)
		input := int64(2_400_000 + 6_000*n + random.IntN(90_000))
		lost := input / 100_000 * int64(300+random.IntN(250))
		r := jobs.Record{Job: jobs.Job{Key: jobs.Key{Workflow: "crm-to-loyalty", Job: fmt.Sprintf("%08x%024x", random.Uint32(), n)}, Type: "BATCH", Status: jobs.Succeeded,
			StartTime: start, EndTime: start.Add(time.Duration(42*60+8*n+random.IntN(500)) * time.Second),
			Metrics: jobs.Metrics{jobs.InputRecords: input, jobs.TotalRecordsProcessed: input - lost, jobs.RecordsNotProcessed: lost,
				jobs.TotalMappedRecords: (input - lost) / 10_000 * int64(7_740+random.IntN(140))}}}
		switch n {
		case 31, 62, 86:
			r.Job.Status, r.Job.EndTime, r.Job.Metrics = jobs.Failed, start.Add(4*time.Minute), nil
			r.Job.Error = "User: arn:aws:sts::123456789012:assumed-role/er-id-mapping/EntityResolution is not authorized to perform: s3:GetObject (Service: S3, Status Code: 403)"
		case 48:
			r.Job.Metrics[jobs.TotalMappedRecords] = (input - lost) / 1000 * 731
		case 84:
			r.Job.EndTime = start.Add(81 * time.Minute)
		}
		records = append(records, r)
	}
	open := begin.AddDate(0, 0, 90)
	records = append(records, jobs.Record{Job: jobs.Job{Key: jobs.Key{Workflow: "crm-to-loyalty", Job: fmt.Sprintf("%08x%024x", random.Uint32(), 90)}, Type: "BATCH", Status: jobs.Running, StartTime: open}})
	var page bytes.Buffer
	err := runs.Page(&page, runs.Of(records, nil), runs.About{Workflow: "crm-to-loyalty", Stack: "idmapping", Region: "eu-west-1", Now: open.Add(12 * time.Minute), Zone: time.UTC})
	return page.String() + "<style>:root { --page: #fff } tbody tr:nth-child(n+9) { display: none }</style>", err
}

var morning = time.Date(2026, 11, 23, 3, 5, 0, 0, time.UTC)

// channel is what a channel shows of a failure, its repetition and the recovery,
// and the thread of the failure.
func channel(all map[string]message.Message) (string, error) {
	var problems []error
	post := func(r slack.Rendered, m fakeslack.Message) fakeslack.Message {
		p, err := preview.Posted(r, m)
		if err != nil {
			problems = append(problems, err)
		}
		return p
	}
	card := post(slack.RenderCard(all["failure-fixed"], ""), fakeslack.Message{At: morning, TS: "1", Edits: 3})
	running := post(slack.RenderReply(all["running-expected"], ""), fakeslack.Message{At: morning.Add(time.Minute), TS: "2", ThreadTS: "1"})
	failed := post(slack.RenderReply(all["failure-iam"], mention), fakeslack.Message{At: morning.Add(14 * time.Minute), TS: "3", ThreadTS: "1", Broadcast: true})
	recovered := post(slack.RenderCard(all["recovered"], mention), fakeslack.Message{At: morning.Add(3 * time.Hour), TS: "4"})
	messages := []fakeslack.Message{card, running, failed, recovered}
	if len(problems) > 0 {
		return "", problems[0]
	}
	return preview.Sheet("channel", preview.Column(preview.Desktop, inbox.Channel(messages)), preview.Column(preview.Desktop, inbox.Thread(messages, "1"))), nil
}
