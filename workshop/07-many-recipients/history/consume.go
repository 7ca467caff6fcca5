package main

import (
	"encoding/json"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// consume handles messages until the connection ends.
func consume(url string) error {
	connection, err := amqp.Dial(url)
	if err != nil {
		return fmt.Errorf("connect to RabbitMQ: %w", err)
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		return err
	}
	if err := channel.ExchangeDeclare("viewed", amqp.ExchangeFanout, true, false, false, false, nil); err != nil {
		return err
	}
	if _, err := channel.QueueDeclare("history.viewed", true, false, false, false, nil); err != nil {
		return err
	}
	if err := channel.QueueBind("history.viewed", "", "viewed", false, nil); err != nil {
		return err
	}
	if err := channel.Qos(1, 0, false); err != nil { // one unacknowledged message at a time
		return err
	}
	deliveries, err := channel.Consume("history.viewed", "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	fmt.Println("waiting for messages")
	for d := range deliveries {
		if err := handle(d); err != nil {
			return err
		}
	}
	return errors.New("the connection to RabbitMQ was closed")
}

func handle(d amqp.Delivery) error {
	var v viewed
	if err := json.Unmarshal(d.Body, &v); err != nil {
		fmt.Println("not a viewed message:", err)
		return d.Reject(false) // drop it: it would be as wrong the next time
	}
	if err := add(v); err != nil {
		return err
	}
	fmt.Println("viewed", v.Video.ID)
	return d.Ack(false)
}
