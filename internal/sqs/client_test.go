package sqs_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/fakecloud/aws/awstest"
	"github.com/idmapping/notifier/internal/sqs"
)

// queue makes a queue and returns a raw client and its URL.
func queue(t *testing.T) (*awssqs.Client, string) {
	t.Helper()
	client := awssqs.NewFromConfig(awstest.Moto(t).Config())
	out, err := client.CreateQueue(t.Context(), &awssqs.CreateQueueInput{QueueName: aws.String(fmt.Sprintf("q-%d", time.Now().UnixNano()))})
	if err != nil {
		t.Fatal(err)
	}
	return client, aws.ToString(out.QueueUrl)
}

// receive takes the messages that are visible.
func receive(t *testing.T, client *awssqs.Client, url string) []types.Message {
	t.Helper()
	out, err := client.ReceiveMessage(t.Context(), &awssqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"}})
	if err != nil {
		t.Fatal(err)
	}
	return out.Messages
}

func TestQueueHoldsTheContract(t *testing.T) {
	client, url := queue(t)
	_, deadURL := queue(t)
	put := func(body string) {
		if _, err := client.SendMessage(t.Context(), &awssqs.SendMessageInput{QueueUrl: &url, MessageBody: &body}); err != nil {
			t.Fatal(err)
		}
	}
	fake.QueueContract(t, sqs.New(awstest.Moto(t).Config()), url, deadURL, put, func() (all []events.SQSMessage) {
		for _, m := range receive(t, client, url) {
			all = append(all, events.SQSMessage{Body: aws.ToString(m.Body), ReceiptHandle: aws.ToString(m.ReceiptHandle)})
		}
		return all
	}, func() (all []fake.Dead) {
		for _, m := range receive(t, client, deadURL) {
			all = append(all, fake.Dead{Body: aws.ToString(m.Body), Reason: aws.ToString(m.MessageAttributes["Reason"].StringValue)})
		}
		return all
	})
}

func TestDeadLetteredMessageCarriesItsReasonAndOriginalID(t *testing.T) {
	client, url := queue(t)
	const body = `{"source":"somebody.else","detail":{"é":"<!channel>"}}`
	if err := sqs.New(awstest.Moto(t).Config()).DeadLetter(t.Context(), url, body, "source is \"somebody.else\"", "id-1"); err != nil {
		t.Fatal(err)
	}
	got := receive(t, client, url)
	if len(got) != 1 || aws.ToString(got[0].Body) != body {
		t.Fatalf("received %+v", got)
	}
	for name, want := range map[string]string{"Reason": `source is "somebody.else"`, "OriginalMessageId": "id-1"} {
		if a := got[0].MessageAttributes[name]; aws.ToString(a.DataType) != "String" || aws.ToString(a.StringValue) != want {
			t.Errorf("%s is %q (%s), want %q", name, aws.ToString(a.StringValue), aws.ToString(a.DataType), want)
		}
	}
}

// allowed reports whether SQS accepts a character (SendMessage: #x9 | #xA | #xD |
// #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF).
func allowed(r rune) bool {
	return r == 9 || r == 10 || r == 13 || r >= 0x20 && r <= 0xD7FF || r >= 0xE000 && r <= 0xFFFD || r >= 0x10000
}

func TestReasonOfAnyTextIsAccepted(t *testing.T) {
	client, url := queue(t)
	c := sqs.New(awstest.Moto(t).Config())
	for _, test := range []struct{ name, reason, want string }{
		{"control characters", "a\x00b\x1bc\x7fd\ne", "a b c d e"},
		{"empty", "", "unknown"},
		{"blank", " \x00\n ", "unknown"},
		{"invalid UTF-8", "a\xff\xfeb", "a\uFFFDb"},
		{"characters that no XML holds", "a\uFFFE\uFFFFb", "a  b"},
		{"10 kB", strings.Repeat("x", 10_000), strings.Repeat("x", 1000) + "…"},
		{"10 kB, cut within a character", "x" + strings.Repeat("é", 5_000), "x" + strings.Repeat("é", 499) + "…"},
		{"markup", `<&>"'🙂`, `<&>"'🙂`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := c.DeadLetter(t.Context(), url, "body", test.reason, test.reason); err != nil {
				t.Fatal(err)
			}
			got := receive(t, client, url)
			if len(got) != 1 {
				t.Fatalf("%d messages arrived", len(got))
			}
			for _, name := range []string{"Reason", "OriginalMessageId"} {
				text := aws.ToString(got[0].MessageAttributes[name].StringValue)
				if text != test.want {
					t.Errorf("%s is %q, want %q", name, text, test.want)
				}
				if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !allowed(r) }) {
					t.Errorf("SQS would refuse %s: %q", name, text)
				}
			}
		})
	}
}

