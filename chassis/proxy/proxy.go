// Package proxy forwards requests to another service. Bodies stream in both directions.
package proxy

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"

	"flixtube/chassis/requestid"
	"flixtube/chassis/web"
)

// copyBuffers are 128 KiB each, with which a video takes a quarter of the reads and writes of the default, 32 KiB. A stream
// holds its buffer until it ends, even while its client reads nothing; so at most cap(inUse) streams have one, and for the
// rest ReverseProxy allocates its default.
type copyBuffers struct {
	inUse chan struct{}
	pool  sync.Pool
}

func (b *copyBuffers) Get() []byte {
	select {
	case b.inUse <- struct{}{}:
		return *b.pool.Get().(*[]byte)
	default:
		return nil
	}
}

func (b *copyBuffers) Put(p []byte) {
	if p != nil {
		b.pool.Put(&p)
		<-b.inUse
	}
}

const bufferSize = 128 << 10

var buffers = &copyBuffers{make(chan struct{}, 128), sync.Pool{New: func() any { p := make([]byte, bufferSize); return &p }}}

// New returns a handler that forwards requests to the path of target. The client's query replaces that of target. rewrite
// may change the outgoing request; watch sees the response before the client does. Both may be nil. The handler answers
// 502 when target cannot be reached or watch returns an error, 400 when the client's body is incomplete, and 408 when it stalls.
func New(target *url.URL, transport http.RoundTripper, log *slog.Logger,
	rewrite func(*httputil.ProxyRequest), watch func(*http.Response) error,
) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport:  finalResponses{transport},
		BufferPool: buffers,
		Rewrite: func(r *httputil.ProxyRequest) {
			out := r.Out.URL
			out.Scheme, out.Host, out.Path, out.RawPath = target.Scheme, target.Host, target.Path, target.RawPath
			if !strings.HasPrefix(out.Path, "/") { // as url.JoinPath leaves it on a host alone
				out.Path, out.RawPath = "/"+out.Path, ""
			}
			r.Out.Host = ""
			if id := requestid.FromContext(r.In.Context()); id != "" {
				r.Out.Header.Set(requestid.Header, id)
			}
			if r.Out.Body != nil {
				r.Out.Body = web.NewBody(r.Out.Body)
			}
			if rewrite != nil {
				rewrite(r)
			}
		},
		ModifyResponse: watch,
		ErrorHandler: func(w http.ResponseWriter, req *http.Request, err error) {
			answer := web.NoAnswer()
			switch {
			case errors.Is(err, context.Canceled): // the client is gone, or has stopped sending
				answer = cmp.Or(web.BodyError(req.Body), answer)
			case !errors.As(err, &answer):
				log.ErrorContext(req.Context(), "proxied request failed", "target", target.Host, "error", err)
			}
			answer.Write(w, req)
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// finalResponses hides informational responses (100, 103). ReverseProxy would forward them, but Echo's response takes the
// first status for the final one and drops headers that are set after it. The client still gets its 100 Continue: its own
// server sends that when the body is first read.
type finalResponses struct{ http.RoundTripper }

func (t finalResponses) RoundTrip(req *http.Request) (*http.Response, error) {
	httptrace.ContextClientTrace(req.Context()).Got1xxResponse = nil // this trace is ReverseProxy's own, made for this request
	return t.RoundTripper.RoundTrip(req)
}
