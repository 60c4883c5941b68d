package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/idmapping/notifier/internal/email"
	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/jobs"
	"github.com/idmapping/notifier/internal/message"
	"github.com/idmapping/notifier/internal/preview"
	"github.com/idmapping/notifier/internal/slack"
)

type previewCommand struct {
	File     string `arg:"" optional:"" help:"File with an event as EventBridge delivers it, or - for stdin."`
	Sample   string `placeholder:"NAME" help:"Show an example instead, such as failure-iam."`
	List     bool   `help:"List the examples."`
	Job      string `placeholder:"WORKFLOW/JOB" help:"Show a job of this account as it is now."`
	As       string `enum:"slack,email,text" default:"slack" help:"slack: Block Kit JSON. email: HTML. text: the subject and the plain text of the email."`
	PNG      string `name:"png" placeholder:"FILE" help:"Also draw it to this file. It needs Chromium or Chrome."`
	Open     bool   `help:"Also open it in the browser."`
	TimeZone string `default:"UTC" help:"IANA time zone of the email and of plain texts."`
}

// Help is the end of the command's help.
func (previewCommand) Help() string {
	return `Example:
  idmapping preview --sample failure-iam --as email --open

Files and examples need neither an AWS account nor a network. The event of a file may be edited: what the notifier would refuse is shown with a note.`
}

// Validate refuses none or several inputs, and a time zone that does not exist.
func (c previewCommand) Validate() error {
	inputs := 0
	for _, given := range []bool{c.File != "", c.Sample != "", c.Job != "", c.List} {
		if given {
			inputs++
		}
	}
	if inputs != 1 {
		return errors.New("give one of a file, - for stdin, --sample NAME, --job WORKFLOW/JOB and --list")
	}
	if workflow, job, ok := strings.Cut(c.Job, "/"); c.Job != "" && (!ok || workflow == "" || job == "") {
		return fmt.Errorf("--job %.100q is not WORKFLOW/JOB", c.Job)
	}
	_, err := zoneNamed(c.TimeZone)
	return err
}

// forms are a message in every form.
type forms struct {
	Slack struct {
		Blocks json.RawMessage `json:"blocks"`
		Text   string          `json:"text"` // what a notification and a screen reader say
	} `json:"slack"`
	BlockKitBuilder string `json:"blockKitBuilder"` // URL that shows the blocks in Slack's editor
	Email           struct {
		Subject string `json:"subject"`
		HTML    string `json:"html"`
		Text    string `json:"text"`
	} `json:"email"`

	message message.Message
}

// Run shows a message.
func (c previewCommand) Run(ctx context.Context, a *app) error {
	zone, err := zoneNamed(c.TimeZone)
	if err != nil {
		return err
	}
	if c.List {
		return listSamples(a, zone)
	}
	body, err := c.body(ctx, a)
	if err != nil {
		return err
	}
	f, err := c.forms(a, body, zone)
	if err != nil {
		return err
	}
	if err := c.draw(ctx, a, f.message); err != nil {
		return err
	}
	return a.print(f, func(w io.Writer) {
		switch c.As {
		case "email":
			fmt.Fprintln(w, f.Email.HTML)
		case "text":
			fmt.Fprintf(w, "Subject: %s\n\n%s\n", message.OneLine(f.Email.Subject), f.Email.Text)
		default:
			encoder := json.NewEncoder(w)
			encoder.SetIndent("", "  ")
			encoder.SetEscapeHTML(false)
			_ = encoder.Encode(f.Slack)
			a.progress("See it in Slack's Block Kit Builder:\n%s", f.BlockKitBuilder)
		}
	})
}

// body is the event to show, as EventBridge would deliver it.
func (c previewCommand) body(ctx context.Context, a *app) ([]byte, error) {
	switch {
	case c.Sample != "":
		if body, ok := eventtest.Examples()[c.Sample]; ok {
			return body, nil
		}
		return nil, fmt.Errorf("there is no example %.60q: idmapping preview --list names them", c.Sample)
	case c.Job != "":
		return c.job(ctx, a)
	case c.File == "-":
		return io.ReadAll(a.stdin)
	default:
		return os.ReadFile(c.File)
	}
}

