// Package outbox keeps facts on disk from the moment they are accepted until the broker has them (the
// transactional outbox pattern, for services without a database of their own).
//
// A fact that is offered is in a journal when Offer returns, which outlives the process. A fact that is added, and each
// that was offered some milliseconds before, is synced to the disk, which outlives the machine's.
package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
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

	retryEvery = time.Second // while the disk takes none

	mostReplicas = 100 // that share a folder
)

var (
	waiting  = promauto.NewGauge(prometheus.GaugeOpts{Name: "outbox_facts_waiting", Help: "Facts on disk that the broker does not have yet."})
	accepted = promauto.NewCounter(prometheus.CounterOpts{Name: "outbox_facts_accepted_total", Help: "Facts that are kept, or were until the broker had them."})
	refused  = promauto.NewCounter(prometheus.CounterOpts{Name: "outbox_facts_refused_total", Help: "Facts that were lost: the outbox or the disk was full."})
	sent     = promauto.NewCounter(prometheus.CounterOpts{Name: "outbox_facts_sent_total", Help: "Facts that the broker has confirmed."})
)

// Outbox is a bounded queue of facts on disk. It is safe for concurrent use.
type Outbox struct {
	own   *file
	limit int
	log   *slog.Logger

	mu        sync.Mutex // guards closed, unwritten, own.journal, and sending on incoming
	closed    bool
	unwritten int // facts that are accepted and not in the file yet
	incoming  chan fact
	closing   chan struct{} // closed with incoming
	written   chan struct{} // closed when the writer has ended
	added     relay.Signal

	lost   atomic.Int64 // refused since it was logged
	logged atomic.Int64 // when that was, in Unix nanoseconds

	adoption adoption
}

type fact struct {
	value   []byte       // the message as JSON
	journal int          // which journal file has it: 1, 2, or 0 for none
	settled chan<- error // nil for a fact that was offered; else told once whether the fact is on disk
}

// Open opens the outbox in dir, which is made if need be, for at most limit facts. The caller closes it.
//
// Replicas may share dir: each process takes the first outbox file that no other one holds, and its relay also sends
// facts that a replica left when it ended. A file that is damaged stays as it is, with an error in the log.
func Open(dir string, limit int, log *slog.Logger) (*Outbox, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	own, left, err := openFree(dir, log)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	o := &Outbox{
		own: own, limit: limit, log: log, unwritten: len(left),
		incoming: make(chan fact, queued), closing: make(chan struct{}), written: make(chan struct{}), added: relay.NewSignal(),
	}
	if n := int(own.count.Load()) + len(left); n > 0 {
		log.Info("facts from before wait to be sent", "count", n)
	}
	go o.write(left)
	return o, nil
}

func openFree(dir string, log *slog.Logger) (*file, []fact, error) {
	for i := range mostReplicas {
		f, left, err := openFile(path(dir, i), 100*time.Millisecond)
		switch {
		case errors.Is(err, errHeld):
		case damaged(err):
			log.Error("an outbox file is damaged and not used", "file", path(dir, i), "error", err)
		default:
			return f, left, err
		}
	}
	return nil, nil, errors.New("none of a hundred files is free in " + dir)
}

// Offer accepts m without waiting for the disk: it takes some microseconds. If it returns nil, a kill of the process does
// not lose m; a power cut within the next milliseconds may. Otherwise it returns the reason why m is refused.
func (o *Outbox) Offer(m messaging.Message) error {
	err := o.accept(m, nil)
	if err == nil {
		accepted.Inc()
	}
	return err
}

