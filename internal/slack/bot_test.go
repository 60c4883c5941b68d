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

	slackgo "github.com/slack-go/slack"

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

// The messages of a job that runs, has succeeded and has failed.
var (
	isRunning = message.Message{Word: "RUNNING", Name: "crm", Status: jobs.Running, Lead: lines1("It runs."), Facts: lines1("job 1")}
	isGood    = message.Message{Word: "SUCCEEDED", Name: "crm", Status: jobs.Succeeded, Severity: message.Good, Terminal: true,
		Lead: lines1("It is done."), Facts: lines1("job 1")}
	isBad = message.Message{Word: "FAILED", Name: "crm", Status: jobs.Failed, Severity: message.Bad, Loud: true, Terminal: true,
		Lead: lines1("Access denied"), Error: &message.Error{Text: "no access", Category: jobs.IAM}, Steps: lines1("Grant it."),
		Links: []message.Link{{Label: "Job", URL: "https://console.example.com/job"}}, Facts: lines1("job 1")}
)

func lines1(text string) []message.Line { return []message.Line{message.Plain(text)} }

// workspace is a fake Slack with a bot in one channel.
type workspace struct {
	*fakeslack.Server
	bot  *Bot
	card notify.MessageRef // as returned last

	current   string // the token as cached
	posts     int    // how many references Send has returned
	refreshes int
	limiter   fake.Limiter
	tokenErr  error
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
		Limiter: &w.limiter,
	}
	if set != nil {
		set(&options)
	}
	w.bot = NewBot(options)
	return w
}

// send sends one delivery with the card as it was returned last.
func (w *workspace) send(t *testing.T, m message.Message, edit bool) error {
	t.Helper()
	ref, err := w.bot.Send(t.Context(), notify.Delivery{Message: m, Card: w.card, Edit: edit})
	if ref != (notify.MessageRef{}) {
		w.posts++
		w.card = ref
		if err != nil {
			t.Errorf("a reference %+v comes with an error: %v", ref, err)
		}
	}
	return err
}

