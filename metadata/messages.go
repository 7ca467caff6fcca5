package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"flixtube/chassis/messaging"
	"flixtube/chassis/text"
)

// videoUploaded is what metadata takes of a video-uploaded message; only video.id must be there.
type videoUploaded struct {
	UploadedAt time.Time `json:"uploadedAt"`
	Owner      struct {
		ID string `json:"id"`
	} `json:"owner"`
	Video struct {
		ID          string  `json:"id"`
		Name        string  `json:"name"`
		ContentType string  `json:"contentType"`
		Size        int64   `json:"size"`
		Duration    float64 `json:"duration"` // seconds
		Poster      bool    `json:"poster"`
	} `json:"video"`
}

const (
	maxID       = 200 // bounds the ids that other programs may choose, in bytes
	maxDuration = 1e7 // seconds, some four months
)

// decodeVideoUploaded leaves out a duration that none can be: the video is worth more. A message with other types
// than these is another message.
func decodeVideoUploaded(m messaging.Message) (video, error) {
	var u videoUploaded
	if err := json.Unmarshal(m.Body, &u); err != nil {
		return video{}, fmt.Errorf("not a video-uploaded message: %w", err)
	}
	if u.Video.ID == "" {
		return video{}, errors.New("not a video-uploaded message: no video.id")
	}
	if len(u.Video.ID) > maxID || len(u.Owner.ID) > maxID {
		return video{}, fmt.Errorf("an id is longer than %d bytes", maxID)
	}
	if u.Video.Duration <= 0 || u.Video.Duration > maxDuration {
		u.Video.Duration = 0
	}
	if u.UploadedAt.IsZero() {
		u.UploadedAt = time.Now()
	}
	return video{
		ID: u.Video.ID, Name: text.Line(u.Video.Name), ContentType: u.Video.ContentType, Size: u.Video.Size,
		Duration: u.Video.Duration, Poster: u.Video.Poster, Owner: u.Owner.ID, UploadedAt: u.UploadedAt.UTC(),
	}, nil
}

func subscriptions(s *store) []messaging.Subscription {
	return []messaging.Subscription{{
		Queue:   messaging.Queue{Name: "metadata.video-uploaded", Exchange: "video-uploaded"},
		Handler: messaging.Decoded(decodeVideoUploaded, s.add), Ready: s.ready,
	}}
}

// videoRemoved tells that a video is gone.
type videoRemoved struct {
	ID        string    `json:"id"`
	RemovedAt time.Time `json:"removedAt"`
	Video     struct {
		ID string `json:"id"`
	} `json:"video"`
}

var removedTo = messaging.Fanout("video-removed",
	"video-storage.video-removed", "history.video-removed", "recommendations.video-removed")

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
