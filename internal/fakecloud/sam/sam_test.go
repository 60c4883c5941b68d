package sam

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestTranslateUsesTheGivenCodeURIs(t *testing.T) {
	body, err := Translate(t.Context(), "us-east-1", map[string]string{"PollerFunction": "s3://bucket/poller.zip"})
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
	_, err := Translate(t.Context(), "us-east-1", map[string]string{"OtherFunction": "s3://bucket/key"})
	if err == nil || !strings.Contains(err.Error(), "OtherFunction") {
		t.Errorf("the error is %v", err)
	}
}
