package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/smithy-go"

	"github.com/idmapping/notifier/internal/fake"
	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
	fakeslack "github.com/idmapping/notifier/internal/fakecloud/slack"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/notify"
)

const (
	channel = "C0DATAJOBS"
	token   = "xoxb-1234-S3cretS3cret"
)

// A job told as running, as its good end and as its bad end.
var (
	isRunning = message.Message{Headline: "RUNNING: crm", Title: "RUNNING crm", Status: jobs.Running,
		Fields: []message.Field{{Label: "Status", Value: "RUNNING"}}, Footer: []string{"job 1"}}
	isGood = message.Message{Headline: "SUCCEEDED: crm", Title: "SUCCEEDED crm", Status: jobs.Succeeded, Severity: message.Good, Terminal: true,
		Fields: []message.Field{{Label: "Status", Value: "SUCCEEDED"}}, Footer: []string{"job 1"}}
	isBad = message.Message{Headline: "FAILED: crm", Title: "FAILED crm", Status: jobs.Failed, Severity: message.Bad, Terminal: true,
		Fields:  []message.Field{{Label: "Status", Value: "FAILED"}},
		Failure: &message.Failure{Text: "no access", Category: jobs.IAM, Advice: []string{"Grant it."}},
		Links:   []message.Link{{Label: "Job", URL: "https://console.example.com/job"}}, Footer: []string{"job 1"}}
)

// workspace is the stand-in Slack with a bot in one channel.
type workspace struct {
	*fakeslack.Server
	bot  *Bot
	card notify.MessageRef // as saved last

	current           string // the token as kept
	saves, refreshes  int
	saveErr, tokenErr error
}

func newWorkspace(t *testing.T, set func(*BotOptions)) *workspace {
	t.Helper()
	w := &workspace{Server: &fakeslack.Server{Token: token, Channels: []string{channel}}, current: token}
	server := httptest.NewServer(w.Server)
	t.Cleanup(server.Close)
	options := BotOptions{
		Token: func(context.Context) (string, error) { return w.current, w.tokenErr },
		Refresh: func(context.Context) (string, error) {
			w.refreshes++
			return w.Server.Token, w.tokenErr
		},
		APIURL: server.URL + "/api", Channel: channel, Mention: "<!here>", Edit: true, Thread: true, Broadcast: true,
	}
	if set != nil {
		set(&options)
	}
	w.bot = NewBot(options)
	return w
}

// send tells one step with the card as it was saved.
func (w *workspace) send(t *testing.T, m message.Message, edit bool) error {
	t.Helper()
	return w.bot.Send(t.Context(), notify.Delivery{Message: m, Card: w.card, Edit: edit}, func(_ context.Context, card notify.MessageRef) error {
		w.saves++
		if w.saveErr == nil {
			w.card = card
		}
		return w.saveErr
	})
}

// did says what Slack was told since it had n entries in its log.
func (w *workspace) did(n int) string {
	var all []string
	for _, m := range w.Log()[n:] {
		word := "post"
		switch {
		case m.ThreadTS != "" && m.Broadcast:
			word = "loud reply"
		case m.ThreadTS != "":
			word = "reply"
		case m.Edits > 0:
			word = "edit"
		}
		all = append(all, word+" "+string(m.Text[0]))
	}
	return strings.Join(all, ", ")
}

// reasonOf is the reason that a channel's error must have.
func reasonOf(t *testing.T, err error) notify.Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	f, ok := err.(*notify.Failure)
	if !ok {
		t.Errorf("the error is a %T, want a *notify.Failure: %v", err, err)
		return ""
	}
	return f.Reason
}

// mentions tells whether a message mentions whom the setting names.
func mentions(t *testing.T, m fakeslack.Message) bool {
	t.Helper()
	blocks, err := json.Marshal(m.Blocks)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(m.Text+string(blocks), `\u003c!here\u003e`) // as json.Marshal spells <!here>
}

func TestABotHoldsTheContract(t *testing.T) {
	w := newWorkspace(t, nil)
	fake.DestinationContract(t, w.bot, func() int { return len(w.Messages()) })
}

