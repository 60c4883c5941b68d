// Package dynamodb keeps the two tables: the jobs table, each job's last status
// with its outbox in the same item, and the deliveries table, what each
// destination has been told of each job.
package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/idmapping/notifier/internal/jobs"
)

// watches is the partition of the jobs table that holds what is remembered of
// each workflow. No workflow can be called so: names are letters, digits, _
// and - (CreateIdMappingWorkflow).
const watches = "#watches"

// Jobs is the jobs table. Its items:
//
//	workflow   S  partition key: workflow name
//	job        S  sort key: job id
//	status     S  last status, for people reading the table
//	version    N  counts the writes that changed the job
//	observed   S  the job as last observed, JSON
//	pending    M  the outbox: transition id → entry, JSON
//	refused    M  entries that the bus will never take: transition id → entry and reason, JSON
//	missing    S  sweeps that did not find the job, JSON
//	vanished   BOOL
//	expiresAt  N  TTL in epoch seconds, only once the job is over and its outbox empty
//
// and in the partition "#watches" one per workflow, with the workflow's name as
// the sort key, `version` and `watch`, JSON.
type Jobs struct {
	Client    *dynamodb.Client
	Table     string
	Retention time.Duration // from a job's end to its expiry
	Now       func() time.Time
}

type attributes = map[string]types.AttributeValue

// Watches are all workflows that something is remembered of. One that cannot be
// read is among them and says so.
func (s Jobs) Watches(ctx context.Context) ([]jobs.Watch, error) {
	var all []jobs.Watch
	err := s.query(ctx, watches, func(item attributes) { all = append(all, watchOf(item)) })
	return all, err
}

// SaveWatch writes w as version w.Version+1. It returns jobs.ErrConflict when
// the stored version is another.
func (s Jobs) SaveWatch(ctx context.Context, w jobs.Watch) error {
	body, err := json.Marshal(w)
	if err != nil {
		return fmt.Errorf("encoding the watch of %s: %w", w.Workflow, err)
	}
	_, err = s.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &s.Table,
		Key:                       key(watches, w.Workflow),
		UpdateExpression:          aws.String("SET version = :next, watch = :watch"),
		ConditionExpression:       versionIs(w.Version),
		ExpressionAttributeValues: versioned(w.Version, attributes{":next": number(w.Version + 1), ":watch": text(string(body))}),
	})
	return conflict(err)
}

// Forget removes a watch, unless its version is another by now.
func (s Jobs) Forget(ctx context.Context, w jobs.Watch) error {
	_, err := s.Client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName:                 &s.Table,
		Key:                       key(watches, w.Workflow),
		ConditionExpression:       versionIs(w.Version),
		ExpressionAttributeValues: versioned(w.Version, nil),
	})
	return conflict(err)
}

// Records are all jobs known of a workflow, by id. Strongly consistent. One that
// cannot be read is among them and says so.
func (s Jobs) Records(ctx context.Context, workflow string) (map[string]jobs.Record, error) {
	all := make(map[string]jobs.Record)
	err := s.query(ctx, workflow, func(item attributes) {
		r := recordOf(item)
		all[r.Job.Job] = r
	})
	return all, err
}

// Record is one job; its Version is 0 when it is not known.
func (s Jobs) Record(ctx context.Context, k jobs.Key) (jobs.Record, error) {
	out, err := s.Client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.Table, Key: key(k.Workflow, k.Job), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return jobs.Record{}, err
	}
	if len(out.Item) == 0 {
		return jobs.Record{Job: jobs.Job{Key: k}}, nil
	}
	r := recordOf(out.Item)
	return r, r.Unreadable
}

