// Package messagingtest tests both ends of messaging: TestBroker holds an adapter to the delivery contract, and InAnyOrder
// holds the subscriptions of a service to what a broker may do under it.
package messagingtest

import (
	"math/rand/v2"
	"testing"

	"golang.org/x/sync/errgroup"

	"flixtube/chassis/messaging"
)

// Fact is a message, and the queue on which it comes.
type Fact struct {
	Queue   string
	Message messaging.Message
}

// InOrder delivers facts once, one after the other.
func InOrder(tb testing.TB, subscriptions []messaging.Subscription, facts []Fact) {
	tb.Helper()
	for _, f := range facts {
		deliver(tb, subscriptions, f.Queue, []messaging.Message{f.Message})
	}
}

// InAnyOrder delivers facts in any order, each of them up to three times, in batches of any size, to several replicas
// at the same time.
func InAnyOrder(tb testing.TB, random *rand.Rand, subscriptions []messaging.Subscription, facts []Fact) {
	tb.Helper()
	var deliveries []Fact
	for _, f := range facts {
		for range 1 + random.IntN(3) {
			deliveries = append(deliveries, f)
		}
	}
	random.Shuffle(len(deliveries), func(i, j int) { deliveries[i], deliveries[j] = deliveries[j], deliveries[i] })
	byQueue := map[string][]messaging.Message{}
	for _, f := range deliveries {
		byQueue[f.Queue] = append(byQueue[f.Queue], f.Message)
	}
	var replicas errgroup.Group
	replicas.SetLimit(4)
	for queue, messages := range byQueue {
		for len(messages) > 0 {
			n := 1 + random.IntN(min(len(messages), 15))
			batch := messages[:n]
			messages = messages[n:]
			replicas.Go(func() error { deliver(tb, subscriptions, queue, batch); return nil })
		}
	}
	_ = replicas.Wait()
}

func deliver(tb testing.TB, subscriptions []messaging.Subscription, queue string, batch []messaging.Message) {
	tb.Helper()
	for _, s := range subscriptions {
		if s.Queue.Name == queue {
			if err := s.Handler(tb.Context(), batch); err != nil {
				tb.Errorf("%s: %v", queue, err)
			}
			return
		}
	}
	tb.Errorf("nobody listens to %s", queue)
}
