package docs

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// `sam deploy --guided` asks for the parameters in the template's order and shows
// each default in brackets (aws-sam-cli, guided_context.py, prompt_parameters).
func TestREADMEHasEveryPromptInOrder(t *testing.T) {
	_, section, _ := strings.Cut(read(t, "template.yaml"), "\nParameters:\n")
	section, _, found := strings.Cut(section, "\nRules:\n")
	if !found {
		t.Fatal("template.yaml has no Parameters before Rules")
	}
	var want []string
	for _, parameter := range regexp.MustCompile(`(?m)^  (\w+):\n(?:    .*\n)+`).FindAllStringSubmatch(section, -1) {
		value := regexp.MustCompile(`(?m)^    Default: (.*)$`).FindStringSubmatch(parameter[0])
		if value == nil {
			t.Fatalf("%s has no default", parameter[1])
		}
		want = append(want, "Parameter "+parameter[1]+" ["+strings.Trim(value[1], "'")+"]")
	}
	if len(want) < 15 {
		t.Fatalf("only %d parameters found in template.yaml", len(want))
	}
	var got []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(Parameter \\w+ \\[.*?\\]):` \\| .+ \\|$").FindAllStringSubmatch(read(t, "README.md"), -1) {
		got = append(got, row[1])
	}
	if !slices.Equal(got, want) {
		t.Errorf("README.md lists the prompts\n%s\nthe template has\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
