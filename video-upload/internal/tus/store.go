package tus

import (
	"bytes"
	"context"
	"errors"
	"io"

	tusd "github.com/tus/tusd/v2/pkg/handler"

	"flixtube/video-upload/internal/spool"
	"flixtube/video-upload/internal/video"
)

// store is the spool as tusd needs it: it creates, finds, locks and deletes uploads.
type store struct{ spool *spool.Spool }

// NewUpload creates an upload, of which tusd knows what accept has returned.
func (s store) NewUpload(ctx context.Context, info tusd.FileInfo) (tusd.Upload, error) {
	err := s.spool.Create(spool.Info{ID: info.ID, Size: info.Size, MetaData: spool.Metadata{
		FileName: info.MetaData[nameKey], Duration: info.MetaData[durationKey],
		Owner: info.MetaData[ownerKey], Address: info.MetaData[addressKey], FactID: info.MetaData[factKey],
	}})
	if err != nil {
		return nil, tusdError(err)
	}
	return s.GetUpload(ctx, info.ID)
}

// GetUpload returns an upload.
func (s store) GetUpload(_ context.Context, id string) (tusd.Upload, error) {
	up, err := s.spool.Find(id)
	if err != nil {
		return nil, tusdError(err)
	}
	return upload{up, s.spool}, nil
}

// AsTerminatableUpload makes DELETE work.
func (s store) AsTerminatableUpload(up tusd.Upload) tusd.TerminatableUpload { return up.(upload) }

// NewLock returns the lock of an upload, not yet locked. No request changes a complete upload, so that it needs no lock,
// and HEAD does not wait while the publisher has it.
func (s store) NewLock(id string) (tusd.Lock, error) {
	if up, err := s.spool.Find(id); err == nil && up.Complete() {
		return noLock{}, nil
	}
	return lock{s.spool.Lock(id)}, nil
}

type noLock struct{}

func (noLock) Lock(context.Context, func()) error { return nil }
func (noLock) Unlock() error                      { return nil }

type lock struct{ lock *spool.Lock }

func (l lock) Lock(ctx context.Context, requestUnlock func()) error {
	return tusdError(l.lock.Lock(ctx, requestUnlock))
}

func (l lock) Unlock() error { return l.lock.Unlock() }

// upload is one upload as tusd needs it.
type upload struct {
	spool.Upload
	spool *spool.Spool
}

// GetInfo has the metadata that the client has sent, and none of ours.
func (u upload) GetInfo(context.Context) (tusd.FileInfo, error) {
	meta := tusd.MetaData{nameKey: u.MetaData.FileName}
	if u.MetaData.Duration != "" {
		meta[durationKey] = u.MetaData.Duration
	}
	return tusd.FileInfo{ID: u.ID, Size: u.Size, Offset: u.Offset, MetaData: meta}, nil
}

// WriteChunk appends to the upload. As soon as the first bytes show that it is no playable video, it is removed.
func (u upload) WriteChunk(_ context.Context, offset int64, src io.Reader) (int64, error) {
	head := make([]byte, min(video.HeadSize, u.Size))
	if offset < int64(len(head)) {
		if err := u.spool.ReadHead(u.ID, head[:offset]); err != nil {
			return 0, tusdError(err)
		}
		n, _ := io.ReadFull(src, head[offset:]) // tusd keeps the error, if there is one
		if int(offset)+n == len(head) && video.Type(head) == "" {
			return 0, tusdError(errors.Join(video.ErrNotPlayable, u.spool.Remove(u.ID)))
		}
		src = io.MultiReader(bytes.NewReader(head[offset:int(offset)+n]), src)
	}
	n, err := u.spool.Append(u.Upload, src)
	return n, tusdError(err)
}

// FinishUpload does nothing: the hook publish can answer, and this cannot.
func (u upload) FinishUpload(context.Context) error { return nil }

// GetReader is for GET, which has no route.
func (u upload) GetReader(context.Context) (io.ReadCloser, error) { return nil, tusd.ErrNotImplemented }

// Terminate removes the upload.
func (u upload) Terminate(context.Context) error {
	if u.Complete() {
		return tusdError(ErrUploaded)
	}
	return tusdError(u.spool.Remove(u.ID))
}
