package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"flixtube/chassis/messaging"
	"flixtube/chassis/web"
	"flixtube/contracts"
)

// announcementStore keeps, beside each video, the message video-uploaded by which it was announced: its name, owner, type,
// size and duration survive the loss of metadata's database. It is deleted with the video.
type announcementStore interface {
	// OpenAnnouncement returns the JSON of the message; errNotFound if there is none.
	OpenAnnouncement(ctx context.Context, id videoID) ([]byte, error)

	// SaveAnnouncement returns errNotFound if there is no such video.
	SaveAnnouncement(ctx context.Context, id videoID, message []byte) error

	lister
}

// announced is a video-uploaded message about a video.
type announced struct {
	id      string
	message json.RawMessage
}

func decodeVideoUploaded(m messaging.Message) (announced, error) {
	id, err := videoOf(m, contracts.VideoUploaded)
	return announced{id, m.Body}, err
}

// announcement keeps the messages. One about a video that is not stored here, or that was removed meanwhile, is ignored.
func announcement(videos store) messaging.Subscription {
	return messaging.Subscription{
		Queue: contracts.VideoUploaded.Queue("video-storage"),
		Ready: videos.Ready,
		Handler: messaging.Decoded(decodeVideoUploaded, func(ctx context.Context, all []announced) error {
			for _, a := range all {
				id, err := parseID(a.id)
				if err != nil {
					continue // nothing can be stored under it
				}
				// A video may be announced again, with a poster, and either message may arrive last.
				if kept, err := videos.OpenAnnouncement(ctx, id); err == nil && hasPoster(kept) && !hasPoster(a.message) {
					continue
				}
				if err := videos.SaveAnnouncement(ctx, id, a.message); err != nil && !errors.Is(err, errNotFound) {
					return fmt.Errorf("keep the announcement of video %s: %w", id, err)
				}
			}
			return nil
		}),
	}
}

func hasPoster(message []byte) bool {
	var m struct{ Video struct{ Poster bool } }
	return json.Unmarshal(message, &m) == nil && m.Video.Poster
}

// storedVideo is a video in the list of all. Announcement is null if none is kept: the video was stored by an older
// version, or its upload failed.
type storedVideo struct {
	ID           videoID         `json:"id"`
	Announcement json.RawMessage `json:"announcement"`
}

// listVideos answers with one page, in the order of the ids.
func (s service) listVideos(c echo.Context) error {
	ctx, query := c.Request().Context(), c.QueryParams()
	_, limit, err := web.Page(query, web.MaxPage)
	if err != nil {
		return err
	}
	ids, err := s.announcements.StoredBetween(ctx, time.Time{}, time.Now().AddDate(1, 0, 0))
	if err != nil {
		return answer(err)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	first, found := slices.BinarySearch(ids, videoID(query.Get("after")))
	if found {
		first++
	}
	page := []storedVideo{}
	for _, id := range ids[first:min(first+int(limit), len(ids))] {
		message, err := s.announcements.OpenAnnouncement(ctx, id)
		if err != nil && !errors.Is(err, errNotFound) {
			return answer(err)
		}
		page = append(page, storedVideo{id, message})
	}
	return c.JSON(http.StatusOK, map[string]any{"videos": page})
}
