package message

import "strings"

// notAuthorized is IAM's own wording (IAM User Guide, "Troubleshoot access
// denied error messages"): "User: ARN is not authorized to perform: ACTION on
// resource: ARN because …".
const notAuthorized = " is not authorized to perform: "

// rootCause returns the error on one line, without the wrapping that does not
// explain what went wrong. The message's body has the whole error.
func rootCause(text string) string {
	text, _, _ = strings.Cut(text, "\n\tat ") // a Java stack trace
	text = oneLine(text)
	// Glue begins with the location: "Error Category: X; Failed Line Number: N; …"
	if strings.HasPrefix(text, "Error Category: ") {
		if parts := strings.SplitN(text, "; ", 3); len(parts) == 3 {
			text = parts[2]
		}
	}
	// Spark begins with the method that it called: "An error occurred while calling o118.getCatalogSource. …"
	if call, rest, ok := strings.Cut(text, ". "); ok && strings.HasPrefix(call, "An error occurred while calling ") {
		text = rest
	}
	// IAM begins with a long ARN; the denied action says more.
	if user, denied, ok := strings.Cut(text, notAuthorized); ok && strings.HasPrefix(user, "User: ") {
		text = "not authorized to perform " + strings.NewReplacer("on resource: ", "on ", `"`, "").Replace(denied)
	}
	// The SDKs end with the request: "(Service: S3, Status Code: 403, …)"
	if reason, _, ok := strings.Cut(text, " (Service: "); ok && reason != "" {
		text = reason
	}
	return strings.TrimRight(text, ". ")
}

// deniedAction returns the action that IAM denied, such as "s3:GetObject", or "".
func deniedAction(text string) string {
	_, rest, _ := strings.Cut(text, notAuthorized)
	action, _, _ := strings.Cut(rest, " ")
	service, name, ok := strings.Cut(action, ":")
	if !ok || !isName(service) || !isName(name) {
		return ""
	}
	return action
}

// isName reports whether s can be one half of an action: a service or an operation.
func isName(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
	})
}
