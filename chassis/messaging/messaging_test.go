package messaging_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"flixtube/chassis/chassistest"
	"flixtube/chassis/messaging"
)

// The contract of the package, held against both brokers by the same tests.

func TestRabbitMQ(t *testing.T) {
	server := chassistest.RabbitMQ(t)
	contract(t, server.URL)
	t.Run("killed and started again", func(t *testing.T) { survivesKill(t, server) })
	t.Run("plainly declared by others", func(t *testing.T) { plainlyDeclared(t, server.URL) })
}

func TestJetStream(t *testing.T) {
	contract(t, chassistest.JetStream(t))
}

func contract(t *testing.T, address string) {
	for name, test := range map[string]func(*testing.T, string){
		"fanout reaches every subscriber":          fanoutReachesAll,
		"sent before the first start":              sentBeforeFirstStart,
		"a queue alone gives each message to one":  queueGivesToOne,
		"unacknowledged comes again":               unacknowledgedComesAgain,
		"a failure is tried again":                 failureIsTriedAgain,
		"given up after its tries":                 givenUpAfterTries,
		"rejected at once, the others are done":    rejectedAtOnce,
		"a panic is a failure":                     panicIsFailure,
		"put back from the dead letters":           putBack,
		"what waits is counted":                    waitingIsCounted,
		"not ready uses up no tries":               notReadyUsesNoTries,
		"many messages, in order and in batches":   manyInBatches,
		"a lone message does not wait":             loneMessage,
		"the connection is cut and comes back":     connectionCut,
		"a subscriber that starts before anything": startsFirst,
		"an exchange and a queue of one name":      sameName,
		"too long a message is refused":            tooLong,
		"an Open that fails disturbs no session":   failedOpen,
	} {
		t.Run(name, func(t *testing.T) { test(t, address) })
	}
}

const patience = 60 * time.Second

func poll(try func() error) error { return chassistest.Poll(patience, try) }

func connect(t *testing.T, address string) messaging.Broker {
	t.Helper()
	b, err := messaging.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// unique makes names that no other test uses, of the form that services use.
func unique(name string) string { return name + "-" + uuid.NewString()[:8] }

func messages(n int) []messaging.Message {
	msgs := make([]messaging.Message, n)
	for i := range msgs {
		msgs[i] = messaging.Message{ID: uuid.NewString(), Body: fmt.Appendf(nil, `{"n":%d}`, i)}
	}
	return msgs
}

func publish(t *testing.T, b messaging.Broker, to messaging.Destination, msgs []messaging.Message) {
	t.Helper()
	if err := poll(func() error { return b.Publish(t.Context(), to, msgs) }); err != nil {
		t.Fatal(err)
	}
}

// consume runs a consumer until the test ends or stop is called.
func consume(t *testing.T, b messaging.Broker, s messaging.Subscription) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := messaging.Consume(ctx, b, s, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("Consume: %v", err)
		}
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

// inbox is a handler's memory.
type inbox struct {
	mu   sync.Mutex
	msgs []messaging.Message
}

func (b *inbox) handle(_ context.Context, batch []messaging.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.msgs = append(b.msgs, batch...)
	return nil
}

func (b *inbox) ids() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := make([]string, len(b.msgs))
	for i, m := range b.msgs {
		ids[i] = m.ID
	}
	return ids
}

