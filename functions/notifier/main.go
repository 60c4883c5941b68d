// The notifier Lambda function: settings, clients, lambda.Start.
package main

import (
	"log/slog"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/idmapping/notifier/internal/awsenv"
	"github.com/idmapping/notifier/internal/config"
	"github.com/idmapping/notifier/internal/dynamodb"
	"github.com/idmapping/notifier/internal/emf"
	"github.com/idmapping/notifier/internal/notify"
	"github.com/idmapping/notifier/internal/sqs"
)

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	n, err := newNotifier()
	if err != nil {
		slog.Error("the notifier cannot start", "problems", strings.Split(err.Error(), "\n"))
		os.Exit(1)
	}
	lambda.Start(n.Handle)
}

func newNotifier() (*notify.Notifier, error) {
	var env config.Reader
	cfg, err := awsenv.Config()
	env.Wrong(err)
	table, retention := env.Required("DELIVERIES_TABLE"), retention(&env)
	lanes := []notify.Channel{slackLane(&env, cfg), emailLane(&env, cfg)}
	if len(lanes[0].Destinations)+len(lanes[1].Destinations) == 0 {
		env.Wrong(errNowhere)
	}
	if err := env.Err(); err != nil {
		return nil, err
	}
	return &notify.Notifier{
		Channels:   lanes,
		Deliveries: dynamodb.Deliveries{Client: awsdynamodb.NewFromConfig(cfg), Table: table, Retention: retention},
		Queue:      sqs.New(cfg),
		Metrics:    emf.Writer{Out: os.Stdout, Stack: env.Text("STACK_NAME")}.Put,
	}, nil
}
