package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/health"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

var (
	errNotFound = errors.New("no such video")
	errNoPoster = errors.New("there is no such poster")
	errTaken    = errors.New("there is a video with this id already")
)

// store keeps videos under ids that have been checked.
type store interface {
	// Open returns a video, or errNotFound. The caller closes it. Reading from it fails once ctx is done.
	Open(ctx context.Context, id string) (*video, error)

	// Create takes a whole video, or nothing: while body has not ended with io.EOF and everything is safe,
	// there is no such video. errTaken if there was one before.
	Create(ctx context.Context, id, contentType string, body io.Reader) error

	oldVideos
	posters

	// Ready is nil when the store can be used.
	Ready(ctx context.Context) error
}

type video struct {
	io.ReadSeekCloser
	contentType string
	etag        string // strong, and never the same for other bytes (RFC 9110, 8.8.3)
	modified    time.Time
}

type service struct{ videos store }

func newHandler(videos store, log *slog.Logger, checks ...health.Check) http.Handler {
	s := service{videos}
	e := web.NewEcho(log, append(checks, health.Check{Name: "store", Required: true, Probe: videos.Ready})...)
	e.GET("/video", get(videos.Open))
	e.HEAD("/video", get(videos.Open))
	e.DELETE("/video", s.remove)
	e.GET("/poster", get(videos.OpenPoster))
	e.HEAD("/poster", get(videos.OpenPoster))
	e.PUT("/poster", s.putPoster)
	e.POST("/upload", s.upload)
	e.GET("/metrics", web.Metrics())
	return e
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// checkID is the only judge of what may become the name of a file or blob.
func checkID(id string) (string, error) {
	if !idPattern.MatchString(id) {
		return "", web.Errorf(http.StatusBadRequest, codes.InvalidID, "id must be 1 to 64 letters, digits, '-' and '_'")
	}
	return id, nil
}

// failure turns an error of the store into an answer.
func failure(err error) error {
	switch {
	case errors.Is(err, errNotFound):
		return web.Errorf(http.StatusNotFound, codes.VideoNotFound, "%s", errNotFound)
	case errors.Is(err, errNoPoster):
		return web.Errorf(http.StatusNotFound, codes.PosterNotFound, "%s", errNoPoster)
	case errors.Is(err, errTaken):
		return web.Errorf(http.StatusConflict, codes.VideoExists, "%s", errTaken)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return web.Errorf(http.StatusInsufficientStorage, codes.NoSpace, "no space is left").Because(err)
	}
	return web.Errorf(http.StatusServiceUnavailable, codes.StorageUnavailable, "the video store does not answer").Because(err)
}

// get answers with what open finds under the id.
func get(open func(ctx context.Context, id string) (*video, error)) echo.HandlerFunc {
	return func(c echo.Context) error {
		id, err := checkID(c.QueryParam("id"))
		if err != nil {
			return err
		}
		v, err := open(c.Request().Context(), id)
		if err != nil {
			return failure(err)
		}
		defer v.Close()
		// Echo's own response writer would hide ReadFrom, and sendfile with it. Echo is told that it is used.
		c.Response().Committed = true
		serve(c.Response().Writer, c.Request(), v)
		return nil
	}
}

func (s service) remove(c echo.Context) error {
	id, err := checkID(c.QueryParam("id"))
	if err != nil {
		return err
	}
	if err := s.videos.Delete(c.Request().Context(), id); err != nil {
		return failure(err)
	}
	return c.NoContent(http.StatusNoContent)
}

func (s service) upload(c echo.Context) error {
	req := c.Request()
	id, err := checkID(req.Header.Get("id"))
	if err != nil {
		return err
	}
	contentType := req.Header.Get("Content-Type")
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	if _, _, err := mime.ParseMediaType(contentType); err != nil {
		return web.Errorf(http.StatusBadRequest, codes.InvalidContentType, "Content-Type is not a media type")
	}
	in := &incoming{body: req.Body}
	body := bufio.NewReader(in)
	if _, err := body.Peek(1); err == io.EOF {
		return web.Errorf(http.StatusBadRequest, codes.EmptyFile, "the body is empty")
	}
	err = s.videos.Create(req.Context(), id, contentType, body)
	if in.failed != nil {
		return web.Errorf(http.StatusBadRequest, web.CodeBodyIncomplete, "the upload broke off").Because(in.failed)
	}
	if err != nil {
		return failure(err)
	}
	c.Response().Header().Set("Location", "/video?id="+url.QueryEscape(id))
	return c.JSON(http.StatusCreated, map[string]string{"id": id})
}

var errBrokeOff = errors.New("the upload broke off")

// incoming is the body of an upload. It keeps apart what goes wrong at the caller's end, and gives it to the
// store as an error that nothing takes for an end, as io.ErrUnexpectedEOF is easily taken.
type incoming struct {
	body   io.Reader
	failed error
}

func (in *incoming) Read(p []byte) (int, error) {
	if in.failed != nil {
		return 0, errBrokeOff
	}
	n, err := in.body.Read(p)
	if err != nil && err != io.EOF {
		in.failed = err
		err = errBrokeOff
	}
	return n, err
}
