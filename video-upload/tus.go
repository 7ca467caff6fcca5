package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	tus "github.com/tus/tusd/v2/pkg/handler"
	tusdlog "golang.org/x/exp/slog" // what tusd logs with

	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

const (
	maxOpen     = 20       // uploads of one viewer that are not finished
	maxOpenAll  = 1000     // of all viewers: who refuses cookies is another one each time
	maxBegin    = 8        // times the limit of one upload: with so many bytes in the folder none is begun
	maxGoOn     = 16       // and with so many none goes on
	piece       = 16 << 20 // bytes that an upload goes on before it looks again
	maxFileName = 4 << 10  // bytes; it is kept as it comes
	lockWait    = 3 * time.Second
)

// What is kept with an upload among the metadata of its caller, and not shown there.
const (
	ownerKey = "owner"
	factKey  = "fact" // the id of the announcement
)

var (
	errUploaded = web.Errorf(http.StatusConflict, codes.AlreadyUploaded, "this video is uploaded already")
	errNoSpace  = web.Errorf(http.StatusInsufficientStorage, codes.NoSpace, "no space is left now; what has arrived is kept")
)

// uploads are those that can be resumed: the protocol is tusd's. It is the store and the locker that tusd works
// with.
type uploads struct {
	folder
	limit   int64 // bytes of one upload
	storage *storage
	outbox  announcements
	log     *slog.Logger
	later   chan struct{} // wakes the worker
	posters chan struct{} // holds one for each poster that comes in
	decoder sync.Mutex    // of posters: one takes memory and time
	tusd    *tus.UnroutedHandler
}

// newUploads keeps uploads in dir, which is made if need be and may be shared with other processes.
func newUploads(dir string, s *storage, outbox announcements, limit int64, log *slog.Logger) (*uploads, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make UPLOADS_DIR: %w", err)
	}
	u := &uploads{
		folder: folder{dir}, limit: limit, storage: s, outbox: outbox, log: log,
		later: make(chan struct{}, 1), posters: make(chan struct{}, maxPosters),
	}
	config := tus.Config{
		StoreComposer: tus.NewStoreComposer(),
		MaxSize:       limit,
		BasePath:      "/uploads/",
		Cors:          &tus.CorsConfig{Disable: true},
		// It logs every request, and every caller who goes away; what we want to know we log ourselves.
		Logger:                    tusdlog.New(tusdlog.NewTextHandler(io.Discard, nil)),
		AcquireLockTimeout:        lockWait,
		NetworkTimeout:            s.patience,
		PreUploadCreateCallback:   u.creating,
		PreFinishResponseCallback: u.whole,
	}
	config.StoreComposer.UseCore(u)
	config.StoreComposer.UseTerminater(u)
	config.StoreComposer.UseLocker(u)
	var err error
	u.tusd, err = tus.NewUnroutedHandler(config)
	return u, err
}

// create answers POST, and OPTIONS, which tusd knows without being told.
func (u *uploads) create(c echo.Context) error { return u.answer(c, u.tusd.PostFile, "") }

// change answers for one upload.
func (u *uploads) change(c echo.Context) error {
	up, err := u.of(c)
	if err != nil {
		return err
	}
	switch c.Request().Method {
	case http.MethodHead:
		return u.answer(c, u.tusd.HeadFile, up.info.ID)
	case http.MethodPatch:
		return u.answer(c, u.tusd.PatchFile, up.info.ID)
	}
	return u.answer(c, u.tusd.DelFile, up.info.ID)
}

// of returns the upload that a request names. What belongs to others does not exist.
func (u *uploads) of(c echo.Context) (upload, error) {
	c.Response().Header().Set("Tus-Resumable", "1.0.0")
	none := web.Errorf(http.StatusNotFound, codes.UploadNotFound, "there is no such upload")
	id, viewer := c.Param("id"), web.Viewer(c.Request().Header)
	if !isID(id) || viewer == "" {
		return upload{}, none
	}
	up, err := u.find(id)
	if errors.Is(err, os.ErrNotExist) || err == nil && up.info.MetaData[ownerKey] != viewer {
		return upload{}, none
	}
	return up, err
}

