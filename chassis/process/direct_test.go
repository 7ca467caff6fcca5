//go:build unix

package process

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
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serveDirect is serve, with requests for /video answered directly. Every answer says which way it went.
func serveDirect(t *testing.T, handler http.HandlerFunc) (string, *listener) {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := newListener(tcp, Connections{}.orDefault())
	server := &http.Server{
		ConnContext: withConn, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			_, direct := w.(*directWriter)
			w.Header().Set("Direct", fmt.Sprint(direct))
			handler(w, req)
		}),
	}
	l.direct = newDirect(server, server.Handler, "/video")
	done := make(chan struct{})
	go func() { _ = server.Serve(l); close(done) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return tcp.Addr().String(), l
}

// answer reads the next answer, and its body.
func (c client) answer() (*http.Response, string) {
	c.t.Helper()
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res, string(body)
}

const plainGet = "GET /video?id=1 HTTP/1.1\r\nHost: x\r\n\r\n"

// TestDirectUntil: whatever is no plain GET goes to net/http with all that follows, and nothing is lost in between.
func TestDirectUntil(t *testing.T) {
	address, _ := serveDirect(t, func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		fmt.Fprintf(w, "%s %s %s", req.Method, req.URL, body)
	})
	for name, test := range map[string]struct {
		request string
		want    []string
	}{
		"another path":  {"GET /other?id=1 HTTP/1.1\r\nHost: x\r\n\r\n", []string{"GET /other?id=1 "}},
		"a body":        {"POST /video?id=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", []string{"POST /video?id=1 body"}},
		"a GET's body":  {"GET /video?id=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", []string{"GET /video?id=1 body"}},
		"chunks":        {"GET /video?id=1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []string{"GET /video?id=1 "}},
		"a line's LF":   {"GET /video?id=1 HTTP/1.1\nHost: x\n\n", []string{"GET /video?id=1 "}},
		"two at a time": {plainGet + strings.Replace(plainGet, "1", "2", 1), []string{"GET /video?id=1 ", "GET /video?id=2 "}},
	} {
		t.Run(name, func(t *testing.T) {
			c := dialRaw(t, address)
			for range 3 {
				c.send(plainGet)
				if res, body := c.answer(); res.Header.Get("Direct") != "true" || body != "GET /video?id=1 " || res.Header.Get("Date") == "" {
					t.Fatalf("%v %q", res.Header, body)
				}
			}
			c.send(test.request)
			for _, want := range test.want {
				if res, body := c.answer(); res.Header.Get("Direct") != "false" || body != want {
					t.Errorf("%v %q, want %q", res.Header, body, want)
				}
			}
			c.send(plainGet)
			if res, body := c.answer(); res.Header.Get("Direct") != "false" || body != "GET /video?id=1 " {
				t.Errorf("then: %v %q", res.Header, body)
			}
		})
	}
	// The pieces of one request come to net/http whole.
	c := dialRaw(t, address)
	c.send(plainGet[:20])
	c.send(plainGet[20:])
	if _, body := c.answer(); body != "GET /video?id=1 " {
		t.Errorf("in pieces: %q", body)
	}
}

func TestDirectAnswers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, bytes.Repeat([]byte("file "), 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("long ", 10_000)
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		status  int
		body    string
		closed  bool
	}{
		"nothing":    {func(http.ResponseWriter, *http.Request) {}, 200, "", false},
		"no content": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204); _, _ = io.WriteString(w, "x") }, 204, "", false},
		"short":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); _, _ = io.WriteString(w, "short") }, 404, "short", false},
		"chunks": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "a")
			_, _ = io.WriteString(w, long)
		}, 200, "a" + long, false},
		"flushed": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "a")
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "b")
		}, 200, "ab", false},
		"a file": {func(w http.ResponseWriter, req *http.Request) { http.ServeFile(w, req, path) }, 206, "file file ", false},
		"too much": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "2")
			_, _ = io.WriteString(w, "ab")
			if _, err := io.WriteString(w, "c"); !errors.Is(err, http.ErrContentLength) {
				t.Errorf("too much: %v", err)
			}
		}, 200, "ab", false},
		"its last":       {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }, 200, "", true},
		"a split header": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", "a\r\nContent-Length: 3\r\n\r\n") }, 200, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			address, _ := serveDirect(t, test.handler)
			c := dialRaw(t, address)
			for range 2 {
				c.send(strings.Replace(plainGet, "\r\n\r\n", "\r\nRange: bytes=0-9\r\n\r\n", 1))
				res, body := c.answer()
				if res.StatusCode != test.status || body != test.body || res.Header.Get("Direct") != "true" {
					t.Fatalf("%d %v %.50q", res.StatusCode, res.Header, body)
				}
				if test.closed {
					c.closed()
					return
				}
			}
		})
	}
}

