//go:build pact

package main

import (
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/pact-foundation/pact-go/v2/matchers"
	message "github.com/pact-foundation/pact-go/v2/message/v4"
)

func TestViewedContract(t *testing.T) {
	pact, err := message.NewAsynchronousPact(message.Config{
		Consumer: "history", Provider: "video-streaming", PactDir: "../pacts",
	})
	if err != nil {
		t.Fatal(err)
	}
	err = pact.AddAsynchronousMessage().
		ExpectsToReceive("viewed").
		WithJSONContent(matchers.StructMatcher{
			"id":       matchers.Like("4f2c"),
			"viewedAt": matchers.Timestamp(),
			"video":    matchers.StructMatcher{"id": matchers.Like("mandelbrot")},
		}).
		ConsumedBy(func(m message.AsynchronousMessage) error {
			var told broker
			stored := memory{}
			if err := handle(amqp.Delivery{Acknowledger: &told, Body: m.Contents}, stored); err != nil {
				return err
			}
			if told != "ack" || stored["4f2c"].Video.ID != "mandelbrot" || stored["4f2c"].ViewedAt.IsZero() {
				t.Errorf("the broker was told %q, and the store has %v", told, stored)
			}
			return nil
		}).
		Verify(t)
	if err != nil {
		t.Fatal(err)
	}
}
