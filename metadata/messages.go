package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"flixtube/chassis/messaging"
	"flixtube/chassis/relay"
	"flixtube/chassis/text"
	"flixtube/contracts"
	"flixtube/contracts/limits"
)

// decodeVideoUploaded returns the video that a video-uploaded message tells of. Only video.id must be there. A name that is
// too long is cut, and an impossible duration is left out, because listing the video matters more.
func decodeVideoUploaded(m messaging.Message) (video, error) {
	var u struct {
		UploadedAt time.Time `json:"uploadedAt"`
		Owner      struct {
			ID string `json:"id"`
		} `json:"owner"`
		Video struct {
			ID          string  `json:"id"`
			Name        string  `json:"name"`
			ContentType string  `json:"contentType"`
			Size        int64   `json:"size"`     // bytes
			Duration    float64 `json:"duration"` // seconds
			Poster      bool    `json:"poster"`
		} `json:"video"`
	}
	if err := json.Unmarshal(m.Body, &u); err != nil {
		return video{}, fmt.Errorf("not a video-uploaded message: %w", err)
	}
	if err := limits.CheckID("video.id", u.Video.ID); err != nil {
		return video{}, err
	}
	if err := limits.CheckOptionalID("owner.id", u.Owner.ID); err != nil {
		return video{}, err
	}
	at, err := limits.Time("uploadedAt", u.UploadedAt)
	if err != nil {
		return video{}, err
	}
	v := video{
		ID: u.Video.ID, Name: text.Truncate(u.Video.Name, limits.Name), ContentType: u.Video.ContentType, Size: u.Video.Size,
		Poster: u.Video.Poster, Owner: u.Owner.ID, UploadedAt: at,
	}
	if u.Video.Duration > 0 && u.Video.Duration <= limits.Duration {
		v.Duration = u.Video.Duration
	}
	return v, nil
}

func subscriptions(s *store) []messaging.Subscription {
	return []messaging.Subscription{{
		Queue:   contracts.VideoUploaded.Queue("metadata"),
		Handler: messaging.Decoded(decodeVideoUploaded, s.add), Ready: s.ready,
	}}
}

// videoRemoved is the message that a video was removed.
type videoRemoved struct {
	ID        string    `json:"id"`
	RemovedAt time.Time `json:"removedAt"`
	Video     struct {
		ID string `json:"id"`
	} `json:"video"`
}

var removedTo = contracts.VideoRemoved.Destination()

func (r removal) message() messaging.Message {
	v := videoRemoved{ID: r.Event.ID, RemovedAt: r.Event.RemovedAt.UTC()}
	v.Video.ID = idText(r.ID)
	body, _ := json.Marshal(v) // never fails: the time is ours
	return messaging.Message{ID: v.ID, Body: body}
}

// removals are the events in the documents of removed videos, as a source for the relay.
type removals struct {
	videos *store
	added  relay.Signal
}

func newRemovals(videos *store) *removals { return &removals{videos, relay.NewSignal()} }

// Added implements [relay.Source].
func (r *removals) Added() <-chan struct{} { return r.added }

// Next implements [relay.Source].
func (r *removals) Next(ctx context.Context) ([]messaging.Message, func(context.Context) error, error) {
	waiting, err := r.videos.unsent(ctx)
	if err != nil {
		return nil, nil, err
	}
	msgs := make([]messaging.Message, len(waiting))
	for i, w := range waiting {
		msgs[i] = w.message()
	}
	forget := func(ctx context.Context) error {
		for _, w := range waiting {
			if err := r.videos.sent(ctx, w); err != nil {
				return err
			}
		}
		return nil
	}
	return msgs, forget, nil
}
