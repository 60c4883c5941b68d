package reliability

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
)

var (
	faultRow    = regexp.MustCompile(`^F\d\d$`)
	linkedTest  = regexp.MustCompile("\\[`((?:Test|Fuzz)\\w+)`\\]\\(\\.\\./([^)]+)\\)")
	realSubtest = regexp.MustCompile(`real: \[“([^”]+)”\]\(\.\./([^)]+)\)`)
)

// TestTableOfFaultsNamesExistingTests holds docs/reliability.md to the tests: it
// lists every row that is incomplete or names a test that does not exist.
func TestTableOfFaultsNamesExistingTests(t *testing.T) {
	root, err := sam.Root()
	if err != nil {
		t.Fatal(err)
	}
	read := func(path string) string {
		body, _ := os.ReadFile(filepath.Join(root, path)) // a missing file has no test
		return string(body)
	}
	var problems []string
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	real := read("test/reliability/real_test.go")
	var rows []string
	for line := range strings.Lines(read("docs/reliability.md")) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		id := strings.TrimSpace(cells[0])
		if !faultRow.MatchString(id) {
			continue
		}
		rows = append(rows, id)
		if len(cells) != 4 || slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) == "" }) {
			problem("%s: want four cells with text", id)
			continue
		}
		linked := linkedTest.FindAllStringSubmatch(cells[2], -1)
		if len(linked) == 0 {
			problem("%s: no test is linked", id)
		}
		for _, test := range linked {
			if !strings.Contains(read(test[2]), "func "+test[1]+"(") {
				problem("%s: no %s in %s", id, test[1], test[2])
			}
		}
		for _, part := range realSubtest.FindAllStringSubmatch(cells[2], -1) {
			run := regexp.MustCompile(`sub\("` + regexp.QuoteMeta(part[1]) + `", (\w+)\)`).FindStringSubmatch(real)
			switch {
			case run == nil:
				problem("%s: no subtest %q in real_test.go", id, part[1])
			case !strings.Contains(read(part[2]), "func "+run[1]+"(r *real)"):
				problem("%s: %q runs %s, which is not in %s", id, part[1], run[1], part[2])
			}
		}
	}
	for n := range max(36, len(rows)) {
		if id := fmt.Sprintf("F%02d", n+1); !slices.Contains(rows, id) {
			problem("%s: no such row", id)
		}
	}
	if unique := slices.Compact(slices.Sorted(slices.Values(rows))); len(unique) != len(rows) {
		problem("%d rows with %d different IDs", len(rows), len(unique))
	}
	if len(problems) > 0 {
		t.Errorf("docs/reliability.md has %d mismatches:\n  %s", len(problems), strings.Join(problems, "\n  "))
	}
}
