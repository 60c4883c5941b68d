package fake

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
)

var at = time.Date(2026, 11, 23, 12, 0, 0, 123_000_000, time.UTC)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func conflicts(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, jobs.ErrConflict) {
		t.Fatalf("error = %v, want jobs.ErrConflict", err)
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}
