package messaging_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flixtube/chassis/messaging"
	"flixtube/chassis/messaging/messagingtest"
)

// fakeBroker is a broker with one session, for what real ones cannot be made to do.
type fakeBroker struct {
	deliveries chan messaging.Delivery

	mu     sync.Mutex
	acked  []string
	dead   []messaging.Message
	full   bool  // it takes no dead letters
	away   error // of Open
	closed int   // sessions
}

func newFakeBroker(deliveries ...messaging.Delivery) *fakeBroker {
	f := &fakeBroker{deliveries: make(chan messaging.Delivery, len(deliveries))}
	for _, d := range deliveries {
		f.deliveries <- d
	}
	return f
}

func delivery(id string, redeliveries int) messaging.Delivery {
	return messaging.Delivery{Message: messaging.Message{ID: id}, Redeliveries: redeliveries}
}

func (f *fakeBroker) Publisher(messaging.Destination) messaging.Publisher { return f }

func (f *fakeBroker) Publish(_ context.Context, msgs []messaging.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full {
		return errors.New("no space for dead letters")
	}
	f.dead = append(f.dead, msgs...)
	return nil
}

func (f *fakeBroker) Open(context.Context, messaging.Queue, int) (messaging.Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away != nil {
		return nil, f.away
	}
	return f, nil
}

func (f *fakeBroker) Deliveries() <-chan messaging.Delivery {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.deliveries
}

func (f *fakeBroker) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed++
	return nil
}

func (f *fakeBroker) Ack(handled []messaging.Delivery) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range handled {
		f.acked = append(f.acked, d.ID)
	}
	return nil
}

// settled are the ids of the messages that are acknowledged and of those that are dead, after a while.
func (f *fakeBroker) settled(after time.Duration) (acked, dead string) {
	wait(after)
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for _, m := range f.dead {
		ids = append(ids, m.ID)
	}
	return fmt.Sprint(slices.Sorted(slices.Values(f.acked))), fmt.Sprint(slices.Sorted(slices.Values(ids)))
}

// wait takes no time in a bubble of synctest.
func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func consume(t *testing.T, b messaging.Broker, s messaging.Subscription) (stop func()) {
	t.Helper()
	return messagingtest.Consume(t, b, s)
}

// TestDeliveredTooOften has one message whose handling killed the process again and again: it is given up without
// another try, and the others are handled.
func TestDeliveredTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newFakeBroker(delivery("a", 0), delivery("deadly", 16), delivery("b", 15))
		var in messagingtest.Inbox
		consume(t, broker, messaging.Subscription{Handler: in.Handle})
		if acked, dead := broker.settled(time.Second); acked != "[a b deadly]" || dead != "[deadly]" {
			t.Errorf("acknowledged %s, dead %s", acked, dead)
		}
		if got := in.IDs(); slices.Contains(got, "deadly") || len(got) != 2 {
			t.Errorf("handled: %v", got)
		}
	})
}

// TestDeliveredBefore: what was delivered twice before may kill the process once more. It comes alone, after the
// others, and not always after the same ones.
func TestDeliveredBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		orders := map[string]bool{}
		for range 20 {
			var all []messaging.Delivery
			for i := range 9 {
				all = append(all, delivery(fmt.Sprint(i), i/3)) // delivered 0, 1 and 2 times before
			}
			var batches [][]messaging.Message
			stop := consume(t, newFakeBroker(all...), messaging.Subscription{Handler: func(_ context.Context, batch []messaging.Message) error {
				batches = append(batches, batch)
				return nil
			}})
			wait(time.Second)
			stop()
			if len(batches) != 4 || len(batches[0]) != 6 {
				t.Fatalf("batches: %v", batches)
			}
			orders[batches[1][0].ID+batches[2][0].ID+batches[3][0].ID] = true
		}
		if len(orders) < 2 {
			t.Errorf("always in the same order: %v", slices.Collect(maps.Keys(orders)))
		}
	})
}

// TestDeadLettersThatWait: a message that cannot be dead-lettered yet neither delays the others nor ends the session,
// after which all that it holds would be delivered once more.
func TestDeadLettersThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newFakeBroker(delivery("a", 0), delivery("bad", 0), delivery("fails", 0), delivery("b", 0))
		broker.full = true
		consume(t, broker, messaging.Subscription{Handler: func(_ context.Context, batch []messaging.Message) error {
			rejects := messaging.Rejects{}
			for i, m := range batch {
				switch m.ID {
				case "bad":
					rejects[i] = errors.New("not a message")
				case "fails":
					return errors.New("it always fails")
				}
			}
			if len(rejects) > 0 {
				return rejects
			}
			return nil
		}})
		if acked, dead := broker.settled(time.Minute); acked != "[a b]" || dead != "[]" || broker.closed > 0 {
			t.Errorf("without space for dead letters: acknowledged %s, dead %s, %d sessions closed", acked, dead, broker.closed)
		}
		broker.mu.Lock()
		broker.full = false
		broker.mu.Unlock()
		if acked, dead := broker.settled(time.Minute); acked != "[a b bad fails]" || dead != "[bad fails]" || broker.closed > 0 {
			t.Errorf("with space again: acknowledged %s, dead %s, %d sessions closed", acked, dead, broker.closed)
		}
	})
}

