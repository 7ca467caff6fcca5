package messaging

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"flixtube/chassis/backoff"
	"flixtube/chassis/health"
)

const (
	maxBatch   = 500                    // messages that are handled together
	maxBytes   = 4 << 20                // of the bodies in a batch, and of those that wait for a retry, but for one batch more
	linger     = 5 * time.Millisecond   // how long a batch waits to be filled
	maxTries   = 5                      // of one message that fails alone
	firstDelay = 250 * time.Millisecond // before a message's second try; each further delay is four times as long
	minWait    = 250 * time.Millisecond // for a broker, or a handler's dependencies

	// aloneAfter is how often a message may be redelivered before it is handled alone.
	aloneAfter = 1
)

func counter(name, help string) *prometheus.CounterVec {
	return promauto.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"queue"})
}

var (
	handled      = counter("messages_handled_total", "Messages whose work was done.")
	retried      = counter("messages_retried_total", "Failures of messages that are retried.")
	deadLettered = counter("messages_dead_total", "Messages that went to the dead letters.")
)

// Consumers are the consumers of a service, one for each of its subscriptions.
type Consumers struct{ all []*consumer }

// NewConsumers returns consumers that have not begun to work.
func NewConsumers(b Broker, log *slog.Logger, subscriptions ...Subscription) Consumers {
	var c Consumers
	for _, s := range subscriptions {
		if s.Ready == nil {
			s.Ready = func(context.Context) error { return nil }
		}
		c.all = append(c.all, &consumer{
			Subscription: s, broker: b, deadLetters: b.Publisher(To(s.Queue.Dead())), log: log.With("queue", s.Queue.Name),
		})
	}
	return c
}

// Run works on the queues until ctx is done, and then returns nil. It waits for the broker and for the dependencies of
// the handlers as long as it takes, and says so in the log.
func (c Consumers) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, one := range c.all {
		running.Go(func() { one.run(ctx) })
	}
	running.Wait()
	return nil
}

// Checks are the queues in a service's /readyz. Unlike the broker a queue is required: one that the broker rejects stays
// so until an operator removes it, say, or grants a permission, and until then the service does not do its work. Its
// check is down from the rejection until the queue can be consumed. A broker that is away, or a session that ended,
// leaves it as it was.
func (c Consumers) Checks() []health.Check {
	var checks []health.Check
	for _, one := range c.all {
		checks = append(checks, health.Check{
			Name: "queue " + one.Queue.Name, Required: true, Public: true,
			Probe: func(context.Context) error { return one.rejection() },
		})
	}
	return checks
}

// Check is the broker in a service's /readyz. It is not required: while it is away, messages to send wait in the outbox,
// messages to consume wait in the broker, and the service answers requests as before.
func Check(c Connection) health.Check {
	return health.Check{Name: "broker", Probe: c.Ping}
}

// consumer works on one queue, one session after the other.
type consumer struct {
	Subscription
	broker      Broker
	deadLetters Publisher
	log         *slog.Logger

	mu       sync.Mutex
	rejected error // the broker's last answer about the queue, if that was a rejection
}

func (c *consumer) run(ctx context.Context) {
	wait := backoff.Backoff{Min: minWait}
	for ctx.Err() == nil {
		worked, err := c.consume(ctx)
		if ctx.Err() != nil {
			return
		}
		if worked {
			wait.Wait(ctx, nil)
		}
		c.log.WarnContext(ctx, "not consuming; will retry", "error", err)
		wait.Wait(ctx, err)
	}
}

// consume works until the session ends, which is an error, and tells whether it settled anything.
func (c *consumer) consume(ctx context.Context) (worked bool, err error) {
	c.awaitReady(ctx)
	session, err := c.broker.Open(ctx, c.Queue, 2*maxBatch)
	c.opened(err)
	if err != nil {
		return false, err
	}
	defer session.Close()
	c.log.InfoContext(ctx, "consuming")
	w := worker{consumer: c, session: session}
	for {
		batch, err := w.next(ctx)
		if err != nil {
			return worked, err
		}
		if err := w.settle(ctx, batch); err != nil {
			return worked, err
		}
		worked = true
	}
}

// awaitReady blocks until the handler's dependencies are ready, or ctx is done, and tells whether it had to wait. An open
// session keeps its deliveries meanwhile: the broker counts each one that is requeued as delivered once more.
func (c *consumer) awaitReady(ctx context.Context) (waited bool) {
	wait := backoff.Backoff{Min: minWait}
	for ctx.Err() == nil {
		err := c.Ready(ctx)
		if err == nil {
			return waited
		}
		waited = true
		c.log.WarnContext(ctx, "not ready to handle messages; will retry", "error", err)
		wait.Wait(ctx, err)
	}
	return waited
}

