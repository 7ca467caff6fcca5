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
	"flixtube/contracts"
	"flixtube/contracts/limits"
)

const (
	sweepEvery = time.Hour
	sweepAge   = 24 * time.Hour // bytes that are younger may belong to an upload that is not announced yet
)

// announcements is the queue of new videos that metadata has not recorded yet.
var announcements = contracts.VideoUploaded.Queue("metadata")

// sweepStore is the store as the sweeper needs it.
type sweepStore interface {
	lister
	Delete(ctx context.Context, id videoID) error
}

type lister interface {
	// StoredBetween returns the ids that have a video or a poster stored at from or later, and before to. It may return
	// an id twice.
	StoredBetween(ctx context.Context, from, to time.Time) ([]videoID, error)
}

// sweeper deletes bytes that metadata does not know: their upload failed after they were stored.
type sweeper struct {
	videos   sweepStore
	metadata *url.URL
	client   *http.Client
	queueLen func(context.Context, messaging.Queue) (int, error) // in messages
	since    time.Time                                           // bytes that were stored before are kept; may be zero
	log      *slog.Logger

	unknown []videoID // to metadata in the last sweep; nil if that stopped
}

// run sweeps every hour until ctx is done.
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
			s.log.ErrorContext(ctx, "sweep stopped", "error", err)
		}
	}
}

// sweep deletes everything that was stored between s.since and then, and that metadata does not know, in this sweep and in
// the last one: a video whose announcement an outbox or a consumer holds now is known an hour later. It deletes nothing and
// returns an error if the broker or metadata does not answer, if announcements wait in the queue or among its dead
// letters, or if metadata knows so few of the videos that it must have lost its database, or uses the wrong one.
func (s *sweeper) sweep(ctx context.Context, then time.Time) error {
	before := s.unknown
	s.unknown = nil
	ids, err := s.videos.StoredBetween(ctx, s.since, then)
	if err != nil || len(ids) == 0 {
		return err
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	for _, q := range []messaging.Queue{announcements, announcements.Dead()} {
		n, err := s.queueLen(ctx, q)
		if err != nil {
			return fmt.Errorf("count the messages in %s: %w", q.Name, err)
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
			return fmt.Errorf("delete video %s: %w", id, err)
		}
		s.log.InfoContext(ctx, "deleted bytes that metadata does not know", "video", id)
	}
	return nil
}

// askMetadata returns the ids that metadata does not know.
func (s *sweeper) askMetadata(ctx context.Context, ids []videoID) (unknown []videoID, err error) {
	for part := range slices.Chunk(ids, limits.IDs) {
		query := url.Values{}
		for _, id := range part {
			query.Add("id", string(id))
		}
		target := s.metadata.JoinPath("videos")
		target.RawQuery = query.Encode()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
		if err != nil {
			return nil, err
		}
		var answer struct {
			Videos []struct {
				ID videoID `json:"_id"`
			} `json:"videos"`
		}
		if err := httpclient.GetJSON(s.client, req, &answer); err != nil {
			return nil, err
		}
		known := map[videoID]bool{}
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
