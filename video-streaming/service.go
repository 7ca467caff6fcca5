package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"flixtube/chassis/health"
	"flixtube/chassis/messaging"
	"flixtube/chassis/proxy"
	"flixtube/chassis/web"
)

// recorder takes a message without waiting, and then says whether it keeps it.
type recorder interface {
	Offer(m messaging.Message, settled func(error))
}

type service struct {
	videos  http.Handler
	box     recorder
	counted *recent
	log     *slog.Logger
}

// rememberedViewings is how many viewings, at least, are known to be counted. One that comes back later is
// announced again under the same id, which changes nothing.
const rememberedViewings = 1 << 15

func newHandler(storage *url.URL, transport http.RoundTripper, box recorder, log *slog.Logger, checks ...health.Check) http.Handler {
	s := &service{box: box, counted: newRecent(rememberedViewings), log: log}
	s.videos = proxy.New(storage.JoinPath("video"), transport, log, passOn, s.watch)
	posters := echo.WrapHandler(proxy.New(storage.JoinPath("poster"), transport, log, passOn, nil))
	e := web.NewEcho(log, checks...)
	e.GET("/video", s.video)
	e.HEAD("/video", s.video)
	e.GET("/poster", posters)
	e.HEAD("/poster", posters)
	e.GET("/metrics", web.Metrics())
	return e
}

// viewing is what a request says about itself. It goes with the request's context to watch.
type viewing struct {
	id     uuid.UUID // uuid.Nil: the request names none
	viewer string    // may be ""
	video  string
}

type viewingKey struct{}

func (s *service) video(c echo.Context) error {
	req, query := c.Request(), c.QueryParams()
	v := viewing{viewer: web.Viewer(req.Header), video: query.Get("id")}
	if id, err := uuid.Parse(query.Get("view")); err == nil && id.String() == query.Get("view") { // Parse knows other forms, too
		v.id = id
	}
	s.videos.ServeHTTP(c.Response(), req.WithContext(context.WithValue(req.Context(), viewingKey{}, v)))
	return nil
}

// passOn asks storage for what is counted: its query is the id and nothing else.
func passOn(r *httputil.ProxyRequest) {
	r.Out.URL.RawQuery = url.Values{"id": {r.In.URL.Query().Get("id")}}.Encode()
}

// watch sees the head of storage's answer. It never waits, and never fails the video.
func (s *service) watch(res *http.Response) error {
	v, _ := res.Request.Context().Value(viewingKey{}).(viewing)
	named := v.id != uuid.Nil
	if !shows(res) || (!named && !startsAtZero(res)) {
		return nil
	}
	if named && !s.counted.add(v.id) {
		return nil
	}
	if !named {
		v.id = uuid.New()
	}
	m := newViewed(v.id.String(), v.viewer, v.video, time.Now())
	s.box.Offer(m, func(err error) {
		if err != nil { // the outbox says so in the log
			s.counted.remove(v.id) // the viewing's next request may have better luck
			return
		}
		s.log.Debug("view accepted", "id", m.ID)
	})
	return nil
}

func shows(res *http.Response) bool {
	return res.Request.Method == http.MethodGet &&
		(res.StatusCode == http.StatusOK || res.StatusCode == http.StatusPartialContent)
}

// startsAtZero looks at what was asked for when several ranges are answered: where each starts is in the body then.
func startsAtZero(res *http.Response) bool {
	if res.StatusCode == http.StatusOK {
		return true
	}
	if got := res.Header.Get("Content-Range"); got != "" {
		return strings.HasPrefix(got, "bytes 0-")
	}
	asked := strings.TrimPrefix(res.Request.Header.Get("Range"), "bytes=")
	return slices.ContainsFunc(strings.Split(asked, ","), func(part string) bool {
		return strings.HasPrefix(strings.TrimSpace(part), "0-")
	})
}
