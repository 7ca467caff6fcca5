package jetstream

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"flixtube/chassis/messaging"
)

const (
	window         = 1000             // unconfirmed messages at a time, of all publishers together
	confirmTimeout = 30 * time.Second // for everything that one Publish sends
)

// headerID holds the id of a message. It is not Nats-Msg-Id, by which the server would drop a message that is
// requeued from the dead letters soon after it was sent.
const headerID = "Message-Id"

type publisher struct {
	broker *Broker
	to     messaging.Destination

	mu       sync.Mutex
	declared bool // and nothing failed since
}

// Publish implements [messaging.Publisher].
func (p *publisher) Publish(ctx context.Context, msgs []messaging.Message) error {
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	if !p.broker.conn.IsConnected() {
		return fmt.Errorf("publish to %s: %w", p.to, errNotConnected)
	}
	err := p.declare(ctx)
	if err == nil {
		err = p.publish(ctx, msgs)
	}
	if err != nil {
		p.mu.Lock()
		p.declared = false
		p.mu.Unlock()
		return fmt.Errorf("publish to %s: %w", p.to, err)
	}
	return nil
}

// declare makes the streams and consumers of the destination.
func (p *publisher) declare(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.declared {
		return nil
	}
	if p.to.Exchange != "" {
		if _, err := p.broker.exchange(ctx, p.to.Exchange); err != nil {
			return err
		}
	}
	for _, q := range p.to.Queues {
		if _, err := p.broker.queue(ctx, q); err != nil {
			return err
		}
	}
	p.declared = true
	return nil
}

func (p *publisher) publish(ctx context.Context, msgs []messaging.Message) error {
	subject := exchangeSubject(p.to.Exchange)
	if p.to.Exchange == "" {
		subject = queueSubject(p.to.Queues[0])
	}
	confirms := make([]jetstream.PubAckFuture, len(msgs))
	for i, m := range msgs {
		header := nats.Header{headerID: {m.ID}}
		for k, v := range m.Headers {
			header[k] = []string{v}
		}
		var err error
		confirms[i], err = p.broker.js.PublishMsgAsync(&nats.Msg{Subject: subject, Header: header, Data: m.Body},
			jetstream.WithStallWait(confirmTimeout))
		if err != nil {
			return err
		}
	}
	for _, c := range confirms {
		select {
		case <-c.Ok():
		case err := <-c.Err():
			return fmt.Errorf("wait for the confirm: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("wait for the confirm: %w", ctx.Err())
		}
	}
	return nil
}
