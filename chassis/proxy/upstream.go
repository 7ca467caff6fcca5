package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"syscall"
	"time"

	"flixtube/chassis/httpclient"
)

const (
	maxIdle        = 128 // connections to one target
	maxIdleTime    = time.Minute
	headerTimeout  = 30 * time.Second // where the transport has none
	maxHeader      = 64 << 10         // bytes of an answer's header, interim answers included
	maxInterim     = 5                // interim answers (1xx)
	upstreamBuffer = 4 << 10

	// receiveBuffer is for bytes, in the system, that a client does not take yet. By itself it grows to megabytes. With
	// half of it large videos cost 4 to 15 % more CPU (docs/benchmarks.md).
	receiveBuffer = 512 << 10
)

// pool has the connections to one target. Each carries one request at a time.
type pool struct {
	address string
	timeout time.Duration // until an answer's header is there
	dialer  httpclient.Dialer

	mu   sync.Mutex
	idle []*upstream // the last used last
}

func newPool(target *url.URL, timeout time.Duration) *pool {
	address := target.Host
	if target.Port() == "" {
		address = net.JoinHostPort(target.Hostname(), "80")
	}
	if timeout == 0 {
		timeout = headerTimeout
	}
	return &pool{address: address, timeout: timeout, dialer: httpclient.NewDialer()}
}

// upstream is a connection to a target.
type upstream struct {
	conn net.Conn // a *net.TCPConn
	raw  syscall.RawConn
	pool *pool
	head io.LimitedReader // of conn
	read *bufio.Reader    // of head

	since    time.Time   // idle
	uncancel func() bool // of the request in flight
	keep     bool        // the target keeps the connection open
	complete bool        // the answer was read to its end
}

// get sends a GET and returns its answer; the caller reads the body from the upstream, and releases that in the end. A
// request for which nothing came back on a connection from the pool is sent again: the target had closed that connection.
func (p *pool) get(req *http.Request) (*upstream, *http.Response, error) {
	ctx := req.Context()
	for {
		u, reused, err := p.take(ctx)
		if err != nil {
			return nil, nil, err
		}
		res, err := u.exchange(req)
		if err == nil {
			return u, res, nil
		}
		u.release()
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if !reused || u.head.N < maxHeader || errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, nil, fmt.Errorf("get from %s: %w", p.address, err)
		}
	}
}

func (p *pool) take(ctx context.Context) (u *upstream, reused bool, err error) {
	for u = p.pop(); u != nil; u = p.pop() {
		if time.Since(u.since) < maxIdleTime && quiet(u.raw) {
			return u, true, nil
		}
		u.conn.Close()
	}
	conn, err := p.dialer.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return nil, false, err
	}
	if err := conn.(*net.TCPConn).SetReadBuffer(receiveBuffer); err != nil {
		conn.Close()
		return nil, false, err
	}
	u = &upstream{conn: conn, pool: p}
	if u.raw, err = conn.(*net.TCPConn).SyscallConn(); err != nil {
		conn.Close()
		return nil, false, err
	}
	u.head.R = u.conn
	u.read = bufio.NewReaderSize(&u.head, upstreamBuffer)
	return u, false, nil
}

func (p *pool) pop() (u *upstream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.idle) - 1; last >= 0 {
		u, p.idle = p.idle[last], p.idle[:last]
	}
	return u
}

// release puts the connection back if it can carry another request, and otherwise closes it. Bytes that nobody asked for must
// not become the answer to the next request.
func (u *upstream) release() {
	stopped := u.uncancel()
	if !stopped || !u.keep || !u.complete || u.read.Buffered() > 0 || !u.pool.push(u) {
		u.conn.Close()
	}
}

func (p *pool) push(u *upstream) bool {
	u.since = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 && u.since.Sub(p.idle[0].since) > maxIdleTime {
		p.idle[0].conn.Close()
		p.idle = p.idle[1:]
	}
	if len(p.idle) >= maxIdle {
		return false
	}
	p.idle = append(p.idle, u)
	return true
}

// exchange sends a request and reads the header of its answer. When the request is cancelled, all reading and writing ends.
func (u *upstream) exchange(req *http.Request) (*http.Response, error) {
	u.keep, u.complete, u.head.N = false, false, maxHeader
	ctx := req.Context()
	_ = u.conn.SetDeadline(time.Now().Add(u.pool.timeout)) // fails only if conn is closed, as everything does then
	u.uncancel = context.AfterFunc(ctx, func() { _ = u.conn.SetDeadline(time.Unix(1, 0)) })
	var head bytes.Buffer
	fmt.Fprintf(&head, "GET %s HTTP/1.1\r\nHost: %s\r\n", req.URL.RequestURI(), req.URL.Host)
	_ = req.Header.Write(&head) // to memory
	head.WriteString("\r\n")
	if _, err := u.conn.Write(head.Bytes()); err != nil {
		return nil, err
	}
	res, err := readResponse(u.read, req)
	if err != nil {
		return nil, err
	}
	_ = u.conn.SetDeadline(time.Time{})
	if ctx.Err() != nil { // its deadline may be the one that was just removed
		return nil, ctx.Err()
	}
	u.head.N = math.MaxInt64
	u.keep = !res.Close
	return res, nil
}

var errInterim = errors.New("too many interim answers, or one that switches protocols")

// readResponse returns the final answer to a request.
func readResponse(r *bufio.Reader, req *http.Request) (*http.Response, error) {
	for range maxInterim {
		res, err := http.ReadResponse(r, req)
		if err != nil {
			return nil, err
		}
		if res.StatusCode >= http.StatusOK {
			return res, nil
		}
		if res.StatusCode == http.StatusSwitchingProtocols {
			break
		}
	}
	return nil, errInterim
}
