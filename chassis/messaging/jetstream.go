package messaging

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"flixtube/chassis/process"
)

// jetStream speaks NATS JetStream. An exchange is a stream that keeps a message for as long as one of the
// subscribers known to it has not acknowledged it; each of their queues is a durable consumer of that stream. A
// queue without an exchange is a work-queue stream of its own.
type jetStream struct {
	conn *nats.Conn
	js   jetstream.JetStream

	mu       sync.Mutex
	declared map[string]bool // destinations
}

const (
	ackWait       = 10 * time.Second // after it the server delivers again what a dead consumer held
	stillWorking  = ackWait / 3
	maxAckPending = 2000
	maxSize       = MaxBody + 1<<10 // bytes of a message with its headers
)

func connectJetStream(address string) (*jetStream, error) {
	conn, err := nats.Connect(address, nats.Name(process.Name()),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(500*time.Millisecond),
		nats.ReconnectBufSize(-1), // what cannot be sent is the outbox's to keep
		nats.PingInterval(10*time.Second))
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(window),
		jetstream.WithPublishAsyncTimeout(confirmTimeout))
	if err != nil {
		return nil, fmt.Errorf("connect to JetStream: %w", err)
	}
	return &jetStream{conn: conn, js: js, declared: map[string]bool{}}, nil
}

var errNotConnected = errors.New("not connected to NATS")

func (j *jetStream) Ping(ctx context.Context) error {
	if !j.conn.IsConnected() {
		return errNotConnected
	}
	return j.conn.FlushWithContext(ctx)
}

func (j *jetStream) Len(ctx context.Context, q Queue) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	consumer, err := j.queue(ctx, q)
	if err != nil {
		return 0, err
	}
	info := consumer.CachedInfo()
	return int(info.NumPending) + info.NumAckPending, nil //nolint:gosec // no queue is as long
}

func (j *jetStream) Close() error {
	j.conn.Close()
	return nil
}

// token makes a name fit for a stream, a consumer, or one level of a subject.
func token(name string) string { return strings.ReplaceAll(name, ".", "_") }

func exchangeSubject(exchange string) string { return "exchange." + token(exchange) }

// queueSubject is what reaches q and no other.
func queueSubject(q Queue) string {
	if q.Exchange != "" {
		return exchangeSubject(q.Exchange) + "." + token(q.Name)
	}
	return "queue." + token(q.Name)
}

func (j *jetStream) exchange(ctx context.Context, name string) (jetstream.Stream, error) {
	subject := exchangeSubject(name)
	stream, err := j.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: "exchange_" + token(name), Subjects: []string{subject, subject + ".*"},
		Retention: jetstream.InterestPolicy, Storage: jetstream.FileStorage, MaxMsgSize: maxSize,
	})
	if err != nil {
		return nil, fmt.Errorf("declare exchange %s: %w", name, err)
	}
	return stream, nil
}

func (j *jetStream) queue(ctx context.Context, q Queue) (jetstream.Consumer, error) {
	subjects := []string{queueSubject(q)}
	var stream jetstream.Stream
	var err error
	if q.Exchange != "" {
		subjects = append(subjects, exchangeSubject(q.Exchange))
		stream, err = j.exchange(ctx, q.Exchange)
	} else {
		size := int32(maxSize)
		if strings.HasSuffix(q.Name, dead) {
			size *= 2 // for the headers, which say why
		}
		stream, err = j.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name: "queue_" + token(q.Name), Subjects: subjects,
			Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage, MaxMsgSize: size,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("declare queue %s: %w", q.Name, err)
	}
	consumer, err := stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: token(q.Name), FilterSubjects: subjects, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: ackWait, MaxAckPending: maxAckPending, MaxDeliver: -1,
	})
	if err != nil {
		return nil, fmt.Errorf("declare queue %s: %w", q.Name, err)
	}
	return consumer, nil
}

// declare makes the streams and consumers of a destination, once for as long as nothing fails.
func (j *jetStream) declare(ctx context.Context, to Destination) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.declared[to.key()] {
		return nil
	}
	if to.exchange != "" {
		if _, err := j.exchange(ctx, to.exchange); err != nil {
			return err
		}
	}
	for _, q := range to.queues {
		if _, err := j.queue(ctx, q); err != nil {
			return err
		}
	}
	j.declared[to.key()] = true
	return nil
}

