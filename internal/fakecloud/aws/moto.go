// Package aws is the part of AWS that the fake cloud takes from moto: the moto
// server, a proxy in front of it that records calls and injects faults, and the
// event source mapping from SQS to a function.
package aws

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/idmapping/notifier/internal/fakecloud/account"
	"github.com/idmapping/notifier/internal/fakecloud/process"
	"github.com/idmapping/notifier/internal/fakecloud/sam"
)

// Moto is a moto server on loopback.
type Moto struct {
	URL    string
	cmd    *exec.Cmd
	done   chan struct{}
	stderr *process.Tail
}

// motoServer runs moto. EventBridge sends the account with every event, which
// moto's default envelope lacks. DynamoDB's writes and transactions are
// serializable (DynamoDB Developer Guide, "Transaction isolation levels"); moto
// serves requests in threads and checks conditions without a lock. For each event
// and target it builds eight parsers of JSON paths, which takes a tenth of a
// second: here it keeps them. A pattern can name the keys of objects in an array
// (github.com/aws/event-ruler, "JSON Array Matching"), which moto cannot.
const motoServer = `import sys, threading
from moto.dynamodb.responses import DynamoHandler
call, lock = DynamoHandler.call_action, threading.Lock()
def locked(self):
    with lock:
        return call(self)
DynamoHandler.call_action = locked
import functools, jsonpath_ng.ext
jsonpath_ng.ext.parse = functools.cache(jsonpath_ng.ext.parse)
from moto.events.utils import EventTemplateParser as parser
parser.DEFAULT_EVENT_INPUT_TEMPLATE = parser.DEFAULT_EVENT_INPUT_TEMPLATE.replace("{", '{"account": "<account>", ', 1)
from moto.events.models import EventPattern
flatten = EventPattern._flatten_dict
def with_arrays(node, prefix="", result=None):
    result = flatten(node, prefix, result)
    for key, value in list(result.items()):
        for element in value if isinstance(value, list) else ():
            if isinstance(element, dict):
                for k, v in flatten(element, key).items():
                    result.setdefault(k, []).append(v)
    return result
EventPattern._flatten_dict = staticmethod(with_arrays)
from moto.server import main
main(sys.argv[1:])`

// StartMoto starts a moto server on a free port and waits until it responds. Its
// error names the command to run when Python or moto is missing.
func StartMoto(ctx context.Context) (*Moto, error) {
	python, err := sam.Python()
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(address)
	m := &Moto{URL: "http://" + address, done: make(chan struct{}), stderr: &process.Tail{}}
	m.cmd = exec.Command(python, "-c", motoServer, "-H", host, "-p", port)
	m.cmd.Stderr = m.stderr
	// Without these variables moto looks for credentials elsewhere.
	m.cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_DEFAULT_REGION="+account.Region)
	process.Bind(m.cmd)
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
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute) // it takes seconds, and longer on a busy machine
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
			return fmt.Errorf("starting moto: it exited at once: %s", m.stderr)
		case <-ctx.Done():
			return errors.New("starting moto: it does not respond")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Close stops the server.
func (m *Moto) Close() {
	_ = m.cmd.Process.Kill()
	<-m.done
}

// Config is the configuration of clients that call the server.
func (m *Moto) Config() aws.Config { return configFor(m.URL) }

func configFor(url string) aws.Config {
	return aws.Config{
		Region:       account.Region,
		BaseEndpoint: aws.String(url),
		Credentials:  credentials.NewStaticCredentialsProvider("test", "test", ""),
		Retryer: func() aws.Retryer {
			return retry.AddWithMaxBackoffDelay(retry.NewStandard(), 50*time.Millisecond)
		},
	}
}

// freeAddress returns a loopback address with an unused port.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
