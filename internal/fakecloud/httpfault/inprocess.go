package httpfault

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"time"
)

// InProcess is a transport that passes requests to a handler in this process.
// There is no socket in between, so that it works in virtual time.
type InProcess struct {
	Handler http.Handler
	Latency time.Duration // of each response
}

// RoundTrip implements http.RoundTripper.
func (p InProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	Pause(r.Context(), p.Latency)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := &response{ResponseRecorder: httptest.NewRecorder()}
	w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	p.Handler.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if w.closed {
		return nil, io.EOF
	}
	return w.Result(), nil
}

// response is a recorder whose connection a handler can close with Reset.
type response struct {
	*httptest.ResponseRecorder
	closed bool
}

// Hijack notes that the handler takes the connection, which is not there.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.closed = true
	return nil, nil, errors.New("the connection is in this process")
}
