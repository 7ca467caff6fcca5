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

	"flixtube/chassis/process"
)

// rabbitMQ speaks AMQP 0-9-1. It dials when it needs to, once for all that it publishes and once for each session:
// RabbitMQ stops reading from a connection that publishes too fast, and one that is dropped because a single queue
// does not answer must not take other consumers along.
//
// A queue with an exchange is a quorum queue whose messages the broker itself sends to the dead letters after
// brokerLimit returns. Exchanges and all other queues are declared plainly (durable, no arguments): programs
// of others declare them too, and a difference would be refused (PRECONDITION_FAILED, AMQP 0-9-1 section 1.2).
type rabbitMQ struct {
	address    string
	publish    *link
	mu         sync.Mutex
	publishers map[string]*publisher // by the key of their destination
}

const (
	dialTimeout    = 10 * time.Second
	heartbeat      = 5 * time.Second  // a connection that is silent for three of them is closed
	confirmTimeout = 30 * time.Second // for all that one Publish sends
	answerTimeout  = 10 * time.Second // for anything else
	closeTimeout   = 2 * time.Second
	window         = 1000 // unconfirmed messages at a time

	// brokerLimit is for what consumers can't give up themselves, at deliveryLimit and with the reason in the
	// letter. It is the default of RabbitMQ 4's quorum queues.
	brokerLimit = deliveryLimit + 5
)

func connectRabbitMQ(address string) *rabbitMQ {
	return &rabbitMQ{
		address: address,
		publish: &link{address: address, dialing: make(chan struct{}, 1)}, publishers: map[string]*publisher{},
	}
}

// connection is an AMQP connection and the socket below it.
type connection struct {
	*amqp.Connection
	socket net.Conn
}

func dial(ctx context.Context, address string) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(process.Name())
	var socket net.Conn
	conn, err := amqp.DialConfig(address, amqp.Config{
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
	return &connection{conn, socket}, nil
}

func (c *connection) close() error { return c.CloseDeadline(time.Now().Add(closeTimeout)) }

// link is a connection that is made when it is asked for and made again when it was lost.
type link struct {
	address string
	dialing chan struct{} // holds a token while somebody dials: the others wait, but no longer than they want to

	mu   sync.Mutex
	conn *connection
}

// connection returns the connection, which it makes if need be, or an error when ctx is done.
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

// dropAfter drops the connection when ctx is done before stop is called. A broker that is up and gives no answer (a
// quorum queue without a leader, a stalled network) would otherwise hold the caller for ever.
func (l *link) dropAfter(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		if conn := l.current(); conn != nil {
			_ = conn.socket.Close()
		}
	})
}

func (r *rabbitMQ) Ping(ctx context.Context) error {
	_, err := r.publish.connection(ctx)
	return err
}

func (r *rabbitMQ) Len(ctx context.Context, q Queue) (n int, err error) {
	conn, err := r.use(ctx, func(ch *amqp.Channel) error {
		n, err = declareQueue(ch, q)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, conn.close()
}

func (r *rabbitMQ) Close() error {
	if conn := r.publish.current(); conn != nil {
		return conn.close()
	}
	return nil
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
			"x-delivery-limit":          brokerLimit,
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
	p := r.publishers[to.key()]
	if p == nil {
		p = &publisher{to: to}
		r.publishers[to.key()] = p
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

func (r *rabbitMQ) Open(ctx context.Context, q Queue, prefetch int) (_ Session, err error) {
	s := &rabbitSession{out: make(chan Delivery), closed: make(chan struct{})}
	var in <-chan amqp.Delivery
	s.conn, err = r.use(ctx, func(ch *amqp.Channel) error {
		s.ch = ch
		if _, err := declareQueue(ch, q); err != nil {
			return err
		}
		if err := ch.Qos(prefetch, 0, false); err != nil {
			return err
		}
		in, err = ch.Consume(q.Name, "", false, false, false, false, nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("consume %s: %w", q.Name, err)
	}
	go s.receive(in)
	return s, nil
}

// use makes a connection, which the caller closes, and hands a channel of it to f.
func (r *rabbitMQ) use(ctx context.Context, f func(*amqp.Channel) error) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	conn, err := dial(ctx, r.address)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.socket.Close() })() // it may never answer, as in dropAfter
	ch, err := conn.Channel()
	if err == nil {
		err = f(ch)
	}
	if err != nil {
		_ = conn.close()
		return nil, err
	}
	return conn, nil
}

// rabbitSession is a connection with one channel and one consumer. Its delivery tags count from 1 (AMQP 0-9-1
// section 1.8).
type rabbitSession struct {
	conn   *connection
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
		// Absent on the first delivery. From RabbitMQ 4.3 on the former need not count those who died with it.
		attempts, _ := d.Headers["x-delivery-count"].(int64)
		acquired, _ := d.Headers["x-acquired-count"].(int64)
		delivery := Delivery{
			Message:  Message{ID: d.MessageId, Body: d.Body, Headers: headers},
			Attempts: int(max(attempts, acquired)), handle: d.DeliveryTag,
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
	if len(done) == 0 {
		return nil // tag 0 would mean all that were delivered
	}
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
	return s.conn.close()
}
