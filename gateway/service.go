package main

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"flixtube/chassis"
)

// newHandler waits at most limit for each part of a page.
func newHandler(cfg config, limit time.Duration, log *slog.Logger) http.Handler {
	transport := chassis.NewTransport()
	client := &http.Client{Transport: transport}
	static := newAssets()
	h := &handler{
		views: newViews(static),
		inner: neighbours{client, cfg.metadata, cfg.history, cfg.recommendations},
		limit: limit,
		log:   log,

		client: client,
		upload: cfg.upload.JoinPath("upload"),
		toUpload: chassis.Proxy(cfg.upload.JoinPath("upload"), transport, log,
			asViewer, dropOurHeaders),
	}
	stream := chassis.Proxy(cfg.streams.JoinPath("video"), transport, log, asViewer, dropOurHeaders)

	var checks []chassis.Check
	for name, base := range map[string]string{
		"metadata": cfg.metadata.String(), "history": cfg.history.String(),
		"recommendations": cfg.recommendations.String(), "video-streaming": cfg.streams.String(),
		"video-upload": cfg.upload.String(),
	} {
		checks = append(checks, chassis.Check{Name: name, Probe: chassis.HTTPCheck(client, strings.TrimSuffix(base, "/"))})
	}

	e := chassis.NewEcho(log, checks...)
	e.HTTPErrorHandler = h.answerError(e.HTTPErrorHandler)
	e.Use(secureHeaders, sameOrigin())
	viewer := identify(cfg.secureCookie)
	read := []string{http.MethodGet, http.MethodHead}
	e.Match(read, "/", h.home, viewer)
	e.Match(read, "/video", h.watch, viewer)
	e.POST("/video/rename", h.rename, viewer)
	e.POST("/video/remove", h.remove, viewer)
	e.Match(read, "/history", h.history, viewer)
	e.Match(read, "/upload", h.uploadPage, viewer)
	e.POST("/upload", h.uploadForm, viewer)
	e.Match(read, "/api/video", echo.WrapHandler(stream), viewer)
	e.POST("/api/upload", h.uploadRaw, viewer)
	e.Match(read, "/assets/:version/:name", static.serve)
	return e
}

// ourHeaders go on every answer. Nothing is allowed in a page but what comes from here, and no script or
// style inside the page itself.
var ourHeaders = map[string]string{
	"Content-Security-Policy": "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'self'; " +
		"script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	"X-Content-Type-Options": "nosniff",
	"Referrer-Policy":        "same-origin",
}

func secureHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		for name, value := range ourHeaders {
			c.Response().Header().Set(name, value)
		}
		return next(c)
	}
}

// dropOurHeaders keeps an inner service from setting what is the gateway's to set.
func dropOurHeaders(res *http.Response) error {
	for name := range ourHeaders {
		res.Header.Del(name)
	}
	res.Header.Del("Set-Cookie")
	return nil
}

// asViewer names the viewer to the service behind. It comes after the hop-by-hop headers are gone, which a
// caller might otherwise have used to strike the viewer out ("Connection: X-Viewer-Id").
func asViewer(r *httputil.ProxyRequest) {
	r.Out.Header.Del("Cookie")
	r.Out.Header.Set(chassis.ViewerHeader, chassis.Viewer(r.In.Header))
}

// sameOrigin refuses what changes something when another site's page sends it.
func sameOrigin() echo.MiddlewareFunc {
	protection := http.NewCrossOriginProtection()
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := protection.Check(c.Request()); err != nil {
				return chassis.Errorf(http.StatusForbidden, "this request comes from another site")
			}
			return next(c)
		}
	}
}

// answerError shows errors as a page, and under /api as JSON.
func (h *handler) answerError(asJSON echo.HTTPErrorHandler) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		req := c.Request()
		if c.Response().Committed || strings.HasPrefix(req.URL.Path, "/api/") {
			asJSON(err, c)
			return
		}
		status, message := http.StatusInternalServerError, "Something went wrong on our side."
		var own *chassis.Error
		var routing *echo.HTTPError
		switch {
		case errors.As(err, &own):
			status, message = own.Status, sentence(own.Message)
		case errors.As(err, &routing) && routing.Code == http.StatusNotFound:
			status, message = routing.Code, "There is no such page."
		case errors.As(err, &routing):
			status, message = routing.Code, sentence(http.StatusText(routing.Code))
		}
		if status >= http.StatusInternalServerError && req.Context().Err() == nil {
			h.log.Error("request failed", "method", req.Method, "path", req.URL.Path, "status", status, "error", err)
		}
		if err := h.render(c, status, "error.html", errorPage{Status: status, Message: message}); err != nil {
			asJSON(err, c)
		}
	}
}

// sentence makes one of an error's message.
func sentence(message string) string {
	first, size := utf8.DecodeRuneInString(message)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(message[size:], ".") + "."
}
