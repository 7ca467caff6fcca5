package messagingtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
)

// TestBroker holds an adapter, and the consumers of package messaging on it, to the delivery contract:
//
//   - Publish returns nil only when the broker has every message safe (a publisher confirm), and a message is longer than
//     messaging.MaxBody or goes nowhere only with an error.
//   - A message to an exchange reaches every subscriber's queue, also one whose consumer starts later. A message to a queue
//     reaches that queue alone, whether an exchange has the same name or not.
//   - A message is delivered at least once, to one of the queue's consumers. It is acknowledged after the handler's work,
//     so a consumer that dies before that gets it again. Handlers must be idempotent by messaging.Message.ID.
//   - Messages come in the order in which they were published, except those that come again.
//   - A message whose handling fails is retried with growing delays, and the others do not wait for it. After its tries, or
//     at once if the handler rejects it, it goes to the queue's dead letters, messaging.Queue.Dead, unchanged and with the
//     reason in its headers. From there it can be requeued for the one subscriber that failed.
//   - The operations end with their contexts. A lost connection is an error of the operations, and is made again.
//
// connect connects to the broker at address, which must have the form of a URL. Names of exchanges and queues are unique,
// so that the broker may be a shared one. The tests run in parallel, and TestBroker returns when they have ended.
func TestBroker(t *testing.T, address string, connect func(address string) (messaging.Connection, error)) {
	s := suite{address, connect}
	t.Run("contract", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, suite){
			"fanout reaches every subscriber":          fanoutReachesAll,
			"sent before the first start":              sentBeforeFirstStart,
			"a subscriber that starts before anything": startsFirst,
			"a queue alone gives each message to one":  queueGivesToOne,
			"an exchange and a queue of one name":      sameName,
			"unacknowledged is redelivered":            unacknowledgedIsRedelivered,
			"many messages, in order and in batches":   manyInBatches,
			"a lone message does not wait":             loneMessage,
			"it says when it was sent":                 sentIsKnown,
			"a failure is retried":                     failureIsRetried,
			"dead after its tries":                     deadAfterTries,
			"rejected at once, the others are done":    rejectedAtOnce,
			"requeued from the dead letters":           requeued,
			"waiting messages are counted":             waitingIsCounted,
			"too long a message is an error":           tooLong,
			"an Open that fails disturbs no session":   failedOpen,
			"the connection is cut and comes back":     connectionCut,
			"a broker that does not answer":            silentBroker,
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); test(t, s) })
		}
	})
}

type suite struct {
	address string
	dial    func(address string) (messaging.Connection, error)
}

func (s suite) connect(t *testing.T) messaging.Connection {
	t.Helper()
	return s.connectTo(t, s.address)
}

func (s suite) connectTo(t *testing.T, address string) messaging.Connection {
	t.Helper()
	c, err := s.dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

const timeout = 90 * time.Second

func poll(try func() error) error { return chassistest.Poll(timeout, try) }

// Unique makes a name that no other test uses.
func Unique(name string) string { return name + "-" + uuid.NewString()[:8] }

// Messages makes n messages with ids and bodies that differ.
func Messages(n int) []messaging.Message {
	msgs := make([]messaging.Message, n)
	for i := range msgs {
		msgs[i] = messaging.Message{ID: uuid.NewString(), Body: fmt.Appendf(nil, `{"n":%d}`, i)}
	}
	return msgs
}

// Publish publishes msgs, again and again until the broker takes them.
func Publish(t *testing.T, b messaging.Broker, to messaging.Destination, msgs []messaging.Message) {
	t.Helper()
	publisher := b.Publisher(to)
	if err := poll(func() error { return publisher.Publish(t.Context(), msgs) }); err != nil {
		t.Fatal(err)
	}
}

// Consume runs a consumer until the test ends or stop is called.
func Consume(t *testing.T, b messaging.Broker, s messaging.Subscription) (stop func()) {
	t.Helper()
	return Run(t, messaging.NewConsumers(b, slog.New(slog.DiscardHandler), s))
}

// Run runs consumers until the test ends or stop is called.
func Run(t *testing.T, consumers messaging.Consumers) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := consumers.Run(ctx); err != nil {
			t.Errorf("the consumers ended with %v", err)
		}
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

// Inbox is a handler that keeps the messages.
type Inbox struct {
	mu   sync.Mutex
	msgs []messaging.Message
}

// Handle is a [messaging.Handler].
func (b *Inbox) Handle(_ context.Context, batch []messaging.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.msgs = append(b.msgs, batch...)
	return nil
}

// Messages are those that were handled so far.
func (b *Inbox) Messages() []messaging.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.msgs)
}

