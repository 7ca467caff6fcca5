package main

import (
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/health"
	"flixtube/chassis/httpclient"
	"flixtube/chassis/web"
	"flixtube/contracts/codes"
	"flixtube/contracts/limits"
)

//go:embed openapi.json
var openAPI []byte

// viewStore is the part of the store that the routes use. The rankings have at most maxCandidates videos, best first.
type viewStore interface {
	seen(ctx context.Context, viewer string) (videos []string, all bool, err error)
	coViewed(ctx context.Context, viewer string, seen []string, watching string) ([]string, error)
	popular(ctx context.Context) ([]string, error)
	watched(ctx context.Context, viewer string, videos []string) (map[string]bool, error)
	count(ctx context.Context, videos []string) (map[string]int64, error)
}

// catalogue knows which videos are new.
type catalogue interface {
	newest(ctx context.Context) ([]string, error)
}

func newHandler(views viewStore, videos catalogue, log *slog.Logger, checks ...health.Check) http.Handler {
	h := newService(views, videos, log)
	e := web.NewEcho(log, checks...)
	e.GET("/recommendations", h.getRecommendations)
	e.GET("/views", h.getViews)
	e.GET("/openapi.json", web.OpenAPI(e, openAPI))
	e.GET("/metrics", web.Metrics())
	return e
}

type handler struct {
	views   viewStore
	newest  *cache[[]string] // of the catalogue; its only key is ""
	counts  *cache[int64]    // of views
	popular *cache[[]string] // its only key is ""
	log     *slog.Logger
}

func newService(views viewStore, videos catalogue, log *slog.Logger) handler {
	popular := func(ctx context.Context, _ []string) (map[string][]string, error) {
		ranking, err := views.popular(ctx)
		return map[string][]string{"": ranking}, err
	}
	newest := func(ctx context.Context, _ []string) (map[string][]string, error) {
		found, err := videos.newest(ctx)
		return map[string][]string{"": found}, err
	}
	return handler{views, newCache(newest), newCache(views.count), newCache(popular), log}
}

const maxRecommendations = 50 // in one answer

// failure turns an error of a check into an answer.
func failure(err error) error {
	var invalid limits.InvalidID
	if errors.As(err, &invalid) {
		return web.Errorf(http.StatusBadRequest, codes.InvalidID, "%s", invalid).With("name", invalid.Name).With("max", limits.ID)
	}
	return err
}

type recommendation struct {
	VideoID string `json:"videoId"`
	Reason  string `json:"reason"`
}

func (h handler) getRecommendations(c echo.Context) error {
	_, limit, err := web.Page(c.QueryParams(), 10)
	if err != nil {
		return err
	}
	watching := c.QueryParam("video")
	if err := limits.CheckOptionalID("video", watching); err != nil {
		return failure(err)
	}
	found, known, err := h.recommend(c.Request().Context(), web.Viewer(c.Request().Header), watching,
		int(min(limit, maxRecommendations)))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"recommendations": found, "known": known})
}

func (h handler) getViews(c echo.Context) error {
	videos := slices.Clone(c.QueryParams()["id"])
	if len(videos) == 0 {
		return failure(limits.CheckID("id", ""))
	}
	if len(videos) > limits.IDs {
		return web.Errorf(http.StatusBadRequest, codes.TooManyIDs, "there must be at most %d ids", limits.IDs).With("max", limits.IDs)
	}
	for _, id := range videos {
		if err := limits.CheckID("id", id); err != nil {
			return failure(err)
		}
	}
	slices.Sort(videos)
	counts, err := h.counts.get(c.Request().Context(), slices.Compact(videos))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"views": counts})
}

// recommend asks one source after the other until it has enough videos. known tells whether the viewer has watched anything.
func (h handler) recommend(ctx context.Context, viewer, watching string, limit int) (found []recommendation, known bool, err error) {
	seen, all, err := h.views.seen(ctx, viewer)
	if err != nil {
		return nil, false, err
	}
	sources := []struct {
		reason string
		videos func() ([]string, error)
	}{
		{"co-viewed", func() ([]string, error) { return h.views.coViewed(ctx, viewer, seen, watching) }},
		{"popular", func() ([]string, error) {
			ranking, err := h.popular.get(ctx, []string{""})
			return ranking[""], err
		}},
		{"new", func() ([]string, error) {
			ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
			defer cancel()
			found, err := h.newest.get(ctx, []string{""})
			if err != nil {
				h.log.WarnContext(ctx, "the newest videos are left out of the recommendations", "error", err)
			}
			return found[""], nil
		}},
	}
	found = []recommendation{}
	taken := map[string]bool{watching: true}
	for _, id := range seen {
		taken[id] = true
	}
	for _, source := range sources {
		if len(found) >= limit {
			break
		}
		videos, err := source.videos()
		if err != nil {
			return nil, false, err
		}
		var watched map[string]bool
		if !all {
			if watched, err = h.views.watched(ctx, viewer, videos); err != nil {
				return nil, false, err
			}
		}
		for _, id := range videos {
			if !taken[id] && !watched[id] && len(found) < limit {
				taken[id] = true
				found = append(found, recommendation{id, source.reason})
			}
		}
	}
	return found, len(seen) > 0, nil
}

// metadata is the client of the service metadata.
type metadata struct {
	base   *url.URL
	client *http.Client
}

// metadataTimeout is short: recommendations without the newest videos are better than late ones. What comes later than that
// is there for the next request.
const (
	metadataTimeout = time.Second
	lookUpTimeout   = 5 * time.Second
)

func newMetadata(base *url.URL) metadata {
	return metadata{base, &http.Client{Transport: httpclient.NewTransport(), Timeout: lookUpTimeout}}
}

func (m metadata) check() health.Check {
	return health.Service("metadata", m.client, m.base)
}

func (m metadata) newest(ctx context.Context) ([]string, error) {
	u := m.base.JoinPath("videos")
	u.RawQuery = url.Values{"sort": {"newest"}, "limit": {strconv.Itoa(maxCandidates)}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Videos []struct {
			ID string `json:"_id"`
		} `json:"videos"`
	}
	if err := httpclient.GetJSON(m.client, req, &answer); err != nil {
		return nil, err
	}
	var videos []string
	for _, video := range answer.Videos[:min(len(answer.Videos), maxCandidates)] {
		if video.ID != "" {
			videos = append(videos, video.ID)
		}
	}
	return videos, nil
}
