package dynamodb

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/idmapping/notifier/internal/jobs"
)

func key(partition, sort string) attributes {
	return attributes{"partition": text(partition), "sort": text(sort)}
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

// versionIs is the condition that the stored version is the one that was read.
func versionIs(version int64) *string {
	if version == 0 {
		return aws.String("attribute_not_exists(version)")
	}
	return aws.String("version = :version")
}

func versionValue(version int64) attributes {
	if version == 0 {
		return nil
	}
	return attributes{":version": number(version)}
}

// conflict turns a failed condition into jobs.ErrConflict.
func conflict(err error) error {
	if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return fmt.Errorf("%w: %w", jobs.ErrConflict, failed)
	}
	return err
}
