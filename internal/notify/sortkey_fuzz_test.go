package notify

import (
	"testing"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
)

// Sort keys are stored as texts: they are read back as they were, and compare as
// the times do.
func FuzzSortKey(f *testing.F) {
	f.Add("FAILED", 2, int64(0), int64(1))
	f.Add("", -1, int64(-1<<62), int64(1<<62))
	f.Fuzz(func(t *testing.T, status string, stage int, at, other int64) {
		year := int64(365 * 24 * time.Hour)
		a := Progress{Status: jobs.Status(status), Stage: jobs.Stage(stage & 3), ObservedAt: time.Unix(1_700_000_000, at%year).UTC()}
		b := a
		b.ObservedAt = time.Unix(1_700_000_000, other%year).UTC()
		if got := ParseSortKey(a.Status, a.SortKey()); got != a {
			t.Errorf("%+v is read back as %+v", a, got)
		}
		if a.SortKey() < b.SortKey() != a.ObservedAt.Before(b.ObservedAt) {
			t.Errorf("%q and %q compare otherwise than their times", a.SortKey(), b.SortKey())
		}
		if got := ParseSortKey(a.Status, status); got != (Progress{}) && got.SortKey() != status {
			t.Errorf("%q is read as %+v", status, got)
		}
	})
}
