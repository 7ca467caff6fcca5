package jetstream_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

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

// TestBytesHeld: a session whose messages nobody takes keeps few of them, however many its number allows.
func TestBytesHeld(t *testing.T) {
	b, err := connect(chassistest.JetStream(t))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	const count, most = 500, 6 << 20 // of 31 MiB in all
	q := messaging.Queue{Name: messagingtest.Unique("viewed")}
	msgs := messagingtest.Messages(count)
	body := bytes.Repeat([]byte("x"), messaging.MaxBody)
	for i := range msgs {
		msgs[i].Body = body
	}
	for part := range slices.Chunk(msgs, 50) {
		messagingtest.Publish(t, b, messaging.To(q), part)
	}
	before := heap()
	session, err := b.Open(t.Context(), q, 2*count)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	for i := range count {
		d, ok := <-session.Deliveries()
		if !ok {
			t.Fatalf("the session ended after %d messages", i)
		}
		if err := session.Ack([]messaging.Delivery{d}); err != nil {
			t.Fatal(err)
		}
		if i%(count/2) != 0 {
			continue
		}
		held, calm := 0, 0
		settled := func() error { // until no more come
			last := held
			if held = heap() - before; held > last+messaging.MaxBody {
				calm = 0
			}
			if calm++; calm < 10 {
				return fmt.Errorf("%d bytes are held, and %d before", held, last)
			}
			return nil
		}
		if err := chassistest.Poll(10*time.Second, settled); err != nil || held > most {
			t.Errorf("%d of %d messages are taken: %d KiB are held, %v", i+1, count, held>>10, err)
		}
	}
}

// heap is how many bytes the objects that are in use have.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
