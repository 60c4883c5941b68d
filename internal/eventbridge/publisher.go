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

// PutEvents accepts at most 10 entries and 256 KB per call ("Amazon EventBridge
// quotas").
const (
	maxEntries = 10
	maxBytes   = 256 * 1024
)

// Publisher puts events on one bus, in the name of one publisher.
type Publisher struct {
	client    *eventbridge.Client
	bus       string
	publisher event.Publisher
}

// New returns a Publisher. bus is the bus's name or ARN; publisher is the
// stack, by whose name its rules recognize its own events.
func New(cfg aws.Config, bus string, publisher event.Publisher) *Publisher {
	return &Publisher{bus: bus, publisher: publisher, client: eventbridge.NewFromConfig(cfg, func(o *eventbridge.Options) {
		o.Retryer = retry.AddWithMaxAttempts(retry.NewStandard(), 3)
	})}
}

// Publish puts the entries on the bus, at most ten per call, with the
// publisher's name in each. It returns one result per entry: nil when the bus
// accepted it, an error that wraps jobs.ErrUnpublishable when the bus will never
// accept it, any other error when a retry can succeed.
func (p *Publisher) Publish(ctx context.Context, entries []jobs.Entry) []error {
	var all []types.PutEventsRequestEntry
	for _, e := range entries {
		all = append(all, p.requestEntry(e))
	}
	errs := make([]error, 0, len(entries))
	for len(all) > 0 {
		n := entriesPerCall(all)
		errs = append(errs, p.put(ctx, all[:n])...)
		all = all[n:]
	}
	return errs
}

func (p *Publisher) requestEntry(e jobs.Entry) types.PutEventsRequestEntry {
	var resources []string
	if e.Resource != "" {
		resources = []string{e.Resource}
	}
	return types.PutEventsRequestEntry{
		EventBusName: &p.bus,
		Source:       aws.String(event.SourceOf(e.DetailType)),
		DetailType:   &e.DetailType,
		Time:         &e.Time,
		Resources:    resources,
		Detail:       aws.String(event.AddPublisher(e.Detail, p.publisher)),
	}
}

// entriesPerCall returns how many of the entries fit in one call: at least one.
func entriesPerCall(entries []types.PutEventsRequestEntry) int {
	n, bytes := 0, 0
	for n < len(entries) && n < maxEntries {
		bytes += entrySize(entries[n])
		if n > 0 && bytes > maxBytes {
			break
		}
		n++
	}
	return n
}

// entrySize is an entry's size as PutEvents counts it: 14 bytes for the time and
// the UTF-8 of every string ("Calculating Amazon EventBridge PutEvents event
// entry size").
func entrySize(e types.PutEventsRequestEntry) int {
	size := 14 + len(*e.Source) + len(*e.DetailType) + len(*e.Detail)
	for _, resource := range e.Resources {
		size += len(resource)
	}
	return size
}

func (p *Publisher) put(ctx context.Context, entries []types.PutEventsRequestEntry) []error {
	errs := make([]error, len(entries))
	out, err := p.client.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: entries})
	switch {
	case err != nil && isInvalid(err) && len(entries) > 1:
		// One invalid entry fails the whole call. Sent alone it is identified, and
		// the others do not fail with it tick after tick.
		for i := range entries {
			errs[i] = p.put(ctx, entries[i:i+1])[0]
		}
	case err != nil:
		for i := range errs {
			errs[i] = callError(err)
		}
	case len(out.Entries) != len(entries):
		for i := range errs {
			errs[i] = fmt.Errorf("putting an event: the response has results for %d of %d entries", len(out.Entries), len(entries))
		}
	default:
		for i, result := range out.Entries {
			errs[i] = entryError(result)
		}
	}
	return errs
}

// permanentCodes are the error codes of an entry that no retry can fix
// (PutEventsResultEntry, ErrorCode). The outbox keeps the entry for any other
// code: throttling and faults pass, and a permission can be granted.
var permanentCodes = []string{"MalformedDetail", "InvalidArgument", "RedactionFailure"}

func entryError(result types.PutEventsResultEntry) error {
	if result.ErrorCode == nil {
		return nil
	}
	message := aws.ToString(result.ErrorMessage)
	err := fmt.Errorf("putting an event: %s: %s", *result.ErrorCode, message)
	if slices.Contains(permanentCodes, *result.ErrorCode) && !concernsBus(message) {
		return fmt.Errorf("%w: %w", jobs.ErrUnpublishable, err)
	}
	return err
}

// callError is the error of an entry whose call failed. A call that is refused
// as invalid has a single entry, which is the invalid one.
func callError(err error) error {
	if isInvalid(err) {
		return fmt.Errorf("%w: putting an event: %w", jobs.ErrUnpublishable, err)
	}
	return fmt.Errorf("putting an event: %w", err)
}

// isInvalid reports whether a call was refused for what its entries contain,
// such as too many bytes.
func isInvalid(err error) bool {
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok && response.HTTPStatusCode() == http.StatusRequestEntityTooLarge {
		return true
	}
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && (api.ErrorCode() == "ValidationException" || api.ErrorCode() == "ValidationError") && !concernsBus(api.ErrorMessage())
}

// concernsBus reports whether the bus's name is what is invalid (the
// constraint's message names the member, entries.1.member.eventBusName). The
// name is a setting: once it is fixed, every event passes.
func concernsBus(message string) bool {
	return strings.Contains(strings.ToLower(message), "eventbusname")
}
