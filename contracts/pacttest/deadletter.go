//go:build pact

package pacttest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/brokers"
)

const (
	deadLetter     = "dead letter"
	cannotHandle   = "a message cannot be handled"
	deadLetterTime = 20 * time.Second // for the consumer to give up
)

// letter is a dead letter as a pact has it. The headers are part of the body, because pact-go compares the metadata of a
// message for equality only.
type letter struct {
	ID      string            `json:"id"`
	Body    string            `json:"body"`
	Headers map[string]string `json:"headers"`
}

// DeadLetter has handle work on the dead letter that the provider makes of the message id with this body. headers are
// those that the consumer reads.
func (c *Consumer) DeadLetter(id, body string, headers map[string]Matcher, handle func(messaging.Message) error) {
	c.t.Helper()
	c.Message(Message{
		Description: deadLetter,
		Given:       State{Name: cannotHandle, Params: map[string]any{"id": id, "body": body}},
		Body:        map[string]any{"id": Exactly(id), "body": Exactly(body), "headers": headers},
	}, func(m messaging.Message) error {
		var l letter
		if err := json.Unmarshal(m.Body, &l); err != nil {
			return err
		}
		return handle(messaging.Message{ID: l.ID, Body: []byte(l.Body), Headers: l.Headers})
	})
}

// WithDeadLetters lets s make dead letters: the real consumer gets the message of the pact from a real broker.
func (i Instance) WithDeadLetters(t *testing.T, s messaging.Subscription) Instance {
	var made messaging.Message
	i.States[cannotHandle] = func(p Params) (err error) {
		made, err = makeDeadLetter(t, s, messaging.Message{ID: p.String("id"), Body: []byte(p.String("body"))})
		return err
	}
	if i.Messages == nil {
		i.Messages = map[string]func() (messaging.Message, error){}
	}
	i.Messages[deadLetter] = func() (messaging.Message, error) {
		body, err := json.Marshal(letter{made.ID, string(made.Body), made.Headers})
		return messaging.Message{Body: body}, err
	}
	return i
}

func makeDeadLetter(t *testing.T, s messaging.Subscription, m messaging.Message) (messaging.Message, error) {
	ctx, stop := context.WithTimeout(t.Context(), deadLetterTime)
	defer stop()
	broker, err := brokers.Connect(chassistest.Servers(t)["RABBIT"]) // other tests leave dead letters behind
	if err != nil {
		return messaging.Message{}, err
	}
	defer broker.Close()
	if err := broker.Publisher(messaging.To(s.Queue)).Publish(ctx, []messaging.Message{m}); err != nil {
		return messaging.Message{}, err
	}
	consumers := messaging.NewConsumers(broker, slog.New(slog.DiscardHandler), s)
	var consuming sync.WaitGroup
	consuming.Go(func() { _ = consumers.Run(ctx) }) // returns nil
	defer func() { stop(); consuming.Wait() }()
	session, err := broker.Open(ctx, s.Queue.Dead(), 1)
	if err != nil {
		return messaging.Message{}, err
	}
	defer session.Close()
	select {
	case d := <-session.Deliveries():
		return d.Message, session.Ack([]messaging.Delivery{d})
	case <-ctx.Done():
		return messaging.Message{}, fmt.Errorf("%s has no dead letter: %w", s.Queue.Name, ctx.Err())
	}
}
