// Package outbox keeps facts on disk from the moment they are accepted until the broker has them (the
// transactional outbox pattern, for services without a database of their own).
package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"flixtube/chassis/messaging"
	"flixtube/chassis/relay"
)

var (
	// ErrFull is why a fact is refused when the outbox holds as many as it may.
	ErrFull = errors.New("the outbox is full")
	// ErrBusy is why a fact is refused when they come faster than the disk takes them.
	ErrBusy = errors.New("the outbox is busy")
	// ErrTooLong is why a fact is refused that every broker would reject, and that would block all after it.
	ErrTooLong = errors.New("the fact is too long")

	// ErrClosed is why a fact is refused once the outbox is closed.
	ErrClosed = errors.New("the outbox is closed")

	errLogged = errors.New("as was logged before")
)

const (
	window = 500  // facts that are written, or sent, together
	queued = 4096 // facts that wait for the disk

	mostReplicas = 100 // that share a folder
)

var (
	waiting  = promauto.NewGauge(prometheus.GaugeOpts{Name: "outbox_facts_waiting", Help: "Facts on disk that the broker does not have yet."})
	accepted = promauto.NewCounter(prometheus.CounterOpts{Name: "outbox_facts_accepted_total", Help: "Facts that are, or were, on disk."})
	refused  = promauto.NewCounter(prometheus.CounterOpts{Name: "outbox_facts_refused_total", Help: "Facts that were lost: the outbox or the disk was full."})
	sent     = promauto.NewCounter(prometheus.CounterOpts{Name: "outbox_facts_sent_total", Help: "Facts that the broker has confirmed."})
)

// Outbox is a bounded queue of facts on disk. It is safe for concurrent use.
type Outbox struct {
	own   *file
	limit int
	log   *slog.Logger

	mu       sync.RWMutex // guards closed, and with it sending on incoming
	closed   bool
	incoming chan fact
	written  chan struct{} // closed when the writer has ended
	added    relay.Signal

	lost   atomic.Int64 // refused since it was logged
	logged atomic.Int64 // when that was, in Unix nanoseconds

	adoption adoption
}

type fact struct {
	messaging.Message
	settled func(error)
}

// Open opens the outbox in dir, which is made if need be, for at most limit facts. The caller closes it.
//
// Replicas may share dir: each process takes the first outbox file that no other one holds, and its relay also sends
// facts that a replica left when it ended. A file that is damaged stays as it is, with an error in the log.
func Open(dir string, limit int, log *slog.Logger) (*Outbox, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	own, err := openFree(dir, log)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	o := &Outbox{
		own: own, limit: limit, log: log,
		incoming: make(chan fact, queued), written: make(chan struct{}), added: relay.NewSignal(),
	}
	if n := own.count.Load(); n > 0 {
		log.Info("facts from before wait to be sent", "count", n)
	}
	go o.write()
	return o, nil
}

func openFree(dir string, log *slog.Logger) (*file, error) {
	for i := range mostReplicas {
		f, err := openFile(path(dir, i), 100*time.Millisecond)
		switch {
		case errors.Is(err, errHeld):
		case damaged(err):
			log.Error("an outbox file is damaged and not used", "file", path(dir, i), "error", err)
		default:
			return f, err
		}
	}
	return nil, errors.New("none of a hundred files is free in " + dir)
}

// Offer adds m without waiting. settled is called once, from another goroutine or this one: with nil once m is
// on disk, or with the reason why it was refused.
func (o *Outbox) Offer(m messaging.Message, settled func(error)) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	switch {
	case o.closed:
		settled(ErrClosed)
		return
	case len(m.Body) > messaging.MaxBody:
		o.refuse(fact{m, settled}, ErrTooLong)
		return
	}
	select {
	case o.incoming <- fact{m, settled}:
	default:
		o.refuse(fact{m, settled}, ErrBusy)
	}
}

// Add returns nil once m is on disk, or the reason why it was refused. If ctx ends first, m may have been
// accepted or not.
func (o *Outbox) Add(ctx context.Context, m messaging.Message) error {
	done := make(chan error, 1)
	o.Offer(m, func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close writes the facts that were offered and closes the files. The relay must have ended.
func (o *Outbox) Close() error {
	o.mu.Lock()
	if !o.closed {
		o.closed = true
		close(o.incoming)
	}
	o.mu.Unlock()
	<-o.written
	o.endAdoption()
	return o.own.close()
}

// write writes the facts that came in together, with one sync.
func (o *Outbox) write() {
	defer close(o.written)
	for first := range o.incoming {
		batch := []fact{first}
	gather:
		for len(batch) < window {
			select {
			case f, ok := <-o.incoming:
				if !ok {
					break gather
				}
				batch = append(batch, f)
			default:
				break gather
			}
		}
		o.settle(batch)
	}
}

func (o *Outbox) settle(batch []fact) {
	room := max(0, min(o.limit-int(o.own.count.Load()), len(batch)))
	err := o.own.add(batch[:room])
	if err == nil {
		accepted.Add(float64(room))
		o.added.Send()
	}
	for i, f := range batch {
		switch {
		case i >= room:
			o.refuse(f, ErrFull)
		case err != nil:
			o.refuse(f, err)
		default:
			f.settled(nil)
		}
	}
}

func (o *Outbox) refuse(f fact, why error) {
	refused.Inc()
	o.lost.Add(1)
	o.logRefused(why)
	f.settled(why)
}

// logRefused logs how many facts were lost since the last time, at most once a second.
func (o *Outbox) logRefused(why error) {
	last, now := o.logged.Load(), time.Now().UnixNano()
	if o.lost.Load() > 0 && now-last > int64(time.Second) && o.logged.CompareAndSwap(last, now) {
		o.log.Error("facts refused", "count", o.lost.Swap(0), "error", why)
	}
}
