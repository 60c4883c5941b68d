// Package eventbridge puts events on a bus.
package eventbridge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
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
	return 14 + len(event.SourceOf(e.DetailType)) + len(e.DetailType) + len(e.Resource) + len(e.Detail)
}

func (p *Publisher) put(ctx context.Context, entries []jobs.Entry) []error {
	in := &eventbridge.PutEventsInput{}
	for _, e := range entries {
		var resources []string
		if e.Resource != "" {
			resources = []string{e.Resource}
		}
		in.Entries = append(in.Entries, types.PutEventsRequestEntry{
			EventBusName: &p.bus,
			Source:       aws.String(event.SourceOf(e.DetailType)),
			DetailType:   &e.DetailType,
			Time:         &e.Time,
			Resources:    resources,
			Detail:       &e.Detail,
		})
	}
	errs := make([]error, len(entries))
	out, err := p.client.PutEvents(ctx, in)
	switch {
	case err != nil && invalid(err) && len(entries) > 1:
		// A call is refused as a whole for the sake of one entry. Alone, that one
		// is found, and the others are not refused with it tick after tick.
		for i := range entries {
			errs[i] = p.put(ctx, entries[i:i+1])[0]
		}
	case err != nil:
		for i := range errs {
			errs[i] = whole(err)
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
	message := aws.ToString(result.ErrorMessage)
	err := fmt.Errorf("putting an event: %s: %s", *result.ErrorCode, message)
	if slices.Contains(hopeless, *result.ErrorCode) && !ofTheBus(message) {
		return fmt.Errorf("%w: %w", jobs.ErrUnpublishable, err)
	}
	return err
}

// whole is the error of an entry whose call failed. A call that is refused as
// invalid has one entry, and is refused for that entry's sake.
func whole(err error) error {
	if invalid(err) {
		return fmt.Errorf("%w: putting an event: %w", jobs.ErrUnpublishable, err)
	}
	return fmt.Errorf("putting an event: %w", err)
}

// invalid tells whether a call was refused for what its entries hold, such as
// too many bytes.
func invalid(err error) bool {
	if answer, ok := errors.AsType[*awshttp.ResponseError](err); ok && answer.HTTPStatusCode() == http.StatusRequestEntityTooLarge {
		return true
	}
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && (api.ErrorCode() == "ValidationException" || api.ErrorCode() == "ValidationError") && !ofTheBus(api.ErrorMessage())
}

// ofTheBus tells whether what is invalid is the bus's name (the constraint's
// message names the member, entries.1.member.eventBusName). That is a setting:
// mended, it lets every event through.
func ofTheBus(message string) bool {
	return strings.Contains(strings.ToLower(message), "eventbusname")
}
