package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/idmapping/notifier/internal/jobs"
)

// archiveAttempts is how often the histories are read again after another
// process has changed them.
const archiveAttempts = 4

// Archive moves the finished run r to the archive and its histories, and leaves
// a stub of version r.Version+1, in one transaction. It also succeeds if an
// earlier call archived r and the response was lost, which it recognizes by
// reading the item. It returns jobs.ErrConflict when the stored version is not r's.
func (s Jobs) Archive(ctx context.Context, r jobs.Record) error {
	stub, err := recordItem(r.Stub())
	if err != nil {
		return err
	}
	run, err := s.runItem(r)
	if err != nil {
		return err
	}
	moved := []types.TransactWriteItem{s.conditional(stub, r.Version), {Put: &types.Put{TableName: &s.Table, Item: run}}}
	err = s.addToHistories(ctx, r.Job.Workflow, []jobs.Record{r}, moved)
	if !errors.Is(err, jobs.ErrConflict) {
		return err
	}
	stored, read := s.record(ctx, r.Job.Key)
	if read == nil && stored.Archived && stored.Version == r.Version+1 && stored.Job.Status == r.Job.Status {
		return nil
	}
	return errors.Join(err, read)
}

// Backfill adds runs that finished before the workflow was watched: to the
// archive as far as they have not expired, and to the histories. Adding a run
// twice changes nothing.
func (s Jobs) Backfill(ctx context.Context, workflow string, runs []jobs.Record) error {
	for _, r := range runs {
		if !r.FinishedAt().Add(s.Retention).After(s.now()) {
			continue
		}
		item, err := s.runItem(r)
		if err != nil {
			return err
		}
		// A run that was archived when it was watched is not replaced.
		if err := s.put(ctx, item, 0); err != nil && !errors.Is(err, jobs.ErrConflict) {
			return fmt.Errorf("archiving job %s: %w", r.Job.Key, err)
		}
	}
	return s.addToHistories(ctx, workflow, runs, nil)
}

// Archived reads the archived runs of a workflow that finished at or after since, the
// oldest first, in pages of 1 MB as they are consumed. A run that cannot be read is in
// the sequence, with the reason in Unreadable; an error ends it.
func (s Jobs) Archived(ctx context.Context, workflow string, since time.Time) iter.Seq2[jobs.Record, error] {
	from := ""
	if !since.IsZero() {
		from = since.UTC().Format(runTime)
	}
	return func(yield func(jobs.Record, error) bool) {
		for item, err := range s.items(ctx, archivePartition(workflow), from) {
			if err != nil {
				yield(jobs.Record{}, fmt.Errorf("reading the archive of workflow %s: %w", workflow, err))
				return
			}
			if !yield(recordOf(item), nil) {
				return
			}
		}
	}
}

// Histories reads what a workflow's runs are compared with, strongly consistent.
func (s Jobs) Histories(ctx context.Context, workflow string) (jobs.Histories, error) {
	h, err := s.histories(ctx, workflow)
	return h.Histories, err
}

// AddStarts adds start times to a workflow's history.
func (s Jobs) AddStarts(ctx context.Context, workflow string, starts []time.Time) error {
	return s.changeHistories(ctx, workflow, nil, func(h *histories) {
		for _, start := range starts {
			h.Runs = h.Runs.AddStart(start)
		}
		h.changed[runsSort] = true
	})
}

func (s Jobs) addToHistories(ctx context.Context, workflow string, runs []jobs.Record, with []types.TransactWriteItem) error {
	return s.changeHistories(ctx, workflow, with, func(h *histories) {
		for _, r := range runs {
			h.Add(r)
			h.changed[runsSort] = true
			if r.Succeeded() {
				h.changed[successesSort+r.Job.Type] = true
			}
		}
	})
}

const (
	runsSort      = "runs"
	successesSort = "successes#"
)

// histories are the items of one workflow's history partition.
type histories struct {
	jobs.Histories
	changed map[string]bool // sort keys
}

