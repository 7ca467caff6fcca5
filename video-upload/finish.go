package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

const (
	keepFor  = 24 * time.Hour // an upload that nothing happens to, and the trace of one that is finished
	maxPause = time.Minute    // between attempts to finish
)

var errNoVideo = web.Errorf(http.StatusUnsupportedMediaType, codes.NotPlayable, "this is not a video that browsers play")

// finish stores the video of an upload that is whole, announces it and gives its space back. Whoever calls it holds the
// upload's lock. Each step can be repeated, and is when the process dies before the last.
func (u *uploads) finish(ctx context.Context, up upload) error {
	id, meta := up.info.ID, up.info.MetaData
	v, err := u.store(ctx, up)
	if errors.Is(err, errNoVideo) {
		return errors.Join(err, u.remove(id))
	}
	if err != nil {
		return err
	}
	if v.Poster, err = u.storePoster(ctx, id); err != nil {
		return err
	}
	m, err := newVideoUploaded(meta[factKey], up.touched, v, meta[ownerKey])
	if err != nil {
		return err
	}
	if err := u.outbox.Add(ctx, m); err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	// By this it is finished. A trace stays, for callers who have missed the answer and ask.
	if err := os.Rename(u.path(id, ""), u.path(id, donePart)); err != nil {
		return err
	}
	err = os.Remove(u.path(id, posterPart))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err = errors.Join(err, os.Truncate(u.path(id, donePart), 0)); err != nil {
		u.log.Warn("files of a finished upload are left for a day", "video", id, "error", err)
	}
	return nil
}

// store sends the file to the storage, if it is not there yet.
func (u *uploads) store(ctx context.Context, up upload) (video, error) {
	id, meta := up.info.ID, up.info.MetaData
	v := video{ID: id, Size: up.info.Size}
	var err error
	if v.Name, err = videoName(meta["filename"]); err != nil {
		return v, err
	}
	if v.Duration, err = seconds(meta["duration"]); err != nil {
		return v, err
	}
	start := make([]byte, min(head, v.Size))
	if err := u.readStart(id, start); err != nil {
		return v, err
	}
	if v.ContentType = videoType(start); v.ContentType == "" {
		return v, errNoVideo
	}
	// An attempt before may have come so far, and a large file is not sent for nothing.
	if has, err := u.storage.has(ctx, id, v.Size); has || err != nil {
		return v, err
	}
	file, err := os.Open(u.path(id, ""))
	if err != nil {
		return v, err
	}
	defer file.Close()
	if _, err = u.storage.put(ctx, id, v.ContentType, file, v.Size); errors.Is(err, errTaken) {
		err = nil // by an attempt that came to its end only now
	}
	return v, err
}

// storePoster tells whether the storage has the poster. One that it refuses is left out.
func (u *uploads) storePoster(ctx context.Context, id string) (bool, error) {
	jpeg, err := os.ReadFile(u.path(id, posterPart)) // maxPoster bytes at most
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = u.storage.putPoster(ctx, id, jpeg)
	if errors.Is(err, errRefused) {
		u.log.Warn("a video goes without its poster", "video", id, "error", err)
		return false, nil
	}
	return err == nil, err
}

// work finishes what requests have left, in this process or one that is gone, and removes what is old, until ctx is
// done.
func (u *uploads) work(ctx context.Context) error {
	for pause := time.Second; ; pause = min(2*pause, maxPause) {
		u.round(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		case <-u.later:
			pause = time.Second / 2
		}
	}
}

func (u *uploads) round(ctx context.Context) {
	entries, err := os.ReadDir(u.dir)
	if err != nil {
		u.log.Error("uploads cannot be looked through", "error", err)
	}
	failed := func(id string, err error) {
		if err != nil && ctx.Err() == nil {
			u.log.Warn("an upload is not finished", "video", id, "error", err)
		}
	}
	known := map[string]bool{}
	for _, entry := range entries {
		id, isInfo := strings.CutSuffix(entry.Name(), infoPart)
		if !isInfo || !isID(id) {
			continue
		}
		up, err := u.find(id)
		known[id] = !errors.Is(err, os.ErrNotExist)
		if err == nil && up.isDue() {
			err = u.tend(ctx, id)
		}
		if known[id] {
			failed(id, err)
		}
	}
	for _, entry := range entries {
		if id, _, _ := strings.Cut(entry.Name(), "."); isID(id) && !known[id] {
			failed(id, u.sweep(entry))
		}
	}
}

// tend does what is due for an upload, unless somebody is at work on it.
func (u *uploads) tend(ctx context.Context, id string) error {
	lock := u.lock(id)
	if held, err := lock.file.TryLock(); err != nil || !held {
		return err
	}
	defer lock.file.Close()
	up, err := u.find(id) // it may be another by now
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil || !up.isDue():
		return err
	case up.finished || !up.isWhole():
		return u.remove(id)
	}
	return u.finish(ctx, up)
}

// isDue tells whether an upload is to be finished, or removed. One that is whole never gets too old: its caller has
// been told that it is safe.
func (u upload) isDue() bool {
	return u.isWhole() && !u.finished || time.Since(u.touched) > keepFor
}

// sweep removes a file that belongs to no upload any more.
func (u *uploads) sweep(entry os.DirEntry) error {
	stat, err := entry.Info()
	if err == nil && time.Since(stat.ModTime()) > keepFor {
		err = os.Remove(u.path("", entry.Name()))
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
