// Package dynamodb keeps the two tables: the jobs table, what the poller knows,
// and the deliveries table, what each destination has received of each job.
package dynamodb

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/idmapping/notifier/internal/jobs"
)

// Jobs is the jobs table. Its partitions:
//
//	live               everything an idle tick reads, with the sort keys
//	                   job#WORKFLOW#JOB (records and stubs), workflow#WORKFLOW
//	                   (states) and filter
//	archive#WORKFLOW   finished runs in full, by end time and job ID
//	history#WORKFLOW   what later runs are compared with: runs (start times and
//	                   failures) and successes#TYPE for each job type
//
// Its attributes:
//
//	partition, sort    S  the key
//	layout             N  version of this layout
//	version            N  counts the writes of the item
//	item               S  the record or state, JSON; outside live
//	                   B  the run or history, JSON compressed by DEFLATE
//	workflow, job      S  which job, of records, stubs and runs
//	status             S  its status, for operators
//	refused            N  how many of its events the bus will never accept
//	expiresAt          N  TTL of an archived run, epoch seconds
//
// Workflow names are letters, digits, _ and - (CreateIdMappingWorkflow), so that
// # separates them.
type Jobs struct {
	Client    *dynamodb.Client
	Table     string
	Retention time.Duration // from a run's end to the expiry of its archived item
	Now       func() time.Time
}

const (
	live   = "live"
	layout = 1
)

type attributes = map[string]types.AttributeValue

// Live reads the whole live partition, strongly consistent. An item that cannot
// be read is in the result, with the reason.
func (s Jobs) Live(ctx context.Context) (jobs.Live, error) {
	all := jobs.Live{Workflows: make(map[string]jobs.WorkflowState), Records: make(map[jobs.Key]jobs.Record)}
	err := s.query(ctx, live, func(item attributes) {
		switch sort := str(item, "sort"); {
		case sort == filterSort:
			// A filter that cannot be read counts as none: its version lets the
			// next complete tick replace it.
			_ = decode(item, &all.Filter)
			all.Filter.Version = num(item, "version")
		case str(item, "job") == "":
			state := workflowOf(item)
			all.Workflows[state.Workflow] = state
		default:
			record := recordOf(item)
			all.Records[record.Job.Key] = record
		}
	})
	return all, err
}

// Save writes r as version r.Version+1, and returns jobs.ErrConflict when the
// stored version is not r's.
func (s Jobs) Save(ctx context.Context, r jobs.Record) error {
	item, err := recordItem(r)
	if err != nil {
		return err
	}
	return s.put(ctx, item, r.Version)
}

// Delete removes r, and returns jobs.ErrConflict when the stored version is not
// r's.
func (s Jobs) Delete(ctx context.Context, r jobs.Record) error {
	return s.delete(ctx, key(live, recordSort(r.Job.Key)), r.Version)
}

// SaveWorkflow writes w as version w.Version+1, and returns jobs.ErrConflict
// when the stored version is not w's.
func (s Jobs) SaveWorkflow(ctx context.Context, w jobs.WorkflowState) error {
	item, err := itemOf(live, workflowSort(w.Workflow), w.Version+1, w)
	if err != nil {
		return err
	}
	item["workflow"] = text(w.Workflow)
	return s.put(ctx, item, w.Version)
}

// DeleteWorkflow removes the state of a workflow that was deleted, and its
// histories: another workflow may get the same name. It returns
// jobs.ErrConflict when the stored version is not w's.
func (s Jobs) DeleteWorkflow(ctx context.Context, w jobs.WorkflowState) error {
	var histories []attributes
	err := s.query(ctx, historyPartition(w.Workflow), func(item attributes) {
		histories = append(histories, attributes{"partition": item["partition"], "sort": item["sort"]})
	})
	for _, k := range histories {
		if err == nil {
			_, err = s.Client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &s.Table, Key: k})
		}
	}
	if err != nil {
		return fmt.Errorf("removing its histories: %w", err)
	}
	return s.delete(ctx, key(live, workflowSort(w.Workflow)), w.Version)
}

// SaveFilter writes f as version f.Version+1, and returns jobs.ErrConflict when
// the stored version is not f's.
func (s Jobs) SaveFilter(ctx context.Context, f jobs.FilterState) error {
	item, err := itemOf(live, filterSort, f.Version+1, f)
	if err != nil {
		return err
	}
	return s.put(ctx, item, f.Version)
}

func (s Jobs) put(ctx context.Context, item attributes, version int64) error {
	_, err := s.Client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.Table, Item: item,
		ConditionExpression: versionIs(version), ExpressionAttributeValues: versionValue(version),
	})
	return conflict(err)
}

