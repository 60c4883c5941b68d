package eventbridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/event/eventtest"
	"github.com/idmapping/notifier/internal/eventbridge"
	"github.com/idmapping/notifier/internal/jobs"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// putEntry is one entry of a PutEvents request.
type putEntry struct {
	EventBusName, Source, DetailType, Detail string
	Resources                                []string
	Time                                     float64 // epoch seconds
}

// bus is a fake of PutEvents below the SDK. It records every call and accepts
// every entry, unless answer or fail is set.
type bus struct {
	answer func(w http.ResponseWriter, entries []putEntry)
	fail   func(call int) error // a call without a response; call counts from 1

	mu    sync.Mutex
	calls [][]putEntry
}

// Do implements aws.HTTPClient.
func (b *bus) Do(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	var in struct{ Entries []putEntry }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("X-Amz-Target") != "AWSEvents.PutEvents" {
		http.Error(w, "not PutEvents", http.StatusNotImplemented)
		return w.Result(), nil
	}
	b.mu.Lock()
	b.calls = append(b.calls, in.Entries)
	call := len(b.calls)
	b.mu.Unlock()
	if b.fail != nil {
		if err := b.fail(call); err != nil {
			return nil, err
		}
	}
	if b.answer != nil {
		b.answer(w, in.Entries)
	} else {
		writeResults(w, make([]string, len(in.Entries)))
	}
	return w.Result(), nil
}

// writeResults writes an error code, or success where it is empty, per entry.
func writeResults(w http.ResponseWriter, codes []string) {
	type result struct{ EventId, ErrorCode, ErrorMessage *string }
	all, failed := []result{}, 0
	for i, code := range codes {
		if code == "" {
			all = append(all, result{EventId: aws.String(fmt.Sprintf("id-%d", i))})
			continue
		}
		failed++
		all = append(all, result{ErrorCode: aws.String(code), ErrorMessage: aws.String("because")})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"FailedEntryCount": failed, "Entries": all})
}

func (b *bus) callSizes() []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []int
	for _, entries := range b.calls {
		all = append(all, len(entries))
	}
	return all
}

var stack = event.Publisher{Stack: "idmapping"}

func newPublisher(b *bus) *eventbridge.Publisher {
	return eventbridge.New(aws.Config{
		Region:      eventtest.Region,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		HTTPClient:  b,
	}, "the-bus", stack)
}

// entries returns n entries whose details have about that many bytes.
func entries(n, bytes int) []jobs.Entry {
	var all []jobs.Entry
	for i := range n {
		all = append(all, jobs.Entry{ID: fmt.Sprint(i), DetailType: event.StateChange, Time: noon,
			Resource: eventtest.WorkflowARN("crm"), Detail: fmt.Sprintf(`{"i":%d,"pad":%q}`, i, strings.Repeat("x", bytes))})
	}
	return all
}

func TestEntryIsPutWithItsPublisher(t *testing.T) {
	b := &bus{}
	in := jobs.Entry{DetailType: event.Vanished, Time: noon, Resource: eventtest.WorkflowARN("crm"), Detail: `{"version":"1"}`}
	if errs := newPublisher(b).Publish(t.Context(), []jobs.Entry{in}); len(errs) != 1 || errs[0] != nil {
		t.Fatal(errs)
	}
	want := putEntry{EventBusName: "the-bus", Source: "idmapping.notifier", DetailType: "ID Mapping Job Vanished",
		Detail: `{"publisher":"idmapping","version":"1"}`, Resources: []string{eventtest.WorkflowARN("crm")}, Time: float64(noon.Unix())}
	if got := b.calls[0][0]; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("put\n%+v, want\n%+v", got, want)
	}
	if in.Detail != `{"version":"1"}` {
		t.Errorf("the outbox's entry changed to %s", in.Detail)
	}
}

func TestCanaryIsPutWithItsPublisher(t *testing.T) {
	b := &bus{}
	if errs := newPublisher(b).Publish(t.Context(), []jobs.Entry{event.EncodeCanary(false, noon)}); errors.Join(errs...) != nil {
		t.Fatal(errs)
	}
	got := b.calls[0][0]
	if got.Source != event.CanarySource || got.Resources != nil || !strings.HasPrefix(got.Detail, `{"publisher":"idmapping",`) {
		t.Errorf("put %+v", got)
	}
}

// Two entries fill a call to the byte. Their size includes the publisher.
func TestCallHoldsExactly256KB(t *testing.T) {
	const limit = 256 << 10
	overhead := func() int {
		b := &bus{}
		newPublisher(b).Publish(t.Context(), entries(1, 0))
		e := b.calls[0][0]
		return 14 + len(e.Source) + len(e.DetailType) + len(e.Resources[0]) + len(e.Detail)
	}()
	for _, c := range []struct {
		excess int
		want   string
	}{{0, "[2]"}, {1, "[1 1]"}} {
		b := &bus{}
		two := append(entries(1, limit/2-overhead), entries(1, limit/2-overhead+c.excess)...)
		if errs := newPublisher(b).Publish(t.Context(), two); errors.Join(errs...) != nil {
			t.Fatal(errs)
		}
		if got := fmt.Sprint(b.callSizes()); got != c.want {
			t.Errorf("%d bytes over the limit: calls of %s entries, want %s", c.excess, got, c.want)
		}
	}
}

