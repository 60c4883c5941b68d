// The notifier Lambda function: settings, clients, lambda.Start.
package main

import (
	"log/slog"
	"os"
	"runtime"
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

// version is the release or commit that the Makefile builds (-X main.version).
var version = "dev"

func main() {
	// 128 MB are a fourteenth of a vCPU (Lambda Developer Guide, "Configure Lambda
	// function memory"): a second thread only waits for the first, and each handover
	// between the two costs more than the work itself.
	runtime.GOMAXPROCS(1)
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	n, err := newNotifier()
	if err != nil {
		slog.Error("the notifier cannot start", "version", version, "problems", strings.Split(err.Error(), "\n"))
		os.Exit(1)
	}
	slog.Info("notifier started", "version", version)
	lambda.Start(sqs.Handler(n))
}

func newNotifier() (*notify.Notifier, error) {
	var env config.Reader
	cfg, err := awsenv.Config()
	env.Wrong(err)
	deliveries := dynamodb.Deliveries{Client: awsdynamodb.NewFromConfig(cfg), Table: env.Required("DELIVERIES_TABLE")}
	signals := env.Bool("SIGNALS", true)
	channels := []notify.Channel{slackChannel(&env, cfg, deliveries, signals), emailChannel(&env, cfg, signals)}
	if len(channels[0].Destinations)+len(channels[1].Destinations) == 0 {
		env.Wrong(errNoDestination)
	}
	metrics := emf.Writer{Out: os.Stdout, Stack: env.Text("STACK_NAME")}
	return &notify.Notifier{Channels: channels, Deliveries: deliveries, Queue: sqs.New(cfg), Settings: messageSettings(&env), Metrics: metrics.Put, Version: version}, env.Err()
}
