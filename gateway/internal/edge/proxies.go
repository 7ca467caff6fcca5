package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/proxy"
	"flixtube/chassis/requestid"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/contracts/limits"
)

// Proxies forwards requests to services. Of the headers from outside only those are forwarded that the route needs.
type Proxies struct {
	Transport *http.Transport
	Log       *slog.Logger
}

// Video forwards to video-streaming: the bytes of a video, with ranges. Each viewer's request must arrive, to count as a
// view, so shared caches keep nothing.
func (p Proxies) Video(streaming *url.URL) echo.HandlerFunc {
	headers := forward("Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")
	return web.Raw(proxy.NewStream(streaming.JoinPath("video"), p.Transport, p.Log, func(r *httputil.ProxyRequest) {
		headers(r)
		query := r.In.URL.Query()
		forwarded := url.Values{"id": {query.Get("id")}}
		if view := query.Get("view"); view != "" && len(view) <= limits.ID { // video-streaming ignores one that is no UUID
			forwarded.Set("view", view)
		}
		r.Out.URL.RawQuery = forwarded.Encode()
	}, func(res *http.Response) error {
		res.Header.Set("Cache-Control", "private")
		return dropOwnHeaders(res)
	}))
}

// Upload forwards to video-upload: a whole file, of any size. It is sent when video-upload asks for it (RFC 9110, 10.1.1):
// an answer that comes while the body is sent may be lost with the connection.
func (p Proxies) Upload(videoUpload *url.URL) echo.HandlerFunc {
	headers := forward("Content-Type", "File-Name", "Video-Duration")
	return echo.WrapHandler(proxy.New(videoUpload.JoinPath("upload"), p.Transport, p.Log, func(r *httputil.ProxyRequest) {
		headers(r)
		r.Out.Header.Set("Expect", "100-continue")
	}, dropOwnHeaders))
}

// Position forwards a POST to history as the PUT that it means: a page that is being left can only POST (sendBeacon).
func (p Proxies) Position(history *url.URL) echo.HandlerFunc {
	return echo.WrapHandler(proxy.New(history.JoinPath("position"), p.Transport, p.Log, func(r *httputil.ProxyRequest) {
		forward("Content-Type")(r)
		r.Out.Method = http.MethodPut
		r.Out.URL.RawQuery = url.Values{"video": {r.In.URL.Query().Get("video")}}.Encode()
	}, dropOwnHeaders))
}

var (
	errNoPoster   = web.Errorf(http.StatusNotFound, codes.PosterNotFound, "there is no poster of this video")
	errNoCaptions = web.Errorf(http.StatusNotFound, codes.CaptionsNotFound, "the video has no captions in this language")
)

// Poster forwards to video-streaming, and answers with a JPEG or an error and nothing else. Browsers may keep a poster for
// a while, but not that there is none: it may still come.
func (p Proxies) Poster(streaming *url.URL) echo.HandlerFunc {
	headers := forward("If-None-Match", "If-Modified-Since")
	return echo.WrapHandler(proxy.New(streaming.JoinPath("poster"), p.Transport, p.Log, func(r *httputil.ProxyRequest) {
		headers(r)
		r.Out.URL.RawQuery = url.Values{"id": {r.In.URL.Query().Get("id")}}.Encode()
	}, func(res *http.Response) error {
		contentType := res.Header.Get("Content-Type")
		switch {
		case res.StatusCode == http.StatusOK && contentType == "image/jpeg", res.StatusCode == http.StatusNotModified:
			res.Header.Set("Cache-Control", "private, max-age=3600")
		case res.StatusCode == http.StatusNotFound, res.StatusCode == http.StatusBadRequest: // no id looks like this
			if err := replaceBy(errNoPoster, res); err != nil {
				return err
			}
			res.Header.Set("Cache-Control", "no-store")
		default:
			return unexpected("poster", res)
		}
		return dropOwnHeaders(res)
	}))
}

// Captions forwards to metadata, and answers with WebVTT or an error and nothing else. Browsers ask each time whether the owner
// has replaced them.
func (p Proxies) Captions(metadata *url.URL) echo.HandlerFunc {
	headers := forward("If-None-Match")
	captions := echo.WrapHandler(proxy.New(metadata.JoinPath("captions"), p.Transport, p.Log, func(r *httputil.ProxyRequest) {
		headers(r)
		query := r.In.URL.Query()
		r.Out.URL.RawQuery = url.Values{"id": {query.Get("id")}, "language": {query.Get("language")}}.Encode()
	}, func(res *http.Response) error {
		contentType := res.Header.Get("Content-Type")
		switch {
		case res.StatusCode == http.StatusOK && contentType == "text/vtt; charset=utf-8", res.StatusCode == http.StatusNotModified:
		case res.StatusCode == http.StatusNotFound, res.StatusCode == http.StatusBadRequest:
			if err := replaceBy(errNoCaptions, res); err != nil {
				return err
			}
		default:
			return unexpected("captions", res)
		}
		res.Header.Set("Cache-Control", "private, no-cache")
		return dropOwnHeaders(res)
	}))
	return func(c echo.Context) error {
		if CheckLanguage(c.QueryParam("language")) != nil {
			return errNoCaptions
		}
		return captions(c)
	}
}

// unexpected is the error for an answer that is not to be shown.
func unexpected(what string, res *http.Response) error {
	if rejected := RejectedRequest(res.StatusCode); rejected != nil {
		return rejected
	}
	return fmt.Errorf("%s: unexpected answer %s %q", what, res.Status, res.Header.Get("Content-Type"))
}

// replaceBy turns a service's answer into an error.
func replaceBy(e *web.Error, res *http.Response) error {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	res.StatusCode, res.ContentLength = e.Status, int64(len(body))
	res.Header = http.Header{"Content-Type": {"application/json"}}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// maxValidator bounds a list of ETags, or a date, of which a client asks whether it is still true. A longer one is dropped, and
// the answer a whole one then: with the headers that are added, the request could be too long for a service.
const maxValidator = 4 << 10 // bytes

func tooLong(name string, values []string) bool {
	if name != "If-None-Match" && name != "If-Modified-Since" {
		return false
	}
	return len(strings.Join(values, "")) > maxValidator
}

// forward keeps these headers and no others, and adds the viewer's id, the client's address and the request's id. It runs after ReverseProxy has
// removed hop-by-hop headers, by which a client could otherwise remove the viewer's id ("Connection: X-Viewer-Id").
func forward(names ...string) func(*httputil.ProxyRequest) {
	return func(r *httputil.ProxyRequest) {
		header := http.Header{
			web.ViewerHeader: {web.Viewer(r.In.Header)},
			web.ClientHeader: {web.Client(r.In.Header)},
			requestid.Header: {requestid.FromContext(r.In.Context())},
		}
		for _, name := range names {
			if values := r.Out.Header.Values(name); len(values) > 0 && !tooLong(name, values) {
				header[http.CanonicalHeaderKey(name)] = values
			}
		}
		r.Out.Header = header
	}
}

// Timeout bounds the whole of a request, for routes whose bodies are small.
func Timeout(timeout time.Duration) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			ctx, cancel := context.WithTimeout(c.Request().Context(), timeout)
			defer cancel()
			c.SetRequest(c.Request().WithContext(ctx))
			return next(c)
		}
	}
}
