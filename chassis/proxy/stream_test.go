package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/httpclient"
	"flixtube/chassis/proxy"
)

// target is an upstream that answers as a test says. It counts its connections.
type target struct {
	url         *url.URL
	connections atomic.Int64
}

// newTarget calls answer for each request, the first of a connection as number 1; the connection closes when answer returns false.
func newTarget(tb testing.TB, answer func(conn net.Conn, req *http.Request, number int) bool) *target {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	t := &target{url: &url.URL{Scheme: "http", Host: l.Addr().String(), Path: "/video"}}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.connections.Add(1)
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				for number := 1; ; number++ {
					req, err := http.ReadRequest(r)
					if err != nil || !answer(conn, req, number) {
						return
					}
				}
			}()
		}
	}()
	return t
}

// front is a server with the stream to a target.
func front(tb testing.TB, target *url.URL, headerTimeout time.Duration) *httptest.Server {
	tb.Helper()
	transport := httpclient.NewTransport()
	transport.ResponseHeaderTimeout = headerTimeout
	s := httptest.NewServer(proxy.NewStream(target, transport, slog.New(slog.DiscardHandler), nil, nil))
	tb.Cleanup(func() {
		s.Close()
		transport.CloseIdleConnections()
	})
	return s
}

type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

func get(tb testing.TB, address string, headers ...string) answer {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, address, nil)
	if err != nil {
		tb.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(body), err}
}

func send(conn net.Conn, text string) bool {
	_, err := io.WriteString(conn, text)
	return err == nil
}

const short = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nshort"

// TestStreamHeaders: headers of one connection do not pass, in either direction, and the connection is used again.
func TestStreamHeaders(t *testing.T) {
	seen := make(chan http.Header, 2)
	large := strings.Repeat("0123456789", 100_000)
	up := newTarget(t, func(conn net.Conn, req *http.Request, _ int) bool {
		seen <- req.Header
		return send(conn, fmt.Sprintf("HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\nETag: \"1\"\r\nConnection: keep-alive, X-Secret\r\n"+
			"X-Secret: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\n\r\n%s", len(large), large))
	})
	s := front(t, up.url, 0)
	for range 2 {
		a := get(t, s.URL, "Range", "bytes=0-1", "Connection", "X-Mine", "X-Mine", "1", "X-Forwarded-For", "192.0.2.1", "Te", "trailers")
		if a.err != nil || a.status != 206 || a.body != large || a.header.Get("ETag") != `"1"` {
			t.Fatalf("%d %v with %d bytes, %v", a.status, a.header, len(a.body), a.err)
		}
		for _, name := range []string{"X-Secret", "Keep-Alive", "Proxy-Authenticate", "Connection"} {
			if a.header.Get(name) != "" {
				t.Errorf("the client gets %s", name)
			}
		}
		got := <-seen
		for _, name := range []string{"X-Mine", "Connection", "X-Forwarded-For", "Te"} {
			if got.Get(name) != "" {
				t.Errorf("the target gets %s", name)
			}
		}
		if got.Get("Range") != "bytes=0-1" {
			t.Errorf("the target gets %v", got)
		}
	}
	if n := up.connections.Load(); n != 1 {
		t.Errorf("%d connections for two requests", n)
	}
}