// changeHistories reads a workflow's histories, changes them, and writes them
// together with other items in one transaction. The histories are shared by
// every run of the workflow, so a conflict there is retried; one in the other
// items is jobs.ErrConflict.
func (s Jobs) changeHistories(ctx context.Context, workflow string, with []types.TransactWriteItem, change func(*histories)) error {
	var err error
	for attempt := range archiveAttempts {
		if attempt > 0 && !sleep(ctx, time.Duration(attempt)*time.Duration(rand.Int64N(int64(50*time.Millisecond)))) {
			break
		}
		var h histories
		if h, err = s.histories(ctx, workflow); err != nil {
			return err
		}
		change(&h)
		writes, encoding := s.historyWrites(workflow, h)
		if encoding != nil {
			return encoding
		}
		if len(with)+len(writes) == 0 {
			return nil
		}
		_, err = s.Client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: append(with[:len(with):len(with)], writes...)})
		canceled, ok := errors.AsType[*types.TransactionCanceledException](err)
		if !ok {
			return err
		}
		for i, reason := range canceled.CancellationReasons {
			if i < len(with) && aws.ToString(reason.Code) == "ConditionalCheckFailed" {
				return fmt.Errorf("%w: %w", jobs.ErrConflict, canceled)
			}
		}
	}
	return err
}

// histories reads the history partition. It returns an error if any item cannot be
// read, so that nothing replaces it: its content cannot be recovered.
func (s Jobs) histories(ctx context.Context, workflow string) (histories, error) {
	h := histories{Histories: jobs.Histories{Successes: make(map[string]jobs.Successes)}, changed: make(map[string]bool)}
	var unreadable error
	err := s.query(ctx, historyPartition(workflow), func(item attributes) {
		jobType, ofType := strings.CutPrefix(str(item, "sort"), successesSort)
		if !ofType {
			unreadable = errors.Join(unreadable, decode(item, &h.Runs))
			h.Runs.Version = num(item, "version")
			return
		}
		var successes jobs.Successes
		unreadable = errors.Join(unreadable, decode(item, &successes))
		successes.Version = num(item, "version")
		h.Successes[jobType] = successes
	})
	if err = errors.Join(err, unreadable); err != nil {
		return h, fmt.Errorf("reading the history of workflow %s: %w", workflow, err)
	}
	return h, nil
}

func (s Jobs) historyWrites(workflow string, h histories) ([]types.TransactWriteItem, error) {
	var writes []types.TransactWriteItem
	var problems []error
	add := func(sort string, version int64, content any) {
		if !h.changed[sort] {
			return
		}
		item, err := itemOf(historyPartition(workflow), sort, version+1, content)
		problems = append(problems, err)
		writes = append(writes, s.conditional(item, version))
	}
	add(runsSort, h.Runs.Version, h.Runs)
	for jobType, successes := range h.Successes {
		add(successesSort+jobType, successes.Version, successes)
	}
	return writes, errors.Join(problems...)
}

// conditional is a write of item in place of the given version.
func (s Jobs) conditional(item attributes, version int64) types.TransactWriteItem {
	return types.TransactWriteItem{Put: &types.Put{
		TableName: &s.Table, Item: item,
		ConditionExpression: versionIs(version), ExpressionAttributeValues: versionValue(version),
	}}
}

// runTime gives every time the same length, so that sort keys order as the times.
const runTime = "2006-01-02T15:04:05.000Z"

// runItem is the archive's item of a finished run.
func (s Jobs) runItem(r jobs.Record) (attributes, error) {
	end := r.FinishedAt().UTC()
	sort := strings.Join([]string{end.Format(runTime), r.Job.Job}, "#")
	item, err := itemOf(archivePartition(r.Job.Workflow), sort, 1, r)
	if err != nil {
		return nil, err
	}
	if end.IsZero() {
		end = s.now()
	}
	item["expiresAt"] = number(end.Add(s.Retention).Unix())
	return named(item, r), nil
}

// record reads one record of the live partition.
func (s Jobs) record(ctx context.Context, k jobs.Key) (jobs.Record, error) {
	var r jobs.Record
	err := s.query(ctx, live, func(item attributes) {
		if str(item, "sort") == recordSort(k) {
			r = recordOf(item)
		}
	})
	if err != nil {
		return r, fmt.Errorf("reading job %s: %w", k, err)
	}
	return r, nil
}

// sleep waits, and reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