// TestTooLong: a message that is too long is dead-lettered without a call of the handler, and says how long it was.
func TestTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := delivery("long", 0)
		long.Body, long.CutFrom = []byte("{"), 5_000_000
		broker := newFakeBroker(delivery("a", 0), long, delivery("b", 0))
		var in messagingtest.Inbox
		consume(t, broker, messaging.Subscription{Handler: in.Handle})
		if acked, dead := broker.settled(time.Second); acked != "[a b long]" || dead != "[long]" || len(in.IDs()) != 2 {
			t.Fatalf("acknowledged %s, dead %s, handled %v", acked, dead, in.IDs())
		}
		h := broker.dead[0].Headers
		if h[messaging.HeaderCutFrom] != "5000000" || h[messaging.HeaderReason] != "the body has 5000000 bytes, more than 65536" {
			t.Errorf("the headers are %v", h)
		}
	})
}

// TestBytesHeld: batches are bounded in bytes, and so are those messages that wait for another try.
func TestBytesHeld(t *testing.T) {
	const many, most = 1000, 4 << 20
	large := make([]messaging.Delivery, many)
	for i := range large {
		large[i] = delivery(fmt.Sprint(i), 0)
		large[i].Body = make([]byte, messaging.MaxBody)
	}
	synctest.Test(t, func(t *testing.T) {
		broker := newFakeBroker(large...)
		broker.full = true // a failure stays for another try
		var fixed atomic.Bool
		var largest atomic.Int64
		consume(t, broker, messaging.Subscription{Handler: func(_ context.Context, batch []messaging.Message) error {
			largest.Store(max(largest.Load(), int64(len(batch)))) // one batch at a time
			if !fixed.Load() {
				return errors.New("it fails")
			}
			return nil
		}})
		wait(time.Minute)
		if taken := many - len(broker.deliveries); taken*messaging.MaxBody > 3*most {
			t.Errorf("%d messages are held", taken)
		}
		broker.mu.Lock()
		broker.full = false
		broker.mu.Unlock()
		fixed.Store(true)
		if broker.settled(time.Hour); len(broker.acked) != many || largest.Load()*messaging.MaxBody > most {
			t.Errorf("acknowledged %d, in batches of up to %d", len(broker.acked), largest.Load())
		}
	})
}

// TestDatabaseAway: while the handler's database is away no try is used up, the handler is not called, and the session
// keeps its deliveries, since the broker counts one that is requeued as delivered once more.
func TestDatabaseAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newFakeBroker(delivery("a", 0), delivery("b", 0))
		down := time.Now().Add(time.Hour)
		away := func() error {
			if time.Now().Before(down) {
				return errors.New("the database is away")
			}
			return nil
		}
		var probes, calls atomic.Int64
		var in messagingtest.Inbox
		consume(t, broker, messaging.Subscription{
			Ready: func(context.Context) error {
				if probes.Add(1) == 1 { // there when it starts
					return nil
				}
				return away()
			},
			Handler: func(ctx context.Context, batch []messaging.Message) error {
				calls.Add(1)
				if err := away(); err != nil {
					return err
				}
				return in.Handle(ctx, batch)
			},
		})
		if acked, dead := broker.settled(50 * time.Minute); acked != "[]" || dead != "[]" || broker.closed > 0 {
			t.Errorf("meanwhile: acknowledged %s, dead %s, %d sessions closed", acked, dead, broker.closed)
		}
		if calls.Load() != 1 || probes.Load() < 100 {
			t.Errorf("meanwhile: %d calls of the handler, %d probes", calls.Load(), probes.Load())
		}
		if acked, dead := broker.settled(11 * time.Minute); acked != "[a b]" || dead != "[]" || len(in.IDs()) != 2 {
			t.Errorf("afterwards: acknowledged %s, dead %s, handled %v", acked, dead, in.IDs())
		}
	})
}

// TestDelaysGrow: a message that fails is tried five times, with a growing delay before each.
func TestDelaysGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newFakeBroker(delivery("a", 0))
		var tried []time.Time
		consume(t, broker, messaging.Subscription{Handler: func(context.Context, []messaging.Message) error {
			tried = append(tried, time.Now())
			return errors.New("it always fails")
		}})
		if acked, dead := broker.settled(time.Hour); acked != "[a]" || dead != "[a]" || len(tried) != 5 {
			t.Fatalf("acknowledged %s, dead %s, tried %d times", acked, dead, len(tried))
		}
		for i, about := range []time.Duration{250 * time.Millisecond, time.Second, 4 * time.Second, 16 * time.Second} {
			if got := tried[i+1].Sub(tried[i]); got < about/2 || got > about*3/2 {
				t.Errorf("the delay before try %d was %v, want about %v", i+2, got, about)
			}
		}
	})
}

