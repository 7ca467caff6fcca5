package messaging

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"flixtube/chassis/backoff"
	"flixtube/chassis/health"
)

// Check is the broker in a service's /readyz. It is not required: what has to be sent waits in the outbox
// meanwhile, and what has to be taken waits in the broker.
func Check(b Broker) health.Check {
	return health.Check{Name: "broker", Probe: b.Ping}
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

const (
	// deliveryLimit is how often a message may have been delivered before, to consumers that never answered
	// because handling it killed the process, until it is given up.
	deliveryLimit = 15

	// suspicious is how often a message may have been delivered before it is handled alone.
	suspicious = 1

	linger = 5 * time.Millisecond // how long a batch waits to be filled
)

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
		pause = c.wait(ctx, pause, err)
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
	tries  int
	first  time.Time // of the errors
	reason error     // the last of them
	due    time.Time // the next try
}

// unnamed begins the ids that are given to messages without one.
const unnamed = "unnamed-"

func newAttempt(d Delivery) attempt {
	if d.ID == "" {
		d.ID = unnamed + crand.Text()
	}
	return attempt{Delivery: d}
}

// wait waits for as long as pause says and returns the next pause.
func (c *consumer) wait(ctx context.Context, pause time.Duration, err error) time.Duration {
	c.log.Warn("waiting to consume", "for", err, "pause", pause)
	backoff.Sleep(ctx, backoff.Jittered(pause))
	return min(2*pause, backoff.Max)
}

// run consumes until the session ends, which is an error.
func (c *consumer) run(ctx context.Context) (err error) {
	c.ready(ctx)
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
			batch = c.fill([]attempt{newAttempt(d)})
		}
		if err := c.settle(ctx, batch); err != nil {
			return err
		}
		c.worked = true
	}
}

// ready tells whether the handler has what it needs. If not, it returns false when it has, or when ctx is done.
// An open session keeps what it took meanwhile: all that is given back counts as delivered once more.
func (c *consumer) ready(ctx context.Context) (atOnce bool) {
	err := c.Ready(ctx)
	atOnce = err == nil
	for pause := c.Pause; err != nil && ctx.Err() == nil; err = c.Ready(ctx) {
		pause = c.wait(ctx, pause, err)
	}
	return atOnce
}

// fill gathers a batch: as many as there are, for as long as linger.
func (c *consumer) fill(batch []attempt) []attempt {
	enough := time.After(linger)
	for len(batch) < c.Batch {
		select {
		case d, ok := <-c.session.Deliveries():
			if !ok {
				return batch
			}
			batch = append(batch, newAttempt(d))
		case <-enough:
			return batch
		}
	}
	return batch
}

// settle settles each message of a batch: acknowledged, waiting for another try, or dead. An error ends the
// session, and the broker delivers what was not settled again.
//
// One that was delivered again and again may be what kills the process. It is handled alone, and last, so that
// it takes no others along; in random order, so that of several each comes before it some time.
func (c *consumer) settle(ctx context.Context, batch []attempt) error {
	var together, alone []attempt
	for _, a := range batch {
		if a.Attempts > suspicious {
			alone = append(alone, a)
		} else {
			together = append(together, a)
		}
	}
	rand.Shuffle(len(alone), func(i, j int) { alone[i], alone[j] = alone[j], alone[i] }) //nolint:gosec // any order will do
	if len(together) > 0 {
		if err := c.work(ctx, together); err != nil {
			return err
		}
	}
	return c.each(ctx, alone)
}

