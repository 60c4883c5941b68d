package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/poller"
)

func TestChecksKeepTheirOrderAndHangingOneEndsAlone(t *testing.T) {
	hangs := func(ctx context.Context) []check {
		<-ctx.Done()
		return []check{failedCall("first", ctx.Err())}
	}
	passes := func(context.Context) []check { return []check{passed("second", "fine"), passed("third", "fine")} }
	got := together(t.Context(), []inspection{{10 * time.Millisecond, hangs}, {time.Minute, passes}})
	if len(got) != 3 || got[0].Check != "first" || got[1].Check != "second" || got[2].Check != "third" {
		t.Fatalf("the checks are %+v", got)
	}
	if got[0].Result != resultFailed || !strings.Contains(got[0].Text, "no response in time") || got[0].Fix == "" {
		t.Errorf("the check that hangs is %+v", got[0])
	}
}

func TestFixIsUnderItsCheck(t *testing.T) {
	var out bytes.Buffer
	printChecks(&out, []check{passed("region", "eu-west-1"), failed("dead letters", "2 in SlackDeadLetterQueue", "idmapping redrive slack --dry-run")})
	want := "ok      region         eu-west-1\n" +
		"FAILED  dead letters   2 in SlackDeadLetterQueue\n" +
		"                       fix: idmapping redrive slack --dry-run\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestSweepIsJudgedByItsReport(t *testing.T) {
	for result, reports := range map[string][]poller.Report{
		resultOK:     {{Workflows: 2, Swept: 2}, {}},
		resultWarn:   {{Workflows: 2, Throttled: true}, {Workflows: 2, Late: true}},
		resultFailed: {{Workflows: 2, Denied: 1}, {Workflows: 2, Failed: 1}, {Problems: []string{"the table is gone"}}},
	} {
		for _, r := range reports {
			if got := sweepCheck(r); got.Result != result {
				t.Errorf("%+v is %+v, want %s", r, got, result)
			}
		}
	}
}

func TestWebhookCheckHidesTheURL(t *testing.T) {
	for address, want := range map[string]string{
		"https://hooks.slack.com/services/T0/B0/secret":   resultOK,
		"https://hooks.slack.com/triggers/T0/B0/secret":   resultFailed,
		"https://hooks.example.com/services/T0/B0/secret": resultFailed,
	} {
		got := webhookCheck("/webhook", address, false)
		if got.Result != want || strings.Contains(got.Text+got.Fix, "T0/B0/secret") {
			t.Errorf("%s is %+v, want %s", address, got, want)
		}
	}
}
