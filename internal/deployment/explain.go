package deployment

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/idmapping/notifier/internal/jobs"
)

// denied are the codes with which AWS services refuse a call by IAM.
var denied = []string{"AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException", "UnauthorizedOperation"}

// credentials are the codes with which AWS services refuse who calls.
var credentials = []string{"UnrecognizedClientException", "InvalidClientTokenId", "ExpiredToken", "ExpiredTokenException",
	"InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken", "InvalidAccessKeyId"}

// Explain returns an error of a command as its user can act on it: without
// credentials it says how to get some, and without a permission it shows the policy
// statement that gives it.
func Explain(err error) string {
	if slices.Contains(denied, codeOf(err)) {
		return refusal(err)
	}
	text, fix := Diagnose(err)
	if fix == "" {
		return text
	}
	return text + ": " + fix
}

// Diagnose returns what has gone wrong and what to do about it, which is empty where
// the error itself is all that is known.
func Diagnose(err error) (text, fix string) {
	switch code := codeOf(err); {
	case slices.Contains(denied, code):
		if action, statement := missing(err); action != "" {
			return fmt.Sprintf("access denied: %s is not allowed", action), "ask for this statement in your policy: " + statement
		}
	case slices.Contains(credentials, code):
		return fmt.Sprintf("AWS does not accept the credentials (%s)", code), "sign in again, for example with aws sso login, or name another profile with --profile NAME"
	case noCredentials(err):
		return "there are no AWS credentials", "sign in, for example with aws sso login or aws configure, or name a profile with --profile NAME"
	case errors.Is(err, context.DeadlineExceeded):
		return "no response in time: " + err.Error(), "run it again; if it stays so, look at the network and at https://health.aws.amazon.com"
	}
	return err.Error(), ""
}

// codeOf is the code in a service's response, or empty.
func codeOf(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

// noCredentials reports whether the SDK found no credentials to sign a request with.
func noCredentials(err error) bool {
	var signing interface{ CanceledError() bool }
	return !errors.As(err, &signing) && (strings.Contains(err.Error(), "get credentials:") || strings.Contains(err.Error(), "failed to refresh cached credentials") ||
		strings.Contains(err.Error(), "static credentials are empty"))
}

// refusal is the text about a call that IAM has refused, with the policy
// statement that would allow it.
func refusal(err error) string {
	action, statement := missing(err)
	if action == "" {
		return err.Error()
	}
	return fmt.Sprintf("access denied: %s is not allowed. Ask for this statement in your policy:\n  %s\nAWS answered: %s", action, statement, err)
}

// missing returns the action that IAM has refused and the statement that allows it.
// Both are empty where the error names no action.
func missing(err error) (action, statement string) {
	named := jobs.NamedIn(err.Error())
	action = named.Action
	if operation, ok := errors.AsType[*smithy.OperationError](err); ok && action == "" {
		action = prefixOf(operation.ServiceID) + ":" + operation.OperationName
	}
	if action == "" {
		return "", ""
	}
	body, _ := json.Marshal(struct{ Effect, Action, Resource string }{"Allow", action, cmp.Or(named.Resource, "*")})
	return action, string(body)
}

// prefixOf is the prefix of a service's actions in policies (Service Authorization
// Reference), where it is not its name in lower case.
func prefixOf(serviceID string) string {
	switch serviceID {
	case "SESv2":
		return "ses"
	case "EventBridge":
		return "events"
	default:
		return strings.ToLower(strings.ReplaceAll(serviceID, " ", ""))
	}
}
