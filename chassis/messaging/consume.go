package messaging

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"flixtube/chassis"
)

// Check is the broker in a service's /readyz. It is not required: what has to be sent waits in the outbox
// meanwhile, and what has to be taken waits in the broker.
func Check(b Broker) chassis.Check {
	return chassis.Check{Name: "rabbit", Probe: b.Ping}
}

// Consumers returns one consumer for each subscription, as background work of a service.
func Consumers(b Broker, log *slog.Logger, subscriptions ...Subscription) []func(context.Context) error {
	var work []func(context.Context) error
	for _, s := range subscriptions {
		work = append(work, func(ctx context.Context) error { return Consume(ctx, b, s, log) })
	}
	return work
}

func counter(name, help string) *prometheus.CounterVec {
	return promauto.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"queue"})
}

var (
	handled = counter("messages_handled_total", "Messages whose work was done.")
	retried = counter("messages_retried_total", "Failures of messages that are tried again.")
	buried  = counter("messages_dead_total", "Messages that went to the dead letters.")
)

// deliveryLimit is how often a broker delivers a message whose consumer never answers, because handling it
// kills the process, before it is given up. It is the default of RabbitMQ 4's quorum queues.
const deliveryLimit = 20

// maxPause bounds the pauses of a consumer that waits for its broker or for its own dependencies.
const maxPause = 5 * time.Second

// Consume works on a queue until ctx is done, and then returns nil. It waits for the broker and for
// whatever the subscription needs, and says so in the log.
func Consume(ctx context.Context, b Broker, s Subscription, log *slog.Logger) error {
	s = s.withDefaults()
	log = log.With("queue", s.Queue.Name)
	pause := s.Pause
	for ctx.Err() == nil {
		c := consumer{broker: b, Subscription: s, log: log}
		err := c.run(ctx)
		if ctx.Err() != nil {
			break
		}
		if c.worked {
			pause = s.Pause
		}
		log.Warn("waiting to consume", "for", err, "pause", pause)
		sleep(ctx, jittered(pause))
		pause = min(2*pause, maxPause)
	}
	return nil
}

// consumer is one session's worth of consuming.
type consumer struct {
	broker  Broker
	session Session
	Subscription
	log     *slog.Logger
	retries []attempt // failed, and waiting for their next try
	worked  bool
}

// attempt is a delivery and how its handling went so far.
type attempt struct {
	Delivery
	tries int
	first time.Time // of the errors
	due   time.Time // the next try
}

// run consumes until the session ends, which is an error, or something that the handler needs is gone.
func (c *consumer) run(ctx context.Context) (err error) {
	if err := c.Ready(ctx); err != nil {
		return err
	}
	if c.session, err = c.broker.Open(ctx, c.Queue, 2*c.Batch); err != nil {
		return err
	}
	defer c.session.Close()
	c.log.Info("consuming")
	for {
		var batch []attempt
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.nextRetry():
			batch = c.dueRetries()
		case d, ok := <-c.session.Deliveries():
			if !ok {
				return errors.New("the broker ended the session")
			}
			batch = c.fill([]attempt{{Delivery: d}})
		}
		if err := c.work(ctx, batch); err != nil {
			return err
		}
		c.worked = true
	}
}

// fill gathers a batch: as many as there are, for as long as Linger.
func (c *consumer) fill(batch []attempt) []attempt {
	enough := time.After(c.Linger)
	for len(batch) < c.Batch {
		select {
		case d, ok := <-c.session.Deliveries():
			if !ok {
				return batch
			}
			batch = append(batch, attempt{Delivery: d})
		case <-enough:
			return batch
		}
	}
	return batch
}

