package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/idmapping/notifier/internal/fakecloud/httpfault"
)

// Proxy stands between the functions and moto. It records the AWS operations
// that are called and every email, and injects faults.
type Proxy struct {
	// OnEmail, if set, receives every email sent.
	OnEmail func(Email)
	// OnCall, if set, receives every call that moto responds to.
	OnCall func(operation string, request, response []byte)
	// Functions, by name, are the ones that the proxy invokes itself: moto would
	// run them in Docker.
	Functions map[string]Function

	next     *httputil.ReverseProxy
	mu       sync.Mutex
	faults   []*Fault
	calls    map[string]int
	emails   []Email
	sandbox  bool              // of SES
	mappings map[string]string // states of event source mappings, by UUID

	resources string // XML of more resources of the stack
}

// Function is a Lambda function. The error is the one that the function returned,
// or says why there is no response.
type Function interface {
	Invoke(ctx context.Context, payload []byte) (response []byte, err error)
}

// Fault is how the next calls of an operation fail.
type Fault struct {
	Operation string // empty: every operation; "DynamoDB.UpdateItem", "AWSEvents.PutEvents", "AmazonSQS.SendMessage", "SES.SendEmail", "DescribeStacks"
	Times     int    // 0: until cleared
	Refuse    int    // respond with this status, and Code as the error
	Code      string
	Message   string
	Applied   bool // let the call take effect, and close the connection before the response
	Delay     time.Duration
	// Rewrite changes the response to a call that took effect.
	Rewrite func(body []byte) []byte
	// Match, if set, limits the fault to requests for which it returns true.
	Match func(body []byte) bool

	used int
}

// Email is one email as SES received it.
type Email struct {
	At      time.Time
	From    string
	To      []string
	Subject string
	HTML    string
	Text    string
	Headers map[string]string
}

// NewProxy makes a Proxy in front of the server at target.
func NewProxy(target string) (*Proxy, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	next := httputil.NewSingleHostReverseProxy(u)
	next.ErrorLog = log.New(io.Discard, "", 0) // a killed function's calls break off
	return &Proxy{next: next, calls: make(map[string]int)}, nil
}

// Inject makes calls fail.
func (p *Proxy) Inject(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, &f)
}

// Clear removes every injected fault.
func (p *Proxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
}

// Calls returns how often each operation was called.
func (p *Proxy) Calls() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := make(map[string]int)
	for name, n := range p.calls {
		calls[name] = n
	}
	return calls
}

// Emails returns the emails sent so far, in order.
func (p *Proxy) Emails() []Email {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.emails)
}

// operation names a call by its target header, by the action of a query, or by its
// path where the protocol has neither.
func operation(r *http.Request, body []byte) string {
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		service, name, _ := strings.Cut(target, ".")
		service, _, _ = strings.Cut(service, "_") // DynamoDB_20120810
		return service + "." + name
	}
	if r.URL.Path == "/v2/email/outbound-emails" {
		return "SES.SendEmail"
	}
	if isQuery(r) {
		if query, err := url.ParseQuery(string(body)); err == nil {
			return query.Get("Action")
		}
	}
	return r.Method + " " + r.URL.Path
}

// isQuery reports whether a call has the query protocol, as CloudFormation's and
// SNS's do.
func isQuery(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// refuse answers with the fault's error in the protocol of the request.
func (f *Fault) refuse(w http.ResponseWriter, r *http.Request) {
	if isQuery(r) {
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(f.Refuse)
		body, _ := xml.Marshal(struct {
			XMLName xml.Name `xml:"ErrorResponse"`
			Code    string   `xml:"Error>Code"`
			Message string   `xml:"Error>Message"`
		}{Code: f.Code, Message: f.Message})
		_, _ = w.Write(body)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("X-Amzn-Errortype", f.Code)
	w.WriteHeader(f.Refuse)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": f.Code, "message": f.Message})
}

// ServeHTTP forwards a call, or applies the fault that it meets.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		httpfault.Reset(w)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	name := operation(r, body)
	fault := p.record(name, body)
	if fault != nil && fault.Delay > 0 {
		httpfault.Pause(r.Context(), fault.Delay)
	}
	if fault != nil && fault.Refuse > 0 {
		fault.refuse(w, r)
		return
	}
	kept := &recorder{header: make(http.Header), status: http.StatusOK}
	if function := p.invoked(r); function != nil {
		kept.invoke(r.Context(), function, body)
	} else if r.URL.Path == accountPath {
		kept.account(p.inSandbox())
	} else {
		p.next.ServeHTTP(kept, r)
		p.correct(name, kept, r)
	}
	if name == "SES.SendEmail" && kept.status == http.StatusOK {
		p.email(body)
	}
	if fault != nil && fault.Applied {
		httpfault.Reset(w)
		return
	}
	response := kept.body.Bytes()
	if p.OnCall != nil {
		p.OnCall(name, body, response)
	}
	if fault != nil && fault.Rewrite != nil {
		response = fault.Rewrite(response)
		kept.header.Del("Content-Length")
		kept.header.Del("X-Amz-Crc32")
	}
	for key, values := range kept.header {
		w.Header()[key] = values
	}
	w.WriteHeader(kept.status)
	_, _ = w.Write(response)
}

// invoked returns the function that a call invokes (Lambda API, Invoke), or nil.
func (p *Proxy) invoked(r *http.Request) Function {
	name, ok := strings.CutPrefix(r.URL.Path, "/2015-03-31/functions/")
	if name, found := strings.CutSuffix(name, "/invocations"); ok && found && r.Method == http.MethodPost {
		return p.Functions[name]
	}
	return nil
}

func (p *Proxy) record(name string, body []byte) *Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[name]++
	for _, f := range p.faults {
		if (f.Operation == "" || f.Operation == name) && (f.Times == 0 || f.used < f.Times) && (f.Match == nil || f.Match(body)) {
			f.used++
			return f
		}
	}
	return nil
}

func (p *Proxy) email(body []byte) {
	var in struct {
		FromEmailAddress string
		Destination      struct{ ToAddresses []string }
		Content          struct {
			Simple struct {
				Subject struct{ Data string }
				Body    struct{ Html, Text struct{ Data string } }
				Headers []struct{ Name, Value string }
			}
		}
	}
	if json.Unmarshal(body, &in) != nil {
		return
	}
	simple := in.Content.Simple
	e := Email{At: time.Now(), From: in.FromEmailAddress, To: in.Destination.ToAddresses, Subject: simple.Subject.Data,
		HTML: simple.Body.Html.Data, Text: simple.Body.Text.Data, Headers: make(map[string]string)}
	for _, h := range simple.Headers {
		e.Headers[h.Name] = h.Value
	}
	p.mu.Lock()
	p.emails = append(p.emails, e)
	onEmail := p.OnEmail
	p.mu.Unlock()
	if onEmail != nil {
		onEmail(e)
	}
}

// recorder keeps a response.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) invoke(ctx context.Context, function Function, payload []byte) {
	response, err := function.Invoke(ctx, payload)
	if err != nil {
		r.header.Set("X-Amz-Function-Error", "Unhandled")
		response, _ = json.Marshal(map[string]string{"errorMessage": err.Error()})
	}
	r.body.Write(response)
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