func TestTheFirstStepPostsACardAndHasItSaved(t *testing.T) {
	w := newWorkspace(t, nil)
	if err := w.send(t, isRunning, true); err != nil {
		t.Fatal(err)
	}
	posted := w.Messages()
	if len(posted) != 1 || w.did(0) != "post R" {
		t.Fatalf("Slack was told: %s", w.did(0))
	}
	if want := (notify.MessageRef{Channel: channel, TS: posted[0].TS}); w.card != want || w.saves != 1 {
		t.Errorf("saved %+v %d times, want %+v once", w.card, w.saves, want)
	}
	if posted[0].Text != "RUNNING: crm" || len(posted[0].Blocks) == 0 || posted[0].Blocks[0].Text.Text != "RUNNING: crm" {
		t.Errorf("posted %+v", posted[0])
	}
}

func TestALaterStepEditsTheCardAndThenReplies(t *testing.T) {
	w := newWorkspace(t, nil)
	for _, m := range []message.Message{isRunning, isGood} {
		if err := w.send(t, m, true); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := w.did(0), "post R, edit S, reply S"; got != want {
		t.Fatalf("Slack was told: %s, want %s", got, want)
	}
	all := w.Messages()
	if all[0].Text != "SUCCEEDED: crm" || all[0].Edits != 1 || all[1].ThreadTS != all[0].TS || w.saves != 1 {
		t.Errorf("the channel shows %+v, saved %d times", all, w.saves)
	}
}

func TestAStepThatIsOldNewsLeavesTheCardAsItIs(t *testing.T) {
	w := newWorkspace(t, nil)
	for _, m := range []message.Message{isGood, isBad} {
		if err := w.send(t, m, false); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := w.did(0), "post S, loud reply F"; got != want {
		t.Errorf("Slack was told: %s, want %s", got, want)
	}
}

func TestEditThreadAndBroadcastAreThreeSwitches(t *testing.T) {
	for _, c := range []struct {
		edit, thread, broadcast bool
		running, good, bad      string
	}{
		{true, true, true, "edit R, reply R", "edit S, reply S", "edit F, loud reply F"},
		{true, true, false, "edit R, reply R", "edit S, reply S", "edit F, reply F"},
		{true, false, true, "edit R", "edit S", "edit F, loud reply F"},
		{true, false, false, "edit R", "edit S", "edit F"},
		{false, true, true, "reply R", "reply S", "loud reply F"},
		{false, true, false, "reply R", "reply S", "reply F"},
		{false, false, true, "post R", "post S", "post F"},
		{false, false, false, "post R", "post S", "post F"},
	} {
		t.Run(fmt.Sprintf("edit %t, thread %t, broadcast %t", c.edit, c.thread, c.broadcast), func(t *testing.T) {
			for want, m := range map[string]message.Message{c.running: isRunning, c.good: isGood, c.bad: isBad} {
				w := newWorkspace(t, func(o *BotOptions) { o.Edit, o.Thread, o.Broadcast = c.edit, c.thread, c.broadcast })
				if err := errors.Join(w.send(t, isRunning, true), w.send(t, m, true)); err != nil {
					t.Fatal(err)
				}
				if got := w.did(1); got != want {
					t.Errorf("%s: Slack was told: %s, want %s", m.Status, got, want)
				}
			}
		})
	}
}

func TestSomebodyIsMentionedOnBadEndsOnly(t *testing.T) {
	for _, m := range []message.Message{isRunning, isGood, isBad} {
		w := newWorkspace(t, nil)
		if err := errors.Join(w.send(t, isRunning, true), w.send(t, m, true)); err != nil {
			t.Fatal(err)
		}
		for _, sent := range w.Log() {
			got := mentions(t, sent)
			if want := sent.ThreadTS != "" && m.Severity == message.Bad; got != want {
				t.Errorf("%s: %q mentions: %t, want %t (an edit notifies nobody)", m.Status, sent.Text, got, want)
			}
		}
	}
}

func TestACardThatIsGoneIsPostedAnew(t *testing.T) {
	for _, c := range []struct {
		name, operation, code string
		edit                  bool
	}{
		{"deleted", "chat.update", "message_not_found", true},
		{"of somebody else", "chat.update", "cant_update_message", true},
		{"too old to edit", "chat.update", "edit_window_closed", true},
		{"deleted before a reply", "chat.postMessage", "thread_not_found", false},
		{"not to be replied to", "chat.postMessage", "cannot_reply_to_message", false},
		{"in a channel that is gone", "chat.update", "channel_not_found", true},
		{"in a channel that is archived", "chat.update", "is_archived", true},
		{"in a channel that is gone, by its thread", "chat.postMessage", "channel_not_found", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorkspace(t, func(o *BotOptions) { o.Edit = c.edit })
			if err := w.send(t, isRunning, true); err != nil {
				t.Fatal(err)
			}
			old := w.card
			w.Inject(httpfault.Fault{Operation: c.operation, Times: 1, Status: 200, Body: `{"ok":false,"error":"` + c.code + `"}`})
			if err := w.send(t, isBad, true); err != nil {
				t.Fatal(err)
			}
			if got := w.did(1); got != "post F" {
				t.Errorf("Slack was told: %s", got)
			}
			if w.saves != 2 || w.card == old || w.card.TS == "" {
				t.Errorf("saved %+v after %+v", w.card, old)
			}
		})
	}
}

func TestRefusedBlocksAreSaidOnceMoreInPlainText(t *testing.T) {
	for _, code := range []string{"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "no_text", "invalid_arguments"} {
		for _, operation := range []string{"chat.postMessage", "chat.update"} {
			w := newWorkspace(t, func(o *BotOptions) { o.Thread, o.Broadcast = false, false })
			if operation == "chat.update" {
				if err := w.send(t, isRunning, true); err != nil {
					t.Fatal(err)
				}
			}
			w.Inject(httpfault.Fault{Operation: operation, Times: 1, Status: 200, Body: `{"ok":false,"error":"` + code + `"}`})
			if err := w.send(t, isBad, true); err != nil {
				t.Errorf("%s, %s: %v", operation, code, err)
				continue
			}
			shown := w.Messages()[0]
			if len(shown.Blocks) != 0 || !strings.HasPrefix(shown.Text, "FAILED: crm\n") || !strings.Contains(shown.Text, "no access") {
				t.Errorf("%s, %s: the channel shows %+v", operation, code, shown)
			}
		}
	}
}

func TestACardInAChannelThatIsNoLongerThereIsASettingToBeMended(t *testing.T) {
	w := newWorkspace(t, nil)
	if err := w.send(t, isRunning, true); err != nil {
		t.Fatal(err)
	}
	w.Inject(httpfault.Fault{Status: 200, Body: `{"ok":false,"error":"channel_not_found"}`})
	if reason := reasonOf(t, w.send(t, isBad, true)); reason != notify.Misconfigured || w.saves != 1 {
		t.Errorf("%s after %d saves, want misconfigured after 1", reason, w.saves)
	}
}

// Slack keeps the blocks of a message that is updated without any; an empty
// list removes them (chat.update, blocks).
func TestAnEditInPlainTextTakesTheOldBlocksAway(t *testing.T) {
	var edits []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		if edits = append(edits, r.Form.Get("blocks")); len(edits) == 1 {
			_, _ = io.WriteString(w, `{"ok":false,"error":"invalid_blocks"}`)
			return
		}
		if strings.Contains(r.Form.Get("text"), "here") {
			t.Errorf("an edit mentions somebody: %s", r.Form.Get("text"))
		}
		_, _ = io.WriteString(w, `{"ok":true,"channel":"C1","ts":"1.2"}`)
	}))
	defer server.Close()
	w := newWorkspace(t, func(o *BotOptions) {
		o.APIURL, o.Thread, o.Broadcast = server.URL+"/api/", false, false
	})
	w.card = notify.MessageRef{Channel: "C1", TS: "1.2"}
	if err := w.send(t, isBad, true); err != nil || len(edits) != 2 || edits[1] != "[]" {
		t.Errorf("blocks were sent as %q (%v)", edits, err)
	}
}

