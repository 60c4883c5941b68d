package samtest

import "testing"

// outcome records what RequirePython does to a test.
type outcome struct {
	testing.TB
	skipped, failed bool
}

func (o *outcome) Helper()      {}
func (o *outcome) Skip(...any)  { o.skipped = true }
func (o *outcome) Fatal(...any) { o.failed = true }

func TestMissingPythonSkipsATestOnlyOutsideCI(t *testing.T) {
	t.Setenv("IDMAPPING_PYTHON", "")
	t.Chdir(t.TempDir()) // no module, no .venv
	for _, c := range []struct {
		ci, required    string
		skipped, failed bool
	}{
		{"", "", true, false},
		{"true", "", false, true},
		{"", "true", false, true},
	} {
		t.Setenv("CI", c.ci)
		t.Setenv("REQUIRE_PYTHON", c.required)
		o := &outcome{}
		RequirePython(o)
		if o.failed != c.failed || (o.skipped != c.skipped && !c.failed) {
			t.Errorf("CI=%q REQUIRE_PYTHON=%q: skipped %t, failed %t", c.ci, c.required, o.skipped, o.failed)
		}
	}
	t.Setenv("IDMAPPING_PYTHON", "/python")
	if o := (&outcome{}); RequirePython(o) != "/python" || o.skipped || o.failed {
		t.Errorf("with Python: skipped %t, failed %t", o.skipped, o.failed)
	}
}
