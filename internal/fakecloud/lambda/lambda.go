// Package lambda runs a Lambda function's real binary on this machine.
package lambda

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/idmapping/notifier/internal/fakecloud/account"
	"github.com/idmapping/notifier/internal/fakecloud/process"
)

// Function runs a binary as Lambda does: it serves the Runtime API ("Using the
// Lambda runtime API for custom runtimes"), passes one event at a time, and
// kills the process at the timeout. The next event starts a dead process again.
//
// AWS's emulator (see Emulator) would do for everything but this: tests kill and
// freeze the process at a chosen moment, let two processes of one function run,
// deploy another binary, and measure the start. The demo uses a Function too, so
// that it needs no module beyond the product's.
type Function struct {
	Name    string
	Dir     string            // holds the executable "bootstrap"
	Env     map[string]string // the function's whole environment
	Timeout time.Duration
	Log     func(line string) // receives each line of output; may be nil

	invoking  sync.Mutex // one event at a time
	mu        sync.Mutex
	server    *http.Server
	address   string
	command   *exec.Cmd
	exited    chan struct{}
	output    *process.Tail
	events    chan invocation
	responses chan response
	next      int
	started   time.Time
	starts    []time.Duration
}

type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
}

type response struct {
	id   string
	body []byte
	err  bool
}

// Invoke passes the payload to the function and returns its response. The error
// holds the error that the function returned, or its last lines if it died.
func (f *Function) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	f.invoking.Lock()
	defer f.invoking.Unlock()
	if err := f.ensureRunning(); err != nil {
		return nil, err
	}
	f.next++
	in := invocation{id: strconv.Itoa(f.next), payload: payload, deadline: time.Now().Add(f.Timeout)}
	timer := time.NewTimer(f.Timeout)
	defer timer.Stop()
	select {
	case f.events <- in:
	case <-f.exited:
		return nil, fmt.Errorf("starting %s: it exited before it took an event: %s", f.Name, f.output)
	case <-timer.C:
		f.Kill()
		return nil, fmt.Errorf("starting %s: it took no event within %s: %s", f.Name, f.Timeout, f.output)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		select {
		case a := <-f.responses:
			if a.id != in.id {
				continue // of an invocation that timed out
			}
			if a.err {
				return nil, fmt.Errorf("invoking %s: %s", f.Name, a.body)
			}
			return a.body, nil
		case <-f.exited:
			return nil, fmt.Errorf("invoking %s: the process exited: %s", f.Name, f.output)
		case <-timer.C:
			f.Kill()
			return nil, fmt.Errorf("invoking %s: Task timed out after %s", f.Name, f.Timeout)
		case <-ctx.Done():
			f.Kill()
			return nil, ctx.Err()
		}
	}
}

// ensureRunning starts the server and the process unless they run.
func (f *Function) ensureRunning() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.server == nil {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("serving the Runtime API: %w", err)
		}
		f.address = listener.Addr().String()
		f.events, f.responses = make(chan invocation), make(chan response, 1)
		f.server = &http.Server{Handler: f.routes()}
		go func() { _ = f.server.Serve(listener) }()
	}
	if f.command != nil {
		select {
		case <-f.exited:
		default:
			return nil
		}
	}
	f.output = &process.Tail{Sink: f.Log}
	cmd := exec.Command(filepath.Join(f.Dir, "bootstrap"))
	for name, value := range f.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Env = append(cmd.Env, "AWS_LAMBDA_RUNTIME_API="+f.address, "AWS_LAMBDA_FUNCTION_NAME="+f.Name,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST")
	cmd.Stdout, cmd.Stderr = f.output, f.output
	process.Bind(cmd)
	f.started = time.Now()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", f.Name, err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	f.command, f.exited = cmd, exited
	return nil
}

func (f *Function) routes() http.Handler {
	mux := http.NewServeMux()
	const base = "/2018-06-01/runtime/"
	mux.HandleFunc("GET "+base+"invocation/next", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		if !f.started.IsZero() {
			f.starts = append(f.starts, time.Since(f.started))
			f.started = time.Time{}
		}
		f.mu.Unlock()
		select {
		case in := <-f.events:
			h := w.Header()
			h.Set("Lambda-Runtime-Aws-Request-Id", in.id)
			h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(in.deadline.UnixMilli(), 10))
			h.Set("Lambda-Runtime-Invoked-Function-Arn", fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", account.Region, account.ID, f.Name))
			h.Set("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000")
			_, _ = w.Write(in.payload)
		case <-r.Context().Done():
		}
	})
	accept := func(failed bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err == nil {
				f.responses <- response{r.PathValue("id"), body, failed}
			}
			w.WriteHeader(http.StatusAccepted)
		}
	}
	mux.HandleFunc("POST "+base+"invocation/{id}/response", accept(false))
	mux.HandleFunc("POST "+base+"invocation/{id}/error", accept(true))
	mux.HandleFunc("POST "+base+"init/error", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusAccepted) })
	return mux
}

// Deploy changes the function's code as a deployment does: the current
// invocation finishes with the old code, the next one runs the new code.
func (f *Function) Deploy(dir string) {
	f.invoking.Lock()
	defer f.invoking.Unlock()
	f.Kill()
	f.Dir = dir
}

// Kill stops the process at once, as a crash does.
func (f *Function) Kill() {
	f.mu.Lock()
	command, exited := f.command, f.exited
	f.mu.Unlock()
	if command == nil {
		return
	}
	_ = command.Process.Kill()
	<-exited
}

// Freeze suspends the process, as Lambda does between two invocations.
func (f *Function) Freeze() error { return f.signal(syscall.SIGSTOP) }

// Thaw resumes a frozen process.
func (f *Function) Thaw() error { return f.signal(syscall.SIGCONT) }

func (f *Function) signal(s os.Signal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.command == nil {
		return errors.New("no process of " + f.Name + " is running")
	}
	return f.command.Process.Signal(s)
}

// PID returns the process ID, or 0 if no process was started.
func (f *Function) PID() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.command == nil {
		return 0
	}
	return f.command.Process.Pid
}

// Start starts the process without an event and returns the time from the start
// of the process to its first request for one.
func (f *Function) Start() (time.Duration, error) {
	f.mu.Lock()
	before := len(f.starts)
	f.mu.Unlock()
	if err := f.ensureRunning(); err != nil {
		return 0, err
	}
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(200 * time.Microsecond) {
		f.mu.Lock()
		starts := f.starts
		f.mu.Unlock()
		if len(starts) > before {
			return starts[len(starts)-1], nil
		}
		select {
		case <-f.exited:
			return 0, fmt.Errorf("starting %s: it exited: %s", f.Name, f.output)
		default:
		}
	}
	return 0, errors.New("starting " + f.Name + ": it requested no event")
}

// Close stops the process and the server.
func (f *Function) Close() {
	f.Kill()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.server != nil {
		_ = f.server.Close()
	}
}

// Environment returns the function's environment as text, for tests that look
// for secrets in it.
func (f *Function) Environment() string {
	var all []string
	for name, value := range f.Env {
		all = append(all, name+"="+value)
	}
	return strings.Join(all, "\n")
}