func TestATokenThatWasRotatedIsReadAnewAndTheMessageDelivered(t *testing.T) {
	for _, code := range []string{"", "not_authed", "token_revoked", "token_expired", "account_inactive"} {
		w := newWorkspace(t, nil)
		if w.current = "xoxb-old"; code != "" {
			w.Inject(httpfault.Fault{Times: 1, Status: 200, Body: `{"ok":false,"error":"` + code + `"}`})
		}
		if err := w.send(t, isBad, true); err != nil || w.did(0) != "post F" || w.refreshes != 1 {
			t.Errorf("%q: Slack was told: %s after %d refreshes (%v)", code, w.did(0), w.refreshes, err)
		}
	}
}

func TestATokenThatStaysWrongIsASettingToBeMended(t *testing.T) {
	calls := new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		_, _ = io.WriteString(w, `{"ok":false,"error":"invalid_auth"}`)
	}))
	defer server.Close()
	for _, c := range []struct {
		name    string
		refresh func(context.Context) (string, error)
		calls   int32
	}{
		{"the same again", func(context.Context) (string, error) { return token, nil }, 1},
		{"another one that is wrong too", func(context.Context) (string, error) { return "xoxb-new", nil }, 2},
		{"it cannot be read", func(context.Context) (string, error) { return "", errors.New("reading SSM parameter /p: no") }, 1},
	} {
		calls.Store(0)
		w := newWorkspace(t, func(o *BotOptions) { o.APIURL, o.Refresh = server.URL+"/api/", c.refresh })
		if reason := reasonOf(t, w.send(t, isBad, true)); reason != notify.Misconfigured || calls.Load() != c.calls {
			t.Errorf("%s: %s after %d calls, want misconfigured after %d", c.name, reason, calls.Load(), c.calls)
		}
	}
}

