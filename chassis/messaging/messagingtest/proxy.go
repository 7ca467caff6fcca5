package messagingtest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"

	"flixtube/chassis/chassistest"
)

// proxy forwards TCP connections, until it is stopped: then they are cut, and new ones are refused.
type proxy struct {
	address, upstream string

	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]struct{}
}

func newProxy(t *testing.T, upstream string) *proxy {
	t.Helper()
	p := &proxy{address: "127.0.0.1:" + chassistest.FreePort(t), upstream: upstream, open: map[net.Conn]struct{}{}}
	p.start(t)
	t.Cleanup(p.stop)
	return p
}

func (p *proxy) start(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener = listener
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.forward(listener, client)
		}
	}()
}

func (p *proxy) forward(listener net.Listener, client net.Conn) {
	defer client.Close()
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.upstream)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	stopped := p.listener != listener
	if !stopped {
		p.open[client], p.open[server] = struct{}{}, struct{}{}
	}
	p.mu.Unlock()
	if stopped {
		return
	}
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	_, _ = io.Copy(client, server)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, client)
	delete(p.open, server)
}

func (p *proxy) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil {
		return
	}
	p.listener.Close()
	p.listener = nil
	for conn := range p.open {
		conn.Close()
	}
	clear(p.open)
}
