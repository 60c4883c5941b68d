package httpfault

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestSetGivesEachRequestItsEarliestMatchingFault(t *testing.T) {
	var s Set
	s.Inject(Fault{Operation: "Get", Workflow: "crm", Times: 1, Status: 403})
	s.Inject(Fault{Operation: "Get", Status: 500})
	for i, c := range []struct {
		operation, workflow string
		status              int // 0: no fault
	}{{"List", "crm", 0}, {"Get", "web", 500}, {"Get", "crm", 403}, {"Get", "crm", 500}} {
		fault, ok := s.Take(c.operation, c.workflow)
		if ok != (c.status != 0) || fault.Status != c.status {
			t.Errorf("request %d meets %+v, %v, want status %d", i, fault, ok, c.status)
		}
	}
	s.Clear()
	if _, ok := s.Take("Get", "crm"); ok {
		t.Error("a fault is left after Clear")
	}
}

func TestFaultRespondsWithItsExceptionOrBody(t *testing.T) {
	w := httptest.NewRecorder()
	Fault{Status: 400, Code: "ThrottlingException"}.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != 400 || w.Header().Get("X-Amzn-Errortype") != "ThrottlingException" {
		t.Errorf("exception: %d %v", w.Code, w.Header())
	}
	w = httptest.NewRecorder()
	Fault{Status: 429, Body: "later", Header: http.Header{"Retry-After": {"7"}}}.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != 429 || w.Body.String() != "later" || w.Header().Get("Retry-After") != "7" {
		t.Errorf("body: %d %q %v", w.Code, w.Body, w.Header())
	}
}
