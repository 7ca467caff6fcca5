// Recommendations counts how often each video was watched.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"

	"github.com/labstack/echo/v4"
	amqp "github.com/rabbitmq/amqp091-go"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "recommendations:", err)
		os.Exit(1)
	}
}

func run() error {
	port, rabbit := os.Getenv("PORT"), os.Getenv("RABBIT")
	if port == "" || rabbit == "" {
		return errors.New("PORT or RABBIT is missing, as in PORT=4003 RABBIT=amqp://guest:guest@localhost:5672")
	}
	p := popular{views: map[string]int{}}
	e := echo.New()
	e.HideBanner = true
	e.GET("/recommendations", p.get)
	failed := make(chan error, 2)
	go func() { failed <- p.consume(rabbit) }()
	go func() { failed <- e.Start(":" + port) }()
	return <-failed
}

type popular struct {
	mu    sync.Mutex
	views map[string]int // by the video's id
}

func (p *popular) get(c echo.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return c.JSON(http.StatusOK, map[string]any{"views": p.views})
}

func (p *popular) add(id string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.views[id]++
	return p.views[id]
}

// viewed is the part of the message that matters here.
type viewed struct {
	Video struct {
		ID string `json:"id"`
	} `json:"video"`
}

// consume handles messages until the connection ends.
func (p *popular) consume(url string) error {
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
	// Durable: the queue collects messages while this service is stopped.
	queue, err := channel.QueueDeclare("recommendations.viewed", true, false, false, false, nil)
	if err != nil {
		return err
	}
	if err := channel.QueueBind(queue.Name, "", "viewed", false, nil); err != nil {
		return err
	}
	deliveries, err := channel.Consume(queue.Name, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	fmt.Println("waiting for messages")
	for d := range deliveries {
		var v viewed
		if err := json.Unmarshal(d.Body, &v); err != nil {
			fmt.Println("not a viewed message:", err)
		} else {
			fmt.Println("views of", v.Video.ID, "so far:", p.add(v.Video.ID))
		}
		if err := d.Ack(false); err != nil {
			return err
		}
	}
	return errors.New("the connection to RabbitMQ was closed")
}
