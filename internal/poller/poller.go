// Package poller runs one tick: it follows every open ID mapping job, discovers
// new ones, and publishes each transition on the event bus.
//
// The order of the side effects is the product's first guarantee. A transition
// is written to its job's record together with its event (the outbox), then the
// event is published, then it is removed from the outbox; so a tick that dies
// anywhere leaves either nothing or an outbox that the next tick empties.
package poller

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/idmapping/notifier/internal/jobs"
)

// Source is Entity Resolution. Errors wrap jobs.ErrThrottled, ErrLate,
// ErrDenied, ErrNotFound, ErrRejected or ErrUnavailable.
type Source interface {
	// Workflows lists the ID mapping workflows of the account and region.
	Workflows(ctx context.Context) (jobs.WorkflowList, error)
	// Page reads one page of a workflow's job list; token is empty for the first.
	Page(ctx context.Context, workflow, token string) (jobs.Page, error)
	// Job reads one job with all its details.
	Job(ctx context.Context, key jobs.Key) (jobs.Job, error)
	// Tags reads a workflow's own tags, as tags.Own returns them.
	Tags(ctx context.Context, workflowARN string) (map[string]string, error)
}

// Store is the jobs table. Every write of a record or a state is conditional on
// the version that was read and returns jobs.ErrConflict when another process
// has changed the item since.
type Store interface {
	// Live reads the whole live partition, strongly consistent: one query,
	// whatever is archived. An item that cannot be read is in the result, with
	// the reason.
	Live(ctx context.Context) (jobs.Live, error)
	// Save writes r as version r.Version+1.
	Save(ctx context.Context, r jobs.Record) error
	// Archive moves the finished run r to the archive and its histories, and
	// leaves a stub of version r.Version+1, in one transaction. It also
	// succeeds if an earlier call archived r and the response was lost.
	Archive(ctx context.Context, r jobs.Record) error
	// Delete removes r.
	Delete(ctx context.Context, r jobs.Record) error
	// Histories reads what a workflow's runs are compared with.
	Histories(ctx context.Context, workflow string) (jobs.Histories, error)
	// Archived reads the archived runs of a workflow that finished at or after since.
	Archived(ctx context.Context, workflow string, since time.Time) iter.Seq2[jobs.Record, error]
	// AddStarts adds start times to a workflow's history.
	AddStarts(ctx context.Context, workflow string, starts []time.Time) error
	// Backfill adds runs that finished before the workflow was watched to the
	// archive and its histories. Adding a run twice changes nothing.
	Backfill(ctx context.Context, workflow string, runs []jobs.Record) error
	// SaveWorkflow writes w as version w.Version+1.
	SaveWorkflow(ctx context.Context, w jobs.WorkflowState) error
	// DeleteWorkflow removes w and its histories.
	DeleteWorkflow(ctx context.Context, w jobs.WorkflowState) error
	// SaveFilter writes f as version f.Version+1.
	SaveFilter(ctx context.Context, f jobs.FilterState) error
}

// Publisher is the event bus. Publish returns one error for each entry: nil when
// the bus has accepted it, one that wraps jobs.ErrUnpublishable when it never
// will.
type Publisher interface {
	Publish(ctx context.Context, entries []jobs.Entry) []error
}

// Poller runs ticks. All fields but Overdue, ExpectNoRuns, Fast, Version,
// Metrics, Log and Now are required.
type Poller struct {
	Source    Source
	Store     Store
	Publisher Publisher
	Watched   Filter
	Overdue   jobs.OverdueRule
	// ExpectNoRuns turns off that runs are expected by the rhythm of earlier ones.
	ExpectNoRuns bool
	// Fast makes a sweep follow the jobs whose end is likely for the rest of a minute.
	Fast    bool
	Version string                   // of the function, for the report
	Metrics func(map[string]float64) // called once a tick
	Log     *slog.Logger
	Now     func() time.Time
}

// Report is what one invocation did. It is the function's response.
type Report struct {
	Workflows   int  `json:"workflows"`   // watched
	Swept       int  `json:"swept"`       // of these, checked; their lists to the end or within the hour
	Failed      int  `json:"failed"`      // of these, given up because of an error
	Denied      int  `json:"denied"`      // of these, refused by IAM
	Transitions int  `json:"transitions"` // recorded
	Published   int  `json:"published"`   // events
	Summarized  int  `json:"summarized"`  // of these, announced by a summary of late statuses
	Unpublished int  `json:"unpublished"` // events still in an outbox
	Quarantined int  `json:"quarantined"` // events that the bus will never accept
	Regressions int  `json:"regressions"` // observations older than what is known, ignored
	Backfilled  int  `json:"backfilled"`  // earlier runs added to the history
	TagsUnread  int  `json:"tagsUnread"`  // workflows whose tags could not be read
	Throttled   bool `json:"throttled"`   // Entity Resolution has throttled the tick
	Late        bool `json:"late"`        // the deadline came before the work was done

	// Version is the function's.
	Version string `json:"version,omitempty"`

	// Canary is the transition ID of the canary that was sent.
	Canary string `json:"canary,omitempty"`

	// OldestUnpublished is the age of the oldest event still in an outbox, in
	// seconds.
	OldestUnpublished int64 `json:"oldestUnpublishedSeconds"`

	// Problems are the errors that did not stop the tick, a sentence each.
	Problems []string `json:"problems,omitempty"`

	// everything is set when all that is watched was to be swept, which a
	// request for one workflow or job does not do.
	everything bool
}

// Complete reports whether every watched workflow was checked, or refused by
// IAM, which has an alarm of its own.
func (r Report) Complete() bool {
	return r.everything && !r.Throttled && !r.Late && r.Failed == 0 && r.Swept+r.Denied == r.Workflows
}

func (p *Poller) now() time.Time {
	if p.Now != nil {
		return p.Now().UTC()
	}
	return time.Now().UTC().Round(0)
}

func (p *Poller) log() *slog.Logger {
	if p.Log != nil {
		return p.Log
	}
	return slog.Default()
}
