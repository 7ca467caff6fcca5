//go:build containers

package containers

import (
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// testRights: a service's user of RabbitMQ can do what the service does, which the other tests show, and no more.
func (p *production) testRights() {
	history := p.amqp("history")
	for _, tc := range []struct {
		what string
		do   func(*amqp.Channel) error
		ok   bool
	}{
		{"read its own queue", readFrom("history.viewed"), true},
		{"read recommendations' queue", readFrom("recommendations.viewed"), false},
		{"read metadata's dead letters", readFrom("metadata.video-uploaded.dead"), false},
		{"announce that a video is removed", publishTo("video-removed"), false},
		{"announce a view", publishTo("viewed"), false},
		{"delete video-storage's queue", func(ch *amqp.Channel) error {
			_, err := ch.QueueDelete("video-storage.video-removed", false, false, false)
			return err
		}, false},
		{"declare a queue", func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare("mine", true, false, false, false, nil)
			return err
		}, false},
	} {
		ch, err := history.Channel()
		if err != nil {
			p.t.Fatal(err)
		}
		err = tc.do(ch)
		if refused := err != nil && strings.Contains(err.Error(), "ACCESS_REFUSED"); refused == tc.ok || tc.ok && err != nil {
			p.t.Errorf("history may %s: %t, want %t: %v", tc.what, !refused, tc.ok, err)
		}
		_ = ch.Close() // the broker has closed it, if it refused
	}
	if conn, err := amqp.Dial(p.amqpURL("history", "wrong")); err == nil {
		conn.Close()
		p.t.Error("history logs in with a wrong password")
	}
}

func (p *production) amqpURL(user, password string) string {
	address := docker(p.t, "inspect", "-f", fmt.Sprintf(`{{(index .NetworkSettings.Networks "%s_messages").IPAddress}}`, p.name), p.id("rabbit"))
	return fmt.Sprintf("amqp://%s:%s@%s:5672", user, password, address)
}

func (p *production) amqp(user string) *amqp.Connection {
	p.t.Helper()
	conn, err := amqp.Dial(p.amqpURL(user, p.secrets["rabbit-"+user]))
	if err != nil {
		p.t.Fatalf("%s logs in: %v", user, err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func readFrom(queue string) func(*amqp.Channel) error {
	return func(ch *amqp.Channel) error {
		m, ok, err := ch.Get(queue, false)
		if ok {
			err = m.Nack(false, true)
		}
		return err
	}
}

// publishTo returns the error with which the broker closes the channel, or that of the confirm.
func publishTo(exchange string) func(*amqp.Channel) error {
	return func(ch *amqp.Channel) error {
		closed := ch.NotifyClose(make(chan *amqp.Error, 1))
		if err := ch.Confirm(false); err != nil {
			return err
		}
		confirm, err := ch.PublishWithDeferredConfirm(exchange, "", false, false, amqp.Publishing{Body: []byte("{}")})
		if err != nil {
			return err
		}
		select {
		case err := <-closed:
			return err
		case <-confirm.Done():
			return nil
		case <-time.After(10 * time.Second):
			return fmt.Errorf("no answer")
		}
	}
}
