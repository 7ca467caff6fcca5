//go:build containers

package containers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// testRights: a service's user of RabbitMQ can read the queues and write to the exchanges that are its own, which the other
// tests show for writing, and no others. It can make and delete nothing.
func (p *production) testRights() {
	queues := []string{
		"viewed", "history.viewed", "history.video-removed", "recommendations.viewed", "recommendations.video-removed",
		"metadata.video-uploaded", "metadata.video-uploaded.dead", "video-storage.video-uploaded", "video-storage.video-removed",
	}
	exchanges := []string{"viewed", "viewed.queue", "video-uploaded", "video-removed", "metadata.video-uploaded.dead", ""}
	tried := 0
	for user, own := range map[string]struct{ reads, writes []string }{
		"keda":            {nil, nil},
		"video-streaming": {nil, []string{"viewed", "viewed.queue"}},
		"video-upload":    {nil, []string{"video-uploaded"}},
		"video-storage":   {[]string{"video-storage.video-uploaded", "video-storage.video-removed"}, nil},
		"metadata":        {[]string{"metadata.video-uploaded"}, []string{"video-removed", "metadata.video-uploaded.dead"}},
		"history":         {[]string{"viewed", "history.viewed", "history.video-removed"}, nil},
		"recommendations": {[]string{"recommendations.viewed", "recommendations.video-removed"}, nil},
	} {
		conn := p.amqp(user)
		try := func(what string, allowed bool, do func(*amqp.Channel) error) {
			p.t.Helper()
			ch, err := conn.Channel()
			if err != nil {
				p.t.Fatal(err)
			}
			err = do(ch)
			if refused := err != nil && strings.Contains(err.Error(), "ACCESS_REFUSED"); refused == allowed || allowed && err != nil {
				p.t.Errorf("%s may %s: %t, want %t: %v", user, what, !refused, allowed, err)
			}
			_ = ch.Close() // the broker has closed it, if it refused
			tried++
		}
		for _, queue := range queues {
			try("read "+queue, slices.Contains(own.reads, queue), readFrom(queue))
		}
		for _, exchange := range exchanges {
			if !slices.Contains(own.writes, exchange) { // there it would be a message
				try(fmt.Sprintf("write to the exchange %q", exchange), false, publishTo(exchange))
			}
		}
		try("delete a queue", false, func(ch *amqp.Channel) error {
			_, err := ch.QueueDelete("video-storage.video-removed", false, false, false)
			return err
		})
		try("declare a queue", false, func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare("mine", true, false, false, false, nil)
			return err
		})
	}
	if conn, err := amqp.Dial(p.amqpURL("history", "wrong")); err == nil {
		conn.Close()
		p.t.Error("history logs in with a wrong password")
	}
	measured(p.t, "rights of the six users of RabbitMQ that were tried", tried)
}

func (p *production) amqpURL(user, password string) string {
	address := p.address("rabbit", "messages")
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
		case <-confirm.Done():
		case <-time.After(10 * time.Second):
			return errors.New("no answer")
		}
		if confirm.Acked() {
			return nil
		}
		select {
		case err := <-closed: // comes before the end of the confirm
			return err
		default:
			return errors.New("not confirmed")
		}
	}
}