// did lists what Slack received since it had n entries in its log.
func (w *workspace) did(n int) string {
	var all []string
	for _, m := range w.Log()[n:] {
		word := "post"
		switch {
		case m.ThreadTS != "" && m.Broadcast:
			word = "broadcast reply"
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

// mentions reports whether a message mentions whom the setting names.
func mentions(t *testing.T, m fakeslack.Message) bool {
	t.Helper()
	blocks, err := json.Marshal(m.Blocks)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(m.Text+string(blocks), `\u003c!here\u003e`) // as json.Marshal spells <!here>
}

func TestBotHoldsTheContract(t *testing.T) {
	w := newWorkspace(t, nil)
	open := func(l fake.RateLimiter) notify.Destination { w.bot.Limiter = l; return w.bot }
	fake.DestinationContract(t, open, func() int { return len(w.Messages()) })
}

func TestFirstDeliveryPostsACardAndReturnsItsReference(t *testing.T) {
	w := newWorkspace(t, nil)
	if err := w.send(t, isRunning, true); err != nil {
		t.Fatal(err)
	}
	posted := w.Messages()
	if len(posted) != 1 || w.did(0) != "post R" {
		t.Fatalf("Slack received: %s", w.did(0))
	}
	if want := (notify.MessageRef{Channel: channel, TS: posted[0].TS}); w.card != want || w.posts != 1 {
		t.Errorf("returned %+v %d times, want %+v once", w.card, w.posts, want)
	}
	if header, ok := posted[0].Blocks.BlockSet[0].(*slackgo.HeaderBlock); posted[0].Text != "RUNNING: crm\nIt runs." || !ok || header.Text.Text != "🔵 RUNNING: crm" {
		t.Errorf("posted %+v", posted[0])
	}
}

func TestLaterDeliveryEditsTheCardAndThenReplies(t *testing.T) {
	w := newWorkspace(t, nil)
	for _, m := range []message.Message{isRunning, isGood} {
		if err := w.send(t, m, true); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := w.did(0), "post R, edit S, reply S"; got != want {
		t.Fatalf("Slack received: %s, want %s", got, want)
	}
	all := w.Messages()
	if all[0].Text != "SUCCEEDED: crm\nIt is done." || all[0].Edits != 1 || all[1].ThreadTS != all[0].TS || w.posts != 1 {
		t.Errorf("the channel shows %+v, %d cards posted", all, w.posts)
	}
}

func TestDeliveryForTheCardOnlyEditsItAndPostsNothing(t *testing.T) {
	for name, test := range map[string]struct {
		edit, gone bool
		want       string
	}{
		"a card":                      {true, false, "edit F"},
		"a card that someone deleted": {true, true, ""},
		"a bot that edits no cards":   {false, false, ""},
	} {
		w := newWorkspace(t, func(o *BotOptions) { o.Edit = test.edit })
		if err := w.send(t, isRunning, true); err != nil {
			t.Fatal(err)
		}
		card := w.card
		if test.gone {
			card.TS = "1.000000"
		}
		ref, err := w.bot.Send(t.Context(), notify.Delivery{Message: isBad, Card: card, Edit: true, CardOnly: true})
		if err != nil || ref != (notify.MessageRef{}) || w.did(1) != test.want || w.limiter.Waits != 1 {
			t.Errorf("%s: Slack received %q, want %q; reference %v, %d waits, error %v", name, w.did(1), test.want, ref, w.limiter.Waits, err)
		}
	}
}

func TestDeliveryWithoutEditLeavesTheCard(t *testing.T) {
	w := newWorkspace(t, nil)
	for _, m := range []message.Message{isGood, isBad} {
		if err := w.send(t, m, false); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := w.did(0), "post S, broadcast reply F"; got != want {
		t.Errorf("Slack received: %s, want %s", got, want)
	}
}

// A delivery that does not edit the card is of a terminal status, which must be
// shown somewhere.
func TestDeliveryWithoutEditRepliesThoughThreadIsOff(t *testing.T) {
	w := newWorkspace(t, func(o *BotOptions) { o.Thread, o.Broadcast = false, false })
	for _, m := range []message.Message{isGood, isBad} {
		if err := w.send(t, m, false); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := w.did(0), "post S, reply F"; got != want {
		t.Errorf("Slack received: %s, want %s", got, want)
	}
}

func TestEditThreadAndBroadcastAreIndependent(t *testing.T) {
	for _, c := range []struct {
		edit, thread, broadcast bool
		running, good, bad      string
	}{
		{true, true, true, "edit R, reply R", "edit S, reply S", "edit F, broadcast reply F"},
		{true, true, false, "edit R, reply R", "edit S, reply S", "edit F, reply F"},
		{true, false, true, "edit R", "edit S", "edit F, broadcast reply F"},
		{true, false, false, "edit R", "edit S", "edit F"},
		{false, true, true, "reply R", "reply S", "broadcast reply F"},
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
					t.Errorf("%s: Slack received: %s, want %s", m.Status, got, want)
				}
			}
		})
	}
}

func TestMentionIsInLoudMessagesOnly(t *testing.T) {
	for _, m := range []message.Message{isRunning, isGood, isBad} {
		w := newWorkspace(t, nil)
		if err := errors.Join(w.send(t, isRunning, true), w.send(t, m, true)); err != nil {
			t.Fatal(err)
		}
		for _, sent := range w.Log() {
			got := mentions(t, sent)
			if want := sent.ThreadTS != "" && m.Loud; got != want {
				t.Errorf("%s: %q mentions: %t, want %t (an edit notifies nobody)", m.Status, sent.Text, got, want)
			}
		}
	}
}

func TestCardThatIsGoneIsPostedAgain(t *testing.T) {
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
				t.Errorf("Slack received: %s", got)
			}
			if w.posts != 2 || w.card == old || w.card.TS == "" {
				t.Errorf("returned %+v after %+v", w.card, old)
			}
		})
	}
}

func TestRefusedBlocksAreSentAgainInASimplerForm(t *testing.T) {
	for _, code := range []string{"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "no_text", "invalid_arguments"} {
		for _, operation := range []string{"chat.postMessage", "chat.update"} {
			for refused, want := range []string{"card", "simple card", "plain text"} {
				w := newWorkspace(t, func(o *BotOptions) { o.Thread, o.Broadcast = false, false })
				if operation == "chat.update" {
					if err := w.send(t, isRunning, true); err != nil {
						t.Fatal(err)
					}
				}
				if refused > 0 {
					w.Inject(httpfault.Fault{Operation: operation, Times: refused, Status: 200, Body: `{"ok":false,"error":"` + code + `"}`})
				}
				if err := w.send(t, isBad, true); err != nil {
					t.Errorf("%s, %s: %v", operation, code, err)
					continue
				}
				if shown := w.Messages()[0]; formOf(shown) != want || !strings.HasPrefix(shown.Text, "FAILED: crm\n") {
					t.Errorf("%s, %s, refused %d times: the channel shows a %s: %+v", operation, code, refused, formOf(shown), shown)
				}
			}
		}
	}
}