// Save writes r as version r.Version+1, adding entry to the outbox unless it is
// nil. It returns jobs.ErrConflict when the stored version is another.
func (s Jobs) Save(ctx context.Context, r jobs.Record, entry *jobs.Entry) error {
	observed, err := json.Marshal(r.Job)
	if err != nil {
		return fmt.Errorf("encoding job %s: %w", r.Job.Key, err)
	}
	missing, err := json.Marshal(r.Missing)
	if err != nil {
		return fmt.Errorf("encoding job %s: %w", r.Job.Key, err)
	}
	// An item that expires must not have an outbox: saving takes the expiry
	// off, and settling an empty outbox puts it on.
	update := "version = :next, #status = :status, observed = :observed, #missing = :missing, vanished = :vanished REMOVE expiresAt"
	names := map[string]string{"#status": "status", "#missing": "missing"}
	values := attributes{
		":next":     number(r.Version + 1),
		":status":   text(string(r.Job.Status)),
		":observed": text(string(observed)),
		":missing":  text(string(missing)),
		":vanished": &types.AttributeValueMemberBOOL{Value: r.Vanished},
	}
	outbox := attributes{}
	if entry != nil {
		body, err := json.Marshal(entry)
		if err != nil {
			return fmt.Errorf("encoding an event of job %s: %w", r.Job.Key, err)
		}
		outbox[entry.ID] = text(string(body))
	}
	switch {
	case r.Version == 0: // the maps must be there before anything can be put into them
		update = "SET pending = :pending, refused = :none, " + update
		values[":pending"] = &types.AttributeValueMemberM{Value: outbox}
		values[":none"] = &types.AttributeValueMemberM{Value: attributes{}}
	case entry != nil:
		update = "SET pending.#id = :entry, " + update
		names["#id"], values[":entry"] = entry.ID, outbox[entry.ID]
	default:
		update = "SET " + update
	}
	return s.update(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &s.Table,
		Key:                       key(r.Job.Workflow, r.Job.Job),
		UpdateExpression:          &update,
		ConditionExpression:       versionIs(r.Version),
		ExpressionAttributeNames:  names,
		ExpressionAttributeValues: versioned(r.Version, values),
	})
}

// update updates a job's item, giving it the maps that an item of another
// version may lack: DynamoDB puts nothing into a map that is not there.
func (s Jobs) update(ctx context.Context, in *dynamodb.UpdateItemInput) error {
	_, err := s.Client.UpdateItem(ctx, in)
	if invalid, ok := errors.AsType[smithy.APIError](err); ok && invalid.ErrorCode() == "ValidationException" {
		_, mending := s.Client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName:                 in.TableName,
			Key:                       in.Key,
			UpdateExpression:          aws.String("SET pending = if_not_exists(pending, :none), refused = if_not_exists(refused, :none)"),
			ConditionExpression:       aws.String("attribute_exists(version)"),
			ExpressionAttributeValues: attributes{":none": &types.AttributeValueMemberM{Value: attributes{}}},
		})
		if mending != nil {
			return errors.Join(err, conflict(mending))
		}
		_, err = s.Client.UpdateItem(ctx, in)
	}
	return conflict(err)
}

// Settle takes exactly these entries out of r's outbox: published ones are
// gone, refused ones are kept aside with their reasons. Where none is left and
// the job is over, its expiry is set.
func (s Jobs) Settle(ctx context.Context, r jobs.Record, published []string, refused map[string]string) error {
	gone := slices.Concat(published, slices.Sorted(maps.Keys(refused)))
	left := slices.ContainsFunc(r.Pending, func(e jobs.Entry) bool { return !slices.Contains(gone, e.ID) })
	if r.Open() || left {
		return s.settle(ctx, r, gone, refused, false)
	}
	// Entries are only ever added together with a new version, so at r's
	// version the outbox holds nothing but what r shows.
	err := s.settle(ctx, r, gone, refused, true)
	if errors.Is(err, jobs.ErrConflict) {
		return s.settle(ctx, r, gone, refused, false)
	}
	return err
}

