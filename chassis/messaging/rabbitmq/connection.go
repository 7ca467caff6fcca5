package rabbitmq

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"flixtube/chassis/process"
)

const (
	dialTimeout  = 10 * time.Second
	heartbeat    = 5 * time.Second
	silence      = 3 * heartbeat // after it the library closes a connection
	closeTimeout = 2 * time.Second
)

// connection is an AMQP connection and the socket below it.
type connection struct {
	*amqp.Connection
	socket net.Conn
	gate   *gate
}

func dial(ctx context.Context, address string) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(process.Name())
	var socket net.Conn
	var received *gate
	conn, err := amqp.DialConfig(address, amqp.Config{
		Heartbeat: heartbeat, Properties: properties,
		Dial: func(network, addr string) (_ net.Conn, err error) {
			if socket, err = new(net.Dialer).DialContext(ctx, network, addr); err != nil {
				return nil, err
			}
			received = newGate(socket)
			deadline, _ := ctx.Deadline() // for the handshakes; DialConfig lifts it
			return received, socket.SetDeadline(deadline)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("connect to RabbitMQ: %w", err)
	}
	return &connection{conn, socket, received}, nil
}

// since tells whether the broker is of this version or a later one.
func (c *connection) since(major, minor int) bool {
	version, _ := c.Properties["version"].(string)
	var theirs [2]int
	if _, err := fmt.Sscanf(version, "%d.%d", &theirs[0], &theirs[1]); err != nil {
		return false
	}
	return slices.Compare(theirs[:], []int{major, minor}) >= 0
}

func (c *connection) close() error { return c.CloseDeadline(time.Now().Add(closeTimeout)) }

// link is a connection that is made when it is asked for, and made again when it was lost.
type link struct {
	address string
	dialing chan struct{} // holds a token while one dials: the others wait until their contexts end

	mu   sync.Mutex
	conn *connection
}

func newLink(address string) *link {
	return &link{address: address, dialing: make(chan struct{}, 1)}
}

// connection returns the connection, which it makes if there is none, or an error when ctx is done.
func (l *link) connection(ctx context.Context) (*connection, error) {
	if conn := l.current(); conn != nil {
		return conn, nil
	}
	select {
	case l.dialing <- struct{}{}:
		defer func() { <-l.dialing }()
	case <-ctx.Done():
		return nil, fmt.Errorf("connect to RabbitMQ: %w", ctx.Err())
	}
	if conn := l.current(); conn != nil {
		return conn, nil
	}
	conn, err := dial(ctx, l.address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = conn
	return conn, nil
}

// current is the connection that there is, or nil.
func (l *link) current() *connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil || l.conn.IsClosed() {
		return nil
	}
	return l.conn
}

func (l *link) channel(ctx context.Context) (*amqp.Channel, error) {
	conn, err := l.connection(ctx)
	if err == nil {
		err = ctx.Err() // dropAfter may have come before this connection, and not come again
	}
	if err != nil {
		return nil, err
	}
	return conn.Channel()
}

// dropAfter drops the connection when ctx is done before stop is called. A broker that is up but does not answer (a
// quorum queue without a leader, a stalled network) would otherwise block the caller for ever.
func (l *link) dropAfter(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		if conn := l.current(); conn != nil {
			_ = conn.socket.Close()
		}
	})
}
