// Package httpfault makes the requests to a fake HTTP service fail on purpose.
package httpfault

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Fault is how the requests that it matches fail.
type Fault struct {
	Operation string // empty: every operation
	Workflow  string // empty: every workflow
	Times     int    // 0: until cleared
	Status    int    // of the response
	Code      string // the exception's name, such as "ThrottlingException"
	Body      string // instead of an exception: this body with Status
	Header    http.Header
	Delay     time.Duration
	Drip      time.Duration // between two bytes of Body
	Reset     bool          // close the connection instead of responding
}

// Set is the faults that are injected into a service. The zero value has none.
type Set struct {
	mu     sync.Mutex
	faults []*counted
}

type counted struct {
	Fault
	used int
}

// Inject adds a fault. Requests meet the earliest fault that matches.
func (s *Set) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &counted{Fault: f})
}

// Clear removes every fault.
func (s *Set) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Take returns the fault that a request meets, and counts it.
func (s *Set) Take(operation, workflow string) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.faults, func(f *counted) bool {
		return (f.Operation == "" || f.Operation == operation) && (f.Workflow == "" || f.Workflow == workflow) &&
			(f.Times == 0 || f.used < f.Times)
	})
	if at < 0 {
		return Fault{}, false
	}
	s.faults[at].used++
	return s.faults[at].Fault, true
}

// ServeHTTP responds with the fault.
func (f Fault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, values := range f.Header {
		w.Header()[name] = values
	}
	Pause(r.Context(), f.Delay)
	switch {
	case f.Reset:
		Reset(w)
	case f.Code != "":
		Exception(w, f.Status, f.Code, "injected")
	default:
		w.WriteHeader(f.Status)
		for n := 0; f.Drip > 0 && n < len(f.Body) && r.Context().Err() == nil; n++ {
			_, _ = w.Write([]byte{f.Body[n]})
			w.(http.Flusher).Flush()
			Pause(r.Context(), f.Drip)
		}
		if f.Drip == 0 {
			_, _ = w.Write([]byte(f.Body))
		}
	}
}

// Exception responds with an error of the restJson1 protocol.
func Exception(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("X-Amzn-Errortype", code)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}

// Reset closes the connection without a response.
func Reset(w http.ResponseWriter) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// Pause waits for d or until the context is done.
func Pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
