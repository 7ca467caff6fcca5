package proxy

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strings"
)

// NewStream is New for large answers. A plain GET by HTTP/1 whose answer has a known length goes over a connection of its own
// pool, from which the system moves the bytes to the client's connection (splice) without a copy in this process. That needs
// the ResponseWriter of net/http (see web.Raw). Everything else is forwarded as New does it. rewrite sets the query. An
// answer for watch has no trailers, and watch must not replace its body.
func NewStream(target *url.URL, transport *http.Transport, log *slog.Logger,
	rewrite func(*httputil.ProxyRequest), watch func(*http.Response) error,
) http.Handler {
	plain := New(target, transport, log, rewrite, watch)
	if target.Scheme != "http" {
		return plain
	}
	return &stream{plain, newPool(target, transport.ResponseHeaderTimeout)}
}

type stream struct {
	plain *httputil.ReverseProxy
	pool  *pool
}

func (s *stream) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet || req.ProtoMajor != 1 || req.Body != nil && req.Body != http.NoBody || req.Header.Get("Upgrade") != "" {
		s.plain.ServeHTTP(w, req)
		return
	}
	u, res, err := s.pool.get(s.outgoing(req)) //nolint:bodyclose // u has the body
	if err != nil {
		s.plain.ErrorHandler(w, req, err)
		return
	}
	if res.ContentLength < 0 {
		u.release()
		s.plain.ServeHTTP(w, req) // asks again
		return
	}
	defer u.release()
	removeHopByHop(res.Header)
	if s.plain.ModifyResponse != nil {
		if err := s.plain.ModifyResponse(res); err != nil {
			s.plain.ErrorHandler(w, req, err)
			return
		}
	}
	header := w.Header()
	for name, values := range res.Header {
		header[name] = append(header[name], values...)
	}
	w.WriteHeader(res.StatusCode)
	if err := u.send(w, res.ContentLength); err != nil && req.Context().Value(http.ServerContextKey) != nil {
		panic(http.ErrAbortHandler) // ends the client's connection, as ReverseProxy does
	}
}

// outgoing is the request to the target, made as ReverseProxy makes it.
func (s *stream) outgoing(req *http.Request) *http.Request {
	out := req.Clone(req.Context())
	out.RequestURI, out.Close = "", false
	removeHopByHop(out.Header)
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		out.Header.Del(name)
	}
	s.plain.Rewrite(&httputil.ProxyRequest{In: req, Out: out})
	return out
}

// removeHopByHop removes the fields that are for one connection alone (RFC 9110, section 7.6.1).
func removeHopByHop(header http.Header) {
	for _, list := range header["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			header.Del(textproto.TrimString(name))
		}
	}
	for _, name := range hopByHop {
		delete(header, name)
	}
}

var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade",
}

// spliced bounds the streams that are spliced at a time: each holds a pipe for as long as it flows, two descriptors and up
// to a megabyte of the system's memory, of which Linux allows a user 64 such pipes (pipe(7), pipe-user-pages-soft). The
// others are copied.
var spliced = make(chan struct{}, 32)

// spliceFrom is the length, in bytes, from which a splice costs less than a copy.
const spliceFrom = bufferSize

// send writes the n bytes of the answer's body to a client.
func (u *upstream) send(w http.ResponseWriter, n int64) error {
	if n < spliceFrom {
		if buffer := buffers.Get(); buffer != nil {
			defer buffers.Put(buffer)
			return u.sendWhole(w, buffer[:n])
		}
	}
	first, _ := u.read.Peek(int(min(n, int64(u.read.Buffered())))) // never more than are there
	if _, err := w.Write(first); err != nil {                      //nolint:gosec // it is a video
		return err
	}
	_, _ = u.read.Discard(len(first))
	rest := &io.LimitedReader{R: u.conn, N: n - int64(len(first))}
	if rest.N > 0 {
		if err := u.sendRest(w, rest); err != nil {
			return err
		}
	}
	if rest.N > 0 {
		return io.ErrUnexpectedEOF
	}
	u.complete = true
	return nil
}

// sendWhole reads all of a small answer before it writes any of it: each piece would cost a write, and wake the client for it.
func (u *upstream) sendWhole(w http.ResponseWriter, body []byte) error {
	if _, err := io.ReadFull(u.read, body); err != nil {
		return err
	}
	u.complete = true
	_, err := w.Write(body)
	return err
}

func (u *upstream) sendRest(w http.ResponseWriter, rest *io.LimitedReader) error {
	if to, ok := w.(io.ReaderFrom); ok && rest.N >= spliceFrom {
		select {
		case spliced <- struct{}{}:
			defer func() { <-spliced }()
			_, err := to.ReadFrom(rest)
			return err
		default:
		}
	}
	buffer := buffers.Get()
	defer buffers.Put(buffer)
	if buffer == nil {
		buffer = make([]byte, 32<<10)
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{rest}, buffer)
	return err
}
