package dynamodb

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/idmapping/notifier/internal/jobs"
)

func key(workflow, job string) attributes {
	return attributes{"workflow": text(workflow), "job": text(job)}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// str is a string attribute, empty when it is missing.
func str(item attributes, name string) string {
	if v, ok := item[name].(*types.AttributeValueMemberS); ok {
		return v.Value
	}
	return ""
}

// num is a number attribute, 0 when it is missing.
func num(item attributes, name string) int64 {
	if v, ok := item[name].(*types.AttributeValueMemberN); ok {
		n, _ := strconv.ParseInt(v.Value, 10, 64)
		return n
	}
	return 0
}

// decode reads a JSON attribute. A missing one leaves into as it is: items of
// an older version lack what came later.
func decode(item attributes, name string, into any) error {
	body := str(item, name)
	if body == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		return fmt.Errorf("attribute %s: %w", name, err)
	}
	return nil
}

// versionIs is the condition that the stored version is the one that was read.
func versionIs(version int64) *string {
	if version == 0 {
		return aws.String("attribute_not_exists(version)")
	}
	return aws.String("version = :version")
}

func versioned(version int64, values attributes) attributes {
	if version == 0 {
		return values
	}
	if values == nil {
		values = attributes{}
	}
	values[":version"] = number(version)
	return values
}

// conflict turns a failed condition into jobs.ErrConflict.
func conflict(err error) error {
	if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return fmt.Errorf("%w: %w", jobs.ErrConflict, failed)
	}
	return err
}

func expression(verb string, parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	return verb + " " + strings.Join(parts, ", ") + " "
}
