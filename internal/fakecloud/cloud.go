// Package fakecloud is the cloud that the demo and the tests run on: moto for
// AWS, fakes of Entity Resolution and Slack, and a host for the real Lambda
// binaries. It deploys the real template.yaml. No Lambda function imports it.
package fakecloud

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/fakecloud/account"
	fakeaws "github.com/idmapping/notifier/internal/fakecloud/aws"
	fakeentityresolution "github.com/idmapping/notifier/internal/fakecloud/entityresolution"
	"github.com/idmapping/notifier/internal/fakecloud/inbox"
	fakelambda "github.com/idmapping/notifier/internal/fakecloud/lambda"
	"github.com/idmapping/notifier/internal/fakecloud/sam"
	fakeslack "github.com/idmapping/notifier/internal/fakecloud/slack"
)

// What the fake Slack and SES accept, and the name of the deployed stack.
const (
	SlackToken     = "xoxb-0000000000-fake"
	SlackChannel   = "C0DATAJOBS"
	TokenParameter = "/idmapping/slack-token"
	URLParameter   = "/idmapping/slack-webhook"
	EmailFrom      = "notifier@example.com"
	Stack          = "idmapping"
)

// Options are the settings of a deployment. The functions may be nil.
type Options struct {
	Parameters map[string]string            // of template.yaml; FastPoll is false unless it is here
	Progress   func(step string)            // receives each step
	Log        func(name, line string)      // receives what the functions write
	Problem    func(error)                  // receives the errors of failed invocations
	Bootstraps map[string]string            // folders with prebuilt executables by logical ID; built when empty
	Version    string                       // that is built; empty: as the Makefile names it
	Env        map[string]map[string]string // more environment by logical ID
	// Emulated runs the functions under AWS's Runtime Interface Emulator. The
	// cloud's Poller and Notifier, which can be frozen and killed, then serve no
	// event.
	Emulated bool
	// AnySlackPace makes Slack accept messages at any pace. On a busy machine two
	// requests may arrive closer together than they were sent.
	AnySlackPace bool
}

// Cloud is a deployed product.
type Cloud struct {
	Moto             *fakeaws.Moto
	Proxy            *fakeaws.Proxy
	EntityResolution *fakeentityresolution.Server
	Slack            *fakeslack.Server
	Poller           *fakelambda.Function
	Notifier         *fakelambda.Function
	Resources        map[string]string // physical IDs by logical ID

	SlackURL string // base URL of the fake Slack
	ProxyURL string // AWS_ENDPOINT_URL for the cloud's clients

	poller, notifier fakeaws.Function // what serves the events

	entityResolutionURL string

	config    aws.Config
	stop      context.CancelFunc
	running   sync.WaitGroup
	closers   []func()
	eventsURL string

	connections sync.Map // of net.Conn
}

// Deploy starts everything and deploys the real template.yaml, with the real
// binaries built for this machine. It takes some seconds.
func Deploy(ctx context.Context, o Options) (cloud *Cloud, err error) {
	c := &Cloud{Resources: make(map[string]string),
		EntityResolution: &fakeentityresolution.Server{},
		Slack:            &fakeslack.Server{Token: SlackToken, Channels: []string{SlackChannel}, MinInterval: 900 * time.Millisecond}}
	if o.AnySlackPace {
		c.Slack.MinInterval = 0
	}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	progress := func(step string) {
		if o.Progress != nil {
			o.Progress(step)
		}
	}
	progress("building the two functions")
	dirs, err := bootstraps(ctx, c, o)
	if err != nil {
		return nil, err
	}
	progress("starting moto, the local AWS")
	if c.Moto, err = fakeaws.StartMoto(ctx); err != nil {
		return nil, err
	}
	c.config = c.Moto.Config()
	if c.Proxy, err = fakeaws.NewProxy(c.Moto.URL); err != nil {
		return nil, err
	}
	if c.ProxyURL, err = c.serve(c.Proxy); err != nil {
		return nil, err
	}
	if c.entityResolutionURL, err = c.serve(c.EntityResolution); err != nil {
		return nil, err
	}
	if c.SlackURL, err = c.serve(c.Slack); err != nil {
		return nil, err
	}
	progress("deploying template.yaml")
	if err := c.createPrerequisites(ctx); err != nil {
		return nil, err
	}
	parameters := map[string]string{"FastPoll": "false"} // a tick would take 40 seconds
	maps.Copy(parameters, o.Parameters)
	if err := c.createStack(ctx, parameters); err != nil {
		return nil, err
	}
	extra := c.environment()
	if c.Poller, err = c.function(ctx, "PollerFunction", dirs, extra, o); err != nil {
		return nil, err
	}
	if c.Notifier, err = c.function(ctx, "NotifierFunction", dirs, extra, o); err != nil {
		return nil, err
	}
	if err := c.host(ctx, o.Emulated); err != nil {
		return nil, err
	}
	if err := c.subscribe(ctx); err != nil {
		return nil, err
	}
	return c, c.mapSources(ctx, o.Problem)
}