func TestBodyOfAnyTextIsAccepted(t *testing.T) {
	client, url := queue(t)
	for name, body := range map[string]string{"empty": "", "not JSON": "hello", "large": strings.Repeat("é", 100_000)} {
		if err := sqs.New(awstest.Moto(t).Config()).DeadLetter(t.Context(), url, body, "reason", "id"); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := receive(t, client, url)
		if len(got) != 1 || strings.TrimSpace(aws.ToString(got[0].Body)) != body {
			t.Errorf("%s: received %d messages", name, len(got))
		}
	}
}

// await receives the queue's message once it is visible, for which a busy machine may
// need a while: even a message hidden for no time is invisible in the same millisecond.
func await(t *testing.T, client *awssqs.Client, url string) []types.Message {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if got := receive(t, client, url); len(got) != 0 {
			return got
		}
	}
	t.Fatal("the message never becomes visible")
	return nil
}

func TestMessageIsHiddenForTheTimeAsked(t *testing.T) {
	client, url := queue(t)
	c := sqs.New(awstest.Moto(t).Config())
	if _, err := client.SendMessage(t.Context(), &awssqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("body")}); err != nil {
		t.Fatal(err)
	}
	got := receive(t, client, url)
	if len(got) != 1 {
		t.Fatalf("%d messages arrived", len(got))
	}
	handle := aws.ToString(got[0].ReceiptHandle)
	for _, d := range []time.Duration{-time.Hour, 0} {
		if err := c.ChangeVisibility(t.Context(), url, handle, d); err != nil {
			t.Fatalf("hiding for %s: %v", d, err)
		}
		got = await(t, client, url)
		handle = aws.ToString(got[0].ReceiptHandle)
	}
	if err := c.ChangeVisibility(t.Context(), url, handle, time.Hour); err != nil {
		t.Fatal(err)
	}
	if got = receive(t, client, url); len(got) != 0 {
		t.Error("hidden for an hour it is there at once")
	}
	if err := c.ChangeVisibility(t.Context(), url, handle, 501*time.Millisecond); err != nil { // rounds to a second
		t.Fatal(err)
	}
	got = await(t, client, url)
	// SQS refuses more than 12 hours since the receive.
	if err := c.ChangeVisibility(t.Context(), url, aws.ToString(got[0].ReceiptHandle), 100*time.Hour); err != nil {
		t.Error(err)
	}
	if got = receive(t, client, url); len(got) != 0 {
		t.Error("hidden for hours it is there at once")
	}
}

func TestErrorSaysWhatFailed(t *testing.T) {
	c := sqs.New(awstest.Moto(t).Config())
	gone := awstest.Moto(t).URL + "/123456789012/not-there"
	if err := c.DeadLetter(t.Context(), gone, "body", "reason", "id"); err == nil || !strings.HasPrefix(err.Error(), "sending to the dead-letter queue: ") {
		t.Errorf("error is %v", err)
	}
	if err := c.ChangeVisibility(t.Context(), gone, "handle", time.Minute); err == nil || !strings.HasPrefix(err.Error(), "changing the visibility of a message: ") {
		t.Errorf("error is %v", err)
	}
}