// Add returns nil once m is synced to the disk, or the reason why it is refused. If ctx ends first, m may have been
// accepted or not.
func (o *Outbox) Add(ctx context.Context, m messaging.Message) error {
	settled := make(chan error, 1)
	if err := o.accept(m, settled); err != nil {
		return err
	}
	select {
	case err := <-settled:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// accept hands a fact to the writer. One that nobody waits for goes to the journal before.
func (o *Outbox) accept(m messaging.Message, settled chan<- error) error {
	if len(m.Body) > messaging.MaxBody {
		return o.refuse(ErrTooLong)
	}
	value, err := json.Marshal(m)
	if err != nil {
		return o.refuse(err)
	}
	f := fact{value: value, settled: settled}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
		return ErrClosed
	case int(o.own.count.Load())+o.unwritten >= o.limit:
		return o.refuse(ErrFull)
	case len(o.incoming) == cap(o.incoming):
		return o.refuse(ErrBusy)
	}
	if settled == nil {
		if err := o.own.journal.append(&f); err != nil {
			return o.refuse(err)
		}
	}
	o.unwritten++
	o.incoming <- f // has room: only accept fills it
	return nil
}

// Close writes the facts that were accepted and closes the files. The relay must have ended.
func (o *Outbox) Close() error {
	o.mu.Lock()
	if !o.closed {
		o.closed = true
		close(o.incoming)
		close(o.closing)
	}
	o.mu.Unlock()
	<-o.written
	o.endAdoption()
	return o.own.close()
}

// write writes the facts that came in together, with one sync. It begins with those that were left in the journal. While
// the disk takes none, those that were offered stay there and are tried again, fewer at a time: a small file may have room
// for some of them.
func (o *Outbox) write(left []fact) {
	defer close(o.written)
	most := window
	for {
		batch := left[:min(most, len(left))]
		left = left[len(batch):]
		if len(batch) == 0 {
			first, ok := <-o.incoming
			if !ok {
				return
			}
			batch = o.gather(first)
		}
		retry := o.settle(batch)
		if len(retry) == 0 {
			most = min(2*most, window)
			continue
		}
		most = max(most/2, 1)
		left = append(retry, left...)
		select {
		case <-time.After(retryEvery):
		case <-o.closing:
			for f := range o.incoming {
				if left = append(left, f); f.settled != nil {
					f.settled <- o.refuse(ErrClosed)
				}
			}
			o.log.Warn("facts stay in the journal until the next start", "count", len(left))
			return
		}
	}
}

// gather returns first and the facts that came in behind it, a window at most.
func (o *Outbox) gather(first fact) []fact {
	batch := []fact{first}
	for len(batch) < window {
		select {
		case f, ok := <-o.incoming:
			if !ok {
				return batch
			}
			batch = append(batch, f)
		default:
			return batch
		}
	}
	return batch
}

// settle writes a batch, and returns those of its facts that are to be tried again.
func (o *Outbox) settle(batch []fact) (retry []fact) {
	err := o.own.add(batch)
	if err != nil {
		retry = slices.DeleteFunc(slices.Clone(batch), func(f fact) bool { return f.settled != nil })
	}
	o.mu.Lock()
	o.unwritten -= len(batch) - len(retry)
	var warning error
	if err == nil {
		warning = o.own.journal.done(batch)
	}
	o.mu.Unlock()
	for _, f := range batch {
		switch {
		case f.settled == nil:
		case err != nil:
			f.settled <- o.refuse(err)
		default:
			accepted.Inc()
			f.settled <- nil
		}
	}
	switch {
	case warning != nil:
		o.log.Warn("the journal is not emptied; its facts are sent again after the next start", "error", warning)
	case len(retry) > 0:
		o.log.Warn("the disk does not take facts; will retry", "count", len(retry), "error", err)
	}
	if err == nil {
		o.added.Send()
	}
	return retry
}

// refuse counts and logs a fact that is lost, and returns why.
func (o *Outbox) refuse(why error) error {
	refused.Inc()
	o.lost.Add(1)
	o.logRefused(why)
	return why
}

// logRefused logs how many facts were lost since the last time, at most once a second.
func (o *Outbox) logRefused(why error) {
	last, now := o.logged.Load(), time.Now().UnixNano()
	if o.lost.Load() > 0 && now-last > int64(time.Second) && o.logged.CompareAndSwap(last, now) {
		o.log.Error("facts refused", "count", o.lost.Swap(0), "error", why)
	}
}
