// Package publisher stores the videos of complete uploads, announces them, and frees their space.
package publisher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"flixtube/chassis/backoff"
	"flixtube/chassis/messaging"
	"flixtube/video-upload/internal/poster"
	"flixtube/video-upload/internal/spool"
	"flixtube/video-upload/internal/storage"
	"flixtube/video-upload/internal/video"
)

// scanInterval is the time between two looks at the whole spool, and the longest wait between two tries.
const scanInterval = time.Minute

// Outbox keeps a message until the broker has confirmed it.
type Outbox interface {
	Add(ctx context.Context, m messaging.Message) error
}

// Publisher takes complete uploads from the spool to the storage.
type Publisher struct {
	spool   *spool.Spool
	storage *storage.Client
	outbox  Outbox
	log     *slog.Logger
	retry   chan struct{} // wakes Run

	ffmpeg        poster.FFmpeg
	withoutPoster chan withoutPoster // nil if no posters are made
}

// New returns a Publisher. Its Run must run for uploads that fail at first to be tried again.
func New(s *spool.Spool, c *storage.Client, outbox Outbox, log *slog.Logger) *Publisher {
	return &Publisher{spool: s, storage: c, outbox: outbox, log: log, retry: make(chan struct{}, 1)}
}

// Announce adds the message to the outbox that a video is stored. One without a poster gets it later: see MakePosters. factID is the same each time a video is announced.
func (p *Publisher) Announce(ctx context.Context, factID string, at time.Time, v video.Video, ownerID string) error {
	m, err := newVideoUploaded(factID, at, v, ownerID)
	if err != nil {
		return err
	}
	if err := p.outbox.Add(ctx, m); err != nil {
		return fmt.Errorf("announce video %s: %w", v.ID, err)
	}
	if !v.Poster {
		p.wantPoster(withoutPoster{v, at, ownerID})
	}
	return nil
}

// Publish stores the video of a complete upload, announces it and frees its space. The caller holds the upload's lock.
// Each step can be repeated, so after an error, or a crash, all of them are. An upload that is no video is removed: see
// video.Rejected.
func (p *Publisher) Publish(ctx context.Context, up spool.Upload) error {
	v, err := p.store(ctx, up)
	if video.Rejected(err) {
		return errors.Join(err, p.spool.Remove(up.ID))
	}
	if err != nil {
		return err
	}
	if v.Poster, err = p.storePoster(ctx, up.ID); err != nil {
		return err
	}
	if err := p.Announce(ctx, up.MetaData.FactID, up.Modified, v, up.MetaData.Owner); err != nil {
		return err
	}
	if err := p.spool.MarkFinished(up.ID); err != nil {
		return err
	}
	if err := p.spool.FreeSpace(up.ID); err != nil {
		p.log.WarnContext(ctx, "files of a finished upload stay for a day", "video", up.ID, "error", err)
	}
	return nil
}

// store sends the video to the storage, if it is not there yet.
func (p *Publisher) store(ctx context.Context, up spool.Upload) (video.Video, error) {
	v := video.Video{ID: up.ID, Size: up.Size}
	var err error
	if v.Name, err = video.Name(up.MetaData.FileName); err != nil {
		return v, err
	}
	claimed, err := video.Duration(up.MetaData.Duration)
	if err != nil {
		return v, err
	}
	head := make([]byte, min(video.HeadSize, v.Size))
	if err := p.spool.ReadHead(up.ID, head); err != nil {
		return v, err
	}
	if v.ContentType = video.Type(head); v.ContentType == "" {
		return v, video.ErrNotPlayable
	}
	data, err := p.spool.OpenData(up.ID)
	if err != nil {
		return v, err
	}
	defer data.Close()
	found, err := video.Inspect(v.ContentType, data)
	if err != nil {
		return v, err
	}
	v.Duration = cmp.Or(claimed, found)
	// An earlier try may have stored it. A large file is not sent again for nothing.
	stored, err := p.storage.Has(ctx, up.ID, v.Size)
	if stored || err != nil {
		return v, err
	}
	if _, err := data.Seek(0, io.SeekStart); err != nil {
		return v, err
	}
	_, err = p.storage.Put(ctx, up.ID, v.ContentType, data, v.Size)
	if errors.Is(err, storage.ErrExists) {
		err = nil // an earlier try ended only now
	}
	return v, err
}

// storePoster reports whether the storage has the poster. A video whose poster is rejected has none.
func (p *Publisher) storePoster(ctx context.Context, id string) (bool, error) {
	jpeg, err := p.spool.Poster(id)
	if errors.Is(err, spool.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = p.storage.PutPoster(ctx, id, jpeg)
	if errors.Is(err, storage.ErrPosterRejected) {
		p.log.WarnContext(ctx, "video is published without its poster", "video", id, "error", err)
		return false, nil
	}
	return err == nil, err
}

// Retry has Run look at the spool soon, after Publish has failed.
func (p *Publisher) Retry() {
	select {
	case p.retry <- struct{}{}:
	default:
	}
}

// Run publishes the uploads for which Publish failed, in this process or in one that has ended, and removes those that
// have expired, until ctx is done.
func (p *Publisher) Run(ctx context.Context) error {
	b := backoff.Backoff{Min: time.Second, Max: scanInterval}
	for ctx.Err() == nil {
		err := p.Scan(ctx)
		if err != nil {
			if ctx.Err() == nil {
				p.log.WarnContext(ctx, "uploads are not finished, will retry", "error", err)
			}
			b.Wait(ctx, err)
			continue
		}
		b.Wait(ctx, nil)
		select {
		case <-ctx.Done():
		case <-time.After(scanInterval):
		case <-p.retry:
		}
	}
	return nil
}

// Scan looks at all uploads once. Its error names those that are not finished.
func (p *Publisher) Scan(ctx context.Context) error {
	ids, err := p.spool.IDs()
	if err != nil {
		return fmt.Errorf("list the uploads: %w", err)
	}
	var failed error
	for _, id := range ids {
		if err := p.process(ctx, id); err != nil {
			failed = errors.Join(failed, fmt.Errorf("upload %s: %w", id, err))
		}
	}
	return errors.Join(failed, p.spool.RemoveOrphans())
}

// process publishes or removes an upload if it is time to do so, unless a request is changing it.
func (p *Publisher) process(ctx context.Context, id string) error {
	up, err := p.spool.Find(id)
	if errors.Is(err, spool.ErrNotFound) {
		return nil
	}
	if err != nil || !isDue(up) {
		return err
	}
	lock := p.spool.Lock(id)
	if locked, err := lock.TryLock(); err != nil || !locked {
		return err
	}
	defer func() { _ = lock.Unlock() }()
	up, err = p.spool.Find(id) // it may have changed before the lock
	switch {
	case errors.Is(err, spool.ErrNotFound):
		return nil
	case err != nil || !isDue(up):
		return err
	case up.Expired():
		return p.spool.Remove(id)
	}
	return p.Publish(ctx, up)
}

func isDue(up spool.Upload) bool {
	return up.Complete() && !up.Finished || up.Expired()
}
