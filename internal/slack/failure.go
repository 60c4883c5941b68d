package slack

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/aws/smithy-go"
	slackgo "github.com/slack-go/slack"

	"github.com/idmapping/notifier/internal/notify"
)

// kind is what an error of Slack's asks for.
type kind int

const (
	again   kind = iota // wait and try again
	slow                // wait as long as asked
	setting             // someone has to mend a setting
	secret              // the same, but the secret may have been rotated: read it again first
	blocks              // the card is refused: say it in plain text
	noCard              // the card that was to be edited is gone: post a new one
	never               // an answer that nobody understands: this message will not be taken
)

// codes are Slack's errors of chat.postMessage and chat.update, and the bodies
// of incoming webhooks (Slack: both methods' "Errors"; "Sending messages using
// incoming webhooks", handling errors). An error that is not here is tried
// again: waiting loses nothing.
var codes = map[kind][]string{
	slow: {"ratelimited", "rate_limited", "message_limit_exceeded"},
	secret: {"invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive",
		"no_service", "no_service_id", "no_active_hooks", "no_team", "invalid_token", "team_disabled"},
	setting: {"channel_not_found", "not_in_channel", "is_archived", "channel_is_archived", "missing_scope",
		"no_permission", "org_login_required", "ekm_access_denied", "restricted_action", "restricted_action_read_only_channel",
		"restricted_action_thread_only_channel", "restricted_action_non_threadable_channel", "restricted_action_thread_locked",
		"action_prohibited", "posting_to_general_channel_denied", "user_not_found", "user_not_in_channel", "access_denied",
		"not_allowed_token_type", "team_access_not_granted", "two_factor_setup_required", "enterprise_is_restricted",
		"team_not_found", "slack_connect_canvas_sharing_blocked", "slack_connect_clip_sharing_blocked"},
	blocks: {"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "invalid_arguments", "invalid_payload",
		"invalid_attachments", "too_many_attachments", "markdown_text_conflict", "metadata_too_large",
		"no_text", "missing_text_or_fallback_or_attachments", "msg_too_long"},
	noCard: {"message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found",
		"cannot_reply_to_message", "is_inactive"},
	again: {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "rollup_error", "timeout",
		"accesslimited", "update_failed", "as_user_not_supported"},
}

// statuses are the HTTP statuses that say it all where the body names no code.
var statuses = map[int]kind{
	http.StatusBadRequest:            blocks,
	http.StatusUnauthorized:          secret,
	http.StatusForbidden:             secret,
	http.StatusNotFound:              secret,
	http.StatusGone:                  secret,
	http.StatusRequestEntityTooLarge: blocks,
	http.StatusTooManyRequests:       slow,
}

// kindOf sorts what slack-go or our transport returned.
func kindOf(err error) kind {
	if answer, ok := errors.AsType[*answerError](err); ok {
		if answer.status == http.StatusTooManyRequests {
			return slow
		}
		if k, ok := kindOfCode(answer.code); ok {
			return k
		}
		if answer.status == http.StatusOK {
			return never
		}
		if k, ok := statuses[answer.status]; ok {
			return k
		}
		if answer.status < http.StatusInternalServerError {
			return setting // a redirect, a proxy's page: nothing that a card could mend
		}
		return again
	}
	if answer, ok := errors.AsType[slackgo.SlackErrorResponse](err); ok {
		k, _ := kindOfCode(answer.Err)
		return k
	}
	return again
}

func kindOfCode(code string) (kind, bool) {
	for k, names := range codes {
		if slices.Contains(names, code) {
			return k, true
		}
	}
	return again, false
}

// gone tells whether a call about a card says that there is no such card any
// more. Its channel can be gone too, and another have its name: where the
// setting itself is wrong, posting a new card says so.
func gone(err error) bool {
	answer, ok := errors.AsType[slackgo.SlackErrorResponse](err)
	return kindOf(err) == noCard || ok && slices.Contains([]string{"channel_not_found", "is_archived"}, answer.Err)
}

// failureOf is the delivery's failure for an error that stays.
func failureOf(err error) *notify.Failure {
	f := &notify.Failure{Err: safe(err)}
	switch kindOf(err) {
	case slow:
		f.Reason, f.After = notify.RateLimited, afterOf(err)
	case setting, secret:
		f.Reason = notify.Misconfigured
	case blocks, never:
		f.Reason = notify.Refused
	default:
		f.Reason = notify.Unavailable
	}
	return f
}

// secretFailure is the failure for a secret that could not be read: an outage
// where the call failed, a setting where SSM says so or the value is no good.
func secretFailure(err error) *notify.Failure {
	f := &notify.Failure{Reason: notify.Misconfigured, Err: err}
	if _, called := errors.AsType[*smithy.OperationError](err); !called {
		return f
	}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || !slices.Contains(unreadable, api.ErrorCode()) {
		f.Reason = notify.Unavailable
	}
	return f
}

// unreadable are SSM's errors that somebody has to mend (GetParameter, Errors).
var unreadable = []string{"ParameterNotFound", "ParameterVersionNotFound", "AccessDeniedException", "InvalidKeyId", "ValidationException"}

func afterOf(err error) time.Duration {
	if answer, ok := errors.AsType[*answerError](err); ok && answer.after > 0 {
		return answer.after
	}
	return defaultRetry
}

// safe is err without anything that could be a secret: net/http's errors hold
// the URL.
func safe(err error) error {
	if answer, ok := errors.AsType[*answerError](err); ok {
		return answer
	}
	if answer, ok := errors.AsType[slackgo.SlackErrorResponse](err); ok {
		if code := codeIn([]byte(answer.Err)); code != "" {
			return errors.New("refused by Slack: " + code)
		}
		return errors.New("refused by Slack")
	}
	call, ok := errors.AsType[*url.Error](err)
	switch {
	case !ok:
		return errors.New("calling Slack: the answer cannot be understood")
	case call.Timeout():
		return errors.New("calling Slack: no answer in time")
	default:
		return errors.New("calling Slack: the connection failed")
	}
}