func (s Jobs) delete(ctx context.Context, k attributes, version int64) error {
	_, err := s.Client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &s.Table, Key: k,
		ConditionExpression: versionIs(version), ExpressionAttributeValues: versionValue(version),
	})
	return conflict(err)
}

// query reads one partition, strongly consistent.
func (s Jobs) query(ctx context.Context, partition string, each func(attributes)) error {
	for item, err := range s.items(ctx, partition, "") {
		if err != nil {
			return err
		}
		each(item)
	}
	return nil
}

// items reads the items of a partition whose sort keys are from or later, strongly
// consistent, page by page as they are consumed. An error is the last element.
func (s Jobs) items(ctx context.Context, partition, from string) iter.Seq2[attributes, error] {
	in := &dynamodb.QueryInput{
		TableName:      &s.Table,
		ConsistentRead: aws.Bool(true),
		// PARTITION is a reserved word (DynamoDB Developer Guide, "Reserved
		// words").
		KeyConditionExpression:    aws.String("#partition = :partition"),
		ExpressionAttributeNames:  map[string]string{"#partition": "partition"},
		ExpressionAttributeValues: attributes{":partition": text(partition)},
	}
	if from != "" {
		in.KeyConditionExpression = aws.String("#partition = :partition AND sort >= :from")
		in.ExpressionAttributeValues[":from"] = text(from)
	}
	return func(yield func(attributes, error) bool) {
		for pages := dynamodb.NewQueryPaginator(s.Client, in); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

func (s Jobs) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

const filterSort = "filter"

func recordSort(k jobs.Key) string            { return "job#" + k.Workflow + "#" + k.Job }
func workflowSort(workflow string) string     { return "workflow#" + workflow }
func historyPartition(workflow string) string { return "history#" + workflow }
func archivePartition(workflow string) string { return "archive#" + workflow }

// itemOf is an item of the jobs table with its content as JSON. Outside the live
// partition, which operators may have to read in a hurry, the JSON is compressed: a
// finished run is then one write unit, and 1 MB of the archive more than 1,000 runs.
func itemOf(partition, sort string, version int64, content any) (attributes, error) {
	body, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("encoding item %s %s: %w", partition, sort, err)
	}
	item := attributes{"partition": text(partition), "sort": text(sort), "layout": number(layout), "version": number(version), "item": text(string(body))}
	if partition != live {
		item["item"] = &types.AttributeValueMemberB{Value: deflate(body)}
	}
	return item, nil
}

// deflate compresses to raw DEFLATE (RFC 1951).
func deflate(body []byte) []byte {
	var compressed bytes.Buffer
	w, _ := flate.NewWriter(&compressed, flate.BestCompression) // fails only for an unknown level
	_, _ = w.Write(body)                                        // a buffer never fails
	_ = w.Close()
	return compressed.Bytes()
}

// recordItem is the item of r as the next version.
func recordItem(r jobs.Record) (attributes, error) {
	item, err := itemOf(live, recordSort(r.Job.Key), r.Version+1, r)
	if err != nil {
		return nil, err
	}
	return named(item, r), nil
}

// named adds the attributes that operators search by.
func named(item attributes, r jobs.Record) attributes {
	item["workflow"], item["job"] = text(r.Job.Workflow), text(r.Job.Job)
	if r.Job.Status != "" {
		item["status"] = text(string(r.Job.Status))
	}
	if n := len(r.Refused); n > 0 {
		item["refused"] = number(int64(n))
	}
	return item
}

func recordOf(item attributes) jobs.Record {
	var r jobs.Record
	if err := decode(item, &r); err != nil {
		r = jobs.Record{Unreadable: fmt.Errorf("reading the item of job %s/%s: %w", str(item, "workflow"), str(item, "job"), err)}
	}
	r.Job.Key = jobs.Key{Workflow: str(item, "workflow"), Job: str(item, "job")}
	r.Version = num(item, "version")
	return r
}

func workflowOf(item attributes) jobs.WorkflowState {
	var w jobs.WorkflowState
	if err := decode(item, &w); err != nil {
		w = jobs.WorkflowState{Unreadable: fmt.Errorf("reading the item of workflow %s: %w", str(item, "workflow"), err)}
	}
	w.Workflow, w.Version = str(item, "workflow"), num(item, "version")
	return w
}

var errLayout = errors.New("it was written by a newer version of the notifier")

// decode reads an item's content.
func decode(item attributes, into any) error {
	if num(item, "layout") > layout {
		return errLayout
	}
	body, err := []byte(str(item, "item")), error(nil)
	if compressed, ok := item["item"].(*types.AttributeValueMemberB); ok {
		body, err = io.ReadAll(flate.NewReader(bytes.NewReader(compressed.Value)))
	}
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		return fmt.Errorf("attribute item: %w", err)
	}
	return nil
}