func (j *jetStream) Publish(ctx context.Context, to Destination, msgs []Message) error {
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	if !j.conn.IsConnected() {
		return fmt.Errorf("publish to %s: %w", to, errNotConnected)
	}
	err := j.declare(ctx, to)
	if err == nil {
		err = j.publish(ctx, to, msgs)
	}
	if err != nil {
		j.mu.Lock()
		delete(j.declared, to.key())
		j.mu.Unlock()
		return fmt.Errorf("publish to %s: %w", to, err)
	}
	return nil
}

// headerID holds the id of a message. It is not Nats-Msg-Id, by which the server would drop a message that is
// put back from the dead letters soon after it was sent.
const headerID = "Message-Id"

func (j *jetStream) publish(ctx context.Context, to Destination, msgs []Message) error {
	subject := exchangeSubject(to.exchange)
	if to.exchange == "" {
		subject = queueSubject(to.queues[0])
	}
	confirms := make([]jetstream.PubAckFuture, len(msgs))
	for i, m := range msgs {
		header := nats.Header{headerID: {m.ID}}
		for k, v := range m.Headers {
			header[k] = []string{v}
		}
		var err error
		confirms[i], err = j.js.PublishMsgAsync(&nats.Msg{Subject: subject, Header: header, Data: m.Body},
			jetstream.WithStallWait(confirmTimeout))
		if err != nil {
			return err
		}
	}
	for _, c := range confirms {
		select {
		case <-c.Ok():
		case err := <-c.Err():
			return fmt.Errorf("wait for the confirm: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("wait for the confirm: %w", ctx.Err())
		}
	}
	return nil
}

func (j *jetStream) Open(ctx context.Context, q Queue, prefetch int) (Session, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	consumer, err := j.queue(ctx, q)
	if err != nil {
		return nil, err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(prefetch), jetstream.PullHeartbeat(5*time.Second))
	if err != nil {
		return nil, fmt.Errorf("consume %s: %w", q.Name, err)
	}
	s := &jetSession{
		messages: messages,
		out:      make(chan Delivery, maxAckPending),
		closed:   make(chan struct{}), open: map[jetstream.Msg]struct{}{},
	}
	ended := make(chan struct{})
	go s.receive(ended)
	go s.keep(ended)
	return s, nil
}

// jetSession takes messages from a durable consumer. Those that are not acknowledged yet it keeps from being
// delivered again, for as long as it lives.
type jetSession struct {
	messages jetstream.MessagesContext
	out      chan Delivery // holds all that the server may leave unacknowledged
	closed   chan struct{}
	once     sync.Once

	mu   sync.Mutex
	open map[jetstream.Msg]struct{}
}

func (s *jetSession) receive(ended chan<- struct{}) {
	defer close(s.out)
	defer close(ended)
	for {
		m, err := s.messages.Next()
		if err != nil {
			return
		}
		delivery := Delivery{Message: Message{ID: m.Headers().Get(headerID), Body: m.Data(), Headers: map[string]string{}}, handle: m}
		for k, v := range m.Headers() {
			if k != headerID && len(v) > 0 {
				delivery.Headers[k] = v[0]
			}
		}
		if metadata, err := m.Metadata(); err == nil {
			delivery.Attempts = int(metadata.NumDelivered) - 1 //nolint:gosec // bounded by deliveryLimit
		}
		s.mu.Lock()
		s.open[m] = struct{}{}
		s.mu.Unlock()
		select {
		case s.out <- delivery:
		case <-s.closed:
			return
		}
	}
}

func (s *jetSession) keep(ended <-chan struct{}) {
	tick := time.NewTicker(stillWorking)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		s.mu.Lock()
		for m := range s.open {
			_ = m.InProgress() // if it is lost the message comes again, as after a crash
		}
		s.mu.Unlock()
	}
}

func (s *jetSession) Deliveries() <-chan Delivery { return s.out }

func (s *jetSession) Ack(done []Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range done {
		m := d.handle.(jetstream.Msg)
		if err := m.Ack(); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
		delete(s.open, m)
	}
	return nil
}

// Close gives back what was not acknowledged, so that it need not wait for ackWait.
func (s *jetSession) Close() error {
	s.once.Do(func() { close(s.closed) })
	s.messages.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for m := range s.open {
		_ = m.Nak() // if it is lost the message comes again after ackWait
	}
	clear(s.open)
	return nil
}
