package main

import (
	"context"
	_ "embed"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/labstack/echo/v4"

	"flixtube/chassis/health"
	"flixtube/chassis/messaging"
	"flixtube/chassis/proxy"
	"flixtube/chassis/web"
)

//go:embed openapi.json
var openAPI []byte

// recorder accepts a message without waiting for the disk, or says why it does not.
type recorder interface {
	Offer(m messaging.Message) error
}

type service struct {
	videos  echo.HandlerFunc
	box     recorder
	counted *lru.Cache[uuid.UUID, struct{}] // viewings that have their message
	log     *slog.Logger
}

// countedViewings is how many of the latest viewings are known to be counted. An older one that returns is announced
// again under the same id, which changes nothing.
const countedViewings = 1 << 15

func newHandler(storage *url.URL, transport *http.Transport, box recorder, log *slog.Logger, checks ...health.Check) http.Handler {
	counted, _ := lru.New[uuid.UUID, struct{}](countedViewings) // fails only for a size below 1
	s := &service{box: box, counted: counted, log: log}
	s.videos = web.Raw(proxy.NewStream(storage.JoinPath("video"), transport, log, onlyID, s.watch))
	posters := echo.WrapHandler(proxy.New(storage.JoinPath("poster"), transport, log, onlyID, nil))
	e := web.NewEcho(log, checks...)
	e.GET("/video", s.video)
	e.HEAD("/video", s.video)
	e.GET("/poster", posters)
	e.HEAD("/poster", posters)
	e.GET("/openapi.json", web.OpenAPI(e, openAPI))
	e.GET("/metrics", web.Metrics())
	return e
}

// viewing is what a request for a video says about itself. It travels to watch in the request's context.
type viewing struct {
	id     uuid.UUID // uuid.Nil if the request has none
	viewer string    // may be ""
	video  string
}

type viewingKey struct{}

func (s *service) video(c echo.Context) error {
	req, query := c.Request(), c.QueryParams()
	v := viewing{viewer: web.Viewer(req.Header), video: query.Get("id")}
	// Parse accepts other forms of a UUID as well. They are not ids of viewings.
	if id, err := uuid.Parse(query.Get("view")); err == nil && id.String() == query.Get("view") {
		v.id = id
	}
	c.SetRequest(req.WithContext(context.WithValue(req.Context(), viewingKey{}, v)))
	return s.videos(c)
}

// onlyID makes the query that goes to video-storage from the id alone, so that the video that is counted is the one that
// is served.
func onlyID(r *httputil.ProxyRequest) {
	r.Out.URL.RawQuery = url.Values{"id": {r.In.URL.Query().Get("id")}}.Encode()
}

// watch counts a view when video-storage begins its response, before the client gets any of it: a view that a client has
// seen outlives a kill of the process. It never waits for the disk, and never fails the video.
func (s *service) watch(res *http.Response) error {
	v, _ := res.Request.Context().Value(viewingKey{}).(viewing)
	switch {
	case !showsVideo(res):
		return nil
	case v.id != uuid.Nil:
		if !s.count(v.id) {
			return nil
		}
	case !startsAtZero(res):
		return nil
	default:
		v.id = uuid.New()
	}
	m := newViewed(v.id.String(), v.viewer, v.video, time.Now())
	if err := s.box.Offer(m); err != nil {
		s.counted.Remove(v.id) // the next request of this viewing tries again
		s.log.DebugContext(res.Request.Context(), "view refused", "id", m.ID, "error", err)
		return nil
	}
	s.log.DebugContext(res.Request.Context(), "view accepted", "id", m.ID)
	return nil
}

// count marks a viewing as counted, and reports whether it was not counted before.
func (s *service) count(id uuid.UUID) bool {
	before, _ := s.counted.ContainsOrAdd(id, struct{}{})
	if before {
		s.counted.Get(id) // a viewing that goes on stays among the latest
	}
	return !before
}

func showsVideo(res *http.Response) bool {
	return res.Request.Method == http.MethodGet &&
		(res.StatusCode == http.StatusOK || res.StatusCode == http.StatusPartialContent)
}

// startsAtZero reports whether a response has the first byte of the video. With several ranges their positions are in
// the body, so it looks at those that were asked for.
func startsAtZero(res *http.Response) bool {
	if res.StatusCode == http.StatusOK {
		return true
	}
	if got := res.Header.Get("Content-Range"); got != "" {
		return strings.HasPrefix(got, "bytes 0-")
	}
	asked := strings.TrimPrefix(res.Request.Header.Get("Range"), "bytes=")
	return slices.ContainsFunc(strings.Split(asked, ","), func(part string) bool {
		first, _, _ := strings.Cut(part, "-")
		position, err := strconv.ParseInt(strings.TrimSpace(first), 10, 64) // as the servers of videos read it
		return err == nil && position == 0
	})
}
