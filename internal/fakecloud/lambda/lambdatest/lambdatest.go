// Package lambdatest tests a Lambda function in the form in which it is deployed:
// an executable that reads its environment.
package lambdatest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Settings are environment variables by name.
type Settings map[string]string

// AWS holds the variables that Lambda and the SDK need.
var AWS = Settings{"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-key", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}

// With returns s with changes; an empty value removes a setting.
func (s Settings) With(changes Settings) Settings {
	all := Settings{}
	for _, from := range []Settings{s, changes} {
		for name, value := range from {
			if all[name] = value; value == "" {
				delete(all, name)
			}
		}
	}
	return all
}

// startTimeout ends a test of a function that neither starts nor exits.
const startTimeout = 5 * time.Minute

var executable string

// Run builds the function in the tested package, runs the tests, and returns the
// exit code for TestMain.
func Run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "function-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	executable = filepath.Join(dir, "bootstrap")
	if out, err := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", executable, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the function: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func command(ctx context.Context, env Settings) *exec.Cmd {
	cmd := exec.CommandContext(ctx, executable)
	cmd.Env = []string{} // not nil, which would be this process's own
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// CannotStart checks that the function exits with one line of JSON that names
// each of the problems.
func CannotStart(t *testing.T, env Settings, problems ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	out, err := command(ctx, env.With(Settings{"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1"})).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("exited with %v, want exit status 1", err)
	}
	var report struct {
		Level, Msg string
		Problems   []string
	}
	if err := json.Unmarshal(out, &report); err != nil || report.Level != "ERROR" || !strings.HasSuffix(report.Msg, " cannot start") {
		t.Errorf("reports no failed start in one line of JSON (%v):\n%s", err, out)
	}
	for _, problem := range problems {
		if !slices.ContainsFunc(report.Problems, func(p string) bool { return strings.Contains(p, problem) }) {
			t.Errorf("does not name %s:\n%s", problem, out)
		}
	}
	if n := len(report.Problems); n != len(problems) {
		t.Errorf("names %d problems, want %d:\n%s", n, len(problems), out)
	}
	if strings.Contains(string(out), AWS["AWS_SECRET_ACCESS_KEY"]) {
		t.Errorf("holds a secret:\n%s", out)
	}
}

// Starts checks that the function starts and requests an event.
func Starts(t *testing.T, env Settings) {
	t.Helper()
	requested := make(chan string, 1)
	lambda := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case requested <- r.URL.Path:
		default:
		}
		<-r.Context().Done()
	}))
	defer lambda.Close()
	ctx, stop := context.WithTimeout(t.Context(), startTimeout)
	defer stop()
	cmd := command(ctx, env.With(Settings{"AWS_LAMBDA_RUNTIME_API": strings.TrimPrefix(lambda.URL, "http://")}))
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	select {
	case path := <-requested:
		if !strings.HasSuffix(path, "/runtime/invocation/next") {
			t.Errorf("requested %s", path)
		}
		stop()
		<-exited
	case err := <-exited:
		t.Errorf("exited with %v:\n%s", err, out.String())
	}
}