// formOf says in which form a message is shown.
func formOf(m fakeslack.Message) string {
	form := "plain text"
	for _, b := range m.Blocks.BlockSet {
		if form = "simple card"; b.BlockType() == slackgo.MBTRichText {
			return "card"
		}
	}
	return form
}

func TestFollowUpEditsTheCardAndRepliesOnce(t *testing.T) {
	for _, c := range []struct {
		thread bool
		reply  message.Line
		want   string
	}{
		{true, message.Plain("2 failures in a row"), "edit F, reply F"},
		{true, nil, "edit F"},
		{false, message.Plain("2 failures in a row"), "edit F"},
	} {
		w := newWorkspace(t, func(o *BotOptions) { o.Thread = c.thread })
		if err := w.send(t, isBad, true); err != nil {
			t.Fatal(err)
		}
		if err := w.bot.FollowUp(t.Context(), w.card, isBad.With(message.FollowUp{Failures: 2}), c.reply); err != nil {
			t.Fatal(err)
		}
		if got := w.did(1); got != c.want {
			t.Errorf("thread %v, reply %v: Slack received: %s, want %s", c.thread, c.reply, got, c.want)
		}
		for _, sent := range w.Log()[1:] {
			if mentions(t, sent) {
				t.Errorf("%q mentions someone", sent.Text)
			}
		}
	}
}

func TestFollowUpOfACardThatIsGoneIsDone(t *testing.T) {
	for _, operation := range []string{"chat.update", "chat.postMessage"} {
		w := newWorkspace(t, nil)
		if err := w.send(t, isBad, true); err != nil {
			t.Fatal(err)
		}
		w.Inject(httpfault.Fault{Operation: operation, Times: 1, Status: 200, Body: `{"ok":false,"error":"message_not_found"}`})
		if err := w.bot.FollowUp(t.Context(), w.card, isBad, message.Plain("again")); err != nil || len(w.Messages()) != 1 {
			t.Errorf("%s: %v, %d messages", operation, err, len(w.Messages()))
		}
		w.Inject(httpfault.Fault{Operation: operation, Status: 500})
		if reason := reasonOf(t, w.bot.FollowUp(t.Context(), w.card, isBad, message.Plain("again"))); reason != notify.Unavailable {
			t.Errorf("%s fails: %s", operation, reason)
		}
	}
}

func TestCardInAChannelThatIsGoneIsMisconfiguredIfPostingFailsToo(t *testing.T) {
	w := newWorkspace(t, nil)
	if err := w.send(t, isRunning, true); err != nil {
		t.Fatal(err)
	}
	w.Inject(httpfault.Fault{Status: 200, Body: `{"ok":false,"error":"channel_not_found"}`})
	if reason := reasonOf(t, w.send(t, isBad, true)); reason != notify.Misconfigured || w.posts != 1 {
		t.Errorf("%s after %d posts, want misconfigured after 1", reason, w.posts)
	}
}

