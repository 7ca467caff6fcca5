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
)

// publisher has a channel for its destination, on which it sends one window at a time.
type publisher struct {
	link *link
	to   messaging.Destination

	mu       sync.Mutex
	ch       *amqp.Channel
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
	open := func() (*amqp.Channel, error) { return p.link.channel(ctx) }
	ch, err := declare(open, func(d declarer) error {
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
		return nil
	})
	if err != nil {
		return err
	}
	p.ch = ch
	p.returned = ch.NotifyReturn(make(chan amqp.Return, window))
	return ch.Confirm(false)
}
