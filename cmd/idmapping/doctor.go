package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/idmapping/notifier/internal/deployment"
)

type doctorCommand struct {
	Canary                bool   `help:"Also send a test message that people see to every destination."`
	SlackTokenParameter   string `placeholder:"NAME" help:"Check this SSM parameter with a bot token instead of the stack's."`
	SlackWebhookParameter string `placeholder:"NAME" help:"Check this SSM parameter with an incoming webhook's URL instead of the stack's."`
	SlackChannel          string `placeholder:"ID" help:"Check this channel instead of the stack's."`
	EmailFrom             string `placeholder:"ADDRESS" help:"Check this sender instead of the stack's."`
	EmailTo               string `placeholder:"ADDRESSES" help:"Check these recipients, separated by commas, instead of the stack's."`
}

// Help is the end of the command's help.
func (doctorCommand) Help() string {
	return `Example, before a deployment:
  idmapping doctor --slack-token-parameter /idmapping/slack-token --slack-channel C0123456789

Example, after it:
  idmapping doctor --stack idmapping-prod --canary

It changes no setting. It invokes the poller of a stack that is not paused, which sweeps as it does every minute anyway. The exit code is 1 if a check FAILED; a warning does not count.`
}

// The results of a check.
const (
	resultOK     = "ok"
	resultWarn   = "warn"
	resultFailed = "FAILED"
)

// check is one line of the output.
type check struct {
	Check  string `json:"check"`
	Result string `json:"result"`
	Text   string `json:"text"`
	Fix    string `json:"fix"` // the command or setting; empty where nothing is wrong
}

func passed(name, format string, values ...any) check {
	return check{name, resultOK, fmt.Sprintf(format, values...), ""}
}

func warned(name, text, fix string) check { return check{name, resultWarn, text, fix} }

func failed(name, text, fix string) check { return check{name, resultFailed, text, fix} }

// failedCall is the check whose call has failed.
func failedCall(name string, err error) check {
	return failedWith(name, err, "run this again; if it stays so, look at https://health.aws.amazon.com")
}

// failedWith is the same, with what to do where the error itself does not say it.
func failedWith(name string, err error, fallback string) check {
	text, fix := deployment.Diagnose(err)
	return failed(name, text, cmp.Or(fix, fallback))
}

// Run prints the checks in their order, whichever ends first.
func (c doctorCommand) Run(ctx context.Context, a *app) error {
	slow := time.AfterFunc(2*time.Second, func() { a.progress("checking; this can take up to a minute") })
	defer slow.Stop()
	checks := c.examine(ctx, a)
	if err := a.print(checks, func(w io.Writer) { printChecks(w, checks) }); err != nil {
		return err
	}
	if slices.ContainsFunc(checks, func(one check) bool { return one.Result == resultFailed }) {
		return errReported
	}
	return nil
}

func printChecks(w io.Writer, checks []check) {
	for _, one := range checks {
		fmt.Fprintf(w, "%-6s  %-13s  %s\n", one.Result, one.Check, one.Text)
		if one.Fix != "" {
			fmt.Fprintf(w, "%-6s  %-13s  fix: %s\n", "", "", one.Fix)
		}
	}
}

// examine runs the checks that make sense: those of the deployed stack, or before a
// deployment those of what it needs.
func (c doctorCommand) examine(ctx context.Context, a *app) []check {
	cfg, err := a.Load(ctx, "samconfig.toml")
	if err != nil {
		return []check{failedWith("region", err, "name the region with --region NAME and the profile with --profile NAME, or correct samconfig.toml")}
	}
	stack, state, deployed := c.find(ctx, cfg, a.Target.Stack)
	d := newDoctor(ctx, cfg, stack)
	caller := d.caller(ctx)
	if caller[0].Result == resultFailed {
		return caller[:1] // every other check would say the same
	}
	inspections := []inspection{{short, d.workflows}, {short, func(context.Context) []check { return []check{state} }}}
	if deployed {
		inspections = append(inspections, inspection{long, d.functions}, inspection{short, d.schedules}, inspection{short, d.mappings},
			inspection{short, d.deadLetters}, inspection{short, d.lastSweep}, inspection{short, d.alarms})
	}
	inspections = append(inspections, inspection{short, d.otherStacks}, inspection{short, d.tags}, inspection{short, d.slack}, inspection{short, d.email})
	if deployed && c.Canary {
		inspections = append(inspections, inspection{long, d.canary})
	}
	return append(caller, together(ctx, inspections)...)
}

