package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/uuid"
	tus "github.com/tus/tusd/v2/pkg/handler"
)

// folder holds the uploads that can be resumed. Processes that share it need no more than its files:
//
//	<id>         what has arrived
//	<id>.done    the same file, emptied, when the video is stored and announced
//	<id>.info    what is known of it, written once
//	<id>.jpg     the poster
//	<id>.lock    is locked by whoever changes any of these but the poster; the system unlocks it when its holder dies
//	<id>.wanted  is there while somebody waits for the lock
type folder struct{ dir string }

const (
	donePart   = ".done"
	infoPart   = ".info"
	posterPart = ".jpg"
	lockPart   = ".lock"
	wantedPart = ".wanted"
)

// isID tells whether id is the name of an upload, as NewString makes it, and safe to be part of a path.
func isID(id string) bool {
	u, err := uuid.Parse(id)
	return err == nil && u.String() == id
}

func (f folder) path(id, part string) string { return filepath.Join(f.dir, id+part) }

// upload is what the files tell of one.
type upload struct {
	info     tus.FileInfo
	finished bool
	touched  time.Time // when bytes came last, or when it was finished
}

// isWhole tells whether all bytes have arrived; from then on no caller changes it.
func (u upload) isWhole() bool { return u.info.Size > 0 && u.info.Offset == u.info.Size }

// find reads an upload; os.ErrNotExist if there is none.
func (f folder) find(id string) (upload, error) {
	var up upload
	data, err := os.ReadFile(f.path(id, infoPart))
	if err != nil {
		return up, err
	}
	// What a full disk or a crash has cut off belongs to nobody, and goes in its time.
	_ = json.Unmarshal(data, &up.info)
	stat, err := os.Stat(f.path(id, ""))
	if up.finished = errors.Is(err, os.ErrNotExist); up.finished {
		stat, err = os.Stat(f.path(id, donePart))
		up.info.Offset = up.info.Size
	} else if err == nil {
		up.info.Offset = stat.Size()
	}
	if err == nil {
		up.touched = stat.ModTime()
	}
	return up, err
}

// unfinishedIDs returns the uploads that take space, and how many bytes that is.
func (f folder) unfinishedIDs() (ids []string, held int64, err error) {
	entries, err := os.ReadDir(f.dir)
	for _, entry := range entries {
		if !isID(entry.Name()) {
			continue
		}
		if stat, err := entry.Info(); err == nil { // or it is gone by now
			ids = append(ids, entry.Name())
			held += stat.Size()
		}
	}
	return ids, held, err
}

// countOf counts those of a viewer.
func (f folder) countOf(owner string, ids []string) int {
	n := 0
	for _, id := range ids {
		if up, err := f.find(id); err == nil && !up.finished && up.info.MetaData[ownerKey] == owner {
			n++
		}
	}
	return n
}

// readStart reads the first bytes of what has arrived.
func (f folder) readStart(id string, p []byte) error {
	file, err := os.Open(f.path(id, ""))
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.ReadFull(file, p); err != nil {
		return fmt.Errorf("read the start of %s: %w", id, err)
	}
	return nil
}

// remove deletes all of an upload, first what makes it one.
func (f folder) remove(id string) error {
	var failed error
	for _, part := range []string{infoPart, "", donePart, posterPart} {
		if err := os.Remove(f.path(id, part)); !errors.Is(err, os.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
	}
	_ = os.Remove(f.path(id, wantedPart))
	_ = os.Remove(f.path(id, lockPart)) // Windows keeps it while it is held; it goes in its time
	return failed
}

// sync puts an upload on disk for certain.
func (f folder) sync(id string) error {
	names, flag := []string{f.path(id, ""), f.path(id, infoPart), f.dir}, os.O_RDONLY
	if runtime.GOOS == "windows" {
		names, flag = names[:2], os.O_RDWR // as it wants it, and folders cannot be synced there
	}
	for _, name := range names {
		file, err := os.OpenFile(name, flag, 0)
		if err == nil {
			err = errors.Join(file.Sync(), file.Close())
		}
		if err != nil {
			return fmt.Errorf("sync an upload: %w", err)
		}
	}
	return nil
}

const (
	tryEvery  = 50 * time.Millisecond  // while waiting for a lock
	lookEvery = 200 * time.Millisecond // whether somebody waits for it
)

func (f folder) lock(id string) *lock {
	return &lock{file: flock.New(f.path(id, lockPart)), wanted: f.path(id, wantedPart), release: func() {}}
}

// noLock is the lock of what does not change.
type noLock struct{}

func (noLock) Lock(context.Context, func()) error { return nil }
func (noLock) Unlock() error                      { return nil }

// lock is tusd's: one that another request wants is let go, though another process may handle that one.
type lock struct {
	file    *flock.Flock
	wanted  string
	release func() // ends looking whether it is wanted
}

// Lock waits until ctx ends. requestUnlock is called when somebody else waits.
func (l *lock) Lock(ctx context.Context, requestUnlock func()) error {
	for {
		held, err := l.file.TryLock()
		if err != nil {
			return refusal(fmt.Errorf("lock an upload: %w", err))
		}
		if held {
			break
		}
		if err := os.WriteFile(l.wanted, nil, 0o600); err != nil {
			return refusal(fmt.Errorf("ask for an upload: %w", err))
		}
		select {
		case <-ctx.Done():
			return tus.ErrFileLocked
		case <-time.After(tryEvery):
		}
	}
	_ = os.Remove(l.wanted) // whoever else waits asks again
	var looking context.Context
	looking, l.release = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		for {
			select {
			case <-looking.Done():
				return
			case <-time.After(lookEvery):
			}
			if _, err := os.Stat(l.wanted); err == nil {
				requestUnlock()
				return
			}
		}
	}()
	return nil
}

// Unlock lets go.
func (l *lock) Unlock() error {
	l.release()
	return l.file.Unlock()
}
