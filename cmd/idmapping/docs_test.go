package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write docs/idmapping.md again")

func parser(t *testing.T) *kong.Kong {
	t.Helper()
	p, err := newParser(&commands{}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const intro = `# The command line tool

<!-- Written by go test ./cmd/idmapping -update (make golden) from the tool's own definitions. -->

` + "`make idmapping` builds `.build/idmapping`; `go install ./cmd/idmapping` installs it." + ` It uses your AWS credentials and calls only documented AWS and Slack APIs. A command that AWS denies shows the policy statement that it lacks.

The stack and its region come from the flags, otherwise from the environment (` + "`STACK`, `AWS_REGION`, `AWS_PROFILE`" + `), otherwise from ` + "`samconfig.toml`" + ` in the working directory, which ` + "`sam deploy --guided`" + ` writes. ` + "`source <(idmapping completion -c bash)`" + ` turns on completion with the Tab key; ` + "`idmapping completion`" + ` says how to keep it.

Exit codes: 0 everything is fine, 1 something is wrong, 2 the command line is not understood. Progress and questions go to stderr, results to stdout.

`

// page is docs/idmapping.md.
func page(p *kong.Kong) string {
	var b strings.Builder
	b.WriteString(intro)
	b.WriteString("| command | what |\n|---|---|\n")
	for _, c := range p.Model.Children {
		fmt.Fprintf(&b, "| [`idmapping %s`](#%s) | %s |\n", c.Name, c.Name, c.Help)
	}
	b.WriteString("\nEvery command has these flags:\n\n")
	flags(&b, p.Model.Flags)
	for _, c := range p.Model.Children {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n```\nidmapping %s\n```\n", c.Name, c.Help, c.Summary())
		if len(c.Positional) > 0 {
			b.WriteString("\n| argument | what |\n|---|---|\n")
			for _, a := range c.Positional {
				fmt.Fprintf(&b, "| `%s` | %s |\n", a.Summary(), cell(a.Help))
			}
		}
		if len(c.Flags) > 0 {
			b.WriteString("\n")
			flags(&b, c.Flags)
		}
		if detail := strings.TrimSpace(c.Detail); detail != "" {
			b.WriteString("\n" + blocks(detail) + "\n")
		}
	}
	return b.String()
}

func flags(b *strings.Builder, all []*kong.Flag) {
	b.WriteString("| flag | what |\n|---|---|\n")
	for _, f := range all {
		if f.Hidden {
			continue
		}
		name := "--" + f.Name
		if f.Short != 0 {
			name = "-" + string(f.Short) + ", " + name
		}
		if !f.IsBool() {
			name += "=" + f.FormatPlaceHolder()
		}
		help := f.Help
		if len(f.Envs) > 0 {
			help += " Environment: `" + strings.Join(f.Envs, "`, `") + "`."
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", name, cell(help))
	}
}

// cell is text within a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// blocks makes code of the indented lines of a help text.
func blocks(detail string) string {
	var out []string
	code := false
	for line := range strings.SplitSeq(detail, "\n") {
		if indented := strings.HasPrefix(line, "  "); indented != code {
			code = indented
			if code {
				out = append(out, "", "```sh")
			} else {
				out = append(out, "```")
			}
		}
		out = append(out, strings.TrimPrefix(line, "  "))
	}
	if code {
		out = append(out, "```")
	}
	return strings.Join(out, "\n")
}

func TestDocumentationIsThatOfTheCommands(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "idmapping.md")
	want := page(parser(t))
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("docs/idmapping.md is not what the commands say (%v): run make golden", err)
	}
}

func TestEachCommandHasHelpAnExampleAndAFileOfItsName(t *testing.T) {
	for _, c := range parser(t).Model.Children {
		if c.Name == "completion" { // the library's
			continue
		}
		if c.Help == "" || !strings.Contains(c.Detail, "Example") || !strings.Contains(c.Detail, "\n  idmapping "+c.Name) {
			t.Errorf("%s: help %q, detail %q", c.Name, c.Help, c.Detail)
		}
		if _, err := os.Stat(c.Name + ".go"); err != nil {
			t.Error(err)
		}
		for _, f := range c.Flags {
			if f.Help == "" {
				t.Errorf("%s --%s has no help", c.Name, f.Name)
			}
		}
		for _, a := range c.Positional {
			if a.Help == "" {
				t.Errorf("%s %s has no help", c.Name, a.Name)
			}
		}
	}
}

func TestEachExampleIsACommandLine(t *testing.T) {
	for _, c := range parser(t).Model.Children {
		for line := range strings.SplitSeq(c.Detail, "\n") {
			command, ok := strings.CutPrefix(line, "  idmapping ")
			if !ok {
				continue
			}
			words := strings.Fields(strings.ReplaceAll(command, `"moving the CRM export"`, "moving"))
			if _, err := parser(t).Parse(words); err != nil {
				t.Errorf("idmapping %s: %v", command, err)
			}
		}
	}
}

func TestHelpVersionAndCompletionArePrinted(t *testing.T) {
	for arguments, want := range map[string]string{"--help": "doctor", "--version": version, "explain --help": "Example:", "completion -c bash": "complete "} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), strings.Fields(arguments), strings.NewReader(""), &stdout, &stderr); code != exitFine || !strings.Contains(stdout.String(), want) {
			t.Errorf("%s: code %d, %s%s", arguments, code, stdout.String(), stderr.String())
		}
	}
}
