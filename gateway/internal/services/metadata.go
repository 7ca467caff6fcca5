package services

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"flixtube/chassis/httpclient"
	"flixtube/chassis/text"
	"flixtube/contracts/codes"
	"flixtube/contracts/limits"
)

// Metadata knows names and facts of videos.
type Metadata struct {
	client
	known *lru.Cache[string, struct{}] // ids of videos that exist, or have existed

	// What metadata answers is the same for every viewer; the requests name the viewer who asked first. But an owner sees
	// the own changes at once, also those that were made by another gateway.
	newest *remembered[[]Video] // by limit
	videos *remembered[Video]   // by id
}

// maxKnown is how many ids of videos are remembered, the last used.
const maxKnown = 10_000

// NewMetadata returns the client of the service at base.
func NewMetadata(http *http.Client, base *url.URL) Metadata {
	known, _ := lru.New[string, struct{}](maxKnown) // fails only for a size below 1
	return Metadata{client{http, base}, known, newRemembered[[]Video](), newRemembered[Video]()}
}

// Video is what metadata knows of a video. Other programs may have written the document: a field that it lacks, or has
// with another type, is empty.
type Video struct {
	ID, Name, Owner string
	UploadedAt      time.Time
	Duration        float64 // seconds, 0 if unknown
	Poster          bool    // it has one
	ContentType     string
	Captions        []string // the languages in which it has captions
}

func ownedBy(viewer string) func(Video) bool {
	return func(v Video) bool { return viewer != "" && v.Owner == viewer }
}

// UnmarshalJSON never fails because of a field.
func (v *Video) UnmarshalJSON(b []byte) error {
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
	if seconds, _ := document["duration"].(float64); seconds > 0 && seconds <= limits.Duration {
		v.Duration = seconds
	}
	v.Poster, _ = document["poster"].(bool)
	v.ContentType, _ = document["contentType"].(string)
	languages, _ := document["captions"].([]any)
	for _, l := range languages {
		if language, ok := l.(string); ok {
			v.Captions = append(v.Captions, language)
		}
	}
	return nil
}

// Newest returns up to limit videos whose names contain search, newest first. The newest of all may be as they were a moment
// ago. The caller does not change the videos.
func (m Metadata) Newest(ctx context.Context, viewer, search string, skip, limit int64) ([]Video, error) {
	if search != "" || skip != 0 {
		return m.list(ctx, viewer, search, skip, limit)
	}
	key := strconv.FormatInt(limit, 10)
	ownsOne := func(videos []Video) bool { return slices.ContainsFunc(videos, ownedBy(viewer)) }
	found, err := m.newest.getUnless(ctx, []string{key}, ownsOne, func(ctx context.Context, _ []string) (map[string][]Video, error) {
		videos, err := m.list(ctx, viewer, "", 0, limit)
		return map[string][]Video{key: videos}, err
	})
	return found[key], err
}

func (m Metadata) list(ctx context.Context, viewer, search string, skip, limit int64) ([]Video, error) {
	query := paging(skip, limit)
	query.Set("sort", "newest")
	if search != "" {
		query.Set("search", search)
	}
	return m.listed(ctx, viewer, "videos", query)
}

// Own returns up to limit of the viewer's own videos, newest first.
func (m Metadata) Own(ctx context.Context, viewer string, skip, limit int64) ([]Video, error) {
	return m.listed(ctx, viewer, "videos/own", paging(skip, limit))
}

func (m Metadata) listed(ctx context.Context, viewer, path string, query url.Values) ([]Video, error) {
	var answer struct {
		Videos []Video `json:"videos"`
	}
	err := m.get(ctx, viewer, path, query, &answer)
	return slices.DeleteFunc(answer.Videos, func(v Video) bool { return v.ID == "" }), err
}

// Video returns one video, perhaps as it was a moment ago. found is false if there is none.
func (m Metadata) Video(ctx context.Context, viewer, id string) (video Video, found bool, err error) {
	one, err := m.videos.getUnless(ctx, []string{id}, ownedBy(viewer), func(ctx context.Context, _ []string) (map[string]Video, error) {
		var answer struct {
			Video Video `json:"video"`
		}
		err := m.get(ctx, viewer, "video", url.Values{"id": {id}}, &answer)
		if hasCode(err, codes.VideoNotFound, codes.InvalidID) {
			return nil, nil
		}
		answer.Video.ID = id
		return map[string]Video{id: answer.Video}, err
	})
	video, found = one[id]
	return video, found, err
}

// Exists reports whether there is, or has been, a video with this id. It asks once for each that there is: viewers of a video
// that was removed meanwhile are answered by what they do with it.
func (m Metadata) Exists(ctx context.Context, viewer, id string) (bool, error) {
	if _, ok := m.known.Get(id); ok {
		return true, nil
	}
	_, found, err := m.Video(ctx, viewer, id)
	if found {
		m.known.Add(id, struct{}{})
	}
	return found, err
}

// Videos returns those of up to limits.IDs ids that exist, by id, perhaps as they were a moment ago.
func (m Metadata) Videos(ctx context.Context, viewer string, ids []string) (map[string]Video, error) {
	return m.videos.getUnless(ctx, ids, ownedBy(viewer), func(ctx context.Context, ids []string) (map[string]Video, error) {
		var answer struct {
			Videos []Video `json:"videos"`
		}
		err := m.get(ctx, viewer, "videos", idQuery(ids), &answer)
		byID := map[string]Video{}
		for _, v := range answer.Videos {
			byID[v.ID] = v
		}
		return byID, err
	})
}

// Rename gives a video of the viewer another name.
func (m Metadata) Rename(ctx context.Context, viewer, id, name string) error {
	return m.change(ctx, viewer, http.MethodPatch, "video", url.Values{"id": {id}}, map[string]string{"name": name})
}

// Remove removes a video of the viewer.
func (m Metadata) Remove(ctx context.Context, viewer, id string) error {
	return m.change(ctx, viewer, http.MethodDelete, "video", url.Values{"id": {id}}, nil)
}

// PutCaptions gives a video of the viewer captions in a language, from a WebVTT or SubRip file.
func (m Metadata) PutCaptions(ctx context.Context, viewer, id, language string, file []byte) error {
	req, err := m.newRequest(ctx, viewer, http.MethodPut, "captions", url.Values{"id": {id}, "language": {language}}, file)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/plain")
	if err := httpclient.Send(m.http, req); err != nil {
		return fmt.Errorf("put captions: %w", err)
	}
	return nil
}

// RemoveCaptions removes them from a video of the viewer.
func (m Metadata) RemoveCaptions(ctx context.Context, viewer, id, language string) error {
	return m.change(ctx, viewer, http.MethodDelete, "captions", url.Values{"id": {id}, "language": {language}}, nil)
}