func TestATokenThatCannotBeReadSendsNothing(t *testing.T) {
	w := newWorkspace(t, nil)
	w.tokenErr = errors.New("reading SSM parameter /p: no")
	err := w.send(t, isBad, true)
	if reasonOf(t, err) != notify.Misconfigured || !errors.Is(err, w.tokenErr) || len(w.Log()) != 0 {
		t.Errorf("error %v, Slack was told: %s", err, w.did(0))
	}
}

func TestACardThatCannotBeSavedIsNoFaultOfSlacks(t *testing.T) {
	w := newWorkspace(t, nil)
	w.saveErr = errors.New("writing the ledger: throttled")
	err := w.send(t, isRunning, true)
	if reasonOf(t, err) != notify.Unavailable || !errors.Is(err, w.saveErr) || w.refreshes != 0 {
		t.Errorf("error is %v", err)
	}
}

func TestAReplyThatFailsIsSaidByTheNextTryOfTheWholeStep(t *testing.T) {
	w := newWorkspace(t, nil)
	if err := w.send(t, isRunning, true); err != nil {
		t.Fatal(err)
	}
	w.Inject(httpfault.Fault{Operation: "chat.postMessage", Times: 1, Status: 503})
	if reason := reasonOf(t, w.send(t, isBad, true)); reason != notify.Unavailable {
		t.Errorf("reason is %q", reason)
	}
	if err := w.send(t, isBad, true); err != nil {
		t.Fatal(err)
	}
	if got, want := w.did(1), "edit F, edit F, loud reply F"; got != want {
		t.Errorf("Slack was told: %s, want %s", got, want)
	}
}

func TestAnEditThatFailsIsNotPassedOver(t *testing.T) {
	w := newWorkspace(t, nil)
	if err := w.send(t, isRunning, true); err != nil {
		t.Fatal(err)
	}
	w.Inject(httpfault.Fault{Operation: "chat.update", Times: 1, Status: 503})
	if reason := reasonOf(t, w.send(t, isBad, true)); reason != notify.Unavailable {
		t.Errorf("reason is %q", reason)
	}
	if got := w.did(1); got != "" {
		t.Errorf("Slack was told: %s", got)
	}
}

func TestErrorsOfTheWebAPINameItsCodeAndNothingElse(t *testing.T) {
	for answer, want := range map[string]string{
		`{"ok":false,"error":"channel_not_found"}`:     "misconfigured: refused by Slack: channel_not_found",
		`{"ok":false,"error":"` + token + ` <b>no\n"}`: "unavailable: refused by Slack",
		`{"ok":true}`: "unavailable: calling Slack: the answer cannot be understood",
	} {
		w := newWorkspace(t, nil)
		w.Inject(httpfault.Fault{Status: 200, Body: answer})
		if err := w.send(t, isBad, true); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", answer, err, want)
		}
	}
}

