//go:build unix

package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"
)

// watchAfter is how long a request is worked on before somebody looks whether its client is still there.
const watchAfter = 50 * time.Millisecond

// direct answers the first requests of connections, as long as they are plain GETs for one path, in the goroutine that
// reads them. With a small answer most of the cost of a request in net/http is that of the goroutine that watches the client
// meanwhile, and of the pieces in which its answer is written. The first request that is anything else, and all that follow
// on its connection, are net/http's: it has not seen any other.
type direct struct {
	server  *http.Server // its deadlines, and its log
	handler http.Handler
	path    string
	parsers sync.Pool // of *bufio.Reader

	mu       sync.Mutex
	conns    map[*conn]bool // those that net/http has seen nothing of: whether a request is in flight
	stopping bool
	empty    chan struct{} // closed when there are none any more
}

func newDirect(server *http.Server, handler http.Handler, path string) *direct {
	return &direct{
		server: server, handler: handler, path: path, parsers: sync.Pool{New: func() any { return bufio.NewReader(nil) }},
		conns: map[*conn]bool{}, empty: make(chan struct{}),
	}
}

// serve answers requests, and returns the first bytes of the one that is left to net/http. They are in p.
func (d *direct) serve(c *conn, p []byte) (int, error) {
	if !d.await(c, d.server.ReadHeaderTimeout) {
		return c.TCPConn.Read(p)
	}
	defer d.leave(c)
	for {
		n, err := c.TCPConn.Read(p)
		req := d.parse(p[:n])
		if req == nil {
			_ = c.TCPConn.SetReadDeadline(time.Now().Add(d.server.ReadHeaderTimeout)) // fails only if it is closed
			return n, err
		}
		if !d.begin(c) || !d.answer(c, req) || !d.await(c, d.server.IdleTimeout) {
			return 0, io.EOF // net/http closes the connection, and answers nothing
		}
	}
}

// parse returns nil for a request that is left to net/http.
func (d *direct) parse(head []byte) *http.Request {
	if !isPlainGet(head, d.path) {
		return nil
	}
	parser, _ := d.parsers.Get().(*bufio.Reader)
	defer d.parsers.Put(parser)
	parser.Reset(bytes.NewReader(head))
	req, err := http.ReadRequest(parser)
	if err != nil || req.Host == "" {
		return nil
	}
	return req
}

// await gives the next request its time, unless the server stops.
func (d *direct) await(c *conn, timeout time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopping {
		return false
	}
	d.conns[c] = false
	return c.TCPConn.SetReadDeadline(time.Now().Add(timeout)) == nil
}

func (d *direct) begin(c *conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns[c] = true
	return c.TCPConn.SetReadDeadline(time.Time{}) == nil
}

func (d *direct) leave(c *conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
	if d.stopping && len(d.conns) == 0 {
		close(d.empty)
	}
}

// stop ends the connections without a request in flight at once, and the others after it. It reports whether all ended
// before ctx did. There must be no new connections any more.
func (d *direct) stop(ctx context.Context) bool {
	d.mu.Lock()
	d.stopping = true
	left := len(d.conns)
	for c, busy := range d.conns {
		if !busy {
			_ = c.TCPConn.SetReadDeadline(time.Unix(1, 0)) // fails only if it is closed
		}
	}
	d.mu.Unlock()
	if left == 0 {
		return true
	}
	select {
	case <-d.empty:
		return true
	case <-ctx.Done():
		return false
	}
}

// answer reports whether the connection can have another request.
func (d *direct) answer(c *conn, req *http.Request) (again bool) {
	ctx, cancel := context.WithCancel(c.base)
	defer cancel()
	req = req.WithContext(ctx)
	req.RemoteAddr = c.RemoteAddr().String()
	w := &directWriter{conn: c, header: make(http.Header, 8), left: -1}
	watch := watchClient(c, cancel)
	defer func() {
		watch.end()
		if p := recover(); p != nil {
			again = false
			if p != http.ErrAbortHandler { //nolint:errorlint // it is panicked with as it is
				d.server.ErrorLog.Printf("http: panic serving %v: %v\n%s", req.RemoteAddr, p, debug.Stack())
			}
		}
	}()
	d.handler.ServeHTTP(w, req)
	return w.finish() == nil
}

// clientWatch cancels a request that takes its time when the client goes away.
type clientWatch struct {
	conn   *conn
	cancel func()
	timer  *time.Timer
	ended  chan struct{}
}

func watchClient(c *conn, cancel func()) *clientWatch {
	w := &clientWatch{conn: c, cancel: cancel, ended: make(chan struct{})}
	w.timer = time.AfterFunc(watchAfter, w.run)
	return w
}

func (w *clientWatch) run() {
	defer close(w.ended)
	raw, err := w.conn.SyscallConn()
	if err != nil {
		w.cancel()
		return
	}
	var b [1]byte
	n := 0
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		n, _, failed = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		return !errors.Is(failed, syscall.EAGAIN)
	})
	if err != nil || n > 0 {
		return // end has set the deadline, or there is another request already
	}
	if failed == nil { // it has closed its side
		failed = w.conn.awaitAnswer()
	}
	if !errors.Is(failed, os.ErrDeadlineExceeded) {
		w.cancel()
	}
}

// end returns when nobody looks any more.
func (w *clientWatch) end() {
	if w.timer.Stop() {
		return
	}
	_ = w.conn.SetReadDeadline(time.Unix(1, 0)) // ends the look, and fails only if the connection is closed
	<-w.ended
	_ = w.conn.SetReadDeadline(time.Time{})
}

// isPlainGet reports whether b is one whole HTTP/1.1 request: a GET for the path, with a query, one Host, and no header that
// says anything about a body or the connection. It is strict, because whatever it rejects still gets its answer from net/http.
func isPlainGet(b []byte, path string) bool {
	line, rest, _ := bytes.Cut(b, crlf)
	target, ok := bytes.CutPrefix(line, []byte("GET "+path+"?"))
	target, version := bytes.CutSuffix(target, []byte(" HTTP/1.1"))
	if !ok || !version || bytes.ContainsFunc(target, func(c rune) bool { return c <= ' ' || c > '~' || c == '#' }) {
		return false
	}
	hosts := 0
	for len(rest) > len(crlf) {
		line, rest, _ = bytes.Cut(rest, crlf)
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 || bytes.ContainsFunc(name, notInName) ||
			bytes.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' }) {
			return false
		}
		switch strings.ToLower(string(name)) {
		case "host":
			hosts++
			if bytes.ContainsFunc(value, notInHost) {
				return false
			}
		case "connection", "content-length", "expect", "http2-settings", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade":
			return false
		}
	}
	return hosts == 1 && bytes.Equal(rest, crlf)
}

func notInHost(c rune) bool { return notInName(c) && !strings.ContainsRune(".:[] ", c) }

func notInName(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
}
