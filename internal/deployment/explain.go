package deployment

import (
	"encoding/json"
	"errors"
	"fmt"
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
	text := err.Error()
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		switch code := api.ErrorCode(); {
		case contains(denied, code):
			return Statement(err)
		case contains(credentials, code):
			return fmt.Sprintf("AWS does not accept the credentials (%s): sign in again, for example with aws sso login, or name another profile with --profile NAME", code)
		}
	}
	if noCredentials(err) {
		return "there are no AWS credentials: sign in, for example with aws sso login or aws configure, or name a profile with --profile NAME"
	}
	return text
}

func contains(codes []string, code string) bool {
	for _, c := range codes {
		if c == code {
			return true
		}
	}
	return false
}

// noCredentials reports whether the SDK found no credentials to sign a request with.
func noCredentials(err error) bool {
	var signing interface{ CanceledError() bool }
	return !errors.As(err, &signing) && (strings.Contains(err.Error(), "get credentials:") || strings.Contains(err.Error(), "failed to refresh cached credentials") ||
		strings.Contains(err.Error(), "static credentials are empty"))
}

// Statement returns the text about a call that IAM has refused, with the policy
// statement that would allow it.
func Statement(err error) string {
	named := jobs.NamedIn(err.Error())
	action, resource := named.Action, named.Resource
	if operation, ok := errors.AsType[*smithy.OperationError](err); ok && action == "" {
		action = prefixOf(operation.ServiceID) + ":" + operation.OperationName
	}
	if action == "" {
		return err.Error()
	}
	statement, _ := json.Marshal(struct{ Effect, Action, Resource string }{"Allow", action, orStar(resource)})
	return fmt.Sprintf("access denied: %s is not allowed. Ask for this statement in your policy:\n  %s\nAWS answered: %s", action, statement, err)
}

func orStar(resource string) string {
	if resource == "" {
		return "*"
	}
	return resource
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
