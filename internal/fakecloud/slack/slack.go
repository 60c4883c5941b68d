// Package slack is a fake of Slack's Web API and incoming webhooks.
package slack

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	slackgo "github.com/slack-go/slack"

	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
)

// Server serves the methods of the Web API that post messages or say what a token
// may do, under /api/, and an incoming webhook under /services/. It refuses what Slack refuses.
type Server struct {
	Token    string   // the one bot token that is valid
	Channels []string // ids and names that exist
	// MinInterval, if set, is the least time between two messages in a channel.
	// An earlier one gets a 429.
	MinInterval time.Duration
	// OnMessage, if set, receives every message, edit and reply.
	OnMessage func(Message)

	httpfault.Set

	mu       sync.Mutex
	messages []*Message
	log      []Message
	calls    []string
	scopes   []string // of the token; empty: the first ones
	left     []string // channels without the bot
	last     map[string]time.Time
	n        int
}

// Message is a message in a channel in its current form.
type Message struct {
	At        time.Time // of the post, or in the log of the edit
	Channel   string    // "webhook" for one posted by a webhook
	TS        string
	ThreadTS  string // of a reply
	Broadcast bool   // a reply that was also sent to the channel
	Edits     int
	Text      string
	Blocks    slackgo.Blocks
}

// WebhookPath is the path of the incoming webhook.
const WebhookPath = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"

// Messages returns the messages in their current form, in the order of posting.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Message
	for _, m := range s.messages {
		all = append(all, *m)
	}
	return all
}

// Log returns every accepted message, edit and reply, in order.
func (s *Server) Log() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// Calls returns the operations that were called, whatever the response.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// ServeHTTP serves /api/chat.postMessage, /api/chat.update, /api/auth.test,
// /api/conversations.info and the webhook. A fault's Operation is the method's
// name or "webhook".
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation := strings.TrimPrefix(r.URL.Path, "/api/")
	if strings.HasPrefix(r.URL.Path, "/services/") {
		operation = "webhook"
	}
	s.mu.Lock()
	s.calls = append(s.calls, operation)
	s.mu.Unlock()
	if fault, ok := s.Take(operation, ""); ok {
		fault.ServeHTTP(w, r)
		return
	}
	if operation == "webhook" {
		s.webhook(w, r)
		return
	}
	response, wait := s.call(operation, r, w.Header())
	w.Header().Set("Content-Type", "application/json")
	if wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		w.WriteHeader(http.StatusTooManyRequests)
		response = map[string]any{"ok": false, "error": "ratelimited"}
	}
	_ = json.NewEncoder(w).Encode(response)
}

func refused(code string) map[string]any { return map[string]any{"ok": false, "error": code} }

func (s *Server) call(operation string, r *http.Request, header http.Header) (response map[string]any, wait time.Duration) {
	if err := r.ParseForm(); err != nil {
		return refused("invalid_form_data"), 0
	}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if token == "" {
		token = r.Form.Get("token")
	}
	if token != s.Token {
		return refused("invalid_auth"), 0
	}
	if response, ok := s.about(operation, r.Form, header); ok {
		return response, 0
	}
	m := Message{Channel: r.Form.Get("channel"), Text: r.Form.Get("text"),
		ThreadTS: r.Form.Get("thread_ts"), Broadcast: r.Form.Get("reply_broadcast") == "true", At: time.Now()}
	if raw := r.Form.Get("blocks"); raw != "" && json.Unmarshal([]byte(raw), &m.Blocks) != nil {
		return refused("invalid_blocks_format"), 0
	}
	if code := m.invalid(); code != "" {
		return refused(code), 0
	}
	switch operation {
	case "chat.postMessage":
		return s.post(m)
	case "chat.update":
		return s.update(m, r.Form.Get("ts")), 0
	default:
		return refused("unknown_method"), 0
	}
}

func (s *Server) post(m Message) (map[string]any, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait := s.tooSoon(m.Channel); wait > 0 {
		return nil, wait
	}
	if m.ThreadTS != "" && s.find(m.Channel, m.ThreadTS) == nil {
		return refused("thread_not_found"), 0
	}
	s.add(m)
	return map[string]any{"ok": true, "channel": m.Channel, "ts": s.messages[len(s.messages)-1].TS, "message": map[string]string{"text": m.Text}}, 0
}

func (s *Server) tooSoon(channel string) time.Duration {
	if s.last == nil {
		s.last = make(map[string]time.Time)
	}
	if wait := s.MinInterval - time.Since(s.last[channel]); wait > 0 && s.MinInterval > 0 {
		return wait
	}
	s.last[channel] = time.Now()
	return 0
}

func (s *Server) add(m Message) {
	s.n++
	m.TS = fmt.Sprintf("%d.%06d", m.At.Unix(), s.n)
	s.messages = append(s.messages, &m)
	s.publish(m)
}

func (s *Server) publish(m Message) {
	s.log = append(s.log, m)
	if s.OnMessage != nil {
		s.OnMessage(m)
	}
}

func (s *Server) update(m Message, ts string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.find(m.Channel, ts)
	if old == nil {
		return refused("message_not_found")
	}
	old.Text, old.Blocks = m.Text, m.Blocks
	old.Edits++
	edited := *old
	edited.At = m.At
	s.publish(edited)
	return map[string]any{"ok": true, "channel": m.Channel, "ts": ts, "text": m.Text}
}

