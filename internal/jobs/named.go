package jobs

import (
	"regexp"
	"strings"
	"sync"
	"unicode"
)

// Named is what an error message itself names. Each is empty where the text does
// not name it.
type Named struct {
	// Role is the role that was denied or that cannot be assumed: its ARN where
	// the text has it. A denial names a session
	// (arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION), which lacks the role's
	// path, so that the ARN cannot be derived; Role is then NAME.
	Role     string
	Action   string // such as "s3:GetObject"
	Resource string // ARN, S3 path, or Glue table or database
}

// lazily compiles an expression when it is first used: to compile all of them would
// slow down each cold start, and most starts see no error.
func lazily(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

const (
	// maxNamed is the most bytes of a name. A longer one is left out: a part of
	// an ARN is not an ARN.
	maxNamed = 2048
	// maxRead is how much of a message is read. An error message of Entity
	// Resolution has at most 2,048 characters (API reference, ErrorDetails).
	maxRead = 8 << 10
)

// NamedIn reads the forms in which AWS services name the role, the action and
// the resource of an error (IAM User Guide, "Troubleshoot access denied error
// messages"; the other forms are as services return them). It never returns a
// line break or another control character. Its time is bounded: Go's regular
// expressions do not backtrack, and only the message's beginning is read.
func NamedIn(message string) Named {
	text := strings.ToValidUTF8(beginning(message, maxRead), "\uFFFD")
	var n Named
	n.readDenial(text)
	if n.Action == "" {
		n.Action = firstAction(allowsAction().FindStringSubmatch(text))
	}
	n.readARNs(text)
	if n.Resource == "" {
		n.Resource = firstPath(text)
	}
	if n.Resource == "" {
		n.Resource = glueResource(text)
	}
	return n
}

var (
	denial       = lazily(`(?i)not authorized to perform:?[ \t]+([a-z0-9-]{1,64}:[a-z0-9-]{1,64})(?:[^a-z0-9:/*-]|$)`)
	allowsAction = lazily(`(?i)policy allows the ([a-z0-9-]{1,64}:[a-z0-9-]{1,64}) action`)
	userAtEnd    = lazily(`(?i)\buser: +(\S+)[^\n:]{0,40}$`)
	onResource   = lazily(`(?i)^[ \t]*on(?: the)? resource:?[ \t]+`)
	anARN        = lazily(`\barn:[a-z-]+:[a-z0-9-]+:`)
	s3Path       = lazily(`(?i)\bs3[an]?://`)
)

// readDenial reads "User: ARN is not authorized to perform: ACTION on resource:
// RESOURCE because …". KMS writes "on this resource" and "on the resource
// associated with this ciphertext", which name none.
func (n *Named) readDenial(text string) {
	at := denial().FindStringSubmatchIndex(text)
	if at == nil {
		return
	}
	n.Action = text[at[2]:at[3]]
	if user := userAtEnd().FindStringSubmatch(text[:at[0]]); user != nil {
		n.Role = roleOf(user[1])
	}
	rest := text[at[3]:]
	if on := onResource().FindString(rest); on != "" {
		if value := valueAt(rest, len(on)); value != "associated" {
			n.Resource = value
		}
	}
	if role := roleOf(n.Resource); role != "" && strings.EqualFold(n.Action, "sts:AssumeRole") {
		n.Role = role // its trust policy has to be fixed, not the caller
	}
}

// readARNs takes the first role and the first resource by their ARNs. The ARN of
// a workflow says only whose error it is.
func (n *Named) readARNs(text string) {
	for from := 0; from < len(text) && (n.Role == "" || n.Resource == ""); {
		at := anARN().FindStringIndex(text[from:])
		if at == nil {
			return
		}
		value := valueAt(text, from+at[0])
		if value == "" { // too long: what follows is still a part of it
			from = min(len(text), from+at[0]+maxNamed)
			continue
		}
		from += max(at[1], at[0]+len(value))
		if role := roleOf(value); role != "" {
			if n.Role == "" {
				n.Role = role
			}
			continue
		}
		service := strings.SplitN(value+":::", ":", 4)[2]
		if n.Resource == "" && service != "iam" && service != "sts" && service != "entityresolution" {
			n.Resource = value
		}
	}
}

func firstAction(match []string) string {
	if match == nil {
		return ""
	}
	return match[1]
}

func firstPath(text string) string {
	if at := s3Path().FindStringIndex(text); at != nil {
		if value := valueAt(text, at[0]); len(value) > at[1]-at[0] {
			return value
		}
	}
	return ""
}

const glueName = "[\"'`]{0,2}([A-Za-z0-9_][A-Za-z0-9_.`-]*)"

// These are Glue's, Spark's and Lake Formation's own wordings.
var glueForms = []func() *regexp.Regexp{
	lazily(`(?i)\b(?:table|database)(?: name)?[ :]+` + glueName + "[\"'`]? +(?:(?:is|was|does|could) not|not|cannot|doesn't)\\b"),
	lazily(`(?i)\bentity ?not ?found(?:exception)?[ :.,;-]+(?:glue )?(?:table|database)(?: name)?[ :]+` + glueName),
	lazily(`(?i)\btable or view not found:? +` + glueName),
	lazily(`(?i)\blake formation permission\(s\)(?::[ a-z,]{0,80}?)? on ` + glueName),
}

var inDatabase = lazily(`(?i)\b(?:in|of|from) (?:the )?(?:glue )?database[ :]+` + glueName)

// glueResource returns a table as "database.table" where the text names both.
func glueResource(text string) string {
	for _, form := range glueForms {
		match := form().FindStringSubmatch(text)
		if match == nil || isFiller(match[1]) {
			continue
		}
		name := cleanName(match[1])
		if database := inDatabase().FindStringSubmatch(text); database != nil && !isFiller(database[1]) {
			if database := cleanName(database[1]); database != name && !strings.Contains(name, ".") {
				name = database + "." + name
			}
		}
		if len(name) <= maxNamed {
			return name
		}
	}
	return ""
}

func cleanName(name string) string {
	return strings.TrimRight(strings.ReplaceAll(name, "`", ""), ".-")
}

// isFiller reports whether the word after "table" is not its name: "the table is
// not partitioned".
func isFiller(word string) bool {
	switch strings.ToLower(word) {
	case "is", "was", "are", "does", "could", "can", "has", "it", "that", "which", "view", "and", "or", "in", "with", "name":
		return true
	}
	return false
}

var (
	roleARN    = lazily(`^arn:[a-z-]+:iam::[0-9]+:role/[A-Za-z0-9+=,.@_/-]+$`)
	sessionARN = lazily(`^arn:[a-z-]+:sts::[0-9]+:assumed-role/([A-Za-z0-9+=,.@_-]+)/`)
)

// roleOf returns the ARN of a role, the name of a session's role, or "".
func roleOf(arn string) string {
	if len(arn) > maxNamed {
		return ""
	}
	if roleARN().MatchString(arn) {
		return arn
	}
	if session := sessionARN().FindStringSubmatch(arn); session != nil {
		return session[1]
	}
	return ""
}

// valueAt returns the value that begins at a position: up to the closing quote
// if it is quoted, otherwise up to the next space. It returns "" for a value that
// is too long.
func valueAt(text string, at int) string {
	if at < len(text) && isQuote(text[at]) {
		at++
	}
	rest := text[at:]
	if at > 0 && isQuote(text[at-1]) {
		// A quoted S3 key may contain spaces.
		end := strings.IndexFunc(rest, func(r rune) bool { return r == rune(text[at-1]) || isBreak(r) })
		if end >= 0 && rest[end] == text[at-1] {
			return bounded(strings.TrimSpace(rest[:end]))
		}
	}
	end := strings.IndexFunc(rest, func(r rune) bool {
		return unicode.IsSpace(r) || isBreak(r) || strings.ContainsRune("\"'`<>", r)
	})
	if end >= 0 {
		rest = rest[:end]
	}
	return bounded(trimEnd(rest))
}

// trimEnd removes the punctuation that follows a value in a sentence.
func trimEnd(value string) string {
	for {
		trimmed := strings.TrimRight(value, ".,;:")
		if !strings.Contains(trimmed, "(") {
			trimmed = strings.TrimRight(trimmed, ")")
		}
		if !strings.Contains(trimmed, "[") {
			trimmed = strings.TrimRight(trimmed, "]")
		}
		if trimmed == value {
			return value
		}
		value = trimmed
	}
}

func bounded(value string) string {
	if len(value) > maxNamed {
		return ""
	}
	return value
}

func isQuote(c byte) bool { return c == '"' || c == '\'' || c == '`' }

func isBreak(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }
