// Package jetstream is the messaging adapter for NATS JetStream.
//
// An exchange is a stream that keeps a message until every subscriber that is known to it has acknowledged the message;
// each of their queues is a durable consumer of that stream. A queue without an exchange is a work-queue stream of its own.
package jetstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"flixtube/chassis/messaging"
	"flixtube/chassis/process"
)

const (
	answerTimeout = 10 * time.Second // for what is not a confirm
	ackWait       = 10 * time.Second // after it the server redelivers the messages of a dead consumer
	maxAckPending = 2000
	maxSize       = messaging.MaxBody + 1<<10 // bytes of a message with its headers
)

// Broker is a connection that reconnects by itself.
type Broker struct {
	conn *nats.Conn
	js   jetstream.JetStream
}

var _ messaging.Connection = (*Broker)(nil)

// Connect returns the broker at a nats:// or tls:// address without waiting for it. The caller closes it.
func Connect(address string) (*Broker, error) {
	conn, err := nats.Connect(address, nats.Name(process.Name()),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(500*time.Millisecond),
		nats.ReconnectBufSize(-1), // a message that cannot be sent now stays in the sender's outbox
		nats.PingInterval(10*time.Second))
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(window),
		jetstream.WithPublishAsyncTimeout(confirmTimeout))
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to JetStream: %w", err)
	}
	return &Broker{conn: conn, js: js}, nil
}

var errNotConnected = errors.New("not connected to NATS")

// Publisher implements [messaging.Broker].
func (b *Broker) Publisher(to messaging.Destination) messaging.Publisher {
	return &publisher{broker: b, to: to}
}

// Ping implements [messaging.Connection].
func (b *Broker) Ping(ctx context.Context) error {
	if !b.conn.IsConnected() {
		return errNotConnected
	}
	return b.conn.FlushWithContext(ctx)
}

// Len implements [messaging.Connection].
func (b *Broker) Len(ctx context.Context, q messaging.Queue) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	consumer, err := b.queue(ctx, q)
	if err != nil {
		return 0, err
	}
	info := consumer.CachedInfo()
	return int(info.NumPending) + info.NumAckPending, nil //nolint:gosec // no queue is as long
}

// Open implements [messaging.Broker].
func (b *Broker) Open(ctx context.Context, q messaging.Queue, prefetch int) (messaging.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	consumer, err := b.queue(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("consume %s: %w", q.Name, err)
	}
	if prefetch == messaging.All {
		prefetch = maxAckPending
	}
	return newSession(consumer, prefetch), nil
}

// Close implements [messaging.Connection].
func (b *Broker) Close() error {
	b.conn.Close()
	return nil
}

// token makes a name fit for a stream, a consumer, or one level of a subject.
func token(name string) string { return strings.ReplaceAll(name, ".", "_") }

func exchangeSubject(exchange string) string { return "exchange." + token(exchange) }

// queueSubject is the subject of the messages for q alone.
func queueSubject(q messaging.Queue) string {
	if q.Exchange != "" {
		return exchangeSubject(q.Exchange) + "." + token(q.Name)
	}
	return "queue." + token(q.Name)
}

// exchange declares an exchange.
func (b *Broker) exchange(ctx context.Context, name string) (jetstream.Stream, error) {
	subject := exchangeSubject(name)
	stream, err := b.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: "exchange_" + token(name), Subjects: []string{subject, subject + ".*"},
		Retention: jetstream.InterestPolicy, Storage: jetstream.FileStorage, MaxMsgSize: maxSize,
	})
	if err != nil {
		return nil, fmt.Errorf("declare exchange %s: %w", name, rejection(err))
	}
	return stream, nil
}

// queue declares a queue.
func (b *Broker) queue(ctx context.Context, q messaging.Queue) (jetstream.Consumer, error) {
	subjects := []string{queueSubject(q)}
	var stream jetstream.Stream
	var err error
	if q.Exchange != "" {
		subjects = append(subjects, exchangeSubject(q.Exchange))
		stream, err = b.exchange(ctx, q.Exchange)
	} else {
		size := int32(maxSize)
		if q.IsDead() {
			size *= 2 // for the headers, which say why
		}
		stream, err = b.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name: "queue_" + token(q.Name), Subjects: subjects,
			Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage, MaxMsgSize: size,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("declare queue %s: %w", q.Name, rejection(err))
	}
	unacknowledged := maxAckPending
	if q.IsDead() {
		unacknowledged = -1 // without a limit, for an operator who looks at all of them
	}
	consumer, err := stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: token(q.Name), FilterSubjects: subjects, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: ackWait, MaxAckPending: unacknowledged, MaxDeliver: -1,
	})
	if err != nil {
		return nil, fmt.Errorf("declare queue %s: %w", q.Name, rejection(err))
	}
	return consumer, nil
}

// invalidConfig is the server's JSStreamInvalidConfigF, which comes with the status 500.
const invalidConfig = 10052

// rejection marks an error of a declaration as one that a retry does not repair.
func rejection(err error) error {
	var answer *jetstream.APIError
	if errors.Is(err, messaging.ErrQueueRejected) || !errors.As(err, &answer) ||
		answer.Code != http.StatusBadRequest && answer.ErrorCode != invalidConfig {
		return err
	}
	return fmt.Errorf("%w: %w", messaging.ErrQueueRejected, err)
}
