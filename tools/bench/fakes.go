package main

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fakecloud"
	"github.com/idmapping/notifier/internal/fakecloud/account"
	fakeentityresolution "github.com/idmapping/notifier/internal/fakecloud/entityresolution"
	fakeslack "github.com/idmapping/notifier/internal/fakecloud/slack"
	"github.com/idmapping/notifier/internal/jobs"
)

// fakeAWS answers at once what the functions ask, so that what is measured is
// the functions. moto would be slower than they are.
type fakeAWS struct {
	url, erURL, slackURL string
	er                   *fakeentityresolution.Server
	arrived              chan time.Time // when messages reached Slack
	servers              []*httptest.Server
}

func newFakeAWS() *fakeAWS {
	a := &fakeAWS{er: &fakeentityresolution.Server{}}
	slack := &fakeslack.Server{Token: fakecloud.SlackToken, Channels: []string{fakecloud.SlackChannel}}
	serve := func(h http.Handler) string {
		s := httptest.NewServer(h)
		a.servers = append(a.servers, s)
		return s.URL
	}
	a.url = serve(http.HandlerFunc(answerAWS))
	a.erURL = serve(a.er)
	a.slackURL = serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.arrived <- time.Now()
		slack.ServeHTTP(w, r)
	}))
	return a
}

func (a *fakeAWS) close() {
	for _, s := range a.servers {
		s.Close()
	}
}

func answerAWS(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	body := "{}"
	switch target := r.Header.Get("X-Amz-Target"); {
	case strings.HasSuffix(target, ".Query"):
		body = `{"Count":0,"Items":[],"ScannedCount":0}`
	case strings.HasSuffix(target, ".GetParameter"):
		body = fmt.Sprintf(`{"Parameter":{"Name":"token","Value":%q}}`, fakecloud.SlackToken)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	// DynamoDB's answers bear a checksum, and the SDK warns of one without.
	w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(body))), 10))
	_, _ = io.WriteString(w, body)
}

// thousandJobs is a workflow's list of 40 pages, each answered after so long.
func (a *fakeAWS) thousandJobs(after time.Duration) {
	start := time.Now().Add(-30 * 24 * time.Hour)
	for i := range 1000 {
		at := start.Add(time.Duration(i) * time.Minute)
		a.er.Put(jobs.Job{Key: jobs.Key{Workflow: "crm", Job: strconv.Itoa(i)}, Status: jobs.Succeeded, StartTime: at, EndTime: at.Add(30 * time.Second)})
	}
	a.er.Latency = after
}

// batch is an SQS event with one failed job's event.
func batch(url string, i int) []byte {
	now := time.Now()
	job := jobs.Job{Key: jobs.Key{Workflow: "crm", Job: strconv.Itoa(i)}, Type: "BATCH", Status: jobs.Failed,
		StartTime: now.Add(-time.Hour), EndTime: now, Error: "Access Denied",
		Metrics: jobs.Metrics{jobs.InputRecords: 1_000_000, jobs.TotalRecordsProcessed: 990_000, jobs.TotalMappedRecords: 880_000}}
	entry, err := event.Encode(fakeentityresolution.WorkflowARN("crm"), jobs.Transition{Job: job}, now)
	if err != nil {
		panic(err)
	}
	body, _ := json.Marshal(map[string]any{"id": strconv.Itoa(i), "source": event.Source, "detail-type": entry.DetailType,
		"account": account.ID, "region": account.Region, "time": entry.Time, "detail": json.RawMessage(entry.Detail)})
	payload, _ := json.Marshal(events.SQSEvent{Records: []events.SQSMessage{{
		MessageId: strconv.Itoa(i), ReceiptHandle: "r", Body: string(body), EventSource: "aws:sqs",
		EventSourceARN: "arn:aws:sqs:us-east-1:1:slack", Attributes: map[string]string{"ApproximateReceiveCount": "1"},
	}}})
	return payload
}
