package main

import (
	"bufio"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"flixtube/chassis/health"
	"flixtube/chassis/httpclient"
	"flixtube/chassis/process"
	"flixtube/chassis/slots"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/video-upload/internal/poster"
	"flixtube/video-upload/internal/publisher"
	"flixtube/video-upload/internal/spool"
	"flixtube/video-upload/internal/storage"
	"flixtube/video-upload/internal/tus"
	"flixtube/video-upload/internal/video"
)

//go:embed openapi.json
var openAPI []byte

// The slots of POST /upload. There are fewer than video-storage has for uploads to Azure, so that resumable uploads, which
// hold one only while the file goes from disk to disk, find some free however slow the clients here are. No address has
// more than a third of them.
const (
	maxUploads     = 12
	maxQueued      = 24
	maxWait        = 10 * time.Second
	viewerUploads  = 2
	addressUploads = 4
	retryAfter     = "10" // seconds
)

// service is what the routes use.
type service struct {
	spool       *spool.Spool
	storage     *storage.Client
	publisher   *publisher.Publisher
	resumable   *tus.Handler
	encoder     poster.Encoder
	uploads     *slots.Slots // of POST /upload
	posters     *slots.Slots // of PUT /uploads/<id>/poster
	limit       int64        // bytes of the largest video
	idleTimeout time.Duration
	log         *slog.Logger
}

// newService wires the parts. A client that sends nothing for idleTimeout is disconnected.
func newService(s *spool.Spool, c *storage.Client, outbox publisher.Outbox, limit int64, idleTimeout time.Duration, log *slog.Logger) (*service, error) {
	p := publisher.New(s, c, outbox, log)
	resumable, err := tus.New(s, p, limit, idleTimeout, log)
	if err != nil {
		return nil, err
	}
	return &service{
		spool: s, storage: c, publisher: p, resumable: resumable, uploads: slots.New(maxUploads, maxQueued, maxWait),
		posters: slots.New(maxPosters, 0, 0),
		limit:   limit, idleTimeout: idleTimeout, log: log,
	}, nil
}

func (s *service) handler(checks ...health.Check) http.Handler {
	e := web.NewEcho(s.log, checks...)
	e.POST("/upload", s.postUpload)
	e.GET("/uploads", s.getUploads)
	e.Match([]string{http.MethodOptions, http.MethodPost}, "/uploads", s.resumable.Collection)
	e.Match([]string{http.MethodHead, http.MethodPatch, http.MethodDelete}, "/uploads/:id", s.resumable.Upload)
	e.PUT("/uploads/:id/poster", s.putPoster)
	e.GET("/openapi.json", web.OpenAPI(e, openAPI))
	e.GET("/metrics", web.Metrics())
	return e
}