// IDs are the ids of the messages that were handled so far.
func (b *Inbox) IDs() []string {
	var ids []string
	for _, m := range b.Messages() {
		ids = append(ids, m.ID)
	}
	return ids
}

// Expect waits until each of msgs has been handled at least once.
func (b *Inbox) Expect(t *testing.T, msgs []messaging.Message) {
	t.Helper()
	err := poll(func() error {
		seen := map[string]bool{}
		for _, id := range b.IDs() {
			seen[id] = true
		}
		for _, m := range msgs {
			if !seen[m.ID] {
				return fmt.Errorf("%d of %d messages have come", len(seen), len(msgs))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func fanoutReachesAll(t *testing.T, s suite) {
	exchange, one, two := Unique("viewed"), Unique("history.viewed"), Unique("recommendations.viewed")
	b := s.connect(t)
	var first, second Inbox
	Consume(t, b, messaging.Subscription{Queue: messaging.Queue{Name: one, Exchange: exchange}, Handler: first.Handle})
	Consume(t, b, messaging.Subscription{Queue: messaging.Queue{Name: two, Exchange: exchange}, Handler: second.Handle})
	msgs := Messages(3)
	Publish(t, b, messaging.Fanout(exchange, one, two), msgs)
	first.Expect(t, msgs)
	second.Expect(t, msgs)
	if body := string(first.Messages()[0].Body); body != `{"n":0}` {
		t.Errorf("the body came as %s", body)
	}
}

func sentBeforeFirstStart(t *testing.T, s suite) {
	exchange, queue := Unique("video-uploaded"), Unique("metadata.video-uploaded")
	msgs := Messages(3)
	Publish(t, s.connect(t), messaging.Fanout(exchange, queue), msgs)
	var in Inbox
	Consume(t, s.connect(t), messaging.Subscription{Queue: messaging.Queue{Name: queue, Exchange: exchange}, Handler: in.Handle})
	in.Expect(t, msgs)
}

func startsFirst(t *testing.T, s suite) {
	exchange, queue := Unique("viewed"), Unique("history.viewed")
	var in Inbox
	Consume(t, s.connect(t), messaging.Subscription{Queue: messaging.Queue{Name: queue, Exchange: exchange}, Handler: in.Handle})
	msgs := Messages(3)
	Publish(t, s.connect(t), messaging.Fanout(exchange, queue), msgs)
	in.Expect(t, msgs)
}

func queueGivesToOne(t *testing.T, s suite) {
	q := messaging.Queue{Name: Unique("viewed")}
	b := s.connect(t)
	var in Inbox
	Consume(t, b, messaging.Subscription{Queue: q, Handler: in.Handle})
	Consume(t, s.connect(t), messaging.Subscription{Queue: q, Handler: in.Handle})
	msgs := Messages(200)
	Publish(t, b, messaging.To(q), msgs)
	in.Expect(t, msgs)
	if n := len(in.IDs()); n != len(msgs) {
		t.Errorf("%d messages were handled %d times", len(msgs), n)
	}
}

func sameName(t *testing.T, s suite) {
	name, queue := Unique("viewed"), Unique("history.viewed")
	b := s.connect(t)
	var fanned, alone Inbox
	Consume(t, b, messaging.Subscription{Queue: messaging.Queue{Name: queue, Exchange: name}, Handler: fanned.Handle})
	Consume(t, b, messaging.Subscription{Queue: messaging.Queue{Name: name}, Handler: alone.Handle})
	one, two := Messages(1), Messages(1)
	Publish(t, b, messaging.Fanout(name, queue), one)
	Publish(t, b, messaging.To(messaging.Queue{Name: name}), two)
	fanned.Expect(t, one)
	alone.Expect(t, two)
	if len(fanned.IDs()) != 1 || len(alone.IDs()) != 1 {
		t.Errorf("the exchange's queue got %d messages, the queue %d", len(fanned.IDs()), len(alone.IDs()))
	}
}

func unacknowledgedIsRedelivered(t *testing.T, s suite) {
	exchange, queue := Unique("viewed"), Unique("history.viewed")
	q := messaging.Queue{Name: queue, Exchange: exchange}
	b := s.connect(t)
	started := make(chan struct{})
	stop := Consume(t, b, messaging.Subscription{Queue: q, Handler: func(ctx context.Context, _ []messaging.Message) error {
		close(started)
		<-ctx.Done()
		return ctx.Err()
	}})
	msgs := Messages(5)
	Publish(t, b, messaging.Fanout(exchange, queue), msgs)
	<-started
	stop()
	var in Inbox
	Consume(t, b, messaging.Subscription{Queue: q, Handler: in.Handle})
	in.Expect(t, msgs)
}

func manyInBatches(t *testing.T, s suite) {
	exchange, queue := Unique("viewed"), Unique("history.viewed")
	b := s.connect(t)
	msgs := Messages(2500)
	Publish(t, b, messaging.Fanout(exchange, queue), msgs)
	var in Inbox
	calls := 0
	stop := Consume(t, b, messaging.Subscription{
		Queue: messaging.Queue{Name: queue, Exchange: exchange},
		Handler: func(ctx context.Context, batch []messaging.Message) error {
			calls++
			return in.Handle(ctx, batch)
		},
	})
	in.Expect(t, msgs)
	stop()
	for i, id := range in.IDs() {
		if id != msgs[i].ID {
			t.Fatalf("message %d came out of order", i)
		}
	}
	if calls > len(msgs)/5 {
		t.Errorf("%d messages took %d calls of the handler", len(msgs), calls)
	}
}

func loneMessage(t *testing.T, s suite) {
	q := messaging.Queue{Name: Unique("viewed")}
	b := s.connect(t)
	var in Inbox
	Consume(t, b, messaging.Subscription{Queue: q, Handler: in.Handle})
	for range 3 { // each would wait for the batch to fill, which it never does
		msgs := Messages(1)
		Publish(t, b, messaging.To(q), msgs)
		in.Expect(t, msgs)
	}
}

// sentIsKnown: the clocks are those of one machine.
func sentIsKnown(t *testing.T, s suite) {
	q := messaging.Queue{Name: Unique("viewed")}
	b := s.connect(t)
	before := time.Now().Truncate(time.Millisecond)
	Publish(t, b, messaging.To(q), Messages(1))
	after := time.Now()
	session, err := b.Open(t.Context(), q, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	d := <-session.Deliveries()
	if d.Sent.Before(before) || d.Sent.After(after) || len(d.Headers) > 0 {
		t.Errorf("sent between %v and %v, it says at %v; headers %v", before, after, d.Sent, d.Headers)
	}
}

func contains(batch []messaging.Message, id string) bool {
	return slices.ContainsFunc(batch, func(m messaging.Message) bool { return m.ID == id })
}

func failureIsRetried(t *testing.T, s suite) {
	q := messaging.Queue{Name: Unique("viewed")}
	b := s.connect(t)
	msgs := Messages(10)
	var in Inbox
	failures := 0
	Consume(t, b, messaging.Subscription{Queue: q, Handler: func(ctx context.Context, batch []messaging.Message) error {
		if contains(batch, msgs[4].ID) && failures < 3 {
			failures++
			return errors.New("not now")
		}
		return in.Handle(ctx, batch)
	}})
	Publish(t, b, messaging.To(q), msgs)
	in.Expect(t, msgs)
	if ids := in.IDs(); ids[len(ids)-1] != msgs[4].ID || len(ids) != len(msgs) {
		t.Errorf("the others waited for the one that failed, or came twice: %d of %d", len(ids), len(msgs))
	}
}

// drain takes the messages from a queue of dead letters, of which it expects a number.
func drain(t *testing.T, b messaging.Broker, q messaging.Queue, want int) []messaging.Message {
	t.Helper()
	var in Inbox
	stop := Consume(t, b, messaging.Subscription{Queue: q.Dead(), Handler: in.Handle})
	defer stop()
	err := poll(func() error {
		if n := len(in.IDs()); n < want {
			return fmt.Errorf("%d of %d dead letters have come", n, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return in.Messages()
}

func deadAfterTries(t *testing.T, s suite) {
	exchange, queue := Unique("viewed"), Unique("history.viewed")
	q := messaging.Queue{Name: queue, Exchange: exchange}
	b := s.connect(t)
	msgs := Messages(3)
	var in Inbox
	alone := 0
	stop := Consume(t, b, messaging.Subscription{Queue: q, Handler: func(ctx context.Context, batch []messaging.Message) error {
		if !contains(batch, msgs[1].ID) {
			return in.Handle(ctx, batch)
		}
		if len(batch) == 1 {
			alone++
		}
		return errors.New("it always fails")
	}})
	Publish(t, b, messaging.Fanout(exchange, queue), msgs)
	m := drain(t, b, q, 1)[0]
	in.Expect(t, []messaging.Message{msgs[0], msgs[2]})
	stop()
	if alone != 5 {
		t.Errorf("it was tried %d times, not 5", alone)
	}
	if m.ID != msgs[1].ID || string(m.Body) != string(msgs[1].Body) || m.Headers[messaging.HeaderTries] != "5" ||
		!strings.Contains(m.Headers[messaging.HeaderReason], "it always fails") {
		t.Errorf("the dead letter is %+v", m)
	}
	first, err1 := time.Parse(time.RFC3339Nano, m.Headers[messaging.HeaderFirstError])
	last, err2 := time.Parse(time.RFC3339Nano, m.Headers[messaging.HeaderLastError])
	if err1 != nil || err2 != nil || last.Sub(first) < 5*time.Second {
		t.Errorf("first error at %v (%v), last at %v (%v)", first, err1, last, err2)
	}
}

func rejectedAtOnce(t *testing.T, s suite) {
	q := messaging.Queue{Name: Unique("viewed")}
	b := s.connect(t)
	msgs := Messages(30)
	bad := errors.New("not a viewed message")
	var in Inbox
	Consume(t, b, messaging.Subscription{Queue: q, Handler: messaging.Decoded(
		func(m messaging.Message) (messaging.Message, error) {
			if m.ID == msgs[7].ID || m.ID == msgs[20].ID {
				return m, bad
			}
			return m, nil
		}, in.Handle)})
	Publish(t, b, messaging.To(q), msgs)
	for _, m := range drain(t, b, q, 2) {
		if (m.ID != msgs[7].ID && m.ID != msgs[20].ID) || m.Headers[messaging.HeaderTries] != "1" ||
			m.Headers[messaging.HeaderReason] != bad.Error() {
			t.Errorf("the dead letter is %+v", m)
		}
	}
	in.Expect(t, slices.Concat(msgs[:7], msgs[8:20], msgs[21:]))
	if n := len(in.IDs()); n != len(msgs)-2 {
		t.Errorf("%d messages were handled %d times", len(msgs)-2, n)
	}
}

func requeued(t *testing.T, s suite) {
	exchange, one, two := Unique("viewed"), Unique("history.viewed"), Unique("recommendations.viewed")
	b := s.connect(t)
	q := messaging.Queue{Name: one, Exchange: exchange}
	var mu sync.Mutex
	fixed := false
	var in, other Inbox
	Consume(t, b, messaging.Subscription{Queue: q, Handler: func(ctx context.Context, batch []messaging.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if !fixed {
			return messaging.Rejects{0: errors.New("broken")}
		}
		return in.Handle(ctx, batch)
	}})
	Consume(t, b, messaging.Subscription{Queue: messaging.Queue{Name: two, Exchange: exchange}, Handler: other.Handle})
	msgs := Messages(1)
	Publish(t, b, messaging.Fanout(exchange, one, two), msgs)
	dead := drain(t, b, q, 1)
	mu.Lock()
	fixed = true
	mu.Unlock()
	Publish(t, b, messaging.To(q), dead)
	in.Expect(t, msgs)
	other.Expect(t, msgs)
	if n := len(other.IDs()); n != 1 {
		t.Errorf("a message that was requeued for one subscriber came %d times to another", n)
	}
}

func waitingIsCounted(t *testing.T, s suite) {
	b := s.connect(t)
	q := messaging.Queue{Name: Unique("history.viewed"), Exchange: Unique("viewed")}
	for want, to := range []messaging.Destination{messaging.To(q), messaging.Fanout(q.Exchange), messaging.To(q.Dead())} {
		if got, err := b.Len(t.Context(), q); got != want || err != nil {
			t.Errorf("%d messages wait, want %d; %v", got, want, err)
		}
		Publish(t, b, to, Messages(1))
	}
	if got, err := b.Len(t.Context(), q.Dead()); got != 1 || err != nil {
		t.Errorf("%d dead letters, want 1; %v", got, err)
	}
}

func tooLong(t *testing.T, s suite) {
	exchange, queue := Unique("viewed"), Unique("history.viewed")
	to, q := messaging.Fanout(exchange, queue), messaging.Queue{Name: queue, Exchange: exchange}
	b := s.connect(t)
	body := []byte(`"` + strings.Repeat("x", messaging.MaxBody-2) + `"`)
	longest := messaging.Message{ID: uuid.NewString(), Body: body}
	Publish(t, b, to, []messaging.Message{longest})
	publisher := b.Publisher(to)
	if err := publisher.Publish(t.Context(), []messaging.Message{{ID: "long", Body: slices.Concat(body, body)}}); err == nil {
		t.Error("a message of twice the allowed length was published")
	}
	after := Messages(1)
	if err := poll(func() error { return publisher.Publish(t.Context(), after) }); err != nil {
		t.Fatal(err)
	}
	var in Inbox
	reject := errors.New(strings.Repeat("x", 5000))
	Consume(t, b, messaging.Subscription{Queue: q, Handler: messaging.Decoded(func(m messaging.Message) (messaging.Message, error) {
		if m.ID == longest.ID {
			return m, reject
		}
		return m, nil
	}, in.Handle)})
	in.Expect(t, after)
	if dead := drain(t, b, q, 1); dead[0].ID != longest.ID || len(dead[0].Body) != messaging.MaxBody {
		t.Errorf("the dead letter is %s, of %d bytes", dead[0].ID, len(dead[0].Body))
	}
}

func failedOpen(t *testing.T, s suite) {
	q := messaging.Queue{Name: Unique("viewed")}
	b := s.connect(t)
	session, err := b.Open(t.Context(), q, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if other, err := b.Open(ended, messaging.Queue{Name: Unique("viewed")}, 10); err == nil {
		_ = other.Close()
		t.Error("opened though its context had ended")
	} else if errors.Is(err, messaging.ErrQueueRejected) {
		t.Errorf("no time left is no rejection: %v", err)
	}
	msgs := Messages(1)
	Publish(t, b, messaging.To(q), msgs)
	select {
	case d, ok := <-session.Deliveries():
		if !ok || d.ID != msgs[0].ID {
			t.Errorf("got %v, %v", d, ok)
		}
	case <-time.After(timeout):
		t.Error("nothing comes any more")
	}
}

func connectionCut(t *testing.T, s suite) {
	u, err := url.Parse(s.address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := newProxy(t, u.Host)
	u.Host = proxy.address
	exchange, queue := Unique("viewed"), Unique("history.viewed")
	sending, consuming := s.connectTo(t, u.String()), s.connectTo(t, u.String())
	publisher := sending.Publisher(messaging.Fanout(exchange, queue))
	var in Inbox
	Consume(t, consuming, messaging.Subscription{Queue: messaging.Queue{Name: queue, Exchange: exchange}, Handler: in.Handle})
	publish := func() {
		msgs := Messages(5)
		if err := poll(func() error { return publisher.Publish(t.Context(), msgs) }); err != nil {
			t.Fatal(err)
		}
		in.Expect(t, msgs)
	}
	publish()

	proxy.stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := publisher.Publish(ctx, Messages(1)); err == nil {
		t.Error("published without a connection")
	}
	if err := sending.Ping(t.Context()); err == nil {
		t.Error("pinged without a connection")
	}
	if session, err := sending.Open(t.Context(), messaging.Queue{Name: Unique("viewed")}, 1); err == nil {
		_ = session.Close()
		t.Error("opened without a connection")
	} else if errors.Is(err, messaging.ErrQueueRejected) {
		t.Errorf("a broker that is away rejects no queue: %v", err)
	}
	proxy.start(t)
	publish()
}

// silentBroker: a Ping, of /readyz for one, ends with its context, even while others wait, too.
func silentBroker(t *testing.T, s suite) {
	u, err := url.Parse(s.address)
	if err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the system accepts the connections
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	u.Host = silent.Addr().String()
	b := s.connectTo(t, u.String())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	answers := make(chan error, 2)
	for range 2 {
		go func() { answers <- b.Ping(ctx) }()
	}
	enough := time.After(5 * time.Second)
	for range 2 {
		select {
		case err := <-answers:
			if err == nil {
				t.Error("it answers")
			}
		case <-enough:
			t.Fatal("Ping outlasts its context")
		}
	}
}
