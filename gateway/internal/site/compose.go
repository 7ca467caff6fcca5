package site

import (
	"context"
	"slices"
	"sync"

	"github.com/labstack/echo/v4"

	"flixtube/gateway/internal/services"
)

// part is one service's share of a page. Its name is a text that pages show. fetch may set what no other part sets.
type part struct {
	name  string
	fetch func(context.Context) error
}

// compose fetches all parts at the same time, each within the timeout, and returns the names of those that failed: the page
// comes without them.
func (s *Site) compose(c echo.Context, parts ...part) (missing []string) {
	failed := make([]error, len(parts))
	var wg sync.WaitGroup
	for i, p := range parts {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(c.Request().Context(), s.PartTimeout)
			defer cancel()
			failed[i] = p.fetch(ctx)
		})
	}
	wg.Wait()
	for i, err := range failed {
		if err == nil {
			continue
		}
		missing = append(missing, parts[i].name)
		if ctx := c.Request().Context(); ctx.Err() == nil {
			s.Log.WarnContext(ctx, "page without a part", "page", c.Path(), "part", parts[i].name, "error", err)
		}
	}
	return missing
}

// recommendationsPart comes from recommendations, which also has the number of viewers of each video.
const recommendationsPart = "recommendations"

// recommended returns the videos that the viewer might watch next, after watching if that is not empty. known is whether they
// were chosen for this viewer.
func (s *Site) recommended(ctx context.Context, viewer, watching string) (videos []services.Video, known bool, err error) {
	ids, known, err := s.Services.Recommendations.VideoIDs(ctx, viewer, watching, suggestions)
	if err != nil {
		return nil, false, err
	}
	byID, err := s.Services.Metadata.Videos(ctx, viewer, ids)
	return inOrder(ids, byID), known, err
}

func inOrder(ids []string, byID map[string]services.Video) []services.Video {
	var videos []services.Video
	for _, id := range ids {
		if v, ok := byID[id]; ok {
			videos = append(videos, v)
		}
	}
	return videos
}

// countViews returns the view counts of all videos of a page, by id. Nobody misses them on a page without, so they are not
// reported as missing; and a service that has just failed for this page is not asked again.
func (s *Site) countViews(c echo.Context, missing []string, lists ...[]services.Video) (views map[string]int64) {
	if slices.Contains(missing, recommendationsPart) {
		return nil
	}
	var ids []string
	for _, list := range lists {
		for _, v := range list {
			ids = append(ids, v.ID)
		}
	}
	s.compose(c, part{"view counts", func(ctx context.Context) (err error) {
		views, err = s.Services.Recommendations.Views(ctx, viewerOf(c), ids)
		return err
	}})
	return views
}
