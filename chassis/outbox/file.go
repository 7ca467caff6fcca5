package outbox

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"flixtube/chassis/messaging"
)

// file is an outbox file that this process holds.
type file struct {
	db      *bbolt.DB
	count   atomic.Int64 // facts in it
	journal *journal
}

var facts = []byte("facts")

var errHeld = errors.New("another process holds the file")

func path(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("outbox-%d.db", i)) }

// openFile opens a database file and its journal, and returns the facts that only the journal may have. It waits no longer
// than timeout for another process to close the file; then the error is errHeld.
func openFile(path string, timeout time.Duration) (*file, []fact, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: timeout})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, nil, errHeld
	}
	if err != nil {
		return nil, nil, err
	}
	f := &file{db: db}
	err = db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket(facts); b != nil {
			f.changed(b.Stats().KeyN)
		}
		return nil
	})
	var left []fact
	if err == nil {
		f.journal, left, err = openJournal(path)
	}
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return f, left, nil
}

// damaged tells whether err, of openFile, means that this file will never be one.
func damaged(err error) bool {
	return errors.Is(err, bolterrors.ErrInvalid) || errors.Is(err, bolterrors.ErrChecksum) || errors.Is(err, bolterrors.ErrVersionMismatch)
}

// changed notes that there are n facts more in the file.
func (f *file) changed(n int) {
	f.count.Add(int64(n))
	waiting.Add(float64(n))
}

func (f *file) close() error {
	waiting.Sub(float64(f.count.Swap(0)))
	return errors.Join(f.journal.close(), f.db.Close()) // the lock goes last
}

// add appends facts in one transaction.
func (f *file) add(batch []fact) error {
	if len(batch) == 0 {
		return nil
	}
	err := f.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(facts)
		if err != nil {
			return err
		}
		b.FillPercent = 0.9 // keys only grow
		for _, fact := range batch {
			n, err := b.NextSequence()
			if err != nil {
				return err
			}
			if err := b.Put(binary.BigEndian.AppendUint64(nil, n), fact.value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write to the outbox: %w", err)
	}
	f.changed(len(batch))
	return nil
}

// oldest returns the oldest facts, one window of them, and their keys.
func (f *file) oldest() (keys [][]byte, msgs []messaging.Message, err error) {
	err = f.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(facts)
		if b == nil {
			return nil
		}
		c := b.Cursor()
		for k, v := c.First(); k != nil && len(keys) < window; k, v = c.Next() {
			var m messaging.Message
			if err := json.Unmarshal(v, &m); err != nil {
				return fmt.Errorf("read the outbox: %w", err)
			}
			keys, msgs = append(keys, append([]byte(nil), k...)), append(msgs, m)
		}
		return nil
	})
	return keys, msgs, err
}

// forget deletes facts. A deletion copies the pages that it changes, for which a full disk may have no space: then fewer
// keys at a time may do, which need less and free more.
func (f *file) forget(keys [][]byte) error {
	for n := len(keys); len(keys) > 0; {
		err := f.delete(keys[:n])
		if err == nil {
			keys = keys[n:]
			n = len(keys)
			continue
		}
		if n /= 2; n == 0 {
			return err
		}
	}
	return nil
}

func (f *file) delete(keys [][]byte) error {
	err := f.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(facts)
		for _, k := range keys {
			if err := b.Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		f.changed(-len(keys))
		sent.Add(float64(len(keys)))
	}
	return err
}