// Slack keeps the blocks of a message that is updated without any; an empty
// list removes them (chat.update, blocks).
func TestEditInPlainTextRemovesTheOldBlocks(t *testing.T) {
	var edits []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		if edits = append(edits, r.Form.Get("blocks")); len(edits) <= 2 {
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
	if err := w.send(t, isBad, true); err != nil || len(edits) != 3 || edits[2] != "[]" {
		t.Errorf("blocks were sent as %q (%v)", edits, err)
	}
}

func TestRotatedTokenIsReadAgainAndTheMessageDelivered(t *testing.T) {
	for _, code := range []string{"", "not_authed", "token_revoked", "token_expired", "account_inactive"} {
		w := newWorkspace(t, nil)
		if w.current = "xoxb-old"; code != "" {
			w.Inject(httpfault.Fault{Times: 1, Status: 200, Body: `{"ok":false,"error":"` + code + `"}`})
		}
		if err := w.send(t, isBad, true); err != nil || w.did(0) != "post F" || w.refreshes != 1 {
			t.Errorf("%q: Slack received: %s after %d refreshes (%v)", code, w.did(0), w.refreshes, err)
		}
	}
}

func TestTokenThatStaysInvalidIsMisconfigured(t *testing.T) {
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

func TestNothingIsSentWithoutAToken(t *testing.T) {
	w := newWorkspace(t, nil)
	w.tokenErr = errors.New("reading SSM parameter /p: no")
	err := w.send(t, isBad, true)
	if reasonOf(t, err) != notify.Misconfigured || !errors.Is(err, w.tokenErr) || len(w.Log()) != 0 {
		t.Errorf("error %v, Slack received: %s", err, w.did(0))
	}
}

func TestFailedReplyIsSentWhenTheWholeDeliveryIsRepeated(t *testing.T) {
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
	if got, want := w.did(1), "edit F, edit F, broadcast reply F"; got != want {
		t.Errorf("Slack received: %s, want %s", got, want)
	}
}

func TestFailedEditFailsTheDelivery(t *testing.T) {
	w := newWorkspace(t, nil)
	if err := w.send(t, isRunning, true); err != nil {
		t.Fatal(err)
	}
	w.Inject(httpfault.Fault{Operation: "chat.update", Times: 1, Status: 503})
	if reason := reasonOf(t, w.send(t, isBad, true)); reason != notify.Unavailable {
		t.Errorf("reason is %q", reason)
	}
	if got := w.did(1); got != "" {
		t.Errorf("Slack received: %s", got)
	}
}

func TestDestinationIsNamedByItsChannel(t *testing.T) {
	if got := NewBot(BotOptions{Channel: "#data-jobs"}).ID(); got != "slack:#data-jobs" {
		t.Errorf("ID is %q", got)
	}
	if got := NewWebhook(WebhookOptions{}).ID(); got != "slack-webhook" {
		t.Errorf("ID is %q", got)
	}
}

func TestDryRunShowsNothingAndFailsAsADeliveryWould(t *testing.T) {
	hook := func(w *workspace, path string) notify.Reason {
		server := httptest.NewServer(w.Server)
		defer server.Close()
		u := func(context.Context) (string, error) { return server.URL + path, nil }
		_, err := NewWebhook(WebhookOptions{URL: u, Refresh: u, AllowLoopback: true}).Send(t.Context(), notify.Delivery{Message: isRunning, DryRun: true})
		return reasonOf(t, err)
	}
	bot := func(w *workspace) notify.Reason {
		_, err := w.bot.Send(t.Context(), notify.Delivery{Message: isRunning, DryRun: true})
		return reasonOf(t, err)
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

func TestBotWaitsBeforeEachMessageAndNotBeforeAnEdit(t *testing.T) {
	w := newWorkspace(t, nil)
	var before []string // what Slack had received at each wait
	w.limiter.OnWait = func() { before = append(before, w.did(0)) }
	if err := errors.Join(w.send(t, isRunning, true), w.send(t, isBad, true)); err != nil {
		t.Fatal(err)
	}
	if want := []string{"", "post R, edit F"}; !slices.Equal(before, want) {
		t.Errorf("at the waits Slack had received %q, want %q", before, want)
	}
	late := &notify.Failure{Reason: notify.RateLimited, After: 7, Err: errors.New("others first")}
	w.limiter.Err = late
	n := len(w.Log())
	if err := w.send(t, isBad, true); err != error(late) || w.did(n) != "edit F" || len(w.limiter.Pauses) != 0 {
		t.Errorf("refused: %v, did %q, %d pauses", err, w.did(n), len(w.limiter.Pauses))
	}
}

// A plain repetition is one more message.
func TestBotWaitsOncePerAttemptOfAMessage(t *testing.T) {
	w := newWorkspace(t, nil)
	w.Inject(httpfault.Fault{Times: 1, Status: 200, Body: `{"ok":false,"error":"invalid_blocks"}`})
	if err := w.send(t, isBad, true); err != nil || w.limiter.Waits != 2 {
		t.Errorf("%d waits (%v)", w.limiter.Waits, err)
	}
}

func TestSlotIsPreparedWhereADeliverySurelyPosts(t *testing.T) {
	for _, c := range []struct {
		edit, thread bool
		want         int
	}{{true, true, 1}, {false, true, 1}, {false, false, 1}, {true, false, 0}} {
		limiter := &fake.Limiter{}
		NewBot(BotOptions{Edit: c.edit, Thread: c.thread, Limiter: limiter}).Prepare(t.Context())
		if limiter.Prepared != c.want {
			t.Errorf("edit %v, thread %v: prepared %d times", c.edit, c.thread, limiter.Prepared)
		}
	}
	limiter := &fake.Limiter{}
	hook := NewWebhook(WebhookOptions{Limiter: limiter})
	hook.Prepare(t.Context())
	if limiter.Prepared != 1 {
		t.Errorf("webhook: prepared %d times", limiter.Prepared)
	}
	NewBot(BotOptions{Thread: true}).Prepare(t.Context()) // without a limiter there is nothing to do
	NewWebhook(WebhookOptions{}).Prepare(t.Context())
}
