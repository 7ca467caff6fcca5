// Package httpclient is how one service calls another over HTTP.
package httpclient

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"flixtube/chassis/requestid"
)

// NewTransport returns a transport for calls between services: many connections kept per host, bodies as
// they are on the wire.
func NewTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = nil
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 128
	t.DisableCompression = true
	t.DialContext = NewDialer().DialContext
	return t
}

// New returns a client that sends the id of the request, which a context may have, along.
func New(transport http.RoundTripper) *http.Client {
	return &http.Client{Transport: requestid.NewTransport(transport)}
}

const (
	maxJSON  = 16 << 20 // bytes that GetJSON reads of an answer
	maxError = 64 << 10 // bytes that are read of an error
)

// StatusError is the answer of another service that did not do what it was asked. Code, Message and Args are those of its
// JSON error, or empty. A handler that returns a StatusError answers 500; one that wants to pass the answer on makes a
// web.Error from it.
type StatusError struct {
	Status  int
	Code    string
	Message string
	Args    map[string]any
	host    string
}

func (e *StatusError) Error() string {
	answer := fmt.Sprintf("%s answered %d %s", e.host, e.Status, http.StatusText(e.Status))
	if e.Code != "" {
		answer += " (" + e.Code + ")"
	}
	return answer
}

// GetJSON sends req and decodes the answer into v. A status other than 2xx is a *StatusError.
func GetJSON(client *http.Client, req *http.Request, v any) error {
	return send(client, req, func(body io.Reader) error {
		if err := json.NewDecoder(io.LimitReader(body, maxJSON)).Decode(v); err != nil {
			return fmt.Errorf("decode the answer of %s: %w", req.URL.Host, err)
		}
		return nil
	})
}

// Send sends req and ignores the body of the answer. A status other than 2xx is a *StatusError.
func Send(client *http.Client, req *http.Request) error {
	return send(client, req, func(io.Reader) error { return nil })
}

func send(client *http.Client, req *http.Request, read func(io.Reader) error) error {
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() {
		_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // to its end, usually, so that the connection can be kept
		res.Body.Close()
	}()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return NewStatusError(res)
	}
	return read(res.Body)
}

// NewStatusError returns the error of a response. It reads the body, which the caller closes.
func NewStatusError(res *http.Response) *StatusError {
	var answer struct {
		Error string         `json:"error"`
		Code  string         `json:"code"`
		Args  map[string]any `json:"args"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxError)).Decode(&answer); err != nil {
		answer.Error, answer.Code, answer.Args = "", "", nil // not an error of ours: a proxy in between, for example
	}
	return &StatusError{res.StatusCode, answer.Code, answer.Error, answer.Args, res.Request.URL.Host}
}
