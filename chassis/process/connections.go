package process

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// defaultSendTimeout is the SendTimeout of Connections that name none.
	defaultSendTimeout = 5 * time.Minute

	// writeChunk is how many bytes must go within the SendTimeout.
	writeChunk = 1 << 20

	// maxUnsent is how many bytes the system holds back for a client that reads slowly.
	maxUnsent = 128 << 10

	// halfClosedTimeout is how long a client that sends nothing more may have to wait for bytes of its answer before it is
	// taken for gone.
	halfClosedTimeout = 30 * time.Second

	maxHeaderBytes = 32 << 10 // of a request; more is answered with 431

	// maxHeaderLines bounds the lines of a request before its body; more is answered with 400. As fields of a few bytes each,
	// the 36 KiB that net/http reads in fact would take half a megabyte of memory.
	maxHeaderLines = 100

	// connectionTime is how long a connection takes requests. A client that keeps one for ever keeps to one replica: one that
	// is added later would get nothing to do.
	connectionTime = time.Minute
)

// Connections bounds the connections of a server.
type Connections struct {
	Total      int // further ones wait to be accepted
	PerAddress int // further ones of one address are closed at once; 0: three quarters of Total

	// Trusted are the addresses without a bound of their own: proxies, whose connections are those of many clients.
	Trusted []netip.Prefix

	// SendTimeout is how long a client may read nothing of an answer before its connection is closed; 0: five minutes. A
	// player that is paused with a full buffer reads nothing either; when it plays again it asks for the rest with a Range.
	SendTimeout time.Duration
}

// listener accepts connections within their bounds. An IPv6 network of 64 bits counts as one address.
type listener struct {
	net.Listener
	bounds Connections
	places chan struct{} // holds a token for each connection
	closed chan struct{}
	close  func() error

	cut       chan struct{} // closed once connections are reset instead of closed
	lingering atomic.Int64  // closed connections whose clients have not received everything

	mu   sync.Mutex
	open map[netip.Addr]int // connections by address
}

func newListener(l net.Listener, bounds Connections) *listener {
	closed := make(chan struct{})
	return &listener{
		Listener: l, bounds: bounds, places: make(chan struct{}, bounds.Total), open: map[netip.Addr]int{}, closed: closed,
		cut: make(chan struct{}),
		close: sync.OnceValue(func() error {
			close(closed)
			return l.Close()
		}),
	}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			<-l.places
			return nil, err
		}
		full := addressOf(accepted.RemoteAddr())
		address := ClientAddr(full)
		if l.enter(address, Contains(l.bounds.Trusted, full)) {
			return newConn(accepted.(*net.TCPConn), l, halfClosedTimeout, func() { l.leave(address) }), nil
		}
		accepted.Close()
	}
}

func (l *listener) Close() error { return l.close() }

