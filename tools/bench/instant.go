package main

import (
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/idmapping/notifier/internal/fakecloud"
	"github.com/idmapping/notifier/internal/fakecloud/account"
	fakeentityresolution "github.com/idmapping/notifier/internal/fakecloud/entityresolution"
	fakelambda "github.com/idmapping/notifier/internal/fakecloud/lambda"
	fakeslack "github.com/idmapping/notifier/internal/fakecloud/slack"
)

// instantAWS responds at once to whatever the functions call, so that the
// functions are measured: moto is slower than they are.
type instantAWS struct {
	url, erURL, slackURL string
	posted               chan time.Time // when messages reached Slack
	servers              []*httptest.Server
}

func newInstantAWS() *instantAWS {
	a := &instantAWS{posted: make(chan time.Time, 8)}
	slack := &fakeslack.Server{Token: fakecloud.SlackToken, Channels: []string{fakecloud.SlackChannel}}
	serve := func(h http.Handler) string {
		s := httptest.NewServer(h)
		a.servers = append(a.servers, s)
		return s.URL
	}
	a.url = serve(http.HandlerFunc(respondAtOnce))
	a.erURL = serve(&fakeentityresolution.Server{})
	a.slackURL = serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.posted <- time.Now()
		slack.ServeHTTP(w, r)
	}))
	return a
}

func (a *instantAWS) close() {
	for _, s := range a.servers {
		s.Close()
	}
}

func respondAtOnce(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	body := "{}"
	switch target := r.Header.Get("X-Amz-Target"); {
	case strings.HasSuffix(target, ".Query"):
		body = `{"Count":0,"Items":[],"ScannedCount":0}`
	case strings.HasSuffix(target, ".GetParameter"):
		body = fmt.Sprintf(`{"Parameter":{"Name":"token","Value":%q}}`, fakecloud.SlackToken)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	// DynamoDB sends a checksum, and the SDK warns about a response without one.
	w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(body))), 10))
	_, _ = io.WriteString(w, body)
}

func (a *instantAWS) function(name, dir string) *fakelambda.Function {
	return &fakelambda.Function{Name: name, Dir: dir, Timeout: time.Minute, Env: map[string]string{
		"AWS_REGION": account.Region, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL": a.url,
		"AWS_ENDPOINT_URL_ENTITYRESOLUTION": a.erURL, "SLACK_API_URL": a.slackURL + "/api/", "ALLOW_LOOPBACK": "true",
		"GOGC": "400", "GOMEMLIMIT": "96MiB", "STACK_NAME": "bench",
		"JOBS_TABLE": "jobs", "EVENT_BUS_NAME": "default", "DELIVERIES_TABLE": "deliveries",
		"SLACK_QUEUE_URL": a.url + "/1/slack", "SLACK_DEAD_LETTER_QUEUE_URL": a.url + "/1/slack-dead",
		"EMAIL_QUEUE_URL": a.url + "/1/email", "EMAIL_DEAD_LETTER_QUEUE_URL": a.url + "/1/email-dead",
		"SLACK_CHANNEL": fakecloud.SlackChannel, "SLACK_TOKEN_PARAMETER": "token",
	}}
}