func (s Jobs) settle(ctx context.Context, r jobs.Record, gone []string, refused map[string]string, expire bool) error {
	if len(gone) == 0 && !expire {
		return nil
	}
	in := &dynamodb.UpdateItemInput{
		TableName:                &s.Table,
		Key:                      key(r.Job.Workflow, r.Job.Job),
		ConditionExpression:      aws.String("attribute_exists(version)"), // never bring back an item that is gone
		ExpressionAttributeNames: map[string]string{},
	}
	values := attributes{}
	var sets, removes []string
	for i, id := range gone {
		name := "#id" + strconv.Itoa(i)
		in.ExpressionAttributeNames[name] = id
		removes = append(removes, "pending."+name)
	}
	for i, id := range gone {
		reason, ok := refused[id]
		if !ok {
			continue
		}
		entry := jobs.Entry{ID: id}
		if at := slices.IndexFunc(r.Pending, func(e jobs.Entry) bool { return e.ID == id }); at >= 0 {
			entry = r.Pending[at]
		}
		body, err := json.Marshal(refusal{entry, reason})
		if err != nil {
			return fmt.Errorf("encoding an event of job %s: %w", r.Job.Key, err)
		}
		n := strconv.Itoa(i)
		values[":refused"+n] = text(string(body))
		sets = append(sets, "refused.#id"+n+" = :refused"+n)
	}
	if expire {
		values[":expires"] = number(s.expiry(r.Job).Unix())
		values[":version"] = number(r.Version)
		sets = append(sets, "expiresAt = :expires")
		in.ConditionExpression = aws.String("version = :version")
	}
	in.UpdateExpression = aws.String(expression("SET", sets) + expression("REMOVE", removes))
	if len(values) > 0 {
		in.ExpressionAttributeValues = values
	}
	if len(in.ExpressionAttributeNames) == 0 {
		in.ExpressionAttributeNames = nil
	}
	err := s.update(ctx, in)
	if !expire && errors.Is(err, jobs.ErrConflict) {
		return nil // the item is gone, and its outbox with it
	}
	return err
}

// refusal is an entry that the bus will never take, kept for people to look at.
type refusal struct {
	jobs.Entry
	Reason string `json:"reason"`
}

// expiry is a day later than Watch.Settled counts on, because it must not be
// able to see a job as new that has just expired.
func (s Jobs) expiry(job jobs.Job) time.Time {
	end := job.EndTime
	if end.IsZero() {
		end = time.Now()
		if s.Now != nil {
			end = s.Now()
		}
	}
	return end.Add(s.Retention + 24*time.Hour)
}

func (s Jobs) query(ctx context.Context, workflow string, each func(attributes)) error {
	pages := dynamodb.NewQueryPaginator(s.Client, &dynamodb.QueryInput{
		TableName:                 &s.Table,
		ConsistentRead:            aws.Bool(true),
		KeyConditionExpression:    aws.String("workflow = :workflow"),
		ExpressionAttributeValues: attributes{":workflow": text(workflow)},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			each(item)
		}
	}
	return nil
}

func watchOf(item attributes) jobs.Watch {
	var w jobs.Watch
	err := decode(item, "watch", &w)
	w.Workflow, w.Version = str(item, "job"), num(item, "version")
	if err != nil {
		w.Unreadable = fmt.Errorf("reading the item of watch %s: %w", w.Workflow, err)
	}
	return w
}

func recordOf(item attributes) jobs.Record {
	r := jobs.Record{Version: num(item, "version")}
	err := errors.Join(
		decode(item, "observed", &r.Job),
		decode(item, "missing", &r.Missing),
	)
	r.Job.Key = jobs.Key{Workflow: str(item, "workflow"), Job: str(item, "job")}
	if r.Job.Status == "" {
		r.Job.Status = jobs.Status(str(item, "status"))
	}
	if v, ok := item["vanished"].(*types.AttributeValueMemberBOOL); ok {
		r.Vanished = v.Value
	}
	_, r.Expiring = item["expiresAt"]
	if pending, ok := item["pending"].(*types.AttributeValueMemberM); ok {
		for id := range pending.Value {
			var entry jobs.Entry
			err = errors.Join(err, decode(pending.Value, id, &entry))
			r.Pending = append(r.Pending, entry)
		}
	}
	slices.SortFunc(r.Pending, func(a, b jobs.Entry) int { return int(a.Seq - b.Seq) })
	if err != nil {
		r.Unreadable = fmt.Errorf("reading the item of job %s: %w", r.Job.Key, err)
	}
	return r
}