// TestDirectBroken: a client does not take an answer that broke off for a whole one.
func TestDirectBroken(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"too little": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			_, _ = io.WriteString(w, "half")
		},
		"a panic": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("half ", 1000))
			panic(http.ErrAbortHandler)
		},
	} {
		address, _ := serveDirect(t, handler)
		c := dialRaw(t, address)
		c.send(plainGet)
		res, err := http.ReadResponse(c.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDirectClient: a client that is gone ends the work for it, and one that has only closed its side gets the answer.
func TestDirectClient(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	address, _ := serveDirect(t, func(_ http.ResponseWriter, req *http.Request) {
		entered <- struct{}{}
		select {
		case <-req.Context().Done():
		case <-release:
		case <-time.After(20 * time.Second):
		}
		ended <- req.Context().Err()
	})
	c := dialRaw(t, address)
	c.send(plainGet)
	<-entered
	_ = c.Conn.(*net.TCPConn).SetLinger(0)
	c.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the client is gone: %v", err)
	}

	c = dialRaw(t, address)
	for range 2 {
		c.send(plainGet)
		<-entered
		time.AfterFunc(3*watchAfter, func() { release <- struct{}{} }) // somebody looks for it by then
		if res, _ := c.answer(); res.StatusCode != 200 || <-ended != nil {
			t.Errorf("the client waits: %d", res.StatusCode)
		}
	}
	c.send(plainGet)
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	<-entered
	time.AfterFunc(3*watchAfter, func() { release <- struct{}{} })
	if res, _ := c.answer(); res.StatusCode != 200 || <-ended != nil {
		t.Errorf("the client has closed its side: %d", res.StatusCode)
	}
}

// TestDirectStop: requests in flight are answered, and connections without one are closed at once.
func TestDirectStop(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	address, l := serveDirect(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.RawQuery == "wait" {
			close(entered)
			<-release
		}
		_, _ = io.WriteString(w, "done")
	})
	idle, busy := dialRaw(t, address), dialRaw(t, address)
	idle.send(plainGet)
	idle.answer()
	busy.send("GET /video?wait HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if l.stop(over) {
		t.Error("it says that no request was in flight")
	}
	idle.closed()
	stopped := make(chan bool)
	go func() { stopped <- l.direct.stop(t.Context()) }()
	close(release)
	if _, body := busy.answer(); body != "done" || !<-stopped {
		t.Errorf("the request in flight: %q", body)
	}
	busy.closed()
}

// FuzzPlainGet: net/http reads the same from a request that is answered directly: a GET without a body, and nothing after it.
func FuzzPlainGet(f *testing.F) {
	for _, seed := range []string{
		plainGet, plainGet + plainGet, plainGet + "\r\n", "GET /video?id=1 HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\nCookie: a=b; c=d\r\n\r\n",
		"GET /video?a b HTTP/1.1\r\nHost: x\r\n\r\n", "GET /video?id=1 HTTP/1.1\r\n\r\n", "GET /video?id=1 HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"GET /video?id=1 HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\n", "GET /video?id=1 HTTP/1.1\r\nHost: x\r\n Transfer-Encoding: chunked\r\n\r\n",
		"GET /video?id=1 HTTP/1.1\r\nHost: x\r\nX: a\nContent-Length: 5\r\n\r\n", "GET /video?%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /video?id=1 HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\n\r\n", "GET /video?id=1 HTTP/1.1\r\nHost: a,b@c/d\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !isPlainGet(b, "/video") {
			return
		}
		r := bufio.NewReader(bytes.NewReader(b))
		req, err := http.ReadRequest(r)
		if err != nil {
			return // which parse leaves to net/http
		}
		rest, _ := io.ReadAll(r)
		if req.Method != http.MethodGet || req.URL.Path != "/video" || req.Body != http.NoBody || req.Close || len(rest) > 0 {
			t.Errorf("%q: %s %s, close %v, then %q", b, req.Method, req.URL, req.Close, rest)
		}
	})
}
