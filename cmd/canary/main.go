// Canary tests a deployed stack: it invokes the poller to send a test message
// along the whole path, which people see in every channel, and waits until each
// destination has received it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/idmapping/notifier/internal/email"
	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/poller"
	"github.com/idmapping/notifier/internal/slack"
)

func main() {
	stack := flag.String("stack", "", "name of the deployed stack")
	timeout := flag.Duration("timeout", 2*time.Minute, "how long to wait for each destination")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *stack, *timeout); err != nil {
		fmt.Fprintln(os.Stderr, "canary:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, stack string, timeout time.Duration) error {
	if stack == "" {
		return errors.New("name the deployed stack: make canary STACK=name, or -stack name")
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("reading the AWS configuration: %w", err)
	}
	d, err := find(ctx, cloudformation.NewFromConfig(cfg), stack)
	if err != nil {
		return err
	}
	id, err := send(ctx, lambda.NewFromConfig(cfg), d.poller)
	if err != nil {
		return err
	}
	fmt.Printf("canary %.12s… published\n", id)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return wait(ctx, dynamodb.NewFromConfig(cfg), d, id)
}

// deployment is the part of a deployed stack that a canary needs.
type deployment struct {
	poller       string // function name
	deliveries   string // table name
	destinations []string
}

func find(ctx context.Context, client *cloudformation.Client, stack string) (deployment, error) {
	out, err := client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &stack})
	if err != nil {
		return deployment{}, fmt.Errorf("looking up stack %s: %w", stack, err)
	}
	parameters, outputs := map[string]string{}, map[string]string{}
	for _, p := range out.Stacks[0].Parameters {
		parameters[aws.ToString(p.ParameterKey)] = aws.ToString(p.ParameterValue)
	}
	for _, o := range out.Stacks[0].Outputs {
		outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	d := deployment{poller: outputs["PollerFunction"], deliveries: outputs["DeliveriesTable"]}
	if d.poller == "" || d.deliveries == "" {
		return d, fmt.Errorf("stack %s is not a stack of the notifier: it has no outputs PollerFunction and DeliveriesTable", stack)
	}
	switch {
	case parameters["SlackTokenParameterName"] != "":
		d.destinations = append(d.destinations, slack.NewBot(slack.BotOptions{Channel: parameters["SlackChannel"]}).ID())
	case parameters["SlackWebhookParameterName"] != "":
		d.destinations = append(d.destinations, slack.NewWebhook(slack.WebhookOptions{}).ID())
	}
	from, recipients, err := email.ParseAddresses(parameters["EmailFrom"], parameters["EmailTo"])
	if err != nil {
		return d, fmt.Errorf("reading the parameters of stack %s: %w", stack, err)
	}
	for _, to := range recipients {
		d.destinations = append(d.destinations, email.New(aws.Config{}, from, to).ID())
	}
	return d, nil
}

// send invokes the poller to publish a canary, and returns its transition ID. The
// invocation fails when the event bus does not accept it.
func send(ctx context.Context, client *lambda.Client, function string) (string, error) {
	out, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: &function, Payload: []byte(`{"canary":"show"}`)})
	if err != nil {
		return "", fmt.Errorf("invoking %s: %w", function, err)
	}
	if out.FunctionError != nil {
		return "", fmt.Errorf("invoking %s: the function failed: %s", function, out.Payload)
	}
	var report poller.Report
	if err := json.Unmarshal(out.Payload, &report); err != nil {
		return "", fmt.Errorf("invoking %s: the response is not a report: %w", function, err)
	}
	if report.Canary == "" {
		return "", fmt.Errorf("invoking %s: the report names no canary: %s", function, out.Payload)
	}
	return report.Canary, nil
}

// wait prints each destination when it has received the canary.
func wait(ctx context.Context, client *dynamodb.Client, d deployment, id string) error {
	begin := time.Now()
	key := notify.KeyOf(event.Event{DetailType: event.Canary, Detail: event.Detail{TransitionID: id}}, "")
	waiting := slices.Clone(d.destinations)
	for {
		out, err := client.Query(ctx, &dynamodb.QueryInput{
			TableName: &d.deliveries, ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("job = :job"),
			ExpressionAttributeValues: map[string]types.AttributeValue{":job": &types.AttributeValueMemberS{Value: key.Job}},
		})
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("reading %s: %w", d.deliveries, err)
		}
		if err == nil {
			for _, item := range out.Items {
				destination, _ := item["destination"].(*types.AttributeValueMemberS)
				delivered, _ := item["delivered"].(*types.AttributeValueMemberM)
				if destination == nil || delivered == nil || delivered.Value[id] == nil || !slices.Contains(waiting, destination.Value) {
					continue
				}
				fmt.Printf("%s received it after %.1f s\n", destination.Value, time.Since(begin).Seconds())
				waiting = slices.DeleteFunc(waiting, func(w string) bool { return w == destination.Value })
			}
		}
		if len(waiting) == 0 {
			return nil
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("not received after %.0f s: %s. The notifier's log has the reason (\"notification failed\"); if it has no entry, look at the rules, the queues and the event source mappings",
				time.Since(begin).Seconds(), strings.Join(waiting, ", "))
		}
	}
}
