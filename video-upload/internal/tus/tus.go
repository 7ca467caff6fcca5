// Package tus lets a client resume an upload, by the tus protocol 1.0.0. tusd speaks the protocol; the uploads are in the
// spool, and the publisher gets the complete ones.
package tus

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	tusd "github.com/tus/tusd/v2/pkg/handler"
	tusdlog "golang.org/x/exp/slog" // the log package of tusd

	"flixtube/chassis/process"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/video-upload/internal/publisher"
	"flixtube/video-upload/internal/spool"
	"flixtube/video-upload/internal/video"
)

// lockTimeout is how long a request waits for another one that is changing the same upload.
const lockTimeout = 3 * time.Second

// The keys of an upload's metadata. The client sends the first two; the others are ours, and it does not see them.
const (
	nameKey     = "filename"
	durationKey = "duration"
	ownerKey    = "owner"
	factKey     = "fact"
	addressKey  = "address"
)

// Answers to the client.
var (
	ErrUploaded = web.Errorf(http.StatusConflict, codes.AlreadyUploaded, "this video is uploaded already")
	errNotFound = web.Errorf(http.StatusNotFound, codes.UploadNotFound, "there is no such upload")
	errNoSpace  = web.Errorf(http.StatusInsufficientStorage, codes.NoSpace, "no space is left now; the bytes that have arrived are kept")
	errBusy     = web.Errorf(http.StatusServiceUnavailable, codes.UploadsFull, "too many uploads are in progress, try again later")
	errShare    = web.Errorf(http.StatusTooManyRequests, codes.UploadsFull, "too many uploads of yours, or of your network, are in progress")
	errTooMany  = web.Errorf(http.StatusTooManyRequests, codes.TooManyUploads,
		"at most %d uploads may be unfinished: finish or delete one of them", spool.MaxOpen).With("max", spool.MaxOpen)
)

// retryAfter is how many seconds a client should wait that was told errBusy or errShare.
const retryAfter = "60"

// Handler has the routes of the protocol.
type Handler struct {
	spool     *spool.Spool
	publisher *publisher.Publisher
	limit     int64
	idle      time.Duration
	log       *slog.Logger
	tusd      *tusd.UnroutedHandler
}

// New returns a Handler for uploads of up to limit bytes. A client that sends nothing for idleTimeout is disconnected.
func New(s *spool.Spool, p *publisher.Publisher, limit int64, idleTimeout time.Duration, log *slog.Logger) (*Handler, error) {
	h := &Handler{spool: s, publisher: p, limit: limit, idle: idleTimeout, log: log}
	composer := tusd.NewStoreComposer()
	composer.UseCore(store{s})
	composer.UseTerminater(store{s})
	composer.UseLocker(store{s})
	var err error
	h.tusd, err = tusd.NewUnroutedHandler(tusd.Config{
		StoreComposer: composer,
		MaxSize:       limit,
		BasePath:      "/uploads/",
		Cors:          &tusd.CorsConfig{Disable: true},
		// It logs every request, and every client that disconnects. We log the failures ourselves.
		Logger:                    tusdlog.New(tusdlog.NewTextHandler(io.Discard, nil)),
		AcquireLockTimeout:        lockTimeout,
		PreUploadCreateCallback:   h.create,
		PreFinishResponseCallback: h.publish,
	})
	return h, err
}

// Collection answers POST, and OPTIONS, which tusd knows by itself.
func (h *Handler) Collection(c echo.Context) error { return h.serve(c, h.tusd.PostFile, "") }

// Upload answers HEAD, PATCH and DELETE for one upload.
func (h *Handler) Upload(c echo.Context) error {
	up, err := h.Find(c)
	if err != nil {
		return err
	}
	switch c.Request().Method {
	case http.MethodHead:
		return h.serve(c, h.tusd.HeadFile, up.ID)
	case http.MethodPatch:
		return h.serve(c, h.tusd.PatchFile, up.ID)
	}
	return h.serve(c, h.tusd.DelFile, up.ID)
}

