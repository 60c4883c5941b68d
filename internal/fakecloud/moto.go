// Package standin is the cloud that the demo and the tests run on: the moto
// server for AWS, stand-ins of ours for Entity Resolution and Slack, and a host
// that runs the real Lambda binaries. It deploys the real template.yaml. No
// Lambda function imports it.
package fakecloud

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/idmapping/notifier/internal/template"
)

// Region and Account are where the stand-in cloud lies. The account is moto's.
const (
	Region  = "us-east-1"
	Account = "123456789012"
)

// Moto is a moto server on loopback.
type Moto struct {
	URL    string
	cmd    *exec.Cmd
	done   chan struct{}
	stderr *tail
}

// motoServer runs moto. EventBridge sends the account with every event, which
// moto's default envelope lacks.
const motoServer = `import sys
from moto.events.utils import EventTemplateParser as parser
parser.DEFAULT_EVENT_INPUT_TEMPLATE = parser.DEFAULT_EVENT_INPUT_TEMPLATE.replace("{", '{"account": "<account>", ', 1)
from moto.server import main
main(sys.argv[1:])`

// StartMoto starts a moto server on a free port and waits until it answers. Its
// error tells what to run when Python or moto are not there.
func StartMoto(ctx context.Context) (*Moto, error) {
	python, err := template.Python()
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(address)
	m := &Moto{URL: "http://" + address, done: make(chan struct{}), stderr: &tail{}}
	m.cmd = exec.Command(python, "-c", motoServer, "-H", host, "-p", port)
	m.cmd.Stderr = m.stderr
	// moto looks for Lambda's Docker and for credentials unless it is told not to.
	m.cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_DEFAULT_REGION="+Region)
	bind(m.cmd)
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting moto: %w", err)
	}
	go func() { _ = m.cmd.Wait(); close(m.done) }()
	if err := m.wait(ctx); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func (m *Moto) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.URL+"/moto-api/data.json", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			return nil
		}
		select {
		case <-m.done:
			return fmt.Errorf("starting moto: it ended at once: %s", m.stderr)
		case <-ctx.Done():
			return errors.New("starting moto: it does not answer")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Close ends the server.
func (m *Moto) Close() {
	_ = m.cmd.Process.Kill()
	<-m.done
}

// Config is how clients reach the server.
func (m *Moto) Config() aws.Config { return configFor(m.URL) }

func configFor(url string) aws.Config {
	return aws.Config{
		Region:       Region,
		BaseEndpoint: aws.String(url),
		Credentials:  credentials.NewStaticCredentialsProvider("test", "test", ""),
		Retryer: func() aws.Retryer {
			return retry.AddWithMaxBackoffDelay(retry.NewStandard(), 50*time.Millisecond)
		},
	}
}

var shared struct {
	once sync.Once
	moto *Moto
	err  error
}

// MotoForTest gives the test binary's moto server, which is started once and
// dies with it. Tests keep apart by the names they use.
func MotoForTest(t *testing.T) *Moto {
	t.Helper()
	shared.once.Do(func() { shared.moto, shared.err = StartMoto(context.Background()) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.moto
}

// freeAddress is a loopback address with a port that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// tail keeps the last lines that were written to it, and hands each on.
type tail struct {
	sink func(string)

	mu    sync.Mutex
	part  string
	lines []string
}

const tailLines = 20

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := strings.Split(t.part+string(p), "\n")
	t.part = all[len(all)-1]
	for _, line := range all[:len(all)-1] {
		t.lines = append(t.lines, line)
		if t.sink != nil {
			t.sink(line)
		}
	}
	t.lines = t.lines[max(0, len(t.lines)-tailLines):]
	return len(p), nil
}

// String is the lines that were kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(append(t.lines[:len(t.lines):len(t.lines)], t.part), "\n")
}