// answer lets tusd answer. It is told the id that was checked, and sees nothing else of the path.
func (u *uploads) answer(c echo.Context, h http.HandlerFunc, id string) error {
	req := c.Request().WithContext(c.Request().Context())
	req.URL = &url.URL{Path: id}
	u.tusd.Middleware(h).ServeHTTP(&answer{ResponseWriter: c.Response(), ctx: req.Context(), log: u.log}, req)
	return nil
}

// answer makes tusd's answers like our others.
type answer struct {
	http.ResponseWriter
	ctx    context.Context //nolint:containedctx // of the connection's health
	log    *slog.Logger
	status int // of a refusal, which tusd writes as "ERR_CODE: a sentence"
}

func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// SetWriteDeadline does nothing: tusd's would cut off an answer that waits for the storage, and stay on the
// connection for the requests that come after.
func (a *answer) SetWriteDeadline(time.Time) error { return nil }

func (a *answer) WriteHeader(status int) {
	h := a.Header()
	if a.ctx.Err() != nil {
		// The time limit of tusd for the next byte has passed after the last one, while the storage was at work. For
		// net/http the caller has gone then, and with them all requests that come on this connection.
		h.Set("Connection", "close")
	}
	if location := h.Get("Location"); location != "" {
		h.Set("Location", "/uploads/"+path.Base(location))
	}
	if status >= http.StatusBadRequest && h.Get("Content-Length") != "" {
		a.status = status
		h.Set("Content-Type", "application/json")
		h.Del("Content-Length")
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		return a.ResponseWriter.Write(p)
	}
	code, sentence, _ := strings.Cut(strings.TrimSpace(string(p)), ": ")
	if unknown := code == "ERR_INTERNAL_SERVER_ERROR"; unknown || a.status == http.StatusInsufficientStorage {
		a.log.Error("an upload failed", "status", a.status, "error", sentence)
		if unknown {
			sentence = "internal error"
		}
	}
	return len(p), json.NewEncoder(a.ResponseWriter).Encode(map[string]string{"error": sentence})
}

// refusal is err as tusd answers it.
func refusal(err error) error {
	var own *web.Error
	switch {
	case errors.As(err, &own):
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		own = errNoSpace
	default:
		return err
	}
	return tus.NewError("ERR_REFUSED", own.Message, own.Status)
}

// creating is asked before an upload is created.
func (u *uploads) creating(e tus.HookEvent) (tus.HTTPResponse, tus.FileInfoChanges, error) {
	meta, err := u.accept(e.Upload, e.HTTPRequest.Header)
	return tus.HTTPResponse{}, tus.FileInfoChanges{ID: uuid.NewString(), MetaData: meta}, refusal(err)
}

// accept returns what is kept with a new upload.
func (u *uploads) accept(info tus.FileInfo, header http.Header) (tus.MetaData, error) {
	owner, file := web.Viewer(header), info.MetaData["filename"]
	switch {
	case owner == "":
		return nil, web.Errorf(http.StatusBadRequest, web.CodeViewerMissing, "%s is missing", web.ViewerHeader)
	case header.Get("Upload-Concat") != "":
		return nil, web.Errorf(http.StatusNotImplemented, codes.ConcatUnsupported, "uploads cannot be put together")
	case info.Size == 0:
		return nil, web.Errorf(http.StatusBadRequest, codes.EmptyFile, "the file is empty")
	case len(file) > maxFileName:
		return nil, web.Errorf(http.StatusBadRequest, codes.FileNameTooLong, "the name of the file is too long")
	}
	if _, err := videoName(file); err != nil {
		return nil, err
	}
	if _, err := seconds(info.MetaData["duration"]); err != nil {
		return nil, err
	}
	open, held, err := u.unfinishedIDs()
	if err != nil {
		return nil, err
	}
	if len(open) >= maxOpenAll || held/maxBegin >= u.limit {
		return nil, web.Errorf(http.StatusServiceUnavailable, codes.UploadsFull, "too much is being uploaded now, try again later")
	}
	if u.countOf(owner, open) >= maxOpen {
		return nil, web.Errorf(http.StatusTooManyRequests, codes.TooManyUploads,
			"%d uploads are open already: end or delete one of them", maxOpen)
	}
	meta := tus.MetaData{"filename": file, ownerKey: owner, factKey: uuid.NewString()}
	if text := info.MetaData["duration"]; text != "" {
		meta["duration"] = text
	}
	return meta, nil
}

