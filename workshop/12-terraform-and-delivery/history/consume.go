package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// consumeForEver connects again whenever the connection has ended.
func consumeForEver(url string, s *store) {
	for {
		fmt.Println("consume:", consume(url, s))
		time.Sleep(time.Second)
	}
}

// consume handles messages until the connection ends.
func consume(url string, s *store) error {
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
	if _, err := channel.QueueDeclare("history.viewed.dead", true, false, false, false, nil); err != nil {
		return err
	}
	if _, err := channel.QueueDeclare("history.viewed", true, false, false, false, amqp.Table{
		"x-queue-type":              "quorum", // this type counts deliveries
		"x-delivery-limit":          3,
		"x-dead-letter-exchange":    "",
		"x-dead-letter-routing-key": "history.viewed.dead",
	}); err != nil {
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
		if err := handle(d, s); err != nil {
			return err
		}
	}
	return errors.New("the connection to RabbitMQ was closed")
}

// recorder stores a view once, however often it comes.
type recorder interface{ add(v viewed) error }

func handle(d amqp.Delivery, s recorder) error {
	var v viewed
	if err := json.Unmarshal(d.Body, &v); err != nil {
		fmt.Println("not a viewed message:", err)
		return d.Nack(false, false) // to the dead letters: it would be as wrong the next time
	}
	if err := s.add(v); err != nil {
		fmt.Println("try again:", v.ID)
		time.Sleep(time.Second)
		return d.Nack(false, true) // back into the queue, until it was tried too often
	}
	fmt.Println("viewed", v.ID)
	return d.Ack(false)
}
