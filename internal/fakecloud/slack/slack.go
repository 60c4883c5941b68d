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

	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
)

// Server serves the methods of the Web API that post messages, under /api/, and
// an incoming webhook under /services/. It refuses what Slack refuses.
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
	Blocks    []Block
}

// Block is a Block Kit block of a type that the product uses.
type Block struct {
	Type     string      `json:"type"`
	Text     *BlockText  `json:"text,omitempty"`
	Fields   []BlockText `json:"fields,omitempty"`
	Elements []BlockText `json:"elements,omitempty"`
}

// BlockText is a text object.
type BlockText struct {
	Type string `json:"type"`
	Text string `json:"text"`
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

// ServeHTTP serves /api/chat.postMessage, /api/chat.update and the
// webhook. A fault's Operation is "chat.postMessage", "chat.update" or "webhook".
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
	response, wait := s.call(operation, r)
	w.Header().Set("Content-Type", "application/json")
	if wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		w.WriteHeader(http.StatusTooManyRequests)
		response = map[string]any{"ok": false, "error": "ratelimited"}
	}
	_ = json.NewEncoder(w).Encode(response)
}

func refused(code string) map[string]any { return map[string]any{"ok": false, "error": code} }

func (s *Server) call(operation string, r *http.Request) (response map[string]any, wait time.Duration) {
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
	m := Message{Channel: r.Form.Get("channel"), Text: r.Form.Get("text"),
		ThreadTS: r.Form.Get("thread_ts"), Broadcast: r.Form.Get("reply_broadcast") == "true", At: time.Now()}
	if !slices.Contains(s.Channels, m.Channel) {
		return refused("channel_not_found"), 0
	}
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
		Text   string  `json:"text"`
		Blocks []Block `json:"blocks"`
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
	if m.Text == "" && len(m.Blocks) == 0 {
		return "no_text"
	}
	if len([]rune(m.Text)) > 40_000 {
		return "msg_too_long"
	}
	if len(m.Blocks) > 50 {
		return "invalid_blocks"
	}
	total := 0
	tooLong := func(text string, limit int) bool {
		n := len([]rune(text))
		total += n
		return n == 0 || n > limit
	}
	for _, b := range m.Blocks {
		switch b.Type {
		case "header":
			if b.Text == nil || b.Text.Type != "plain_text" || tooLong(b.Text.Text, 150) {
				return "invalid_blocks"
			}
		case "section":
			if b.Text == nil && len(b.Fields) == 0 || len(b.Fields) > 10 || b.Text != nil && tooLong(b.Text.Text, 3000) {
				return "invalid_blocks"
			}
			if slices.ContainsFunc(b.Fields, func(f BlockText) bool { return tooLong(f.Text, 2000) }) {
				return "invalid_blocks"
			}
		case "context":
			if len(b.Elements) == 0 || len(b.Elements) > 10 || slices.ContainsFunc(b.Elements, func(e BlockText) bool { return tooLong(e.Text, 3000) }) {
				return "invalid_blocks"
			}
		case "divider":
		default:
			return "invalid_blocks"
		}
	}
	if total > 13_200 {
		return "msg_blocks_too_long"
	}
	return ""
}

// MentionsJob reports whether the message's context blocks name the job.
func (m Message) MentionsJob(id string) bool {
	for _, b := range m.Blocks {
		for _, e := range b.Elements {
			if strings.Contains(e.Text, "job "+id) {
				return true
			}
		}
	}
	return false
}
