package messaging_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flixtube/chassis/messaging"
)

// standIn is a broker with one session, for what real ones cannot be made to do.
type standIn struct {
	deliveries chan messaging.Delivery

	mu     sync.Mutex
	acked  []string
	dead   []messaging.Message
	full   bool // no room for dead letters
	closed int  // sessions
}

func newStandIn(deliveries ...messaging.Delivery) *standIn {
	s := &standIn{deliveries: make(chan messaging.Delivery, len(deliveries))}
	for _, d := range deliveries {
		s.deliveries <- d
	}
	return s
}

func delivery(id string, attempts int) messaging.Delivery {
	return messaging.Delivery{Message: messaging.Message{ID: id}, Attempts: attempts}
}

func (s *standIn) Publish(_ context.Context, _ messaging.Destination, msgs []messaging.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return errors.New("no room for dead letters")
	}
	s.dead = append(s.dead, msgs...)
	return nil
}

func (s *standIn) Open(context.Context, messaging.Queue, int) (messaging.Session, error) {
	return s, nil
}
func (s *standIn) Len(context.Context, messaging.Queue) (int, error) { return 0, nil }
func (s *standIn) Ping(context.Context) error                        { return nil }
func (s *standIn) Deliveries() <-chan messaging.Delivery             { return s.deliveries }
func (s *standIn) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
	return nil
}

func (s *standIn) Ack(done []messaging.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range done {
		s.acked = append(s.acked, d.ID)
	}
	return nil
}

// settled are the ids of the messages that are acknowledged and of those that are dead, after a while.
func (s *standIn) settled(after time.Duration) (acked, dead string) {
	<-time.After(after) // takes no time in a bubble of synctest
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, m := range s.dead {
		ids = append(ids, m.ID)
	}
	return fmt.Sprint(slices.Sorted(slices.Values(s.acked))), fmt.Sprint(slices.Sorted(slices.Values(ids)))
}

// TestDeliveredTooOften has one message whose handling killed the process again and again: it is given up without
// another try, and the others are handled.
func TestDeliveredTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newStandIn(delivery("a", 0), delivery("deadly", 16), delivery("b", 15))
		var in inbox
		consume(t, broker, messaging.Subscription{Handler: in.handle})
		if acked, dead := broker.settled(time.Second); acked != "[a b deadly]" || dead != "[deadly]" {
			t.Errorf("acknowledged %s, dead %s", acked, dead)
		}
		if got := in.ids(); slices.Contains(got, "deadly") || len(got) != 2 {
			t.Errorf("handled: %v", got)
		}
	})
}

// TestDeliveredBefore: what was delivered twice before may kill the process once more. It comes alone, after the
// others, and not always after the same ones.
func TestDeliveredBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders := map[string]bool{}
		for range 20 {
			var all []messaging.Delivery
			for i := range 9 {
				all = append(all, delivery(fmt.Sprint(i), i/3)) // delivered 0, 1 and 2 times before
			}
			var batches [][]messaging.Message
			stop := consume(t, newStandIn(all...), messaging.Subscription{Handler: func(_ context.Context, batch []messaging.Message) error {
				batches = append(batches, batch)
				return nil
			}})
			<-time.After(time.Second)
			stop()
			if len(batches) != 4 || len(batches[0]) != 6 {
				t.Fatalf("batches: %v", batches)
			}
			orders[batches[1][0].ID+batches[2][0].ID+batches[3][0].ID] = true
		}
		if len(orders) < 2 {
			t.Errorf("always in the same order: %v", slices.Collect(maps.Keys(orders)))
		}
	})
}

