// Package poller makes one tick: it looks at every watched ID mapping workflow,
// records what has changed and puts the transitions on the bus.
//
// The order of the side effects is the product's first guarantee. A transition
// is written to its job's item together with its event (the outbox), then
// published, then removed from the outbox; so a tick that dies anywhere leaves
// either nothing or an outbox that the next tick empties.
package poller

import (
	"context"
	"log/slog"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
)

// Source is Entity Resolution. Errors wrap jobs.ErrThrottled, ErrDenied,
// ErrNotFound, ErrRejected or ErrUnavailable.
type Source interface {
	// Workflows are all ID mapping workflows of the account and region, name
	// to ARN.
	Workflows(ctx context.Context) (map[string]string, error)
	// Page is one page of a workflow's job list; token is empty for the first.
	Page(ctx context.Context, workflow, token string) (jobs.Page, error)
	// Job is one job with all its details.
	Job(ctx context.Context, key jobs.Key) (jobs.Job, error)
}

// Store is the jobs table.
type Store interface {
	// Watches are all workflows that something is remembered of.
	Watches(ctx context.Context) ([]jobs.Watch, error)
	// SaveWatch writes w as version w.Version+1. It returns jobs.ErrConflict
	// when the stored version is another.
	SaveWatch(ctx context.Context, w jobs.Watch) error
	// Forget removes a watch, unless its version is another by now.
	Forget(ctx context.Context, w jobs.Watch) error
	// Records are all jobs known of a workflow, by id. Strongly consistent.
	Records(ctx context.Context, workflow string) (map[string]jobs.Record, error)
	// Record is one job; its Version is 0 when it is not known.
	Record(ctx context.Context, key jobs.Key) (jobs.Record, error)
	// Save writes r as version r.Version+1, adding entry to the outbox unless
	// it is nil. It returns jobs.ErrConflict when the stored version is another.
	Save(ctx context.Context, r jobs.Record, entry *jobs.Entry) error
	// Settle takes exactly these entries out of r's outbox: published ones are
	// gone, refused ones are kept aside with their reasons. Where none is left
	// and the job is over, its expiry is set.
	Settle(ctx context.Context, r jobs.Record, published []string, refused map[string]string) error
}

// Publisher is the event bus. The answer has one error for each entry: nil when
// the bus has it, one that wraps jobs.ErrUnpublishable when it never will.
type Publisher interface {
	Publish(ctx context.Context, entries []jobs.Entry) []error
}

// Poller makes ticks. All fields but Log and Now are required.
type Poller struct {
	Source    Source
	Store     Store
	Publisher Publisher
	Watched   Filter
	Retention time.Duration            // how long a job is remembered after its end
	Metrics   func(map[string]float64) // called once a tick
	Log       *slog.Logger
	Now       func() time.Time
}

// Report is what one invocation did. It is the function's answer.
type Report struct {
	Workflows   int  `json:"workflows"`   // watched
	Swept       int  `json:"swept"`       // of these, looked at whole
	Failed      int  `json:"failed"`      // of these, left because of an error
	Denied      int  `json:"denied"`      // of these, refused by IAM
	Transitions int  `json:"transitions"` // recorded
	Published   int  `json:"published"`   // events
	Unpublished int  `json:"unpublished"` // events still in an outbox
	Quarantined int  `json:"quarantined"` // events that the bus will never take
	Regressions int  `json:"regressions"` // observations behind what is known, ignored
	Throttled   bool `json:"throttled"`   // the tick was cut short by throttling
	Late        bool `json:"late"`        // the tick was cut short by its deadline

	// Canary is the transition id of the canary that was sent.
	Canary string `json:"canary,omitempty"`

	// OldestUnpublished is the age of the oldest event still in an outbox, in
	// seconds.
	OldestUnpublished int64 `json:"oldestUnpublishedSeconds"`
	// all is set when everything watched was to be swept, which a request for
	// one workflow or job does not do.
	all bool

	// Problems are the errors that did not stop the tick, a sentence each.
	Problems []string `json:"problems,omitempty"`
}

// Complete tells whether every watched workflow was looked at, or refused by
// IAM, which has an alarm of its own.
func (r Report) Complete() bool {
	return r.all && !r.Throttled && !r.Late && r.Failed == 0 && r.Swept+r.Denied == r.Workflows
}

func (p *Poller) now() time.Time {
	if p.Now != nil {
		return p.Now().UTC()
	}
	return time.Now().UTC()
}

func (p *Poller) log() *slog.Logger {
	if p.Log != nil {
		return p.Log
	}
	return slog.Default()
}