// TestStreamAnswers: answers other than one of known length.
func TestStreamAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		sent   string
		status int
		body   string
		breaks bool // while the client reads the body
	}{
		"chunked":             {sent: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\n\r\n", status: 200, body: "short"},
		"until the end":       {sent: "HTTP/1.0 200 OK\r\n\r\nshort", status: 200, body: "short"},
		"no content":          {sent: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", status: 304},
		"empty":               {sent: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", status: 200},
		"after interim ones":  {sent: "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + short, status: 200, body: "short"},
		"interim ones alone":  {sent: strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100) + short, status: 502},
		"another protocol":    {sent: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", status: 502},
		"nothing":             {sent: "", status: 502},
		"no HTTP":             {sent: "SSH-2.0-OpenSSH\r\n", status: 502},
		"a huge header":       {sent: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20), status: 502},
		"two lengths":         {sent: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nshorts", status: 502},
		"a truncated body":    {sent: "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nshort", status: 200, breaks: true},
		"a truncated chunked": {sent: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", status: 200, breaks: true},
	} {
		t.Run(name, func(t *testing.T) {
			up := newTarget(t, func(conn net.Conn, _ *http.Request, _ int) bool { send(conn, c.sent); return false })
			a := get(t, front(t, up.url, 0).URL)
			if (a.err != nil) != c.breaks || a.err == nil && a.status != c.status || c.body != "" && a.body != c.body {
				t.Errorf("%d %q, %v", a.status, a.body, a.err)
			}
		})
	}
}

// TestStreamStale: a connection that the target closed while it was idle, or as the request came, costs no answer. On a new
// one the request is sent once.
func TestStreamStale(t *testing.T) {
	var requests atomic.Int64
	up := newTarget(t, func(conn net.Conn, _ *http.Request, number int) bool {
		requests.Add(1)
		return number == 1 && send(conn, short)
	})
	s := front(t, up.url, 0)
	for range 3 {
		if a := get(t, s.URL); a.status != 200 || a.body != "short" {
			t.Fatalf("%d %q, %v", a.status, a.body, a.err)
		}
	}
	if n := up.connections.Load(); n != 3 || requests.Load() != 5 {
		t.Errorf("%d requests on %d connections", requests.Load(), n)
	}
}

// TestStreamSurplus: bytes after an answer do not become the next one, whether they come with it or later.
func TestStreamSurplus(t *testing.T) {
	for _, delay := range []time.Duration{0, 50 * time.Millisecond} {
		more := make(chan struct{})
		up := newTarget(t, func(conn net.Conn, _ *http.Request, _ int) bool {
			send(conn, short)
			time.AfterFunc(delay, func() {
				send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
				more <- struct{}{}
			})
			return true
		})
		s := front(t, up.url, 0)
		for range 2 {
			if a := get(t, s.URL); a.body != "short" {
				t.Errorf("%d %q, %v", a.status, a.body, a.err)
			}
			<-more
		}
	}
}

// TestStreamTimeout: a header that does not come in time is 502.
func TestStreamTimeout(t *testing.T) {
	end := make(chan struct{})
	defer close(end)
	up := newTarget(t, func(net.Conn, *http.Request, int) bool { <-end; return false })
	if a := get(t, front(t, up.url, 50*time.Millisecond).URL); a.status != http.StatusBadGateway {
		t.Errorf("%d %q, %v", a.status, a.body, a.err)
	}
}

// TestStreamLeave: a client that leaves ends the work behind, before the header and within the body.
func TestStreamLeave(t *testing.T) {
	for _, begun := range []string{"", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegun"} {
		asked, ended := make(chan struct{}), make(chan struct{})
		up := newTarget(t, func(conn net.Conn, _ *http.Request, _ int) bool {
			send(conn, begun)
			close(asked)
			_, _ = io.Copy(io.Discard, conn)
			close(ended)
			return false
		})
		ctx, leave := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, front(t, up.url, 0).URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			<-asked
			leave()
		}()
		if res, err := http.DefaultClient.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		chassistest.Eventually(t, 10*time.Second, "the target's connection ends", func() error {
			select {
			case <-ended:
				return nil
			default:
				return errors.New("it is open")
			}
		})
	}
}

// readerFrom notes that a body was handed to the connection.
type readerFrom struct {
	*httptest.ResponseRecorder
	used bool
}

func (r *readerFrom) ReadFrom(from io.Reader) (int64, error) {
	limited, ok := from.(*io.LimitedReader)
	if ok {
		_, r.used = limited.R.(*net.TCPConn)
	}
	return r.Body.ReadFrom(from)
}

// TestStreamSplices: a large body is handed over as a connection, which the system can splice. A small one is not, nor is the
// answer to anything but a plain GET by HTTP/1.
func TestStreamSplices(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 1<<20)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(body))
	}))
	defer origin.Close()
	u, err := url.Parse(origin.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := httpclient.NewTransport()
	defer transport.CloseIdleConnections()
	rewrite := func(r *httputil.ProxyRequest) { r.Out.URL.RawQuery = "" }
	stream := proxy.NewStream(u, transport, slog.New(slog.DiscardHandler), rewrite, nil)
	for _, c := range []struct {
		method, span string
		major        int
		want         bool
		length       int
	}{
		{http.MethodGet, "", 1, true, 1 << 20},
		{http.MethodGet, "bytes=1000-1009", 1, false, 10},
		{http.MethodGet, "", 2, false, 1 << 20},
		{http.MethodHead, "", 1, false, 0},
	} {
		w := &readerFrom{ResponseRecorder: httptest.NewRecorder()}
		req := httptest.NewRequest(c.method, "/?id=1", nil)
		req.ProtoMajor = c.major
		if c.span != "" {
			req.Header.Set("Range", c.span)
		}
		stream.ServeHTTP(w, req)
		if w.used != c.want || w.Body.Len() != c.length || w.Code/100 != 2 {
			t.Errorf("%+v: spliced is %v, %d with %d bytes", c, w.used, w.Code, w.Body.Len())
		}
	}
}

// FuzzStream: whatever a target answers, a client gets a well-formed answer or a broken connection, and the next request its
// own answer.
func FuzzStream(f *testing.F) {
	for _, seed := range []string{
		short, short + short, "HTTP/1.1 304 Not Modified\r\n\r\nx", "HTTP/1.1 100 Continue\r\n\r\n" + short,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\nX-Trailer: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort", "HTTP/1.1 206 Partial Content\r\nContent-Length: -1\r\n\r\n", "\x00",
	} {
		f.Add([]byte(seed))
	}
	const own = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nown"
	var hostile atomic.Pointer[[]byte]
	up := newTarget(f, func(conn net.Conn, req *http.Request, _ int) bool {
		if req.Header.Get("X-Hostile") == "" {
			send(conn, own)
			return false
		}
		_, _ = conn.Write(*hostile.Load())
		_ = conn.(*net.TCPConn).CloseWrite() //nolint:forcetypeassert // of a TCP listener
		return false
	})
	s := front(f, up.url, time.Second)
	f.Fuzz(func(t *testing.T, sent []byte) {
		hostile.Store(&sent)
		if a := get(t, s.URL, "X-Hostile", "1"); a.err == nil && (a.status < 200 || a.header.Get("Transfer-Encoding") != "") {
			t.Errorf("%d %v", a.status, a.header)
		}
		if a := get(t, s.URL); a.err != nil || a.body != "own" {
			t.Errorf("the next request: %d %q, %v", a.status, a.body, a.err)
		}
	})
}
