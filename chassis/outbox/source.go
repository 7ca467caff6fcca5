package outbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"flixtube/chassis/messaging"
)

const lookEvery = 10 * time.Second // for files of replicas that are gone

// adoption is the part of an outbox that sends what replicas have left that are gone. Only the relay uses it.
type adoption struct {
	file   *file // of a replica that is gone
	failed bool  // the facts of the file that Next gave last were not forgotten, so far
	look   time.Time
}

// Added implements [flixtube/chassis/relay.Source].
func (o *Outbox) Added() <-chan struct{} { return o.added }

// Next implements [flixtube/chassis/relay.Source]. Only one relay may use it.
//
// It gives what a replica that is gone has left before its own facts, also while there are always some of these. Should
// that fail, its own have their turn until the next look.
func (o *Outbox) Next(context.Context) ([]messaging.Message, func(context.Context) error, error) {
	o.logRefused(errLogged)
	f := o.adopted()
	if f == nil {
		f = o.own
	}
	keys, msgs, err := f.oldest()
	if err != nil {
		return nil, nil, err
	}
	forget := func(context.Context) error {
		if err := f.forget(keys); err != nil {
			return err
		}
		o.adoption.failed = false
		return nil
	}
	return msgs, forget, nil
}

// adopted returns a file with facts that a replica that is gone has left, or nil.
func (o *Outbox) adopted() *file {
	a := &o.adoption
	if a.file != nil && (a.failed || a.file.count.Load() == 0) {
		if a.failed {
			o.log.Warn("facts of a replica that is gone wait to be sent", "file", a.file.db.Path(), "count", a.file.count.Load())
			a.look = time.Now().Add(lookEvery)
		}
		o.endAdoption()
	}
	if a.file == nil && !time.Now().Before(a.look) {
		if a.file = o.findLeft(); a.file == nil {
			a.look = time.Now().Add(lookEvery)
		} else {
			o.log.Info("facts of a replica that is gone are sent", "file", a.file.db.Path(), "count", a.file.count.Load())
		}
	}
	a.failed = a.file != nil
	return a.file
}

// findLeft returns the first file of the folder that no process holds and that has facts, or nil.
func (o *Outbox) findLeft() *file {
	for i := range mostReplicas {
		path := path(filepath.Dir(o.own.db.Path()), i)
		if _, err := os.Stat(path); err != nil || path == o.own.db.Path() {
			continue
		}
		f, left, err := openFile(path, 1)
		if errors.Is(err, errHeld) {
			continue
		}
		if err == nil {
			if err = f.add(left); err == nil {
				err = f.journal.done(left)
			}
			if err == nil && f.count.Load() > 0 {
				return f
			}
			err = errors.Join(err, f.close())
		}
		if err != nil {
			o.log.Warn("an outbox file of a replica that is gone cannot be used", "file", path, "error", err)
		}
	}
	return nil
}

func (o *Outbox) endAdoption() {
	if f := o.adoption.file; f != nil {
		o.logClose(f.close())
		o.adoption.file = nil
	}
}

func (o *Outbox) logClose(err error) {
	if err != nil {
		o.log.Warn("an outbox file of a replica that is gone cannot be closed", "error", err)
	}
}
