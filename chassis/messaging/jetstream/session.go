package jetstream

import (
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"flixtube/chassis/messaging"
)

const stillWorking = ackWait / 3 // between notices that keep the server from redelivering

// session fetches messages from a durable consumer. As long as it lives it keeps the server from redelivering those that
// are not acknowledged yet.
type session struct {
	messages jetstream.MessagesContext
	out      chan messaging.Delivery // holds as many as the server may leave unacknowledged
	closed   chan struct{}
	once     sync.Once

	mu      sync.Mutex
	unacked map[jetstream.Msg]struct{}
}

func newSession(messages jetstream.MessagesContext) *session {
	s := &session{
		messages: messages, out: make(chan messaging.Delivery, maxAckPending), closed: make(chan struct{}),
		unacked: map[jetstream.Msg]struct{}{},
	}
	ended := make(chan struct{})
	go s.receive(ended)
	go s.keep(ended)
	return s
}

func (s *session) receive(ended chan<- struct{}) {
	defer close(s.out)
	defer close(ended)
	for {
		m, err := s.messages.Next()
		if err != nil {
			return
		}
		delivery := messaging.Delivery{
			Message: messaging.Message{ID: m.Headers().Get(headerID), Body: m.Data(), Headers: map[string]string{}}, Tag: m,
		}
		for k, v := range m.Headers() {
			if k != headerID && len(v) > 0 {
				delivery.Headers[k] = v[0]
			}
		}
		if metadata, err := m.Metadata(); err == nil {
			delivery.Redeliveries = int(metadata.NumDelivered) - 1 //nolint:gosec // bounded by messaging.DeliveryLimit
		}
		s.mu.Lock()
		s.unacked[m] = struct{}{}
		s.mu.Unlock()
		select {
		case s.out <- delivery:
		case <-s.closed:
			return
		}
	}
}

func (s *session) keep(ended <-chan struct{}) {
	tick := time.NewTicker(stillWorking)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		s.mu.Lock()
		for m := range s.unacked {
			_ = m.InProgress() // if it is lost the message is redelivered, as after a crash
		}
		s.mu.Unlock()
	}
}

// Deliveries implements [messaging.Session].
func (s *session) Deliveries() <-chan messaging.Delivery { return s.out }

// Ack implements [messaging.Session].
func (s *session) Ack(handled []messaging.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range handled {
		m := d.Tag.(jetstream.Msg)
		if err := m.Ack(); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
		delete(s.unacked, m)
	}
	return nil
}

// Close requeues what was not acknowledged, so that it need not wait for ackWait.
func (s *session) Close() error {
	s.once.Do(func() { close(s.closed) })
	s.messages.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for m := range s.unacked {
		_ = m.Nak() // if it is lost the message is redelivered after ackWait
	}
	clear(s.unacked)
	return nil
}
