// Package samtest lets tests run without the Python packages that only some of
// them need.
package samtest

import (
	"os"
	"testing"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
)

// RequirePython returns the interpreter with moto, cfn-lint and the SAM
// translator. Without one it skips the test, or fails it in CI and in `make test`,
// which set CI or REQUIRE_PYTHON to true.
func RequirePython(t testing.TB) string {
	t.Helper()
	python, err := sam.Python()
	if err == nil {
		return python
	}
	if os.Getenv("CI") == "true" || os.Getenv("REQUIRE_PYTHON") == "true" {
		t.Fatal(err)
	}
	t.Skip("This test needs moto, cfn-lint or the SAM translator: run `make venv` once to install them.")
	return ""
}