// drain waits until the clients of closed connections have received what was sent to them, until ctx is done.
func (l *listener) drain(ctx context.Context) error {
	tick := time.NewTicker(lingerPoll)
	defer tick.Stop()
	for l.lingering.Load() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Client returns the address that limits are counted by: that of an IPv4 host, or of an IPv6 network of 64 bits.
func Client(remote net.Addr) netip.Addr { return ClientAddr(addressOf(remote)) }

func addressOf(remote net.Addr) netip.Addr {
	ap, err := netip.ParseAddrPort(remote.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// ClientAddr is Client for an address that is parsed already.
func ClientAddr(address netip.Addr) netip.Addr {
	address = address.Unmap().WithZone("")
	if address.Is6() {
		network, _ := address.Prefix(64) // never fails
		return network.Addr()
	}
	return address
}

// enter reports whether one more connection of the address is within the bounds.
func (l *listener) enter(address netip.Addr, trusted bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bounds.PerAddress > 0 && l.open[address] >= l.bounds.PerAddress && !trusted {
		return false
	}
	l.open[address]++
	return true
}

func (l *listener) leave(address netip.Addr) {
	l.mu.Lock()
	if l.open[address]--; l.open[address] == 0 {
		delete(l.open, address)
	}
	l.mu.Unlock()
	<-l.places
}

// Contains reports whether address is in one of the networks.
func Contains(networks []netip.Prefix, address netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(address) {
			return true
		}
	}
	return false
}

// conn is a client's connection. Its writes must make progress, it can be told to hold no further request, and a client
// that has closed its side of it still gets its answer.
type conn struct {
	*net.TCPConn
	listener          *listener
	halfClosedTimeout time.Duration
	since             time.Time
	last              atomic.Bool // nothing more is read
	broken            atomic.Bool // an answer ended too early
	closed            atomic.Bool
	left              func()
	inBody            atomic.Bool // the header of the request is read
	header            headerLines // touched by one read at a time, and between requests

	mu      sync.Mutex
	expired chan struct{} // closed while the deadline of reads is in the past, and once the connection is closed
	wrote   time.Time     // something, last
}

func newConn(tcp *net.TCPConn, l *listener, halfClosedTimeout time.Duration, left func()) *conn {
	limitUnsent(tcp, maxUnsent)
	return &conn{
		TCPConn: tcp, listener: l, halfClosedTimeout: halfClosedTimeout, since: time.Now(), left: left, expired: make(chan struct{}),
	}
}

func (c *conn) Read(p []byte) (int, error) {
	if c.last.Load() {
		return 0, net.ErrClosed // not io.EOF, which would end the body in flight
	}
	if !c.inBody.Load() && c.header.n > maxHeaderLines {
		c.last.Store(true)
		return 0, errHeaderLines
	}
	n, err := c.TCPConn.Read(p)
	if !c.inBody.Load() {
		n = c.header.add(p[:n])
	}
	if errors.Is(err, io.EOF) && len(p) == 1 {
		return 0, c.awaitAnswer()
	}
	return n, err
}

var errHeaderLines = errors.New("the request has too many header fields")

// headerLines counts the lines of a request up to the empty one, behind which its body begins.
type headerLines struct {
	n     int
	ended bool
	line  string // "" if nothing of a line has come, "\r", or "x" for anything else
}

// add returns how many bytes of p are within the bound, or make up the line that is not.
func (h *headerLines) add(p []byte) int {
	for i := 0; i < len(p) && !h.ended; i++ {
		if h.n > maxHeaderLines {
			return i
		}
		switch {
		case p[i] == '\n' && h.n > 0 && h.line != "x":
			h.ended = true
		case p[i] == '\n':
			h.n++
			h.line = ""
		case p[i] == '\r' && h.line == "":
			h.line = "\r"
		default:
			h.line = "x"
		}
	}
	return len(p)
}

// nextHeader is the ConnState of a server: it begins to count at each request.
func nextHeader(c net.Conn, state http.ConnState) {
	if c, ok := c.(*conn); ok && state == http.StateIdle {
		c.header = headerLines{}
		c.inBody.Store(false)
	}
}

// headerEnds says that the header of the request that ctx belongs to is read. Of a request that came in one read with the one
// before, not all of the header was counted, nor its end seen.
func headerEnds(ctx context.Context) {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		c.inBody.Store(true)
	}
}

// awaitAnswer holds the end of the input back until the request is answered. While a handler works, net/http reads a
// single byte ahead, takes an end for a client that is gone, and cancels the request. But a client may close its side once
// it has sent its request, and wait for the answer (RFC 9112 section 9.6): the two look the same. One that is really gone
// resets the connection when something is written to it, which ends the answer.
func (c *conn) awaitAnswer() error {
	ended := time.Now()
	for {
		c.mu.Lock()
		expired, since := c.expired, c.wrote
		c.mu.Unlock()
		if since.Before(ended) {
			since = ended
		}
		left := time.Until(since.Add(c.halfClosedTimeout))
		if left <= 0 {
			return io.EOF
		}
		timer := time.NewTimer(left)
		select {
		case <-expired: // net/http sets a deadline in the past after the answer
			timer.Stop()
			return os.ErrDeadlineExceeded
		case <-timer.C:
		}
	}
}

// SetReadDeadline also ends awaitAnswer.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.expire(!t.IsZero() && !t.After(time.Now()))
	return c.TCPConn.SetReadDeadline(t)
}

func (c *conn) expire(now bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.expired:
		if !now {
			c.expired = make(chan struct{})
		}
	default:
		if now {
			close(c.expired)
		}
	}
}

// progress gives the next write its time.
func (c *conn) progress() error {
	now := time.Now()
	c.mu.Lock()
	c.wrote = now
	c.mu.Unlock()
	return c.SetWriteDeadline(now.Add(c.listener.bounds.SendTimeout))
}

func (c *conn) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		var written int
		if err = c.progress(); err == nil {
			written, err = c.TCPConn.Write(p[:min(len(p), writeChunk)])
		}
		n += written
		p = p[written:]
	}
	c.broken.CompareAndSwap(false, err != nil)
	return n, err
}

