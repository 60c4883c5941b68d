package message

import (
	"slices"
	"strings"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

// notAuthorized is IAM's own wording (IAM User Guide, "Troubleshoot access
// denied error messages"): "User: ARN is not authorized to perform: ACTION on
// resource: ARN because …".
const notAuthorized = " is not authorized to perform: "

// rootCause returns the error on one line, without the wrapping that does not
// explain what went wrong. The message's body has the whole error.
func rootCause(text string) string {
	text, _, _ = strings.Cut(text, "\n\tat ") // a Java stack trace
	text = OneLine(text)
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

const noMessage = "Entity Resolution gave no error message."

// errorOf is the error of a job, or nil when it has none.
func errorOf(d event.Detail) *Error {
	if d.Error == nil {
		return nil
	}
	e := &Error{Text: multiLine(d.Error.Message), Category: jobs.Category(OneLine(string(d.Error.Category)))}
	if e.Text == "" {
		e.Text = noMessage
	}
	return e
}

// cause returns what went wrong, on one line that begins with where: "Access
// denied: ROLE may not s3:GetObject on PATH". Only what people could copy is
// code; where it does not fit, its middle is left out.
func cause(failure *event.Error) Line {
	if failure == nil {
		return Plain(noMessage)
	}
	root := rootCause(failure.Message)
	if l := namedCause(*failure); l != nil {
		l[0].Bold = true
		return fit(l, maxCause)
	}
	source := sources[failure.Category]
	if failure.Category == jobs.Quota && isThrottling(failure.Message) {
		source = "Throttled"
	}
	switch {
	case root == "" && source == "":
		return Plain(noMessage)
	case root == "" || strings.EqualFold(root, source):
		return Line{{Text: source, Bold: true}}
	case source == "" || strings.HasPrefix(strings.ToLower(root), strings.ToLower(source)):
		return outside(truncate(root, maxCause))
	}
	return Line{{Text: source + ": ", Bold: true}, {Text: truncate(root, maxCause-length(source)), Outside: true}}
}

// briefs are the categories in a few words, for the subject.
var briefs = map[jobs.Category]string{
	jobs.IAM:      "access denied",
	jobs.KMS:      "KMS key not usable",
	jobs.S3:       "S3 not accessible",
	jobs.Glue:     "Glue table not usable",
	jobs.Schema:   "schema mismatch",
	jobs.Quota:    "quota reached",
	jobs.Provider: "provider failed",
	jobs.Internal: "internal error",
}

// sources say whose error a text without names is.
var sources = map[jobs.Category]string{
	jobs.IAM:      "Access denied",
	jobs.KMS:      "KMS",
	jobs.S3:       "S3",
	jobs.Glue:     "Glue",
	jobs.Schema:   "Schema",
	jobs.Quota:    "Quota reached",
	jobs.Provider: "Provider",
	jobs.Internal: "Entity Resolution",
}

// namedCause returns the cause where the error's category and names say it all,
// or nil.
func namedCause(failure event.Error) Line {
	named := jobs.Named{Role: OneLine(failure.Role), Action: OneLine(failure.Action), Resource: failure.Resource}
	text := strings.ToLower(failure.Message)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
	}
	resource := Span{Text: shortResource(named.Resource), Code: true}
	switch failure.Category {
	case jobs.IAM, jobs.KMS, jobs.Provider:
		source := sources[failure.Category]
		switch {
		case strings.EqualFold(named.Action, "sts:AssumeRole"), named.Action == "" && named.Role != "" && isAssumption(text):
			return on(source+": Entity Resolution cannot assume %s", Span{Text: roleName(named.Role), Code: true})
		case failure.Category == jobs.IAM && has("lake formation permission"):
			return on(source+": Lake Formation permission missing on %s", resource)
		case named.Action != "" && named.Role != "":
			return on(source+": %s may not %s on %s", Span{Text: roleName(named.Role), Code: true}, Span{Text: named.Action, Code: true}, resource)
		case named.Action != "":
			return on(source+": no permission for %s on %s", Span{Text: named.Action, Code: true}, resource)
		}
	case jobs.Glue:
		if has("entity not found", "entitynotfound") || resource.Text != "" && has("not found", "not exist") {
			return on("Glue: table or database not found: %s", resource)
		}
	case jobs.S3:
		switch {
		case has("nosuchbucket", "specified bucket does not exist"):
			return on("S3: bucket not found: %s", resource)
		case has("nosuchkey", "specified key does not exist", "path does not exist"):
			return on("S3: object not found: %s", resource)
		}
	}
	return nil
}

// on is like line, but ends before a last span that is empty.
func on(text string, spans ...Span) Line {
	if spans[len(spans)-1].Text == "" {
		text = strings.TrimRight(strings.TrimSuffix(strings.TrimSuffix(text, "%s"), " on "), ": ")
	}
	return line(text, spans...)
}

// roleName returns the name at the end of a role's ARN.
func roleName(role string) string { return role[strings.LastIndexByte(role, '/')+1:] }

// shortResource writes an S3 ARN as a path, as the console does.
func shortResource(resource string) string {
	resource = OneLine(resource)
	if parts := strings.SplitN(resource, ":", 6); len(parts) == 6 && parts[0] == "arn" && parts[2] == "s3" {
		return "s3://" + parts[5]
	}
	return resource
}

// isAssumption reports whether an error in lower case is about assuming a role.
// The ARN of a session contains "assumed-role" and says nothing of the kind.
func isAssumption(text string) bool {
	return slices.ContainsFunc([]string{"assumerole", "assume role", "assume the role", "assuming the passed role", "trust policy"},
		func(words string) bool { return strings.Contains(text, words) })
}

// isThrottling reports whether a quota error is about a rate.
func isThrottling(message string) bool {
	text := strings.ToLower(message)
	return slices.ContainsFunc([]string{"throttl", "rate exceeded", "exceeded the rate", "request rate", "too many requests", "slowdown", "slow down"},
		func(words string) bool { return strings.Contains(text, words) })
}

// fit shortens the code of a line until the line has at most limit characters,
// the last code first, which is the resource.
func fit(s Line, limit int) Line {
	s = slices.Clone(s)
	for i := len(s) - 1; i >= 0; i-- {
		over := length(s.Plain(nil)) - limit
		if over > 0 && s[i].Code {
			s[i].Text = shorten(s[i].Text, max(minShortened, length(s[i].Text)-over))
		}
	}
	return s
}

// minShortened is how many characters of a shortened name stay: three of them fit
// into a cause line.
const minShortened = 30
