package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/health"
	"flixtube/chassis/process"
	"flixtube/chassis/requestid"
	"flixtube/chassis/slots"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

//go:embed openapi.json
var openAPI []byte

var (
	errNotFound       = errors.New("there is no such video")
	errPosterNotFound = errors.New("there is no such poster")
	errExists         = errors.New("there is a video with this id already")
	errInvalidID      = errors.New("the id cannot be the name of a video")
)

// videoID is an id that parseID has checked, so that it can be the name of a file or blob.
type videoID string

const maxID = 64 // characters

// The uploads that have no slot wait in a queue. Playing needs neither.
const (
	maxQueued  = 64
	maxWait    = 10 * time.Second
	retryAfter = "10" // seconds
)

func newUploadSlots(total int) *slots.Slots { return slots.New(total, maxQueued, maxWait) }

// idleTimeout is how long the client of an upload may send nothing.
const idleTimeout = time.Minute

// parseID returns errInvalidID for an id that nothing can be stored under.
func parseID(id string) (videoID, error) {
	if !requestid.IsToken(id, maxID) {
		return "", errInvalidID
	}
	return videoID(id), nil
}

// videoStore keeps the bytes of videos.
type videoStore interface {
	// Open returns a video, or errNotFound. The caller closes it. Reading from it fails once ctx is done.
	Open(ctx context.Context, id videoID) (*video, error)

	// Create stores a whole video or nothing: until body has ended with io.EOF and every byte is on disk, there is no such
	// video. It returns errExists, and keeps the video that is there, if the id is in use; an error of body is wrapped.
	Create(ctx context.Context, id videoID, contentType string, body io.Reader) error

	// Delete removes a video, its poster and its announcement. It can be repeated: one that is not there is no error.
	Delete(ctx context.Context, id videoID) error
}

type video struct {
	io.ReadSeekCloser
	contentType string
	etag        string // strong, and never the same for other bytes (RFC 9110, 8.8.3)
	modified    time.Time
	keep        func() error // the file, for the next request, instead of closing it; nil: close it
}

// Close ends the use of the video. It is called once.
func (v *video) Close() error {
	if v.keep != nil {
		v.ReadSeekCloser = (*os.File)(nil) // of which every use is an error: the file is another request's
		return v.keep()
	}
	return v.ReadSeekCloser.Close()
}

type service struct {
	videos        videoStore
	posters       posterStore
	announcements announcementStore
	uploads       *slots.Slots
}

func newHandler(videos store, uploads *slots.Slots, log *slog.Logger, checks ...health.Check) http.Handler {
	s := service{videos, videos, videos, uploads}
	e := web.NewEcho(log, checks...)
	e.GET("/video", serveStored(videos.Open))
	e.HEAD("/video", serveStored(videos.Open))
	e.DELETE("/video", s.deleteVideo)
	e.GET("/poster", serveStored(videos.OpenPoster))
	e.HEAD("/poster", serveStored(videos.OpenPoster))
	e.PUT("/poster", s.putPoster)
	e.POST("/upload", s.upload)
	e.GET("/videos", s.listVideos)
	e.GET("/openapi.json", web.OpenAPI(e, openAPI))
	e.GET("/metrics", web.Metrics())
	return e
}

// answer maps the errors of a store, and those of a request's body, to responses.
func answer(err error) error {
	var clientError *web.Error
	switch {
	case errors.As(err, &clientError):
		return clientError
	case errors.Is(err, errInvalidID):
		return web.Errorf(http.StatusBadRequest, codes.InvalidID, "id must be 1 to %d letters, digits, '-' and '_'", maxID).
			With("name", "id").With("max", maxID)
	case errors.Is(err, errNotFound):
		return web.Errorf(http.StatusNotFound, codes.VideoNotFound, "there is no such video")
	case errors.Is(err, errPosterNotFound):
		return web.Errorf(http.StatusNotFound, codes.PosterNotFound, "there is no such poster")
	case errors.Is(err, errExists):
		return web.Errorf(http.StatusConflict, codes.VideoExists, "there is a video with this id already")
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return web.Errorf(http.StatusInsufficientStorage, codes.NoSpace, "no space is left").Because(err)
	}
	return web.Errorf(http.StatusServiceUnavailable, codes.StorageUnavailable, "the video store does not answer").Because(err)
}

// serveStored answers with the video or poster that open returns for the query's id.
func serveStored(open func(ctx context.Context, id videoID) (*video, error)) echo.HandlerFunc {
	return func(c echo.Context) error {
		id, err := parseID(c.QueryParam("id"))
		if err != nil {
			return answer(err)
		}
		v, err := open(c.Request().Context(), id)
		if err != nil {
			return answer(err)
		}
		defer v.Close()
		if strings.Contains(c.Request().Header.Get("Range"), ",") {
			v.keep = nil // ServeContent reads several ranges in a goroutine, which may outlive the request
		}
		// Echo's own response writer hides ReadFrom, and sendfile with it. Echo must know that the response is written.
		c.Response().Committed = true
		serve(c.Response().Writer, c.Request(), v)
		return nil
	}
}

func (s service) deleteVideo(c echo.Context) error {
	id, err := parseID(c.QueryParam("id"))
	if err != nil {
		return answer(err)
	}
	if err := s.videos.Delete(c.Request().Context(), id); err != nil {
		return answer(err)
	}
	return c.NoContent(http.StatusNoContent)
}

func (s service) upload(c echo.Context) error {
	req := c.Request()
	id, err := parseID(req.Header.Get("id"))
	if err != nil {
		return answer(err)
	}
	contentType := req.Header.Get("Content-Type")
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	if _, _, err := mime.ParseMediaType(contentType); err != nil {
		return web.Errorf(http.StatusBadRequest, codes.InvalidContentType, "Content-Type must be a media type, such as video/mp4")
	}
	leave, err := s.uploads.Enter(req.Context())
	if err != nil {
		c.Response().Header().Set("Retry-After", retryAfter)
		return web.Errorf(http.StatusServiceUnavailable, codes.UploadsFull, "too many uploads are in progress, try again later").Because(err)
	}
	defer leave()
	process.LongBody(req, idleTimeout)
	body := bufio.NewReader(web.NewBody(req.Body))
	if _, err := body.Peek(1); err == io.EOF {
		return web.Errorf(http.StatusBadRequest, codes.EmptyFile, "the body is empty")
	}
	if err := s.videos.Create(req.Context(), id, contentType, body); err != nil {
		return answer(err)
	}
	c.Response().Header().Set("Location", "/video?id="+url.QueryEscape(string(id)))
	return c.JSON(http.StatusCreated, map[string]string{"id": string(id)})
}
