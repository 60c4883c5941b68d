package email

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/idmapping/notifier/internal/fakecloud/account"
	fakeaws "github.com/idmapping/notifier/internal/fakecloud/aws"
	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/notify"
)

const sender = `"ID mapping" <notifier@verified.example.com>`

// ses is a fake SES with one verified domain, behind a proxy that records.
func ses(t *testing.T) (aws.Config, *fakeaws.Proxy) {
	t.Helper()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ FromEmailAddress string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || !strings.Contains(in.FromEmailAddress, "@verified.example.com") {
			w.Header().Set("X-Amzn-Errortype", "MessageRejected")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"message":"Email address is not verified."}`)
			return
		}
		_, _ = io.WriteString(w, `{"MessageId":"1"}`)
	}))
	t.Cleanup(service.Close)
	proxy, err := fakeaws.NewProxy(service.URL)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return aws.Config{Region: account.Region, BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}, proxy
}

// about is a message about a job.
func about(account, region, workflow, job, status string) message.Message {
	return message.Message{Word: status, Name: workflow, Subject: "[" + status + "] " + workflow, Streak: status != "RUNNING",
		Lead:    []message.Line{message.Plain("é <b> & \"x\"")},
		Account: account, Region: region, WorkflowName: workflow, Thread: job}
}

func TestEmailHasSubjectHTMLAndTextForOneRecipient(t *testing.T) {
	cfg, proxy := ses(t)
	m := about("123456789012", "eu-west-1", "crm", "1", "FAILED")
	r := New(cfg, sender, "a@example.com", Options{Stack: "idmapping"})
	if r.ID() != "email:a@example.com" {
		t.Errorf("ID is %q", r.ID())
	}
	if ref, err := r.Send(t.Context(), notify.Delivery{Message: m}); err != nil || ref != (notify.MessageRef{}) {
		t.Fatalf("reference %+v, error %v", ref, err)
	}
	sent := proxy.Emails()
	if len(sent) != 1 {
		t.Fatalf("%d emails", len(sent))
	}
	subject, html, text := Render(m, Reason("a@example.com", "idmapping"))
	if got := sent[0]; got.From != sender || !slices.Equal(got.To, []string{"a@example.com"}) || got.Subject != subject || got.HTML != html || got.Text != text {
		t.Errorf("sent %+v", got)
	}
	if subject != "[FAILED] crm" || !strings.Contains(html, "&lt;b&gt;") || !strings.Contains(text, "é <b>") {
		t.Errorf("rendered as %q, %q, %q", subject, html, text)
	}
}

func TestDryRunGoesToTheSimulatorOnly(t *testing.T) {
	cfg, proxy := ses(t)
	if _, err := New(cfg, sender, "a@example.com", Options{Stack: "idmapping"}).Send(t.Context(), notify.Delivery{Message: about("1", "r", "", "canary", "TEST"), DryRun: true}); err != nil {
		t.Fatal(err)
	}
	if sent := proxy.Emails(); len(sent) != 1 || !slices.Equal(sent[0].To, []string{"success@simulator.amazonses.com"}) {
		t.Errorf("sent %+v", sent)
	}
	_, err := New(cfg, "nobody@unverified.example.com", "a@example.com", Options{Stack: "idmapping"}).Send(t.Context(), notify.Delivery{Message: about("1", "r", "", "canary", "TEST"), DryRun: true})
	if failure := notify.FailureOf(err); err == nil || failure.Reason != notify.Misconfigured {
		t.Errorf("from an unverified sender: %v", err)
	}
}

func TestEmailsOfOneJobShareAThreadAndSoDoFailuresOfOneWorkflow(t *testing.T) {
	cfg, proxy := ses(t)
	r := New(cfg, sender, "a@example.com", Options{Stack: "id mapping"})
	jobs, workflows := make(map[string]int), make(map[string]int)
	all := []message.Message{
		about("123456789012", "eu-west-1", "crm", "1", "RUNNING"),
		about("123456789012", "eu-west-1", "crm", "1", "FAILED"),
		about("123456789012", "eu-west-1", "crm", "2", "FAILED"),
		about("123456789012", "eu-west-1", "ads", "1", "FAILED"),
		about("210987654321", "eu-west-1", "crm", "1", "FAILED"),
		about("123456789012", "us-east-1", "crm", "1", "FAILED"),
		about("123456789012", "eu-west-1", "crm1", "", "FAILED"),
	}
	for _, m := range all {
		if _, err := r.Send(t.Context(), notify.Delivery{Message: m}); err != nil {
			t.Fatal(err)
		}
	}
	id := regexp.MustCompile(`^(<[0-9a-f]{32}@idmapping\.notifier> )?<[0-9a-f]{32}@idmapping\.notifier>$`)
	for i, e := range proxy.Emails() {
		references := e.Headers["References"]
		workflow, job, streak := strings.Cut(references, " ")
		if !streak {
			job = workflow
		} else {
			workflows[workflow]++
		}
		listID := "ID mapping notifier <idmapping.idmapping." + all[i].Region + "." + all[i].Account + ".localhost>"
		if !id.MatchString(references) || streak != all[i].Streak || e.Headers["In-Reply-To"] != job || e.Headers["Auto-Submitted"] != "auto-generated" ||
			e.Headers["X-Auto-Response-Suppress"] != "All" || e.Headers["List-Id"] != listID || len(e.Headers) != 5 {
			t.Errorf("headers are %v", e.Headers)
		}
		jobs[job]++
	}
	if first := jobs[proxy.Emails()[0].Headers["References"]]; len(jobs) != 6 || first != 2 {
		t.Errorf("%d threads, %d emails in the first, want 6 and 2", len(jobs), first)
	}
	root, _, _ := strings.Cut(proxy.Emails()[1].Headers["References"], " ")
	if len(workflows) != 5 || workflows[root] != 2 {
		t.Errorf("%d threads of failures, %d in the first, want 5 and 2", len(workflows), workflows[root])
	}
}

// RFC 2919, section 2: a dot-atom of at most 255 characters.
func TestListIDIsValidWhateverTheStackIsCalled(t *testing.T) {
	valid := regexp.MustCompile(`^ID mapping notifier <idmapping(\.[A-Za-z0-9-]+)*\.localhost>$`)
	for _, name := range []string{"", "crm", "a b", "é", "x>\r\nBcc: a@example.com", "a..b", strings.Repeat("x", 300)} {
		r := New(aws.Config{}, sender, "a@example.com", Options{Stack: name})
		if id := r.listID(about(name, name, "w", "j", "FAILED")); !valid.MatchString(id) || len(id) > 255 {
			t.Errorf("of %q: %q", name, id)
		}
	}
}

func TestFooterNamesAddressAndStack(t *testing.T) {
	for _, stack := range []string{"idmapping", ""} {
		if reason := Reason("a@example.com", stack); !strings.Contains(reason, "a@example.com is in EmailTo of the") || !strings.Contains(reason, stack) || strings.Contains(reason, "  ") {
			t.Errorf("stack %q: %s", stack, reason)
		}
	}
}

func TestUnverifiedSenderIsMisconfigured(t *testing.T) {
	cfg, proxy := ses(t)
	_, err := New(cfg, "somebody@unverified.example.org", "a@example.com", Options{Stack: "idmapping"}).Send(t.Context(), notify.Delivery{Message: about("1", "r", "w", "j", "FAILED")})
	if f, ok := err.(*notify.Failure); !ok || f.Reason != notify.Misconfigured {
		t.Errorf("error is %v", err)
	}
	if n := len(proxy.Emails()); n != 0 {
		t.Errorf("%d emails", n)
	}
}

// inProcess is a recipient whose emails a handler takes in this process.
func inProcess(service http.Handler) *Recipient {
	return New(aws.Config{Region: account.Region, HTTPClient: &http.Client{Timeout: 5 * time.Second, Transport: httpfault.InProcess{Handler: service}},
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}, sender, "a@example.com", Options{Stack: "idmapping"})
}

// The codes and messages are those of SendEmail (SES API v2) and of "Errors
// related to the sending quotas for your Amazon SES account".
func TestEachSESErrorHasItsReason(t *testing.T) {
	for _, c := range []struct {
		name          string
		status        int
		code, message string
		want          notify.Reason
		after         time.Duration
	}{
		{"too many requests", 429, "TooManyRequestsException", "Too many requests", notify.RateLimited, 5 * time.Second},
		{"rate", 400, "ThrottlingException", "Maximum sending rate exceeded.", notify.RateLimited, 5 * time.Second},
		{"rate, as the gateway spells it", 400, "Throttling", "Rate exceeded", notify.RateLimited, 5 * time.Second},
		{"daily quota", 400, "ThrottlingException", "Daily message quota exceeded.", notify.RateLimited, 15 * time.Minute},
		{"daily quota, as v2 spells it", 429, "TooManyRequestsException", "Daily message quota exceeded", notify.RateLimited, 15 * time.Minute},
		{"limit", 400, "LimitExceededException", "Sending limit exceeded", notify.RateLimited, 5 * time.Second},
		{"unverified address", 400, "MessageRejected", "Email address is not verified. The following identities failed the check in region EU-WEST-1: a@example.com", notify.Misconfigured, 0},
		{"unverified sender", 400, "MessageRejected", "Email address not verified \"a@example.com\"", notify.Misconfigured, 0},
		{"refused content", 400, "MessageRejected", "Message contains a virus", notify.Refused, 0},
		{"suspended account", 400, "AccountSuspendedException", "no", notify.Misconfigured, 0},
		{"paused sending", 400, "SendingPausedException", "no", notify.Misconfigured, 0},
		{"unverified domain", 400, "MailFromDomainNotVerifiedException", "no", notify.Misconfigured, 0},
		{"no such identity", 404, "NotFoundException", "no", notify.Misconfigured, 0},
		{"no permission", 403, "AccessDeniedException", "User is not authorized to perform: ses:SendEmail", notify.Misconfigured, 0},
		{"wrong token", 403, "UnrecognizedClientException", "no", notify.Misconfigured, 0},
		{"bad request", 400, "BadRequestException", "Missing final '@domain'", notify.Refused, 0},
		{"validation", 400, "ValidationException", "no", notify.Refused, 0},
		{"fault", 500, "InternalServiceErrorException", "no", notify.Unavailable, 0},
		{"outage", 503, "ServiceUnavailable", "no", notify.Unavailable, 0},
		{"conflict", 409, "ConflictException", "no", notify.Unavailable, 0},
		{"something new", 400, "LaterException", "no", notify.Unavailable, 0},
		{"a page", 502, "", "<html>", notify.Unavailable, 0},
		{"a hang", 0, "", "", notify.Unavailable, 0},
		{"a reset", -1, "", "", notify.Unavailable, 0},
	} {
		var calls int32
		service := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls++
			if c.code != "" {
				w.Header().Set("X-Amzn-Errortype", c.code)
			}
			fault := httpfault.Fault{Status: c.status, Body: `{"message":"` + strings.ReplaceAll(c.message, `"`, `\"`) + `"}`}
			switch c.status {
			case 0:
				fault = httpfault.Fault{Status: http.StatusOK, Delay: time.Hour}
			case -1:
				fault = httpfault.Fault{Reset: true}
			}
			fault.ServeHTTP(w, r)
		})
		synctest.Test(t, func(t *testing.T) { // the retries pause
			_, err := inProcess(service).Send(t.Context(), notify.Delivery{Message: about("1", "r", "w", "j", "FAILED")})
			f, ok := err.(*notify.Failure)
			if !ok {
				t.Fatalf("%s: error is a %T, want a *notify.Failure: %v", c.name, err, err)
			}
			// What may have been sent is not sent again at once.
			want := int32(1)
			if c.want == notify.RateLimited {
				want = attempts
			}
			if calls != want {
				t.Errorf("%s: %d calls, want %d", c.name, calls, want)
			}
			summary := "SES: " + c.code
			if c.code == "" {
				summary = "SES: no answer"
			}
			if f.Summary != summary && c.status != http.StatusBadGateway {
				t.Errorf("%s: the summary is %q, want %q", c.name, f.Summary, summary)
			}
			if strings.Contains(f.Summary, "a@example.com") {
				t.Errorf("%s: the summary quotes an address: %q", c.name, f.Summary)
			}
			if f.Reason != c.want || f.After != c.after {
				t.Errorf("%s: %s after %s, want %s after %s: %v", c.name, f.Reason, f.After, c.want, c.after, err)
			}
			if !strings.Contains(err.Error(), "sending an email: ") || !strings.Contains(err.Error(), c.code) {
				t.Errorf("%s: the error does not say what failed and with which code: %v", c.name, err)
			}
		})
	}
}

func TestThrottledEmailIsSentByTheNextAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		r := inProcess(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if calls++; calls == 1 {
				httpfault.Exception(w, http.StatusTooManyRequests, "TooManyRequestsException", "Too many requests")
				return
			}
			_, _ = io.WriteString(w, `{"MessageId":"1"}`)
		}))
		if _, err := r.Send(t.Context(), notify.Delivery{Message: about("1", "r", "w", "j", "FAILED")}); err != nil || calls != 2 {
			t.Errorf("%d calls (%v)", calls, err)
		}
	})
}

// The sender loses its display name: IAM policies compare ses:FromAddress with the
// bare address.
func TestAddressesAreReadInEveryCommonForm(t *testing.T) {
	for _, c := range []struct {
		from, to string
		sender   string
		want     []string
	}{
		{"", "", "", nil},
		{"", "  ", "", nil},
		{"a@example.com", "b@example.com", "a@example.com", []string{"b@example.com"}},
		{"ID mapping <a@example.com>", "b@example.com, c@example.com", "a@example.com", []string{"b@example.com", "c@example.com"}},
		{"a@example.com", "b@example.com,c@example.com ,\td@example.com", "a@example.com", []string{"b@example.com", "c@example.com", "d@example.com"}},
		{"a@example.com", `"Doe, J" <b@example.com>, C <c@example.com>`, "a@example.com", []string{"b@example.com", "c@example.com"}},
		{"a@example.com", "b@example.com, B <b@example.com>", "a@example.com", []string{"b@example.com"}},
		{"a@example.com", "b@example.com,", "a@example.com", []string{"b@example.com"}},
		{"Équipe <a@example.com>", "b+tag@example.com", "a@example.com", []string{"b+tag@example.com"}},
	} {
		from, to, err := ParseAddresses(c.from, c.to)
		if err != nil || from != c.sender || !slices.Equal(to, c.want) {
			t.Errorf("%q and %q are %q and %q (%v), want %q and %q", c.from, c.to, from, to, err, c.sender, c.want)
		}
	}
}

func TestWrongAddressErrorNamesTheSetting(t *testing.T) {
	for _, c := range []struct {
		from, to string
		setting  string
	}{
		{"", "b@example.com", "EmailFrom"},
		{"a@example.com", "", "EmailTo"},
		{"a@example.com", " ", "EmailTo"},
		{"nobody", "b@example.com", "EmailFrom"},
		{" ", "b@example.com", "EmailFrom"},
		{"a@example.com, b@example.com", "b@example.com", "EmailFrom"},
		{"a@example.com\r\nBcc: b@example.com", "b@example.com", "EmailFrom"},
		{"a@example.com", "nobody", "EmailTo"},
		{"a@example.com", "b@example.com; c@example.com", "EmailTo"},
		{"a@example.com", "b@example.com c@example.com", "EmailTo"},
		{"a@example.com", "b@example.com\r\nBcc: c@example.com", "EmailTo"},
		{"a@example.com", strings.Repeat("x", 10_000), "EmailTo"},
	} {
		from, to, err := ParseAddresses(c.from, c.to)
		if err == nil || from != "" || to != nil {
			t.Errorf("%q and %q are %q and %q", c.from, c.to, from, to)
			continue
		}
		if !strings.Contains(err.Error(), c.setting) || strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 400 {
			t.Errorf("%q and %q: the error does not name %s in a short line: %v", c.from, c.to, c.setting, err)
		}
	}
}
