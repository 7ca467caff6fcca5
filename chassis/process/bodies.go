package process

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// bodyTimes say how long the bodies of requests may take.
type bodyTimes struct {
	whole time.Duration // for a whole body
	drain time.Duration // for the rest of a body that the handler has left unread
}

var defaultBodyTimes = bodyTimes{whole: 30 * time.Second, drain: time.Second}

// minRate is how many bytes of an upload must come in a second on average, which any phone can send: with less, a client
// could keep an upload's place for ever by a byte now and then.
const minRate = 4 << 10

// drainBytes is how much is read of a rest; net/http reads no more either.
const drainBytes = 256 << 10

// ErrBodyTimeout is the error of reading a request's body that does not arrive in time.
var ErrBodyTimeout = errors.New("the body did not arrive in time")

// body is the body of a request. It must arrive within its deadline, and it knows whether it was read to its end.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	times   bodyTimes
	expects bool // the client waits for 100 (Continue), which the first read sends

	deadline sync.Mutex    // held while it is set
	idle     time.Duration // of a LongBody, or 0
	left     time.Duration // of idle, for the reads to come

	over atomic.Bool // the handler has returned: a proxy's transport may still want to read

	ended atomic.Bool // the body was read to its end, after which the connection has no deadline
	late  atomic.Bool // the body did not arrive in time

	mu    sync.Mutex // one read at a time
	begun bool
}

type bodyKey struct{}

// LongBody allows the body of a request any time, instead of 30 seconds for the whole body, as long as its bytes keep
// arriving: reads may wait for idle in all, and earn that time back by what arrives, at 4 KiB/s. It is for uploads, and is
// called before the first read.
func LongBody(req *http.Request, idle time.Duration) {
	if b, ok := req.Context().Value(bodyKey{}).(*body); ok {
		b.setIdle(idle, idle)
	}
}

// EndBody allows the rest of the body of a request for d in all, that of an upload too. One that did not arrive in time gets
// no more.
func EndBody(req *http.Request, d time.Duration) {
	if b, ok := req.Context().Value(bodyKey{}).(*body); ok {
		if b.late.Load() {
			d = 0
		}
		b.setIdle(0, d)
	}
}

func (b *body) setIdle(idle, first time.Duration) {
	b.deadline.Lock()
	defer b.deadline.Unlock()
	b.idle, b.left = idle, idle
	b.limit(first)
}

// prolong gives the next bytes of an upload their time.
func (b *body) prolong() {
	b.deadline.Lock()
	defer b.deadline.Unlock()
	if b.idle > 0 {
		b.limit(b.left)
	}
}

// arrived counts n bytes of an upload for which a read has waited.
func (b *body) arrived(n int, waited time.Duration) {
	b.deadline.Lock()
	defer b.deadline.Unlock()
	b.left = min(b.idle, b.left-waited+time.Duration(n)*time.Second/minRate)
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.prolong()
	if b.over.Load() { // looked at after the deadline is set, which would otherwise undo the one that ends this read
		return 0, http.ErrBodyReadAfterClose
	}
	began := time.Now()
	n, err := b.read(p)
	b.arrived(n, time.Since(began))
	return n, err
}

func (b *body) read(p []byte) (int, error) {
	b.begun = true
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == io.EOF:
		_ = b.control.SetReadDeadline(time.Time{}) // net/http goes on to read, to notice when the client is gone
		b.ended.Store(true)
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.late.Store(true)
		err = ErrBodyTimeout
	}
	return n, err
}

// limit sets the time for the reads to come. Where the writer knows no deadlines (in tests) there is none.
func (b *body) limit(d time.Duration) { _ = b.control.SetReadDeadline(time.Now().Add(d)) }

// guardBodies gives the bodies of requests their deadlines. A connection whose request was not read to its end holds no
// further request: bytes that come late would be taken for one (request smuggling, RFC 9112 section 11.2).
func guardBodies(next http.Handler, times bodyTimes) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		headerEnds(req.Context())
		if req.Body == nil || req.Body == http.NoBody {
			next.ServeHTTP(w, req)
			return
		}
		b := &body{
			ReadCloser: req.Body, control: http.NewResponseController(w), times: times, expects: req.Header.Get("Expect") != "",
		}
		b.limit(times.whole)
		req = req.WithContext(context.WithValue(req.Context(), bodyKey{}, b))
		req.Body = b
		next.ServeHTTP(w, req)
		b.finish(req.Context())
	})
}

// finish reads a small rest that arrives at once. Without one the request is the last on its connection. A client that
// waits for 100 (Continue) may send no body at all (RFC 9110 section 10.1.1), so its body is not asked for.
//
// It also closes the body, which net/http would do too late: it has stopped to look whether the client is gone by then,
// and looks again when the body ends, at the same time as it reads the next request ("invalid concurrent Body.Read").
func (b *body) finish(ctx context.Context) {
	b.over.Store(true)
	if b.ended.Load() {
		return // the read in flight is net/http's own: if it met a deadline, all further requests would be cancelled
	}
	_ = b.control.SetReadDeadline(time.Now()) // ends a read in flight
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended.Load() { // just now, and that read may have met the deadline
		_ = b.control.SetReadDeadline(time.Time{})
		lastRequest(ctx)
		return
	}
	if b.begun || !b.expects {
		b.limit(b.times.drain)
		b.drain()
	}
	if !b.ended.Load() {
		lastRequest(ctx)
	}
	_ = b.Close() // says nothing that is not known
}

func (b *body) drain() {
	rest := make([]byte, 32<<10)
	for left := drainBytes; left > 0; {
		n, err := b.read(rest)
		left -= n
		if err != nil {
			return
		}
	}
}
