package messaging

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"flixtube/chassis"
)

// rabbitMQ speaks AMQP 0-9-1. It dials when it needs to and keeps two connections, because RabbitMQ stops
// reading from one that publishes too fast, and acknowledgements must not wait behind that.
//
// A queue with an exchange is a quorum queue whose messages the broker itself sends to the dead letters after
// deliveryLimit returns. Exchanges and all other queues are declared plainly (durable, no arguments): programs
// of others declare them too, and a difference would be refused (PRECONDITION_FAILED, AMQP 0-9-1 section 1.2).
type rabbitMQ struct {
	publish, consume *link
	mu               sync.Mutex
	publishers       map[string]*publisher
}

const (
	dialTimeout    = 10 * time.Second
	heartbeat      = 5 * time.Second  // a connection that is silent for three of them is closed
	confirmTimeout = 30 * time.Second // for all that one Publish sends
	answerTimeout  = 10 * time.Second // for anything else
	window         = 1000             // unconfirmed messages at a time
)

func connectRabbitMQ(address string) *rabbitMQ {
	return &rabbitMQ{
		publish: newLink(address), consume: newLink(address),
		publishers: map[string]*publisher{},
	}
}

// link is a connection that is made when it is asked for and made again when it was lost.
type link struct {
	address string
	dialing chan struct{} // holds a token while somebody dials: the others wait, but no longer than they want to

	mu     sync.Mutex
	conn   *amqp.Connection
	socket net.Conn
}

func newLink(address string) *link { return &link{address: address, dialing: make(chan struct{}, 1)} }

// connection returns the connection, which it makes if need be, or an error when ctx is done.
func (l *link) connection(ctx context.Context) (*amqp.Connection, error) {
	if conn := l.current(); conn != nil {
		return conn, nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	select {
	case l.dialing <- struct{}{}:
		defer func() { <-l.dialing }()
	case <-ctx.Done():
		return nil, fmt.Errorf("connect to RabbitMQ: %w", ctx.Err())
	}
	if conn := l.current(); conn != nil {
		return conn, nil
	}
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(chassis.Name())
	var socket net.Conn
	conn, err := amqp.DialConfig(l.address, amqp.Config{
		Heartbeat: heartbeat, Properties: properties,
		Dial: func(network, addr string) (_ net.Conn, err error) {
			if socket, err = new(net.Dialer).DialContext(ctx, network, addr); err != nil {
				return nil, err
			}
			deadline, _ := ctx.Deadline() // for the handshakes; DialConfig lifts it
			return socket, socket.SetDeadline(deadline)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("connect to RabbitMQ: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn, l.socket = conn, socket
	return conn, nil
}

// current is the connection that there is, or nil.
func (l *link) current() *amqp.Connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil || l.conn.IsClosed() {
		return nil
	}
	return l.conn
}

func (l *link) channel(ctx context.Context) (*amqp.Channel, error) {
	conn, err := l.connection(ctx)
	if err != nil {
		return nil, err
	}
	return conn.Channel()
}

// dropAfter drops the connection when ctx is done before stop is called. A broker that is up and gives no answer (a
// quorum queue without a leader, a stalled network) would otherwise hold the caller for ever.
func (l *link) dropAfter(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.socket != nil {
			_ = l.socket.Close()
		}
	})
}

func (l *link) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil || l.conn.IsClosed() {
		return nil
	}
	return l.conn.CloseDeadline(time.Now().Add(2 * time.Second))
}

func (r *rabbitMQ) Ping(ctx context.Context) error {
	_, err := r.publish.connection(ctx)
	return err
}

func (r *rabbitMQ) Len(ctx context.Context, q Queue) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	defer r.consume.dropAfter(ctx)()
	ch, err := r.consume.channel(ctx)
	if err != nil {
		return 0, err
	}
	defer ch.Close()
	return declareQueue(ch, q)
}

func (r *rabbitMQ) Close() error {
	return errors.Join(r.consume.close(), r.publish.close())
}

func declareExchange(ch *amqp.Channel, name string) error {
	if err := ch.ExchangeDeclare(name, amqp.ExchangeFanout, true, false, false, false, nil); err != nil {
		return fmt.Errorf("declare exchange %s: %w", name, err)
	}
	return nil
}

// declareQueue returns how many messages the queue holds.
func declareQueue(ch *amqp.Channel, q Queue) (int, error) {
	var arguments amqp.Table
	if q.Exchange != "" {
		if err := declareExchange(ch, q.Exchange); err != nil {
			return 0, err
		}
		if _, err := declareQueue(ch, q.Dead()); err != nil {
			return 0, err
		}
		arguments = amqp.Table{
			amqp.QueueTypeArg:           amqp.QueueTypeQuorum,
			"x-delivery-limit":          deliveryLimit,
			"x-dead-letter-exchange":    "",
			"x-dead-letter-routing-key": q.Dead().Name,
			"x-dead-letter-strategy":    "at-least-once",
			amqp.QueueOverflowArg:       amqp.QueueOverflowRejectPublish, // at-least-once asks for it
		}
	}
	declared, err := ch.QueueDeclare(q.Name, true, false, false, false, arguments)
	if err != nil {
		return 0, fmt.Errorf("declare queue %s: %w", q.Name, err)
	}
	if q.Exchange != "" {
		if err := ch.QueueBind(q.Name, "", q.Exchange, false, nil); err != nil {
			return 0, fmt.Errorf("bind queue %s: %w", q.Name, err)
		}
	}
	return declared.Messages, nil
}

