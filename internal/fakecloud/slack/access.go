package slack

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// scopes are what the token has until Grant changes them.
var scopes = []string{"chat:write", "channels:read", "groups:read"}

// Grant replaces the token's scopes; none at all restores the first ones.
func (s *Server) Grant(all ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scopes = all
}

// Kick removes the bot from a channel, which exists and is public.
func (s *Server) Kick(channel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = append(s.left, channel)
}

// Invite adds the bot to a channel, which then exists.
func (s *Server) Invite(channel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = slices.DeleteFunc(s.left, func(c string) bool { return c == channel })
	if !slices.Contains(s.Channels, channel) {
		s.Channels = append(s.Channels, channel)
	}
}

// access returns the token's scopes and whether the channel exists and the bot is
// in it.
func (s *Server) access(channel string) (granted []string, exists, member bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	granted = s.scopes
	if len(granted) == 0 {
		granted = scopes
	}
	exists = slices.Contains(s.Channels, channel)
	return granted, exists, exists && !slices.Contains(s.left, channel)
}

// about responds to the methods that say what the token may do (Slack: auth.test,
// conversations.info). The header is on every response to a valid token.
func (s *Server) about(operation string, form url.Values, header http.Header) (response map[string]any, ok bool) {
	channel := form.Get("channel")
	granted, exists, member := s.access(channel)
	header.Set("X-Oauth-Scopes", strings.Join(granted, ","))
	switch {
	case operation == "auth.test":
		return map[string]any{"ok": true, "url": "https://example.slack.com/", "team": "Example", "user": "id-mapping", "team_id": "T0EXAMPLE", "user_id": "U0IDMAPPING", "bot_id": "B0IDMAPPING"}, true
	case operation == "conversations.info" && !slices.Contains(granted, "channels:read"):
		return map[string]any{"ok": false, "error": "missing_scope", "needed": "channels:read", "provided": strings.Join(granted, ",")}, true
	case !exists:
		return refused("channel_not_found"), true
	case operation == "conversations.info":
		return map[string]any{"ok": true, "channel": map[string]any{"id": channel, "name": strings.ToLower(channel), "is_channel": true, "is_private": false, "is_archived": false, "is_member": member}}, true
	case !slices.Contains(granted, "chat:write"):
		return map[string]any{"ok": false, "error": "missing_scope", "needed": "chat:write", "provided": strings.Join(granted, ",")}, true
	case !member && !slices.Contains(granted, "chat:write.public"):
		return refused("not_in_channel"), true
	}
	return nil, false
}
