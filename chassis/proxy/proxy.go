// Package proxy passes requests on to another service, bodies streaming both ways.
package proxy

import (
	"context"
	"errors"
	"io"
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

// copyBuffers are 256 KiB: measured against the default of 32 KiB they save a third of the CPU that
// passing a video on costs. A stream holds one until its end, read or not: when as many are out as out has room for,
// ReverseProxy makes one of its default size.
type copyBuffers struct {
	out  chan struct{}
	pool sync.Pool
}

func (b *copyBuffers) Get() []byte {
	select {
	case b.out <- struct{}{}:
		return *b.pool.Get().(*[]byte)
	default:
		return nil
	}
}

func (b *copyBuffers) Put(p []byte) {
	if p != nil {
		b.pool.Put(&p)
		<-b.out
	}
}

var buffers = &copyBuffers{make(chan struct{}, 128), sync.Pool{New: func() any { p := make([]byte, 256<<10); return &p }}}

// New returns a handler that passes requests on to the path of target, bodies streaming both ways; the caller's query replaces
// target's. rewrite may change the outgoing request, and watch, which may be nil, sees the answer before it
// is passed on. A target that cannot be reached gives 502, a caller whose body breaks off 400.
func New(target *url.URL, transport http.RoundTripper, log *slog.Logger,
	rewrite func(*httputil.ProxyRequest), watch func(*http.Response) error,
) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport:  lastAnswers{transport},
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
				r.Out.Body = clientBody{r.Out.Body}
			}
			if rewrite != nil {
				rewrite(r)
			}
		},
		ModifyResponse: watch,
		ErrorHandler: func(w http.ResponseWriter, req *http.Request, err error) {
			var client clientError
			switch {
			case errors.As(err, &client):
				web.Errorf(http.StatusBadRequest, web.CodeBodyIncomplete, "the body ended early").Write(w, req)
			case errors.Is(err, context.Canceled): // the caller is gone; nobody reads an answer
			default:
				log.ErrorContext(req.Context(), "no answer to a proxied request", "target", target.Host, "error", err)
				web.Errorf(http.StatusBadGateway, web.CodeNoAnswer, "no answer came, try again in a moment").Write(w, req)
			}
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// lastAnswers keeps informational answers (100, 103) to itself. ReverseProxy would pass them on, but Echo's response takes
// the first answer for the last, and what was set on it before is lost. The caller is told to continue all the same, by
// the server that it speaks to, when the body is first read.
type lastAnswers struct{ http.RoundTripper }

func (t lastAnswers) RoundTrip(req *http.Request) (*http.Response, error) {
	httptrace.ContextClientTrace(req.Context()).Got1xxResponse = nil // this is ReverseProxy's own, made for this request
	return t.RoundTripper.RoundTrip(req)
}

// clientBody marks what goes wrong at the caller's end.
type clientBody struct{ io.ReadCloser }

type clientError struct{ error }

func (f clientError) Unwrap() error { return f.error }

func (b clientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = clientError{err}
	}
	return n, err
}
