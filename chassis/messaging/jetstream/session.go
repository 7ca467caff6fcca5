package jetstream

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"flixtube/chassis/messaging"
)

const (
	stillWorking = ackWait / 3 // between notices that keep the server from redelivering

	// maxWaiting is how many bytes of bodies may wait for the consumer before no more are fetched, and how many bytes one
	// fetch gets: a session keeps twice as many at most.
	maxWaiting = 2 << 20

	heartbeat = 2 * time.Second // of the server; without it a fetch fails
)

// session fetches messages from a durable consumer. As long as it lives it keeps the server from redelivering those that
// are not acknowledged yet.
type session struct {
	consumer jetstream.Consumer
	prefetch int
	out      chan messaging.Delivery
	closed   context.Context
	close    context.CancelFunc

	mu      sync.Mutex
	unacked map[jetstream.Msg]struct{}
}

func newSession(consumer jetstream.Consumer, prefetch int) *session {
	s := &session{consumer: consumer, prefetch: prefetch, out: make(chan messaging.Delivery), unacked: map[jetstream.Msg]struct{}{}}
	s.closed, s.close = context.WithCancel(context.Background())
	ended := make(chan struct{})
	go s.receive(ended)
	go s.keep(ended)
	return s
}

// receive takes each message from the library at once, because the server redelivers those that nobody keeps, and holds
// it until somebody wants it.
func (s *session) receive(ended chan<- struct{}) {
	defer close(s.out)
	defer close(ended)
	var fetched jetstream.MessageBatch // nil: nothing is fetched now
	var waiting []messaging.Delivery
	bytes := 0
	for {
		var in <-chan jetstream.Msg
		if fetched == nil && bytes <= maxWaiting {
			var err error
			fetched, err = s.consumer.Fetch(s.prefetch, jetstream.FetchMaxBytes(maxWaiting), jetstream.FetchContext(s.closed),
				jetstream.FetchHeartbeat(heartbeat))
			if err != nil {
				return
			}
		}
		if fetched != nil {
			in = fetched.Messages()
		}
		var out chan<- messaging.Delivery // nil: nothing waits
		var next messaging.Delivery
		if len(waiting) > 0 {
			out, next = s.out, waiting[0]
		}
		select {
		case m, ok := <-in:
			switch {
			case ok:
				waiting = append(waiting, s.delivery(m))
				bytes += len(m.Data())
			case fetched.Error() != nil:
				return
			default:
				fetched = nil
			}
		case out <- next:
			waiting[0] = messaging.Delivery{}
			waiting = waiting[1:]
			bytes -= len(next.Body)
		case <-s.closed.Done():
			return
		}
	}
}

func (s *session) delivery(m jetstream.Msg) messaging.Delivery {
	delivery := messaging.Delivery{
		Message: messaging.Message{ID: m.Headers().Get(headerID), Body: m.Data(), Headers: map[string]string{}}, Tag: m,
	}
	for k, v := range m.Headers() {
		if k != headerID && len(v) > 0 {
			delivery.Headers[k] = v[0]
		}
	}
	if metadata, err := m.Metadata(); err == nil {
		delivery.Sent = metadata.Timestamp
		delivery.Redeliveries = int(metadata.NumDelivered) - 1 //nolint:gosec // bounded by messaging.DeliveryLimit
	}
	s.mu.Lock()
	s.unacked[m] = struct{}{}
	s.mu.Unlock()
	return delivery
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
	s.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for m := range s.unacked {
		_ = m.Nak() // if it is lost the message is redelivered after ackWait
	}
	clear(s.unacked)
	return nil
}
