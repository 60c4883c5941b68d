// The poller Lambda function: settings, clients, lambda.Start.
package main

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/idmapping/notifier/internal/awsenv"
	"github.com/idmapping/notifier/internal/config"
	"github.com/idmapping/notifier/internal/dynamodb"
	"github.com/idmapping/notifier/internal/emf"
	"github.com/idmapping/notifier/internal/entityresolution"
	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/eventbridge"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/poller"
)

// version is the release or commit that the Makefile builds (-X main.version).
var version = "dev"

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	p, err := newPoller()
	if err != nil {
		slog.Error("the poller cannot start", "version", version, "problems", strings.Split(err.Error(), "\n"))
		os.Exit(1)
	}
	slog.Info("poller started", "version", version)
	lambda.Start(p.Handle)
}

func newPoller() (*poller.Poller, error) {
	var env config.Reader
	table, bus, stack := env.Required("JOBS_TABLE"), env.Required("EVENT_BUS_NAME"), env.Required("STACK_NAME")
	retention := time.Duration(env.Int("RETENTION_DAYS", 90, 7, 400)) * 24 * time.Hour
	rate := env.Float("REQUESTS_PER_SECOND", entityresolution.DefaultRate)
	watched, err := poller.NewFilter(env.Text("WORKFLOW_INCLUDE"), env.Text("WORKFLOW_EXCLUDE"))
	env.Wrong(err)
	overdue, err := overdueRule(env.Text("OVERDUE_AFTER"))
	env.Wrong(err)
	fast := env.Bool("FAST_POLL", false)
	expect := env.Text("EXPECT_RUNS")
	if expect != "" && expect != "learn" && expect != "off" {
		env.Wrong(fmt.Errorf("ExpectRuns: %.40q is neither learn nor off", expect))
	}
	cfg, err := awsenv.Config()
	env.Wrong(err)
	if err := env.Err(); err != nil {
		return nil, err
	}
	return &poller.Poller{
		Source:       entityresolution.New(cfg, rate),
		Store:        dynamodb.Jobs{Client: awsdynamodb.NewFromConfig(cfg), Table: table, Retention: retention},
		Publisher:    eventbridge.New(cfg, bus, event.Publisher{Stack: stack, Environment: env.Text("ENVIRONMENT")}),
		Watched:      watched,
		Overdue:      overdue,
		ExpectNoRuns: expect == "off",
		Fast:         fast,
		Version:      version,
		Metrics:      emf.Writer{Out: os.Stdout, Stack: stack}.Put,
	}, nil
}

// overdueRule reads when jobs are overdue: empty is learned, off never.
func overdueRule(setting string) (jobs.OverdueRule, error) {
	if setting == "" || setting == "off" {
		return jobs.OverdueRule{Off: setting == "off"}, nil
	}
	after, err := time.ParseDuration(setting)
	if err != nil || after < time.Minute {
		return jobs.OverdueRule{}, fmt.Errorf("OverdueAfter: %.40q is not a duration of a minute or more: give one such as 90m or 4h, off, or nothing to learn it from earlier runs", setting)
	}
	return jobs.OverdueRule{After: after}, nil
}
