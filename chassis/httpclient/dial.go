package httpclient

import (
	"context"
	"net"
	"time"
)

const (
	firstDial   = 2 * time.Second
	dialTimeout = 10 * time.Second
)

// Dialer connects to a service, of which any replica may be gone without a word: its machine or its network went with it.
type Dialer struct {
	first time.Duration
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
}

// NewDialer returns a Dialer whose connections find out within some twelve seconds that the other side is gone: a stream would
// wait for its next bytes for ever. One that is only slow answers the probes (RFC 9293, section 3.8.4).
func NewDialer() Dialer {
	d := net.Dialer{
		Timeout:         dialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3},
	}
	return Dialer{firstDial, d.DialContext}
}

// DialContext is that of a net.Dialer, but tries twice: one address may stand for several replicas, and the second try comes to
// another one.
func (d Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	first, cancel := context.WithTimeout(ctx, d.first)
	defer cancel()
	conn, err := d.dial(first, network, address)
	if err != nil && first.Err() != nil && ctx.Err() == nil {
		return d.dial(ctx, network, address)
	}
	return conn, err
}
