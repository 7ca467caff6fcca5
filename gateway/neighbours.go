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

	"golang.org/x/sync/errgroup"

	"flixtube/chassis"
)

// neighbours are the services whose answers make up the pages.
type neighbours struct {
	client                             *http.Client
	metadata, history, recommendations *url.URL
}

// video is what the pages show of a video. Documents may have been written by anyone: what is missing in one,
// or is of another type, stays empty.
type video struct {
	ID, Name, Owner string
	UploadedAt      time.Time
}

func (v *video) UnmarshalJSON(b []byte) error {
	var document map[string]any
	if err := json.Unmarshal(b, &document); err != nil {
		return err
	}
	v.ID, _ = document["_id"].(string)
	name, _ := document["name"].(string)
	v.Name = chassis.Line(name)
	at, _ := document["uploadedAt"].(string)
	v.UploadedAt, _ = time.Parse(time.RFC3339, at)
	v.Owner, _ = document["owner"].(string)
	return nil
}

// viewing is one line of the viewer's history. Known is false for a video that metadata does not have.
type viewing struct {
	VideoID  string    `json:"videoId"`
	ViewedAt time.Time `json:"viewedAt"`
	Video    video     `json:"-"`
	Known    bool      `json:"-"`
}

func (n neighbours) get(ctx context.Context, base *url.URL, path string, query url.Values, viewer string, v any) error {
	address := base.JoinPath(path)
	address.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set(chassis.ViewerHeader, viewer)
	if err := chassis.GetJSON(n.client, req, v); err != nil {
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
	var refused *chassis.Error
	if errors.As(err, &refused) && (refused.Status == http.StatusNotFound || refused.Status == http.StatusBadRequest) {
		return video{}, false, nil
	}
	answer.Video.ID = id
	return answer.Video, err == nil, err
}

// videos returns those of the ids that there are, by id.
func (n neighbours) videos(ctx context.Context, viewer string, ids []string) (map[string]video, error) {
	found := make([]*video, len(ids))
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(16)
	seen := map[string]bool{}
	for i, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		work.Go(func() error {
			v, ok, err := n.video(ctx, viewer, id)
			if ok {
				found[i] = &v
			}
			return err
		})
	}
	err := work.Wait()
	byID := map[string]video{}
	for _, v := range found {
		if v != nil {
			byID[v.ID] = *v
		}
	}
	return byID, err
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
	if err != nil {
		return nil, err
	}
	var videos []video
	for _, id := range ids {
		if v, ok := byID[id]; ok {
			videos = append(videos, v)
		}
	}
	return videos, nil
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