// opened notes the outcome of an Open. Only the broker's answer changes anything.
func (c *consumer) opened(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil || errors.Is(err, ErrQueueRejected) {
		c.rejected = err
	}
}

func (c *consumer) rejection() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rejected
}

// pending is a delivery that is not settled yet, and how its handling went.
type pending struct {
	Delivery
	tries      int
	firstError time.Time
	lastError  error
	due        time.Time // the next try
}

func newPending(d Delivery) pending {
	if d.ID == "" {
		d.ID = unnamed + crand.Text()
	}
	return pending{Delivery: d}
}

// failed returns p after one more try, which failed.
func (p pending) failed(err error) pending {
	if p.tries == 0 {
		p.firstError = time.Now()
	}
	p.tries++
	p.lastError = err
	return p
}

// delay is how long ago p was published; 0 if nobody says.
func (p pending) delay() time.Duration {
	if p.Sent.IsZero() {
		return 0
	}
	return max(0, time.Since(p.Sent)) // the clocks of two machines may differ
}

// worker settles the deliveries of one session: each is acknowledged, waits for a retry, or becomes a dead letter.
type worker struct {
	*consumer
	session Session
	retries []pending
}

// next waits for a batch, of deliveries or of retries that are due. An error ends the session.
func (w *worker) next(ctx context.Context) ([]pending, error) {
	deliveries := w.session.Deliveries()
	if size(w.retries) > maxBytes {
		deliveries = nil
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-w.retryDue():
		return w.takeDue(), nil
	case d, ok := <-deliveries:
		if !ok {
			return nil, errors.New("the broker ended the session")
		}
		return w.fill([]pending{newPending(d)}), nil
	}
}

// fill adds to a batch the deliveries that there are or that come within linger.
func (w *worker) fill(batch []pending) []pending {
	enough := time.After(linger)
	for bytes := size(batch); len(batch) < maxBatch && bytes < maxBytes; bytes += len(batch[len(batch)-1].Body) {
		select {
		case d, ok := <-w.session.Deliveries():
			if !ok {
				return batch
			}
			batch = append(batch, newPending(d))
		case <-enough:
			return batch
		}
	}
	return batch
}

func size(messages []pending) (bytes int) {
	for _, p := range messages {
		bytes += len(p.Body)
	}
	return bytes
}

// settle settles each message of a batch. An error ends the session, and the broker redelivers the unsettled ones.
//
// A message that was redelivered again and again may be the one that kills the process. It is handled alone, and last, so
// that no others die with it; in random order, so that of several each is the first at some time.
func (w *worker) settle(ctx context.Context, batch []pending) error {
	var together, alone, tooLong []pending
	for _, p := range batch {
		switch {
		case p.CutFrom > 0:
			tooLong = append(tooLong, p.failed(fmt.Errorf("the body has %d bytes, more than %d", p.CutFrom, MaxBody)))
		case p.Redeliveries > aloneAfter:
			alone = append(alone, p)
		default:
			together = append(together, p)
		}
	}
	if len(tooLong) > 0 {
		if err := w.deadLetter(ctx, tooLong); err != nil {
			return err
		}
	}
	rand.Shuffle(len(alone), func(i, j int) { alone[i], alone[j] = alone[j], alone[i] }) //nolint:gosec // any order will do
	if len(together) > 0 {
		if err := w.try(ctx, together); err != nil {
			return err
		}
	}
	return w.tryEach(ctx, alone)
}

