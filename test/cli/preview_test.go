package cli

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/jobs"
)

// previewed is the JSON of a preview.
type previewed struct {
	Slack struct {
		Blocks json.RawMessage
		Text   string
	}
	BlockKitBuilder string
	Email           struct{ Subject, HTML, Text string }
}

func TestPreviewShowsEachFormWithoutCredentials(t *testing.T) {
	body := string(eventtest.Examples()["failure-iam"])
	file := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	var fromSample, fromFile, fromStdin previewed
	idmapping(t, nil, "", "preview", "--sample", "failure-iam", "--json").decode(t, &fromSample)
	idmapping(t, nil, "", "preview", file, "--json").decode(t, &fromFile)
	idmapping(t, nil, body, "preview", "-", "--json").decode(t, &fromStdin)
	if string(fromFile.Slack.Blocks) != string(fromSample.Slack.Blocks) || fromStdin.Email != fromSample.Email {
		t.Error("a file, stdin and the example differ")
	}
	if !strings.Contains(string(fromSample.Slack.Blocks), `"header"`) || !strings.HasPrefix(fromSample.BlockKitBuilder, "https://app.slack.com/block-kit-builder/#%7B") ||
		!strings.Contains(fromSample.Email.Subject, "FAILED") || !strings.Contains(fromSample.Email.HTML, "<html") || !strings.Contains(fromSample.Email.Text, "Access denied") {
		t.Errorf("the forms are %+v", fromSample)
	}
	idmapping(t, nil, "", "preview", "--sample", "failure-iam").has(t, 0, `"blocks"`, "https://app.slack.com/block-kit-builder/#")
	idmapping(t, nil, "", "preview", "--sample", "failure-iam", "--as", "email").has(t, 0, "<html")
	idmapping(t, nil, "", "preview", "--sample", "running-expected", "--as", "text", "--time-zone", "Europe/Berlin").has(t, 0, "Subject: ", "CET")
	idmapping(t, nil, "", "preview", "--list").has(t, 0, "failure-iam", "mute-ended", "[FAILED]")
}

func TestPreviewSaysWhatIsWrongWithItsInput(t *testing.T) {
	edited := strings.ReplaceAll(string(eventtest.Examples()["failure-iam"]), "customers-to-liveramp", "renamed")
	idmapping(t, nil, edited, "preview", "-", "--as", "text").has(t, 0, "would move this event to the dead-letter queue", "transitionId", "FAILED: renamed")
	idmapping(t, nil, "not JSON", "preview", "-").has(t, 1, "EventBridge envelope")
	idmapping(t, nil, `{"source":"aws.s3"}`, "preview", "-").has(t, 1, `source is "aws.s3"`)
	idmapping(t, nil, "", "preview", "/no/such/file").has(t, 1, "/no/such/file")
	idmapping(t, nil, "", "preview", "--sample", "nothing").has(t, 1, "--list")
	for _, arguments := range [][]string{{}, {"-", "--list"}, {"--job", "w"}, {"--list", "--as", "pdf"}, {"--list", "--time-zone", "Mars"}} {
		if r := idmapping(t, nil, "", append([]string{"preview"}, arguments...)...); r.code != 2 {
			t.Errorf("%v: code %d, %s%s", arguments, r.code, r.stdout, r.stderr)
		}
	}
	r := idmapping(t, nil, "", "preview", "--sample", "hostile", "--as", "text")
	if r.has(t, 0, "Subject: "); strings.ContainsAny(r.stdout, "\x00\x07\x1b\u202e\u2066") {
		t.Errorf("the text has control characters: %q", r.stdout)
	}
}

func TestPreviewOfAJobIsWhatThePollerWouldPublish(t *testing.T) {
	c := stackForTest(t)
	c.EntityResolution.Tag("preview-crm", tagged("owner", "CRM team"))
	c.EntityResolution.Put(jobs.Job{Key: jobs.Key{Workflow: "preview-crm", Job: "p1"}, Type: "BATCH", Status: jobs.Succeeded, StartTime: time.Now().Add(-time.Hour), EndTime: time.Now(),
		Metrics: jobs.Metrics{jobs.InputRecords: 1000, jobs.TotalRecordsProcessed: 1000, jobs.TotalMappedRecords: 786}})
	idmapping(t, c, "", "preview", "--job", "preview-crm/p1", "--as", "text").has(t, 0, "[prod] SUCCEEDED", "78.6% mapped", "Owner: CRM team")
	idmapping(t, c, "", "preview", "--job", "preview-crm/nothing").has(t, 1, "nothing")
}

func TestPreviewDrawsAPicture(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("It draws with Chromium, which is not installed.")
	}
	for _, as := range []string{"slack", "email"} {
		file := filepath.Join(t.TempDir(), "card.png")
		idmapping(t, nil, "", "preview", "--sample", "failure-iam", "--as", as, "--png", file).has(t, 0, "drawing")
		if body, err := os.ReadFile(file); err != nil || len(body) < 5000 || !strings.HasPrefix(string(body), "\x89PNG") {
			t.Errorf("the picture of %s has %d bytes (%v)", as, len(body), err)
		}
	}
}
