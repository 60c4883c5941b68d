package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/idmapping/notifier/internal/fakecloud/process"
	"github.com/idmapping/notifier/internal/fakecloud/sam"
)

// Emulator runs a function's binary under AWS's own Runtime Interface Emulator
// (github.com/aws/aws-lambda-runtime-interface-emulator), so that a test does not
// depend on our understanding of the Runtime API. The emulator has no way to
// freeze, kill, time or replace the process: a Function does that.
type Emulator struct {
	mu      sync.Mutex // one event at a time: the emulator refuses a second
	name    string
	url     string
	command *exec.Cmd
	exited  chan struct{}
	output  *process.Tail
}

// Emulate starts an emulator with the binary and the settings of f. The binary
// starts with the first event.
func Emulate(ctx context.Context, f *Function) (*Emulator, error) {
	emulator, err := emulatorPath(ctx)
	if err != nil {
		return nil, err
	}
	addresses, err := freeAddresses(2)
	if err != nil {
		return nil, err
	}
	e := &Emulator{name: f.Name, url: "http://" + addresses[0] + "/2015-03-31/functions/function/invocations",
		exited: make(chan struct{}), output: &process.Tail{Sink: f.Log}}
	e.command = exec.Command(emulator, "--log-level", "warn", "--runtime-interface-emulator-address", addresses[0], "--runtime-api-address", addresses[1],
		filepath.Join(f.Dir, "bootstrap"))
	for name, value := range f.Env {
		e.command.Env = append(e.command.Env, name+"="+value)
	}
	e.command.Env = append(e.command.Env, "AWS_LAMBDA_FUNCTION_NAME="+f.Name, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128",
		fmt.Sprintf("AWS_LAMBDA_FUNCTION_TIMEOUT=%d", int(f.Timeout.Seconds())))
	e.command.Stdout, e.command.Stderr = e.output, e.output
	process.Bind(e.command)
	if err := e.command.Start(); err != nil {
		return nil, fmt.Errorf("starting the Runtime Interface Emulator: %w", err)
	}
	go func() { _ = e.command.Wait(); close(e.exited) }()
	if err := e.listening(ctx, addresses[0]); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// emulatorPath builds the emulator and returns the executable's path.
func emulatorPath(ctx context.Context) (string, error) {
	root, err := sam.Root()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "tool", "-modfile=tools/emulator/go.mod", "-n", "aws-lambda-rie")
	cmd.Dir = root
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("building the Runtime Interface Emulator: %w: %s", err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

func (e *Emulator) listening(ctx context.Context, address string) error {
	for {
		if conn, err := net.Dial("tcp", address); err == nil {
			return conn.Close()
		}
		select {
		case <-e.exited:
			return fmt.Errorf("starting the Runtime Interface Emulator: it exited: %s", e.output)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Invoke passes the payload to the function and returns its response, or the error
// that the function returned.
func (e *Emulator) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("invoking %s: %w: %s", e.name, err, e.output)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("invoking %s: %w", e.name, err)
	}
	// The emulator does not mark an error as the Lambda API does, with
	// X-Amz-Function-Error: its body is the runtime's error object, or no JSON.
	var failure struct{ ErrorMessage *string }
	if err := json.Unmarshal(body, &failure); err != nil || failure.ErrorMessage != nil || response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("invoking %s: %s: %s", e.name, response.Status, body)
	}
	return body, nil
}

// Close stops the emulator and the function.
func (e *Emulator) Close() {
	_ = e.command.Process.Kill()
	<-e.exited
}

// freeAddresses returns n loopback addresses with unused ports.
func freeAddresses(n int) (all []string, err error) {
	for range n {
		l, listenErr := net.Listen("tcp", "127.0.0.1:0")
		if listenErr != nil {
			return nil, fmt.Errorf("finding a free port: %w", listenErr)
		}
		defer func() { err = errors.Join(err, l.Close()) }() // held until all are found, so that they differ
		all = append(all, l.Addr().String())
	}
	return all, nil
}
