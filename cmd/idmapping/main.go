// Idmapping is the command line tool of the ID mapping job notifier: it shows, tests
// and repairs a deployed stack. Each command is in the file of its name.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"

	"github.com/idmapping/notifier/internal/deployment"
)

// version is the release or commit that the Makefile builds (-X main.version).
var version = "dev"

// The exit codes.
const (
	exitFine  = 0
	exitWrong = 1 // something is wrong, or the command failed
	exitUsage = 2 // the command line is not understood
)

// commands is the command line. The order is that of the help.
type commands struct {
	deployment.Target
	JSON    bool             `name:"json" help:"Write the result as JSON."`
	Version kong.VersionFlag `help:"Show the version and exit."`

	Doctor     doctorCommand             `cmd:"" help:"Check whether everything is in order, before or after a deployment, and say how to fix what is not."`
	Preview    previewCommand            `cmd:"" help:"Show how a message looks: of an event, an example or a job."`
	Explain    explainCommand            `cmd:"" help:"Show what became of each transition of a job, and why."`
	Route      routeCommand              `cmd:"" help:"Show who would be notified about a workflow, and why."`
	History    historyCommand            `cmd:"" help:"Show the runs of a workflow as a table and plots, or as a page with --html."`
	Canary     canaryCommand             `cmd:"" help:"Send a test message that people see to every destination, and wait until each has received it."`
	Redrive    redriveCommand            `cmd:"" help:"Show the messages in the dead-letter queues, and move them back."`
	Replay     replayCommand             `cmd:"" help:"Send past transitions again, to destinations that missed them."`
	Mute       muteCommand               `cmd:"" help:"Send nothing about a workflow for a while."`
	Unmute     unmuteCommand             `cmd:"" help:"End the mute of a workflow now."`
	Track      trackCommand              `cmd:"" help:"Report one job now and follow it to its end."`
	Sweep      sweepCommand              `cmd:"" help:"Check every workflow, or one, now instead of with the next tick."`
	Completion kongcompletion.Completion `cmd:"" help:"Print the shell code that turns on completion with the Tab key."`
}

// app is what every command works with.
type app struct {
	deployment.Target
	json           bool
	stdin          io.Reader
	stdout, stderr io.Writer
	interrupted    <-chan struct{} // closed by Ctrl-C; nil is never
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run runs the command line and returns the exit code.
func run(ctx context.Context, arguments []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var all commands
	parser, err := newParser(&all, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "idmapping:", err)
		return exitWrong
	}
	exit := -1
	parser.Exit = func(code int) { exit = code } // of --help and --version
	kongcompletion.Register(parser)
	parsed, err := parser.Parse(arguments)
	switch {
	case exit >= 0:
		return exit
	case err != nil:
		fmt.Fprintf(stderr, "idmapping: %v\nRun idmapping --help, or idmapping COMMAND --help.\n", err)
		return exitUsage
	}
	a := &app{Target: all.Target, json: all.JSON, stdin: stdin, stdout: stdout, stderr: stderr, interrupted: ctx.Done()}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return a.code(parsed.Run(a))
}

func newParser(all *commands, stdout, stderr io.Writer) (*kong.Kong, error) {
	return kong.New(all, kong.Name("idmapping"), kong.Vars{"version": version}, kong.Writers(stdout, stderr),
		kong.Description("The command line tool of the ID mapping job notifier.\n\n"+
			"Exit codes: 0 everything is fine, 1 something is wrong, 2 the command line is not understood."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}), kong.ShortUsageOnError())
}

// errReported is returned by a command that has printed what is wrong.
var errReported = errors.New("reported")

// usageError is a command line that is understood and makes no sense.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// code prints a command's error and returns the exit code.
func (a *app) code(err error) int {
	switch {
	case err == nil:
		return exitFine
	case errors.Is(err, errReported):
		return exitWrong
	}
	fmt.Fprintln(a.stderr, "idmapping:", deployment.Explain(err))
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitWrong
}

// stack looks up the deployed stack.
func (a *app) stack(ctx context.Context) (deployment.Stack, error) {
	cfg, err := a.Config(ctx, "samconfig.toml")
	if err != nil {
		return deployment.Stack{}, err
	}
	return deployment.Find(ctx, cfg, a.Target.Stack)
}

// print writes a command's result: as JSON, or as text writes it.
func (a *app) print(result any, text func(io.Writer)) error {
	if !a.json {
		text(a.stdout)
		return nil
	}
	encoder := json.NewEncoder(a.stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(result)
}

// progress writes a line about what takes long, where people see it and a pipe does
// not.
func (a *app) progress(format string, values ...any) {
	fmt.Fprintf(a.stderr, format+"\n", values...)
}
