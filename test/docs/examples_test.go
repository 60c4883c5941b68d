package docs

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/fakecloud/sam/samtest"
	"github.com/idmapping/notifier/internal/jobs"
)

// nextSteps is what examples.py prints.
type nextSteps struct {
	Patterns []any
	Matched  [][]string
	Code     string
	Queries  []struct {
		QueryString, ClientRequestToken, WorkGroup string
		QueryExecutionContext                      struct{ Database string }
	}
	Outcomes   []string
	Executions []struct {
		Name  string
		Input json.RawMessage
	}
}

func runExamples(t *testing.T, workflow string, events []json.RawMessage) nextSteps {
	t.Helper()
	input, err := json.Marshal(map[string]any{"workflow": workflow, "events": events})
	if err != nil {
		t.Fatal(err)
	}
	// Reading them here makes the test's cached result depend on them.
	for _, name := range []string{"test/docs/examples.py", "docs/examples/start-state-machine.yaml", "docs/examples/start-query.yaml"} {
		_ = read(t, name)
	}
	cmd := exec.CommandContext(t.Context(), samtest.RequirePython(t), filepath.Join("test", "docs", "examples.py"))
	cmd.Dir, cmd.Stdin = root(t), bytes.NewReader(input)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var got nextSteps
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// The README shows one pattern and one function. The templates of docs/examples
// have both, and start the next step once for each event that the pattern matches,
// with the event's transitionId, although every event arrives twice.
func TestExamplesStartTheNextStepOnce(t *testing.T) {
	const workflow = "customers-to-liveramp"
	var events []json.RawMessage
	var want []string
	details := make(map[string][]json.RawMessage) // examples of one job share a transition ID
	for _, body := range eventtest.Examples() {
		events = append(events, body)
		var e struct {
			DetailType string `json:"detail-type"`
			Detail     json.RawMessage
		}
		var d event.Detail
		if err := json.Unmarshal(body, &e); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			t.Fatal(err)
		}
		if e.DetailType == event.StateChange && d.Status == jobs.Succeeded && d.WorkflowName == workflow {
			want = append(want, d.TransitionID)
			details[d.TransitionID] = append(details[d.TransitionID], e.Detail)
		}
	}
	slices.Sort(want)
	if len(want) < 2 || len(want) == len(events) {
		t.Fatalf("%d of %d example events are successes of %s: the test needs some that are and some that are not", len(want), len(events), workflow)
	}
	got := runExamples(t, workflow, events)

	readme := read(t, "README.md")
	for i, pattern := range got.Patterns {
		if shown := jsonBlock(t, readme, `"workflowName"`); !reflect.DeepEqual(pattern, shown) {
			t.Errorf("template %d has the pattern %v, the README shows %v", i, pattern, shown)
		}
		slices.Sort(got.Matched[i])
		if !slices.Equal(got.Matched[i], want) {
			t.Errorf("the pattern of template %d matches %q, want %q", i, got.Matched[i], want)
		}
	}
	if shown := regexp.MustCompile("(?s)```python\n(.*?)```").FindStringSubmatch(readme); shown == nil || !strings.Contains(withoutComments(got.Code), shown[1]) {
		t.Errorf("the README's function is not in the template, which has:\n%s", got.Code)
	}

	if len(got.Outcomes) != 2*len(want) || slices.ContainsFunc(got.Outcomes, func(s string) bool { return s != "SUCCEEDED" }) {
		t.Errorf("the executions for %d events that arrive twice ended with %q", len(want), got.Outcomes)
	}
	var started []string
	for _, e := range got.Executions {
		started = append(started, e.Name)
		if !slices.ContainsFunc(details[e.Name], func(detail json.RawMessage) bool { return equalJSON(t, e.Input, detail) }) {
			t.Errorf("execution %s has the input %s, want one of %s", e.Name, e.Input, details[e.Name])
		}
	}
	slices.Sort(started)
	if once := slices.Compact(slices.Clone(want)); !slices.Equal(started, once) {
		t.Errorf("the executions are named %q, want %q", started, once)
	}

	var tokens []string
	for _, q := range got.Queries {
		tokens = append(tokens, q.ClientRequestToken)
		if q.QueryString != "SELECT 1" || q.QueryExecutionContext.Database != "db" || q.WorkGroup != "primary" {
			t.Errorf("the function requests %+v", q)
		}
	}
	slices.Sort(tokens)
	if !slices.Equal(tokens, want) {
		t.Errorf("the function starts queries with the tokens %q, want %q", tokens, want)
	}
}

// jsonBlock returns the one JSON block of a document that contains the words.
func jsonBlock(t *testing.T, document, words string) any {
	t.Helper()
	var found []string
	for _, match := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(document, -1) {
		if strings.Contains(match[1], words) {
			found = append(found, match[1])
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d JSON blocks contain %s, want 1", len(found), words)
	}
	var value any
	if err := json.Unmarshal([]byte(found[0]), &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func withoutComments(code string) string {
	return regexp.MustCompile(`(?m)^ *#.*\n`).ReplaceAllString(code, "")
}

func equalJSON(t *testing.T, a, b json.RawMessage) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}
