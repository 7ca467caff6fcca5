package messaging_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rs/zerolog"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
)

// through puts a proxy that can be cut before a broker.
func through(t *testing.T, address string) (proxied string, proxy *toxiproxy.Proxy) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	nop := zerolog.Nop()
	proxy = toxiproxy.NewProxy(&toxiproxy.ApiServer{Metrics: toxiproxy.NewMetricsContainer(nil), Logger: &nop},
		"broker", "127.0.0.1:"+chassistest.FreePort(t), u.Host)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	u.Host = proxy.Listen
	return u.String(), proxy
}

func connectionCut(t *testing.T, address string) {
	proxied, proxy := through(t, address)
	exchange, queue := unique("viewed"), unique("history.viewed")
	to := messaging.Fanout(exchange, queue)
	publisher, consumer := connect(t, proxied), connect(t, proxied)
	var in inbox
	consume(t, consumer, messaging.Subscription{Queue: messaging.Queue{Name: queue, Exchange: exchange}, Handler: in.handle})
	before := messages(5)
	publish(t, publisher, to, before)
	in.expect(t, before)

	proxy.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := publisher.Publish(ctx, to, messages(1)); err == nil {
		t.Error("published without a connection")
	}
	if err := publisher.Ping(t.Context()); err == nil {
		t.Error("pinged without a connection")
	}
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	after := messages(5)
	publish(t, publisher, to, after)
	in.expect(t, after)
}

// TestAskingABrokerThatDoesNotAnswer: whoever asks, in /readyz say, hears so within the time that it has, even
// while others ask, too.
func TestAskingABrokerThatDoesNotAnswer(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the system takes connections for it
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	b := connect(t, "amqp://guest:guest@"+silent.Addr().String())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	answers := make(chan error)
	for range 2 {
		go func() { answers <- b.Ping(ctx) }()
	}
	enough := time.After(5 * time.Second)
	for range 2 {
		select {
		case err := <-answers:
			if err == nil {
				t.Error("it answers")
			}
		case <-enough:
			t.Fatal("the question outlasts its context")
		}
	}
}

// survivesKill kills the broker while messages are under way: those that were confirmed are all there afterwards.
func survivesKill(t *testing.T, server *chassistest.RabbitMQServer) {
	exchange, queue := unique("viewed"), unique("history.viewed")
	to := messaging.Fanout(exchange, queue)
	b := connect(t, server.URL)
	var in inbox
	consume(t, connect(t, server.URL), messaging.Subscription{Queue: messaging.Queue{Name: queue, Exchange: exchange}, Handler: in.handle})

	var confirmed []messaging.Message
	killed := make(chan struct{})
	// RabbitMQ 3.10 notes the leader of a new quorum queue every five seconds; killed before, the queue never
	// elects one again.
	time.AfterFunc(7*time.Second, func() { server.Kill(); close(killed) })
	for {
		msgs := messages(100)
		if b.Publish(t.Context(), to, msgs) != nil {
			break
		}
		confirmed = append(confirmed, msgs...)
	}
	<-killed
	server.Start()
	after := messages(100)
	publish(t, b, to, after)
	in.expect(t, append(confirmed, after...))
}

// plainlyDeclared plays a program of others: it declares plainly what it uses, before and after us.
func plainlyDeclared(t *testing.T, address string) {
	conn, err := amqp.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	exchange, queue, single := unique("viewed"), unique("history.viewed"), unique("viewed")
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
	var fanned, alone inbox
	consume(t, b, messaging.Subscription{Queue: messaging.Queue{Name: queue, Exchange: exchange}, Handler: fanned.handle})
	consume(t, b, messaging.Subscription{Queue: messaging.Queue{Name: single}, Handler: alone.handle})
	ours := messages(1)
	publish(t, b, messaging.Fanout(exchange, queue), ours)
	publish(t, b, messaging.To(messaging.Queue{Name: single}), ours)
	fanned.expect(t, ours)
	alone.expect(t, ours)
	select {
	case d := <-theirs:
		if d.MessageId != ours[0].ID || d.ContentType != "application/json" {
			t.Errorf("a foreign program got %+v", d)
		}
	case <-time.After(patience):
		t.Error("a foreign program got nothing")
	}
	if err := declare(); err != nil {
		t.Errorf("declaring plainly after us: %v", err)
	}

	body := []byte(`{"video":{"id":"x"}}`)
	if err := ch.Publish(exchange, "", false, false, amqp.Publishing{Body: body}); err != nil {
		t.Fatal(err)
	}
	err = poll(func() error {
		fanned.mu.Lock()
		defer fanned.mu.Unlock()
		if last := fanned.msgs[len(fanned.msgs)-1]; string(last.Body) != string(body) {
			return fmt.Errorf("the last message is %s", last.Body)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
