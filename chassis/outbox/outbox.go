// Package outbox keeps facts on disk from the moment they are accepted until the broker has them (the
// transactional outbox pattern, for services without a database of their own).
package outbox

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"flixtube/chassis/backoff"
	"flixtube/chassis/messaging"
)

var (
	// ErrFull is why a fact is refused when the outbox holds as many as it may.
	ErrFull = errors.New("the outbox is full")
	// ErrBusy is why a fact is refused when they come faster than the disk takes them.
	ErrBusy = errors.New("the outbox is busy")
	// ErrTooLong is why a fact is refused that no broker would take, and that would keep back all after it.
	ErrTooLong = errors.New("the fact is too long")

	errBefore = errors.New("as was logged before")
	// ErrClosed is why a fact is refused once the outbox is being closed.
	ErrClosed = errors.New("the outbox is closed")
)

const (
	window = 500  // facts that are written, or sent, together
	queued = 4096 // facts that wait for the disk

	mostReplicas = 100              // that share a folder
	lookEvery    = 10 * time.Second // for what replicas have left behind, and what was refused
)

var facts = []byte("facts")

var (
	waiting  = promauto.NewGauge(prometheus.GaugeOpts{Name: "outbox_facts_waiting", Help: "Facts on disk that the broker does not have yet."})
	accepted = promauto.NewCounter(prometheus.CounterOpts{Name: "outbox_facts_accepted_total", Help: "Facts that are, or were, on disk."})
	refused  = promauto.NewCounter(prometheus.CounterOpts{Name: "outbox_facts_refused_total", Help: "Facts that were lost: the outbox or the disk was full."})
	sent     = promauto.NewCounter(prometheus.CounterOpts{Name: "outbox_facts_sent_total", Help: "Facts that the broker has confirmed."})
)

// Outbox is a bounded queue of facts on disk. It is safe for concurrent use.
type Outbox struct {
	db    *bbolt.DB
	limit int
	log   *slog.Logger

	mu       sync.RWMutex // guards closed, and with it sending on incoming
	closed   bool
	incoming chan fact
	written  chan struct{} // closed when the writer has ended
	more     chan struct{} // wakes the relay

	count  atomic.Int64 // facts on disk
	lost   atomic.Int64 // refused since it was logged
	logged atomic.Int64 // when that was, in Unix nanoseconds
}

type fact struct {
	messaging.Message
	settled func(error)
}

// Open opens the outbox in dir, which is made if need be, for at most limit facts. The caller closes it.
//
// Replicas may share dir: each process takes the first outbox file that no other one holds, and now and then sends
// what replicas have left behind that are gone. A file that is damaged stays as it is, with an error in the log.
func Open(dir string, limit int, log *slog.Logger) (*Outbox, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	db, err := openFree(dir, log)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	o := &Outbox{
		db: db, limit: limit, log: log,
		incoming: make(chan fact, queued), written: make(chan struct{}), more: make(chan struct{}, 1),
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(facts)
		if err == nil {
			o.count.Store(int64(b.Stats().KeyN))
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("outbox: %w", err), db.Close())
	}
	waiting.Add(float64(o.count.Load()))
	if o.count.Load() > 0 {
		log.Info("facts from before wait to be sent", "count", o.count.Load())
	}
	go o.write()
	return o, nil
}

func openFree(dir string, log *slog.Logger) (*bbolt.DB, error) {
	for i := range mostReplicas {
		db, err := bbolt.Open(path(dir, i), 0o600, &bbolt.Options{Timeout: 100 * time.Millisecond})
		switch {
		case errors.Is(err, bolterrors.ErrTimeout): // it is held
		case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
			log.Error("an outbox file is damaged and not used", "file", path(dir, i), "error", err)
		default:
			return db, err
		}
	}
	return nil, errors.New("none of a hundred files is free in " + dir)
}

func path(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("outbox-%d.db", i)) }

// Offer hands m over without waiting. settled is called once, from another goroutine or this one: with nil once m is
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

// Close writes what was handed over and closes the file. Relay must have returned.
func (o *Outbox) Close() error {
	o.mu.Lock()
	if !o.closed {
		o.closed = true
		close(o.incoming)
	}
	o.mu.Unlock()
	<-o.written
	waiting.Sub(float64(o.count.Swap(0)))
	return o.db.Close()
}

