package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"flixtube/chassis/httpclient"
	"flixtube/chassis/text"
	"flixtube/chassis/web"
)

// neighbours are the services whose answers make up the pages.
type neighbours struct {
	client                             *http.Client
	metadata, history, recommendations *url.URL
}

const maxDuration = 1e7 // seconds

// video is what the pages show of a video. Documents may have been written by anyone: what is missing in one,
// or is of another type, stays empty.
type video struct {
	ID, Name, Owner string
	UploadedAt      time.Time
	Duration        float64 // seconds, 0 if not known
	Poster          bool    // there is a picture
	Views           int64   // 0 if not known
	Watched         int     // percent, of those that the viewer has not finished
}

func (v *video) UnmarshalJSON(b []byte) error {
	var document map[string]any
	if err := json.Unmarshal(b, &document); err != nil {
		return err
	}
	v.ID, _ = document["_id"].(string)
	name, _ := document["name"].(string)
	v.Name = text.Line(name)
	at, _ := document["uploadedAt"].(string)
	v.UploadedAt, _ = time.Parse(time.RFC3339, at)
	v.Owner, _ = document["owner"].(string)
	if seconds, _ := document["duration"].(float64); seconds > 0 && seconds <= maxDuration {
		v.Duration = seconds
	}
	v.Poster, _ = document["poster"].(bool)
	return nil
}

// position is where the viewer stopped, in seconds.
type position struct {
	VideoID  string  `json:"videoId"`
	Position float64 `json:"position"`
	Duration float64 `json:"duration"`
}

// Watched is how far that is, in percent, or 0 if that is not known.
func (p position) Watched() int {
	if p.Duration <= 0 || p.Position < 0 {
		return 0
	}
	return int(min(100, 100*p.Position/p.Duration))
}

// unfinished is whether there is something to continue: the viewer has not only looked in, and has not come to
// the credits.
func (p position) unfinished() bool {
	return p.Duration > 0 && p.Position >= min(0.03*p.Duration, 10) && p.Position < max(0.95*p.Duration, p.Duration-60)
}

// viewing is one line of the viewer's history. Known is false for a video that metadata does not have.
type viewing struct {
	ID       string    `json:"_id"`
	ViewedAt time.Time `json:"viewedAt"`
	position
	Video video `json:"-"`
	Known bool  `json:"-"`
}

func (n neighbours) get(ctx context.Context, base *url.URL, path string, query url.Values, viewer string, v any) error {
	address := base.JoinPath(path)
	address.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set(web.ViewerHeader, viewer)
	if err := httpclient.GetJSON(n.client, req, v); err != nil {
		return fmt.Errorf("get %s: %w", path, err)
	}
	return nil
}

// newest returns up to limit videos whose name contains search, newest first.
func (n neighbours) newest(ctx context.Context, viewer, search string, skip, limit int64) ([]video, error) {
	query := paging(skip, limit)
	query.Set("sort", "newest")
	if search != "" {
		query.Set("search", search)
	}
	var answer struct {
		Videos []video `json:"videos"`
	}
	err := n.get(ctx, n.metadata, "videos", query, viewer, &answer)
	return slices.DeleteFunc(answer.Videos, func(v video) bool { return v.ID == "" }), err
}

// video returns one video, and whether there is one.
func (n neighbours) video(ctx context.Context, viewer, id string) (video, bool, error) {
	var answer struct {
		Video video `json:"video"`
	}
	err := n.get(ctx, n.metadata, "video", url.Values{"id": {id}}, viewer, &answer)
	var refused *httpclient.StatusError
	if errors.As(err, &refused) && (refused.Status == http.StatusNotFound || refused.Status == http.StatusBadRequest) {
		return video{}, false, nil
	}
	answer.Video.ID = id
	return answer.Video, err == nil, err
}