func TestEveryAnswerOfTheWebAPIIsSorted(t *testing.T) {
	shorten(t)
	code := func(code string) string { return `{"ok":false,"error":"` + code + `"}` }
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   notify.Reason
		calls  int32
		after  time.Duration
	}{
		{"channel_not_found", say(200, code("channel_not_found")), notify.Misconfigured, 1, 0},
		{"not_in_channel", say(200, code("not_in_channel")), notify.Misconfigured, 1, 0},
		{"is_archived", say(200, code("is_archived")), notify.Misconfigured, 1, 0},
		{"missing_scope", say(200, code("missing_scope")), notify.Misconfigured, 1, 0},
		{"restricted_action", say(200, code("restricted_action")), notify.Misconfigured, 1, 0},
		{"invalid_blocks, twice", say(200, code("invalid_blocks")), notify.Refused, 2, 0},
		{"msg_too_long, twice", say(200, code("msg_too_long")), notify.Refused, 2, 0},
		{"ratelimited with 200", say(200, code("ratelimited")), notify.RateLimited, 1, 30 * time.Second},
		{"429", say(429, code("ratelimited"), "Retry-After", "7"), notify.RateLimited, 1, 7 * time.Second},
		{"429 without a header", say(429, code("ratelimited")), notify.RateLimited, 1, 30 * time.Second},
		{"internal_error", say(200, code("internal_error")), notify.Unavailable, 1, 0},
		{"fatal_error with 500", say(500, code("fatal_error")), notify.Unavailable, 1, 0},
		{"an error nobody knows", say(200, code("something_new")), notify.Unavailable, 1, 0},
		{"invalid_auth with 401", say(401, code("invalid_auth")), notify.Misconfigured, 1, 0},
		{"503", say(503, "<html>"), notify.Unavailable, 1, 0},
		{"200 and no JSON", say(200, "<html>"), notify.Unavailable, 1, 0},
		{"200 and nothing", say(200, ""), notify.Unavailable, 1, 0},
		{"200 and half of it", say(200, `{"ok":tr`), notify.Unavailable, 1, 0},
		{"200 and no message", say(200, `{"ok":true}`), notify.Unavailable, 1, 0},
		{"200, not ok, no error", say(200, `{"ok":false}`), notify.Unavailable, 1, 0},
		{"200 and an empty object", say(200, `{}`), notify.Unavailable, 1, 0},
		{"200 and null", say(200, `null`), notify.Unavailable, 1, 0},
		{"200 and 100 MB", flood, notify.Refused, 1, 0},
		{"a redirect", say(302, "", "Location", "/elsewhere"), notify.Misconfigured, 1, 0},
		{"a hang", hang, notify.Unavailable, 1, 0},
		{"a reset", hangUp, notify.Unavailable, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			calls := new(atomic.Int32)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				c.answer(w, r)
			}))
			defer server.Close()
			w := newWorkspace(t, func(o *BotOptions) { o.APIURL = server.URL + "/api/" })
			err := w.send(t, isBad, true)
			if reason := reasonOf(t, err); reason != c.want || calls.Load() != c.calls || w.saves != 0 {
				t.Errorf("%q after %d calls and %d saves, want %q after %d: %v", reason, calls.Load(), w.saves, c.want, c.calls, err)
			}
			if after := notify.FailureOf(err).After; after != c.after {
				t.Errorf("wait %s, want %s", after, c.after)
			}
		})
	}
}

func TestAnAnswerAsLongAsAMessageCanBeIsRead(t *testing.T) {
	long := strings.Repeat(`\ud83d\ude00`, maxTotal) + strings.Repeat("x", maxSection) // blocks, and the text beside them
	server := httptest.NewServer(say(200, `{"ok":true,"channel":"C1","ts":"1.2","message":{"text":"`+long+`"}}`))
	defer server.Close()
	w := newWorkspace(t, func(o *BotOptions) { o.APIURL = server.URL + "/api/" })
	if err := w.send(t, isBad, true); err != nil || w.card != (notify.MessageRef{Channel: "C1", TS: "1.2"}) {
		t.Errorf("saved %+v (%v)", w.card, err)
	}
}

func TestNoErrorCodeIsOfTwoKinds(t *testing.T) {
	seen := make(map[string]kind)
	for k, names := range codes {
		for _, name := range names {
			if other, ok := seen[name]; ok {
				t.Errorf("%s is of the kinds %d and %d", name, k, other)
			}
			seen[name] = k
			if !errorCode.MatchString(name) {
				t.Errorf("%q would not be read as an error code", name)
			}
		}
	}
}

func TestADestinationIsNamedByItsChannel(t *testing.T) {
	if got := NewBot(BotOptions{Channel: "#data-jobs"}).ID(); got != "slack:#data-jobs" {
		t.Errorf("ID is %q", got)
	}
	if got := NewWebhook(WebhookOptions{}).ID(); got != "slack-webhook" {
		t.Errorf("ID is %q", got)
	}
}

