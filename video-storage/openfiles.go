package main

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

const (
	maxIdleFiles = 64 // of all videos
	idleFileTime = 5 * time.Second
)

// openFiles keeps videos open for a moment: a player asks for one range after another, and to open a video costs more than
// to send a small range of it. Each file is with one request at a time, because reading moves its offset.
type openFiles struct {
	mu    sync.Mutex
	idle  []openFile  // the last used last
	timer *time.Timer // runs while any are idle
}

type openFile struct {
	*os.File
	id    videoID
	about about
	info  os.FileInfo // when it was opened
	since time.Time   // idle
}

// take returns an idle file of the video, if there is one and it is still the one at path.
func (o *openFiles) take(id videoID, path string) (openFile, bool) {
	f, ok := o.remove(id)
	if !ok {
		return f, false
	}
	now, err := os.Stat(path)
	if err == nil && os.SameFile(now, f.info) && now.Size() == f.info.Size() && now.ModTime().Equal(f.info.ModTime()) {
		if _, err := f.Seek(0, io.SeekStart); err == nil {
			return f, true
		}
	}
	_ = f.Close() // nothing was written to it
	return f, false
}

func (o *openFiles) remove(id videoID) (f openFile, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := len(o.idle) - 1; i >= 0; i-- {
		if f = o.idle[i]; f.id == id {
			o.idle = append(o.idle[:i], o.idle[i+1:]...)
			return f, true
		}
	}
	return f, false
}

// put keeps f for the next request.
func (o *openFiles) put(f openFile) error {
	f.since = time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.idle = append(o.idle, f)
	if o.timer == nil {
		o.timer = time.AfterFunc(idleFileTime, o.closeOld)
	}
	if len(o.idle) > maxIdleFiles {
		return o.closeFirst()
	}
	return nil
}

func (o *openFiles) closeFirst() error {
	f := o.idle[0].File
	o.idle = append(o.idle[:0], o.idle[1:]...)
	return f.Close()
}

// closeOld gives the space of deleted videos back.
func (o *openFiles) closeOld() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.idle) > 0 && time.Since(o.idle[0].since) >= idleFileTime {
		_ = o.closeFirst() // nothing was written to it
	}
	o.timer = nil
	if len(o.idle) > 0 {
		o.timer = time.AfterFunc(time.Until(o.idle[0].since.Add(idleFileTime)), o.closeOld)
	}
}

// forget closes the idle files of a video.
func (o *openFiles) forget(id videoID) {
	for f, ok := o.remove(id); ok; f, ok = o.remove(id) {
		_ = f.Close()
	}
}

// Close closes all idle files.
func (o *openFiles) Close() (err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.idle) > 0 {
		err = errors.Join(err, o.closeFirst())
	}
	return err
}