func (c *consumer) each(ctx context.Context, batch []attempt) error {
	for i := range batch {
		if err := c.work(ctx, batch[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (c *consumer) work(ctx context.Context, batch []attempt) error {
	err := c.handle(ctx, batch)
	var rejects Rejects
	for err != nil && !errors.As(err, &rejects) && !c.ready(ctx) && ctx.Err() == nil {
		err = c.handle(ctx, batch) // what failed was not the messages' fault
	}
	switch {
	case err == nil:
		return c.done(batch)
	case ctx.Err() != nil:
		return ctx.Err()
	case rejects != nil:
		return c.reject(ctx, batch, rejects)
	case len(batch) > 1:
		return c.each(ctx, batch)
	default:
		return c.failed(ctx, batch[0], err)
	}
}

func (c *consumer) handle(ctx context.Context, batch []attempt) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if n := batch[0].Attempts; n > deliveryLimit { // it is alone
		return Rejects{0: fmt.Errorf("delivered %d times and never answered", n)}
	}
	messages := make([]Message, len(batch))
	for i, a := range batch {
		messages[i] = a.Message
	}
	return c.Handler(ctx, messages)
}

func (c *consumer) done(batch []attempt) error {
	handled.WithLabelValues(c.Queue.Name).Add(float64(len(batch)))
	return c.ack(batch)
}

// reject acknowledges what was handled before it buries the others, which may fail.
func (c *consumer) reject(ctx context.Context, batch []attempt, rejects Rejects) error {
	var good, dead []attempt
	for i, a := range batch {
		if reason := rejects[i]; reason != nil {
			dead = append(dead, a.failed(reason))
		} else {
			good = append(good, a)
		}
	}
	if err := c.done(good); err != nil {
		return err
	}
	return c.bury(ctx, dead)
}

// failed is the attempt after one more try.
func (a attempt) failed(reason error) attempt {
	if a.tries == 0 {
		a.first = time.Now()
	}
	a.tries++
	a.reason = reason
	return a
}

func (c *consumer) failed(ctx context.Context, a attempt, err error) error {
	a = a.failed(err)
	if a.tries >= c.Tries {
		return c.bury(ctx, []attempt{a})
	}
	retried.WithLabelValues(c.Queue.Name).Inc()
	pause := backoff.Jittered(c.Pause << (2 * (a.tries - 1)))
	c.log.Warn("a message failed and will be tried again", "id", a.ID, "tries", a.tries, "pause", pause, "error", err)
	c.retry(pause, a)
	return nil
}

func (c *consumer) retry(pause time.Duration, batch ...attempt) {
	due := time.Now().Add(pause)
	for _, a := range batch {
		a.due = due
		c.retries = append(c.retries, a)
	}
}

// The headers of a dead letter.
const (
	HeaderReason     = "reason"
	HeaderTries      = "tries"
	HeaderFirstError = "first-error-at"
	HeaderLastError  = "last-error-at"
)

// bury sends messages to the dead letters and acknowledges them. If that fails they are tried again later.
func (c *consumer) bury(ctx context.Context, batch []attempt) error {
	now := time.Now().UTC().Format(time.RFC3339Nano)
	dead := make([]Message, len(batch))
	for i, a := range batch {
		dead[i] = Message{ID: a.ID, Body: a.Body, Headers: map[string]string{
			HeaderReason:     fmt.Sprintf("%.1000s", a.reason.Error()),
			HeaderTries:      strconv.Itoa(a.tries),
			HeaderFirstError: a.first.UTC().Format(time.RFC3339Nano),
			HeaderLastError:  now,
		}}
		c.log.Error("a message cannot be handled", "id", a.ID, "dead", c.Queue.Dead().Name, "error", a.reason)
	}
	if err := c.broker.Publish(ctx, To(c.Queue.Dead()), dead); err != nil {
		c.log.Warn("messages wait for the dead letters", "count", len(dead), "error", err)
		c.retry(backoff.Jittered(backoff.Max), batch...)
		return ctx.Err()
	}
	buried.WithLabelValues(c.Queue.Name).Add(float64(len(dead)))
	return c.ack(batch)
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

// dueRetries takes those that are due, one batch at most.
func (c *consumer) dueRetries() (due []attempt) {
	now, later := time.Now(), c.retries[:0:0]
	for _, a := range c.retries {
		if a.due.After(now) || len(due) == c.Batch {
			later = append(later, a)
		} else {
			due = append(due, a)
		}
	}
	c.retries = later
	return due
}
