package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"flixtube/chassis/messaging"
)

// viewed is what recommendations takes of a viewed message; only video.id must be there.
type viewed struct {
	ID       string    `json:"id"`
	ViewedAt time.Time `json:"viewedAt"`
	Viewer   struct {
		ID string `json:"id"`
	} `json:"viewer"`
	Video struct {
		ID string `json:"id"`
	} `json:"video"`
}

// videoRemoved is what recommendations takes of a video-removed message.
type videoRemoved struct {
	Video struct {
		ID string `json:"id"`
	} `json:"video"`
}

// maxID bounds the ids that other programs may choose, in bytes.
const maxID = 200

// decodeViewed fills in what a message may lack: its id, from the broker's message id or else from the bytes of a
// body that says when, and the time. One that has none of them is another view each time the broker delivers it.
func decodeViewed(m messaging.Message) (viewed, error) {
	var v viewed
	if err := json.Unmarshal(m.Body, &v); err != nil {
		return viewed{}, fmt.Errorf("not a viewed message: %w", err)
	}
	if v.Video.ID == "" {
		return viewed{}, errors.New("not a viewed message: no video.id")
	}
	if v.ID == "" && !m.Named() && !v.ViewedAt.IsZero() {
		v.ID = uuid.NewSHA1(uuid.NameSpaceOID, m.Body).String()
	}
	if v.ID == "" {
		v.ID = m.ID
	}
	if v.ID == "" {
		v.ID = uuid.NewString()
	}
	if len(v.ID) > maxID || len(v.Video.ID) > maxID || len(v.Viewer.ID) > maxID {
		return viewed{}, fmt.Errorf("an id is longer than %d bytes", maxID)
	}
	if v.ViewedAt.IsZero() {
		v.ViewedAt = time.Now()
	}
	v.ViewedAt = v.ViewedAt.UTC()
	if year := v.ViewedAt.Year(); year < 0 || year > 9999 { // history refuses it too
		return viewed{}, errors.New("viewedAt is in no year from 0 to 9999")
	}
	return v, nil
}

func decodeVideoRemoved(m messaging.Message) (string, error) {
	var v videoRemoved
	if err := json.Unmarshal(m.Body, &v); err != nil {
		return "", fmt.Errorf("not a video-removed message: %w", err)
	}
	if v.Video.ID == "" {
		return "", errors.New("not a video-removed message: no video.id")
	}
	if len(v.Video.ID) > maxID {
		return "", fmt.Errorf("an id is longer than %d bytes", maxID)
	}
	return v.Video.ID, nil
}

// subscriptions are the queues that recommendations listens to. All of their work is idempotent, and its
// order does not matter, but for the times that store tells of.
func subscriptions(s *store) []messaging.Subscription {
	return []messaging.Subscription{
		{
			Queue:   messaging.Queue{Name: "recommendations.viewed", Exchange: "viewed"},
			Handler: messaging.Decoded(decodeViewed, s.record), Ready: s.ready,
		},
		{
			Queue:   messaging.Queue{Name: "recommendations.video-removed", Exchange: "video-removed"},
			Handler: messaging.Decoded(decodeVideoRemoved, s.facts.Forget), Ready: s.ready,
		},
	}
}
