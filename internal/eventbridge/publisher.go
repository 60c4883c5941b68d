// Package eventbridge puts events on a bus.
package eventbridge

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/smithy-go"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/jobs"
)

// PutEvents takes at most 10 entries and 256 KB a call ("Amazon EventBridge
// quotas").
const (
	maxEntries = 10
	maxBytes   = 256 * 1024
)

// Publisher puts events on one bus.
type Publisher struct {
	client *eventbridge.Client
	bus    string
}

// New makes a Publisher; bus is the bus's name or ARN.
func New(cfg aws.Config, bus string) *Publisher {
	return &Publisher{bus: bus, client: eventbridge.NewFromConfig(cfg, func(o *eventbridge.Options) {
		o.Retryer = retry.AddWithMaxAttempts(retry.NewStandard(), 3)
	})}
}

// Publish puts the entries on the bus, ten at most a call, and answers for each
// of them: nil when the bus has it, an error that wraps jobs.ErrUnpublishable
// when it never will, any other error when it may another time.
func (p *Publisher) Publish(ctx context.Context, entries []jobs.Entry) []error {
	errs := make([]error, 0, len(entries))
	for len(entries) > 0 {
		n := fitting(entries)
		errs = append(errs, p.put(ctx, entries[:n])...)
		entries = entries[n:]
	}
	return errs
}

// fitting is how many of the entries go into one call: at least one.
func fitting(entries []jobs.Entry) int {
	n, bytes := 0, 0
	for n < len(entries) && n < maxEntries {
		bytes += size(entries[n])
		if n > 0 && bytes > maxBytes {
			break
		}
		n++
	}
	return n
}

// size is an entry's size as PutEvents counts it: 14 bytes for the time and
// the UTF-8 of every text ("Calculating Amazon EventBridge PutEvents event
// entry size").
func size(e jobs.Entry) int {
	return 14 + len(event.Source) + len(e.DetailType) + len(e.Resource) + len(e.Detail)
}

func (p *Publisher) put(ctx context.Context, entries []jobs.Entry) []error {
	in := &eventbridge.PutEventsInput{}
	for _, e := range entries {
		in.Entries = append(in.Entries, types.PutEventsRequestEntry{
			EventBusName: &p.bus,
			Source:       aws.String(event.Source),
			DetailType:   &e.DetailType,
			Time:         &e.Time,
			Resources:    []string{e.Resource},
			Detail:       &e.Detail,
		})
	}
	errs := make([]error, len(entries))
	out, err := p.client.PutEvents(ctx, in)
	switch {
	case err != nil:
		for i := range errs {
			errs[i] = whole(err, entries)
		}
	case len(out.Entries) != len(entries):
		for i := range errs {
			errs[i] = fmt.Errorf("putting an event: the bus answered for %d of %d entries", len(out.Entries), len(entries))
		}
	default:
		for i, result := range out.Entries {
			errs[i] = outcome(result)
		}
	}
	return errs
}

// hopeless are the error codes of a single entry that no repetition mends
// (PutEventsResultEntry, ErrorCode). Everything else is kept: a throttle or a
// fault passes, and a permission can be granted.
var hopeless = []string{"MalformedDetail", "InvalidArgument", "RedactionFailure"}

func outcome(result types.PutEventsResultEntry) error {
	if result.ErrorCode == nil {
		return nil
	}
	err := fmt.Errorf("putting an event: %s: %s", *result.ErrorCode, aws.ToString(result.ErrorMessage))
	if slices.Contains(hopeless, *result.ErrorCode) {
		return fmt.Errorf("%w: %w", jobs.ErrUnpublishable, err)
	}
	return err
}

// whole is the error of a whole call. A call of one entry that is refused as
// invalid is refused for that entry's sake.
func whole(err error, entries []jobs.Entry) error {
	api, ok := errors.AsType[smithy.APIError](err)
	if ok && len(entries) == 1 && (api.ErrorCode() == "ValidationException" || api.ErrorCode() == "ValidationError") {
		return fmt.Errorf("%w: putting an event: %w", jobs.ErrUnpublishable, err)
	}
	return fmt.Errorf("putting an event: %w", err)
}