func TestCallsHoldAtMostTenEntriesAnd256KB(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []jobs.Entry
		want []int
	}{
		{"none", nil, nil},
		{"one", entries(1, 10), []int{1}},
		{"ten", entries(10, 10), []int{10}},
		{"eleven", entries(11, 10), []int{10, 1}},
		{"many", entries(35, 10), []int{10, 10, 10, 5}},
		{"large", entries(5, 100<<10), []int{2, 2, 1}},
		{"too large for any call", entries(2, 300<<10), []int{1, 1}},
		{"one large among small", append(append(entries(3, 10), entries(1, 256<<10-200)...), entries(3, 10)...), []int{3, 1, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &bus{}
			errs := newPublisher(b).Publish(t.Context(), c.in)
			if got := fmt.Sprint(b.callSizes()); got != fmt.Sprint(c.want) {
				t.Errorf("calls of %s entries, want %v", got, c.want)
			}
			if len(errs) != len(c.in) || errors.Join(errs...) != nil {
				t.Errorf("%d answers for %d entries: %v", len(errs), len(c.in), errors.Join(errs...))
			}
			sent := 0
			for _, call := range b.calls {
				bytes := 0
				for _, e := range call {
					bytes += 14 + len(e.Source) + len(e.DetailType) + len(e.Detail) + len(e.Resources[0])
					if e.Detail != event.AddPublisher(c.in[sent].Detail, stack) {
						t.Fatalf("entry %d is out of order", sent)
					}
					sent++
				}
				if len(call) > 1 && bytes > 256<<10 {
					t.Errorf("a call of %d entries has %d bytes", len(call), bytes)
				}
			}
		})
	}
}

