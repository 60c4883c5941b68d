package eventbridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/idmapping/notifier/internal/event"
	"github.com/idmapping/notifier/internal/eventbridge"
	"github.com/idmapping/notifier/internal/fakecloud/account"
	fakeentityresolution "github.com/idmapping/notifier/internal/fakecloud/entityresolution"
	"github.com/idmapping/notifier/internal/jobs"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// put is one entry as PutEvents is asked to take it.
type put struct {
	EventBusName, Source, DetailType, Detail string
	Resources                                []string
	Time                                     float64 // epoch seconds
}

// bus stands for PutEvents. It keeps every call, and lets answer, if set, write
// the answer.
type bus struct {
	answer func(w http.ResponseWriter, entries []put)

	mu    sync.Mutex
	calls [][]put
}

func (b *bus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct{ Entries []put }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("X-Amz-Target") != "AWSEvents.PutEvents" {
		http.Error(w, "not PutEvents", http.StatusNotImplemented)
		return
	}
	b.mu.Lock()
	b.calls = append(b.calls, in.Entries)
	b.mu.Unlock()
	if b.answer != nil {
		b.answer(w, in.Entries)
		return
	}
	results(w, make([]string, len(in.Entries)))
}

// results answers with an error code, or success where it is empty, for each
// entry.
func results(w http.ResponseWriter, codes []string) {
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

func (b *bus) sizes() []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []int
	for _, entries := range b.calls {
		all = append(all, len(entries))
	}
	return all
}

func publisher(t *testing.T, b *bus) *eventbridge.Publisher {
	t.Helper()
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	return eventbridge.New(aws.Config{
		Region:       account.Region,
		BaseEndpoint: &server.URL,
		Credentials:  credentials.NewStaticCredentialsProvider("test", "test", ""),
		HTTPClient:   &http.Client{Timeout: 600 * time.Millisecond},
	}, "the-bus")
}

// entries makes n entries whose details have about so many bytes.
func entries(n, bytes int) []jobs.Entry {
	var all []jobs.Entry
	for i := range n {
		all = append(all, jobs.Entry{ID: fmt.Sprint(i), DetailType: event.StateChange, Time: noon,
			Resource: fakeentityresolution.WorkflowARN("crm"), Detail: fmt.Sprintf(`{"i":%d,"pad":%q}`, i, strings.Repeat("x", bytes))})
	}
	return all
}

func TestAnEntryIsPutAsTheContractSays(t *testing.T) {
	b := &bus{}
	in := jobs.Entry{DetailType: event.Vanished, Time: noon, Resource: fakeentityresolution.WorkflowARN("crm"), Detail: `{"version":"1"}`}
	if errs := publisher(t, b).Publish(t.Context(), []jobs.Entry{in}); len(errs) != 1 || errs[0] != nil {
		t.Fatal(errs)
	}
	want := put{EventBusName: "the-bus", Source: "idmapping.notifier", DetailType: "ID Mapping Job Vanished",
		Detail: `{"version":"1"}`, Resources: []string{fakeentityresolution.WorkflowARN("crm")}, Time: float64(noon.Unix())}
	if got := b.calls[0][0]; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("put\n%+v, want\n%+v", got, want)
	}
}

