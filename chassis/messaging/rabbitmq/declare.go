package rabbitmq

import (
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"flixtube/chassis/messaging"
)

// declarer declares exchanges and queues, or, passively, finds out whether they are there, which needs no right.
type declarer struct {
	ch      *amqp.Channel
	passive bool
}

// declare opens a channel and calls f, which declares. If the user lacks the right to, exchanges and queues are taken as
// they are: another channel, since the broker has closed the first, and f again, passively. If one is not there, the
// error is the refusal: somebody with the right must declare it.
func declare(open func() (*amqp.Channel, error), f func(declarer) error) (declarer, error) {
	ch, err := open()
	if err != nil {
		return declarer{}, err
	}
	d := declarer{ch: ch}
	refused := f(d)
	var answer *amqp.Error
	if !errors.As(refused, &answer) || answer.Code != amqp.AccessRefused {
		return d, refused
	}
	if ch, err = open(); err != nil {
		return declarer{}, err
	}
	d = declarer{ch: ch, passive: true}
	if err := f(d); err != nil {
		return declarer{}, fmt.Errorf("%w; and to use it as it is: %w", refused, err)
	}
	return d, nil
}

func (d declarer) exchange(name string) error {
	do := d.ch.ExchangeDeclare
	if d.passive {
		do = d.ch.ExchangeDeclarePassive
	}
	if err := do(name, amqp.ExchangeFanout, true, false, false, false, nil); err != nil {
		return fmt.Errorf("declare exchange %s: %w", name, err)
	}
	return nil
}

// queue returns how many messages q holds. Its exchange and its dead letters are declared along with it.
func (d declarer) queue(q messaging.Queue) (int, error) {
	exchange := sendTo(messaging.To(q))
	var arguments amqp.Table
	if isQuorum(q) {
		exchange = q.Exchange
		if _, err := d.queue(q.Dead()); err != nil {
			return 0, err
		}
		arguments = amqp.Table{
			amqp.QueueTypeArg:           amqp.QueueTypeQuorum,
			"x-delivery-limit":          brokerLimit,
			"x-dead-letter-exchange":    "",
			"x-dead-letter-routing-key": q.Dead().Name,
			"x-dead-letter-strategy":    "at-least-once",
			amqp.QueueOverflowArg:       amqp.QueueOverflowRejectPublish, // at-least-once asks for it
		}
	}
	if exchange != "" {
		if err := d.exchange(exchange); err != nil {
			return 0, err
		}
	}
	do := d.ch.QueueDeclare
	if d.passive {
		do = d.ch.QueueDeclarePassive
	}
	declared, err := do(q.Name, true, false, false, false, arguments)
	if err != nil {
		return 0, fmt.Errorf("declare queue %s: %w", q.Name, err)
	}
	if exchange != "" && !d.passive {
		if err := d.ch.QueueBind(q.Name, "", exchange, false, nil); err != nil {
			return 0, fmt.Errorf("bind queue %s: %w", q.Name, err)
		}
	}
	return declared.Messages, nil
}

// isQuorum tells whether q is declared as a quorum queue.
func isQuorum(q messaging.Queue) bool { return q.Exchange != "" }

// sendTo is the exchange for a destination. A queue that stands alone has one of its own, so that a sender needs no right to
// write to the default exchange, which is that for every queue. Only who may write to any queue sends to a service's queue.
func sendTo(to messaging.Destination) string {
	switch {
	case to.Exchange != "" || isQuorum(to.Queues[0]):
		return to.Exchange
	case to.Queues[0].IsDead():
		return to.Queues[0].Name
	default: // the exchange with the name of the queue may be one for every service, as that of "viewed" is
		return to.Queues[0].Name + ".queue"
	}
}
