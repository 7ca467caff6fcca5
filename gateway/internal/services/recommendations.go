package services

import (
	"context"
	"net/http"
	"net/url"

	"flixtube/contracts/limits"
)

// Recommendations knows what to watch next, and how many views a video has.
type Recommendations struct {
	client
	views *remembered[int64] // by the videos' ids; the same for every viewer
}

// NewRecommendations returns the client of the service at base.
func NewRecommendations(http *http.Client, base *url.URL) Recommendations {
	return Recommendations{client{http, base}, newRemembered[int64]()}
}

// VideoIDs returns up to limit videos that the viewer might watch next, after watching if that is not empty. The best
// come first. A video may have been removed since. known is whether the service knows of anything that the viewer watched:
// otherwise the videos are those for everybody.
func (r Recommendations) VideoIDs(ctx context.Context, viewer, watching string, limit int64) (ids []string, known bool, err error) {
	var answer struct {
		Recommendations []struct {
			VideoID string `json:"videoId"`
		} `json:"recommendations"`
		Known bool `json:"known"`
	}
	query := paging(0, limit)
	if watching != "" {
		query.Set("video", watching)
	}
	err = r.get(ctx, viewer, "recommendations", query, &answer)
	ids = make([]string, len(answer.Recommendations))
	for i, recommended := range answer.Recommendations {
		ids[i] = recommended.VideoID
	}
	return ids, answer.Known, err
}

// Views returns how many views each of up to limits.IDs videos has, or had a moment ago. One that nobody watched may be missing, and so
// is an id that is too long to be one.
func (r Recommendations) Views(ctx context.Context, viewer string, videoIDs []string) (map[string]int64, error) {
	var ids []string
	for _, id := range videoIDs {
		if len(id) <= limits.ID { // the service would reject the whole request because of one
			ids = append(ids, id)
		}
	}
	return r.views.get(ctx, ids, func(ctx context.Context, ids []string) (map[string]int64, error) {
		var answer struct {
			Views map[string]int64 `json:"views"`
		}
		err := r.get(ctx, viewer, "views", idQuery(ids), &answer)
		return answer.Views, err
	})
}