// work handles a batch and settles each of its messages: acknowledged, waiting for another try, or dead. An
// error ends the session, and the broker delivers what was not settled again.
func (c *consumer) work(ctx context.Context, batch []attempt) error {
	err := c.handle(ctx, batch)
	var rejects Rejects
	switch {
	case err == nil:
		handled.WithLabelValues(c.Queue.Name).Add(float64(len(batch)))
		return c.ack(batch)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &rejects):
		if err := c.bury(ctx, batch, rejects); err != nil {
			return err
		}
		handled.WithLabelValues(c.Queue.Name).Add(float64(len(batch) - len(rejects)))
		return c.ack(batch)
	}
	if ready := c.Ready(ctx); ready != nil {
		return ready // not the messages' fault
	}
	if len(batch) > 1 {
		for i := range batch {
			if err := c.work(ctx, batch[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	return c.failed(ctx, batch[0], err)
}

func (c *consumer) handle(ctx context.Context, batch []attempt) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	messages := make([]Message, len(batch))
	for i, a := range batch {
		switch {
		case a.Attempts <= deliveryLimit:
			messages[i] = a.Message
		case len(batch) > 1:
			return errors.New("a message of the batch was delivered too often") // each is looked at alone then
		default:
			return Rejects{0: fmt.Errorf("delivered %d times and never answered", a.Attempts)}
		}
	}
	return c.Handler(ctx, messages)
}

func (c *consumer) failed(ctx context.Context, a attempt, err error) error {
	now := time.Now()
	if a.tries == 0 {
		a.first = now
	}
	a.tries++
	if a.tries >= c.Tries {
		if err := c.bury(ctx, []attempt{a}, Rejects{0: err}); err != nil {
			return err
		}
		return c.ack([]attempt{a})
	}
	retried.WithLabelValues(c.Queue.Name).Inc()
	pause := jittered(c.Pause << (2 * (a.tries - 1)))
	c.log.Warn("a message failed and will be tried again", "id", a.ID, "tries", a.tries, "pause", pause, "error", err)
	a.due = now.Add(pause)
	c.retries = append(c.retries, a)
	return nil
}

// The headers of a dead letter.
const (
	HeaderReason     = "reason"
	HeaderTries      = "tries"
	HeaderFirstError = "first-error-at"
	HeaderLastError  = "last-error-at"
)

// bury sends the rejected messages of a batch to the dead letters.
func (c *consumer) bury(ctx context.Context, batch []attempt, rejects Rejects) error {
	now := time.Now()
	var dead []Message
	for i, reason := range rejects {
		a := batch[i]
		if a.tries == 0 {
			a.first = now
		}
		m := a.Message
		m.Headers = map[string]string{
			HeaderReason:     fmt.Sprintf("%.1000s", reason.Error()),
			HeaderTries:      strconv.Itoa(max(a.tries, 1)),
			HeaderFirstError: a.first.UTC().Format(time.RFC3339Nano),
			HeaderLastError:  now.UTC().Format(time.RFC3339Nano),
		}
		c.log.Error("a message cannot be handled", "id", m.ID, "dead", c.Queue.Dead().Name, "error", reason)
		dead = append(dead, m)
	}
	if err := c.broker.Publish(ctx, To(c.Queue.Dead()), dead); err != nil {
		return err
	}
	buried.WithLabelValues(c.Queue.Name).Add(float64(len(dead)))
	return nil
}

func (c *consumer) ack(batch []attempt) error {
	done := make([]Delivery, len(batch))
	for i, a := range batch {
		done[i] = a.Delivery
	}
	return c.session.Ack(done)
}

// nextRetry fires when the first retry is due; without one it never does.
func (c *consumer) nextRetry() <-chan time.Time {
	if len(c.retries) == 0 {
		return nil
	}
	next := c.retries[0].due
	for _, a := range c.retries[1:] {
		if a.due.Before(next) {
			next = a.due
		}
	}
	return time.After(time.Until(next))
}

func (c *consumer) dueRetries() (due []attempt) {
	now, later := time.Now(), c.retries[:0:0]
	for _, a := range c.retries {
		if a.due.After(now) {
			later = append(later, a)
		} else {
			due = append(due, a)
		}
	}
	c.retries = later
	return due
}

// jittered spreads a pause over half to one and a half of itself, so that many who failed together do not
// come back together.
func jittered(pause time.Duration) time.Duration {
	return pause/2 + rand.N(pause)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
