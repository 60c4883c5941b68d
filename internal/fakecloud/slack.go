package fakecloud

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
)

// Slack speaks the part of Slack's Web API that posts messages, under /api/,
// and incoming webhooks under /services/. It refuses what Slack refuses.
type Slack struct {
	Token    string   // the one bot token that is valid
	Channels []string // ids and names that exist
	// Gap, if set, is the least time between two messages in a channel: what
	// comes sooner is answered 429.
	Gap time.Duration
	// OnMessage, if set, is told of every message, edit and reply.
	OnMessage func(SlackMessage)

	mu       sync.Mutex
	messages []*SlackMessage
	log      []SlackMessage
	faults   []*Fault
	headers  http.Header
	last     map[string]time.Time
	n        int
}

// SlackMessage is a message in a channel as it stands.
type SlackMessage struct {
	At        time.Time // of the posting, or in the log of the edit
	Channel   string    // "webhook" for one that came by a webhook
	TS        string
	ThreadTS  string // of a reply
	Broadcast bool   // a reply that the channel was told of too
	Edits     int
	Text      string
	Blocks    []Block
}

// Block is a Block Kit block, of the kinds that the product uses.
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

// WebhookPath is the path of the stand-in's incoming webhook.
const WebhookPath = "/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"

// Messages are the channels' messages as they stand, in the order of posting.
func (s *Slack) Messages() []SlackMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []SlackMessage
	for _, m := range s.messages {
		all = append(all, *m)
	}
	return all
}

// Log is every message, edit and reply that was taken, in order.
func (s *Slack) Log() []SlackMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// Inject makes requests fail; headers go with the answer. Fault.Operation is
// "chat.postMessage", "chat.update" or "webhook".
func (s *Slack) Inject(f Fault, headers http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.headers = append(s.faults, &f), headers
}

// Clear ends every injected fault.
func (s *Slack) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

func (s *Slack) fault(operation string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if (f.Operation == "" || f.Operation == operation) && (f.Times == 0 || f.used < f.Times) {
			f.used++
			return f
		}
	}
	return nil
}

// ServeHTTP answers /api/chat.postMessage, /api/chat.update and the webhook.
func (s *Slack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation := strings.TrimPrefix(r.URL.Path, "/api/")
	if strings.HasPrefix(r.URL.Path, "/services/") {
		operation = "webhook"
	}
	if f := s.fault(operation); f != nil {
		for name, values := range s.headers {
			w.Header()[name] = values
		}
		f.answer(w, r)
		return
	}
	if operation == "webhook" {
		s.webhook(w, r)
		return
	}
	answer, wait := s.call(operation, r)
	w.Header().Set("Content-Type", "application/json")
	if wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		w.WriteHeader(http.StatusTooManyRequests)
		answer = map[string]any{"ok": false, "error": "ratelimited"}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func refused(code string) map[string]any { return map[string]any{"ok": false, "error": code} }

func (s *Slack) call(operation string, r *http.Request) (answer map[string]any, wait time.Duration) {
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
	m := SlackMessage{Channel: r.Form.Get("channel"), Text: r.Form.Get("text"),
		ThreadTS: r.Form.Get("thread_ts"), Broadcast: r.Form.Get("reply_broadcast") == "true", At: time.Now()}
	if !slices.Contains(s.Channels, m.Channel) {
		return refused("channel_not_found"), 0
	}
	if raw := r.Form.Get("blocks"); raw != "" && json.Unmarshal([]byte(raw), &m.Blocks) != nil {
		return refused("invalid_blocks_format"), 0
	}
	if code := m.broken(); code != "" {
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

func (s *Slack) post(m SlackMessage) (map[string]any, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait := s.tooSoon(m.Channel); wait > 0 {
		return nil, wait
	}
	if m.ThreadTS != "" && s.find(m.Channel, m.ThreadTS) == nil {
		return refused("thread_not_found"), 0
	}
	s.keep(m)
	return map[string]any{"ok": true, "channel": m.Channel, "ts": s.messages[len(s.messages)-1].TS, "message": map[string]string{"text": m.Text}}, 0
}

func (s *Slack) tooSoon(channel string) time.Duration {
	if s.last == nil {
		s.last = make(map[string]time.Time)
	}
	if wait := s.Gap - time.Since(s.last[channel]); wait > 0 && s.Gap > 0 {
		return wait
	}
	s.last[channel] = time.Now()
	return 0
}

func (s *Slack) keep(m SlackMessage) {
	s.n++
	m.TS = fmt.Sprintf("%d.%06d", m.At.Unix(), s.n)
	s.messages = append(s.messages, &m)
	s.tell(m)
}

func (s *Slack) tell(m SlackMessage) {
	s.log = append(s.log, m)
	if s.OnMessage != nil {
		s.OnMessage(m)
	}
}

func (s *Slack) update(m SlackMessage, ts string) map[string]any {
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
	s.tell(edited)
	return map[string]any{"ok": true, "channel": m.Channel, "ts": ts, "text": m.Text}
}

func (s *Slack) find(channel, ts string) *SlackMessage {
	for _, m := range s.messages {
		if m.Channel == channel && m.TS == ts {
			return m
		}
	}
	return nil
}

func (s *Slack) webhook(w http.ResponseWriter, r *http.Request) {
	say := func(status int, text string) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
	if r.URL.Path != WebhookPath {
		say(http.StatusNotFound, "no_service")
		return
	}
	m := SlackMessage{Channel: "webhook", At: time.Now()}
	var in struct {
		Text   string  `json:"text"`
		Blocks []Block `json:"blocks"`
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil {
		say(http.StatusBadRequest, "invalid_payload")
		return
	}
	m.Text, m.Blocks = in.Text, in.Blocks
	if code := m.broken(); code != "" {
		say(http.StatusBadRequest, code)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait := s.tooSoon(m.Channel); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		say(http.StatusTooManyRequests, "rate_limited")
		return
	}
	s.keep(m)
	say(http.StatusOK, "ok")
}

// broken is Slack's error for a message that breaks a limit ("Block Kit"
// reference; chat.postMessage, Errors), or empty.
func (m SlackMessage) broken() string {
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
	over := func(text string, most int) bool {
		n := len([]rune(text))
		total += n
		return n == 0 || n > most
	}
	for _, b := range m.Blocks {
		switch b.Type {
		case "header":
			if b.Text == nil || b.Text.Type != "plain_text" || over(b.Text.Text, 150) {
				return "invalid_blocks"
			}
		case "section":
			if b.Text == nil && len(b.Fields) == 0 || len(b.Fields) > 10 || b.Text != nil && over(b.Text.Text, 3000) {
				return "invalid_blocks"
			}
			if slices.ContainsFunc(b.Fields, func(f BlockText) bool { return over(f.Text, 2000) }) {
				return "invalid_blocks"
			}
		case "context":
			if len(b.Elements) == 0 || len(b.Elements) > 10 || slices.ContainsFunc(b.Elements, func(e BlockText) bool { return over(e.Text, 3000) }) {
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
