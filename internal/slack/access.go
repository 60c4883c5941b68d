package slack

import (
	"context"
	"slices"
	"strings"

	slackgo "github.com/slack-go/slack"
)

// Access is what a bot token may do, as Slack sees it.
type Access struct {
	Team   string   // the workspace's name
	Bot    string   // the bot user's name, as people invite it
	Scopes []string // such as chat:write

	client *slackgo.Client
}

// AccessError is why a call about a token failed. It never holds the token.
type AccessError struct {
	Code string // Slack's, such as invalid_auth, or the HTTP status
	Err  error
}

func (e *AccessError) Error() string { return e.Err.Error() }

// Authenticate asks Slack whose token this is. No scope is needed (Slack:
// auth.test); the token's scopes are in the header x-oauth-scopes of each response.
// apiURL is as in BotOptions. Its error is an *AccessError.
func Authenticate(ctx context.Context, token, apiURL string) (Access, error) {
	client := NewBot(BotOptions{APIURL: apiURL}).client(token)
	answer, err := client.AuthTestContext(ctx)
	if err != nil {
		return Access{}, &AccessError{summary(err), redacted(err)}
	}
	a := Access{Team: answer.Team, Bot: answer.User, client: client}
	for scope := range strings.SplitSeq(answer.Header.Get("X-Oauth-Scopes"), ",") {
		if scope = strings.TrimSpace(scope); scope != "" {
			a.Scopes = append(a.Scopes, scope)
		}
	}
	return a, nil
}

// Has reports whether the token has a scope.
func (a Access) Has(scope string) bool { return slices.Contains(a.Scopes, scope) }

// Channel is a channel as the bot sees it.
type Channel struct {
	Member, Private, Archived bool // Member: the bot is in it
}

// Channel looks a channel up by its ID. The token needs channels:read for a public
// channel and groups:read for a private one, of which it sees only those that the
// bot is in (Slack: conversations.info). Its error is an *AccessError, with the code
// missing_scope or channel_not_found.
func (a Access) Channel(ctx context.Context, id string) (Channel, error) {
	c, err := a.client.GetConversationInfoContext(ctx, &slackgo.GetConversationInfoInput{ChannelID: id})
	if err != nil {
		return Channel{}, &AccessError{summary(err), redacted(err)}
	}
	return Channel{Member: c.IsMember, Private: c.IsPrivate, Archived: c.IsArchived}, nil
}