// TestDeadLettersThatWait: what cannot be buried yet does not hold up the others, nor does it end the session, after
// which all that it holds would be delivered once more.
func TestDeadLettersThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newStandIn(delivery("a", 0), delivery("bad", 0), delivery("fails", 0), delivery("b", 0))
		broker.full = true
		consume(t, broker, messaging.Subscription{Tries: 2, Handler: func(_ context.Context, batch []messaging.Message) error {
			rejects := messaging.Rejects{}
			for i, m := range batch {
				switch m.ID {
				case "bad":
					rejects[i] = errors.New("not a message")
				case "fails":
					return errors.New("it always fails")
				}
			}
			if len(rejects) > 0 {
				return rejects
			}
			return nil
		}})
		if acked, dead := broker.settled(time.Minute); acked != "[a b]" || dead != "[]" || broker.closed > 0 {
			t.Errorf("without room for dead letters: acknowledged %s, dead %s, %d sessions closed", acked, dead, broker.closed)
		}
		broker.mu.Lock()
		broker.full = false
		broker.mu.Unlock()
		if acked, dead := broker.settled(time.Minute); acked != "[a b bad fails]" || dead != "[bad fails]" || broker.closed > 0 {
			t.Errorf("with room again: acknowledged %s, dead %s, %d sessions closed", acked, dead, broker.closed)
		}
	})
}

// TestDatabaseAway: while the handler lacks what it needs the session keeps what it holds, since giving it back
// counts as a delivery.
func TestDatabaseAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newStandIn(delivery("a", 0), delivery("b", 0))
		down := time.Now().Add(time.Hour)
		away := func(context.Context) error {
			if time.Now().Before(down) {
				return errors.New("the database is away")
			}
			return nil
		}
		probes := 0
		var in inbox
		consume(t, broker, messaging.Subscription{
			Tries: 1,
			Ready: func(ctx context.Context) error {
				if probes++; probes == 1 { // there when it starts
					return nil
				}
				return away(ctx)
			},
			Handler: func(ctx context.Context, batch []messaging.Message) error {
				if err := away(ctx); err != nil {
					return err
				}
				return in.handle(ctx, batch)
			},
		})
		if acked, dead := broker.settled(50 * time.Minute); acked != "[]" || dead != "[]" || broker.closed > 0 {
			t.Errorf("meanwhile: acknowledged %s, dead %s, %d sessions closed", acked, dead, broker.closed)
		}
		if acked, dead := broker.settled(11 * time.Minute); acked != "[a b]" || dead != "[]" || len(in.ids()) != 2 {
			t.Errorf("afterwards: acknowledged %s, dead %s, handled %v", acked, dead, in.ids())
		}
	})
}

// TestRetriesComeInBatches: failures that are due together are no larger a batch than any other.
func TestRetriesComeInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []messaging.Delivery
		for i := range 10 {
			all = append(all, delivery(fmt.Sprint(i), 0))
		}
		broker := newStandIn(all...)
		began, largest := time.Now(), 0
		consume(t, broker, messaging.Subscription{Batch: 2, Pause: time.Second, Handler: func(_ context.Context, batch []messaging.Message) error {
			largest = max(largest, len(batch))
			if time.Since(began) < time.Minute {
				<-time.After(time.Second)
				return errors.New("not yet")
			}
			return nil
		}})
		if acked, _ := broker.settled(time.Hour); len(acked) != len("[0 1 2 3 4 5 6 7 8 9]") || largest != 2 {
			t.Errorf("acknowledged %s in batches of up to %d", acked, largest)
		}
	})
}

// TestWithoutAnID: a message that comes without an id has one and the same through all of its tries, and as a dead
// letter.
func TestWithoutAnID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newStandIn(delivery("", 0), delivery("", 0), delivery("named", 0))
		tries := map[string]int{}
		consume(t, broker, messaging.Subscription{Tries: 2, Handler: func(_ context.Context, batch []messaging.Message) error {
			for _, m := range batch {
				tries[m.ID]++
				if m.Named() != (m.ID == "named") {
					t.Errorf("%q is named: %v", m.ID, m.Named())
				}
			}
			return errors.New("it always fails")
		}})
		_, dead := broker.settled(time.Minute)
		if ids := slices.Sorted(maps.Keys(tries)); len(ids) != 3 || dead != fmt.Sprint(ids) {
			t.Errorf("tries %v, dead %v", tries, dead)
		}
		for id, n := range tries {
			if n < 3 { // all together, and twice alone
				t.Errorf("%q came %d times", id, n)
			}
		}
	})
}
