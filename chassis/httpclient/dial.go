package httpclient

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"
)

const (
	firstDial   = 2 * time.Second
	dialTimeout = 10 * time.Second
)

// Dialer connects to a service, of which any replica may be gone without a word: its machine or its network went with it.
type Dialer struct {
	first  time.Duration
	lookup func(ctx context.Context, host string) ([]string, error)
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
}

// NewDialer returns a Dialer whose connections find out within some twelve seconds that the other side is gone: a stream would
// wait for its next bytes for ever. One that is only slow answers the probes (RFC 9293, section 3.8.4).
func NewDialer() Dialer {
	d := net.Dialer{
		Timeout:         dialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3},
	}
	return Dialer{firstDial, net.DefaultResolver.LookupHost, d.DialContext}
}

// DialContext connects to one of a host's addresses by chance, so that replicas share what is asked at the same time, and then
// tries the others, or the same one again: in Kubernetes one address stands for several replicas.
func (d Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	hosts, err := d.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	shuffle(hosts)
	if len(hosts) == 1 {
		hosts = append(hosts, hosts[0])
	}
	var conn net.Conn
	for i, host := range hosts {
		try, cancel := ctx, func() {}
		if i < len(hosts)-1 {
			try, cancel = context.WithTimeout(ctx, d.first)
		}
		conn, err = d.dial(try, network, net.JoinHostPort(host, port))
		cancel()
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	return conn, err
}

// shuffle leaves the addresses of the other IP version last, where the resolver has put them.
func shuffle(hosts []string) {
	version := func(host string) bool {
		address, err := netip.ParseAddr(host)
		return err == nil && address.Is4()
	}
	same := 0
	for same < len(hosts) && version(hosts[same]) == version(hosts[0]) {
		same++
	}
	rand.Shuffle(same, func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] }) //nolint:gosec // nobody gains by knowing the order
}
