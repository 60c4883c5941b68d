// Package golden compares what tests make with files that people have looked
// at. `go test -update` writes the files anew; look at the difference before
// committing it.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/fakecloud/sam"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Check compares got with testdata/name of the package under test.
func Check(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run make golden and look at the file", err)
	}
	if string(got) != string(want) {
		t.Errorf("%s has changed; if that is meant, run make golden and look at the difference\n got %s\nwant %s", path, got, want)
	}
}

// Events are the example events by name, as EventBridge delivers them.
func Events(t testing.TB) map[string][]byte {
	t.Helper()
	root, err := sam.Root()
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(root, "internal", "event", "testdata", "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no example events: %v", err)
	}
	all := make(map[string][]byte)
	for _, path := range paths {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(path), ".json")] = body
	}
	return all
}