func TestASecretThatCannotBeReadIsASettingOnlyWhereSSMSaysSo(t *testing.T) {
	call := func(cause error) error {
		return fmt.Errorf("reading SSM parameter x: %w", &smithy.OperationError{ServiceID: "SSM", OperationName: "GetParameter", Err: cause})
	}
	for name, test := range map[string]struct {
		err  error
		want notify.Reason
	}{
		"no such parameter": {call(&smithy.GenericAPIError{Code: "ParameterNotFound"}), notify.Misconfigured},
		"not allowed":       {call(&smithy.GenericAPIError{Code: "AccessDeniedException"}), notify.Misconfigured},
		"no such version":   {call(&smithy.GenericAPIError{Code: "ParameterVersionNotFound"}), notify.Misconfigured},
		"no such key":       {call(&smithy.GenericAPIError{Code: "InvalidKeyId"}), notify.Misconfigured},
		"not a name":        {call(&smithy.GenericAPIError{Code: "ValidationException"}), notify.Misconfigured},
		"empty":             {errors.New("reading SSM parameter x: it is empty"), notify.Misconfigured},
		"SSM fails":         {call(&smithy.GenericAPIError{Code: "InternalServerError"}), notify.Unavailable},
		"throttled":         {call(&smithy.GenericAPIError{Code: "ThrottlingException"}), notify.Unavailable},
		"no connection":     {call(errors.New("dial tcp: connection refused")), notify.Unavailable},
	} {
		if got := secretFailure(test.err).Reason; got != test.want {
			t.Errorf("%s is %s, want %s", name, got, test.want)
		}
	}
}

func TestACheckShowsNothingAndFailsAsATellingWould(t *testing.T) {
	hook := func(w *workspace, path string) notify.Reason {
		server := httptest.NewServer(w.Server)
		defer server.Close()
		u := func(context.Context) (string, error) { return server.URL + path, nil }
		return reasonOf(t, NewWebhook(WebhookOptions{URL: u, Refresh: u}).Send(t.Context(), notify.Delivery{Message: isRunning, DryRun: true}, nil))
	}
	bot := func(w *workspace) notify.Reason {
		return reasonOf(t, w.bot.Send(t.Context(), notify.Delivery{Message: isRunning, DryRun: true}, nil))
	}
	w := newWorkspace(t, nil)
	if got := bot(w); got != "" {
		t.Errorf("bot: %s", got)
	}
	if got := hook(w, fakeslack.WebhookPath); got != "" {
		t.Errorf("webhook: %s", got)
	}
	if got := hook(w, "/services/gone"); got != notify.Misconfigured {
		t.Errorf("a webhook that is gone: %q", got)
	}
	w.current = "xoxb-old"
	if got := bot(w); got != "" || w.refreshes != 1 {
		t.Errorf("after a rotation: %q, %d refreshes", got, w.refreshes)
	}
	w.Inject(httpfault.Fault{Times: 1, Status: 503})
	if got := bot(w); got != notify.Unavailable {
		t.Errorf("in an outage: %q", got)
	}
	w.Channels = nil
	if got := bot(w); got != notify.Misconfigured {
		t.Errorf("without its channel: %q", got)
	}
	if n := len(w.Log()); n != 0 {
		t.Errorf("%d messages were shown", n)
	}
}

func TestEachMessageWaitsForTheChannelsTurnAndAnEditDoesNot(t *testing.T) {
	w := newWorkspace(t, nil)
	var before []string // what Slack had seen at each turn
	step := notify.Delivery{Message: isRunning, Turn: func(context.Context) error {
		before = append(before, w.did(0))
		return nil
	}}
	save := func(_ context.Context, card notify.MessageRef) error { step.Card = card; return nil }
	for _, m := range []message.Message{isRunning, isBad} {
		step.Message = m
		if err := w.bot.Send(t.Context(), step, save); err != nil {
			t.Fatal(err)
		}
		step.Edit = true
	}
	if want := []string{"", "post R, edit F"}; !slices.Equal(before, want) {
		t.Errorf("at the turns Slack had seen %q, want %q", before, want)
	}
	late := &notify.Failure{Reason: notify.RateLimited, After: 7, Err: errors.New("others first")}
	step.Turn = func(context.Context) error { return late }
	n := len(w.Log())
	if err := w.bot.Send(t.Context(), step, save); err != error(late) || w.did(n) != "edit F" {
		t.Errorf("without a turn: %v, did %q", err, w.did(n))
	}
}
