package reliability

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
)

var (
	linked  = regexp.MustCompile("\\[`((?:Test|Fuzz)\\w+)`\\]\\(\\.\\./([^)]+)\\)")
	subTest = regexp.MustCompile(`real: \[“([^”]+)”\]\(\.\./([^)]+)\)`)
)

func TestTheTableOfFaultsHasNoEmptyRowAndNamesTestsThatAreThere(t *testing.T) {
	root, err := sam.Root()
	if err != nil {
		t.Fatal(err)
	}
	read := func(path string) string {
		body, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Error(err)
		}
		return string(body)
	}
	document, real := read("docs/reliability.md"), read("test/reliability/real_test.go")
	rows := map[string][]string{}
	for line := range strings.Lines(document) {
		if cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|"); len(cells) == 4 {
			rows[strings.TrimSpace(cells[0])] = cells[1:]
		}
	}
	for n := range 36 {
		id := fmt.Sprintf("F%02d", n+1)
		cells, ok := rows[id]
		if !ok {
			t.Errorf("there is no row %s", id)
			continue
		}
		for _, cell := range cells {
			if strings.TrimSpace(cell) == "" {
				t.Errorf("%s has an empty cell", id)
			}
		}
		tests := linked.FindAllStringSubmatch(cells[1], -1)
		parts := subTest.FindAllStringSubmatch(cells[1], -1)
		if len(tests) == 0 {
			t.Errorf("%s links to no test", id)
		}
		for _, test := range tests {
			if !strings.Contains(read(test[2]), "func "+test[1]+"(") {
				t.Errorf("%s: there is no %s in %s", id, test[1], test[2])
			}
		}
		for _, part := range parts {
			run := regexp.MustCompile(`sub\("` + regexp.QuoteMeta(part[1]) + `", (\w+)\)`).FindStringSubmatch(real)
			if run == nil || !strings.Contains(read(part[2]), "func "+run[1]+"(r *real)") {
				t.Errorf("%s: no part of the real test in %s is called %q", id, part[2], part[1])
			}
		}
	}
}
