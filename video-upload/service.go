package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gabriel-vasile/mimetype"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"flixtube/chassis/health"
	"flixtube/chassis/messaging"
	"flixtube/chassis/text"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// announcements is where a stored video is noted, to be announced for certain.
type announcements interface {
	Add(ctx context.Context, m messaging.Message) error
}

// newHandler returns the routes. limit is the size of the largest video, in bytes.
func newHandler(s *storage, outbox announcements, u *uploads, limit int64, log *slog.Logger, checks ...health.Check) http.Handler {
	h := handler{s, outbox, limit, log}
	e := web.NewEcho(log, checks...)
	e.POST("/upload", h.postUpload)
	e.Match([]string{http.MethodOptions, http.MethodPost}, "/uploads", u.create)
	e.Match([]string{http.MethodHead, http.MethodPatch, http.MethodDelete}, "/uploads/:id", u.change)
	e.PUT("/uploads/:id/poster", u.putPoster)
	e.GET("/metrics", web.Metrics())
	return e
}

type handler struct {
	storage *storage
	outbox  announcements
	limit   int64
	log     *slog.Logger
}

// head is how many bytes of a file tell its type.
const head = 3072

func (h handler) postUpload(c echo.Context) error {
	req := c.Request()
	file, err := url.PathUnescape(req.Header.Get("File-Name"))
	if err != nil {
		return web.Errorf(http.StatusBadRequest, codes.InvalidFileName, "File-Name must be percent-encoded UTF-8")
	}
	name, err := videoName(file)
	if err != nil {
		return err
	}
	duration, err := seconds(req.Header.Get("Video-Duration"))
	if err != nil {
		return err
	}
	if req.ContentLength > h.limit {
		return h.tooLarge()
	}
	body := bufio.NewReaderSize(&callersBody{
		Reader: http.MaxBytesReader(c.Response(), req.Body, h.limit),
		conn:   http.NewResponseController(c.Response()), handler: h,
	}, head)
	start, err := body.Peek(head)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(start) == 0 {
		return web.Errorf(http.StatusBadRequest, codes.EmptyFile, "the body is empty")
	}
	contentType := videoType(start)
	if contentType == "" {
		return errNoVideo
	}

	// From here a caller who goes away shows as a body that breaks off. One who goes after the last byte has
	// uploaded a video.
	ctx := context.WithoutCancel(req.Context())
	v := video{ID: uuid.NewString(), Name: name, ContentType: contentType, Duration: duration}
	v.Size, err = h.storage.save(ctx, v.ID, contentType, body, req.ContentLength)
	if err != nil {
		return err
	}
	if err := h.announce(ctx, v, web.Viewer(req.Header)); err != nil {
		if err := h.storage.discard(ctx, v.ID); err != nil {
			h.log.Error("a video stays stored that nobody will hear of", "video", v.ID, "error", err)
		}
		return web.Errorf(http.StatusServiceUnavailable, codes.CannotAnnounce, "the video cannot be announced, send it again later").
			Because(err)
	}
	return c.JSON(http.StatusCreated, map[string]any{"video": v})
}

func (h handler) announce(ctx context.Context, v video, ownerID string) error {
	m, err := newVideoUploaded(uuid.NewString(), time.Now(), v, ownerID)
	if err != nil {
		return err
	}
	return h.outbox.Add(ctx, m)
}

func (h handler) tooLarge() error {
	return web.Errorf(http.StatusRequestEntityTooLarge, codes.VideoTooLarge, "a video may have up to %d bytes", h.limit)
}

// callersBody is what a caller sends; its errors are the answers. Who sends nothing for a while has broken off.
type callersBody struct {
	io.Reader
	conn *http.ResponseController
	handler
}

func (b *callersBody) Read(p []byte) (int, error) {
	_ = b.conn.SetReadDeadline(time.Now().Add(b.storage.patience)) // net/http ends it after the last byte
	n, err := b.Reader.Read(p)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		err = b.tooLarge()
	case err != nil && !errors.Is(err, io.EOF):
		err = web.Errorf(http.StatusBadRequest, web.CodeBodyIncomplete, "the body broke off").Because(err)
	}
	return n, err
}

// played are the types that are taken. Those that detection finds besides, audio in an MP4 for one, are not.
var played = []string{"video/mp4", "video/webm", "video/ogg", "video/quicktime", "video/x-matroska"}

// videoType returns the type that the first bytes of a file show, or "".
func videoType(start []byte) string {
	found := mimetype.Detect(start)
	for _, t := range played {
		if found.Is(t) {
			return t
		}
	}
	if found.Is("video/x-m4v") {
		return "video/mp4" // the same but for the name, which fewer browsers know
	}
	return ""
}

const maxName = 200 // characters

var extension = regexp.MustCompile(`\.[A-Za-z0-9]{1,5}$`)

// videoName makes a video's name of the name of its file: without folders, of either kind of slash, and without
// its extension, unless nothing else is left.
func videoName(file string) (string, error) {
	if !utf8.ValidString(file) {
		return "", web.Errorf(http.StatusBadRequest, codes.InvalidFileName, "the name of the file must be UTF-8")
	}
	file = text.Line(file[strings.LastIndexAny(file, `/\`)+1:])
	if strings.Trim(file, ". ") == "" {
		return "", web.Errorf(http.StatusBadRequest, codes.FileNameMissing, "the name of the file is missing")
	}
	name := text.Line(extension.ReplaceAllString(file, ""))
	if name == "" {
		name = file
	}
	if runes := []rune(name); len(runes) > maxName {
		name = text.Line(string(runes[:maxName]))
	}
	return name, nil
}

const maxDuration = 10_000_000 // seconds

// seconds reads how long a video is said to last: 0 if that is not said.
func seconds(text string) (float64, error) {
	if text == "" {
		return 0, nil
	}
	d, err := strconv.ParseFloat(text, 64)
	if err != nil || !(d > 0 && d <= maxDuration) {
		return 0, web.Errorf(http.StatusBadRequest, codes.InvalidDuration, "the duration must be a number of seconds above 0 and up to %d", maxDuration)
	}
	return d, nil
}
