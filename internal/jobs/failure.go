package jobs

import "strings"

// Category sorts a failed job's error message by what has to be fixed.
type Category string

// The categories. Other is what none of the rules below recognises.
const (
	IAM      Category = "IAM"      // the workflow's role may not do something
	KMS      Category = "KMS"      // a key is missing, disabled or may not be used
	S3       Category = "S3"       // a bucket or an object cannot be read or written
	Glue     Category = "GLUE"     // a Glue table, database or partition is wrong
	Schema   Category = "SCHEMA"   // schema mapping and data do not fit
	Quota    Category = "QUOTA"    // a service quota or a rate was reached
	Internal Category = "INTERNAL" // Entity Resolution's own fault
	Other    Category = "OTHER"
)

// rules are tried in order, so that the more specific word wins: the error of a
// missing KMS grant also contains AccessDenied, and so does that of an S3 read.
var rules = []struct {
	category Category
	words    []string
}{
	{KMS, []string{"kms", "customer managed key", "encryption key"}},
	{Quota, []string{"throttl", "quota", "limit exceeded", "limitexceeded", "too many requests", "rate exceeded"}},
	{IAM, []string{"accessdenied", "access denied", "not authorized", "unauthorized", "assumerole", "assume role", "forbidden", "permission"}},
	{Schema, []string{"schema", "column", "unique id", "unique_id", "uniqueid", "data type", "datatype", "field"}},
	{Glue, []string{"glue", "catalog", "partition", "entitynotfound"}},
	{S3, []string{"s3", "bucket", "nosuchkey"}},
	{Internal, []string{"internal", "service unavailable", "serviceexception", "unexpected error"}},
}

// Categorize guesses the category from the free text of an error message.
// Entity Resolution documents no error codes for jobs, so only the message's words
// can decide; a message that no rule covers is Other.
func Categorize(message string) Category {
	text := strings.ToLower(message)
	for _, rule := range rules {
		for _, word := range rule.words {
			if strings.Contains(text, word) {
				return rule.category
			}
		}
	}
	return Other
}
