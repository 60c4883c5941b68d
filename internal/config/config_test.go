package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/idmapping/notifier/internal/config"
)

// read sets SOME_SETTING and lets f read it.
func read[T any](t *testing.T, value string, f func(*config.Reader) T) (T, error) {
	t.Helper()
	t.Setenv("SOME_SETTING", value)
	var r config.Reader
	got := f(&r)
	return got, r.Err()
}

func TestWholeNumberIsWithinItsLimits(t *testing.T) {
	for value, want := range map[string]struct {
		n    int
		good bool
	}{
		"": {90, true}, "1": {1, true}, "90": {90, true}, "3650": {3650, true}, "+7": {7, true},
		"0": {90, false}, "3651": {90, false}, "-1": {90, false}, "1.5": {90, false}, "a": {90, false}, " 7": {90, false}, "99999999999999999999": {90, false},
	} {
		n, err := read(t, value, func(r *config.Reader) int { return r.Int("SOME_SETTING", 90, 1, 3650) })
		if n != want.n || (err == nil) != want.good {
			t.Errorf("%q is %d (%v)", value, n, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "SOME_SETTING") || !strings.Contains(err.Error(), "1 to 3650")) {
			t.Errorf("%q: the error does not name the setting and its limits: %v", value, err)
		}
	}
}

func TestNumberIsAboveZero(t *testing.T) {
	for value, want := range map[string]struct {
		f    float64
		good bool
	}{
		"": {2, true}, "0.5": {0.5, true}, "1e3": {1000, true},
		"0": {2, false}, "-1": {2, false}, "NaN": {2, false}, "two": {2, false}, "0,5": {2, false},
	} {
		f, err := read(t, value, func(r *config.Reader) float64 { return r.Float("SOME_SETTING", 2) })
		if f != want.f || (err == nil) != want.good {
			t.Errorf("%q is %g (%v)", value, f, err)
		}
	}
}

func TestSwitchIsTrueOrFalse(t *testing.T) {
	for _, fallback := range []bool{true, false} {
		for value, want := range map[string]struct{ on, good bool }{
			"": {fallback, true}, "true": {true, true}, "false": {false, true},
			"TRUE": {fallback, false}, "1": {fallback, false}, "yes": {fallback, false}, " true": {fallback, false},
		} {
			on, err := read(t, value, func(r *config.Reader) bool { return r.Bool("SOME_SETTING", fallback) })
			if on != want.on || (err == nil) != want.good {
				t.Errorf("%q is %t (%v)", value, on, err)
			}
		}
	}
}

func TestTextMayBeEmptyUnlessItIsRequired(t *testing.T) {
	for value, good := range map[string]bool{"": false, "x": true} {
		if got, err := read(t, value, func(r *config.Reader) string { return r.Text("SOME_SETTING") }); got != value || err != nil {
			t.Errorf("%q is %q (%v)", value, got, err)
		}
		if got, err := read(t, value, func(r *config.Reader) string { return r.Required("SOME_SETTING") }); got != value || (err == nil) != good {
			t.Errorf("required, %q is %q (%v)", value, got, err)
		}
	}
}

func TestReaderReportsEveryProblemAndNoOther(t *testing.T) {
	t.Setenv("A_TEXT", "")
	t.Setenv("A_SWITCH", "perhaps")
	t.Setenv("A_NUMBER", strings.Repeat("9", 1000))
	var r config.Reader
	if r.Wrong(nil); r.Err() != nil {
		t.Errorf("without a problem: %v", r.Err())
	}
	r.Required("A_TEXT")
	r.Bool("A_SWITCH", true)
	r.Int("A_NUMBER", 1, 1, 2)
	own := errors.New("a problem of the caller's")
	r.Wrong(own)
	err := r.Err()
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 4 || !errors.Is(err, own) {
		t.Fatalf("reported %q", lines)
	}
	for i, name := range []string{"A_TEXT", "A_SWITCH", "A_NUMBER", "caller"} {
		if !strings.Contains(lines[i], name) || len(lines[i]) > 200 {
			t.Errorf("problem %d is %q, want one of %s", i, lines[i], name)
		}
	}
}