// publisher is the channel on which one destination is published to, one window at a time.
type publisher struct {
	mu       sync.Mutex
	to       Destination
	ch       *amqp.Channel
	returned chan amqp.Return
}

func (r *rabbitMQ) Publish(ctx context.Context, to Destination, msgs []Message) error {
	r.mu.Lock()
	p := r.publishers[to.String()]
	if p == nil {
		p = &publisher{to: to}
		r.publishers[to.String()] = p
	}
	r.mu.Unlock()

	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	defer r.publish.dropAfter(ctx)()
	for part := range slices.Chunk(msgs, window) {
		if err := p.publish(ctx, r.publish, part); err != nil {
			if p.ch != nil {
				_ = p.ch.Close() // it may hold confirms that nobody waits for any more
				p.ch = nil
			}
			return fmt.Errorf("publish to %s: %w", to, err)
		}
	}
	return nil
}

func (p *publisher) open(ctx context.Context, l *link) error {
	ch, err := l.channel(ctx)
	if err != nil {
		return err
	}
	p.ch = ch
	if p.to.exchange != "" {
		if err := declareExchange(ch, p.to.exchange); err != nil {
			return err
		}
	}
	for _, q := range p.to.queues {
		if _, err := declareQueue(ch, q); err != nil {
			return err
		}
	}
	p.returned = ch.NotifyReturn(make(chan amqp.Return, window))
	return ch.Confirm(false)
}

func (p *publisher) publish(ctx context.Context, l *link, msgs []Message) error {
	if p.ch == nil || p.ch.IsClosed() {
		if err := p.open(ctx, l); err != nil {
			return err
		}
	}
	key := ""
	if p.to.exchange == "" {
		key = p.to.queues[0].Name
	}
	confirms := make([]*amqp.DeferredConfirmation, len(msgs))
	for i, m := range msgs {
		headers := amqp.Table{}
		for k, v := range m.Headers {
			headers[k] = v
		}
		var err error
		confirms[i], err = p.ch.PublishWithDeferredConfirmWithContext(ctx, p.to.exchange, key, true, false, amqp.Publishing{
			MessageId: m.ID, Body: m.Body, Headers: headers,
			ContentType: "application/json", DeliveryMode: amqp.Persistent, Timestamp: time.Now(),
		})
		if err != nil {
			return err
		}
	}
	for _, c := range confirms {
		ok, err := c.WaitContext(ctx)
		if err != nil {
			return fmt.Errorf("wait for the confirm: %w", err)
		}
		if !ok {
			return errors.New("not confirmed")
		}
	}
	// A message that no queue takes is returned, and then confirmed all the same.
	select {
	case r, ok := <-p.returned:
		if ok {
			return fmt.Errorf("returned: %s", r.ReplyText)
		}
	default:
	}
	return nil
}

func (r *rabbitMQ) Open(ctx context.Context, q Queue, prefetch int) (Session, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	defer r.consume.dropAfter(ctx)()
	ch, err := r.consume.channel(ctx)
	if err != nil {
		return nil, err
	}
	s := &rabbitSession{link: r.consume, ch: ch, out: make(chan Delivery), closed: make(chan struct{})}
	if _, err = declareQueue(ch, q); err == nil {
		err = ch.Qos(prefetch, 0, false)
	}
	var in <-chan amqp.Delivery
	if err == nil {
		in, err = ch.Consume(q.Name, "", false, false, false, false, nil)
	}
	if err != nil {
		_ = ch.Close()
		return nil, fmt.Errorf("consume %s: %w", q.Name, err)
	}
	go s.receive(in)
	return s, nil
}

// rabbitSession is a channel with one consumer. Its delivery tags count from 1 (AMQP 0-9-1 section 1.8).
type rabbitSession struct {
	link   *link
	ch     *amqp.Channel
	out    chan Delivery
	closed chan struct{}
	once   sync.Once

	acked, highest uint64 // how many tags are acknowledged, and the highest of them
}

func (s *rabbitSession) receive(in <-chan amqp.Delivery) {
	defer close(s.out)
	for d := range in {
		headers := map[string]string{}
		for k, v := range d.Headers {
			headers[k] = fmt.Sprint(v)
		}
		attempts, _ := d.Headers["x-delivery-count"].(int64) // absent on the first delivery
		delivery := Delivery{
			Message:  Message{ID: d.MessageId, Body: d.Body, Headers: headers},
			Attempts: int(attempts), handle: d.DeliveryTag,
		}
		select {
		case s.out <- delivery:
		case <-s.closed:
			return
		}
	}
}

func (s *rabbitSession) Deliveries() <-chan Delivery { return s.out }

// Ack settles a whole run of tags with one frame (multiple) when no older one is still open.
func (s *rabbitSession) Ack(done []Delivery) error {
	last := uint64(0)
	for _, d := range done {
		last = max(last, d.handle.(uint64))
	}
	all := s.acked+uint64(len(done)) == last && s.highest <= last
	s.acked += uint64(len(done))
	s.highest = max(s.highest, last)
	if all {
		return s.ch.Ack(last, true)
	}
	for _, d := range done {
		if err := s.ch.Ack(d.handle.(uint64), false); err != nil {
			return err
		}
	}
	return nil
}

func (s *rabbitSession) Close() error {
	s.once.Do(func() { close(s.closed) })
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	defer s.link.dropAfter(ctx)()
	return s.ch.Close()
}
