package slack

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/aws/smithy-go"
	slackgo "github.com/slack-go/slack"

	"github.com/idmapping/notifier/internal/notify"
)

// kind sorts Slack's errors by what to do about them.
type kind int

const (
	retryable     kind = iota // wait and send again
	rateLimited               // wait as long as Slack asks
	misconfigured             // someone has to correct a setting
	badCredential             // the same, but the secret may have been rotated: read it again first
	invalidBlocks             // Slack refuses the card: send plain text
	messageGone               // the card does not exist any more: post a new one
)

// codes are the errors of chat.postMessage and chat.update, and the bodies of
// incoming webhooks (Slack: both methods' "Errors"; "Sending messages using
// incoming webhooks", handling errors). A code that is not here is retryable:
// waiting loses nothing.
var codes = map[kind][]string{
	rateLimited: {"ratelimited", "rate_limited", "message_limit_exceeded"},
	badCredential: {"invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive",
		"no_service", "no_service_id", "no_active_hooks", "no_team", "invalid_token", "team_disabled"},
	misconfigured: {"channel_not_found", "not_in_channel", "is_archived", "channel_is_archived", "missing_scope",
		"no_permission", "org_login_required", "ekm_access_denied", "restricted_action", "restricted_action_read_only_channel",
		"restricted_action_thread_only_channel", "restricted_action_non_threadable_channel", "restricted_action_thread_locked",
		"action_prohibited", "posting_to_general_channel_denied", "user_not_found", "user_not_in_channel", "access_denied",
		"not_allowed_token_type", "team_access_not_granted", "two_factor_setup_required", "enterprise_is_restricted",
		"team_not_found", "slack_connect_canvas_sharing_blocked", "slack_connect_clip_sharing_blocked"},
	invalidBlocks: {"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "invalid_arguments", "invalid_payload",
		"invalid_attachments", "too_many_attachments", "markdown_text_conflict", "metadata_too_large",
		"no_text", "missing_text_or_fallback_or_attachments", "msg_too_long"},
	messageGone: {"message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found",
		"cannot_reply_to_message", "is_inactive"},
	retryable: {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "rollup_error", "timeout",
		"accesslimited", "update_failed", "as_user_not_supported"},
}

// statuses are the HTTP statuses that decide when the body names no known code.
var statuses = map[int]kind{
	http.StatusOK:                    retryable, // an intercepting proxy's page, such as a sign-in
	http.StatusBadRequest:            invalidBlocks,
	http.StatusUnauthorized:          badCredential,
	http.StatusForbidden:             badCredential,
	http.StatusNotFound:              badCredential,
	http.StatusRequestTimeout:        retryable,
	http.StatusGone:                  badCredential,
	http.StatusRequestEntityTooLarge: invalidBlocks,
	http.StatusTooManyRequests:       rateLimited,
}

// kindOf sorts what slack-go or our transport returned.
func kindOf(err error) kind {
	if answer, ok := errors.AsType[*answerError](err); ok {
		if answer.status == http.StatusTooManyRequests {
			return rateLimited
		}
		if k, ok := kindOfCode(answer.code); ok {
			return k
		}
		if k, ok := statuses[answer.status]; ok {
			return k
		}
		if answer.status < http.StatusInternalServerError {
			return misconfigured // a redirect, a proxy's page: no other card would help
		}
		return retryable
	}
	if answer, ok := errors.AsType[slackgo.SlackErrorResponse](err); ok {
		k, _ := kindOfCode(answer.Err)
		return k
	}
	return retryable
}

func kindOfCode(code string) (kind, bool) {
	for k, names := range codes {
		if slices.Contains(names, code) {
			return k, true
		}
	}
	return retryable, false
}

// isGone reports whether a call about a card failed because the card does not
// exist any more. Its channel may be gone too, and another one have its name: if
// the setting itself is wrong, posting a new card fails and says so.
func isGone(err error) bool {
	answer, ok := errors.AsType[slackgo.SlackErrorResponse](err)
	return kindOf(err) == messageGone || ok && slices.Contains([]string{"channel_not_found", "is_archived"}, answer.Err)
}

// failureOf is the failure for an error that stays.
func failureOf(err error) *notify.Failure {
	f := &notify.Failure{Err: redacted(err), Summary: "Slack: " + summary(err)}
	switch kindOf(err) {
	case rateLimited:
		f.Reason, f.After = notify.RateLimited, retryAfterOf(err)
	case misconfigured, badCredential:
		f.Reason = notify.Misconfigured
	case invalidBlocks:
		f.Reason = notify.Refused
	default:
		f.Reason = notify.Unavailable
	}
	return f
}

// summary is the error's code if it names one, or else the HTTP status.
func summary(err error) string {
	if answer, ok := errors.AsType[*answerError](err); ok {
		if answer.code != "" {
			return answer.code
		}
		return fmt.Sprintf("HTTP status %d", answer.status)
	}
	if answer, ok := errors.AsType[slackgo.SlackErrorResponse](err); ok {
		if code := codeIn([]byte(answer.Err)); code != "" {
			return code
		}
	}
	return "no answer"
}

// secretFailure is the failure for a secret that could not be read: an outage if
// the call failed, a wrong setting if SSM says so or the value is unusable.
func secretFailure(err error) *notify.Failure {
	f := &notify.Failure{Reason: notify.Misconfigured, Err: err, Summary: "SSM: unusable parameter"}
	if _, called := errors.AsType[*smithy.OperationError](err); !called {
		return f
	}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || !slices.Contains(permanentCodes, api.ErrorCode()) {
		f.Reason, f.Summary = notify.Unavailable, "SSM: no answer"
		return f
	}
	f.Summary = "SSM: " + api.ErrorCode()
	return f
}

// permanentCodes are SSM's errors that someone has to correct (GetParameter,
// Errors).
var permanentCodes = []string{"ParameterNotFound", "ParameterVersionNotFound", "AccessDeniedException", "InvalidKeyId", "ValidationException"}

func retryAfterOf(err error) time.Duration {
	if answer, ok := errors.AsType[*answerError](err); ok && answer.after > 0 {
		return answer.after
	}
	return defaultRetryAfter
}

// redacted is err without anything that could be a secret: net/http's errors hold
// the URL.
func redacted(err error) error {
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
		return errors.New("calling Slack: unexpected response")
	case call.Timeout():
		return errors.New("calling Slack: no response in time")
	default:
		return errors.New("calling Slack: the connection failed")
	}
}