// expect waits until the inbox holds every one of msgs at least once.
func (b *inbox) expect(t *testing.T, msgs []messaging.Message) {
	t.Helper()
	err := poll(func() error {
		seen := map[string]bool{}
		for _, id := range b.ids() {
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

func fanoutReachesAll(t *testing.T, address string) {
	exchange, a, c := unique("viewed"), unique("history.viewed"), unique("recommendations.viewed")
	b := connect(t, address)
	var one, two inbox
	consume(t, b, messaging.Subscription{Queue: messaging.Queue{Name: a, Exchange: exchange}, Handler: one.handle})
	consume(t, b, messaging.Subscription{Queue: messaging.Queue{Name: c, Exchange: exchange}, Handler: two.handle})
	msgs := messages(3)
	publish(t, b, messaging.Fanout(exchange, a, c), msgs)
	one.expect(t, msgs)
	two.expect(t, msgs)
	if string(one.msgs[0].Body) != `{"n":0}` {
		t.Errorf("the body came as %s", one.msgs[0].Body)
	}
}

func sentBeforeFirstStart(t *testing.T, address string) {
	exchange, queue := unique("video-uploaded"), unique("metadata.video-uploaded")
	msgs := messages(3)
	publish(t, connect(t, address), messaging.Fanout(exchange, queue), msgs)
	var in inbox
	consume(t, connect(t, address), messaging.Subscription{Queue: messaging.Queue{Name: queue, Exchange: exchange}, Handler: in.handle})
	in.expect(t, msgs)
}

func startsFirst(t *testing.T, address string) {
	exchange, queue := unique("viewed"), unique("history.viewed")
	var in inbox
	consume(t, connect(t, address), messaging.Subscription{Queue: messaging.Queue{Name: queue, Exchange: exchange}, Handler: in.handle})
	msgs := messages(3)
	publish(t, connect(t, address), messaging.Fanout(exchange, queue), msgs)
	in.expect(t, msgs)
}

func queueGivesToOne(t *testing.T, address string) {
	q := messaging.Queue{Name: unique("viewed")}
	b := connect(t, address)
	var in inbox
	consume(t, b, messaging.Subscription{Queue: q, Handler: in.handle, Batch: 2})
	consume(t, connect(t, address), messaging.Subscription{Queue: q, Handler: in.handle, Batch: 2})
	msgs := messages(200)
	publish(t, b, messaging.To(q), msgs)
	in.expect(t, msgs)
	if n := len(in.ids()); n != len(msgs) {
		t.Errorf("%d messages were handled %d times", len(msgs), n)
	}
}

func unacknowledgedComesAgain(t *testing.T, address string) {
	exchange, queue := unique("viewed"), unique("history.viewed")
	q := messaging.Queue{Name: queue, Exchange: exchange}
	b := connect(t, address)
	started, block := make(chan struct{}), make(chan struct{})
	stop := consume(t, b, messaging.Subscription{Queue: q, Handler: func(ctx context.Context, _ []messaging.Message) error {
		close(started)
		select {
		case <-ctx.Done():
		case <-block:
		}
		return ctx.Err()
	}})
	msgs := messages(5)
	publish(t, b, messaging.Fanout(exchange, queue), msgs)
	<-started
	stop()
	var in inbox
	consume(t, b, messaging.Subscription{Queue: q, Handler: in.handle})
	in.expect(t, msgs)
}

func failureIsTriedAgain(t *testing.T, address string) {
	q := messaging.Queue{Name: unique("viewed")}
	b := connect(t, address)
	msgs := messages(10)
	var in inbox
	failures := 0
	consume(t, b, messaging.Subscription{
		Queue: q, Pause: 20 * time.Millisecond, Tries: 8,
		Handler: func(ctx context.Context, batch []messaging.Message) error {
			if slices.ContainsFunc(batch, func(m messaging.Message) bool { return m.ID == msgs[4].ID }) && failures < 5 {
				failures++
				return errors.New("not now")
			}
			return in.handle(ctx, batch)
		},
	})
	publish(t, b, messaging.To(q), msgs)
	in.expect(t, msgs)
	if ids := in.ids(); ids[len(ids)-1] != msgs[4].ID || len(ids) != len(msgs) {
		t.Errorf("the others waited for the one that failed, or came twice: %d of %d", len(ids), len(msgs))
	}
}

func waitingIsCounted(t *testing.T, address string) {
	b := connect(t, address)
	q := messaging.Queue{Name: unique("history.viewed"), Exchange: unique("viewed")}
	for want, to := range []messaging.Destination{messaging.To(q), messaging.Fanout(q.Exchange), messaging.To(q.Dead())} {
		if got, err := b.Len(t.Context(), q); got != want || err != nil {
			t.Errorf("%d messages wait, want %d; %v", got, want, err)
		}
		publish(t, b, to, messages(1))
	}
	if got, err := b.Len(t.Context(), q.Dead()); got != 1 || err != nil {
		t.Errorf("%d dead letters, want 1; %v", got, err)
	}
}

// drain takes what is in a queue of dead letters.
func drain(t *testing.T, b messaging.Broker, q messaging.Queue, want int) []messaging.Message {
	t.Helper()
	var in inbox
	stop := consume(t, b, messaging.Subscription{Queue: q.Dead(), Handler: in.handle})
	err := poll(func() error {
		if n := len(in.ids()); n < want {
			return fmt.Errorf("%d of %d dead letters have come", n, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	return in.msgs
}

func givenUpAfterTries(t *testing.T, address string) {
	exchange, queue := unique("viewed"), unique("history.viewed")
	q := messaging.Queue{Name: queue, Exchange: exchange}
	b := connect(t, address)
	msgs := messages(3)
	var in inbox
	var mu sync.Mutex
	alone := 0
	consume(t, b, messaging.Subscription{
		Queue: q, Pause: 10 * time.Millisecond, Tries: 3,
		Handler: func(ctx context.Context, batch []messaging.Message) error {
			if batch[0].ID == msgs[1].ID && len(batch) == 1 {
				mu.Lock()
				alone++
				mu.Unlock()
			}
			if slices.ContainsFunc(batch, func(m messaging.Message) bool { return m.ID == msgs[1].ID }) {
				return errors.New("it always fails")
			}
			return in.handle(ctx, batch)
		},
	})
	publish(t, b, messaging.Fanout(exchange, queue), msgs)
	dead := drain(t, b, q, 1)
	in.expect(t, []messaging.Message{msgs[0], msgs[2]})
	mu.Lock()
	defer mu.Unlock()
	if alone != 3 {
		t.Errorf("it was tried %d times, not 3", alone)
	}
	m := dead[0]
	if m.ID != msgs[1].ID || string(m.Body) != string(msgs[1].Body) || m.Headers[messaging.HeaderTries] != "3" ||
		!strings.Contains(m.Headers[messaging.HeaderReason], "it always fails") {
		t.Errorf("the dead letter is %+v", m)
	}
	first, err1 := time.Parse(time.RFC3339Nano, m.Headers[messaging.HeaderFirstError])
	last, err2 := time.Parse(time.RFC3339Nano, m.Headers[messaging.HeaderLastError])
	if err1 != nil || err2 != nil || !last.After(first) {
		t.Errorf("first error at %v (%v), last at %v (%v)", first, err1, last, err2)
	}
}

func rejectedAtOnce(t *testing.T, address string) {
	q := messaging.Queue{Name: unique("viewed")}
	b := connect(t, address)
	msgs := messages(30)
	bad := errors.New("not a viewed message")
	var in inbox
	consume(t, b, messaging.Subscription{Queue: q, Handler: messaging.Decoded(
		func(m messaging.Message) (messaging.Message, error) {
			if m.ID == msgs[7].ID || m.ID == msgs[20].ID {
				return m, bad
			}
			return m, nil
		}, in.handle)})
	publish(t, b, messaging.To(q), msgs)
	for _, m := range drain(t, b, q, 2) {
		if (m.ID != msgs[7].ID && m.ID != msgs[20].ID) || m.Headers[messaging.HeaderTries] != "1" {
			t.Errorf("the dead letter is %+v", m)
		}
	}
	in.expect(t, slices.Concat(msgs[:7], msgs[8:20], msgs[21:]))
	if n := len(in.ids()); n != len(msgs)-2 {
		t.Errorf("%d messages were handled %d times", len(msgs)-2, n)
	}
}

func panicIsFailure(t *testing.T, address string) {
	q := messaging.Queue{Name: unique("viewed")}
	b := connect(t, address)
	consume(t, b, messaging.Subscription{
		Queue: q, Tries: 2, Pause: time.Millisecond,
		Handler: func(context.Context, []messaging.Message) error { panic("an empty slice") },
	})
	publish(t, b, messaging.To(q), messages(1))
	if dead := drain(t, b, q, 1); !strings.Contains(dead[0].Headers[messaging.HeaderReason], "an empty slice") {
		t.Errorf("the dead letter is %+v", dead[0])
	}
}

func putBack(t *testing.T, address string) {
	exchange, one, two := unique("viewed"), unique("history.viewed"), unique("recommendations.viewed")
	b := connect(t, address)
	q := messaging.Queue{Name: one, Exchange: exchange}
	var mu sync.Mutex
	mended := false
	var in, other inbox
	consume(t, b, messaging.Subscription{
		Queue: q, Tries: 1,
		Handler: func(ctx context.Context, batch []messaging.Message) error {
			mu.Lock()
			defer mu.Unlock()
			if !mended {
				return errors.New("broken")
			}
			return in.handle(ctx, batch)
		},
	})
	consume(t, b, messaging.Subscription{Queue: messaging.Queue{Name: two, Exchange: exchange}, Handler: other.handle})
	msgs := messages(1)
	publish(t, b, messaging.Fanout(exchange, one, two), msgs)
	dead := drain(t, b, q, 1)
	mu.Lock()
	mended = true
	mu.Unlock()
	publish(t, b, messaging.To(q), dead)
	in.expect(t, msgs)
	other.expect(t, msgs)
	if n := len(other.ids()); n != 1 {
		t.Errorf("what was put back for one subscriber came %d times to another", n)
	}
}

func notReadyUsesNoTries(t *testing.T, address string) {
	q := messaging.Queue{Name: unique("viewed")}
	b := connect(t, address)
	var mu sync.Mutex
	up, probes, calls := true, 0, 0
	var in inbox
	consume(t, b, messaging.Subscription{
		Queue: q, Tries: 2, Pause: 5 * time.Millisecond,
		Ready: func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			probes++
			if !up {
				return errors.New("the database is down")
			}
			return nil
		},
		Handler: func(ctx context.Context, batch []messaging.Message) error {
			mu.Lock()
			defer mu.Unlock()
			calls++
			if calls == 1 {
				up = false
			}
			if !up {
				return errors.New("the database is down")
			}
			return in.handle(ctx, batch)
		},
	})
	msgs := messages(20)
	publish(t, b, messaging.To(q), msgs)
	// Far more probes than tries, and the handler is left alone meanwhile.
	err := poll(func() error {
		mu.Lock()
		defer mu.Unlock()
		if probes < 6 {
			return fmt.Errorf("%d probes", probes)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	if calls != 1 {
		t.Errorf("the handler was called %d times without its database", calls)
	}
	up = true
	mu.Unlock()
	in.expect(t, msgs)
}

func manyInBatches(t *testing.T, address string) {
	exchange, queue := unique("viewed"), unique("history.viewed")
	b := connect(t, address)
	msgs := messages(2500)
	publish(t, b, messaging.Fanout(exchange, queue), msgs)
	var in inbox
	calls := 0
	consume(t, b, messaging.Subscription{
		Queue: messaging.Queue{Name: queue, Exchange: exchange},
		Handler: func(ctx context.Context, batch []messaging.Message) error {
			calls++
			return in.handle(ctx, batch)
		},
	})
	in.expect(t, msgs)
	for i, id := range in.ids() {
		if id != msgs[i].ID {
			t.Fatalf("message %d came out of order", i)
		}
	}
	if calls > len(msgs)/5 {
		t.Errorf("%d messages took %d calls of the handler", len(msgs), calls)
	}
}

func loneMessage(t *testing.T, address string) {
	q := messaging.Queue{Name: unique("viewed")}
	b := connect(t, address)
	var in inbox
	consume(t, b, messaging.Subscription{Queue: q, Handler: in.handle})
	for range 3 { // each would wait for the batch to fill, which it never does
		msgs := messages(1)
		publish(t, b, messaging.To(q), msgs)
		in.expect(t, msgs)
	}
}

func sameName(t *testing.T, address string) {
	name, queue := unique("viewed"), unique("history.viewed")
	b := connect(t, address)
	var fanned, alone inbox
	consume(t, b, messaging.Subscription{Queue: messaging.Queue{Name: queue, Exchange: name}, Handler: fanned.handle})
	consume(t, b, messaging.Subscription{Queue: messaging.Queue{Name: name}, Handler: alone.handle})
	one, two := messages(1), messages(1)
	publish(t, b, messaging.Fanout(name, queue), one)
	publish(t, b, messaging.To(messaging.Queue{Name: name}), two)
	fanned.expect(t, one)
	alone.expect(t, two)
	if len(fanned.ids()) != 1 || len(alone.ids()) != 1 {
		t.Errorf("the exchange's queue got %d messages, the queue %d", len(fanned.ids()), len(alone.ids()))
	}
}

func tooLong(t *testing.T, address string) {
	exchange, queue := unique("viewed"), unique("history.viewed")
	to, q := messaging.Fanout(exchange, queue), messaging.Queue{Name: queue, Exchange: exchange}
	b := connect(t, address)
	body := []byte(`"` + strings.Repeat("x", messaging.MaxBody-2) + `"`)
	longest := messaging.Message{ID: uuid.NewString(), Body: body}
	publish(t, b, to, []messaging.Message{longest})
	if err := b.Publish(t.Context(), to, []messaging.Message{{ID: "long", Body: slices.Concat(body, body)}}); err == nil {
		t.Error("a message of twice the length that is allowed was published")
	}
	after := messages(1)
	publish(t, b, to, after)
	var in inbox
	reject := errors.New(strings.Repeat("x", 5000))
	stop := consume(t, b, messaging.Subscription{Queue: q, Handler: messaging.Decoded(func(m messaging.Message) (messaging.Message, error) {
		if m.ID == longest.ID {
			return m, reject
		}
		return m, nil
	}, in.handle)})
	in.expect(t, after)
	if dead := drain(t, b, q, 1); dead[0].ID != longest.ID || len(dead[0].Body) != messaging.MaxBody {
		t.Errorf("the dead letter is %s, of %d bytes", dead[0].ID, len(dead[0].Body))
	}
	stop()
}

func failedOpen(t *testing.T, address string) {
	q := messaging.Queue{Name: unique("viewed")}
	b := connect(t, address)
	session, err := b.Open(t.Context(), q, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if other, err := b.Open(ended, messaging.Queue{Name: unique("viewed")}, 10); err == nil {
		other.Close()
		t.Error("opened though there was no time left")
	}
	msgs := messages(1)
	publish(t, b, messaging.To(q), msgs)
	select {
	case d, ok := <-session.Deliveries():
		if !ok || d.ID != msgs[0].ID {
			t.Errorf("got %v, %v", d, ok)
		}
	case <-time.After(patience):
		t.Error("nothing comes any more")
	}
}
