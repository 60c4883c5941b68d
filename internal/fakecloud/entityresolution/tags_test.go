package entityresolution

import (
	"errors"
	"maps"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/entityresolution"
	"github.com/aws/aws-sdk-go-v2/service/entityresolution/types"
)

func TestTagsAreServedAsTheSDKAsks(t *testing.T) {
	s := &Server{}
	server := httptest.NewServer(s)
	defer server.Close()
	client := entityresolution.New(entityresolution.Options{Region: "eu-west-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	s.Tag("crm", map[string]string{"idmapping:slack-channel": "C1 C2", "team": "data"})
	arn := aws.String(WorkflowARN("crm"))
	want := func(tags map[string]string) {
		t.Helper()
		out, err := client.ListTagsForResource(t.Context(), &entityresolution.ListTagsForResourceInput{ResourceArn: arn})
		if err != nil || !maps.Equal(out.Tags, tags) {
			t.Errorf("the tags are %v (%v), want %v", out, err, tags)
		}
	}
	want(map[string]string{"idmapping:slack-channel": "C1 C2", "team": "data"})
	if _, err := client.TagResource(t.Context(), &entityresolution.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"team": "crm", "a/b": ""}}); err != nil {
		t.Error(err)
	}
	want(map[string]string{"idmapping:slack-channel": "C1 C2", "team": "crm", "a/b": ""})
	if _, err := client.UntagResource(t.Context(), &entityresolution.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"team", "a/b"}}); err != nil {
		t.Error(err)
	}
	want(map[string]string{"idmapping:slack-channel": "C1 C2"})
	s.Untag("crm", "idmapping:slack-channel")
	want(map[string]string{})
	_, err := client.ListTagsForResource(t.Context(), &entityresolution.ListTagsForResourceInput{ResourceArn: aws.String(WorkflowARN("nothing"))})
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); !ok {
		t.Errorf("the error about a workflow that does not exist is %v", err)
	}
}
