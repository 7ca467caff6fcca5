package messaging_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"flixtube/chassis/messaging"
)

// standIn is a broker with one session, for what real ones cannot be made to do.
type standIn struct {
	deliveries chan messaging.Delivery

	mu    sync.Mutex
	acked []string
	dead  []messaging.Message
}

func (s *standIn) Publish(_ context.Context, _ messaging.Destination, msgs []messaging.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = append(s.dead, msgs...)
	return nil
}

func (s *standIn) Open(context.Context, messaging.Queue, int) (messaging.Session, error) {
	return s, nil
}
func (s *standIn) Len(context.Context, messaging.Queue) (int, error) { return 0, nil }
func (s *standIn) Ping(context.Context) error                        { return nil }
func (s *standIn) Close() error                                      { return nil }
func (s *standIn) Deliveries() <-chan messaging.Delivery             { return s.deliveries }
func (s *standIn) Ack(done []messaging.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range done {
		s.acked = append(s.acked, d.ID)
	}
	return nil
}

// TestDeliveredTooOften has one message in a batch whose handling killed the process again and again: it is given up
// without another try, and the others are handled.
func TestDeliveredTooOften(t *testing.T) {
	broker := &standIn{deliveries: make(chan messaging.Delivery, 3)}
	for id, attempts := range map[string]int{"a": 0, "deadly": 21, "b": 20} {
		broker.deliveries <- messaging.Delivery{Message: messaging.Message{ID: id}, Attempts: attempts}
	}
	var in inbox
	stop := consume(t, broker, messaging.Subscription{Handler: in.handle})
	in.expect(t, []messaging.Message{{ID: "a"}, {ID: "b"}})
	if err := poll(func() error {
		broker.mu.Lock()
		defer broker.mu.Unlock()
		if len(broker.acked) < 3 {
			return errors.New("not everything is acknowledged")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	stop()
	if got := in.ids(); slices.Contains(got, "deadly") || len(got) != 2 {
		t.Errorf("handled: %v", got)
	}
	if len(broker.dead) != 1 || broker.dead[0].ID != "deadly" {
		t.Errorf("dead: %v", broker.dead)
	}
}
