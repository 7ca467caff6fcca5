// Package messaging is the one port through which services send facts to each other, with two adapters:
// RabbitMQ (AMQP 0-9-1) and NATS JetStream. Both keep the same contract, and one test suite holds them to it:
//
//   - Publish returns nil only when the broker has every message safe (a publisher confirm).
//   - A message is delivered at least once; it is acknowledged after the handler's work, so a consumer
//     that dies in the middle gets it again. Handlers must be idempotent by [Message.ID].
//   - A handler that fails is tried again with growing pauses. A message that cannot be handled goes to the
//     queue's dead letters, [Queue.Dead], with the reason in its headers.
//   - A broker that is away is waited for, however long it takes.
package messaging

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Message is one fact on its way.
type Message struct {
	ID      string            // names the fact, and stays the same each time it is sent (AMQP: message-id)
	Body    []byte            // JSON
	Headers map[string]string // only dead letters have some
}

// Named tells whether m has its ID from whoever sent it. A consumer gives one to a message that comes without,
// which lasts through its tries and in the dead letters, but is another when the broker delivers it again.
func (m Message) Named() bool { return m.ID != "" && !strings.HasPrefix(m.ID, unnamed) }

// Queue names a durable queue. With an Exchange it belongs to one service and is bound to that durable
// fanout exchange; without one it stands alone and each message on it goes to one of its consumers.
type Queue struct {
	Name     string
	Exchange string
}

const dead = ".dead"

// Dead is where the messages go that cannot be handled.
func (q Queue) Dead() Queue { return Queue{Name: q.Name + dead} }

// MaxBody is how long the body of a message may be, in bytes. JetStream refuses longer ones from everybody, RabbitMQ
// when it is told so by max_message_size.
const MaxBody = 64 << 10

// Destination is where messages are sent: an exchange (Fanout) or one queue (To).
type Destination struct {
	exchange string
	queues   []Queue
}

// Fanout sends to every queue that is bound to the exchange. Those of the known subscribers are declared
// along with it: what is sent before a subscriber's first start waits for it.
func Fanout(exchange string, subscribers ...string) Destination {
	d := Destination{exchange: exchange}
	for _, name := range subscribers {
		d.queues = append(d.queues, Queue{Name: name, Exchange: exchange})
	}
	return d
}

// To sends to one queue and nothing else.
func To(q Queue) Destination { return Destination{queues: []Queue{q}} }

// key is the same for equal destinations only; an exchange and a queue may have the same name.
func (d Destination) key() string { return fmt.Sprintf("%q %q", d.exchange, d.queues) }

func (d Destination) String() string {
	if d.exchange != "" {
		return d.exchange
	}
	return d.queues[0].Name
}

// Broker is a connection to a message broker. It is safe for concurrent use.
type Broker interface {
	// Publish sends msgs in their order and returns nil once the broker has confirmed every one. After an
	// error any of them may have arrived or not: send them all again, under the same IDs.
	Publish(ctx context.Context, to Destination, msgs []Message) error

	// Open declares q and starts taking messages from it, ahead of their acknowledgement: RabbitMQ gives up to
	// prefetch of them to each session, JetStream up to 2000 to all sessions of q together. The caller closes
	// the session.
	Open(ctx context.Context, q Queue, prefetch int) (Session, error)

	// Len declares q and says how many messages wait in it. RabbitMQ does not count those that a consumer has
	// taken and not acknowledged yet.
	Len(ctx context.Context, q Queue) (int, error)

	// Ping is nil when there is a connection to the broker, or one can be made. One that went silent counts as
	// a connection until its heartbeat notices.
	Ping(ctx context.Context) error

	// Close ends the connection. Sessions are closed before.
	Close() error
}

// Session takes messages from one queue.
type Session interface {
	// Deliveries is closed when the session is over: it was closed, or its connection was lost, which may take
	// some seconds to be noticed, or the broker ended it.
	Deliveries() <-chan Delivery

	// Ack tells the broker that these are done, and must not come again.
	Ack(done []Delivery) error

	// Close ends the session; what was not acknowledged will be delivered again.
	Close() error
}

// Delivery is a message that waits for its acknowledgement.
type Delivery struct {
	Message
	Attempts int // how often the broker has delivered it before, where it counts that
	handle   any // the adapter's own
}

// Connect returns the broker behind an amqp:// or nats:// address without waiting for it: a broker that is
// not there yet is an error of Ping and Publish, not of Connect. The caller closes it.
func Connect(address string) (Broker, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("RABBIT is not a URL") // err would show the password
	}
	switch u.Scheme {
	case "amqp", "amqps":
		return connectRabbitMQ(address), nil
	case "nats", "tls":
		return connectJetStream(address)
	}
	return nil, fmt.Errorf("RABBIT must start with amqp:// or nats://, not with %q", u.Scheme)
}

// Handler does the work of a batch: nil acknowledges all of it. After any other error than [Rejects] each
// message of the batch is offered again alone, so the handler must be idempotent by ID; a single message that
// fails is tried again later, up to [Subscription.Tries] times.
type Handler func(ctx context.Context, batch []Message) error

// Rejects is an error that says: the messages at these positions of the batch can never be handled, for these
// reasons; the others are done.
type Rejects map[int]error

func (r Rejects) Error() string { return fmt.Sprintf("%d messages rejected", len(r)) }

// Decoded makes a Handler of two parts: decode turns one message into a T, or says why it never will be one;
// handle works on those that are.
func Decoded[T any](decode func(Message) (T, error), handle func(context.Context, []T) error) Handler {
	return func(ctx context.Context, batch []Message) error {
		rejects := Rejects{}
		decoded := make([]T, 0, len(batch))
		for i, m := range batch {
			v, err := decode(m)
			if err != nil {
				rejects[i] = err
				continue
			}
			decoded = append(decoded, v)
		}
		if len(decoded) > 0 {
			if err := handle(ctx, decoded); err != nil {
				return err
			}
		}
		if len(rejects) > 0 {
			return rejects
		}
		return nil
	}
}

// Subscription says how a queue is consumed. Zero values take the defaults.
type Subscription struct {
	Queue   Queue
	Handler Handler

	// Ready probes what the handler needs, its database say. While it fails, the subscription leaves alone what
	// it has taken, takes no more than it can hold, and uses up no tries. nil: always ready.
	Ready func(context.Context) error

	Batch int           // most messages in one batch: 500
	Tries int           // how often a message is handled before it is given up: 5
	Pause time.Duration // before the second try; each further one waits four times as long: 250 ms
}

func (s Subscription) withDefaults() Subscription {
	if s.Batch == 0 {
		s.Batch = 500
	}
	if s.Tries == 0 {
		s.Tries = 5
	}
	if s.Pause == 0 {
		s.Pause = 250 * time.Millisecond
	}
	if s.Ready == nil {
		s.Ready = func(context.Context) error { return nil }
	}
	return s
}