// Timeouts of the inspections. Lambda ends a sweep after 50 seconds.
const (
	short = 20 * time.Second
	long  = 55 * time.Second
)

// inspection makes some of the checks.
type inspection struct {
	timeout time.Duration
	run     func(context.Context) []check
}

// together runs the inspections at the same time, and returns their checks in order.
func together(ctx context.Context, all []inspection) []check {
	results := make([][]check, len(all))
	var running sync.WaitGroup
	for i, one := range all {
		running.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, one.timeout)
			defer cancel()
			results[i] = one.run(ctx)
		})
	}
	running.Wait()
	return slices.Concat(results...)
}

// parameters are what the flags say about a stack that would be deployed.
func (c doctorCommand) parameters() map[string]string {
	all := make(map[string]string)
	for name, value := range map[string]string{"SlackTokenParameterName": c.SlackTokenParameter, "SlackWebhookParameterName": c.SlackWebhookParameter,
		"SlackChannel": c.SlackChannel, "EmailFrom": c.EmailFrom, "EmailTo": c.EmailTo} {
		if value != "" {
			all[name] = value
		}
	}
	return all
}

// find returns the stack with the parameters of the flags, the check of its state,
// and whether it is deployed.
func (c doctorCommand) find(ctx context.Context, cfg aws.Config, name string) (stack deployment.Stack, state check, deployed bool) {
	ctx, cancel := context.WithTimeout(ctx, short)
	defer cancel()
	flags := c.parameters()
	stack, err := deployment.Planned(cfg, name), error(&deployment.NotFoundError{Name: name, Region: cfg.Region})
	if name != "" {
		var found deployment.Stack
		if found, err = deployment.Find(ctx, cfg, name); err == nil {
			stack = found
		}
	}
	for name, value := range flags {
		stack.Parameters[name] = value
	}
	if flags["SlackWebhookParameterName"] != "" && flags["SlackTokenParameterName"] == "" {
		delete(stack.Parameters, "SlackTokenParameterName") // a stack has one of the two
	}
	if _, missing := errors.AsType[*deployment.NotFoundError](err); missing {
		return stack, notDeployed(name, cfg.Region, len(flags) > 0 && !c.Canary), false
	}
	if err != nil {
		return stack, failedWith("stack", err, "name the notifier's stack with --stack NAME, or run make deploy"), false
	}
	return stack, stackState(stack), true
}

// notDeployed is the check of a stack that does not exist. That is fine where the
// flags say what would be deployed.
func notDeployed(name, region string, planned bool) check {
	text := fmt.Sprintf("no stack is named: nothing is deployed yet in %s, or the stack has to be named", region)
	if name != "" {
		text = fmt.Sprintf("there is no stack %s in %s: it is not deployed yet, or its name or region is another", name, region)
	}
	fix := "run make deploy; for a deployed stack add --stack NAME and --region NAME"
	if planned {
		return warned("stack", text, fix)
	}
	return failed("stack", text, fix+"; to check what a deployment needs, add --slack-token-parameter NAME --slack-channel ID, --slack-webhook-parameter NAME, or --email-from ADDRESS --email-to ADDRESSES")
}

func stackState(stack deployment.Stack) check {
	text := fmt.Sprintf("%s in %s (%s)", stack.Name, stack.Region(), stack.Status)
	if err := stack.Deployed(); err != nil {
		return failed("stack", text+": "+err.Error(), "look at aws cloudformation describe-stack-events --stack-name "+stack.Name+", then run make deploy")
	}
	if stack.Paused {
		return warned("stack", text+" is paused: no schedule runs", "deploy with Paused=false")
	}
	return passed("stack", "%s", text)
}
