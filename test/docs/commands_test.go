package docs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
	"github.com/idmapping/notifier/internal/fakecloud/sam/samtest"
)

// snippet is what a reader would type: a code block, or a command in a sentence
// or a table.
type snippet struct {
	place string // file:line
	text  string
}

func root(t *testing.T) string {
	t.Helper()
	path, err := sam.Root()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, name string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(root(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// documents returns the paths of the Markdown files from the root, without
// CONTRIBUTING.md: what it lists runs the tests themselves.
func documents(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		found, err := filepath.Glob(filepath.Join(root(t), pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			if filepath.Base(path) == "CONTRIBUTING.md" {
				continue
			}
			name, _ := filepath.Rel(root(t), path)
			names = append(names, filepath.ToSlash(name))
		}
	}
	return names
}

var (
	inline      = regexp.MustCompile("`(aws [a-z][^`]+)`")
	placeholder = regexp.MustCompile(`<[A-Za-z][A-Za-z0-9 ]*>`)
)

// snippets returns the shell blocks of a Markdown file, and the aws commands
// outside of them.
func snippets(t *testing.T, name string) (blocks, commands []snippet) {
	t.Helper()
	var block []string
	fence, start, indent := "", 0, 0
	for i, line := range strings.Split(read(t, name), "\n") {
		trimmed := strings.TrimLeft(line, " ")
		switch {
		case strings.HasPrefix(trimmed, "```") && fence == "":
			fence, start, indent, block = strings.TrimSpace(trimmed), i+1, len(line)-len(trimmed), nil
		case strings.HasPrefix(trimmed, "```"):
			if fence == "```sh" {
				blocks = append(blocks, snippet{fmt.Sprintf("%s:%d", name, start), strings.Join(block, "\n") + "\n"})
			}
			fence = ""
		case fence != "":
			block = append(block, line[min(indent, len(line)):])
		default:
			for _, match := range inline.FindAllStringSubmatch(line, -1) {
				text := placeholder.ReplaceAllString(strings.ReplaceAll(match[1], `\|`, "|"), "example")
				commands = append(commands, snippet{fmt.Sprintf("%s:%d", name, i+1), text + "\n"})
			}
		}
	}
	return blocks, commands
}

// recorder stands for every program that the documentation runs. As aws, it
// records its words and answers what fits into the next command. A program that
// reads a pipe must drain it: otherwise the pipe's writer may die of SIGPIPE.
const recorder = `#!/bin/sh
case "$0 $#" in */sha256sum\ 0) while read -r _; do :; done ;; esac
case "$0" in */aws) ;; *) exit 0 ;; esac
{ printf '%s\0' "$PLACE" "$#" "$@"; } >> "$RECORD"
case "$*" in *file:///dev/stdin*) while read -r _; do :; done ;; esac
case "$*" in
*UsePreviousValue*) echo ParameterKey=Example,UsePreviousValue=true ;;
*get-caller-identity*) echo 123456789012 ;;
*) echo example ;;
esac
`

// programs are what a block may run besides bash's builtins. A block that runs
// anything else fails here: add the program after a look at what it does.
var programs = []string{"aws", "idmapping", "make", "sam", "git", "sha256sum"}

// shell runs snippets in one bash, with only the given folder as PATH.
func shell(t *testing.T, path string, env []string, all []snippet) (string, error) {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	script.WriteString("set -eu -o pipefail\n")
	for _, s := range all {
		fmt.Fprintf(&script, "export PLACE=%s\necho \"at $PLACE\" >&2\n%s", s.place, s.text)
	}
	cmd := exec.CommandContext(t.Context(), bash, "-c", script.String())
	cmd.Env = append(env, "PATH="+path)
	cmd.Dir = root(t)
	cmd.Stdin = strings.NewReader(strings.Repeat("pasted-secret\n", 10))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%w: %s", err, stderr.String())
	}
	return stdout.String(), nil
}

func install(t *testing.T, script string, names ...string) (path string) {
	t.Helper()
	path = t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(path, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// tool is the built command line tool.
var tool struct {
	once sync.Once
	path string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if tool.path != "" {
		_ = os.RemoveAll(filepath.Dir(tool.path))
	}
	os.Exit(code)
}

// installTool installs an idmapping that accepts what the real one does, and prints
// the help of the command instead of running it.
func installTool(t *testing.T, path string) {
	t.Helper()
	tool.once.Do(func() {
		dir, err := os.MkdirTemp("", "idmapping-")
		if err != nil {
			t.Fatal(err)
		}
		tool.path = filepath.Join(dir, "idmapping")
		build := exec.Command("go", "build", "-o", tool.path, "./cmd/idmapping")
		build.Dir = root(t)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building the command line tool: %v: %s", err, out)
		}
	})
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' \"$@\" --help >/dev/null\n", tool.path)
	if err := os.WriteFile(filepath.Join(path, "idmapping"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}

// recorded is one aws command that a snippet ran.
type recorded struct {
	Place   string
	Words   []string
	Problem string
}

// check records the aws commands that the snippets run, and compares each with
// the service models.
func check(t *testing.T, all []snippet) []recorded {
	t.Helper()
	python := samtest.RequirePython(t)
	record := filepath.Join(t.TempDir(), "record")
	path := install(t, recorder, programs...)
	installTool(t, path)
	if _, err := shell(t, path, []string{"RECORD=" + record}, all); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(record)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	// Reading it here makes the test's cached result depend on it.
	_ = read(t, "test/docs/aws.py")
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("test", "docs", "aws.py"), "check")
	cmd.Dir, cmd.Stdin = root(t), file
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var found []recorded
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestEveryAWSCommandFitsItsService(t *testing.T) {
	var all []snippet
	for _, name := range documents(t) {
		blocks, commands := snippets(t, name)
		all = append(append(all, blocks...), commands...)
	}
	if written := awsCommands(all); written < 70 {
		t.Errorf("%d aws commands in the documentation: the search for them misses some", written)
	}
	ran := make(map[string]bool)
	for _, c := range check(t, all) {
		ran[c.Place] = true
		if c.Problem != "" {
			t.Errorf("%s: aws %q: %s", c.Place, c.Words, c.Problem)
		}
	}
	for _, s := range all {
		if awsCommands([]snippet{s}) > 0 && !ran[s.place] && !strings.Contains(s.text, "() {") {
			t.Errorf("%s has aws commands that were not run:\n%s", s.place, s.text)
		}
	}
}

func awsCommands(all []snippet) int {
	n := 0
	for _, s := range all {
		n += len(regexp.MustCompile(`\baws [a-z0-9]+ [a-z]`).FindAllString(s.text, -1))
	}
	return n
}

func TestWrongCommandsAreFound(t *testing.T) {
	wrong := map[string]string{
		"aws sqs receive-messages --queue-url u":                                           "no operation",
		"aws queues list":                                                                  "no service",
		"aws sqs receive-message":                                                          "Missing required parameter",
		"aws sqs receive-message --queue-url u --wait 3":                                   "no option --wait",
		"aws sqs receive-message --queue-url u --max-number-of-messages ten":               "no number",
		"aws sqs receive-message --queue-url u --query 'a[?'":                              "--query",
		"aws sqs receive-message --queue-url a b":                                          "2 values",
		"aws cloudwatch set-alarm-state --alarm-name a --state-value RED --state-reason r": "none of",
		"aws dynamodb get-item --table-name abc --key '{\"a\":'":                           "no JSON",
		"aws events put-targets --rule r --targets Id=1,Arm=b":                             "no key Arm",
		"aws lambda invoke --function-name f":                                              "positional",
		"aws lambda update-event-source-mapping --uuid u --no-function-name":               "no option --no-function-name",
		"aws cloudformation wait stack-up --stack-name s":                                  "no waiter",
		"aws cloudformation deploy --stack-name s --template f":                            "no option --template",
		"aws ssm put-parameter --name n --value v --type Secret":                           "none of",
	}
	var all []snippet
	for text := range wrong {
		all = append(all, snippet{fmt.Sprintf("case:%d", len(all)), text + "\n"})
	}
	found := check(t, all)
	if len(found) != len(all) {
		t.Fatalf("%d commands recorded, want %d", len(found), len(all))
	}
	for i, c := range found {
		if want := wrong[strings.TrimSuffix(all[i].text, "\n")]; !strings.Contains(c.Problem, want) {
			t.Errorf("%s: found %q, want %q", all[i].text, c.Problem, want)
		}
	}
}
