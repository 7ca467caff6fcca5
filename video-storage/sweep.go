package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"flixtube/chassis/httpclient"
	"flixtube/chassis/messaging"
)

const (
	sweepEvery = time.Hour
	sweepAge   = 24 * time.Hour // of bytes that may be the rest of an upload that broke
	askAtOnce  = 100            // videos; metadata answers for no more
)

// announced is where new videos wait until metadata knows them.
var announced = messaging.Queue{Name: "metadata.video-uploaded", Exchange: "video-uploaded"}

// oldVideos is the part of a store that a sweep needs.
type oldVideos interface {
	// StoredBefore returns the ids under which there is something, a video or a poster, that was stored before
	// then. It may name an id twice.
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
	waiting  func(context.Context, messaging.Queue) (int, error) // how many messages
	log      *slog.Logger

	unknown []string // in the sweep before; nil if that stopped
}

// run sweeps now and then until ctx is done.
func (s *sweeper) run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.sweep(ctx, time.Now().Add(-sweepAge)); err != nil && ctx.Err() == nil {
			s.log.Error("the sweep stopped", "error", err)
		}
	}
}

// sweep deletes what was stored before then and is unknown to metadata, now and in the sweep before: what an
// outbox or a consumer has in hand just now is known an hour later. It never guesses, and stops if broker or
// metadata do not answer, if announcements wait, even among the dead letters, and if metadata knows so little
// that it must have lost its database, or have the wrong one.
func (s *sweeper) sweep(ctx context.Context, then time.Time) error {
	before := s.unknown
	s.unknown = nil
	ids, err := s.videos.StoredBefore(ctx, then)
	if err != nil || len(ids) == 0 {
		return err
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	for _, q := range []messaging.Queue{announced, announced.Dead()} {
		n, err := s.waiting(ctx, q)
		if err != nil {
			return fmt.Errorf("look into %s: %w", q.Name, err)
		}
		if n > 0 {
			return fmt.Errorf("%d messages wait in %s", n, q.Name)
		}
	}
	unknown, err := s.askMetadata(ctx, ids)
	if err != nil {
		return fmt.Errorf("ask metadata: %w", err)
	}
	known := len(ids) - len(unknown)
	if len(unknown) > min(known, max(20, len(ids)/10)) {
		return fmt.Errorf("metadata knows only %d of %d videos", known, len(ids))
	}
	s.unknown = unknown
	for _, id := range unknown {
		if !slices.Contains(before, id) {
			continue
		}
		if err := s.videos.Delete(ctx, id); err != nil {
			return err
		}
		s.log.Info("deleted bytes that no metadata knows", "id", id)
	}
	return nil
}

// askMetadata returns those of the ids that metadata does not know.
func (s *sweeper) askMetadata(ctx context.Context, ids []string) (unknown []string, err error) {
	for part := range slices.Chunk(ids, askAtOnce) {
		target := s.metadata.JoinPath("videos")
		target.RawQuery = url.Values{"id": part}.Encode()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
		if err != nil {
			return nil, err
		}
		var answer struct {
			Videos []struct {
				ID string `json:"_id"`
			} `json:"videos"`
		}
		if err := httpclient.GetJSON(s.client, req, &answer); err != nil {
			return nil, err
		}
		known := map[string]bool{}
		for _, v := range answer.Videos {
			known[v.ID] = true
		}
		for _, id := range part {
			if !known[id] {
				unknown = append(unknown, id)
			}
		}
	}
	return unknown, nil
}