func (s *service) postUpload(c echo.Context) error {
	req := c.Request()
	file, err := url.PathUnescape(req.Header.Get("File-Name"))
	if err != nil {
		return web.Errorf(http.StatusBadRequest, codes.InvalidFileName, "File-Name must be percent-encoded UTF-8")
	}
	name, err := video.Name(file)
	if err != nil {
		return err
	}
	claimed, err := video.Duration(req.Header.Get("Video-Duration"))
	if err != nil {
		return err
	}
	if req.ContentLength > s.limit {
		return s.tooLarge()
	}
	leave, err := s.uploads.Enter(req.Context(), shares(req.Header, viewerUploads, addressUploads)...)
	if err != nil {
		return later(c, web.Errorf(http.StatusServiceUnavailable, codes.UploadsFull, "too many uploads are in progress, try again later").Because(err))
	}
	defer leave()
	process.LongBody(req, s.idleTimeout)
	body := bufio.NewReaderSize(web.NewBody(http.MaxBytesReader(c.Response(), req.Body, s.limit)), video.HeadSize)
	head, err := body.Peek(video.HeadSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return s.answer(c, err)
	}
	if len(head) == 0 {
		return web.Errorf(http.StatusBadRequest, codes.EmptyFile, "the body is empty")
	}
	contentType := video.Type(head)
	if contentType == "" {
		return video.ErrNotPlayable
	}

	// From here on a client that disconnects shows as an incomplete body. One that disconnects after the last byte has
	// uploaded a video.
	ctx := context.WithoutCancel(req.Context())
	v := video.Video{ID: uuid.NewString(), Name: name, ContentType: contentType}
	inspected, found := inspect(contentType, body)
	v.Size, err = s.storage.Put(ctx, v.ID, contentType, inspected, req.ContentLength)
	inFile, invalid := found()
	if err == nil {
		err = invalid
	}
	if err != nil {
		s.discard(ctx, v.ID) // the storage may have the video, although no response says so
		return s.answer(c, err)
	}
	v.Duration = cmp.Or(claimed, inFile)
	if err := s.publisher.Announce(ctx, uuid.NewString(), time.Now(), v, web.Viewer(req.Header)); err != nil {
		s.discard(ctx, v.ID)
		return web.Errorf(http.StatusServiceUnavailable, codes.CannotAnnounce, "the video cannot be announced, send it again later").
			Because(err)
	}
	return c.JSON(http.StatusCreated, map[string]any{"video": v})
}

// inspect returns a body that looks into its bytes while they are read, and a function that ends this and returns what
// video.Inspect has found.
func inspect(contentType string, body io.Reader) (inspected io.Reader, found func() (float64, error)) {
	read, write := io.Pipe()
	var duration float64
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		duration, err = video.Inspect(contentType, read)
		_, _ = io.Copy(io.Discard, read)
	}()
	return io.TeeReader(body, write), func() (float64, error) {
		_ = write.Close()
		<-done
		return duration, err
	}
}

// discard deletes a video that is not announced. If that fails, video-storage's sweep deletes it.
func (s *service) discard(ctx context.Context, id string) {
	if err := s.storage.Delete(ctx, id); err != nil {
		s.log.WarnContext(ctx, "a video that is not announced may stay stored until the sweep", "video", id, "error", err)
	}
}

// shares are those of the viewer and of the address that a request names.
func shares(header http.Header, ofViewer, ofAddress int) []slots.Share {
	return []slots.Share{{Client: web.Viewer(header), Max: ofViewer}, {Client: web.Client(header), Max: ofAddress}}
}

// later asks the client to try again.
func later(c echo.Context, busy *web.Error) error {
	c.Response().Header().Set("Retry-After", retryAfter)
	return busy
}

// answer maps an error of the upload to the response.
func (s *service) answer(c echo.Context, err error) error {
	var clientError *web.Error
	var status *httpclient.StatusError
	switch {
	case errors.As(err, &clientError):
		if clientError.Code == web.CodeBodyTooLarge {
			return s.tooLarge()
		}
		return clientError
	case errors.As(err, &status) && status.Status == http.StatusInsufficientStorage:
		return web.Errorf(status.Status, codes.NoSpace, "the storage has no space left").Because(err)
	case errors.As(err, &status) && status.Status == http.StatusServiceUnavailable:
		return later(c, web.Errorf(status.Status, codes.StorageUnavailable, "the storage rejects the video: %s", http.StatusText(status.Status)).
			With("status", status.Status).Because(err))
	case errors.As(err, &status) && status.Status == http.StatusRequestEntityTooLarge:
		return web.Errorf(status.Status, codes.StorageUnavailable, "the storage rejects the video: %s", http.StatusText(status.Status)).
			With("status", status.Status).Because(err)
	}
	return web.Errorf(http.StatusBadGateway, codes.StorageUnavailable, "the storage does not accept the video").Because(err)
}

func (s *service) tooLarge() error {
	return web.Errorf(http.StatusRequestEntityTooLarge, codes.VideoTooLarge, "a video may have up to %d bytes", s.limit).
		With("max", s.limit)
}
