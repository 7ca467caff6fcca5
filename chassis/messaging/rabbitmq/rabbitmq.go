// Package rabbitmq is the messaging adapter for RabbitMQ (AMQP 0-9-1).
//
// A queue with an exchange is a quorum queue, whose messages the broker itself dead-letters after brokerLimit
// redeliveries. Exchanges and all other queues are declared plainly (durable, no arguments): other programs declare them
// too, and the broker rejects a declaration that differs (PRECONDITION_FAILED, AMQP 0-9-1 section 1.2). A queue without an
// exchange is also bound to a fanout exchange of its own: <queue>.queue, or <queue> for dead letters.
package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"flixtube/chassis/messaging"
)

const (
	answerTimeout = 10 * time.Second // for what is not a confirm

	// brokerLimit is for messages that consumers cannot dead-letter themselves, with the reason, at
	// messaging.DeliveryLimit. It is the default of RabbitMQ 4's quorum queues.
	brokerLimit = messaging.DeliveryLimit + 5
)

// Broker dials when it needs to, once for everything that it publishes and once for each session: RabbitMQ stops reading
// from a connection that publishes too fast, and a connection that is dropped because one queue does not answer must not
// end the sessions of others.
type Broker struct {
	address    string
	publishing *link
}

var _ messaging.Connection = (*Broker)(nil)

// Connect returns the broker at an amqp:// or amqps:// address without waiting for it. The caller closes it.
func Connect(address string) *Broker {
	return &Broker{address: address, publishing: newLink(address)}
}

// Publisher returns a publisher with a channel of its own on the shared connection.
func (b *Broker) Publisher(to messaging.Destination) messaging.Publisher {
	return &publisher{link: b.publishing, to: to}
}

// Ping implements [messaging.Connection].
func (b *Broker) Ping(ctx context.Context) error {
	_, err := b.publishing.connection(ctx)
	return err
}

// Len implements [messaging.Connection].
func (b *Broker) Len(ctx context.Context, q messaging.Queue) (n int, err error) {
	conn, err := b.use(ctx, func(conn *connection) error {
		_, err := declare(conn.Channel, func(d declarer) (err error) {
			n, err = d.queue(q)
			return err
		})
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, conn.close()
}

// Open implements [messaging.Broker].
func (b *Broker) Open(ctx context.Context, q messaging.Queue, prefetch int) (_ messaging.Session, err error) {
	s := &session{counted: isQuorum(q), out: make(chan messaging.Delivery), closed: make(chan struct{})}
	var in <-chan amqp.Delivery
	s.conn, err = b.use(ctx, func(conn *connection) error {
		d, err := declare(conn.Channel, func(d declarer) error {
			_, err := d.queue(q)
			return err
		})
		if err != nil {
			return err
		}
		s.ch = d.ch
		if err := s.ch.Qos(prefetch, 0, false); err != nil {
			return err
		}
		in, err = s.ch.Consume(q.Name, "", false, false, false, false, nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("consume %s: %w", q.Name, err)
	}
	go s.receive(in)
	return s, nil
}

// Close ends the connection that publishes.
func (b *Broker) Close() error {
	if conn := b.publishing.current(); conn != nil {
		return conn.close()
	}
	return nil
}

// use makes a connection, which the caller closes, and calls f with it.
func (b *Broker) use(ctx context.Context, f func(*connection) error) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	conn, err := dial(ctx, b.address)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.socket.Close() })() // it may never answer, as in dropAfter
	if err := f(conn); err != nil {
		_ = conn.close()
		return nil, rejection(err)
	}
	return conn, nil
}

// rejection marks an error of a declaration as one that a retry does not repair. NOT_FOUND is none of them: a queue whose
// node is down answers so.
func rejection(err error) error {
	var answer *amqp.Error
	if errors.As(err, &answer) && slices.Contains([]int{amqp.AccessRefused, amqp.ResourceLocked, amqp.PreconditionFailed}, answer.Code) {
		return fmt.Errorf("%w: %w", messaging.ErrQueueRejected, err)
	}
	return err
}
