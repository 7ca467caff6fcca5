package main

import (
	"encoding/json"
	"fmt"
	"time"

	"flixtube/chassis/messaging"
	"flixtube/contracts"
	"flixtube/contracts/limits"
)

// decodeViewed returns the view that a viewed message tells of. Only video.id must be there: a missing id comes from
// contracts.FactID, a missing time is now.
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
	id := contracts.FactID(v.ID, v.ViewedAt, m)
	if err := limits.CheckID("id", id); err != nil {
		return view{}, err
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
	return view{ID: id, VideoID: v.Video.ID, ViewedAt: at, Viewer: v.Viewer.ID}, nil
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

// subscriptions are the queues that history consumes. The handlers are idempotent, and the order of the messages does not
// matter.
func subscriptions(s *store) []messaging.Subscription {
	record := messaging.Decoded(decodeViewed, s.record)
	forget := messaging.Decoded(decodeVideoRemoved, s.forget)
	return []messaging.Subscription{
		{Queue: contracts.Viewed.Queue("history"), Handler: record, Ready: s.ready},
		{Queue: contracts.ViewedQueue, Handler: record, Ready: s.ready},
		{Queue: contracts.VideoRemoved.Queue("history"), Handler: forget, Ready: s.ready},
	}
}
