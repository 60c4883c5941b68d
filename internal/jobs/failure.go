package jobs

import (
	"slices"
	"strings"
)

// Category sorts a failed job's error message by what has to be fixed.
type Category string

// The categories. Other is what no rule recognizes.
const (
	IAM      Category = "IAM"      // the workflow's role may not do something
	KMS      Category = "KMS"      // a key is missing, disabled or may not be used
	S3       Category = "S3"       // a bucket or an object cannot be read or written
	Glue     Category = "GLUE"     // a Glue table, database or partition is wrong
	Schema   Category = "SCHEMA"   // schema mapping, namespace and data do not fit
	Quota    Category = "QUOTA"    // a service quota or a rate was reached
	Provider Category = "PROVIDER" // a provider service such as LiveRamp failed or is not set up
	Internal Category = "INTERNAL" // Entity Resolution's own fault
	Other    Category = "OTHER"
)

// rules are tried in order, so that the more specific word wins: the error of a
// missing KMS grant also contains AccessDenied, and so does that of an S3 read.
// A part may stand anywhere, in AWSKMS for example. A word stands alone: the name
// customers-to-liveramp does not contain the word liveramp.
var rules = []struct {
	category Category
	parts    []string
	words    []string
}{
	{category: Quota, parts: []string{"quota", "exceedslimit", "limitexceeded", "limit exceeded", "currently running", "already running", "concurrent id mapping", "concurrent matching", "concurrent provider", "concurrent job"}},
	{category: Provider, parts: []string{"data exchange", "dataexchange", "secrets manager", "secretsmanager"},
		words: []string{"provider", "liveramp", "transunion", "uid2", "subscription"}},
	{category: Quota, parts: []string{"throttl", "too many requests", "rate exceeded", "exceeded the rate", "request rate", "slowdown", "slow down"}},
	{category: KMS, parts: []string{"kms", "customer managed key", "customer master key", "encryption key"}},
	{category: IAM, parts: []string{
		"accessdenied", "access denied", "not authorized", "unauthorized", "forbidden", "status code: 403", "permission", "explicit deny",
		"assumerole", "assume role", "assume the role", "assuming the passed role", "passrole", "service role", "trust policy",
		"does not have access", "lake formation", "security token",
	}},
	{category: Schema, parts: []string{"schema", "column", "unique id", "unique_id", "uniqueid", "data type", "datatype", "field", "matchkey", "naming conflict", "id namespace", "follows the pattern"}},
	{category: Glue, parts: []string{"glue", "catalog", "partition", "entitynotfound", "entity not found", "crawler"}},
	{category: S3, parts: []string{"s3", "bucket", "nosuchkey", "specified key"}},
	{category: Glue, words: []string{"table", "database"}},
	{category: Internal, parts: []string{"internal", "service unavailable", "serviceexception", "server error", "unexpected error", "try again later"}},
}

// Categorize guesses the category from the free text of an error message.
// Entity Resolution documents no error codes for jobs, so only the message's words
// can decide; a message that no rule covers is Other.
func Categorize(message string) Category {
	message = beginning(message, maxRead)
	if service, _, ok := strings.Cut(NamedIn(message).Action, ":"); ok {
		switch strings.ToLower(service) {
		case "kms":
			return KMS
		case "dataexchange", "secretsmanager": // only the workflow's provider needs these
			return Provider
		}
		return IAM
	}
	text := strings.ToLower(withoutNames(message))
	for _, rule := range rules {
		has := func(part string) bool { return strings.Contains(text, part) }
		if slices.ContainsFunc(rule.parts, has) || slices.ContainsFunc(rule.words, func(word string) bool { return containsWord(text, word) }) {
			return rule.category
		}
	}
	return Other
}

// names match what a message contains beside its own words: frames of a stack
// trace, and the part of an ARN or S3 path that its owner chose. A role called
// kms-reader does not make an error one of KMS.
var names = lazily(`(?m)^\s+at [\w$.<>]+\(.*$|(\barn:[a-z-]+:[a-z0-9-]+|\bs3[an]?:)[:/][^\s"'` + "`" + `<>]*`)

func withoutNames(message string) string { return names().ReplaceAllString(message, "$1") }

func containsWord(text, word string) bool {
	for from := 0; ; {
		at := strings.Index(text[from:], word)
		if at < 0 {
			return false
		}
		start, end := from+at, from+at+len(word)
		if (start == 0 || !inName(text[start-1])) && (end == len(text) || !inName(text[end])) {
			return true
		}
		from = end
	}
}

// inName reports whether the byte can be part of a longer name.
func inName(c byte) bool {
	return c == '-' || c == '_' || c == '/' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || c >= 0x80
}