// Close stops everything.
func (c *Cloud) Close() {
	if c.stop != nil {
		c.stop()
	}
	for _, f := range []*fakelambda.Function{c.Poller, c.Notifier} {
		if f != nil {
			f.Close()
		}
	}
	c.running.Wait()
	for _, f := range c.closers {
		f()
	}
	if c.Moto != nil {
		c.Moto.Close()
	}
}

// Tick invokes the poller as the schedule does, and returns its report.
func (c *Cloud) Tick(ctx context.Context) (string, error) {
	return c.Poll(ctx, `{"version":"0","id":"tick","detail-type":"Scheduled Event","source":"aws.scheduler","detail":"{}"}`)
}

// Poll invokes the poller with a payload and returns its report.
func (c *Cloud) Poll(ctx context.Context, payload string) (string, error) {
	body, err := c.poller.Invoke(ctx, []byte(payload))
	return string(body), err
}

// Events returns the events that were published since the last call.
func (c *Cloud) Events(ctx context.Context) ([]event.Event, error) {
	client := sqs.NewFromConfig(c.config)
	var all []event.Event
	for {
		out, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &c.eventsURL, MaxNumberOfMessages: 10})
		if err != nil {
			return all, fmt.Errorf("reading the bus: %w", err)
		}
		if len(out.Messages) == 0 {
			return all, nil
		}
		for _, m := range out.Messages {
			e, err := event.Decode([]byte(aws.ToString(m.Body)))
			if err != nil {
				return all, fmt.Errorf("reading the bus: %w", err)
			}
			all = append(all, e)
			if _, err := client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &c.eventsURL, ReceiptHandle: m.ReceiptHandle}); err != nil {
				return all, fmt.Errorf("reading the bus: %w", err)
			}
		}
	}
}

// QueueLength returns the number of messages in a queue, hidden ones included.
// The queue is named by its logical ID.
func (c *Cloud) QueueLength(ctx context.Context, queue string) (int, error) {
	url := c.Resources[queue]
	out, err := sqs.NewFromConfig(c.config).GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameAll}})
	if err != nil {
		return 0, fmt.Errorf("counting %s: %w", queue, err)
	}
	var visible, hidden int
	_, _ = fmt.Sscan(out.Attributes["ApproximateNumberOfMessages"], &visible)
	_, _ = fmt.Sscan(out.Attributes["ApproximateNumberOfMessagesNotVisible"], &hidden)
	return visible + hidden, nil
}

// Inbox serves the inbox on loopback until Close and returns its URL.
func (c *Cloud) Inbox() (string, error) {
	return c.serve(inbox.Handler{Messages: c.Slack.Messages, Emails: c.Proxy.Emails})
}

// environment is how a program reaches the cloud.
func (c *Cloud) environment() map[string]string {
	return map[string]string{
		"AWS_REGION": account.Region, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
		"AWS_ENDPOINT_URL": c.ProxyURL, "AWS_ENDPOINT_URL_ENTITYRESOLUTION": c.entityResolutionURL, "SLACK_API_URL": c.SlackURL + "/api/",
		"ALLOW_LOOPBACK": "true",
	}
}

// ClientEnv is the environment of a command that uses the cloud, as NAME=value.
func (c *Cloud) ClientEnv() []string {
	var all []string
	for name, value := range c.environment() {
		all = append(all, name+"="+value)
	}
	return all
}

// Config is the configuration of clients that bypass the proxy.
func (c *Cloud) Config() aws.Config { return c.config }

func (c *Cloud) serve(h http.Handler) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listening on loopback: %w", err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ConnState: c.track}
	go func() { _ = server.Serve(listener) }()
	c.closers = append(c.closers, func() { _ = server.Close() })
	return "http://" + listener.Addr().String(), nil
}

// track keeps the set of open connections.
func (c *Cloud) track(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		c.connections.Store(conn, nil)
	case http.StateClosed, http.StateHijacked:
		c.connections.Delete(conn)
	}
}

// CloseConnections closes every open connection to the cloud, as happens while a
// function is frozen, and returns their number.
func (c *Cloud) CloseConnections() int {
	n := 0
	c.connections.Range(func(conn, _ any) bool {
		_ = conn.(net.Conn).Close()
		n++
		return true
	})
	return n
}