func (s *Server) find(channel, ts string) *Message {
	for _, m := range s.messages {
		if m.Channel == channel && m.TS == ts {
			return m
		}
	}
	return nil
}

func (s *Server) webhook(w http.ResponseWriter, r *http.Request) {
	respond := func(status int, text string) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
	if r.URL.Path != WebhookPath {
		respond(http.StatusNotFound, "no_service")
		return
	}
	m := Message{Channel: "webhook", At: time.Now()}
	var in struct {
		Text   string         `json:"text"`
		Blocks slackgo.Blocks `json:"blocks"`
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		respond(http.StatusBadRequest, "invalid_payload")
		return
	}
	m.Text, m.Blocks = in.Text, in.Blocks
	if code := m.invalid(); code != "" {
		respond(http.StatusBadRequest, code)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait := s.tooSoon(m.Channel); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		respond(http.StatusTooManyRequests, "rate_limited")
		return
	}
	s.add(m)
	respond(http.StatusOK, "ok")
}

// invalid returns Slack's error for a message that exceeds a limit ("Block Kit"
// reference; chat.postMessage, Errors), or an empty string.
func (m Message) invalid() string {
	blocks := m.Blocks.BlockSet
	if m.Text == "" && len(blocks) == 0 {
		return "no_text"
	}
	if len([]rune(m.Text)) > 40_000 {
		return "msg_too_long"
	}
	if len(blocks) > 50 {
		return "invalid_blocks"
	}
	var c counter
	for _, b := range blocks {
		if !c.accepts(b) {
			return "invalid_blocks"
		}
	}
	if c.tables > 1 {
		return "invalid_attachments" // only_one_table_allowed
	}
	if c.total > 13_200 {
		return "msg_blocks_too_long"
	}
	return ""
}

// counter counts what a message's blocks hold.
type counter struct{ total, tables int }

// fits counts a text, and reports whether it has 1 to limit characters.
func (c *counter) fits(text string, limit int) bool {
	n := len([]rune(text))
	c.total += n
	return n > 0 && n <= limit
}

func (c *counter) accepts(b slackgo.Block) bool {
	switch b := b.(type) {
	case *slackgo.HeaderBlock:
		return b.Text != nil && b.Text.Type == "plain_text" && c.fits(b.Text.Text, 150)
	case *slackgo.SectionBlock:
		if b.Text == nil && len(b.Fields) == 0 || len(b.Fields) > 10 || b.Text != nil && !c.fits(b.Text.Text, 3000) {
			return false
		}
		return !slices.ContainsFunc(b.Fields, func(f *slackgo.TextBlockObject) bool { return !c.fits(f.Text, 2000) })
	case *slackgo.ContextBlock:
		n := len(b.ContextElements.Elements)
		return n > 0 && n <= 10 && !slices.ContainsFunc(b.ContextElements.Elements, func(e slackgo.MixedElement) bool {
			text, ok := e.(*slackgo.TextBlockObject)
			return !ok || !c.fits(text.Text, 3000)
		})
	case *slackgo.RichTextBlock:
		return len(b.Elements) > 0 && !slices.ContainsFunc(b.Elements, func(e slackgo.RichTextElement) bool { return !c.acceptsRich(e) })
	case *slackgo.TableBlock:
		c.tables++
		return c.acceptsTable(b)
	case *slackgo.DividerBlock:
		return true
	default:
		return false
	}
}

func (c *counter) acceptsTable(b *slackgo.TableBlock) bool {
	if len(b.Rows) == 0 || len(b.Rows) > 100 || len(b.ColumnSettings) > 20 {
		return false
	}
	before := c.total
	for _, row := range b.Rows {
		if len(row) == 0 || len(row) > 20 {
			return false
		}
		for _, cell := range row {
			if text, ok := cell.(*slackgo.TableRawTextCell); !ok || !c.fits(text.Text, 3000) {
				return false
			}
		}
	}
	return c.total-before <= 10_000 // an assumption, on the safe side
}

func (c *counter) acceptsRich(e slackgo.RichTextElement) bool {
	switch e := e.(type) {
	case *slackgo.RichTextSection:
		return !slices.ContainsFunc(e.Elements, func(e slackgo.RichTextSectionElement) bool { return !c.acceptsSpan(e) })
	case *slackgo.RichTextPreformatted:
		return !slices.ContainsFunc(e.Elements, func(e slackgo.RichTextSectionElement) bool { return !c.acceptsSpan(e) })
	case *slackgo.RichTextList:
		return !slices.ContainsFunc(e.Elements, func(e slackgo.RichTextElement) bool { return !c.acceptsRich(e) })
	default:
		return false
	}
}

func (c *counter) acceptsSpan(e slackgo.RichTextSectionElement) bool {
	switch e := e.(type) {
	case *slackgo.RichTextSectionTextElement:
		return c.fits(e.Text, 13_000)
	case *slackgo.RichTextSectionLinkElement:
		return e.URL != "" && c.fits(e.Text, 3000)
	case *slackgo.RichTextSectionDateElement:
		return c.fits(e.Format, 100) && e.Fallback != nil
	default:
		return false
	}
}

// MentionsJob reports whether the message's blocks name the job.
func (m Message) MentionsJob(id string) bool {
	raw, err := json.Marshal(m.Blocks)
	for rest := string(raw); err == nil; {
		_, after, found := strings.Cut(rest, id)
		if !found {
			return false
		}
		if after == "" || !isIDCharacter(after[0]) {
			return true
		}
		rest = after
	}
	return false
}

func isIDCharacter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-'
}
