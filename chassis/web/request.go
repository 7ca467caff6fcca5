package web

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"

	"flixtube/chassis/process"
	"flixtube/chassis/requestid"
)

// ViewerHeader carries the viewer's id from the gateway inward. The gateway never takes it from outside.
const ViewerHeader = "X-Viewer-Id"

const maxViewer = 64 // characters

// Viewer returns the id of the viewer on whose behalf a request is made, or "" if it names none.
func Viewer(header http.Header) string {
	if id := header.Get(ViewerHeader); requestid.IsToken(id, maxViewer) {
		return id
	}
	return ""
}

// ClientHeader carries the network address by which the gateway counts the client's limits. Like the viewer, the gateway
// alone sets it, and never takes it from outside.
const ClientHeader = "X-Client-Address"

// Client returns the address of the client on whose behalf a request is made, as limits are counted by it
// (process.ClientAddr), or "" if the request names none.
func Client(header http.Header) string {
	address, err := netip.ParseAddr(header.Get(ClientHeader))
	if err != nil {
		return ""
	}
	return process.ClientAddr(address).String()
}

// RequireViewer is Viewer for what is a viewer's own: a request that names none is answered with 401.
func RequireViewer(header http.Header) (string, error) {
	viewer := Viewer(header)
	if viewer == "" {
		return "", Errorf(http.StatusUnauthorized, CodeViewerMissing, "the request names no viewer")
	}
	return viewer, nil
}

// NewBody wraps the body of a request that is copied to another place. When the client is at fault, Read returns the *Error
// to answer with: 413 for http.MaxBytesReader, 408 for a body that does not arrive in time, otherwise 400. Find it with errors.As in the error of the copy; every
// other error is about the other place.
//
// The first error is final, and wraps none of io's: net/http's body returns io.EOF after an error, which would make a
// truncated body look complete.
func NewBody(body io.ReadCloser) io.ReadCloser { return &requestBody{ReadCloser: body} }

type requestBody struct {
	io.ReadCloser
	mu     sync.Mutex // held by a Read
	failed *Error
}

// BodyError returns the error of a body of NewBody, or nil if it has none. It waits for a Read in progress: net/http cancels
// the request's context before a Read that fails returns, so it is for those who see [context.Canceled] and not yet the other.
func BodyError(body io.ReadCloser) *Error {
	b, ok := body.(*requestBody)
	if !ok {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed != nil {
		return 0, b.failed
	}
	n, err := b.ReadCloser.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	b.failed = Errorf(http.StatusBadRequest, CodeBodyIncomplete, "the body ended early").Because(errors.New(err.Error()))
	if errors.Is(err, process.ErrBodyTimeout) {
		b.failed = BodyTimeout()
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		b.failed = Errorf(http.StatusRequestEntityTooLarge, CodeBodyTooLarge, "the body may have at most %d bytes", tooLarge.Limit).
			With("max", tooLarge.Limit)
	}
	return n, b.failed
}

// ReadBody returns the body of a request, of up to limit bytes. Its error is an *Error: 413 for a longer body, 408
// for one that does not arrive in time, 400 for an incomplete one.
func ReadBody(w http.ResponseWriter, req *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(NewBody(http.MaxBytesReader(w, req.Body, limit)))
	if err != nil {
		return nil, err
	}
	return body, nil
}

// BodyTimeout is the answer to a request whose body does not arrive in time (RFC 9110 section 15.5.9).
func BodyTimeout() *Error {
	return Errorf(http.StatusRequestTimeout, CodeBodyTimeout, "the body did not arrive in time")
}

// MaxPage is the most that one page of a list may hold.
const MaxPage = 500

// Page reads skip and limit from a query: by default 0 and fallback. limit is at most MaxPage.
func Page(query url.Values, fallback int64) (skip, limit int64, err error) {
	if skip, err = count(query, "skip", 0); err != nil {
		return 0, 0, err
	}
	if limit, err = count(query, "limit", fallback); err != nil {
		return 0, 0, err
	}
	return skip, min(limit, MaxPage), nil
}

func count(query url.Values, name string, fallback int64) (int64, error) {
	v := query.Get(name)
	if v == "" {
		return fallback, nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n < 0 {
		return 0, Errorf(http.StatusBadRequest, CodeInvalidNumber, "%s must be a whole number of 0 or more", name).With("name", name)
	}
	return n, nil
}
