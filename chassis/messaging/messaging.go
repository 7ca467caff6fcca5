// Package messaging is the port through which services send facts to each other, and the consumer of a queue. It knows no
// broker: the adapters are in the packages rabbitmq and jetstream, and [flixtube/chassis/messaging/brokers] chooses one.
// They keep one contract, which messagingtest.TestBroker states and tests.
package messaging

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Message is one fact.
type Message struct {
	ID      string            // names the fact, and stays the same each time it is sent (AMQP: message-id)
	Body    []byte            // JSON
	Headers map[string]string // only dead letters have some
}

// unnamed begins the ids that consumers give to messages that have none.
const unnamed = "unnamed-"

// Named tells whether the sender gave m its ID. A consumer gives one to a message that has none: it lasts through the
// retries and in the dead letters, but differs when the broker delivers the message again.
func (m Message) Named() bool { return m.ID != "" && !strings.HasPrefix(m.ID, unnamed) }

// MaxBody is how long the body of a message may be, in bytes. JetStream rejects a longer one, RabbitMQ when its
// max_message_size says so.
const MaxBody = 64 << 10

// CutTo is how much consumers keep of a body that is longer than [MaxBody], in bytes: enough to see where it came from.
const CutTo = 1 << 10

// Queue names a durable queue. With an Exchange it belongs to one service and is bound to that durable fanout exchange;
// without one it stands alone, and each message on it goes to one of its consumers.
type Queue struct {
	Name     string
	Exchange string
}

const dead = ".dead"

// Dead is the queue of the messages that cannot be handled.
func (q Queue) Dead() Queue { return Queue{Name: q.Name + dead} }

// IsDead tells whether q holds dead letters.
func (q Queue) IsDead() bool { return strings.HasSuffix(q.Name, dead) }

// Destination is where messages are sent: an exchange, as [Fanout] makes it, or one queue, as [To] does.
type Destination struct {
	Exchange string  // fanout; empty for one queue
	Queues   []Queue // to declare before anything is sent; without an exchange the one that gets the messages
}

// Fanout sends to every queue that is bound to the exchange. Those of the known subscribers are declared along with it:
// a message that is sent before a subscriber's first start waits for it.
func Fanout(exchange string, subscribers ...string) Destination {
	d := Destination{Exchange: exchange}
	for _, name := range subscribers {
		d.Queues = append(d.Queues, Queue{Name: name, Exchange: exchange})
	}
	return d
}

// To sends to one queue and nothing else.
func To(q Queue) Destination { return Destination{Queues: []Queue{q}} }

func (d Destination) String() string {
	if d.Exchange != "" {
		return d.Exchange
	}
	return d.Queues[0].Name
}

// Publisher sends messages to one destination. It is safe for concurrent use.
type Publisher interface {
	// Publish sends msgs in their order and returns nil once the broker has confirmed every one. After an error any of
	// them may have arrived or not: send them all again, under the same IDs.
	Publish(ctx context.Context, msgs []Message) error
}

// Broker is a message broker, as those who send and consume need it. It is safe for concurrent use.
type Broker interface {
	// Publisher returns a publisher, without waiting for the broker. It may hold resources until the connection is
	// closed: make one for each destination and keep it.
	Publisher(to Destination) Publisher

	// Open declares q and starts to fetch messages from it before they are asked for: RabbitMQ sends up to prefetch
	// unacknowledged messages to each session, JetStream up to 2000 to all sessions of q together, or all that there are if
	// q holds dead letters. Of those that wait for its caller a session keeps a few MiB at most. It fails with
	// [ErrQueueRejected] if the broker answers that it will not have such a queue. The caller closes the session.
	Open(ctx context.Context, q Queue, prefetch int) (Session, error)
}

// All is the prefetch of a session that sees every message, without acknowledging any. Only queues of dead letters allow
// that on every broker.
const All = 0

// Connection is a [Broker] and the connection to it. It is safe for concurrent use.
type Connection interface {
	Broker

	// Len declares q and returns how many messages wait in it. RabbitMQ does not count those that a consumer holds
	// unacknowledged.
	Len(ctx context.Context, q Queue) (int, error)

	// Ping is nil when there is a connection to the broker, or one can be made. A connection that went silent counts
	// until its heartbeat fails.
	Ping(ctx context.Context) error

	// Close ends the connection. Close the sessions before.
	Close() error
}

// ErrQueueRejected is why a queue cannot be consumed although the broker is there: it has a queue of this name with other
// properties, say, or the account may not declare it. Retrying does not help until somebody changes that.
var ErrQueueRejected = errors.New("the broker rejects the queue")

// Session delivers the messages of one queue.
type Session interface {
	// Deliveries is closed when the session is over: it was closed, or the broker ended it, or the connection was lost,
	// which may take some seconds to be noticed.
	Deliveries() <-chan Delivery

	// Ack tells the broker that these are handled and must not be delivered again.
	Ack(handled []Delivery) error

	// Close ends the session. Messages that were not acknowledged are delivered again.
	Close() error
}

// Delivery is a message that waits for its acknowledgement.
type Delivery struct {
	Message
	Sent         time.Time // when it was published, by the clock of the publisher or the broker; zero if neither says
	CutFrom      int       // how long the body is in the broker, in bytes, if it is longer than MaxBody: Body is its beginning
	Redeliveries int       // how often the broker has delivered it before, if it counts that
	Tag          any       // by which the adapter acknowledges it; nothing to others
}

// DeliveryLimit is how often a message may be redelivered to consumers that never settle it, because handling it kills
// their process, before it is a dead letter.
const DeliveryLimit = 15

// Handler does the work of a batch: nil acknowledges all of it. After any other error than [Rejects] each message of the
// batch is handled again alone, so the handler must be idempotent by ID. A single message that fails is retried, with
// growing delays, up to five times in all; then it is a dead letter.
type Handler func(ctx context.Context, batch []Message) error

// Rejects is an error that says: the messages at these positions of the batch can never be handled, for these reasons;
// the others are done.
type Rejects map[int]error

func (r Rejects) Error() string { return fmt.Sprintf("%d messages rejected", len(r)) }

// Decoded makes a Handler of two parts: decode turns one message into a T, or says why it never will be one; handle works
// on those that are.
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

// Subscription says how a queue is consumed.
type Subscription struct {
	Queue   Queue
	Handler Handler

	// Ready probes the handler's dependencies, such as its database. While it fails nothing is handled, no try is used
	// up, and the deliveries at hand are kept. nil: always ready.
	Ready func(context.Context) error
}
