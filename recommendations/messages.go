package main

import (
	"encoding/json"
	"fmt"
	"time"

	"flixtube/chassis/messaging"
	"flixtube/contracts"
	"flixtube/contracts/limits"
)

// decodeViewed returns the view that a viewed message tells of. Only video.id must be there; a missing time is now. The
// id of the message matters only if there is no viewer: a viewer and a video are one view in a half hour, however many
// messages tell of it.
func decodeViewed(m messaging.Message) (view, error) {
	var v struct {
		ID       string    `json:"id"`
		ViewedAt time.Time `json:"viewedAt"`
		Viewer   struct {
			ID string `json:"id"`
		} `json:"viewer"`
		Video struct {
			ID string `json:"id"`
		} `json:"video"`
	}
	if err := json.Unmarshal(m.Body, &v); err != nil {
		return view{}, fmt.Errorf("not a viewed message: %w", err)
	}
	if err := limits.CheckID("video.id", v.Video.ID); err != nil {
		return view{}, err
	}
	if err := limits.CheckOptionalID("viewer.id", v.Viewer.ID); err != nil {
		return view{}, err
	}
	at, err := limits.Time("viewedAt", v.ViewedAt)
	if err != nil {
		return view{}, err
	}
	id := viewID(v.Viewer.ID, v.Video.ID, at)
	if v.Viewer.ID == "" {
		factID := contracts.FactID(v.ID, v.ViewedAt, m)
		if err := limits.CheckID("id", factID); err != nil {
			return view{}, err
		}
		id = anonymousViewID(factID)
	}
	return view{ID: id, Viewer: v.Viewer.ID, VideoID: v.Video.ID, ViewedAt: at}, nil
}

// decodeVideoRemoved returns the id of the video.
func decodeVideoRemoved(m messaging.Message) (string, error) {
	var r struct {
		Video struct {
			ID string `json:"id"`
		} `json:"video"`
	}
	if err := json.Unmarshal(m.Body, &r); err != nil {
		return "", fmt.Errorf("not a video-removed message: %w", err)
	}
	if err := limits.CheckID("video.id", r.Video.ID); err != nil {
		return "", err
	}
	return r.Video.ID, nil
}

// subscriptions are the queues that recommendations consumes. The handlers are idempotent, and the order of the messages
// does not matter, except for the times of views: see store.
func subscriptions(s *store) []messaging.Subscription {
	return []messaging.Subscription{
		{
			Queue:   contracts.Viewed.Queue("recommendations"),
			Handler: messaging.Decoded(decodeViewed, s.record), Ready: s.ready,
		},
		{
			Queue:   contracts.VideoRemoved.Queue("recommendations"),
			Handler: messaging.Decoded(decodeVideoRemoved, s.facts.Forget), Ready: s.ready,
		},
	}
}