// ReadFrom hands files and connections on to the system (sendfile, splice), a chunk at a time.
func (c *conn) ReadFrom(r io.Reader) (n int64, err error) {
	defer func() { c.broken.CompareAndSwap(false, err != nil) }()
	source, limited := r.(*io.LimitedReader)
	if !limited {
		source = &io.LimitedReader{R: r, N: 1<<63 - 1}
	}
	for source.N > 0 {
		if err := c.progress(); err != nil {
			return n, err
		}
		chunk := &io.LimitedReader{R: source.R, N: min(source.N, writeChunk)}
		wanted := chunk.N
		written, err := c.TCPConn.ReadFrom(chunk)
		n += written
		source.N -= written
		if err != nil || written < wanted {
			return n, err
		}
	}
	return n, nil
}

const (
	// lateTime is how long a client that still sends has to read the answer. net/http gives it as much.
	lateTime = 500 * time.Millisecond

	lingerPoll = 50 * time.Millisecond
)

// Close resets the connection of an answer that ended too early. Otherwise its end would follow the bytes that the client has
// not read yet, and never come where the network of the process goes with it, as a pod's does: the client would wait for ever.
//
// Otherwise only the sending side is closed until the client has everything, for the same reason. So it is behind a request
// that was not read to its end: bytes that arrive at a closed socket reset the connection, and may destroy the answer before
// the client has read it (RFC 9112 section 9.6). net/http does so too, but not for a request with Expect.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	c.expire(true)
	reset := c.broken.Load() || c.isCut()
	if !reset && (c.last.Load() || unreceived(c.TCPConn)) && c.CloseWrite() == nil {
		c.listener.lingering.Add(1)
		go c.linger()
		return nil
	}
	return c.end(reset)
}

func (c *conn) isCut() bool {
	select {
	case <-c.listener.cut:
		return true
	default:
		return false
	}
}

func (c *conn) end(reset bool) error {
	defer c.left()
	if reset {
		_ = c.SetLinger(0) // fails only if the connection is closed already
	}
	return c.TCPConn.Close()
}

// linger ends the connection when the client has received everything. One that reads nothing is reset.
func (c *conn) linger() {
	defer c.listener.lingering.Add(-1)
	began := time.Now()
	tick := time.NewTicker(lingerPoll)
	defer tick.Stop()
	for time.Since(began) < c.listener.bounds.SendTimeout {
		select {
		case <-c.listener.cut:
			_ = c.end(true)
			return
		case <-tick.C:
		}
		if late := c.last.Load() && time.Since(began) < lateTime; !late && !unreceived(c.TCPConn) {
			_ = c.end(false)
			return
		}
	}
	_ = c.end(true)
}

type connKey struct{}

// withConn is the ConnContext of a server.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// lastRequest makes the request that ctx belongs to the last on its connection.
func lastRequest(ctx context.Context) {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		c.last.Store(true)
	}
}

// resetBroken resets the connection of an answer that a handler breaks off with a panic, as proxies do.
func resetBroken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		early := true
		if c, ok := req.Context().Value(connKey{}).(*conn); ok {
			defer func() { c.broken.CompareAndSwap(false, early) }()
		}
		next.ServeHTTP(w, req)
		early = false
	})
}

// renewConnections answers the first request after a time with Connection: close (RFC 9112 section 9.6), so that the client
// sends its next one by another connection.
func renewConnections(next http.Handler, after time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if c, ok := req.Context().Value(connKey{}).(*conn); ok && time.Since(c.since) > after {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, req)
	})
}

// manyDescriptors is what a process is taken to have where the system has more, or no limit. The requests of half as many
// connections, with headers as large as they may be, leave room in the 256 MiB that a service has in production.
const manyDescriptors = 5 << 10

// DefaultConnections is the Total of Connections that name none. Half of the descriptors are for clients: each stream has
// a second connection, or a file, behind it.
func DefaultConnections() int { return descriptors() / 2 }

// orDefault returns c with its defaults.
func (c Connections) orDefault() Connections {
	if c.Total == 0 {
		c.Total = DefaultConnections()
	}
	if c.PerAddress == 0 {
		c.PerAddress = max(1, c.Total/4*3) // the rest is for the probes of the service's health
	}
	if c.SendTimeout == 0 {
		c.SendTimeout = defaultSendTimeout
	}
	return c
}
