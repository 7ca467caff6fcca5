package rabbitmq_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/health"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/messagingtest"
	"flixtube/chassis/messaging/rabbitmq"
)

// TestRabbitMQ has one server for all, which the last tests stop and start.
func TestRabbitMQ(t *testing.T) {
	server := chassistest.RabbitMQ(t)
	messagingtest.TestBroker(t, server.URL, func(address string) (messaging.Connection, error) {
		return rabbitmq.Connect(address), nil
	})
	t.Run("one of two queues deleted", func(t *testing.T) { queueDeleted(t, server.URL) })
	t.Run("plainly declared by others", func(t *testing.T) { plainlyDeclared(t, server.URL) })
	t.Run("headers of others", func(t *testing.T) { headersOfOthers(t, server.URL) })
	t.Run("a rejected queue makes the service not ready", func(t *testing.T) { rejectedQueue(t, server) })
	t.Run("killed and started again", func(t *testing.T) { survivesKill(t, server) })
}

// TestBytesHeld has messages of other programs at a broker that takes them at any length.
func TestBytesHeld(t *testing.T) {
	server := chassistest.RabbitMQAsInstalled(t)
	b, ch := connect(t, server.URL), foreignChannel(t, server.URL)
	q := messaging.Queue{Name: messagingtest.Unique("viewed")}
	open := func() messaging.Session {
		session, err := b.Open(t.Context(), q, 1000)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { session.Close() })
		return session
	}
	if err := open().Close(); err != nil { // declares it
		t.Fatal(err)
	}
	publish := func(count, length int) {
		t.Helper()
		body := bytes.Repeat([]byte("x"), length)
		for range count {
			if err := ch.Publish("", q.Name, false, false, amqp.Publishing{Body: body}); err != nil {
				t.Fatal(err)
			}
		}
		if err := chassistest.Poll(timeout, func() error {
			if n, err := b.Len(t.Context(), q); err != nil || n != count {
				return fmt.Errorf("%d messages wait, want %d: %w", n, count, err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	before := heap()
	grown := func(what string, most int) {
		t.Helper()
		if n := heap() - before; n > most {
			t.Errorf("%s: holds %d MiB", what, n>>20)
		}
	}
	take := func(session messaging.Session, count int) (taken []messaging.Delivery) {
		t.Helper()
		for range count {
			select {
			case d, ok := <-session.Deliveries():
				if !ok {
					t.Fatalf("the session ended after %d messages", len(taken))
				}
				taken = append(taken, d)
			case <-time.After(timeout):
				t.Fatalf("%d of %d messages came", len(taken), count)
			}
		}
		return taken
	}

	const long = 5_000_000
	publish(60, long)
	session := open()
	letters := take(session, 60)
	grown("60 messages of 5 MB", 20<<20)
	for _, d := range letters {
		if d.CutFrom != long || string(d.Body) != strings.Repeat("x", messaging.CutTo) {
			t.Fatalf("a body of %d bytes, cut from %d", len(d.Body), d.CutFrom)
		}
	}
	if err := session.Ack(letters); err != nil {
		t.Fatal(err)
	}
	session.Close()

	publish(1000, messaging.MaxBody)
	session = open()
	first := take(session, 1)
	last := 1000
	if err := chassistest.Poll(timeout, func() error { // until the broker can send no more
		n, err := b.Len(t.Context(), q)
		settled := err == nil && n < 1000 && n == last
		if last = n; !settled {
			return fmt.Errorf("%d messages wait: %w", n, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	grown("1000 messages of 64 KiB of which one is taken", 20<<20)
	if err := session.Ack(append(first, take(session, 999)...)); err != nil {
		t.Fatal(err)
	}
}

// heap is how many bytes the objects that are in use have.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestLeastRights has a user that may read its queue and write to the exchange of its dead letters, and one that may write
// to the exchange. Neither may declare anything, or write to the default exchange.
func TestLeastRights(t *testing.T) {
	server := chassistest.RabbitMQDefined(t, `{
		"vhosts": [{"name": "/"}],
		"users": [
			{"name": "admin", "password": "admin", "tags": "administrator"},
			{"name": "streaming", "password": "streaming", "tags": ""},
			{"name": "history", "password": "history", "tags": ""}
		],
		"permissions": [
			{"user": "admin", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
			{"user": "streaming", "vhost": "/", "configure": "^$", "write": "^viewed$", "read": "^$"},
			{"user": "history", "vhost": "/", "configure": "^$", "write": "^history\\.viewed\\.dead$", "read": "^history\\.viewed$"}
		]
	}`, url.UserPassword("admin", "admin"))
	q := messaging.Queue{Name: "history.viewed", Exchange: "viewed"}
	admin, history := connect(t, server.URL), connect(t, server.URLOf(url.UserPassword("history", "history")))
	viewed := connect(t, server.URLOf(url.UserPassword("streaming", "streaming"))).Publisher(messaging.Fanout(q.Exchange, q.Name))
	unusable := func() {
		t.Helper()
		if session, err := history.Open(t.Context(), q, 1); err == nil {
			session.Close()
			t.Error("a queue that is not there was opened")
		} else if !errors.Is(err, messaging.ErrQueueRejected) || !strings.Contains(err.Error(), "ACCESS_REFUSED") {
			t.Errorf("not a rejection: %v", err)
		}
		if err := viewed.Publish(t.Context(), messagingtest.Messages(1)); err == nil {
			t.Error("published although no queue keeps the message")
		}
	}
	unusable()
	if _, err := admin.Len(t.Context(), q); err != nil { // declares it
		t.Fatal(err)
	}
	msgs := messagingtest.Messages(2)
	if err := viewed.Publish(t.Context(), msgs); err != nil {
		t.Fatal(err)
	}
	if n, err := history.Len(t.Context(), q); n != len(msgs) || err != nil {
		t.Fatalf("%d messages wait, want %d: %v", n, len(msgs), err)
	}
	stop := messagingtest.Consume(t, history, messaging.Subscription{
		Queue: q, Handler: func(context.Context, []messaging.Message) error { return messaging.Rejects{0: errors.New("one")} },
	})
	var dead messagingtest.Inbox
	messagingtest.Consume(t, admin, messaging.Subscription{Queue: q.Dead(), Handler: dead.Handle})
	if err := chassistest.Poll(timeout, func() error {
		if n := len(dead.Messages()); n == 0 {
			return errors.New("no dead letter came")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if reason := dead.Messages()[0].Headers[messaging.HeaderReason]; reason != "one" {
		t.Errorf("the reason is %q", reason)
	}
	stop()
	if err := history.Publisher(messaging.To(q)).Publish(t.Context(), messagingtest.Messages(1)); err == nil {
		t.Error("history wrote to a queue by the default exchange")
	}

	if _, err := foreignChannel(t, server.URL).QueueDelete(q.Name, false, false, false); err != nil {
		t.Fatal(err)
	}
	viewed = connect(t, server.URLOf(url.UserPassword("streaming", "streaming"))).Publisher(messaging.Fanout(q.Exchange, q.Name))
	unusable()
}

func connect(t *testing.T, address string) messaging.Connection {
	t.Helper()
	b := rabbitmq.Connect(address)
	t.Cleanup(func() { b.Close() })
	return b
}

// queueDeleted has a publisher to two queues, of which somebody deletes one: the broker says nothing, and the publisher makes
// it again.
func queueDeleted(t *testing.T, address string) {
	exchange, one, other := messagingtest.Unique("viewed"), messagingtest.Unique("history.viewed"), messagingtest.Unique("others.viewed")
	publisher := connect(t, address).Publisher(messaging.Fanout(exchange, one, other))
	if err := publisher.Publish(t.Context(), messagingtest.Messages(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := foreignChannel(t, address).QueueDelete(one, false, false, false); err != nil {
		t.Fatal(err)
	}
	if err := chassistest.Poll(timeout, func() error {
		if err := publisher.Publish(t.Context(), messagingtest.Messages(1)); err != nil {
			return err
		}
		_, err := foreignChannel(t, address).QueueDeclarePassive(one, true, false, false, false, nil)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

const timeout = 90 * time.Second

// foreignChannel is a channel of another program.
func foreignChannel(t *testing.T, address string) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// survivesKill kills the broker while messages are in flight: those that were confirmed are all there afterwards.
func survivesKill(t *testing.T, server *chassistest.RabbitMQServer) {
	exchange, queue := messagingtest.Unique("viewed"), messagingtest.Unique("history.viewed")
	publisher := connect(t, server.URL).Publisher(messaging.Fanout(exchange, queue))
	var in messagingtest.Inbox
	messagingtest.Consume(t, connect(t, server.URL), messaging.Subscription{
		Queue: messaging.Queue{Name: queue, Exchange: exchange}, Handler: in.Handle,
	})

	var confirmed []messaging.Message
	killed := make(chan struct{})
	// RabbitMQ 3.10 notes the leader of a new quorum queue every five seconds; killed before, the queue never
	// elects one again.
	time.AfterFunc(7*time.Second, func() { server.Kill(t); close(killed) })
	for {
		msgs := messagingtest.Messages(100)
		if publisher.Publish(t.Context(), msgs) != nil {
			break
		}
		confirmed = append(confirmed, msgs...)
	}
	<-killed
	server.Start(t)
	after := messagingtest.Messages(100)
	if err := chassistest.Poll(timeout, func() error { return publisher.Publish(t.Context(), after) }); err != nil {
		t.Fatal(err)
	}
	in.Expect(t, append(confirmed, after...))
}

// rejectedQueue has a classic queue left over under the name of a quorum queue, and then a broker that is away: only the
// first makes the service not ready.
func rejectedQueue(t *testing.T, server *chassistest.RabbitMQServer) {
	name := messagingtest.Unique("history.viewed")
	q := messaging.Queue{Name: name, Exchange: messagingtest.Unique("viewed")}
	ch := foreignChannel(t, server.URL)
	if _, err := ch.QueueDeclare(name, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	b := connect(t, server.URL)
	if session, err := b.Open(t.Context(), q, 1); err == nil {
		session.Close()
		t.Error("a queue of another type was opened")
	} else if !errors.Is(err, messaging.ErrQueueRejected) {
		t.Errorf("not a rejection: %v", err)
	}

	var in messagingtest.Inbox
	consumers := messaging.NewConsumers(b, slog.New(slog.DiscardHandler),
		messaging.Subscription{Queue: q, Handler: in.Handle},
		messaging.Subscription{Queue: messaging.Queue{Name: "other-" + name}, Handler: in.Handle})
	ready := health.Handler(append(consumers.Checks(), messaging.Check(b)))
	expect := func(status int, parts ...string) {
		t.Helper()
		err := chassistest.Poll(timeout, func() error {
			w := httptest.NewRecorder()
			ready.ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
			for _, part := range parts {
				if w.Code != status || !strings.Contains(w.Body.String(), part) {
					return fmt.Errorf("/readyz is %d %s, want %d with %s", w.Code, w.Body.String(), status, part)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	messagingtest.Run(t, consumers)
	rejected := []string{`"queue ` + name + `":"down"`, `"queue other-` + name + `":"ok"`, "PRECONDITION_FAILED", "declare queue " + name}
	expect(503, append(rejected, `"broker":"ok"`)...)
	server.Kill(t)
	expect(503, append(rejected, `"broker":"down"`)...) // as far as anybody knows
	server.Start(t)

	if _, err := foreignChannel(t, server.URL).QueueDelete(name, false, false, false); err != nil {
		t.Fatal(err)
	}
	expect(200, `"queue `+name+`":"ok"`, `"broker":"ok"`)
	msgs := messagingtest.Messages(1)
	messagingtest.Publish(t, b, messaging.Fanout(q.Exchange, name), msgs)
	in.Expect(t, msgs)
	server.Kill(t)
	expect(200, `"queue `+name+`":"ok"`, `"broker":"down"`)
	server.Start(t)
}

// headersOfOthers has a publisher that sets the headers in which the broker counts deliveries.
func headersOfOthers(t *testing.T, address string) {
	b, ch := connect(t, address), foreignChannel(t, address)
	name := messagingtest.Unique("viewed")
	for _, q := range []messaging.Queue{{Name: name}, {Name: "history." + name, Exchange: name}} {
		next := func() messaging.Delivery {
			t.Helper()
			session, err := b.Open(t.Context(), q, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close() // it is delivered again
			select {
			case d := <-session.Deliveries():
				return d
			case <-time.After(timeout):
				t.Fatal("nothing came")
			}
			return messaging.Delivery{}
		}
		if _, err := b.Len(t.Context(), q); err != nil { // declares it
			t.Fatal(err)
		}
		if err := ch.Publish("", q.Name, false, false, amqp.Publishing{Body: []byte("{}"), Headers: amqp.Table{
			"x-delivery-count": int64(99), "x-acquired-count": int64(99),
		}}); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			want := 0
			if q.Exchange != "" {
				want = i
			}
			if got := next().Redeliveries; got != want {
				t.Errorf("%s: delivery %d counts as redelivered %d times, want %d", q.Name, i, got, want)
			}
		}
	}
}

// plainlyDeclared has another program that declares plainly what it uses, before and after us.
func plainlyDeclared(t *testing.T, address string) {
	ch := foreignChannel(t, address)
	exchange, queue, single := messagingtest.Unique("viewed"), messagingtest.Unique("history.viewed"), messagingtest.Unique("viewed")
	declare := func() error {
		if err := ch.ExchangeDeclare(exchange, "fanout", true, false, false, false, nil); err != nil {
			return err
		}
		_, err := ch.QueueDeclare(single, true, false, false, false, nil)
		return err
	}
	if err := declare(); err != nil {
		t.Fatal(err)
	}
	// A message that waits in a queue from before it had an exchange of its own.
	old := messagingtest.Messages(1)
	if err := ch.Publish("", single, false, false, amqp.Publishing{MessageId: old[0].ID, Body: old[0].Body}); err != nil {
		t.Fatal(err)
	}
	foreign, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind(foreign.Name, "", exchange, false, nil); err != nil {
		t.Fatal(err)
	}
	theirs, err := ch.Consume(foreign.Name, "", true, true, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}

	b := connect(t, address)
	var fanned, alone messagingtest.Inbox
	messagingtest.Consume(t, b, messaging.Subscription{Queue: messaging.Queue{Name: queue, Exchange: exchange}, Handler: fanned.Handle})
	messagingtest.Consume(t, b, messaging.Subscription{Queue: messaging.Queue{Name: single}, Handler: alone.Handle})
	ours := messagingtest.Messages(1)
	messagingtest.Publish(t, b, messaging.Fanout(exchange, queue), ours)
	messagingtest.Publish(t, b, messaging.To(messaging.Queue{Name: single}), ours)
	fanned.Expect(t, ours)
	alone.Expect(t, append(old, ours...))
	select {
	case d := <-theirs:
		if d.MessageId != ours[0].ID || d.ContentType != "application/json" {
			t.Errorf("a foreign program got %+v", d)
		}
	case <-time.After(timeout):
		t.Error("a foreign program got nothing")
	}
	if err := declare(); err != nil {
		t.Errorf("declaring plainly after us: %v", err)
	}

	body := []byte(`{"video":{"id":"x"}}`)
	if err := ch.Publish(exchange, "", false, false, amqp.Publishing{Body: body}); err != nil {
		t.Fatal(err)
	}
	err = chassistest.Poll(timeout, func() error {
		msgs := fanned.Messages()
		if last := msgs[len(msgs)-1]; string(last.Body) != string(body) {
			return fmt.Errorf("the last message is %s", last.Body)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
