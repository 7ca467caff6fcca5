//go:build unix

package e2e

import (
	"io"
	"net"
	"sync"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
)

// relay passes connections on in a proxy's place, and can end one direction alone: the proxy's toxics end both.
type relay struct {
	proxy    *toxiproxy.Proxy
	listener net.Listener
	ends     sync.RWMutex // held, nobody's end is passed on
	all      sync.WaitGroup

	mu    sync.Mutex
	pairs [][2]*net.TCPConn // by side
}

type side int

const (
	theServices side = iota
	theBroker
)

// relay takes the proxy's place until stop.
func (c *chaos) relay(t *testing.T, p *toxiproxy.Proxy) *relay {
	t.Helper()
	p.Stop()
	listener, err := net.Listen("tcp", p.Listen)
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{proxy: p, listener: listener}
	t.Cleanup(r.close)
	r.all.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", p.Upstream)
			if err != nil {
				from.Close()
				continue
			}
			pair := [2]*net.TCPConn{from.(*net.TCPConn), to.(*net.TCPConn)}
			r.mu.Lock()
			r.pairs = append(r.pairs, pair)
			r.mu.Unlock()
			r.all.Go(func() { r.pass(pair[0], pair[1]) })
			r.all.Go(func() { r.pass(pair[1], pair[0]) })
		}
	})
	return r
}

// connections is how many were made.
func (r *relay) connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pairs)
}

// pass copies one direction until its end, and then that end.
func (r *relay) pass(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		_, _ = io.Copy(io.Discard, from) // to is closed; the other side does not notice
	}
	r.ends.RLock()
	defer r.ends.RUnlock()
	_ = to.CloseWrite() // it may have an end already
}

// endTowards ends what goes to one side of each connection, and nothing else until letEnd.
func (r *relay) endTowards(to side) (connections int) {
	r.ends.Lock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, pair := range r.pairs {
		if pair[to].CloseWrite() == nil {
			connections++
		}
	}
	return connections
}

func (r *relay) letEnd() { r.ends.Unlock() }

// close ends all connections.
func (r *relay) close() {
	_ = r.listener.Close() // it may be closed already
	r.mu.Lock()
	for _, pair := range r.pairs {
		pair[theServices].Close()
		pair[theBroker].Close()
	}
	r.mu.Unlock()
	r.all.Wait()
}

// stop ends all connections and gives the place back to the proxy.
func (r *relay) stop(t *testing.T) {
	t.Helper()
	r.close()
	if err := r.proxy.Start(); err != nil {
		t.Fatal(err)
	}
}