// bootstraps builds the functions with the Makefile's targets.
func bootstraps(ctx context.Context, c *Cloud, o Options) (map[string]string, error) {
	dirs := make(map[string]string)
	root, err := sam.Root()
	if err != nil {
		return nil, err
	}
	if err := statSources(root); err != nil {
		return nil, err
	}
	for _, id := range []string{"PollerFunction", "NotifierFunction"} {
		if dirs[id] = o.Bootstraps[id]; dirs[id] != "" {
			continue
		}
		dir, err := os.MkdirTemp("", "bootstrap-")
		if err != nil {
			return nil, fmt.Errorf("building %s: %w", id, err)
		}
		c.closers = append(c.closers, func() { _ = os.RemoveAll(dir) })
		if err := Build(ctx, id, dir, o.Version); err != nil {
			return nil, err
		}
		dirs[id] = dir
	}
	return dirs, nil
}

// Build builds a function, by its logical ID, for this machine with the Makefile's
// target. Without a version, the Makefile chooses it.
func Build(ctx context.Context, id, dir, version string) error {
	root, err := sam.Root()
	if err != nil {
		return err
	}
	arguments := []string{"-s", "build-" + id, "ARTIFACTS_DIR=" + dir, "GOARCH=" + runtime.GOARCH}
	if version != "" {
		arguments = append(arguments, "VERSION="+version)
	}
	cmd := exec.CommandContext(ctx, "make", arguments...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w: %s", id, err, out)
	}
	return nil
}

// statSources makes test results depend on the functions' sources: `go test`
// reuses a cached result unless a file changed that the test itself looked at.
func statSources(root string) error {
	for _, dir := range []string{"cmd", "functions", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err == nil && filepath.Ext(path) == ".go" {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("reading the functions' sources: %w", err)
		}
	}
	return nil
}

// createPrerequisites creates what a user creates before deploying: the SSM
// parameters and the verified sender.
func (c *Cloud) createPrerequisites(ctx context.Context) error {
	client := ssm.NewFromConfig(c.config)
	for name, value := range map[string]string{TokenParameter: SlackToken, URLParameter: c.SlackURL + fakeslack.WebhookPath} {
		if _, err := client.PutParameter(ctx, &ssm.PutParameterInput{Name: &name, Value: &value, Type: ssmtypes.ParameterTypeSecureString}); err != nil {
			return fmt.Errorf("putting the parameter %s: %w", name, err)
		}
	}
	identity := "example.com"
	if _, err := sesv2.NewFromConfig(c.config).CreateEmailIdentity(ctx, &sesv2.CreateEmailIdentityInput{EmailIdentity: &identity}); err != nil {
		return fmt.Errorf("verifying the sender: %w", err)
	}
	return nil
}

func (c *Cloud) createStack(ctx context.Context, parameters map[string]string) error {
	const bucket, key, stack = "artifacts", "function.zip", Stack
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	if f, err := z.Create("bootstrap"); err == nil {
		_, _ = f.Write([]byte("the fake cloud runs the real binary itself")) // moto only stores this
	}
	if err := z.Close(); err != nil {
		return err
	}
	store := s3.NewFromConfig(c.config, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := store.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		return fmt.Errorf("creating the bucket: %w", err)
	}
	if _, err := store.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(key), Body: bytes.NewReader(archive.Bytes())}); err != nil {
		return fmt.Errorf("putting the code: %w", err)
	}
	uri := "s3://" + bucket + "/" + key
	body, err := sam.Translate(ctx, account.Region, map[string]string{"PollerFunction": uri, "NotifierFunction": uri})
	if err != nil {
		return err
	}
	// The service takes templates over 51,200 bytes only from S3.
	if _, err := store.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("template.json"), Body: bytes.NewReader(body)}); err != nil {
		return fmt.Errorf("putting the template: %w", err)
	}
	in := &cloudformation.CreateStackInput{StackName: aws.String(stack), Capabilities: []cfntypes.Capability{cfntypes.CapabilityCapabilityIam},
		TemplateURL: aws.String("https://s3.amazonaws.com/" + bucket + "/template.json")}
	for name, value := range parameters {
		in.Parameters = append(in.Parameters, cfntypes.Parameter{ParameterKey: aws.String(name), ParameterValue: aws.String(value)})
	}
	client := cloudformation.NewFromConfig(c.config)
	if _, err := client.CreateStack(ctx, in); err != nil {
		return fmt.Errorf("creating the stack: %w", err)
	}
	pages := cloudformation.NewListStackResourcesPaginator(client, &cloudformation.ListStackResourcesInput{StackName: aws.String(stack)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("listing the stack's resources: %w", err)
		}
		for _, r := range page.StackResourceSummaries {
			c.Resources[aws.ToString(r.LogicalResourceId)] = aws.ToString(r.PhysicalResourceId)
		}
	}
	return c.createSchedules(ctx, body, parameters["Paused"] == "true")
}

