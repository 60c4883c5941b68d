package notify

import (
	"maps"
	"slices"
	"strings"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

// Filter chooses the events of a channel. The zero Filter chooses terminal
// statuses.
type Filter struct {
	All  bool            // every status
	Only map[string]bool // these statuses, unless All; empty means terminal statuses
}

// Matches reports whether the channel delivers e. It always delivers a vanished
// job, whose terminal status will never come, a canary and an outage notice.
func (f Filter) Matches(e event.Event) bool {
	if f.All || slices.Contains([]string{event.Vanished, event.Canary, outageNotice}, e.DetailType) {
		return true
	}
	if len(f.Only) == 0 {
		return e.Detail.Terminal()
	}
	return f.Only[string(e.Detail.Status)]
}

// Unknown lists the statuses of the filter that Entity Resolution does not
// document. They may be typing errors, or newer than this version.
func (f Filter) Unknown() []string {
	var unknown []string
	for _, status := range slices.Sorted(maps.Keys(f.Only)) {
		if !jobs.Status(status).Known() {
			unknown = append(unknown, status)
		}
	}
	return unknown
}

// ParseFilter reads a comma-separated list of statuses; an empty list means
// terminal statuses only. It accepts unknown statuses: the API's enum can grow
// (GetIdMappingJob, Response Structure).
func ParseFilter(list string) Filter {
	f := Filter{Only: make(map[string]bool)}
	for status := range strings.SplitSeq(list, ",") {
		if status = strings.ToUpper(strings.TrimSpace(status)); status != "" {
			f.Only[status] = true
		}
	}
	return f
}