// videos returns those of up to a hundred ids that there are, by id.
func (n neighbours) videos(ctx context.Context, viewer string, ids []string) (map[string]video, error) {
	byID := map[string]video{}
	if len(ids) == 0 {
		return byID, nil
	}
	ids = slices.Clone(ids)
	slices.Sort(ids)
	var answer struct {
		Videos []video `json:"videos"`
	}
	err := n.get(ctx, n.metadata, "videos", url.Values{"id": slices.Compact(ids)}, viewer, &answer)
	for _, v := range answer.Videos {
		byID[v.ID] = v
	}
	return byID, err
}

// unfinished returns the videos that the viewer may want to continue, the last watched first.
func (n neighbours) unfinished(ctx context.Context, viewer string, limit int) ([]video, error) {
	var answer struct {
		Positions []position `json:"positions"`
	}
	if err := n.get(ctx, n.history, "positions", paging(0, 100), viewer, &answer); err != nil {
		return nil, err
	}
	var ids []string
	watched := map[string]int{}
	for _, p := range answer.Positions {
		if p.unfinished() {
			ids = append(ids, p.VideoID)
			watched[p.VideoID] = p.Watched()
		}
	}
	byID, err := n.videos(ctx, viewer, ids)
	videos := inOrder(ids, byID)
	for i := range videos {
		videos[i].Watched = watched[videos[i].ID]
	}
	return videos[:min(limit, len(videos))], err
}

// resume returns where the viewer goes on with a video, in seconds from its beginning.
func (n neighbours) resume(ctx context.Context, viewer, id string) (float64, error) {
	var answer struct {
		Position position `json:"position"`
	}
	err := n.get(ctx, n.history, "position", url.Values{"video": {id}}, viewer, &answer)
	var refused *httpclient.StatusError
	if errors.As(err, &refused) && refused.Status < http.StatusInternalServerError {
		return 0, nil
	}
	if err != nil || !answer.Position.unfinished() {
		return 0, err
	}
	return answer.Position.Position, nil
}

func inOrder(ids []string, byID map[string]video) []video {
	var videos []video
	for _, id := range ids {
		if v, ok := byID[id]; ok {
			videos = append(videos, v)
		}
	}
	return videos
}

// recommended returns what the viewer might watch next, after watching if that is not empty, the best first.
func (n neighbours) recommended(ctx context.Context, viewer, watching string, limit int64) ([]video, error) {
	var answer struct {
		Recommendations []struct {
			VideoID string `json:"videoId"`
		} `json:"recommendations"`
	}
	query := paging(0, limit)
	if watching != "" {
		query.Set("video", watching)
	}
	err := n.get(ctx, n.recommendations, "recommendations", query, viewer, &answer)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(answer.Recommendations))
	for i, r := range answer.Recommendations {
		ids[i] = r.VideoID
	}
	byID, err := n.videos(ctx, viewer, ids)
	return inOrder(ids, byID), err
}

// views returns how many viewers have watched each of up to a hundred videos; what nobody did may be left out.
func (n neighbours) views(ctx context.Context, viewer string, ids []string) (map[string]int64, error) {
	slices.Sort(ids)
	var answer struct {
		Views map[string]int64 `json:"views"`
	}
	err := n.get(ctx, n.recommendations, "views", url.Values{"id": slices.Compact(ids)}, viewer, &answer)
	return answer.Views, err
}

// watched returns a page of the viewer's history, newest first, still without the videos' names.
func (n neighbours) watched(ctx context.Context, viewer string, skip, limit int64) ([]viewing, error) {
	var answer struct {
		History []viewing `json:"history"`
	}
	err := n.get(ctx, n.history, "history", paging(skip, limit), viewer, &answer)
	return answer.History, err
}

func paging(skip, limit int64) url.Values {
	query := url.Values{"limit": {strconv.FormatInt(limit, 10)}}
	if skip > 0 {
		query.Set("skip", strconv.FormatInt(skip, 10))
	}
	return query
}
