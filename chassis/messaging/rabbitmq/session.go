package rabbitmq

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"flixtube/chassis/messaging"
)

// session is a connection with one channel and one consumer. Its delivery tags count from 1 (AMQP 0-9-1 section 1.8).
type session struct {
	conn    *connection
	ch      *amqp.Channel
	counted bool // by the broker: how often it delivers a message
	out     chan messaging.Delivery
	closed  chan struct{}
	once    sync.Once

	acked, highest uint64 // how many tags are acknowledged, and the highest of them
}

// receive takes each delivery from the library at once, so that a body that is too long is cut before the next one comes,
// and keeps it until somebody wants it. The connection's gate bounds the bytes that are kept so.
func (s *session) receive(in <-chan amqp.Delivery) {
	defer close(s.out)
	defer s.conn.gate.open()
	var waiting []messaging.Delivery
	for {
		var out chan<- messaging.Delivery // nil: nothing waits
		var next messaging.Delivery
		if len(waiting) > 0 {
			out, next = s.out, waiting[0]
		}
		select {
		case d, ok := <-in:
			if !ok {
				return
			}
			waiting = append(waiting, s.delivery(d))
			s.conn.gate.add(len(waiting[len(waiting)-1].Body))
		case out <- next:
			waiting[0] = messaging.Delivery{}
			waiting = waiting[1:]
			s.conn.gate.add(-len(next.Body))
		case <-s.closed:
			s.conn.gate.open() // the answer to the close comes after what was sent before
			for range in {     // they are delivered again
			}
			return
		}
	}
}

// headerSent is when a message was published, in milliseconds since 1970. AMQP's own timestamp has whole seconds.
const headerSent = "sent-at-ms"

func (s *session) delivery(d amqp.Delivery) messaging.Delivery {
	headers := map[string]string{}
	for k, v := range d.Headers {
		headers[k] = fmt.Sprint(v)
	}
	sent := d.Timestamp
	if ms, ok := d.Headers[headerSent].(int64); ok {
		sent = time.UnixMilli(ms)
	}
	delete(headers, headerSent)
	m := messaging.Delivery{
		Message:      messaging.Message{ID: d.MessageId, Body: d.Body, Headers: headers},
		Sent:         sent,
		Redeliveries: s.redeliveries(d), Tag: d.DeliveryTag,
	}
	if len(d.Body) > messaging.MaxBody {
		m.Body, m.CutFrom = bytes.Clone(d.Body[:messaging.CutTo]), len(d.Body)
	}
	return m
}

// redeliveries is how often a quorum queue has delivered d before. It says so in headers, which replace those of the
// publisher, but has none on the first delivery. A classic queue does not count: there they are the publisher's.
//
// From RabbitMQ 4.3 on x-delivery-count need not count deliveries to consumers that died, but x-acquired-count does; an
// older one does not know it.
func (s *session) redeliveries(d amqp.Delivery) int {
	if !s.counted || !d.Redelivered {
		return 0
	}
	n, _ := d.Headers["x-delivery-count"].(int64)
	if s.conn.since(4, 3) {
		acquired, _ := d.Headers["x-acquired-count"].(int64)
		n = max(n, acquired)
	}
	return int(n)
}

// Deliveries implements [messaging.Session].
func (s *session) Deliveries() <-chan messaging.Delivery { return s.out }

// Ack acknowledges a whole run of tags with one frame (multiple) when no older one is unacknowledged.
func (s *session) Ack(handled []messaging.Delivery) error {
	if len(handled) == 0 {
		return nil // tag 0 would mean all that were delivered
	}
	last := uint64(0)
	for _, d := range handled {
		last = max(last, d.Tag.(uint64))
	}
	all := s.acked+uint64(len(handled)) == last && s.highest <= last
	s.acked += uint64(len(handled))
	s.highest = max(s.highest, last)
	if all {
		return s.ch.Ack(last, true)
	}
	for _, d := range handled {
		if err := s.ch.Ack(d.Tag.(uint64), false); err != nil {
			return err
		}
	}
	return nil
}

// Close implements [messaging.Session].
func (s *session) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.conn.close()
}
