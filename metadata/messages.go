package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"flixtube/chassis/messaging"
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

// announcer sends the events that wait in the documents of removed videos. Two of them at the same time send
// some events twice, under the same id, and do no other harm.
type announcer struct {
	videos      *store
	publish     func(context.Context, []messaging.Message) error
	log         *slog.Logger
	woken       chan struct{}
	idle, retry time.Duration
}

func newAnnouncer(videos *store, publish func(context.Context, []messaging.Message) error, log *slog.Logger) *announcer {
	return &announcer{
		videos: videos, publish: publish, log: log, woken: make(chan struct{}, 1),
		idle:  5 * time.Second, // each look reads the whole collection in FerretDB
		retry: time.Second,
	}
}

// wake makes run look at once.
func (a *announcer) wake() {
	select {
	case a.woken <- struct{}{}:
	default:
	}
}

// run works until ctx is done and then returns nil. Without being woken it finds what an earlier process left.
func (a *announcer) run(ctx context.Context) error {
	failing := false
	for {
		pause := a.idle
		err := a.announce(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			pause = a.retry
			if !failing {
				a.log.Warn("removed videos wait to be announced", "error", err)
			}
		case failing:
			a.log.Info("removed videos are announced again")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-a.woken:
		case <-time.After(pause):
		}
	}
}

func (a *announcer) announce(ctx context.Context) error {
	waiting, err := a.videos.unsent(ctx)
	if err != nil || len(waiting) == 0 {
		return err
	}
	msgs := make([]messaging.Message, len(waiting))
	for i, r := range waiting {
		msgs[i] = r.message()
	}
	if err := a.publish(ctx, msgs); err != nil {
		return fmt.Errorf("publish video-removed: %w", err)
	}
	for _, r := range waiting {
		if err := a.videos.sent(ctx, r); err != nil {
			return err
		}
	}
	return nil
}
