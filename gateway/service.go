package main

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"golang.org/x/text/language"

	"flixtube/chassis/health"
	"flixtube/chassis/httpclient"
	"flixtube/chassis/proxy"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// newHandler waits at most partLimit for each part of a page, and ten times as long for a change, or for a picture.
func newHandler(cfg config, partLimit time.Duration, log *slog.Logger) http.Handler {
	transport := httpclient.NewTransport()
	client := &http.Client{Transport: transport}
	limiter := newLimiter(cfg.rateLimit)
	static, languages := newAssets(), newTexts()
	var tags []language.Tag
	for _, x := range languages {
		tags = append(tags, language.Make(x.lang))
	}
	h := &handler{
		views:        newViews(static, languages),
		texts:        languages,
		languages:    language.NewMatcher(tags),
		inner:        neighbours{client, cfg.metadata, cfg.history, cfg.recommendations},
		upload:       cfg.upload.JoinPath("upload"),
		limit:        partLimit,
		changeLimit:  10 * partLimit,
		limiter:      limiter,
		secureCookie: cfg.secureCookie,
		log:          log,
	}
	stream := proxy.New(cfg.streams.JoinPath("video"), transport, log, inward("Range", "If-Range", "If-Match",
		"If-None-Match", "If-Modified-Since", "If-Unmodified-Since"), dropOurHeaders)
	poster := newPosters(cfg.streams.JoinPath("poster"), transport, log)
	upload := proxy.New(h.upload, transport, log,
		inward("Content-Type", "File-Name", "Video-Duration", "Expect"), dropOurHeaders)
	uploads := newUploads(cfg.upload.JoinPath("uploads"), transport, log)
	// A page that is being left can only POST (sendBeacon).
	position := proxy.New(cfg.history.JoinPath("position"), transport, log, func(r *httputil.ProxyRequest) {
		inward("Content-Type")(r)
		r.Out.Method = http.MethodPut
	}, dropOurHeaders)

	var checks []health.Check
	for name, base := range map[string]*url.URL{
		"metadata": cfg.metadata, "history": cfg.history, "recommendations": cfg.recommendations,
		"video-streaming": cfg.streams, "video-upload": cfg.upload,
	} {
		checks = append(checks, health.Service(name, client, base))
	}

	e := web.NewEcho(log, checks...)
	e.HTTPErrorHandler = h.answerError(e.HTTPErrorHandler)
	e.Use(secureHeaders, answerWhileSending, sameOrigin(), middleware.GzipWithConfig(middleware.GzipConfig{Skipper: func(c echo.Context) bool {
		req := c.Request() // a range counts the bytes of what is not compressed (RFC 9110, 14.4)
		return req.Method != http.MethodGet || strings.HasPrefix(req.URL.Path, "/api/") || req.Header.Get("Range") != ""
	}}))
	viewer, cheap, dear := identify(cfg.secureCookie), limiter.costs(1), limiter.costs(uploadCost)
	read := []string{http.MethodGet, http.MethodHead}
	e.Match(read, "/", h.home, viewer)
	e.Match(read, "/video", h.watch, viewer)
	e.POST("/video/rename", h.rename, viewer, cheap)
	e.POST("/video/remove", h.remove, viewer, cheap)
	e.Match(read, "/history", h.history, viewer)
	e.POST("/history/remove", h.removeViewing, viewer, cheap)
	e.Match(read, "/history/clear", h.clearPage, viewer)
	e.POST("/history/clear", h.clearHistory, viewer, cheap)
	e.POST("/language", h.chooseLanguage)
	e.Match(read, "/upload", h.uploadPage, viewer)
	e.POST("/upload", h.uploadForm, viewer, dear)
	e.Match(read, "/api/video", echo.WrapHandler(stream), viewer, cheap)
	e.PATCH("/api/video", h.renameByScript, viewer, cheap)
	e.Match(read, "/api/poster", atMost(h.changeLimit, poster), viewer, cheap)
	e.POST("/api/position", atMost(h.changeLimit, position), viewer, cheap)
	e.POST("/api/upload", echo.WrapHandler(upload), viewer, dear)
	e.OPTIONS("/api/uploads", uploads, viewer, cheap)
	e.POST("/api/uploads", uploads, viewer, dear)
	e.Match([]string{http.MethodHead, http.MethodPatch, http.MethodDelete}, "/api/uploads/:id", uploads, viewer, cheap)
	e.PUT("/api/uploads/:id/poster", uploads, viewer, cheap)
	e.Match(read, "/assets/:version/:name", static.serve)
	return e
}

// ourHeaders go on every answer. Nothing is allowed in a page but what comes from here, and no script or
// style inside the page itself. blob: is a file that the viewer chose: the upload page looks into it for a picture.
var ourHeaders = map[string]string{
	"Content-Security-Policy": "default-src 'none'; img-src 'self'; media-src 'self' blob:; style-src 'self'; " +
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

// inward passes on these headers and no others, and names the viewer to the service behind. It comes after the
// hop-by-hop headers are gone, which a caller might otherwise have used to strike the viewer out
// ("Connection: X-Viewer-Id").
func inward(names ...string) func(*httputil.ProxyRequest) {
	return func(r *httputil.ProxyRequest) {
		header := http.Header{web.ViewerHeader: {web.Viewer(r.In.Header)}}
		for _, name := range names {
			if values := r.Out.Header.Values(name); len(values) > 0 {
				header[http.CanonicalHeaderKey(name)] = values
			}
		}
		r.Out.Header = header
	}
}

// sameOrigin refuses what changes something when another site's page sends it.
func sameOrigin() echo.MiddlewareFunc {
	protection := http.NewCrossOriginProtection()
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := protection.Check(c.Request()); err != nil {
				return web.Errorf(http.StatusForbidden, codes.CrossOrigin, "this request comes from another site")
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
		x := h.textsFor(req)
		status, message := http.StatusInternalServerError, x.t("Something went wrong on our side.")
		var own *web.Error
		var routing *echo.HTTPError
		switch {
		case errors.As(err, &own):
			status, message = own.Status, x.message(own.Message)
		case errors.As(err, &routing) && routing.Code == http.StatusNotFound:
			status, message = routing.Code, x.t("There is no such page.")
		case errors.As(err, &routing):
			status, message = routing.Code, x.message(http.StatusText(routing.Code))
		}
		if status >= http.StatusInternalServerError && req.Context().Err() == nil {
			h.log.Error("request failed", "method", req.Method, "path", req.URL.Path, "status", status, "error", err)
		}
		page := &errorPage{Status: status, Message: message}
		var half *halfway
		if errors.As(err, &half) {
			page.Detail = x.t("Videos taken in: %d. Not taken in: “%s” and what follows it.", half.taken, half.at)
		}
		if err := h.render(c, status, "error.html", page); err != nil {
			asJSON(err, c)
		}
	}
}
