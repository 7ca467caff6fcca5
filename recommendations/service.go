package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"flixtube/chassis"
)

// viewStore is what the routes need of the store. The ranked lists hold at most maxCandidates, best first.
type viewStore interface {
	coViewed(ctx context.Context, viewer, watching string) ([]string, error)
	popular(ctx context.Context) ([]string, error)
	watched(ctx context.Context, viewer string, videos []string) (map[string]bool, error)
}

// catalogue knows which videos are new.
type catalogue interface {
	newest(ctx context.Context) ([]string, error)
}

func newHandler(views viewStore, videos catalogue, log *slog.Logger, checks ...chassis.Check) http.Handler {
	h := handler{views, videos, log}
	e := chassis.NewEcho(log, checks...)
	e.GET("/recommendations", h.getRecommendations)
	e.GET("/metrics", chassis.Metrics())
	return e
}

type handler struct {
	views  viewStore
	videos catalogue
	log    *slog.Logger
}

// maxRecommendations is the most that one answer holds.
const maxRecommendations = 50

type recommendation struct {
	VideoID string `json:"videoId"`
	Reason  string `json:"reason"`
}

func (h handler) getRecommendations(c echo.Context) error {
	_, limit, err := chassis.Page(c.QueryParams(), 10)
	if err != nil {
		return err
	}
	watching := c.QueryParam("video")
	if len(watching) > maxID {
		return chassis.Errorf(http.StatusBadRequest, "video must be an id")
	}
	found, err := h.recommend(c.Request().Context(), chassis.Viewer(c.Request().Header), watching,
		int(min(limit, maxRecommendations)))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"recommendations": found})
}

// recommend asks one source after the other until it has limit videos.
func (h handler) recommend(ctx context.Context, viewer, watching string, limit int) ([]recommendation, error) {
	sources := []struct {
		reason string
		videos func() ([]string, error)
	}{
		{"co-viewed", func() ([]string, error) { return h.views.coViewed(ctx, viewer, watching) }},
		{"popular", func() ([]string, error) { return h.views.popular(ctx) }},
		{"new", func() ([]string, error) {
			videos, err := h.videos.newest(ctx)
			if err != nil {
				h.log.Warn("nothing new to recommend", "error", err)
			}
			return videos, nil
		}},
	}
	recommendations := []recommendation{}
	taken := map[string]bool{watching: true}
	for _, source := range sources {
		if len(recommendations) >= limit {
			break
		}
		videos, err := source.videos()
		if err != nil {
			return nil, err
		}
		watched, err := h.views.watched(ctx, viewer, videos)
		if err != nil {
			return nil, err
		}
		for _, id := range videos {
			if !taken[id] && !watched[id] && len(recommendations) < limit {
				taken[id] = true
				recommendations = append(recommendations, recommendation{id, source.reason})
			}
		}
	}
	return recommendations, nil
}

// metadata is the service that knows the videos.
type metadata struct {
	base   *url.URL
	client *http.Client
}

// metadataTimeout is short: recommendations without the new videos are better than late ones.
const metadataTimeout = time.Second

func newMetadata(base *url.URL) metadata {
	return metadata{base, &http.Client{Transport: chassis.NewTransport(), Timeout: metadataTimeout}}
}

func (m metadata) check() chassis.Check {
	return chassis.Check{Name: "metadata", Probe: chassis.HTTPCheck(m.client, m.base.String())}
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
	if err := chassis.GetJSON(m.client, req, &answer); err != nil {
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
