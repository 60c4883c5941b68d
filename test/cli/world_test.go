package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/idmapping/notifier/internal/fakecloud"
	"github.com/idmapping/notifier/internal/fakecloud/account"
	"github.com/idmapping/notifier/internal/fakecloud/sam"
	"github.com/idmapping/notifier/internal/fakecloud/sam/samtest"
)

var recipients = []string{"data-team@example.com", "on-call@example.com"}

// tool is the built command line tool.
var tool struct {
	once   sync.Once
	path   string
	output []byte
	err    error
}

// deployed is the stack that the tests of this package share. Each test uses
// workflows of its own.
var deployed struct {
	once  sync.Once
	cloud *fakecloud.Cloud
	err   error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if deployed.cloud != nil {
		deployed.cloud.Close()
	}
	if tool.path != "" {
		_ = os.RemoveAll(filepath.Dir(tool.path))
	}
	os.Exit(code)
}

// stackForTest deploys the template once. Without Python it skips the test.
func stackForTest(t *testing.T) *fakecloud.Cloud {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the real binaries")
	}
	samtest.RequirePython(t)
	deployed.once.Do(func() {
		deployed.cloud, deployed.err = fakecloud.Deploy(context.Background(), fakecloud.Options{
			Parameters: map[string]string{"SlackChannel": fakecloud.SlackChannel, "SlackTokenParameterName": fakecloud.TokenParameter,
				"EmailFrom": fakecloud.EmailFrom, "EmailTo": strings.Join(recipients, ","), "RequestsPerSecond": "50",
				"Environment": "prod"},
			AnySlackPace: true,
		})
	})
	if deployed.err != nil {
		t.Fatal(deployed.err)
	}
	return deployed.cloud
}

// result is what the tool printed and its exit code.
type result struct {
	stdout, stderr string
	code           int
}

// has fails the test unless the output contains each text.
func (r result) has(t *testing.T, code int, texts ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d\n%s%s", r.code, code, r.stdout, r.stderr)
	}
	for _, text := range texts {
		if !strings.Contains(r.stdout+r.stderr, text) {
			t.Errorf("the output lacks %q:\n%s%s", text, r.stdout, r.stderr)
		}
	}
}

// decode reads the JSON that the tool printed.
func (r result) decode(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.stdout), into); err != nil {
		t.Fatalf("stdout is no JSON: %v\n%s%s", err, r.stdout, r.stderr)
	}
}

// idmapping runs the tool against the cloud, in an empty folder and with no other
// environment. A nil cloud gives it no credentials.
func idmapping(t *testing.T, c *fakecloud.Cloud, stdin string, arguments ...string) result {
	t.Helper()
	return idmappingWith(t, c, nil, stdin, arguments...)
}

// idmappingWith does the same with more environment variables, such as STACK=name.
func idmappingWith(t *testing.T, c *fakecloud.Cloud, env []string, stdin string, arguments ...string) result {
	t.Helper()
	tool.once.Do(func() {
		var root, dir string
		if root, tool.err = sam.Root(); tool.err != nil {
			return
		}
		if dir, tool.err = os.MkdirTemp("", "idmapping-"); tool.err != nil {
			return
		}
		tool.path = filepath.Join(dir, "idmapping")
		build := exec.Command("go", "build", "-o", tool.path, "./cmd/idmapping")
		build.Dir = root
		tool.output, tool.err = build.CombinedOutput()
	})
	if tool.err != nil {
		t.Fatalf("building the tool: %v: %s", tool.err, tool.output)
	}
	cmd := exec.CommandContext(t.Context(), tool.path, arguments...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"HOME=" + cmd.Dir, "PATH=" + os.Getenv("PATH"), "AWS_EC2_METADATA_DISABLED=true", "AWS_REGION=" + account.Region}
	if c != nil {
		cmd.Env = append(cmd.Env, c.ClientEnv()...)
		cmd.Env = append(cmd.Env, "STACK="+fakecloud.Stack)
	}
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}
