// Package golden compares what people see with reviewed files.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files again")

// File compares got with testdata/name of the package under test. `go test
// -update` writes the file again; review the difference before you commit it.
func File(t *testing.T, name string, got []byte) {
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
		t.Fatalf("%v; run make golden and review the file", err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs; if the change is intended, run make golden and review the difference\n got %s\nwant %s", path, got, want)
	}
}