func TestEntriesGoInCallsOfTenAndOf256KB(t *testing.T) {
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
			errs := publisher(t, b).Publish(t.Context(), c.in)
			if got := fmt.Sprint(b.sizes()); got != fmt.Sprint(c.want) {
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
					if e.Detail != c.in[sent].Detail {
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

// The codes are those of PutEventsResultEntry, and what the documentation of
// endpoints and of "InternalFailure" adds.
func TestEachEntryIsKeptOrGivenUpByItsOwnErrorCode(t *testing.T) {
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
	b.answer = func(w http.ResponseWriter, in []put) {
		offset := (len(b.calls) - 1) * 10
		var answers []string
		for i := range in {
			answers = append(answers, codes[offset+i].code)
		}
		results(w, answers)
	}
	errs := publisher(t, b).Publish(t.Context(), entries(len(codes), 10))
	for i, c := range codes {
		t.Run(c.code, func(t *testing.T) {
			err := errs[i]
			if c.code == "" {
				if err != nil {
					t.Errorf("an entry that was taken has the error %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.code) || !strings.Contains(err.Error(), "because") {
				t.Fatalf("error is %v", err)
			}
			if got := errors.Is(err, jobs.ErrUnpublishable); got != c.never {
				t.Errorf("given up: %t, want %t", got, c.never)
			}
		})
	}
}

// refuse refuses a whole call.
func refuse(status int, code string) func(http.ResponseWriter, []put) {
	return func(w http.ResponseWriter, _ []put) { refused(w, status, code, "because") }
}

func refused(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("X-Amzn-Errortype", code)
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"__type":%q,"message":%q}`, code, message)
}

func TestErrorsOfAWholeCallAreEveryEntrys(t *testing.T) {
	var running sync.WaitGroup
	defer running.Wait()
	for _, c := range []struct {
		name     string
		answer   func(http.ResponseWriter, []put)
		attempts int
		never    bool // then each entry is tried alone as well
	}{
		{"500", refuse(500, "InternalFailure"), 3, false},
		{"503", refuse(503, "ServiceUnavailable"), 3, false},
		{"throttled", refuse(400, "ThrottlingException"), 3, false},
		{"denied", refuse(400, "AccessDeniedException"), 1, false},
		{"no such bus", refuse(400, "ResourceNotFoundException"), 1, false},
		{"old token", refuse(400, "ExpiredTokenException"), 1, false},
		{"invalid", refuse(400, "ValidationException"), 1, true},
		{"invalid, as the gateway spells it", refuse(400, "ValidationError"), 1, true},
		{"too large for the gateway", refuse(413, "RequestEntityTooLargeException"), 1, true},
		{"a bus with a wrong name", func(w http.ResponseWriter, _ []put) {
			refused(w, 400, "ValidationException", "Value 'a b' at 'entries.1.member.eventBusName' failed to satisfy constraint")
		}, 1, false},
		{"the answer lost", func(w http.ResponseWriter, _ []put) {
			if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
				_ = conn.Close()
			}
		}, 3, false},
		{"no answer in time", func(http.ResponseWriter, []put) { time.Sleep(time.Second) }, 3, false},
		{"not JSON", func(w http.ResponseWriter, _ []put) { _, _ = w.Write([]byte("<html>")) }, 1, false},
		{"too few results", func(w http.ResponseWriter, in []put) { results(w, make([]string, len(in)-1)) }, 1, false},
		{"too many results", func(w http.ResponseWriter, in []put) { results(w, make([]string, len(in)+1)) }, 1, false},
		{"no results", func(w http.ResponseWriter, _ []put) { _, _ = w.Write([]byte("{}")) }, 1, false},
	} {
		for _, n := range []int{1, 3} {
			b := &bus{answer: c.answer}
			p := publisher(t, b)
			running.Go(func() {
				errs := p.Publish(t.Context(), entries(n, 10))
				if len(errs) != n {
					t.Errorf("%s: %d answers for %d entries", c.name, len(errs), n)
				}
				for _, err := range errs {
					if err == nil {
						t.Errorf("%s: an entry of %d counts as taken", c.name, n)
					}
					if got := errors.Is(err, jobs.ErrUnpublishable); got != c.never {
						t.Errorf("%s: an entry of %d is given up: %t, want %t", c.name, n, got, c.never)
					}
				}
				want := c.attempts
				if c.never && n > 1 {
					want += n
				}
				if got := len(b.sizes()); got != want {
					t.Errorf("%s: %d attempts for %d entries, want %d", c.name, got, n, want)
				}
			})
		}
	}
}

func TestAnEntryThatIsRefusedWithItsCallHoldsNoOtherBack(t *testing.T) {
	b := &bus{}
	b.answer = func(w http.ResponseWriter, in []put) {
		for _, e := range in {
			if strings.HasPrefix(e.Detail, `{"i":3,`) {
				refused(w, 400, "ValidationException", "Total size of the entries in the request is over the limit.")
				return
			}
		}
		results(w, make([]string, len(in)))
	}
	for i, err := range publisher(t, b).Publish(t.Context(), entries(12, 10)) {
		if got, want := errors.Is(err, jobs.ErrUnpublishable), i == 3; got != want || err != nil && !want {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	if got, want := fmt.Sprint(b.sizes()), "[10 1 1 1 1 1 1 1 1 1 1 2]"; got != want {
		t.Errorf("calls of %s entries, want %s", got, want)
	}
}

func TestAnEntryIsNotGivenUpForTheNameOfTheBus(t *testing.T) {
	b := &bus{answer: func(w http.ResponseWriter, _ []put) {
		_, _ = w.Write([]byte(`{"FailedEntryCount":1,"Entries":[{"ErrorCode":"InvalidArgument","ErrorMessage":"EventBusName is not valid"}]}`))
	}}
	if errs := publisher(t, b).Publish(t.Context(), entries(1, 10)); errs[0] == nil || errors.Is(errs[0], jobs.ErrUnpublishable) {
		t.Errorf("error is %v", errs[0])
	}
}

func TestALostAnswerIsAskedForAgain(t *testing.T) {
	b := &bus{}
	b.answer = func(w http.ResponseWriter, in []put) {
		if len(b.sizes()) == 1 {
			if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
				_ = conn.Close()
			}
			return
		}
		results(w, make([]string, len(in)))
	}
	if errs := publisher(t, b).Publish(t.Context(), entries(2, 10)); errors.Join(errs...) != nil {
		t.Error(errs)
	}
	if got := b.sizes(); len(got) != 2 {
		t.Errorf("%d calls, want 2", len(got))
	}
}

func TestACallThatFailsDelaysNoOther(t *testing.T) {
	b := &bus{}
	b.answer = func(w http.ResponseWriter, in []put) {
		if len(b.sizes()) == 1 {
			http.Error(w, `{"__type":"AccessDeniedException"}`, http.StatusBadRequest)
			return
		}
		results(w, make([]string, len(in)))
	}
	errs := publisher(t, b).Publish(t.Context(), entries(15, 10))
	for i, err := range errs {
		if (err != nil) != (i < 10) {
			t.Errorf("entry %d: %v", i, err)
		}
	}
}

func TestTheEndOfTheTickKeepsEveryEntry(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := &bus{}
	for _, err := range publisher(t, b).Publish(ctx, entries(12, 10)) {
		if !errors.Is(err, context.Canceled) || errors.Is(err, jobs.ErrUnpublishable) {
			t.Errorf("error is %v", err)
		}
	}
}