// Find returns the upload of the request's path. To other viewers than its owner it does not exist.
func (h *Handler) Find(c echo.Context) (spool.Upload, error) {
	c.Response().Header().Set("Tus-Resumable", "1.0.0")
	id, viewer := c.Param("id"), web.Viewer(c.Request().Header)
	if !spool.IsID(id) || viewer == "" {
		return spool.Upload{}, errNotFound
	}
	up, err := h.spool.Find(id)
	if errors.Is(err, spool.ErrNotFound) || err == nil && up.MetaData.Owner != viewer {
		return spool.Upload{}, errNotFound
	}
	return up, err
}

// serve lets tusd answer. tusd gets the id that was checked, and nothing else of the path.
func (h *Handler) serve(c echo.Context, serve http.HandlerFunc, id string) error {
	process.LongBody(c.Request(), h.idle)
	req := c.Request().WithContext(c.Request().Context())
	req.URL = &url.URL{Path: id}
	req.Body = body{req.Body}
	w := &responseWriter{ResponseWriter: c.Response(), req: c.Request(), limit: h.limit, log: h.log}
	h.tusd.Middleware(serve).ServeHTTP(w, req)
	return nil
}

// create is tusd's hook before an upload is created.
func (h *Handler) create(e tusd.HookEvent) (tusd.HTTPResponse, tusd.FileInfoChanges, error) {
	meta, err := h.accept(e.Upload, e.HTTPRequest.Header)
	return tusd.HTTPResponse{}, tusd.FileInfoChanges{ID: uuid.NewString(), MetaData: meta}, tusdError(err)
}

// accept returns the metadata of a new upload, or the answer to the client.
func (h *Handler) accept(info tusd.FileInfo, header http.Header) (tusd.MetaData, error) {
	owner, name, duration := web.Viewer(header), info.MetaData[nameKey], info.MetaData[durationKey]
	switch {
	case owner == "":
		return nil, web.Errorf(http.StatusBadRequest, web.CodeViewerMissing, "%s is missing", web.ViewerHeader)
	case header.Get("Upload-Concat") != "":
		return nil, web.Errorf(http.StatusNotImplemented, codes.ConcatUnsupported, "uploads cannot be concatenated")
	case info.Size == 0:
		return nil, web.Errorf(http.StatusBadRequest, codes.EmptyFile, "the file is empty")
	}
	if _, err := video.Name(name); err != nil {
		return nil, err
	}
	if _, err := video.Duration(duration); err != nil {
		return nil, err
	}
	return tusd.MetaData{
		nameKey: name, durationKey: duration, ownerKey: owner, factKey: uuid.NewString(), addressKey: web.Client(header),
	}, nil
}

// publish is tusd's hook after the last byte. The response waits until the video is stored and announced. If that fails
// the publisher tries again later, and the response only says that the bytes are safe on disk.
func (h *Handler) publish(e tusd.HookEvent) (tusd.HTTPResponse, error) {
	ctx := context.WithoutCancel(e.Context)
	up, err := h.spool.Find(e.Upload.ID)
	if err == nil {
		err = h.publisher.Publish(ctx, up)
	}
	if err == nil || video.Rejected(err) {
		return tusd.HTTPResponse{}, tusdError(err)
	}
	h.log.WarnContext(ctx, "video is not published, will retry", "video", e.Upload.ID, "error", err)
	h.publisher.Retry()
	return tusd.HTTPResponse{}, tusdError(h.spool.Sync(e.Upload.ID))
}

// rejected is the code under which tusd carries our own errors, as JSON.
const rejected = "ERR_REJECTED"

// tusdError returns err in the form that tusd answers with.
func tusdError(err error) error {
	var own *web.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, spool.ErrNotFound):
		return tusd.ErrNotFound
	case errors.Is(err, spool.ErrLocked):
		return tusd.ErrFileLocked
	case errors.Is(err, spool.ErrNoSpace):
		own = errNoSpace
	case errors.Is(err, spool.ErrBusy):
		own = errBusy
	case errors.Is(err, spool.ErrShare):
		own = errShare
	case errors.Is(err, spool.ErrTooManyOpen):
		own = errTooMany
	case !errors.As(err, &own):
		return err
	}
	data, encodeErr := json.Marshal(own)
	if encodeErr != nil {
		return errors.Join(err, encodeErr)
	}
	answer := tusd.NewError(rejected, string(data), own.Status)
	if own.Code == codes.UploadsFull {
		answer.HTTPResponse.Header["Retry-After"] = retryAfter
	}
	return answer
}
