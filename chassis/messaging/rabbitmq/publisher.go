package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"flixtube/chassis/messaging"
)

const (
	window         = 1000             // unconfirmed messages at a time
	confirmTimeout = 30 * time.Second // for everything that one Publish sends

	// declareEvery is for how long an exchange goes on without a queue that somebody has deleted. The broker returns only
	// messages that reach no queue at all.
	declareEvery = 5 * time.Second
)

// publisher has a channel for its destination, on which it sends one window at a time.
type publisher struct {
	link *link
	to   messaging.Destination

	mu       sync.Mutex
	ch       *amqp.Channel
	passive  bool // the user may not declare
	declared time.Time
	returned chan amqp.Return
}

// Publish implements [messaging.Publisher].
func (p *publisher) Publish(ctx context.Context, msgs []messaging.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	defer p.link.dropAfter(ctx)()
	for part := range slices.Chunk(msgs, window) {
		if err := p.publish(ctx, part); err != nil {
			if p.ch != nil {
				_ = p.ch.Close() // it may hold confirms that nobody waits for any more
				p.ch = nil
			}
			return fmt.Errorf("publish to %s: %w", p.to, err)
		}
	}
	return nil
}

func (p *publisher) publish(ctx context.Context, msgs []messaging.Message) error {
	if p.ch == nil || p.ch.IsClosed() {
		if err := p.open(ctx); err != nil {
			return err
		}
	} else if time.Since(p.declared) > declareEvery {
		if err := p.declare(declarer{p.ch, p.passive}); err != nil {
			return err
		}
	}
	exchange, key := sendTo(p.to), ""
	if exchange == "" {
		key = p.to.Queues[0].Name
	}
	confirms := make([]*amqp.DeferredConfirmation, len(msgs))
	for i, m := range msgs {
		now := time.Now()
		headers := amqp.Table{headerSent: now.UnixMilli()}
		for k, v := range m.Headers {
			headers[k] = v
		}
		var err error
		confirms[i], err = p.ch.PublishWithDeferredConfirmWithContext(ctx, exchange, key, true, false, amqp.Publishing{
			MessageId: m.ID, Body: m.Body, Headers: headers,
			ContentType: "application/json", DeliveryMode: amqp.Persistent, Timestamp: now,
		})
		if err != nil {
			return err
		}
	}
	for _, c := range confirms {
		ok, err := c.WaitContext(ctx)
		if err != nil {
			return fmt.Errorf("wait for the confirm: %w", err)
		}
		if !ok {
			return errors.New("not confirmed")
		}
	}
	// A message that reaches no queue is returned, and then confirmed all the same.
	select {
	case r, ok := <-p.returned:
		if ok {
			return fmt.Errorf("returned: %s", r.ReplyText)
		}
	default:
	}
	return nil
}

// open makes the channel and declares the destination.
func (p *publisher) open(ctx context.Context) error {
	d, err := declare(func() (*amqp.Channel, error) { return p.link.channel(ctx) }, p.declare)
	if err != nil {
		return err
	}
	p.ch, p.passive = d.ch, d.passive
	p.returned = p.ch.NotifyReturn(make(chan amqp.Return, window))
	return p.ch.Confirm(false)
}

// declare declares the destination.
func (p *publisher) declare(d declarer) error {
	if p.to.Exchange != "" {
		if err := d.exchange(p.to.Exchange); err != nil {
			return err
		}
	}
	for _, q := range p.to.Queues {
		if _, err := d.queue(q); err != nil {
			return err
		}
	}
	p.declared = time.Now()
	return nil
}
