// Package requestid follows a request through the services: its id travels in the header X-Request-Id, in the context of
// whatever works on the request, and in every line that is logged with that context.
package requestid

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
)

// Header carries the id between services. The gateway makes a new id and ignores one from outside.
const Header = "X-Request-Id"

type key struct{}

const maxLength = 64

// New returns an id that nobody else has.
func New() string { return rand.Text() }

// From returns the id in header, or a new one if there is none or it is not 1 to 64 letters, digits, '-' and '_'.
func From(header http.Header) string {
	if id := header.Get(Header); IsToken(id, maxLength) {
		return id
	}
	return New()
}

// IsToken reports whether s is 1 to most letters, digits, '-' and '_', as ids of requests, viewers and videos are. Each request
// has several: a regular expression takes a microsecond for each.
func IsToken(s string, most int) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= most
}

// NewContext returns ctx with the id of the request that is worked on.
func NewContext(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, key{}, id)
}

// FromContext returns the id of the request that ctx belongs to, or "".
func FromContext(ctx context.Context) string {
	id, _ := ctx.Value(key{}).(string)
	return id
}

// NewHandler adds the id of the request to the lines that are logged with its context.
func NewHandler(next slog.Handler) slog.Handler { return handler{next} }

type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	if id := FromContext(ctx); id != "" {
		r.AddAttrs(slog.String("request", id))
	}
	return h.Handler.Handle(ctx, r)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}

func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }

// NewTransport sends the id of the request that a context belongs to along with each request made with that context.
func NewTransport(next http.RoundTripper) http.RoundTripper { return transport{next} }

type transport struct{ next http.RoundTripper }

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	id := FromContext(req.Context())
	if id == "" || req.Header.Get(Header) == id {
		return t.next.RoundTrip(req)
	}
	req = req.Clone(req.Context()) // a RoundTripper must not change the request that it is given
	req.Header.Set(Header, id)
	return t.next.RoundTrip(req)
}
