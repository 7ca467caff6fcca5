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
	return t
}

// New returns a client that sends the id of the request, which a context may have, along.
func New(transport http.RoundTripper) *http.Client {
	return &http.Client{Transport: requestid.NewTransport(transport)}
}

// maxJSON bounds what GetJSON reads from another service, in bytes.
const maxJSON = 16 << 20

// StatusError is a response of another service whose status is not the one that was needed. A handler that returns it
// answers 500: the status is no concern of its own client.
type StatusError struct {
	Status int
	host   string
}

// NewStatusError returns the error of a response that a client got.
func NewStatusError(res *http.Response) *StatusError {
	return &StatusError{res.StatusCode, res.Request.URL.Host}
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s answered %d %s", e.host, e.Status, http.StatusText(e.Status))
}

// GetJSON sends req and decodes the answer into v. An answer other than 200 is a *StatusError.
func GetJSON(client *http.Client, req *http.Request, v any) error {
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() {
		_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // to its end, usually, so that the connection can be kept
		res.Body.Close()
	}()
	if res.StatusCode != http.StatusOK {
		return NewStatusError(res)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxJSON)).Decode(v); err != nil {
		return fmt.Errorf("decode the answer of %s: %w", req.URL.Host, err)
	}
	return nil
}
