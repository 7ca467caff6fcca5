package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/proxy"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
)

// uploadID is the form of an upload's id, which is to become part of an inner path.
var (
	uploadID      = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	uploadAddress = regexp.MustCompile(`/uploads/[A-Za-z0-9_-]{1,64}$`)
)

// newUploads passes the tus protocol on to video-upload. Of the protocol's headers only these go inward: one that
// names another method (X-HTTP-Method-Override) would get around what is allowed here.
func newUploads(base *url.URL, transport http.RoundTripper, log *slog.Logger) echo.HandlerFunc {
	forward := inward("Tus-Resumable", "Upload-Length", "Upload-Offset", "Upload-Metadata", "Content-Type", "Expect")
	proxy := proxy.New(base, transport, log, func(r *httputil.ProxyRequest) {
		forward(r)
		r.Out.URL = r.Out.URL.JoinPath(strings.TrimPrefix(r.In.URL.Path, "/api/uploads"))
		r.Out.URL.RawQuery = ""
	}, func(res *http.Response) error {
		location, err := res.Location()
		res.Header.Del("Location")
		if res.Request.Method == http.MethodPost && res.StatusCode == http.StatusCreated {
			if err != nil || !uploadAddress.MatchString(location.Path) {
				return errors.New("an upload was created, and its Location names none")
			}
			res.Header.Set("Location", "/api"+uploadAddress.FindString(location.Path))
		}
		return dropOurHeaders(res)
	})
	return func(c echo.Context) error {
		if len(c.ParamNames()) > 0 && !uploadID.MatchString(c.Param("id")) {
			return web.Errorf(http.StatusNotFound, codes.UploadNotFound, "there is no such upload")
		}
		proxy.ServeHTTP(c.Response(), c.Request())
		return nil
	}
}

const noPoster = `{"error":"there is no such picture"}`

// newPosters passes pictures on, for browsers to keep for a while, and nothing else that there might be.
func newPosters(base *url.URL, transport http.RoundTripper, log *slog.Logger) http.Handler {
	forward := inward("If-None-Match", "If-Modified-Since")
	return proxy.New(base, transport, log, func(r *httputil.ProxyRequest) {
		forward(r)
		r.Out.URL.RawQuery = url.Values{"id": {r.In.URL.Query().Get("id")}}.Encode()
	}, func(res *http.Response) error {
		contentType := res.Header.Get("Content-Type")
		switch {
		case res.StatusCode == http.StatusOK && contentType == "image/jpeg", res.StatusCode == http.StatusNotModified:
			res.Header.Set("Cache-Control", "private, max-age=3600")
		case res.StatusCode == http.StatusNotFound, res.StatusCode == http.StatusBadRequest: // no id looks like this
			_ = res.Body.Close()
			res.StatusCode, res.ContentLength = http.StatusNotFound, int64(len(noPoster))
			res.Header = http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}} // it may come yet
			res.Body = io.NopCloser(strings.NewReader(noPoster))
		default:
			return fmt.Errorf("a picture was answered with %s %q", res.Status, contentType)
		}
		return dropOurHeaders(res)
	})
}

// atMost gives up on a neighbour that takes longer than limit.
func atMost(limit time.Duration, neighbour http.Handler) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx, cancel := context.WithTimeout(c.Request().Context(), limit)
		defer cancel()
		neighbour.ServeHTTP(c.Response(), c.Request().WithContext(ctx))
		return nil
	}
}
