package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// viewed is the message that a video was watched.
type viewed struct {
	ID       string    `json:"id"`
	ViewedAt time.Time `json:"viewedAt"`
	Video    video     `json:"video"`
}

type video struct {
	ID string `json:"id"`
}

// broker is a connection to RabbitMQ.
type broker struct {
	connection *amqp.Connection
	channel    *amqp.Channel
}

func connect(url string) (*broker, error) {
	connection, err := amqp.Dial(url)
	if err != nil {
		return nil, fmt.Errorf("connect to RabbitMQ: %w", err)
	}
	channel, err := connection.Channel()
	if err != nil {
		return nil, err
	}
	// Durable: the exchange is there after a restart of the broker.
	if err := channel.ExchangeDeclare("viewed", amqp.ExchangeFanout, true, false, false, false, nil); err != nil {
		return nil, err
	}
	return &broker{connection, channel}, channel.Confirm(false)
}

// send returns nil only if the broker has confirmed the message.
func (b *broker) send(body []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	confirmation, err := b.channel.PublishWithDeferredConfirmWithContext(ctx, "viewed", "", false, false, amqp.Publishing{
		ContentType:  "application/json",
		DeliveryMode: amqp.Persistent, // the broker writes it to its disk
		Body:         body,
	})
	if err != nil {
		return err
	}
	confirmed, err := confirmation.WaitContext(ctx)
	if err == nil && !confirmed {
		err = errors.New("the broker did not take the message")
	}
	return err
}
