package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"flixtube/chassis"
)

const (
	sweepEvery = time.Hour
	sweepAge   = 24 * time.Hour // of bytes that may be the rest of an upload that broke
)

// oldVideos is the part of a store that a sweep needs.
type oldVideos interface {
	// StoredBefore returns the ids of the videos that were stored before then.
	StoredBefore(ctx context.Context, then time.Time) ([]string, error)

	// Delete removes a video and its poster; one that is not there is no error. It can be repeated until
	// nothing is left.
	Delete(ctx context.Context, id string) error
}

// sweeper deletes the bytes that no metadata knows: their upload broke after they were stored.
type sweeper struct {
	videos   oldVideos
	metadata *url.URL
	client   *http.Client
	log      *slog.Logger
}

// run sweeps now and then until ctx is done.
func (s sweeper) run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.sweep(ctx, time.Now().Add(-sweepAge)); err != nil && ctx.Err() == nil {
			s.log.Warn("the sweep stopped", "error", err)
		}
	}
}

// sweep deletes what was stored before then and is unknown to metadata. It never guesses: it goes on only while
// metadata answers, and not at all if metadata knows no video, as one that has lost its database does.
func (s sweeper) sweep(ctx context.Context, then time.Time) error {
	ids, err := s.videos.StoredBefore(ctx, then)
	if err != nil || len(ids) == 0 {
		return err
	}
	var list struct {
		Videos []struct{} `json:"videos"`
	}
	if err := s.ask(ctx, "videos", url.Values{"limit": {"1"}}, &list); err != nil {
		return err
	}
	if len(list.Videos) == 0 {
		return errors.New("metadata knows no video at all; nothing is deleted")
	}
	for _, id := range ids {
		err := s.ask(ctx, "video", url.Values{"id": {id}}, &struct{}{})
		var answered *chassis.StatusError
		switch {
		case err == nil:
			continue
		case !errors.As(err, &answered) || answered.Status != http.StatusNotFound:
			return err
		}
		if err := s.videos.Delete(ctx, id); err != nil {
			return err
		}
		s.log.Info("deleted bytes that no metadata knows", "id", id)
	}
	return nil
}

func (s sweeper) ask(ctx context.Context, path string, query url.Values, v any) error {
	target := s.metadata.JoinPath("/", path)
	target.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	if err := chassis.GetJSON(s.client, req, v); err != nil {
		return fmt.Errorf("ask metadata: %w", err)
	}
	return nil
}
