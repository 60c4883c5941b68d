package sam_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
	"github.com/idmapping/notifier/internal/fakecloud/sam/samtest"
)

func TestTranslateUsesTheGivenCodeURIs(t *testing.T) {
	samtest.RequirePython(t)
	body, err := sam.Translate(t.Context(), "us-east-1", map[string]string{"PollerFunction": "s3://bucket/poller.zip"})
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Resources map[string]struct {
			Properties struct {
				Code struct{ S3Bucket, S3Key string }
			}
		}
	}
	if err := json.Unmarshal(body, &document); err != nil {
		t.Fatal(err)
	}
	code := document.Resources["PollerFunction"].Properties.Code
	if code.S3Bucket != "bucket" || code.S3Key != "poller.zip" {
		t.Errorf("the poller's code is at %+v", code)
	}
	if document.Resources["NotifierFunction"].Properties.Code.S3Key == "" {
		t.Error("a function that was not named has no code")
	}
}

func TestTranslateNamesAMissingFunction(t *testing.T) {
	samtest.RequirePython(t)
	_, err := sam.Translate(t.Context(), "us-east-1", map[string]string{"OtherFunction": "s3://bucket/key"})
	if err == nil || !strings.Contains(err.Error(), "OtherFunction") {
		t.Errorf("the error is %v", err)
	}
}
