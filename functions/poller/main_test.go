package main

import (
	"os"
	"testing"

	"github.com/idmapping/notifier/internal/fakecloud/lambda/lambdatest"
)

func TestMain(m *testing.M) { os.Exit(lambdatest.Run(m)) }

type settings = lambdatest.Settings

// deployed is what the template sets.
var deployed = lambdatest.AWS.With(settings{"JOBS_TABLE": "jobs", "EVENT_BUS_NAME": "default", "WORKFLOW_EXCLUDE": "test-*", "RETENTION_DAYS": "90", "STACK_NAME": "s"})

func TestPollerReportsEveryProblemThatKeepsItFromStarting(t *testing.T) {
	for name, c := range map[string]struct {
		env      settings
		problems []string
	}{
		"nothing set":    {settings{}, []string{"JOBS_TABLE", "EVENT_BUS_NAME", "STACK_NAME", "AWS_REGION", "AWS_ACCESS_KEY_ID"}},
		"no table":       {deployed.With(settings{"JOBS_TABLE": ""}), []string{"JOBS_TABLE"}},
		"no bus":         {deployed.With(settings{"EVENT_BUS_NAME": ""}), []string{"EVENT_BUS_NAME"}},
		"no stack name":  {deployed.With(settings{"STACK_NAME": ""}), []string{"STACK_NAME"}},
		"no region":      {deployed.With(settings{"AWS_REGION": ""}), []string{"AWS_REGION"}},
		"no credentials": {deployed.With(settings{"AWS_ACCESS_KEY_ID": ""}), []string{"AWS_ACCESS_KEY_ID"}},
		"too few days":   {deployed.With(settings{"RETENTION_DAYS": "6"}), []string{"RETENTION_DAYS"}},
		"too many days":  {deployed.With(settings{"RETENTION_DAYS": "401"}), []string{"RETENTION_DAYS"}},
		"no rate":        {deployed.With(settings{"REQUESTS_PER_SECOND": "0"}), []string{"REQUESTS_PER_SECOND"}},
		"everything wrong": {
			settings{"RETENTION_DAYS": "forever", "REQUESTS_PER_SECOND": "fast", "WORKFLOW_INCLUDE": "crm-[", "WORKFLOW_EXCLUDE": "[a", "OVERDUE_AFTER": "10s", "EXPECT_RUNS": "on", "FAST_POLL": "often"},
			[]string{"JOBS_TABLE", "EVENT_BUS_NAME", "STACK_NAME", "RETENTION_DAYS", "REQUESTS_PER_SECOND", "WorkflowInclude", "WorkflowExclude", "OverdueAfter", "ExpectRuns", "FAST_POLL", "AWS_REGION", "AWS_ACCESS_KEY_ID"},
		},
	} {
		t.Run(name, func(t *testing.T) { lambdatest.CannotStart(t, c.env, c.problems...) })
	}
}

func TestPollerStartsAndAsksForWork(t *testing.T) {
	for name, env := range map[string]settings{
		"as deployed":              deployed,
		"with as little as can be": lambdatest.AWS.With(settings{"JOBS_TABLE": "jobs", "EVENT_BUS_NAME": "default", "STACK_NAME": "s"}),
		"with every setting":       deployed.With(settings{"REQUESTS_PER_SECOND": "0.5", "WORKFLOW_INCLUDE": "crm-*,ads", "OVERDUE_AFTER": "1h30m", "EXPECT_RUNS": "off", "FAST_POLL": "true"}),
	} {
		t.Run(name, func(t *testing.T) { lambdatest.Starts(t, env) })
	}
}
