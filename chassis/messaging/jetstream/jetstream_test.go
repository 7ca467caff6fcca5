package jetstream_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/jetstream"
	"flixtube/chassis/messaging/messagingtest"
)

func connect(address string) (messaging.Connection, error) { return jetstream.Connect(address) }

func TestJetStream(t *testing.T) {
	messagingtest.TestBroker(t, chassistest.JetStream(t), connect)
}

// TestRejectedQueue has streams of other kinds left over under the names of ours.
func TestRejectedQueue(t *testing.T) {
	address := chassistest.JetStream(t)
	conn, err := nats.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := natsjs.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	b, err := connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	name, exchange := messagingtest.Unique("viewed"), messagingtest.Unique("exchange")
	for _, test := range []struct {
		left  natsjs.StreamConfig
		queue messaging.Queue
	}{
		{natsjs.StreamConfig{Name: "queue_" + name, Subjects: []string{"queue." + name}}, messaging.Queue{Name: name}},
		{natsjs.StreamConfig{Name: "exchange_" + exchange, Retention: natsjs.WorkQueuePolicy}, messaging.Queue{Name: "q-" + name, Exchange: exchange}},
		{natsjs.StreamConfig{Name: "another-" + name, Subjects: []string{"queue.x-" + name}}, messaging.Queue{Name: "x-" + name}},
	} {
		if _, err := js.CreateStream(t.Context(), test.left); err != nil {
			t.Fatal(err)
		}
		session, err := b.Open(t.Context(), test.queue, 1)
		if err == nil {
			session.Close()
		}
		if !errors.Is(err, messaging.ErrQueueRejected) || strings.Count(err.Error(), messaging.ErrQueueRejected.Error()) != 1 {
			t.Errorf("%s: %v", test.left.Name, err)
		}
		if err := js.DeleteStream(t.Context(), test.left.Name); err != nil {
			t.Fatal(err)
		}
	}
}