// TestPanic: a panic is a failure of the message that was handled, and of no other.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newFakeBroker(delivery("a", 0), delivery("bad", 0))
		consume(t, broker, messaging.Subscription{Handler: func(_ context.Context, batch []messaging.Message) error {
			if slices.ContainsFunc(batch, func(m messaging.Message) bool { return m.ID == "bad" }) {
				panic("an empty slice")
			}
			return nil
		}})
		if acked, dead := broker.settled(time.Hour); acked != "[a bad]" || dead != "[bad]" {
			t.Fatalf("acknowledged %s, dead %s", acked, dead)
		}
		if reason := broker.dead[0].Headers[messaging.HeaderReason]; !strings.Contains(reason, "an empty slice") {
			t.Errorf("the reason is %q", reason)
		}
	})
}

// TestRetriesComeInBatches: failures that are due together are no larger a batch than any other.
func TestRetriesComeInBatches(t *testing.T) {
	const most = 500
	synctest.Test(t, func(t *testing.T) {
		var all []messaging.Delivery
		for i := range 2 * most {
			all = append(all, delivery(fmt.Sprint(i), 0))
		}
		broker := newFakeBroker(all...)
		failures, largest := 0, 0
		consume(t, broker, messaging.Subscription{Handler: func(_ context.Context, batch []messaging.Message) error {
			largest = max(largest, len(batch))
			if failures < 2*most+2 { // both batches, and each message alone
				failures++
				return errors.New("not yet")
			}
			<-time.After(time.Second) // meanwhile all others become due
			return nil
		}})
		if broker.settled(time.Hour); len(broker.acked) != 2*most || len(broker.dead) > 0 || largest != most {
			t.Errorf("acknowledged %d, dead %d, in batches of up to %d", len(broker.acked), len(broker.dead), largest)
		}
	})
}

// TestQueueCheck: a rejected queue makes its check fail until it can be consumed; a broker that is away does not change it.
func TestQueueCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newFakeBroker()
		consumers := messaging.NewConsumers(broker, slog.New(slog.DiscardHandler),
			messaging.Subscription{Queue: messaging.Queue{Name: "history.viewed"}, Handler: new(messagingtest.Inbox).Handle})
		messagingtest.Run(t, consumers)
		check := consumers.Checks()[0]
		if check.Name != "queue history.viewed" || !check.Required || !check.Public {
			t.Errorf("the check is %+v", check)
		}
		away := errors.New("the broker is away")
		rejected := fmt.Errorf("%w: PRECONDITION_FAILED", messaging.ErrQueueRejected)
		for i, step := range []struct{ open, want error }{
			{nil, nil}, {away, nil}, {rejected, rejected}, {away, rejected}, {nil, nil}, {away, nil},
		} {
			broker.mu.Lock()
			broker.away = step.open
			deliveries := broker.deliveries
			broker.deliveries = make(chan messaging.Delivery)
			broker.mu.Unlock()
			close(deliveries) // ends the session, if there is one
			wait(time.Minute)
			if err := check.Probe(t.Context()); !errors.Is(err, step.want) || (err == nil) != (step.want == nil) {
				t.Errorf("step %d: %v, want %v", i, err, step.want)
			}
		}
	})
}

// TestWithoutAnID: a message that comes without an id has one and the same through all of its tries, and as a dead
// letter.
func TestWithoutAnID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := newFakeBroker(delivery("", 0), delivery("", 0), delivery("named", 0))
		tries := map[string]int{}
		consume(t, broker, messaging.Subscription{Handler: func(_ context.Context, batch []messaging.Message) error {
			for _, m := range batch {
				tries[m.ID]++
				if m.Named() != (m.ID == "named") {
					t.Errorf("%q is named: %v", m.ID, m.Named())
				}
			}
			return errors.New("it always fails")
		}})
		_, dead := broker.settled(time.Minute)
		if ids := slices.Sorted(maps.Keys(tries)); len(ids) != 3 || dead != fmt.Sprint(ids) {
			t.Errorf("tries %v, dead %v", tries, dead)
		}
		for id, n := range tries {
			if n < 3 { // all together, and twice alone
				t.Errorf("%q came %d times", id, n)
			}
		}
	})
}

// TestDebugLog: each message that was handled leaves one line.
func TestDebugLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := delivery("one", 0), delivery("other", 0)
		one.Sent = time.Now().Add(-1500 * time.Millisecond)
		f := newFakeBroker(one, other)
		var out strings.Builder
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := messaging.NewConsumers(f, log, messaging.Subscription{
			Queue: messaging.Queue{Name: "history.viewed"}, Handler: func(context.Context, []messaging.Message) error { return nil },
		}).Run(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			`msg="fact handled" queue=history.viewed id=one delay_ms=150`, // and some milliseconds, in which the batch fills
			`msg="fact handled" queue=history.viewed id=other delay_ms=0`,
		} {
			if strings.Count(out.String(), want) != 1 {
				t.Errorf("the log lacks %s:\n%s", want, &out)
			}
		}
	})
}