func (w *worker) tryEach(ctx context.Context, batch []pending) error {
	for i := range batch {
		if err := w.try(ctx, batch[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// try handles a batch and settles it.
func (w *worker) try(ctx context.Context, batch []pending) error {
	err := w.handle(ctx, batch)
	var rejects Rejects
	for err != nil && !errors.As(err, &rejects) && w.awaitReady(ctx) && ctx.Err() == nil {
		err = w.handle(ctx, batch) // a dependency was away: that is no failure of the messages
	}
	switch {
	case err == nil:
		return w.ackHandled(ctx, batch)
	case ctx.Err() != nil:
		return ctx.Err()
	case rejects != nil:
		return w.settleRejects(ctx, batch, rejects)
	case len(batch) > 1:
		return w.tryEach(ctx, batch)
	default:
		return w.retryOrGiveUp(ctx, batch[0].failed(err))
	}
}

// handle calls the handler; a panic is an error.
func (w *worker) handle(ctx context.Context, batch []pending) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if n := batch[0].Redeliveries; n > DeliveryLimit { // it is alone
		return Rejects{0: fmt.Errorf("delivered %d times and never answered", n)}
	}
	messages := make([]Message, len(batch))
	for i, p := range batch {
		messages[i] = p.Message
	}
	return w.Handler(ctx, messages)
}

// settleRejects acknowledges the messages that were handled first: to dead-letter the others may fail.
func (w *worker) settleRejects(ctx context.Context, batch []pending, rejects Rejects) error {
	var good, rejected []pending
	for i, p := range batch {
		if reason := rejects[i]; reason != nil {
			rejected = append(rejected, p.failed(reason))
		} else {
			good = append(good, p)
		}
	}
	if err := w.ackHandled(ctx, good); err != nil {
		return err
	}
	return w.deadLetter(ctx, rejected)
}

// retryOrGiveUp settles a message that failed alone.
func (w *worker) retryOrGiveUp(ctx context.Context, p pending) error {
	if p.tries >= maxTries {
		return w.deadLetter(ctx, []pending{p})
	}
	retried.WithLabelValues(w.Queue.Name).Inc()
	delay := backoff.Jittered(firstDelay << (2 * (p.tries - 1)))
	w.log.WarnContext(ctx, "a message failed and will be retried", "id", p.ID, "tries", p.tries, "delay", delay, "error", p.lastError)
	w.retryAfter(delay, p)
	return nil
}

// The headers of a dead letter.
const (
	HeaderReason     = "reason"
	HeaderTries      = "tries"
	HeaderFirstError = "first-error-at"
	HeaderLastError  = "last-error-at"
	HeaderCutFrom    = "body-cut-from" // how long the body was, in bytes, if it was longer than MaxBody and was cut
)

// deadLetter publishes messages to the dead letters and acknowledges them. If that fails they are retried later.
func (w *worker) deadLetter(ctx context.Context, batch []pending) error {
	now := time.Now().UTC().Format(time.RFC3339Nano)
	letters := make([]Message, len(batch))
	for i, p := range batch {
		letters[i] = Message{ID: p.ID, Body: p.Body, Headers: map[string]string{
			HeaderReason:     fmt.Sprintf("%.1000s", p.lastError.Error()),
			HeaderTries:      strconv.Itoa(p.tries),
			HeaderFirstError: p.firstError.UTC().Format(time.RFC3339Nano),
			HeaderLastError:  now,
		}}
		if p.CutFrom > 0 {
			letters[i].Headers[HeaderCutFrom] = strconv.Itoa(p.CutFrom)
		}
		w.log.ErrorContext(ctx, "a message cannot be handled", "id", p.ID, "dead", w.Queue.Dead().Name, "error", p.lastError)
	}
	if err := w.deadLetters.Publish(ctx, letters); err != nil {
		w.log.WarnContext(ctx, "messages cannot be dead-lettered yet; will retry", "count", len(letters), "error", err)
		w.retryAfter(backoff.Jittered(backoff.Max), batch...)
		return ctx.Err()
	}
	deadLettered.WithLabelValues(w.Queue.Name).Add(float64(len(letters)))
	return w.ack(batch)
}

func (w *worker) ackHandled(ctx context.Context, batch []pending) error {
	handled.WithLabelValues(w.Queue.Name).Add(float64(len(batch)))
	if w.log.Enabled(ctx, slog.LevelDebug) {
		for _, p := range batch {
			w.log.DebugContext(ctx, "fact handled", "id", p.ID, "delay_ms", p.delay().Milliseconds())
		}
	}
	return w.ack(batch)
}

func (w *worker) ack(batch []pending) error {
	settled := make([]Delivery, len(batch))
	for i, p := range batch {
		settled[i] = p.Delivery
	}
	return w.session.Ack(settled)
}

func (w *worker) retryAfter(delay time.Duration, batch ...pending) {
	due := time.Now().Add(delay)
	for _, p := range batch {
		p.due = due
		w.retries = append(w.retries, p)
	}
}

// retryDue fires when the first retry is due; without one it never does.
func (w *worker) retryDue() <-chan time.Time {
	if len(w.retries) == 0 {
		return nil
	}
	next := w.retries[0].due
	for _, p := range w.retries[1:] {
		if p.due.Before(next) {
			next = p.due
		}
	}
	return time.After(time.Until(next))
}

// takeDue takes the retries that are due, one batch at most.
func (w *worker) takeDue() (due []pending) {
	now, later := time.Now(), w.retries[:0:0]
	for _, p := range w.retries {
		if p.due.After(now) || len(due) == maxBatch {
			later = append(later, p)
		} else {
			due = append(due, p)
		}
	}
	w.retries = later
	return due
}