// job is the event that the poller would publish of a job as it is now.
func (c previewCommand) job(ctx context.Context, a *app) ([]byte, error) {
	workflow, job, _ := strings.Cut(c.Job, "/")
	stack, name, workflowARN, err := a.workflow(ctx, workflow)
	if err != nil {
		return nil, err
	}
	observed, err := stack.Job(ctx, jobs.Key{Workflow: name, Job: job})
	if err != nil {
		return nil, err
	}
	own, err := stack.Tags(ctx, workflowARN)
	if err != nil {
		return nil, err
	}
	histories, err := stack.Jobs().Histories(ctx, name)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	if observed.Terminal() && !observed.EndTime.IsZero() {
		now = observed.EndTime // otherwise an old job would be reported as late
	}
	entry, err := event.Encode(workflowARN, jobs.Transition{Job: observed, Assessment: histories.Assess(jobs.Record{Job: observed, ARN: workflowARN}, true, now)}, now)
	if err != nil {
		return nil, err
	}
	entry = event.AddTags(entry, own)
	entry.Detail = event.AddPublisher(entry.Detail, event.Publisher{Stack: stack.Name, Environment: stack.Parameters["Environment"]})
	return event.Envelope(entry, "preview", "", stack.Region())
}

// forms renders the event's message.
func (c previewCommand) forms(a *app, body []byte, zone *time.Location) (forms, error) {
	var f forms
	e, err := event.Decode(body)
	if err != nil {
		var parsing error
		if e, parsing = event.Parse(body); parsing != nil {
			return f, parsing
		}
		a.progress("note: the notifier would move this event to the dead-letter queue: %s", message.OneLine(err.Error()))
	}
	f.message = message.Compose(e, e.Detail.ObservedAt, message.Settings{Zone: zone})
	card := slack.RenderCard(f.message, "")
	if f.Slack.Blocks, err = marshal(card.Blocks); err != nil {
		return f, err
	}
	f.Slack.Text = card.Text
	builder, err := marshal(map[string]any{"blocks": card.Blocks})
	if err != nil {
		return f, err
	}
	f.BlockKitBuilder = "https://app.slack.com/block-kit-builder/#" + url.PathEscape(string(builder))
	f.Email.Subject, f.Email.HTML, f.Email.Text = email.Render(f.message, email.Reason("you@example.com", "idmapping"))
	return f, nil
}

// marshal encodes JSON without escaping what only HTML needs escaped.
func marshal(value any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSpace(b.Bytes()), err
}

// draw writes the picture and opens the page, as far as the flags ask for it.
func (c previewCommand) draw(ctx context.Context, a *app, m message.Message) error {
	if c.PNG == "" && !c.Open {
		return nil
	}
	page, width := preview.Email(m), preview.EmailWidth
	if c.As == "slack" {
		var err error
		if page, err = preview.Slack(m, "", time.Now()); err != nil {
			return err
		}
		width = preview.SlackWidth
	}
	if c.PNG != "" {
		browser, err := preview.Browser()
		if err != nil {
			return err
		}
		a.progress("drawing %s", c.PNG)
		picture, err := preview.Capture(ctx, browser, page, width)
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.PNG, picture, 0o644); err != nil {
			return err
		}
	}
	if c.Open {
		return openPage(ctx, a, page)
	}
	return nil
}

// openPage opens a page in the default browser.
func openPage(ctx context.Context, a *app, page string) error {
	dir, err := os.MkdirTemp("", "idmapping-preview-")
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "preview.html")
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		return err
	}
	a.progress("opening %s", file)
	program := map[string][]string{"darwin": {"open"}, "windows": {"rundll32", "url.dll,FileProtocolHandler"}}[runtime.GOOS]
	if program == nil {
		program = []string{"xdg-open"}
	}
	if err := exec.CommandContext(ctx, program[0], append(program[1:], file)...).Run(); err != nil {
		return fmt.Errorf("opening the page with %s: %w: open the file %s yourself", program[0], err, file)
	}
	return nil
}

// listedSample is an example event.
type listedSample struct {
	Name  string `json:"name"`
	Title string `json:"title"` // of its message
}

func listSamples(a *app, zone *time.Location) error {
	all := eventtest.Examples()
	var samples []listedSample
	for _, name := range slices.Sorted(maps.Keys(all)) {
		e, err := event.Decode(all[name])
		if err != nil {
			return err
		}
		samples = append(samples, listedSample{name, message.Compose(e, e.Detail.ObservedAt, message.Settings{Zone: zone}).Subject})
	}
	return a.print(samples, func(w io.Writer) {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, s := range samples {
			fmt.Fprintf(table, "%s\t%s\n", s.Name, message.OneLine(s.Title))
		}
		_ = table.Flush()
	})
}
