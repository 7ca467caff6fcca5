package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// viewed is the message that a video was watched.
type viewed struct {
	ViewedAt time.Time `json:"viewedAt"`
	Video    video     `json:"video"`
}

type video struct {
	ID string `json:"id"`
}

// broker is a connection to RabbitMQ.
type broker struct{ channel *amqp.Channel }

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
	return &broker{channel}, nil
}

// send hands the message to the broker, but does not wait for a confirmation.
func (b *broker) send(v viewed) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.channel.PublishWithContext(context.Background(), "viewed", "", false, false, amqp.Publishing{
		ContentType:  "application/json",
		DeliveryMode: amqp.Persistent, // the broker writes it to its disk
		Body:         body,
	})
}