// write puts the facts that came in together on disk with one sync.
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
	room := max(0, min(o.limit-int(o.count.Load()), len(batch)))
	err := o.append(batch[:room])
	if err == nil {
		o.changed(room)
		accepted.Add(float64(room))
		select {
		case o.more <- struct{}{}:
		default:
		}
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

// changed notes that there are n facts more on disk.
func (o *Outbox) changed(n int) {
	o.count.Add(int64(n))
	waiting.Add(float64(n))
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

func (o *Outbox) append(batch []fact) error {
	if len(batch) == 0 {
		return nil
	}
	err := o.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(facts)
		b.FillPercent = 0.9 // keys only grow
		for _, f := range batch {
			value, err := json.Marshal(f.Message)
			if err != nil {
				return err
			}
			n, err := b.NextSequence()
			if err != nil {
				return err
			}
			if err := b.Put(binary.BigEndian.AppendUint64(nil, n), value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write to the outbox: %w", err)
	}
	return nil
}

// Relay sends the facts, oldest first, a window at a time, and forgets a window when send returned nil. What
// fails is sent again, with growing pauses. It works until ctx is done and then returns nil.
func (o *Outbox) Relay(ctx context.Context, send func(context.Context, []messaging.Message) error) error {
	pause := time.Duration(0)
	var look time.Time
	for ctx.Err() == nil {
		o.logRefused(errBefore)
		sent, err := o.relay(ctx, send)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			pause = min(max(2*pause, 100*time.Millisecond), backoff.Max)
			o.log.Warn("facts wait to be sent", "count", o.count.Load(), "pause", pause, "error", err)
			backoff.Sleep(ctx, backoff.Jittered(pause))
		case !time.Now().Before(look): // also while there is always something to send
			if err := o.adopt(ctx, send); err != nil && ctx.Err() == nil {
				o.log.Warn("facts of a replica that is gone wait to be sent", "error", err)
			}
			look = time.Now().Add(lookEvery)
		case sent == 0:
			select {
			case <-ctx.Done():
			case <-o.more:
			case <-time.After(time.Until(look)):
			}
		}
		if err == nil && pause > 0 {
			o.log.Info("facts are sent again")
			pause = 0
		}
	}
	return nil
}

// adopt sends what is in the folder's files that nobody holds.
func (o *Outbox) adopt(ctx context.Context, send func(context.Context, []messaging.Message) error) error {
	var damaged error
	for i := range mostReplicas {
		file := path(filepath.Dir(o.db.Path()), i)
		if _, err := os.Stat(file); err != nil || file == o.db.Path() {
			continue
		}
		db, err := bbolt.Open(file, 0o600, &bbolt.Options{Timeout: 1})
		switch {
		case errors.Is(err, bolterrors.ErrTimeout): // it is held
		case err != nil:
			damaged = errors.Join(damaged, fmt.Errorf("%s: %w", file, err))
		default:
			left := &Outbox{db: db, log: o.log}
			if err := errors.Join(left.empty(ctx, send), db.Close()); err != nil {
				return errors.Join(damaged, err)
			}
		}
	}
	return damaged
}

// empty sends all there is, once.
func (o *Outbox) empty(ctx context.Context, send func(context.Context, []messaging.Message) error) error {
	n := 0
	err := o.db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket(facts); b != nil {
			n = b.Stats().KeyN
		}
		return nil
	})
	if err != nil || n == 0 {
		return err
	}
	o.log.Info("facts of a replica that is gone are sent", "count", n)
	o.changed(n)
	defer func() { waiting.Sub(float64(o.count.Load())) }()
	for o.count.Load() > 0 {
		if _, err := o.relay(ctx, send); err != nil {
			return err
		}
	}
	return nil
}

func (o *Outbox) relay(ctx context.Context, send func(context.Context, []messaging.Message) error) (int, error) {
	var keys [][]byte
	var msgs []messaging.Message
	err := o.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(facts).Cursor()
		for k, v := c.First(); k != nil && len(keys) < window; k, v = c.Next() {
			var m messaging.Message
			if err := json.Unmarshal(v, &m); err != nil {
				return fmt.Errorf("read the outbox: %w", err)
			}
			keys, msgs = append(keys, append([]byte(nil), k...)), append(msgs, m)
		}
		return nil
	})
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	if err := send(ctx, msgs); err != nil {
		return 0, err
	}
	for rest := keys; len(rest) > 0; {
		n, err := o.forget(rest)
		if err != nil {
			return 0, fmt.Errorf("forget what was sent: %w", err)
		}
		rest = rest[n:]
	}
	return len(keys), nil
}

// forget deletes the first n of keys, and returns n. It copies what it changes, for which a full disk may have no room:
// then fewer keys at a time may do, which need less and leave more.
func (o *Outbox) forget(keys [][]byte) (n int, err error) {
	for n = len(keys); n > 0; n /= 2 {
		err = o.db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(facts)
			for _, k := range keys[:n] {
				if err := b.Delete(k); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			o.changed(-n)
			sent.Add(float64(n))
			return n, nil
		}
	}
	return 0, err
}