// function returns the host of a function, configured as in the stack.
func (c *Cloud) function(ctx context.Context, id string, dirs map[string]string, extra map[string]string, o Options) (*fakelambda.Function, error) {
	name := c.Resources[id]
	out, err := lambda.NewFromConfig(c.config).GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &name})
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of %s: %w", id, err)
	}
	f := &fakelambda.Function{Name: name, Dir: dirs[id], Env: make(map[string]string), Timeout: time.Duration(aws.ToInt32(out.Timeout)) * time.Second}
	if out.Environment != nil {
		for k, v := range out.Environment.Variables {
			f.Env[k] = v
		}
	}
	for _, more := range []map[string]string{extra, o.Env[id]} {
		for k, v := range more {
			f.Env[k] = v
		}
	}
	if o.Log != nil {
		f.Log = func(line string) { o.Log(strings.ToLower(strings.TrimSuffix(id, "Function")), line) }
	}
	return f, nil
}

// host chooses what serves the events of the two functions.
func (c *Cloud) host(ctx context.Context, emulated bool) error {
	c.poller, c.notifier = c.Poller, c.Notifier
	if emulated {
		for function, served := range map[*fakelambda.Function]*fakeaws.Function{c.Poller: &c.poller, c.Notifier: &c.notifier} {
			emulator, err := fakelambda.Emulate(ctx, function)
			if err != nil {
				return err
			}
			c.closers = append(c.closers, emulator.Close)
			*served = emulator
		}
	}
	c.Proxy.Functions = map[string]fakeaws.Function{c.Poller.Name: c.poller, c.Notifier.Name: c.notifier}
	return nil
}

// subscribe creates a rule of its own on the bus, as any subscriber can.
func (c *Cloud) subscribe(ctx context.Context) error {
	queues := sqs.NewFromConfig(c.config)
	queue, err := queues.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("events")})
	if err != nil {
		return fmt.Errorf("subscribing to the bus: %w", err)
	}
	c.eventsURL = aws.ToString(queue.QueueUrl)
	bus := eventbridge.NewFromConfig(c.config)
	pattern, _ := json.Marshal(map[string][]string{"source": {event.Source}})
	if _, err := bus.PutRule(ctx, &eventbridge.PutRuleInput{Name: aws.String("events"), EventPattern: aws.String(string(pattern))}); err != nil {
		return fmt.Errorf("subscribing to the bus: %w", err)
	}
	arn := fmt.Sprintf("arn:aws:sqs:%s:%s:events", account.Region, account.ID)
	if _, err := bus.PutTargets(ctx, &eventbridge.PutTargetsInput{Rule: aws.String("events"), Targets: []ebtypes.Target{{Id: aws.String("events"), Arn: &arn}}}); err != nil {
		return fmt.Errorf("subscribing to the bus: %w", err)
	}
	return nil
}

// mapSources runs the stack's event source mappings instead of moto, which would
// invoke the functions in Docker and increase every receive count.
func (c *Cloud) mapSources(ctx context.Context, problem func(error)) error {
	functions := lambda.NewFromConfig(c.config)
	out, err := functions.ListEventSourceMappings(ctx, &lambda.ListEventSourceMappingsInput{})
	if err != nil {
		return fmt.Errorf("listing the event source mappings: %w", err)
	}
	if len(out.EventSourceMappings) == 0 {
		return errors.New("deploying: the stack has no event source mappings")
	}
	queues := sqs.NewFromConfig(c.config)
	polling, stop := context.WithCancel(context.Background())
	c.stop = stop
	for _, m := range out.EventSourceMappings {
		if _, err := functions.UpdateEventSourceMapping(ctx, &lambda.UpdateEventSourceMappingInput{UUID: m.UUID, Enabled: aws.Bool(false)}); err != nil {
			return fmt.Errorf("disabling an event source mapping of moto: %w", err)
		}
		c.Proxy.ShowMapping(aws.ToString(m.UUID), aws.ToString(m.State))
		if aws.ToString(m.State) == "Disabled" {
			continue
		}
		arn := aws.ToString(m.EventSourceArn)
		url, err := queues.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String(filepath.Base(strings.ReplaceAll(arn, ":", "/")))})
		if err != nil {
			return fmt.Errorf("finding the queue %s: %w", arn, err)
		}
		source := &fakeaws.EventSource{SQS: queues, QueueURL: aws.ToString(url.QueueUrl), QueueARN: arn,
			BatchSize: aws.ToInt32(m.BatchSize), Function: c.notifier, Problem: problem}
		c.running.Go(func() { source.Run(polling) })
	}
	return nil
}