// NewLock returns the lock of an upload, not yet locked. One that is whole is not waited for, though it may be under way
// to the storage: no caller changes it.
func (u *uploads) NewLock(id string) (tus.Lock, error) {
	if up, err := u.find(id); err == nil && up.isWhole() {
		return noLock{}, nil
	}
	return u.lock(id), nil
}

// NewUpload creates the files of an upload.
func (u *uploads) NewUpload(ctx context.Context, info tus.FileInfo) (tus.Upload, error) {
	known, err := json.Marshal(info)
	if err == nil {
		err = os.WriteFile(u.path(info.ID, ""), nil, 0o600)
	}
	if err == nil {
		err = os.WriteFile(u.path(info.ID, infoPart), known, 0o600)
	}
	if err != nil {
		return nil, refusal(errors.Join(err, u.remove(info.ID)))
	}
	return u.GetUpload(ctx, info.ID)
}

// GetUpload returns an upload.
func (u *uploads) GetUpload(_ context.Context, id string) (tus.Upload, error) {
	up, err := u.find(id)
	if errors.Is(err, os.ErrNotExist) {
		return nil, tus.ErrNotFound
	}
	return &file{up, u}, refusal(err)
}

// AsTerminatableUpload is for DELETE.
func (u *uploads) AsTerminatableUpload(up tus.Upload) tus.TerminatableUpload { return up.(*file) }

// file is an upload as tusd sees it.
type file struct {
	upload  upload
	uploads *uploads
}

// GetInfo shows only what the caller has told.
func (f *file) GetInfo(context.Context) (tus.FileInfo, error) {
	info := f.upload.info
	info.MetaData = maps.Clone(info.MetaData)
	delete(info.MetaData, ownerKey)
	delete(info.MetaData, factKey)
	return info, nil
}

// WriteChunk refuses what is no video as soon as it shows, and leaves nothing of it.
func (f *file) WriteChunk(_ context.Context, offset int64, src io.Reader) (int64, error) {
	start := make([]byte, min(head, f.upload.info.Size))
	if offset < int64(len(start)) {
		if err := f.uploads.readStart(f.upload.info.ID, start[:offset]); err != nil {
			return 0, refusal(err)
		}
		n, _ := io.ReadFull(src, start[offset:]) // tusd knows why there is no more
		if int(offset)+n == len(start) && videoType(start) == "" {
			return 0, refusal(errors.Join(errNoVideo, f.uploads.remove(f.upload.info.ID)))
		}
		src = io.MultiReader(bytes.NewReader(start[offset:int(offset)+n]), src)
	}
	n, err := f.append(src)
	return n, refusal(err)
}

func (f *file) append(src io.Reader) (n int64, err error) {
	data, err := os.OpenFile(f.uploads.path(f.upload.info.ID, ""), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return 0, err
	}
	for err == nil {
		var held, more int64
		if _, held, err = f.uploads.unfinishedIDs(); err == nil && held/maxGoOn >= f.uploads.limit {
			err = errNoSpace
		}
		if err == nil {
			more, err = io.CopyN(data, src, piece)
			n += more
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, errors.Join(err, data.Close())
}

// FinishUpload leaves that to the hook whole, which can answer.
func (f *file) FinishUpload(context.Context) error { return nil }

// GetReader is for GET, which there is not.
func (f *file) GetReader(context.Context) (io.ReadCloser, error) { return nil, tus.ErrNotImplemented }

// Terminate removes all of it.
func (f *file) Terminate(context.Context) error {
	if f.upload.isWhole() {
		return refusal(errUploaded)
	}
	return refusal(f.uploads.remove(f.upload.info.ID))
}

// whole is called after the last byte. The answer waits for the storage as long as that works; if it does not, the
// worker tries again, and the caller need know no more than that the file is safe here.
func (u *uploads) whole(e tus.HookEvent) (tus.HTTPResponse, error) {
	up, err := u.find(e.Upload.ID)
	if err == nil {
		err = u.finish(context.WithoutCancel(e.Context), up)
	}
	if err != nil && !errors.Is(err, errNoVideo) {
		u.log.Warn("a video will be stored later", "video", e.Upload.ID, "error", err)
		select {
		case u.later <- struct{}{}:
		default:
		}
		err = u.sync(e.Upload.ID)
	}
	return tus.HTTPResponse{}, refusal(err)
}
