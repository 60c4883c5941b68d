package fakecloud

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
)

// Lambda runs one function's real binary as Lambda does: it serves the Runtime
// API ("Using the Lambda runtime API for custom runtimes"), hands out one event
// at a time, and kills the process when its time is up. A process that is dead
// is started anew with the next event.
type Lambda struct {
	Name    string
	Dir     string            // holds the executable "bootstrap"
	Env     map[string]string // all of the function's environment
	Timeout time.Duration
	Log     func(line string) // what the function writes; may be nil

	invoke  sync.Mutex // one event at a time
	mu      sync.Mutex
	server  *http.Server
	address string
	process *exec.Cmd
	exited  chan struct{}
	output  *tail
	events  chan invocation
	answers chan answer
	next    int
	started time.Time
	starts  []time.Duration
}

type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
}

type answer struct {
	id   string
	body []byte
	err  bool
}

// Invoke hands the payload to the function and returns its answer. The error
// says what the function said, or its last lines where it died.
func (l *Lambda) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	l.invoke.Lock()
	defer l.invoke.Unlock()
	if err := l.start(); err != nil {
		return nil, err
	}
	l.next++
	in := invocation{id: strconv.Itoa(l.next), payload: payload, deadline: time.Now().Add(l.Timeout)}
	timer := time.NewTimer(l.Timeout)
	defer timer.Stop()
	select {
	case l.events <- in:
	case <-l.exited:
		return nil, fmt.Errorf("starting %s: it ended before it took an event: %s", l.Name, l.output)
	case <-timer.C:
		l.Kill()
		return nil, fmt.Errorf("starting %s: it took no event within %s: %s", l.Name, l.Timeout, l.output)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		select {
		case a := <-l.answers:
			if a.id != in.id {
				continue // of an invocation that was given up
			}
			if a.err {
				return nil, fmt.Errorf("invoking %s: %s", l.Name, a.body)
			}
			return a.body, nil
		case <-l.exited:
			return nil, fmt.Errorf("invoking %s: the process ended: %s", l.Name, l.output)
		case <-timer.C:
			l.Kill()
			return nil, fmt.Errorf("invoking %s: Task timed out after %s", l.Name, l.Timeout)
		case <-ctx.Done():
			l.Kill()
			return nil, ctx.Err()
		}
	}
}

// start makes sure that the server and a process run.
func (l *Lambda) start() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server == nil {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("serving the Runtime API: %w", err)
		}
		l.address = listener.Addr().String()
		l.events, l.answers = make(chan invocation), make(chan answer, 1)
		l.server = &http.Server{Handler: l.routes()}
		go func() { _ = l.server.Serve(listener) }()
	}
	if l.process != nil {
		select {
		case <-l.exited:
		default:
			return nil
		}
	}
	l.output = &tail{sink: l.Log}
	cmd := exec.Command(filepath.Join(l.Dir, "bootstrap"))
	for name, value := range l.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Env = append(cmd.Env, "AWS_LAMBDA_RUNTIME_API="+l.address, "AWS_LAMBDA_FUNCTION_NAME="+l.Name,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST")
	cmd.Stdout, cmd.Stderr = l.output, l.output
	bind(cmd)
	l.started = time.Now()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", l.Name, err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	l.process, l.exited = cmd, exited
	return nil
}

func (l *Lambda) routes() http.Handler {
	mux := http.NewServeMux()
	const base = "/2018-06-01/runtime/"
	mux.HandleFunc("GET "+base+"invocation/next", func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		if !l.started.IsZero() {
			l.starts = append(l.starts, time.Since(l.started))
			l.started = time.Time{}
		}
		l.mu.Unlock()
		select {
		case in := <-l.events:
			h := w.Header()
			h.Set("Lambda-Runtime-Aws-Request-Id", in.id)
			h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(in.deadline.UnixMilli(), 10))
			h.Set("Lambda-Runtime-Invoked-Function-Arn", fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", Region, Account, l.Name))
			h.Set("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000")
			_, _ = w.Write(in.payload)
		case <-r.Context().Done():
		}
	})
	accept := func(failed bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err == nil {
				l.answers <- answer{r.PathValue("id"), body, failed}
			}
			w.WriteHeader(http.StatusAccepted)
		}
	}
	mux.HandleFunc("POST "+base+"invocation/{id}/response", accept(false))
	mux.HandleFunc("POST "+base+"invocation/{id}/error", accept(true))
	mux.HandleFunc("POST "+base+"init/error", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusAccepted) })
	return mux
}

// Deploy changes the function's code as a deployment does: the invocation under
// way ends with the old code, the next one has the new.
func (l *Lambda) Deploy(dir string) {
	l.invoke.Lock()
	defer l.invoke.Unlock()
	l.Kill()
	l.Dir = dir
}

// Kill ends the process at once, as a crash does.
func (l *Lambda) Kill() {
	l.mu.Lock()
	process, exited := l.process, l.exited
	l.mu.Unlock()
	if process == nil {
		return
	}
	_ = process.Process.Kill()
	<-exited
}

// Freeze stops the process where it is, as Lambda does between two invocations.
func (l *Lambda) Freeze() error { return l.signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (l *Lambda) Thaw() error { return l.signal(syscall.SIGCONT) }

func (l *Lambda) signal(s os.Signal) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.process == nil {
		return errors.New("no process of " + l.Name + " runs")
	}
	return l.process.Process.Signal(s)
}

// PID is the running process's id, 0 when there is none.
func (l *Lambda) PID() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.process == nil {
		return 0
	}
	return l.process.Process.Pid
}

// Warm starts the process without an event, waits until it asks for one, and
// returns how long that took from the start of the process.
func (l *Lambda) Warm() (time.Duration, error) {
	l.mu.Lock()
	before := len(l.starts)
	l.mu.Unlock()
	if err := l.start(); err != nil {
		return 0, err
	}
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(200 * time.Microsecond) {
		l.mu.Lock()
		starts := l.starts
		l.mu.Unlock()
		if len(starts) > before {
			return starts[len(starts)-1], nil
		}
		select {
		case <-l.exited:
			return 0, fmt.Errorf("starting %s: it ended: %s", l.Name, l.output)
		default:
		}
	}
	return 0, errors.New("starting " + l.Name + ": it asked for no event")
}

// Close ends the process and the server.
func (l *Lambda) Close() {
	l.Kill()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server != nil {
		_ = l.server.Close()
	}
}

// Dump is what the function's environment holds, for tests that look for
// secrets there.
func (l *Lambda) Dump() string {
	var all []string
	for name, value := range l.Env {
		all = append(all, name+"="+value)
	}
	return strings.Join(all, "\n")
}