// The codes are those of PutEventsResultEntry, and those that the documentation
// of endpoints and of "InternalFailure" adds.
func TestErrorCodeDecidesWhetherAnEntryIsKept(t *testing.T) {
	codes := []struct {
		code  string
		never bool
	}{
		{"", false},
		{"AccessDeniedException", false},
		{"InvalidAccountIdException", false},
		{"InternalFailure", false},
		{"InternalException", false},
		{"NotAuthorizedForSourceException", false},
		{"NotAuthorizedForDetailTypeException", false},
		{"ThrottlingException", false},
		{"ResourceNotFoundException", false},
		{"SomethingNew", false},
		{"MalformedDetail", true},
		{"InvalidArgument", true},
		{"RedactionFailure", true},
	}
	b := &bus{}
	b.answer = func(w http.ResponseWriter, in []putEntry) {
		offset := (len(b.calls) - 1) * 10
		var answers []string
		for i := range in {
			answers = append(answers, codes[offset+i].code)
		}
		writeResults(w, answers)
	}
	errs := newPublisher(b).Publish(t.Context(), entries(len(codes), 10))
	for i, c := range codes {
		t.Run(c.code, func(t *testing.T) {
			err := errs[i]
			if c.code == "" {
				if err != nil {
					t.Errorf("an accepted entry has the error %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.code) || !strings.Contains(err.Error(), "because") {
				t.Fatalf("error is %v", err)
			}
			if got := errors.Is(err, jobs.ErrUnpublishable); got != c.never {
				t.Errorf("unpublishable: %t, want %t", got, c.never)
			}
		})
	}
}

// refuseCall refuses a whole call.
func refuseCall(status int, code string) func(http.ResponseWriter, []putEntry) {
	return func(w http.ResponseWriter, _ []putEntry) { writeRefusal(w, status, code, "because") }
}

func writeRefusal(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("X-Amzn-Errortype", code)
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"__type":%q,"message":%q}`, code, message)
}

func TestErrorOfACallIsEveryEntrysError(t *testing.T) {
	for _, c := range []struct {
		name      string
		bus       *bus
		attempts  int
		permanent bool // then each entry is tried alone as well
	}{
		{"500", &bus{answer: refuseCall(500, "InternalFailure")}, 3, false},
		{"503", &bus{answer: refuseCall(503, "ServiceUnavailable")}, 3, false},
		{"throttled", &bus{answer: refuseCall(400, "ThrottlingException")}, 3, false},
		{"denied", &bus{answer: refuseCall(400, "AccessDeniedException")}, 1, false},
		{"no such bus", &bus{answer: refuseCall(400, "ResourceNotFoundException")}, 1, false},
		{"old token", &bus{answer: refuseCall(400, "ExpiredTokenException")}, 1, false},
		{"invalid", &bus{answer: refuseCall(400, "ValidationException")}, 1, true},
		{"invalid, as the gateway spells it", &bus{answer: refuseCall(400, "ValidationError")}, 1, true},
		{"too large for the gateway", &bus{answer: refuseCall(413, "RequestEntityTooLargeException")}, 1, true},
		{"invalid bus name", &bus{answer: func(w http.ResponseWriter, _ []putEntry) {
			writeRefusal(w, 400, "ValidationException", "Value 'a b' at 'entries.1.member.eventBusName' failed to satisfy constraint")
		}}, 1, false},
		{"connection lost", &bus{fail: func(int) error { return io.ErrUnexpectedEOF }}, 3, false},
		{"timeout", &bus{fail: func(int) error { return &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded} }}, 3, false},
		{"not JSON", &bus{answer: func(w http.ResponseWriter, _ []putEntry) { _, _ = w.Write([]byte("<html>")) }}, 1, false},
		{"too few results", &bus{answer: func(w http.ResponseWriter, in []putEntry) { writeResults(w, make([]string, len(in)-1)) }}, 1, false},
		{"too many results", &bus{answer: func(w http.ResponseWriter, in []putEntry) { writeResults(w, make([]string, len(in)+1)) }}, 1, false},
		{"no results", &bus{answer: func(w http.ResponseWriter, _ []putEntry) { _, _ = w.Write([]byte("{}")) }}, 1, false},
	} {
		for _, n := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s, %d entries", c.name, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { // the SDK waits between attempts
					b := &bus{answer: c.bus.answer, fail: c.bus.fail}
					errs := newPublisher(b).Publish(t.Context(), entries(n, 10))
					if len(errs) != n {
						t.Errorf("%d results", len(errs))
					}
					for _, err := range errs {
						if err == nil {
							t.Error("an entry counts as accepted")
						}
						if got := errors.Is(err, jobs.ErrUnpublishable); got != c.permanent {
							t.Errorf("unpublishable: %t, want %t", got, c.permanent)
						}
					}
					want := c.attempts
					if c.permanent && n > 1 {
						want += n
					}
					if got := len(b.callSizes()); got != want {
						t.Errorf("%d attempts, want %d", got, want)
					}
				})
			})
		}
	}
}

func TestInvalidEntryDelaysNoOther(t *testing.T) {
	b := &bus{}
	b.answer = func(w http.ResponseWriter, in []putEntry) {
		for _, e := range in {
			if strings.Contains(e.Detail, `"i":3,`) {
				writeRefusal(w, 400, "ValidationException", "Total size of the entries in the request is over the limit.")
				return
			}
		}
		writeResults(w, make([]string, len(in)))
	}
	for i, err := range newPublisher(b).Publish(t.Context(), entries(12, 10)) {
		if got, want := errors.Is(err, jobs.ErrUnpublishable), i == 3; got != want || err != nil && !want {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	if got, want := fmt.Sprint(b.callSizes()), "[10 1 1 1 1 1 1 1 1 1 1 2]"; got != want {
		t.Errorf("calls of %s entries, want %s", got, want)
	}
}

func TestInvalidBusNameKeepsTheEntry(t *testing.T) {
	b := &bus{answer: func(w http.ResponseWriter, _ []putEntry) {
		_, _ = w.Write([]byte(`{"FailedEntryCount":1,"Entries":[{"ErrorCode":"InvalidArgument","ErrorMessage":"EventBusName is not valid"}]}`))
	}}
	if errs := newPublisher(b).Publish(t.Context(), entries(1, 10)); errs[0] == nil || errors.Is(errs[0], jobs.ErrUnpublishable) {
		t.Errorf("error is %v", errs[0])
	}
}

func TestLostResponseIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bus{fail: func(call int) error {
			if call == 1 {
				return io.ErrUnexpectedEOF
			}
			return nil
		}}
		if errs := newPublisher(b).Publish(t.Context(), entries(2, 10)); errors.Join(errs...) != nil {
			t.Error(errs)
		}
		if got := fmt.Sprint(b.callSizes()); got != "[2 2]" {
			t.Errorf("calls of %s entries, want two of 2", got)
		}
	})
}

func TestFailedCallDelaysNoOther(t *testing.T) {
	b := &bus{}
	b.answer = func(w http.ResponseWriter, in []putEntry) {
		if len(b.callSizes()) == 1 {
			http.Error(w, `{"__type":"AccessDeniedException"}`, http.StatusBadRequest)
			return
		}
		writeResults(w, make([]string, len(in)))
	}
	errs := newPublisher(b).Publish(t.Context(), entries(15, 10))
	for i, err := range errs {
		if (err != nil) != (i < 10) {
			t.Errorf("entry %d: %v", i, err)
		}
	}
}

func TestEndOfTheTickKeepsEveryEntry(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range newPublisher(&bus{}).Publish(ctx, entries(12, 10)) {
		if !errors.Is(err, context.Canceled) || errors.Is(err, jobs.ErrUnpublishable) {
			t.Errorf("error is %v", err)
		}
	}
}
